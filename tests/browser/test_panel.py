"""The panel in the App: both themes, bars that lead to what they count, work in the background up to a next round."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.demo.dataset import WEIGHTS
from fiftyone_plugin.runs import history, records
from fiftyone_plugin.store.lock import lease
from hnm_core.reporting.threshold_table import ThresholdTable
from hnm_core.taxonomy import ERROR_TYPES
from tests.browser.app import (
    FORM,
    PATIENCE,
    Shoot,
    at_work,
    click,
    copy_of,
    cut,
    eventually,
    field,
    fill,
    open_panel,
    operator,
    plot,
    press,
    press_by_name,
    repeated,
    visit,
)
from tests.core.reporting.test_chart_data import contrast
from tests.datasets import FIELDS, MINE

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytest.importorskip("ultralytics", reason="a real detector makes the predictions")
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def mined(original: fo.Dataset, name: str, *keys: str) -> fo.Dataset:
    dataset = copy_of(original, name)
    with ThreadPoolExecutor(1) as elsewhere:  # the browser's event loop runs in this thread
        for key in keys:
            elsewhere.submit(foo.get_operator(MINE), dataset, **FIELDS, run_key=key).result()
    return dataset


def color(element: Locator, name: str) -> str:
    """A colour on the page, as ``#rrggbb``; what is being drawn anew has none for a moment."""
    shown = eventually(
        element.page,
        lambda: str(element.evaluate(f"element => getComputedStyle(element).{name}")),
        lambda found: "(" in found,
    )
    return "#" + "".join(f"{int(float(part)):02x}" for part in shown[shown.index("(") + 1 : -1].split(",")[:3])


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_panel_is_read_in_both_themes(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset, theme: str
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, mined(digits, f"in_{theme}", "first", "second")
    app.add_init_script(f"localStorage.setItem('mui-mode', '{theme}')")
    with lease(dataset, "run:second", operator="mine_hard_negatives") as held:
        held.begin("run:second", "writing", {})
        visit(app, f"{address}/{dataset.name}")
        panel = open_panel(app)
        expect(panel).to_contain_text("Run second is being written")
        expect(panel.get_by_role("button", name="3 Review")).to_be_disabled()
        shoot(f"being_written_{theme}")
        held.finish("run:second", {})
    expect(panel).to_contain_text("as before")
    expect(panel).not_to_contain_text("is being written")
    errors = plot(app, "Errors by type")
    errors.locator(".barlayer .point path").first.wait_for(state="attached")
    body, ground = app.locator("body"), errors.locator(".main-svg").first
    tick, number = errors.locator(".ytick text").first, panel.get_by_text("False positives").first
    eventually(app, lambda: color(body, "backgroundColor"), lambda c: (int(c[1:3], 16) < 128) == (theme == "dark"))
    for text, of_text, behind in ((tick, "fill", ground), (number, "color", body)):
        eventually(
            app,
            lambda on=text, name=of_text, at=behind: (color(on, name), color(at, "backgroundColor")),
            lambda colors: contrast(*colors) > 4.5,
        )
    shoot(f"panel_{theme}")
    app.set_viewport_size({"width": 1000, "height": 1000})  # which leaves the panel 350 pixels
    for section, last in (("Charts", "Sample weights"), ("Review", "share now"), ("Rounds", "Delete this run")):
        press_by_name(panel, section)
        panel.get_by_text(last).first.wait_for()
        eventually(app, lambda: cut(panel), lambda found: found == [])
        shoot(f"narrow_{section.lower()}_{theme}")


def test_a_bar_leads_to_its_patches_and_a_deleted_run_goes_by_itself(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, mined(digits, "clicked", "first", "second")
    visit(app, f"{address}/{dataset.name}")
    panel = open_panel(app)
    bars = plot(app, "Errors by type").locator(".barlayer .trace").first.locator(".point path")
    bars.nth(ERROR_TYPES.index("background")).wait_for()
    panel.get_by_label("Patches").check()
    expect(app.locator('[data-cy="entry-counts"]')).to_contain_text("patch")
    click(app, bars.nth(ERROR_TYPES.index("background")))
    report = records.load(dataset, "second")[1].report
    expect(app.locator('[data-cy="entry-counts"]')).to_contain_text(
        f"{report['errors']['background']['false_positives']} patch"
    )
    shoot("patches")
    press_by_name(panel, "Rounds")
    expect(panel.locator(".js-plotly-plot")).to_have_count(2)
    shoot("rounds")
    form = operator(app, "Delete mining run")
    expect(form).to_contain_text("run 'second'")
    press(form.get_by_role("button", name="Delete"))
    expect(panel.get_by_role("combobox")).to_have_text("first")
    expect(panel).not_to_contain_text("second")


def test_the_slider_of_thresholds_is_moved_by_keyboard(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, mined(digits, "slid", "first")
    tallies = ThresholdTable.from_dict(history.overview(dataset, "first")["thresholds"])
    visit(app, f"{address}/{dataset.name}")
    panel = open_panel(app)
    slider = panel.get_by_role("slider")
    slider.focus()
    for key, threshold in (("Home", 0.01), ("End", 1.0)):
        (row,) = tallies.rows([threshold])
        said = f"At {threshold:.2f}: {row['false_positives']:,} false positives, {row['false_negatives']:,} missed"
        repeated(
            lambda pressed=key: slider.press(pressed),
            lambda patience, text=said: expect(panel).to_contain_text(text, timeout=patience),
        )
    shoot("slider_at_its_end")


def test_work_in_the_background_is_seen_from_the_queue_to_its_end(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, mined(digits, "scheduled")
    with ThreadPoolExecutor(1) as elsewhere:
        for key in ("taken", "night"):
            asked = {"dataset": dataset, "params": {**FIELDS, "run_key": key}, "request_delegation": True}
            elsewhere.submit(foo.execute_operator, MINE, asked).result()
        elsewhere.submit(foo.get_operator(MINE), dataset, **FIELDS, run_key="taken").result()
    visit(app, f"{address}/{dataset.name}")
    panel = open_panel(app)
    expect(panel).to_contain_text("Mine hard negatives (night) is queued")
    expect(panel).to_contain_text("It starts when fiftyone delegated launch runs in a terminal")
    shoot("queued")
    fiftyone = Path(sys.executable).with_name("fiftyone")
    with at_work([fiftyone, "delegated", "launch"], tmp_path / "executor.log"):
        expect(panel).to_contain_text("Mine hard negatives (taken) failed", timeout=2 * PATIENCE)
        expect(panel).to_contain_text("run 'taken' exists: choose another run_key")
        expect(panel.get_by_role("combobox")).to_contain_text("night", timeout=2 * PATIENCE)
        shoot("failed")
        press_by_name(panel, "Dismiss")
        expect(panel).not_to_contain_text("failed")

        press_by_name(panel, "5 Retrain")
        form = app.locator(FORM)
        expect(field(form, "Model")).to_have_value(str(WEIGHTS))  # what made these predictions
        for label, value in {"Epochs": 1, "Mine every": 0, "Warm-up": 0, "Image size": 64, "Device": "cpu"}.items():
            fill(form, label, value)
        shoot("retrain_form")
        press(form.get_by_role("button", name="Schedule").first)
        expect(panel).to_contain_text("Train on hard negatives (night) is running. ", timeout=2 * PATIENCE)
        expect(panel).to_contain_text("%")
        shoot("running")
        expect(panel.get_by_role("combobox")).to_have_text("night_2", timeout=4 * PATIENCE)
    expect(panel).to_contain_text("show the change since night")
    press_by_name(panel, "Rounds")
    expect(panel.locator(".xtick", has_text="night_2")).to_have_count(2)
    shoot("next_round")
