"""The operators as a user meets them: classes in rows, a comparison, an error that says why, on either theme.

The README's picture is taken anew on the way by
``HNM_PICTURES=docs/pictures make test ARGS=tests/browser/test_operators.py``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin import comparing, predicting, runs, views
from fiftyone_plugin.demo.dataset import WEIGHTS
from tests.browser.app import FORM, OUTPUT, PATIENCE, THOUGHT, Shoot, count, execute, field, operator, visit
from tests.datasets import MINE

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("ultralytics", reason="a real detector makes the predictions")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

CLASS = "no. 7"
"""A class whose name no input could have: with a dot and a space."""


@pytest.fixture(scope="module")
def mined(digits: fo.Dataset) -> fo.Dataset:
    """One class has a difficult name; predicted twice, mined twice."""
    found = digits.clone("operated")
    predicting.predict(found, WEIGHTS, "round_2", imgsz=224)
    for name in ("predictions", "round_2", "ground_truth"):
        found.map_labels(name, {"seven": CLASS}).save(name)
    found.default_classes = ["three", CLASS]
    mine = foo.get_operator(MINE)
    mine(found, "predictions", "ground_truth", "first")
    mine(found, "round_2", "ground_truth", "second")
    return found


@pytest.fixture
def dataset(mined: fo.Dataset, request: pytest.FixtureRequest) -> fo.Dataset:
    """A copy for each test: the App remembers the view of a dataset."""
    return mined.clone(f"digits_{request.node.name.split('_')[1]}")


def test_thresholds_of_single_classes_are_rows(page: Page, address: str, shoot: Shoot, dataset: fo.Dataset) -> None:
    from playwright.sync_api import expect

    visit(page, f"{address}/{dataset.name}")
    page.get_by_text("filter_center_focus", exact=True).click()  # the button in the toolbar, by its icon's name
    form = page.locator(FORM)
    expect(form).to_contain_text(f"of the dataset's {len(dataset)} samples", timeout=PATIENCE)
    form.get_by_label("More settings").click()
    rows = form.get_by_text("Class", exact=True)
    expect(rows).to_have_count(1, timeout=PATIENCE)
    field(form, "Class").fill(CLASS)
    page.keyboard.press("Enter")
    expect(rows).to_have_count(2, timeout=PATIENCE)
    field(form, "Confidence from").first.fill("0.8")
    page.wait_for_timeout(THOUGHT)
    shoot("rows")
    field(form, "Run key").fill("by_class")
    page.wait_for_timeout(THOUGHT)
    execute(form).click()
    page.get_by_text("Mining finished").wait_for()
    dataset.reload()  # written by the server, a process of its own
    assert runs.settings_of(dataset, "by_class").engine.class_confidence == {CLASS: 0.8}


def test_comparing_shows_what_is_new(page: Page, address: str, shoot: Shoot, dataset: fo.Dataset) -> None:
    from playwright.sync_api import expect

    visit(page, f"{address}/{dataset.name}")
    form = operator(page, "Compare mining runs")
    expect(form).to_contain_text("The earlier run", timeout=PATIENCE)
    page.wait_for_timeout(THOUGHT)
    execute(form).click()
    page.get_by_text("Comparison finished").wait_for()
    new = views.changed(dataset, *runs.both(dataset, "second", "first"), "new")
    changes = comparing.comparison_of(dataset, "second")
    assert changes is not None
    assert changes["changes"]["false_positives"]["new"] == new.count("round_2.detections") > 0
    expect(page.locator(OUTPUT)).to_contain_text("Since the round before", timeout=PATIENCE)
    count(page, len(new))
    shoot("compare")


def test_our_rates_stand_in_the_panel_of_evaluations(
    page: Page, address: str, shoot: Shoot, dataset: fo.Dataset
) -> None:
    from playwright.sync_api import expect

    ours = [f"@hnm/hard-negative-mining/{name}" for name in ("false_alarm_rate", "fppi")]
    with ThreadPoolExecutor(1) as elsewhere:  # the browser's event loop runs in this thread
        evaluate = elsewhere.submit(
            dataset.evaluate_detections, "predictions", eval_key="eval", custom_metrics=ours, progress=False
        )
    visit(page, f"{address}/{dataset.name}")
    page.locator('[data-cy="new-panel-btn"]').first.click()
    page.locator('[data-cy="new-panel-option-model_evaluation_panel_builtin"]').click()
    panel = page.locator('[data-cy="panel-content-model_evaluation_panel_builtin"]')
    panel.get_by_text("eval", exact=True).click()
    for metric in evaluate.result().custom_metrics.values():
        row = panel.get_by_role("row").filter(has_text=metric["label"])
        expect(row).to_contain_text(f"{metric['value']:.3g}", timeout=PATIENCE)
    shoot("evaluation")


def test_an_error_says_why_and_progress_how_far_it_has_come(
    page: Page, address: str, shoot: Shoot, dataset: fo.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "best.pt").write_text("no checkpoint")
    visit(page, f"{address}/{dataset.name}")
    shown = page.locator(OUTPUT)
    for checkpoint in (tmp_path / "best.pt", WEIGHTS):
        form = operator(page, "Predict with YOLO")
        field(form, "Checkpoint").fill(str(checkpoint))
        field(form, "Predictions").fill("round_3")
        page.wait_for_timeout(THOUGHT)
        execute(form).click()
        if checkpoint != WEIGHTS:
            shown.get_by_text("Predict with YOLO failed").wait_for()
            assert "is no checkpoint that Ultralytics can load" in shown.inner_text()
            shoot("error")
            shown.get_by_role("button", name="Done").click()
    shown.get_by_text(f"of {len(dataset)} images").wait_for()
    assert shown.get_by_role("progressbar").count() == 1
    shown.get_by_text("Prediction finished").wait_for()
    assert shown.get_by_role("progressbar").count() == 0
    dataset.reload()  # written by the server, a process of its own
    assert dataset.count("round_3.detections") > 0
