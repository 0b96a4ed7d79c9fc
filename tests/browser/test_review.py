"""A person reviews: crop by crop in the panel, by selection in the grid; numbers move, a click takes it back.

The documents' picture is taken anew on the way by
``HNM_PICTURES=docs/pictures make test-slow ARGS=tests/browser``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.review.ledger import Ledger
from fiftyone_plugin.review.session import open_review
from fiftyone_plugin.runs import records
from tests.browser.app import (
    PICTURES,
    Shoot,
    copy_of,
    execute,
    ledger_has,
    open_panel,
    operator,
    press,
    press_by_name,
    select_tiles,
    settled,
    visit,
)
from tests.datasets import FIELDS, MINE, VIEW

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytest.importorskip("ultralytics", reason="a real detector makes the predictions")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

KEY = "round_1"
REVIEWS = 20 if PICTURES else 3
STATE_OF = {"Label is missing": "missing_label", "Model is wrong": "hard_negative"}


def mined(digits: fo.Dataset, name: str) -> fo.Dataset:
    dataset = copy_of(digits, name)
    foo.get_operator(MINE)(dataset, **FIELDS, run_key=KEY)
    return dataset


def review_count(panel: Locator) -> Locator:
    """The number of reviews, as the panel shows it."""
    return panel.locator('xpath=.//p[normalize-space(text())="Reviews"]/following-sibling::p[1]')


class Answers:
    """What somebody who knows the demo's truth says: a false positive on a digit whose label was dropped is right."""

    def __init__(self, dataset: fo.Dataset, folder: Path) -> None:
        known = json.loads((folder / "answers.json").read_text())
        field, self.right = f"{FIELDS['pred_field']}.detections", set()
        rows = zip(*dataset.values(["filepath", f"{field}.id", f"{field}.bounding_box"]), strict=True)
        for filepath, ids, boxes in rows:
            digits = known["images"][Path(filepath).relative_to(folder).as_posix()]["digits"]
            dropped = [[edge / known["size"] for edge in digit["xyxy"]] for digit in digits if digit["withheld"]]
            for label_id, (x, y, width, height) in zip(ids or [], boxes or [], strict=True):
                at = x + width / 2, y + height / 2
                if any(x0 < at[0] < x1 and y0 < at[1] < y1 for x0, y0, x1, y1 in dropped):
                    self.right.add(label_id)

    def of(self, label_id: str) -> str:
        """The button to click."""
        return "Label is missing" if label_id in self.right else "Model is wrong"


def test_crop_by_crop_numbers_move_and_weights_follow(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset, scenes: Path
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, mined(digits, "reviewed")
    weights, answers = dataset.values(f"{KEY}_weight"), Answers(dataset, scenes / "digits")
    given = []
    visit(app, f"{address}/{dataset.name}")
    panel = open_panel(app)
    press_by_name(panel, "Review")
    expect(review_count(panel)).to_have_text("0")
    picture = panel.locator("img[src^='data:image/jpeg']")
    picture.wait_for()
    shoot("review_begins")
    for number in range(1, REVIEWS + 1):
        before = picture.get_attribute("src")
        shown = (open_review(dataset, KEY).next() or "").partition(":")[2]
        button = answers.of(shown)
        press_by_name(panel, button)
        ledger_has(app, dataset, number)
        expect(review_count(panel)).to_have_text(str(number))
        expect(picture).not_to_have_attribute("src", before or "")
        given.append((shown, STATE_OF[button]))
    shoot("review")
    expect(review_count(panel)).to_have_text(str(REVIEWS))
    assert [(entry["label_id"], entry["state"]) for entry in Ledger(dataset).entries()] == given

    press_by_name(panel, "Undo")
    expect(review_count(panel)).to_have_text(str(REVIEWS - 1))
    ledger_has(app, dataset, REVIEWS - 1)
    before = picture.get_attribute("src")
    press_by_name(panel, "Skip")
    expect(picture).not_to_have_attribute("src", before or "")

    press_by_name(panel, "Apply to weights")
    app.get_by_text(f"Weights updated with {REVIEWS - 1} reviews").wait_for()
    shoot("review_applied")
    dataset.reload()
    assert dataset.values(f"{KEY}_weight") != weights


def test_missing_labels_are_accepted_from_where_they_were_found(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset
) -> None:
    app, dataset = page, mined(digits, "completed")
    visit(app, f"{address}/{dataset.name}")
    panel = open_panel(app)
    press_by_name(panel, "Review")
    press_by_name(panel, "Label is missing")
    press_by_name(panel, "Mend 1 label")
    app.get_by_text("'ground_truth_corrected': 1 accepted").wait_for()
    shoot("mended")
    dataset.reload()
    more = dataset.count("ground_truth_corrected.detections") - dataset.count("ground_truth.detections")
    assert more == 1


def test_nothing_left_to_review(page: Page, address: str, shoot: Shoot, digits: fo.Dataset) -> None:
    from playwright.sync_api import expect

    app, dataset = page, mined(digits, "all_reviewed")
    review = open_review(dataset, KEY)
    every = [review.keys[row] for row in review.mistakes.mined.nonzero()[0]]
    from fiftyone_plugin.review import triage

    triage.triage(dataset, KEY, "hard_negative", every[1:])
    visit(app, f"{address}/{dataset.name}")
    panel = open_panel(app)
    press_by_name(panel, "Review")
    press_by_name(panel, "Ignore")
    expect(panel).to_contain_text(f"All {len(every):,} mined objects are reviewed")
    shoot("review_done")


def test_selected_patches_are_triaged_from_the_prompt(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, mined(digits, "triaged")
    patches = foo.get_operator(VIEW)(dataset, run_key=KEY, patches=True, save_as="patches")
    visit(app, f"{address}/{dataset.name}?view=patches")
    panel = open_panel(app)
    press_by_name(panel, "Review")
    expect(review_count(panel)).to_have_text("0")
    select_tiles(app, 2)
    form = operator(app, "Triage hard negatives")
    expect(form).to_contain_text("applies to 2 objects")
    form.get_by_label("Label is missing").check()
    settled(app)
    shoot("triage")
    press(execute(form))
    app.get_by_text("Reviewed: missing label, 2 objects").wait_for()
    expect(review_count(panel)).to_have_text("2")
    shoot("triaged")
    given = Ledger(dataset).entries()
    assert [entry["state"] for entry in given] == ["missing_label"] * 2
    assert {entry["label_id"] for entry in given} <= set(patches.values("id"))
    assert records.settings_of(dataset, KEY).run_key == KEY
