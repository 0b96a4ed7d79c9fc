"""Sheets: one answer for all but the exceptions, one action of the ledger, and nothing handed out twice."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.review import json_file, reweigh, sheets, triage
from fiftyone_plugin.review.ledger import Ledger
from fiftyone_plugin.review.session import open_review
from fiftyone_plugin.store import reservations
from hnm_core.settings import SheetSettings
from tests.datasets import FIELDS, MINE, dataset_of
from tests.scenes import FAR, HERE, apart, scene

SMALL = SheetSettings(sheet_size=4)


@pytest.fixture
def dataset() -> fo.Dataset:
    """Ten background errors of ``cat``, three of ``dog``, and two missed cats."""
    rows = [(f"s{i}", "cat", 0.9, FAR) for i in range(10)] + [(f"s{i}", "dog", 0.7, apart(1)) for i in range(3)]
    made = dataset_of(scene(rows, [("s0", "cat", HERE), ("s1", "cat", HERE)]))
    foo.get_operator(MINE)(made, **FIELDS, run_key="run", hard_negative_ratio=1.0)
    return made


def handed(dataset: fo.Dataset, reader: str = "ann", **more: Any) -> sheets.HandedOut:
    sheet = sheets.hand_out(dataset, "run", reader, SMALL, **more)
    assert sheet is not None
    return sheet


def answered(sheet: sheets.HandedOut, dataset: fo.Dataset, review: str, all_but: Any = (), who: str = "ann") -> Any:
    more = {"reader": sheet.reader, "who": who}
    return sheets.answer(dataset, sheet.run_key, sheet.keys, review, all_but, **more)


def state(dataset: fo.Dataset) -> dict[str, str]:
    """State of every prediction by its id, from the fields of the run."""
    found = dataset.values(["predictions.detections.id", "predictions.detections.run_state"])
    return {i: s for ids, states in zip(*found, strict=True) for i, s in zip(ids or [], states or [], strict=True)}


def test_one_answer_settles_all_but_the_exceptions(dataset: fo.Dataset) -> None:
    sheet = handed(dataset)
    assert (sheet.error, sheet.label, sheet.side, sheet.answer) == ("background", "cat", "prediction", "missing_label")
    assert len(sheet.keys) == 4
    apart_ids = sheet.label_ids[1:3]
    done = answered(sheet, dataset, "missing_label", apart_ids, who="ann")
    assert (done["count"], done["exceptions"], done["by_others"]) == (2, 2, 0)
    now = state(dataset)
    answers = ["missing_label", "unreviewed", "unreviewed", "missing_label"]
    assert [now[i] for i in sheet.label_ids] == answers
    assert sum(s == "missing_label" for s in now.values()) == 2
    (action,) = Ledger(dataset).actions()
    assert (action.clicks, len(action.entries)) == (3, 4)
    assert triage.outcome_text(done) == "Reviewed: missing label, 2 objects; 2 left to a single look"


def test_exceptions_teach_what_the_others_are(dataset: fo.Dataset, tmp_path: Path) -> None:
    """Else every sheet would confirm itself: what fits is answered, and what does not is left out."""
    prior = open_review(dataset, "run").suspicion_by_key()
    sheet = handed(dataset)
    answered(sheet, dataset, "missing_label", sheet.label_ids[:3])
    review = open_review(dataset, "run")
    now, rest = review.suspicion_by_key(), next(key for key in prior if key not in sheet.keys)
    assert now[rest] < prior[rest], "one of four was a label error, not one of one"
    assert review.estimate_now().suspicions.review_count == 1

    reweigh.apply_reviews(dataset, "run")
    weights = dict(zip(dataset.values("id"), dataset.values("run_weight"), strict=True))
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="again", hard_negative_ratio=1.0)
    assert open_review(dataset, "again").suspicion_by_key() == now
    assert dict(zip(dataset.values("id"), dataset.values("again_weight"), strict=True)) == weights

    json_file.save_json(dataset, tmp_path / "reviews.json")
    kept = Ledger(dataset).entries()
    triage.undo(dataset, "ann")
    assert open_review(dataset, "run").suspicion_by_key() == prior
    assert json_file.load_json(dataset, tmp_path / "reviews.json") == (4, 0)
    assert Ledger(dataset).entries() == kept
    assert open_review(dataset, "run").suspicion_by_key() == now


def test_undo_takes_the_whole_sheet_back_at_once(dataset: fo.Dataset) -> None:
    before = state(dataset)
    sheet = handed(dataset)
    answered(sheet, dataset, "missing_label", sheet.label_ids[:1], who="ann")
    undone = triage.undo(dataset, "ann")
    assert (undone["state"], undone["count"], undone["exceptions"]) == ("missing_label", 3, 1)
    assert state(dataset) == before
    review = open_review(dataset, "run")
    assert not review.doubtful.any()
    assert review.mended() == (0, 3)  # the answer, the exception, the undo
    shown = sheets.again(dataset, review, "ann", undone["keys"])
    assert shown is not None
    assert (set(shown.keys), shown.error, shown.answer) == (set(sheet.keys), "background", "missing_label")
    assert not set(handed(dataset, "bob").keys) & set(shown.keys), "it is reserved again"


def test_exceptions_come_up_for_a_single_look_and_on_no_sheet(dataset: fo.Dataset) -> None:
    sheet = handed(dataset)
    answered(sheet, dataset, "missing_label", sheet.label_ids[-2:], who="ann")
    review, doubtful = open_review(dataset, "run"), sheet.keys[-2:]
    assert review.next() in doubtful
    assert review.next(skipped=[review.next()]) in doubtful
    seen = set(sheet.keys)
    while (following := sheets.hand_out(dataset, "run", "ann", SMALL)) is not None:
        assert not seen & set(following.keys)
        seen |= set(following.keys)
        answered(following, dataset, "hard_negative", who="ann")
    assert (len(seen), open_review(dataset, "run").unreviewed_count()) == (15, 2)
    triage.triage(dataset, "run", "ignore", doubtful[:1])
    assert open_review(dataset, "run").next() == doubtful[1]


def test_two_readers_divide_the_pile(dataset: fo.Dataset) -> None:
    first, second = handed(dataset, "ann"), handed(dataset, "bob")
    assert not set(first.keys) & set(second.keys)
    assert handed(dataset, "ann").keys == first.keys, "a reader who asks again gets the same sheet back"
    third = handed(dataset, "cy")
    assert not set(third.keys) & {*first.keys, *second.keys}
    reservations.give_back(dataset, "ann")
    assert handed(dataset, "dan").keys == first.keys


def test_at_the_same_moment_too(dataset: fo.Dataset) -> None:
    got: list[sheets.HandedOut] = []
    threads = [threading.Thread(target=lambda name=f"p{i}": got.append(handed(dataset, name))) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [key for sheet in got for key in sheet.keys]
    assert len(got) == 4
    assert len(keys) == len(set(keys))


def test_a_reservation_ends(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservations, "EXPIRY", -1)
    first = handed(dataset, "gone")
    assert handed(dataset, "bob").keys == first.keys


def test_what_somebody_else_reviewed_meanwhile_stays(dataset: fo.Dataset) -> None:
    sheet = handed(dataset)
    triage.triage(dataset, "run", "hard_negative", sheet.keys[:1], who="bob")
    done = answered(sheet, dataset, "missing_label", who="ann")
    assert (done["count"], done["by_others"]) == (3, 1)
    assert state(dataset)[sheet.label_ids[0]] == "hard_negative"
    with pytest.raises(ValueError, match="all 4 objects of the sheet were reviewed meanwhile: take the next one"):
        answered(sheet, dataset, "missing_label", who="ann")


def test_what_is_skipped_comes_later(dataset: fo.Dataset) -> None:
    first = handed(dataset)
    second = handed(dataset, skipped=first.keys)
    assert not set(first.keys) & set(second.keys)


def test_an_exception_that_is_not_on_the_sheet_is_refused(dataset: fo.Dataset) -> None:
    sheet = handed(dataset)
    with pytest.raises(ValueError, match=r"1 of 2 exceptions are not on the sheet \(first zebra\)"):
        answered(sheet, dataset, "missing_label", ["zebra", sheet.keys[0]])
    with pytest.raises(ValueError, match="4 of 4 objects cannot be bogus_label: a prediction is no label"):
        answered(sheet, dataset, "bogus_label")
    assert Ledger(dataset).actions() == []


def test_the_grid_shows_it_as_patches_in_its_order_with_labels_around(dataset: fo.Dataset) -> None:
    sheet, review = handed(dataset), open_review(dataset, "run")
    shown = sheets.view_of(dataset, review, sheet)
    assert shown.values("id") == sheet.label_ids
    assert shown.values("predictions.id") == sheet.label_ids
    assert shown.values("sample_id") == sheet.sample_ids
    assert shown.get_field("ground_truth.detections") is not None
    from fiftyone_plugin.review.selection import selected_keys

    assert selected_keys(shown, review.settings, sheet.label_ids[:2], []) == sheet.keys[:2], "context is not selected"


def test_nothing_left_is_no_sheet(dataset: fo.Dataset) -> None:
    review = open_review(dataset, "run")
    triage.triage(dataset, "run", "ignore", [review.keys[row] for row in review.open.nonzero()[0]])
    assert sheets.hand_out(dataset, "run", "ann") is None
