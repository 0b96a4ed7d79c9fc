"""How a user's hand and eye find their way in the App: what the tests that drive it share."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PICTURES = os.environ.get("HNM_PICTURES")
IMAGES = 400 if PICTURES else 80
PATIENCE = 60_000
"""Milliseconds to wait for what must come: a busy machine without a graphics card draws slowly."""

THOUGHT = 2500
"""Milliseconds in which a form has asked the server about what was typed."""

GRID, FORM = '[data-cy="looker"]', '[data-cy="operators-prompt-modal"]'
OUTPUT = '[data-cy="operators-prompt-view-modal"]'
PANEL = '[data-cy="panel-content-hard_negatives_panel"]'

Shoot = Callable[[str], None]


def visit(app: Page, address: str) -> None:
    """Open the App on a dataset and wait for its grid."""
    app.set_default_timeout(PATIENCE)
    app.goto(address, wait_until="domcontentloaded")
    app.locator(GRID).first.wait_for()


def open_panel(app: Page) -> Locator:
    """Open the panel by hand."""
    app.locator('[data-cy="new-panel-btn"]').first.click()
    app.locator('[data-cy="new-panel-option-hard_negatives_panel"]').click()
    return app.locator(PANEL)


def plot(app: Page, title: str) -> Locator:
    """A chart of the panel, by the beginning of its title."""
    return app.locator(f"{PANEL} .js-plotly-plot").filter(has=app.locator(".gtitle", has_text=title))


def operator(app: Page, label: str) -> Locator:
    """Open an operator's form from the operator browser."""
    app.keyboard.press("Backquote")
    browser = app.locator('[data-cy="operators-browser"]')
    browser.locator("input").fill(label)
    browser.get_by_text(label, exact=True).click()
    form = app.locator(FORM)
    form.get_by_text(label, exact=True).wait_for()
    return form


def field(form: Locator, label: str) -> Locator:
    """The input below a label: FiftyOne ties the two together in no other way."""
    return form.locator(f'xpath=.//*[normalize-space(text())="{label}"]/following::input[1]')


def execute(form: Locator) -> Locator:
    """The button that sends a form."""
    return form.get_by_role("button", name="Execute").first


def count(app: Page, expected: int) -> None:
    """Wait until the grid says that it shows so many samples."""
    from playwright.sync_api import expect

    expect(app.locator('[data-cy="entry-counts"]')).to_have_text(re.compile(rf"^{expected} sample"), timeout=PATIENCE)


def click(app: Page, mark: Locator) -> None:
    """Click the middle of a bar or point: Plotly wants to see the mouse come."""
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    app.mouse.move(x - 1, y)
    app.mouse.move(x, y)
    app.wait_for_timeout(300)
    app.mouse.click(x, y)


def drawn(app: Page) -> None:
    """Wait until every tile of the grid shows its image."""
    app.locator('[data-cy="fo-grid"] [class*="fallingPixels"]').wait_for(state="hidden")
    loaded = """tile => tile.querySelector('[canvas-loaded="true"]')"""
    app.wait_for_function(f"() => [...document.querySelectorAll('{GRID}')].every({loaded})")


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
