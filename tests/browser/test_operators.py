"""The operators as a user meets them: classes in rows, a comparison, an error that says why, on either theme.

The README's picture is taken anew on the way by
``HNM_PICTURES=docs/pictures make test-slow ARGS=tests/browser/test_operators.py``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.actions import predict
from fiftyone_plugin.demo.dataset import WEIGHTS
from fiftyone_plugin.runs import compare, records
from fiftyone_plugin.store import views
from tests.browser.app import (
    FORM,
    OUTPUT,
    PANEL,
    Shoot,
    away,
    copy_of,
    count,
    cut,
    execute,
    field,
    fill,
    open_panel,
    operator,
    press,
    repeated,
    settled,
    visit,
)
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
    predict.predict(found, WEIGHTS, "round_2", imgsz=224)
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
    return copy_of(mined, f"digits_{request.node.name.split('_')[1]}")


def test_thresholds_of_single_classes_are_rows(page: Page, address: str, shoot: Shoot, dataset: fo.Dataset) -> None:
    from playwright.sync_api import expect

    visit(page, f"{address}/{dataset.name}")
    form = page.locator(FORM)
    repeated(
        page.get_by_text("filter_center_focus", exact=True).click,  # the button in the toolbar, by its icon's name
        lambda patience: form.wait_for(timeout=patience),
    )
    expect(form).to_contain_text(f"of the dataset's {len(dataset)} samples")
    form.get_by_label("More settings").check()
    rows = form.get_by_text("Class", exact=True)
    expect(rows).to_have_count(1)
    settled(page)
    field(form, "Class").fill(CLASS)
    page.keyboard.press("Enter")
    expect(rows).to_have_count(2)
    fill(form, "Confidence from", "0.8")
    shoot("rows")
    fill(form, "Run key", "by_class")
    press(execute(form))
    page.get_by_text("Mining finished").wait_for()
    dataset.reload()  # written by the server, a process of its own
    assert records.settings_of(dataset, "by_class").engine.class_confidence == {CLASS: 0.8}


def test_proposals_on_unlabelled_images_come_to_the_panel(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset
) -> None:
    from playwright.sync_api import expect

    dataset = copy_of(digits, "digits_unlabelled")
    dataset.delete_sample_field("ground_truth")
    visit(page, f"{address}/{dataset.name}")
    form = operator(page, "Mine without truth")
    expect(field(form, "Run key")).to_have_value("proposals")
    expect(execute(form)).to_be_enabled()
    shoot("proposing")
    fill(form, "Verifier", "nowhere.npz")
    expect(form).to_contain_text("there is no nowhere.npz")
    expect(execute(form)).to_be_disabled()
    fill(form, "Verifier", "")
    fill(form, "Run key", "found")
    press(execute(form))
    page.get_by_text("Mining without truth finished").wait_for()
    shoot("proposed")
    away(page, page.locator(OUTPUT))
    dataset.reload()  # written by the server, a process of its own
    assert records.settings_of(dataset, "found").without_truth
    listed = dataset.count_values("predictions.detections.found_error")
    assert listed["confident"] > 0
    assert listed["uncertain"] > 0
    panel = page.locator(PANEL)  # the operator opens it
    panel.wait_for()
    expect(panel.get_by_role("combobox").first).to_contain_text("found")
    expect(panel).to_contain_text("Ranked by")
    expect(panel).not_to_contain_text("weight")
    assert cut(panel) == []
    count(page, len(views.hardest(dataset, records.settings_of(dataset, "found"))))
    shoot("proposals")


def test_comparing_shows_what_is_new(page: Page, address: str, shoot: Shoot, dataset: fo.Dataset) -> None:
    from playwright.sync_api import expect

    visit(page, f"{address}/{dataset.name}")
    form = operator(page, "Compare mining runs")
    expect(form).to_contain_text("Earlier run")
    settled(page)
    press(execute(form))
    page.get_by_text("Comparison finished").wait_for()
    dataset.reload()  # written by the server, a process of its own
    new = views.changed(dataset, *records.both(dataset, "first", "second"), "new")
    changes = compare.comparison_of(dataset, "second")
    assert changes is not None
    assert changes["changes"]["false_positives"]["new"] == new.count("round_2.detections") > 0
    expect(page.locator(OUTPUT)).to_contain_text("Since the previous round")
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
    panel = open_panel(page, "model_evaluation_panel_builtin")
    rows = panel.get_by_role("row")
    repeated(panel.get_by_text("eval", exact=True).click, lambda patience: rows.first.wait_for(timeout=patience))
    for metric in evaluate.result().custom_metrics.values():
        row = rows.filter(has_text=metric["label"])
        expect(row).to_contain_text(f"{metric['value']:.3g}")
    shoot("evaluation")


def test_an_error_says_why_and_progress_how_far_it_has_come(
    page: Page, address: str, shoot: Shoot, dataset: fo.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "best.pt").write_text("no checkpoint")
    from playwright.sync_api import expect

    visit(page, f"{address}/{dataset.name}")
    shown = page.locator(OUTPUT)
    for checkpoint in (tmp_path / "best.pt", WEIGHTS):
        form = operator(page, "Predict with YOLO")
        fill(form, "Checkpoint", checkpoint)
        fill(form, "Predictions", "round_3")
        press(execute(form))
        if checkpoint != WEIGHTS:
            shown.get_by_text("Predict with YOLO failed").wait_for()
            expect(shown).to_contain_text("Ultralytics cannot load")
            shoot("error")
            away(page, shown)
    shown.get_by_text(f"of {len(dataset)} images").wait_for()
    expect(shown.get_by_role("progressbar")).to_have_count(1)
    shown.get_by_text("Prediction finished").wait_for()
    expect(shown.get_by_role("progressbar")).to_have_count(0)
    dataset.reload()  # written by the server, a process of its own
    assert dataset.count("round_3.detections") > 0
