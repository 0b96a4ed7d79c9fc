"""As a user would: open the App, mine through the form, look at the grid, click in the panel, export.

The documents' pictures are taken anew on the way by
``HNM_PICTURES=docs/pictures make test-slow ARGS=tests/browser/test_app.py``.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import fiftyone as fo
import pytest

from fiftyone_plugin.demo.command import side_by_side
from fiftyone_plugin.runs import records
from fiftyone_plugin.store import views
from hnm_core.taxonomy import ERROR_TYPES
from tests.browser.app import (
    FORM,
    GRID,
    OUTPUT,
    PANEL,
    Shoot,
    away,
    click,
    copy_of,
    count,
    execute,
    field,
    fill,
    larger_tiles,
    operator,
    plot,
    press,
    press_by_name,
    repeated,
    settled,
    visit,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("ultralytics", reason="a real detector makes the predictions")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

KEY = "round_1"


def samples_with(dataset: fo.Dataset, error: str, side: str) -> set[str]:
    """Ids of the samples that hold such an error, by the stored run."""
    objects = records.load(dataset, KEY)[1].objects
    columns = zip(objects["sample_id"], objects["error"], objects["side"], strict=True)
    return {sample for sample, *what in columns if what == [error, side]}


def test_the_panel_of_an_unmined_dataset_leads_to_the_form(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, copy_of(digits, "unmined")
    dataset.save_workspace("demo", side_by_side())  # as the demo opens it
    visit(app, f"{address}/{dataset.name}?workspace=demo")
    expect(app.locator(PANEL)).to_contain_text("This dataset has no mining run yet")
    shoot("empty")
    press_by_name(app.locator(PANEL), "1 Mine")
    form = app.locator(FORM)
    expect(field(form, "Run key")).to_have_value("hard_negatives")
    settled(app)
    shoot("prompted")
    expect(execute(form)).to_be_enabled()


def test_from_the_form_to_the_export(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, copy_of(digits, "digits")
    visit(app, f"{address}/{dataset.name}")
    form = operator(app, "Mine hard negatives")
    fill(form, "Run key", "not a key")
    expect(form).to_contain_text("run_key 'not a key' can't begin a field name")
    expect(execute(form)).to_be_disabled()
    shoot("wrong_key")
    fill(form, "Run key", KEY)
    expect(execute(form)).to_be_enabled()
    shoot("form")
    press(execute(form))
    app.get_by_text("Mining finished").wait_for()
    shoot("mined")
    away(app, app.locator(OUTPUT))

    dataset.reload()  # written by the server, a process of its own
    hardest = views.hardest(dataset, records.settings_of(dataset, KEY))
    count(app, len(hardest))
    expect(app.locator(f"{PANEL} .js-plotly-plot")).to_have_count(8)
    expect(app.locator(PANEL)).to_contain_text("not reviewed yet")
    larger_tiles(app)
    shoot("grid")

    by_score = sorted(hardest, key=lambda sample: sample[f"{KEY}_score"], reverse=True)
    opened = app.locator('[data-cy="modal"]')
    repeated(
        lambda: app.locator(GRID).first.click(position={"x": 40, "y": 70}),  # its upper part selects
        lambda patience: opened.wait_for(timeout=patience),
    )
    for rank, sample in enumerate(by_score[:3]):
        if rank:
            opened.locator('[canvas-loaded="true"]').wait_for()  # until then no key is heard
            app.keyboard.press("ArrowRight")
        expect(opened).to_contain_text(sample.id)
    away(app, opened)

    background = samples_with(dataset, "background", "prediction")
    bars = plot(app, "Errors by type").locator(".barlayer .trace").first.locator(".point path")
    click(app, bars.nth(ERROR_TYPES.index("background")))
    count(app, len(background))
    shoot("panel")

    press_by_name(app.locator(PANEL), "Show all")
    count(app, len(dataset))
    click(app, plot(app, "Confident predictions").locator(".scatterlayer .trace").last.locator(".point").first)
    count(app, 1)
    shoot("point")
    press_by_name(app.locator(PANEL), "Back")
    count(app, len(dataset))
    press_by_name(app.locator(PANEL), "Hardest first")
    count(app, len(hardest))

    form = operator(app, "Export weighted subset")
    fill(form, "Output folder", tmp_path / "export")
    shoot("export_form")
    press(execute(form))
    app.get_by_text("Export finished").wait_for()
    shoot("exported")
    rows = list(csv.DictReader((tmp_path / "export" / "weights.csv").read_text().splitlines()))
    listed = (tmp_path / "export" / "train.txt").read_text().split()
    assert len(listed) == sum(int(row["repeats"]) for row in rows if row["split"] == "train") > len(set(listed))
