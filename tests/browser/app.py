"""How a user's hand and eye find their way in the App: what the tests that drive it share."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import fiftyone as fo

from fiftyone_plugin.review.ledger import Ledger

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Request

T = TypeVar("T")

PICTURES = os.environ.get("HNM_PICTURES")
IMAGES = 400 if PICTURES else 80
PATIENCE = 120_000
"""Milliseconds to wait for what must come: a busy machine without a graphics card draws slowly."""

GLANCE = 200
"""Milliseconds between two looks at what is waited for."""

SWALLOWED = 15_000
"""Milliseconds after which a click of which the App told the server nothing was made while it drew the place anew."""

CLICKS = 4
"""Clicks on one place, at most."""

GRID, FORM = '[data-cy="looker"]', '[data-cy="operators-prompt-modal"]'
OUTPUT = '[data-cy="operators-prompt-view-modal"]'
PANEL = '[data-cy="panel-content-hard_negatives_panel"]'
SELECTED = '[data-cy="action-manage-selected"]'

Shoot = Callable[[str], None]


@contextmanager
def at_work(command: Sequence[str | Path], log: Path) -> Iterator[None]:
    """A command that runs beside the test, as in another terminal; it is killed at the end."""
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def visit(app: Page, address: str) -> None:
    """Open the App on a dataset and wait for its grid."""
    app.goto(address, wait_until="domcontentloaded")
    app.locator(GRID).first.wait_for()


def copy_of(original: fo.Dataset, name: str) -> fo.Dataset:
    """Copy a dataset for a test, since the App remembers the view of each; a test that is run again begins anew."""
    if fo.dataset_exists(name):
        fo.delete_dataset(name)
    return original.clone(name)


def eventually(app: Page, read: Callable[[], T], holds: Callable[[T], bool]) -> T:
    """Look until something holds of what is read, which an assertion would look at only once."""
    found = read()
    for _ in range(PATIENCE // GLANCE):
        if holds(found):
            return found
        app.wait_for_timeout(GLANCE)
        found = read()
    raise AssertionError(f"after {PATIENCE / 1000:.0f} seconds it still is {found!r}")


def ledger_has(app: Page, dataset: fo.Dataset, actions: int) -> None:
    """Wait until the ledger holds so many actions that were not taken back."""
    eventually(app, lambda: len(Ledger(dataset).actions()), lambda found: found == actions)


def says_what_was_done(request: Request) -> bool:
    """Whether the App tells the server of a click; not that the view has changed, or that an input was drawn."""
    if not request.url.endswith(("/operators/execute", "/operators/execute/generator")):
        return False
    params: dict[str, Any] = (request.post_data_json or {}).get("params") or {}
    method = params.get("__method__", "")
    return "value" not in params and method != "refresh" and not method.startswith("on_")


def heard(app: Page, act: Callable[[], None]) -> None:
    """Click until the App tells the server of it.

    What it is drawing anew takes no click. Where it told the server something, nothing is done twice.
    """
    told = []

    def listen(request: Request) -> None:
        if says_what_was_done(request):
            told.append(request)

    app.on("request", listen)
    try:
        for _ in range(CLICKS):
            act()
            for _ in range(SWALLOWED // GLANCE):
                if told:
                    return
                app.wait_for_timeout(GLANCE)
    finally:
        app.remove_listener("request", listen)
    raise AssertionError(f"the App took none of {CLICKS} clicks")


def press(button: Locator) -> None:
    """Click a button of a panel or a form."""
    heard(button.page, button.click)


def press_by_name(panel: Locator, name: str) -> None:
    """Click the button of this name."""
    press(panel.get_by_role("button", name=name, exact=True))


def repeated(act: Callable[[], None], seen: Callable[[int], None]) -> None:
    """Do what may be done twice until its effect is seen; ``seen`` takes the milliseconds to wait."""
    for left in range(CLICKS - 1, -1, -1):
        try:
            act()
            seen(PATIENCE // CLICKS)
        except Exception:  # Playwright's expectations and waits raise different ones
            if not left:
                raise
        else:
            return


_asked: dict[Page, set[Request]] = {}
"""The questions of forms that the server has not answered yet."""


@contextmanager
def overhear(app: Page) -> Iterator[None]:
    """Keep account of what the forms of a page ask."""
    asked = _asked[app] = set()
    app.on("request", lambda request: asked.add(request) if "/operators/resolve" in request.url else None)
    for end in ("requestfinished", "requestfailed"):
        app.on(end, lambda request: asked.discard(request))  # Playwright marks what it calls: no method of a set
    yield
    del _asked[app]


def settled(app: Page) -> None:
    """Wait until a form has asked all that it asks and has its answers, as somebody who reads it does."""
    quiet = 0
    for _ in range(PATIENCE // GLANCE):
        quiet = 0 if _asked[app] else quiet + 1
        if quiet == 5:
            return
        app.wait_for_timeout(GLANCE)
    raise AssertionError(f"the form still asks: {[request.post_data for request in _asked[app]]}")


def open_panel(app: Page, name: str = "hard_negatives_panel") -> Locator:
    """Open a panel by hand."""
    choice = app.locator(f'[data-cy="new-panel-option-{name}"]')
    panel = app.locator(f'[data-cy="panel-content-{name}"]')

    def choose() -> None:
        if not panel.is_visible():  # the App remembers it where a test is run again
            if not choice.is_visible():
                app.locator('[data-cy="new-panel-btn"]').first.click()
            choice.click(timeout=PATIENCE // CLICKS)

    repeated(choose, lambda patience: panel.wait_for(timeout=patience))
    return panel


def plot(app: Page, title: str) -> Locator:
    """A chart of the panel, by the beginning of its title."""
    return app.locator(f"{PANEL} .js-plotly-plot").filter(has=app.locator(".gtitle", has_text=title))


def operator(app: Page, label: str) -> Locator:
    """Open an operator's form from the operator browser."""
    browser = app.locator('[data-cy="operators-browser"]')
    repeated(
        lambda: None if browser.is_visible() else app.keyboard.press("Backquote"),
        lambda patience: browser.wait_for(timeout=patience),
    )
    browser.locator("input").fill(label)
    browser.get_by_text(label, exact=True).click()
    form = app.locator(FORM)
    form.get_by_text(label, exact=True).wait_for()
    settled(app)
    return form


