"""The same lamp post in eight frames: one picture with a count, one answer, one undo, and what looks like it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest

from fiftyone_plugin.review import sheets, triage
from fiftyone_plugin.review.ledger import Ledger
from fiftyone_plugin.review.session import open_review
from fiftyone_plugin.runs import records
from fiftyone_plugin.store import access
from hnm_core.labels.estimate import estimate_labels
from hnm_core.settings import SheetSettings
from tests.datasets import APPLY, FIELDS, MINE, SHEET
from tests.plugin.panel.test_sheets import by_sheets, ids_of, press
from tests.plugin.panels import event
from tests.plugin.review.test_session import button_of, opened
from tests.streets import FRAMES, HEIGHT, WIDTH, draw_frames, street


def mine_street(folder: Path) -> fo.Dataset:
    """Draw the frames into a folder, and return their dataset, mined as ``run`` with appearance."""
    draw_frames(folder)
    tables, dataset = street(), fo.Dataset()
    for number, name in enumerate(tables[1].images):
        sample = fo.Sample(filepath=str(folder / name))
        for field, table in zip(("predictions", "ground_truth"), tables, strict=True):
            found = []
            for row in (table.image == number).nonzero()[0]:
                x0, y0, x1, y1 = (table.xyxy[row] / [WIDTH, HEIGHT, WIDTH, HEIGHT]).tolist()
                score = {} if table.score is None else {"confidence": float(table.score[row])}
                found.append(fo.Detection(label="cross", bounding_box=[x0, y0, x1 - x0, y1 - y0], **score))
            sample[field] = fo.Detections(detections=found)
        dataset.add_sample(sample)
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", appearance=True, hard_negative_ratio=1.0)
    return dataset


@pytest.fixture(scope="module")
def mined_street(tmp_path_factory: pytest.TempPathFactory) -> fo.Dataset:
    return mine_street(tmp_path_factory.mktemp("street"))


@pytest.fixture
def dataset(mined_street: fo.Dataset) -> fo.Dataset:
    return mined_street.clone()


def posts(dataset: fo.Dataset, left: float = 0.0, right: float = 0.3) -> list[str]:
    """The ids of the lamp posts, the most confident one first."""
    found = [box for boxes in dataset.values("predictions.detections") for box in boxes]
    return [box.id for box in found if box.run_error == "background" and left < box.bounding_box[0] < right]


def signs(dataset: fo.Dataset) -> list[str]:
    """The same of the signs."""
    return posts(dataset, 0.3, 0.6)


def states(dataset: fo.Dataset) -> dict[str, str]:
    paths = [f"predictions.detections.{name}" for name in ("id", "run_state")]
    return dict(zip(*dataset.values(paths, unwind=True), strict=True))


def test_a_sheet_shows_the_post_once_with_a_count_on_its_picture(dataset: fo.Dataset) -> None:
    shown = by_sheets(dataset)
    sheet = shown.state["review"]["sheet"]
    assert set(sheet["keys"]) == {f"prediction:{found[0]}" for found in (posts(dataset), signs(dataset))}
    assert sheet["seen"] == [FRAMES, FRAMES], "more label errors a click than with scribbles on it"
    assert f"{2 * FRAMES} background errors" in shown.text
    assert "cross in 2 pictures" in shown.text
    assert f"seen up to {FRAMES} times: one answer settles all" in shown.text
    assert button_of(shown, "all_missing_label")["label"] == f"Label is missing: all {2 * FRAMES}"
    view = access.view_of(dataset, shown.requests["set_view"]["view"])
    assert view.values("id") == ids_of(shown)
    assert view.values("predictions.label") == [f"cross · seen {FRAMES} times"] * 2
    assert set(dataset.distinct("predictions.detections.label")) == {"cross"}, "nothing is written"


def test_one_answer_settles_all_for_one_click_and_one_undo_takes_it_back(dataset: fo.Dataset) -> None:
    before, shown = states(dataset), by_sheets(dataset)
    answered = press(dataset, shown, "all_hard_negative", [])
    (action,) = Ledger(dataset).actions()
    assert (action.clicks, len(action.entries)) == (1, 2 * FRAMES)
    assert {states(dataset)[i] for i in posts(dataset) + signs(dataset)} == {"hard_negative"}
    undone = event(dataset, "undo_review", answered.state)
    assert states(dataset) == before
    first, again = shown.state["review"]["sheet"], undone.state["review"]["sheet"]
    assert (set(again["keys"]), sum(again["seen"])) == (set(first["keys"]), 2 * FRAMES)
    assert again["clicks"] == pytest.approx(first["clicks"])


def test_posts_with_one_answer_are_one_review_for_the_estimate_and_eight_objects_in_its_total(
    dataset: fo.Dataset,
) -> None:
    """Beside a single post that was answered on its own; the sign, which does not fit, is one answer, too."""
    single, sign = dataset.clone(), signs(dataset)[0]
    triage.triage(single, "run", "missing_label", [posts(single)[0], *signs(single)], all_but=signs(single))
    press(dataset, by_sheets(dataset), "all_missing_label", [sign])
    together, alone = (open_review(each, "run").estimate_now() for each in (dataset, single))
    of_type = [found.suspicions.strata.levels.n[2].max() for found in (together, alone)]
    assert of_type == pytest.approx([2, 2])
    assert (together.suspicions.review_count, alone.suspicions.review_count) == (FRAMES, 1)
    review = open_review(dataset, "run")
    rows = [review.row(f"prediction:{i}") for i in posts(dataset)]
    assert together.suspicion[rows].tolist() == [1.0] * FRAMES
    others = np.setdiff1d(np.flatnonzero(review.open), rows)
    assert together.suspicion[others] == pytest.approx(alone.suspicion[others], abs=0.02)
    assert together.expected_label_errors == pytest.approx(FRAMES + together.suspicion[others].sum())
    apart = estimate_labels(
        replace(review.mistakes, twins=None),
        review.state,
        review.images,
        review.settings.engine,
        evidence=review.evidence,
    )
    widths = [found.expected_interval[1] - found.expected_interval[0] for found in (together, apart)]
    assert widths[0] > 1.5 * widths[1], "eight answers that were never given"


@pytest.mark.parametrize("together", [True, False])
def test_reviews_of_twins_weigh_the_same_applied_and_mined_again(dataset: fo.Dataset, together: bool) -> None:
    """With one answer or each with its own: what was seen eight times is one thing."""
    if together:
        press(dataset, by_sheets(dataset), "all_missing_label", [])
    else:
        for each in posts(dataset) + signs(dataset):
            triage.triage(dataset, "run", "missing_label", [each])
    foo.get_operator(APPLY)(dataset, run_key="run")
    applied = records.load(dataset, "run")[1].report
    numbers = ("run_weight", "run_score", "predictions.detections.run_suspicion")
    weights = dataset.values([*numbers])
    seen = open_review(dataset, "run").estimate_now().suspicions
    assert (seen.review_count, seen.strata.levels.n[2].max()) == (2 * FRAMES, pytest.approx(2))
    again = {**FIELDS, "run_key": "run", "appearance": True, "hard_negative_ratio": 1.0, "overwrite": True}
    foo.get_operator(MINE)(dataset, **again)
    assert records.load(dataset, "run")[1].report == applied
    assert dataset.values([*numbers]) == weights


def test_the_post_as_an_exception_is_one_click_and_one_single_look(dataset: fo.Dataset) -> None:
    post = posts(dataset)[0]
    answered = press(dataset, by_sheets(dataset), "all_hard_negative", [post])
    (action,) = Ledger(dataset).actions()
    assert action.clicks == 2
    now = states(dataset)
    assert {now[i] for i in posts(dataset)} == {"unreviewed"}
    assert {now[i] for i in signs(dataset)} == {"hard_negative"}
    assert "One by one (1 doubtful)" in answered.text
    shown = event(dataset, "review_by", answered.state, **button_of(answered, "by_single")["params"])
    assert shown.state["review"]["key"] == f"prediction:{post}"
    assert f"Seen {FRAMES} times" in shown.text
    event(dataset, "give_review", shown.state, **button_of(shown, "missing_label")["params"])
    now = states(dataset)
    assert {now[i] for i in posts(dataset)} == {"missing_label"}
    last = Ledger(dataset).actions()[-1]
    assert (last.clicks, len(last.entries)) == (1, FRAMES)
    assert open_review(dataset, "run").mended() == (FRAMES, 3)


def test_skipping_the_post_skips_it_in_all_frames(dataset: fo.Dataset) -> None:
    review, seen = open_review(dataset, "run"), set()
    skipped: list[str] = []
    while (key := review.next(skipped)) is not None:
        skipped.append(key)
        seen.add(review.twin_of()[review.row(key)])
    assert len(skipped) == len(seen) < len(review.keys)


def test_without_twins_each_is_a_picture(dataset: fo.Dataset) -> None:
    sheet = sheets.hand_out(dataset, "run", "ann", SheetSettings(twin_distance=0.0))
    assert sheet is not None
    assert set(sheet.seen) == {1}
    done = sheets.answer(dataset, "run", sheet.keys[:3], "hard_negative", most_apart=0.0)
    assert done["count"] == 3


def test_the_panel_can_take_them_apart(dataset: fo.Dataset) -> None:
    shown = by_sheets(dataset)
    same = event(dataset, "change_sheets", shown.state, path="sheet_bar.twin_distance", value="0.1")
    assert ids_of(same) == ids_of(shown), "the App calls it when it draws the list"
    apart = event(dataset, "change_sheets", shown.state, path="sheet_bar.twin_distance", value="0.0")
    assert set(apart.state["review"]["sheet"]["seen"]) == {1}
    press(dataset, apart, "all_hard_negative", ids_of(apart)[2:])
    (action,) = Ledger(dataset).actions()
    assert sum(entry.state == "hard_negative" for entry in action.entries) == 2


def test_from_python_the_keys_of_a_sheet_are_enough(dataset: fo.Dataset) -> None:
    sheet = foo.get_operator(SHEET)(dataset, run_key="run", reviewer="ann")["sheet"]
    assert sum(sheet["seen"]) == 2 * FRAMES
    answer = {"state": "hard_negative", "label_ids": sheet["keys"], "all_but": sheet["keys"][:1]}
    done = foo.get_operator(SHEET)(dataset, run_key="run", reviewer="ann", **answer)["answered"]
    assert done["count"] + done["exceptions"] == 2 * FRAMES
    assert done["exceptions"] == sheet["seen"][0]


def test_what_somebody_else_answered_stays_theirs(dataset: fo.Dataset) -> None:
    sheet = sheets.hand_out(dataset, "run", "ann")
    assert sheet is not None
    post = posts(dataset)
    triage.triage(dataset, "run", "ignore", [post[3]], who="bob")
    done = sheets.answer(dataset, "run", sheet.keys, "hard_negative", who="ann")
    assert (done["count"], done["by_others"]) == (2 * FRAMES - 1, 0)
    assert states(dataset)[post[3]] == "ignore"
    assert sheets.again(dataset, open_review(dataset, "run"), "ann", sheet.keys) is None, "it is answered"


def test_twins_of_a_picture_that_is_reserved_are_not_shown_to_others(dataset: fo.Dataset) -> None:
    one = sheets.hand_out(dataset, "run", "ann", SheetSettings(sheet_size=1))
    other = sheets.hand_out(dataset, "run", "bob", SheetSettings(sheet_size=1))
    assert one is not None
    assert other is not None
    assert sorted([one.keys, other.keys]) == sorted([f"prediction:{of(dataset)[0]}"] for of in (posts, signs))


def test_buttons_show_what_looks_like_it_nearest_first(dataset: fo.Dataset) -> None:
    review, post = open_review(dataset, "run"), posts(dataset)[0]
    shown = opened(dataset)
    while shown.state["review"]["key"] != f"prediction:{post}":
        shown = event(dataset, "skip", shown.state, **button_of(shown, "skip")["params"])

    def view_of(button: str) -> Any:
        pressed = event(dataset, "show_near", shown.state, **button_of(shown, button)["params"])
        assert len(pressed.state["past"]) == 1, "Back leads back"
        return access.view_of(dataset, pressed.requests["set_view"]["view"])

    twins = view_of("near_twins")
    assert set(twins.values("id")) == set(posts(dataset))
    near = review.nearby.of(review.row(f"prediction:{post}"))
    labelled, others = view_of("near_labelled"), view_of("near_false_positives")
    assert labelled.values("id") == near.labelled[0]
    assert set(labelled.values("id")) <= set(dataset.values("ground_truth.detections.id", unwind=True))
    assert others.values("id") == near.false_positives[0]
    assert not set(near.false_positives[0]) & set(posts(dataset))
    assert "6 labelled objects like it" in shown.text
    assert "6 other false positives like it" in shown.text


def test_what_is_gone_is_said(dataset: fo.Dataset) -> None:
    shown = opened(dataset)
    button = button_of(shown, "near_labelled")["params"]
    dataset.set_values("ground_truth.detections", [[] for _ in dataset])
    gone = event(dataset, "show_near", shown.state, **button)
    assert "no longer in the dataset" in gone.requests["notify"]["message"]
    assert "set_view" not in gone.requests


def test_twins_outlive_applying_the_reviews(dataset: fo.Dataset) -> None:
    before = open_review(dataset, "run").twin_of().tolist()
    triage.triage(dataset, "run", "hard_negative", posts(dataset)[:2])
    foo.get_operator(APPLY)(dataset, run_key="run")
    review = open_review(dataset, "run")
    assert review.twin_of().tolist() == before
    assert review.nearby.of(0).false_positives[0]


def test_a_run_without_appearance_has_no_twins(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="plain", hard_negative_ratio=1.0)
    review = open_review(dataset, "plain")
    assert review.twins is None
    assert review.twin_of().tolist() == list(range(len(review.keys)))
    near = review.nearby.of(0)
    assert near.labelled == near.false_positives == ([], [])
