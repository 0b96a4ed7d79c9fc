"""What mends a label: each kind of error has its remedy, and no truth gets two of one kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from hnm_core.labels.remedies import Remedies, find_remedies
from hnm_core.labels.reviews import state_codes
from tests.scenes import FAR, HERE, apart, high, scene


def remedies(predictions: list[Any], truth: list[Any], of_prediction: list[str], of_truth: list[str]) -> Remedies:
    tables = scene(predictions, truth)
    none = np.zeros(0, dtype=np.int8)
    codes = (state_codes(states) if states else none for states in (of_prediction, of_truth))
    return find_remedies(*tables, *codes)


def test_each_kind_has_its_own() -> None:
    found = remedies(
        [("a", "cat", 0.9, FAR), ("b", "dog", 0.9, high(9)), ("c", "cat", 0.9, high(4)), ("d", "cat", 0.9, FAR)],
        [("b", "cat", HERE), ("c", "cat", HERE), ("d", "cat", HERE)],
        ["missing_label", "wrong_label", "wrong_box", "hard_negative"],
        ["", "", "bogus_label"],
    )
    assert (found.accepted.tolist(), found.removed.tolist()) == ([0], [2])
    assert (found.relabelled.tolist(), found.moved.tolist()) == ([[0, 1]], [[1, 2]])
    assert not len(found.open_predictions) + len(found.open_truth)


def test_the_side_that_was_reviewed_does_not_matter() -> None:
    found = remedies(
        [("b", "dog", 0.9, high(9)), ("c", "cat", 0.9, high(4))],
        [("b", "cat", HERE), ("c", "cat", HERE)],
        ["", ""],
        ["wrong_label", "wrong_box"],
    )
    assert (found.relabelled.tolist(), found.moved.tolist()) == ([[0, 0]], [[1, 1]])


def test_the_nearest_counts_and_no_truth_takes_two() -> None:
    predictions = [("a", "dog", 0.9, high(6)), ("a", "cow", 0.9, high(9)), ("a", "dog", 0.8, apart(1))]
    found = remedies(predictions, [("a", "cat", HERE)], ["wrong_label"] * 3, [""])
    assert found.relabelled.tolist() == [[0, 1]]
    assert found.open_predictions.tolist() == [0, 2]


def test_one_prediction_moves_only_the_nearest_truth() -> None:
    found = remedies(
        [("a", "cat", 0.9, high(9))], [("a", "cat", HERE), ("a", "cat", (0, 0, 10, 4))], ["wrong_box"], ["", ""]
    )
    assert found.moved.tolist() == [[0, 0]]


def test_a_class_and_a_box_can_both_be_wrong() -> None:
    predictions = [("a", "dog", 0.9, high(9)), ("a", "cat", 0.6, high(5))]
    found = remedies(predictions, [("a", "cat", HERE)], ["wrong_label", "wrong_box"], [""])
    assert (found.relabelled.tolist(), found.moved.tolist()) == ([[0, 0]], [[0, 1]])


def test_what_is_there_by_now_is_not_accepted_twice() -> None:
    found = remedies([("a", "cat", 0.9, high(9))], [("a", "cat", HERE)], ["missing_label"], [""])
    assert not len(found.accepted)
    found = remedies([("a", "cat", 0.9, high(9))], [("a", "cat", HERE)], ["missing_label"], ["bogus_label"])
    assert found.accepted.tolist() == [0], "the label that is removed does not stand in the way"


def test_what_nothing_mends_is_said() -> None:
    found = remedies([("a", "cat", 0.9, FAR)], [("a", "cat", HERE)], ["wrong_box"], ["wrong_label"])
    assert (found.open_predictions.tolist(), found.open_truth.tolist()) == ([0], [0])
    assert not len(found.moved) + len(found.relabelled)


def test_other_images_have_no_part_in_it() -> None:
    found = remedies([("a", "dog", 0.9, HERE)], [("b", "cat", HERE)], ["wrong_label"], [""])
    assert (len(found.relabelled), found.open_predictions.tolist()) == (0, [0])


def test_nothing_reviewed_is_nothing_to_do() -> None:
    found = remedies([("a", "cat", 0.9, HERE)], [("a", "cat", HERE)], ["hard_negative"], ["ignore"])
    parts = (found.accepted, found.removed, found.relabelled, found.moved, found.open_predictions, found.open_truth)
    assert not sum(map(len, parts))
    empty = remedies([], [], [], [])
    assert not len(empty.accepted)
