"""As a user would: open the App, mine through the form, look at the grid, click in the panel, export.

The README's pictures are taken anew on the way by
``HNM_PICTURES=docs/pictures make test ARGS=tests/browser/test_app.py``.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import fiftyone as fo
import pytest
from PIL import Image

from fiftyone_plugin import runs, views
from fiftyone_plugin.demo.command import answers, free_port
from fiftyone_plugin.demo.dataset import load_digits, prepare_digits
from hnm_core.taxonomy import ERROR_TYPES

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytest.importorskip("ultralytics", reason="a real detector makes the predictions")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

PICTURES = os.environ.get("HNM_PICTURES")
IMAGES = 400 if PICTURES else 80
KEY = "round_1"
PATIENCE = 60_000
"""Milliseconds to wait for what must come: a busy machine without a graphics card draws slowly."""

THOUGHT = 2500
"""Milliseconds in which a form has asked the server about what was typed."""

GRID, FORM = '[data-cy="looker"]', '[data-cy="operators-prompt-modal"]'
PANEL = '[data-cy="panel-content-hard_negatives_panel"]'

Shoot = Callable[[str], None]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> fo.Dataset:
    """Digits on photographs, with the bundled detector's predictions; each test takes a copy."""
    folder = tmp_path_factory.mktemp("digits")
    data = prepare_digits(folder, IMAGES, seed=0)
    return load_digits(data, folder / "predictions", "original")


@pytest.fixture(scope="module")
def address(digits: fo.Dataset) -> Iterator[str]:
    """Where the App shows datasets."""
    port = free_port(5300)
    session = fo.launch_app(digits, remote=True, address="127.0.0.1", port=port)
    at = f"http://127.0.0.1:{port}/datasets"
    assert answers(f"{at}/{digits.name}"), f"the App did not answer at {at}"
    yield at
    session.close()


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Shoot:
    """Keeps what the user sees, and as a picture of the README if asked."""

    def shoot(name: str) -> None:
        drawn(page)
        page.wait_for_timeout(1000)  # transitions
        page.screenshot(path=tmp_path / f"{name}.png")
        if PICTURES and name in ("grid", "form", "panel"):
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            with Image.open(tmp_path / f"{name}.png") as screenshot:  # in 256 colours it takes a third of the space
                small = screenshot.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            small.save(Path(PICTURES) / f"{name}.png", optimize=True)

    return shoot


def visit(app: Page, address: str) -> None:
    """Open the App on a dataset and wait for its grid."""
    app.set_default_timeout(PATIENCE)
    app.goto(address, wait_until="domcontentloaded")
    app.locator(GRID).first.wait_for()


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


def samples_with(dataset: fo.Dataset, error: str, side: str) -> set[str]:
    """Ids of the samples that hold such an error, by the stored run."""
    objects = runs.load(dataset, KEY)[1].objects
    columns = zip(objects["sample_id"], objects["error"], objects["side"], strict=True)
    return {sample for sample, *what in columns if what == [error, side]}


def test_the_panel_of_an_unmined_dataset_leads_to_the_form(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, digits.clone("unmined")
    visit(app, f"{address}/{dataset.name}")
    app.locator('[data-cy="new-panel-btn"]').first.click()
    app.locator('[data-cy="new-panel-option-hard_negatives_panel"]').click()
    expect(app.locator(PANEL)).to_contain_text("This dataset has no mining run yet", timeout=PATIENCE)
    shoot("empty")
    app.locator(PANEL).get_by_role("button", name="1 Mine").click()
    form = app.locator(FORM)
    expect(field(form, "Run key")).to_have_value("hard_negatives", timeout=PATIENCE)
    app.wait_for_timeout(THOUGHT)
    shoot("prompted")
    expect(execute(form)).to_be_enabled(timeout=10_000)


def test_from_the_form_to_the_export(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, digits.clone("digits")
    visit(app, f"{address}/{dataset.name}")
    form = operator(app, "Mine hard negatives")
    field(form, "Run key").fill("not a key")
    expect(form).to_contain_text("run_key 'not a key' can't begin a field name", timeout=PATIENCE)
    expect(execute(form)).to_be_disabled()
    shoot("wrong_key")
    field(form, "Run key").fill(KEY)
    expect(execute(form)).to_be_enabled(timeout=PATIENCE)
    app.wait_for_timeout(THOUGHT)
    shoot("form")
    execute(form).click()
    app.get_by_text("Mining finished").wait_for()
    shoot("mined")
    app.keyboard.press("Escape")

    hardest = views.hardest(dataset, runs.settings_of(dataset, KEY))
    count(app, len(hardest))
    plots = app.locator(f"{PANEL} .js-plotly-plot")
    expect(plots).to_have_count(4, timeout=PATIENCE)
    expect(app.locator(PANEL)).to_contain_text("nobody has looked yet")
    larger_tiles(app)
    shoot("grid")

    by_score = sorted(hardest, key=lambda sample: sample[f"{KEY}_score"], reverse=True)
    app.locator(GRID).first.click(position={"x": 40, "y": 70})  # its upper part selects
    opened = app.locator('[data-cy="modal"]')
    for rank, sample in enumerate(by_score[:3]):
        if rank:
            app.keyboard.press("ArrowRight")
        expect(opened).to_contain_text(sample.id, timeout=PATIENCE)
    opened.locator('[canvas-loaded="true"]').wait_for()  # until then Escape is not heard
    app.keyboard.press("Escape")
    opened.wait_for(state="hidden")

    background = samples_with(dataset, "background", "prediction")
    click(
        app, plots.nth(1).locator(".barlayer .trace").first.locator(".point path").nth(ERROR_TYPES.index("background"))
    )
    count(app, len(background))
    shoot("panel")

    app.locator(PANEL).get_by_role("button", name="Show all").click()
    count(app, len(dataset))
    click(app, plots.nth(0).locator(".scatterlayer .trace").last.locator(".point").first)
    count(app, 1)
    shoot("point")
    app.locator(PANEL).get_by_role("button", name="Hardest first").click()
    count(app, len(hardest))

    form = operator(app, "Export weighted subset")
    field(form, "Output folder").fill(str(tmp_path / "export"))
    app.wait_for_timeout(THOUGHT)
    shoot("export_form")
    execute(form).click()
    app.get_by_text("Export finished").wait_for()
    shoot("exported")
    rows = list(csv.DictReader((tmp_path / "export" / "weights.csv").read_text().splitlines()))
    listed = (tmp_path / "export" / "train.txt").read_text().split()
    assert len(listed) == sum(int(row["repeats"]) for row in rows if row["split"] == "train") > len(set(listed))
