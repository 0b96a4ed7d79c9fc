"""As a user would: open the App, mine through the form, look at the grid, click in the panel, export.

The README's pictures are taken anew on the way by
``HNM_PICTURES=docs/pictures make test ARGS=tests/browser/test_app.py``.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import fiftyone as fo
import pytest

from fiftyone_plugin import runs, views
from fiftyone_plugin.demo.command import side_by_side
from hnm_core.taxonomy import ERROR_TYPES
from tests.browser.app import (
    FORM,
    GRID,
    PANEL,
    PATIENCE,
    THOUGHT,
    Shoot,
    click,
    count,
    execute,
    field,
    larger_tiles,
    operator,
    plot,
    visit,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("ultralytics", reason="a real detector makes the predictions")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

KEY = "round_1"


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
    dataset.save_workspace("demo", side_by_side())  # as the demo opens it
    visit(app, f"{address}/{dataset.name}?workspace=demo")
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
    expect(app.locator(f"{PANEL} .js-plotly-plot")).to_have_count(7, timeout=PATIENCE)
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
    bars = plot(app, "Errors by type").locator(".barlayer .trace").first.locator(".point path")
    click(app, bars.nth(ERROR_TYPES.index("background")))
    count(app, len(background))
    shoot("panel")

    app.locator(PANEL).get_by_role("button", name="Show all").click()
    count(app, len(dataset))
    click(app, plot(app, "Confident predictions").locator(".scatterlayer .trace").last.locator(".point").first)
    count(app, 1)
    shoot("point")
    app.locator(PANEL).get_by_role("button", name="Back").click()
    count(app, len(dataset))
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
