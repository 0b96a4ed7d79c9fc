"""The panel in the App: both themes, bars that lead to what they count, work in the background up to a next round."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin import runs
from fiftyone_plugin.demo.dataset import WEIGHTS
from hnm_core.taxonomy import ERROR_TYPES
from tests.browser.app import FORM, PATIENCE, THOUGHT, Shoot, click, cut, field, open_panel, operator, plot, visit
from tests.core.test_charts import contrast
from tests.datasets import FIELDS, MINE
from tests.plugin.test_panel import set_finished

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytest.importorskip("ultralytics", reason="a real detector makes the predictions")
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def mined(original: fo.Dataset, name: str, *keys: str) -> fo.Dataset:
    dataset = original.clone(name)
    with ThreadPoolExecutor(1) as elsewhere:  # the browser's event loop runs in this thread
        for key in keys:
            elsewhere.submit(foo.get_operator(MINE), dataset, **FIELDS, run_key=key).result()
    return dataset


def color(element: Locator, name: str) -> str:
    """A colour on the page, as ``#rrggbb``; what is being drawn anew has none for a moment."""
    for _ in range(50):
        shown = str(element.evaluate(f"element => getComputedStyle(element).{name}"))
        if "(" in shown:
            break
        element.page.wait_for_timeout(100)
    return "#" + "".join(f"{int(float(part)):02x}" for part in shown[shown.index("(") + 1 : -1].split(",")[:3])


@contextmanager
def executor(log: Path) -> Iterator[None]:
    """``fiftyone delegated launch`` at work, as in a terminal beside the App."""
    command = [str(Path(sys.executable).with_name("fiftyone")), "delegated", "launch"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_panel_is_read_in_both_themes(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset, theme: str
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, mined(digits, f"in_{theme}", "first", "second")
    set_finished(dataset, "second", False)
    app.add_init_script(f"localStorage.setItem('mui-mode', '{theme}')")
    visit(app, f"{address}/{dataset.name}")
    panel = open_panel(app)
    expect(panel).to_contain_text("Run second is being written", timeout=PATIENCE)
    expect(panel.get_by_role("button", name="3 Review")).to_be_disabled()
    shoot(f"being_written_{theme}")
    set_finished(dataset, "second", True)
    expect(panel).to_contain_text("as before", timeout=PATIENCE)
    expect(panel).not_to_contain_text("is being written")
    errors = plot(app, "Errors by type")
    errors.locator(".barlayer .point path").first.wait_for(state="attached")
    page_color = color(app.locator("body"), "backgroundColor")
    assert (int(page_color[1:3], 16) < 128) == (theme == "dark")
    ground = color(errors.locator(".main-svg").first, "backgroundColor")
    assert contrast(color(errors.locator(".ytick text").first, "fill"), ground) > 4.5
    assert contrast(color(panel.get_by_text("False positives").first, "color"), page_color) > 4.5
    shoot(f"panel_{theme}")
    app.set_viewport_size({"width": 1000, "height": 1000})  # which leaves the panel 350 pixels
    for section, last in (("Charts", "Sample weights"), ("Review", "share now"), ("Rounds", "Delete this run")):
        panel.get_by_role("button", name=section, exact=True).click()
        panel.get_by_text(last).first.wait_for()
        app.wait_for_timeout(500)
        assert cut(panel) == []
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
    panel.get_by_text("Patches").click()
    app.wait_for_timeout(THOUGHT)
    click(app, bars.nth(ERROR_TYPES.index("background")))
    report = runs.load(dataset, "second")[1].report
    expect(app.locator('[data-cy="entry-counts"]')).to_contain_text(
        f"{report['errors']['background']['false_positives']} patch", timeout=PATIENCE
    )
    shoot("patches")
    panel.get_by_role("button", name="Rounds").click()
    expect(panel.locator(".js-plotly-plot")).to_have_count(2, timeout=PATIENCE)
    shoot("rounds")
    form = operator(app, "Delete mining run")
    expect(form).to_contain_text("run 'second'", timeout=PATIENCE)
    form.get_by_role("button", name="Delete").click()
    expect(panel.get_by_role("combobox")).to_have_text("first", timeout=PATIENCE)
    expect(panel).not_to_contain_text("second", timeout=PATIENCE)


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
    expect(panel).to_contain_text("Mine hard negatives (night) is queued", timeout=PATIENCE)
    expect(panel).to_contain_text("as soon as fiftyone delegated launch runs in a terminal")
    shoot("queued")
    with executor(tmp_path / "executor.log"):
        expect(panel).to_contain_text("Mine hard negatives (taken) failed", timeout=2 * PATIENCE)
        expect(panel).to_contain_text("run 'taken' exists: choose another run_key")
        expect(panel.get_by_role("combobox")).to_contain_text("night", timeout=2 * PATIENCE)
        shoot("failed")
        panel.get_by_role("button", name="Dismiss").click()
        expect(panel).not_to_contain_text("failed", timeout=PATIENCE)

        panel.get_by_role("button", name="5 Retrain").click()
        form = app.locator(FORM)
        expect(field(form, "Model")).to_have_value(str(WEIGHTS), timeout=PATIENCE)  # what made these predictions
        for label, value in {"Epochs": 1, "Mine every": 0, "Warm-up": 0, "Image size": 64, "Device": "cpu"}.items():
            field(form, label).fill(str(value))
        app.wait_for_timeout(THOUGHT)
        shoot("retrain_form")
        form.get_by_role("button", name="Schedule").first.click()
        expect(panel).to_contain_text("Train on hard negatives (night) is running. ", timeout=2 * PATIENCE)
        expect(panel).to_contain_text("%")
        shoot("running")
        expect(panel.get_by_role("combobox")).to_have_text("night_2", timeout=4 * PATIENCE)
    expect(panel).to_contain_text("what changed since night", timeout=PATIENCE)
    panel.get_by_role("button", name="Rounds").click()
    expect(panel.locator(".xtick", has_text="night_2")).to_have_count(2, timeout=PATIENCE)
    shoot("next_round")
