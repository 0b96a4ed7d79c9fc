"""A person reviews: crop by crop in the panel, by selection in the grid; numbers move, a click takes it back.

The README's picture is taken anew on the way by
``HNM_PICTURES=docs/pictures make test ARGS=tests/browser``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin import runs
from fiftyone_plugin.ledger import Ledger
from fiftyone_plugin.review import open_review
from tests.browser.app import (
    FORM,
    GRID,
    PATIENCE,
    PICTURES,
    THOUGHT,
    Shoot,
    count,
    execute,
    open_panel,
    operator,
    visit,
)
from tests.datasets import FIELDS, MINE, VIEW

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytest.importorskip("ultralytics", reason="a real detector makes the predictions")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

KEY = "round_1"
LOOKS = 20 if PICTURES else 3
STATE_OF = {"Label is missing": "missing_label", "Model is wrong": "hard_negative"}


def mined(digits: fo.Dataset, name: str) -> fo.Dataset:
    dataset = digits.clone(name)
    foo.get_operator(MINE)(dataset, **FIELDS, run_key=KEY)
    return dataset


def looks(panel: Locator) -> Locator:
    """The number of looks, as the panel shows it."""
    return panel.locator('xpath=.//p[normalize-space(text())="Looks"]/following-sibling::p[1]')


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
    said = []
    visit(app, f"{address}/{dataset.name}")
    panel = open_panel(app)
    panel.get_by_role("button", name="Review", exact=True).click()
    expect(looks(panel)).to_have_text("0", timeout=PATIENCE)
    picture = panel.locator("img[src^='data:image/jpeg']")
    picture.wait_for()
    shoot("review_begins")
    for number in range(1, LOOKS + 1):
        before = picture.get_attribute("src")
        shown = (open_review(dataset, KEY).next() or "").partition(":")[2]
        verdict = answers.of(shown)
        panel.get_by_role("button", name=verdict, exact=True).click()
        expect(looks(panel)).to_have_text(str(number), timeout=PATIENCE)
        expect(picture).not_to_have_attribute("src", before or "", timeout=PATIENCE)
        said.append((shown, STATE_OF[verdict]))
    shoot("review")
    expect(looks(panel)).to_have_text(str(LOOKS), timeout=PATIENCE)
    assert [(entry["label_id"], entry["state"]) for entry in Ledger(dataset).entries()] == said

    panel.get_by_role("button", name="Undo", exact=True).click()
    expect(looks(panel)).to_have_text(str(LOOKS - 1), timeout=PATIENCE)
    assert len(Ledger(dataset).entries()) == LOOKS - 1
    before = picture.get_attribute("src")
    panel.get_by_role("button", name="Skip", exact=True).click()
    expect(picture).not_to_have_attribute("src", before or "", timeout=PATIENCE)

    panel.get_by_role("button", name="Apply to weights", exact=True).click()
    app.get_by_text(f"Weights follow {LOOKS - 1} looks").wait_for()
    shoot("review_applied")
    dataset.reload()
    assert dataset.values(f"{KEY}_weight") != weights


def test_missing_labels_are_accepted_from_where_they_were_found(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset
) -> None:
    app, dataset = page, mined(digits, "completed")
    visit(app, f"{address}/{dataset.name}")
    panel = open_panel(app)
    panel.get_by_role("button", name="Review", exact=True).click()
    panel.get_by_role("button", name="Label is missing", exact=True).click()
    panel.get_by_role("button", name="Accept 1 missing label …", exact=True).click()
    shoot("accept")
    execute(app.locator(FORM)).click()
    app.get_by_text("1 label was added to 'ground_truth_accepted'").wait_for()
    shoot("accepted")
    dataset.reload()
    more = dataset.count("ground_truth_accepted.detections") - dataset.count("ground_truth.detections")
    assert more == 1


def test_nothing_left_to_review(page: Page, address: str, shoot: Shoot, digits: fo.Dataset) -> None:
    from playwright.sync_api import expect

    app, dataset = page, mined(digits, "all_reviewed")
    review = open_review(dataset, KEY)
    every = [review.keys[row] for row in review.mistakes.mined.nonzero()[0]]
    from fiftyone_plugin import triage

    triage.triage(dataset, KEY, "hard_negative", every[1:])
    visit(app, f"{address}/{dataset.name}")
    panel = open_panel(app)
    panel.get_by_role("button", name="Review", exact=True).click()
    panel.get_by_role("button", name="Ignore", exact=True).click()
    expect(panel).to_contain_text(f"All {len(every):,} mined objects are reviewed", timeout=PATIENCE)
    shoot("review_done")


def test_selected_patches_are_triaged_from_the_prompt(
    page: Page, address: str, shoot: Shoot, digits: fo.Dataset
) -> None:
    from playwright.sync_api import expect

    app, dataset = page, mined(digits, "triaged")
    patches = foo.get_operator(VIEW)(dataset, run_key=KEY, patches=True, save_as="patches")
    visit(app, f"{address}/{dataset.name}?view=patches")
    app.locator('[data-cy="entry-counts"]').wait_for()
    panel = open_panel(app)
    panel.get_by_role("button", name="Review", exact=True).click()
    expect(looks(panel)).to_have_text("0", timeout=PATIENCE)
    tiles = app.locator(GRID)
    for number in range(2):
        tiles.nth(number).click(position={"x": 12, "y": 12})  # its upper part selects
    form = operator(app, "Triage hard negatives")
    expect(form).to_contain_text("said of 2 objects", timeout=PATIENCE)
    form.get_by_text("Label is missing", exact=True).click()
    app.wait_for_timeout(THOUGHT)
    shoot("triage")
    execute(form).click()
    app.get_by_text("Reviewed: missing label, 2 objects").wait_for()
    expect(looks(panel)).to_have_text("2", timeout=PATIENCE)
    shoot("triaged")
    said = Ledger(dataset).entries()
    assert [entry["state"] for entry in said] == ["missing_label"] * 2
    assert {entry["label_id"] for entry in said} <= set(patches.values("id"))
    assert runs.settings_of(dataset, KEY).run_key == KEY
    assert count