def field(form: Locator, label: str) -> Locator:
    """The input below a label: FiftyOne ties the two together in no other way."""
    return form.locator(f'xpath=.//*[normalize-space(text())="{label}"]/following::input[1]')


def fill(form: Locator, label: str, value: object) -> None:
    """Type into the input below a label, and wait for what the form makes of it."""

    def asks(request: Request) -> bool:
        return request.url.endswith("/operators/resolve-type") and json.dumps(str(value))[1:-1] in (
            request.post_data or ""
        )

    with form.page.expect_request(asks):
        field(form, label).first.fill(str(value))
    settled(form.page)


def execute(form: Locator) -> Locator:
    """The button that sends a form."""
    return form.get_by_role("button", name="Execute").first


def away(app: Page, what: Locator) -> None:
    """Press Escape until something has gone."""
    repeated(
        lambda: app.keyboard.press("Escape") if what.is_visible() else None,
        lambda patience: what.wait_for(state="hidden", timeout=patience),
    )


def select_tiles(app: Page, number: int) -> None:
    """Select the first tiles of the grid; their upper part selects."""
    from playwright.sync_api import expect

    drawn(app)
    for place in range(number):
        wanted = str(place + 1)
        repeated(
            lambda tile=place: app.locator(GRID).nth(tile).click(position={"x": 12, "y": 12}),
            lambda patience, text=wanted: expect(app.locator(SELECTED)).to_have_text(text, timeout=patience),
        )


def count(app: Page, expected: int) -> None:
    """Wait until the grid says that it shows so many samples."""
    from playwright.sync_api import expect

    expect(app.locator('[data-cy="entry-counts"]')).to_have_text(re.compile(rf"^{expected} sample"))


def click(app: Page, mark: Locator) -> None:
    """Click the middle of a bar or point: Plotly wants to see the mouse come."""
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def point_and_click() -> None:
        app.mouse.move(x - 1, y)
        app.mouse.move(x, y)
        app.locator(f"{PANEL} .hoverlayer .hovertext").first.wait_for()
        app.mouse.click(x, y)

    heard(app, point_and_click)


def drawn(app: Page) -> None:
    """Wait until the grid has tiles, each shows its image, and it stays so for a second."""
    ready = f"""() => {{
        const tiles = [...document.querySelectorAll('{GRID}')]
        const waiting = [...document.querySelectorAll('[data-cy="fo-grid"] [class*="fallingPixels"]')]
        return tiles.length > 0 && !waiting.some(each => each.checkVisibility({{ checkVisibilityCSS: true }}))
            && tiles.every(tile => tile.querySelector('[canvas-loaded="true"]'))
    }}"""
    quiet = 0
    for _ in range(PATIENCE // GLANCE):
        quiet = quiet + 1 if app.evaluate(ready) else 0
        if quiet == 5:
            return
        app.wait_for_timeout(GLANCE)
    raise AssertionError(f"the grid is not drawn: {app.locator(GRID).count()} tiles")


def larger_tiles(app: Page) -> None:
    """Move the zoom slider of the grid, for people to see something in the picture."""
    box = app.locator('[data-cy="slider"]').nth(1).bounding_box()
    assert box
    app.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)


def cut(panel: Locator) -> list[str]:
    """What of the panel does not fit into it from left to right."""
    return panel.evaluate(
        """panel => {
            const room = panel.getBoundingClientRect(), tags = 'button, label, p, li, td, img, .js-plotly-plot'
            const out = box => box.width > 0 && (box.right > room.right + 1 || box.left < room.left - 1)
            return [...panel.querySelectorAll(tags)].filter(each => out(each.getBoundingClientRect()))
                .map(each => `${each.tagName} ${each.innerText}`)
        }"""
    )
