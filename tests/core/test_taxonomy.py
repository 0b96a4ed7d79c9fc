"""Names of mistakes: the edges of TIDE's order, by hand; test_oracles.py holds them against tidecv at large."""

from __future__ import annotations

import pytest

from hnm_core import MiningSettings, classify_errors, match_detections
from hnm_core.taxonomy import ERROR_TYPES, PROPOSALS, ROW_NAMES, Errors
from tests.scenes import CROWD, FAR, HERE, Row, Tables, everything_at_once, high, scene


def classify(tables: Tables, **chosen: object) -> Errors:
    settings = MiningSettings(**chosen)  # type: ignore[arg-type]
    return classify_errors(*tables, match_detections(*tables, settings), settings)


def names(found: list[Row], truth: list[Row], **chosen: object) -> tuple[list[str], list[str]]:
    errors = classify(scene(found, truth), **chosen)
    return [ROW_NAMES[code] for code in errors.prediction], [ROW_NAMES[code] for code in errors.truth]


def test_the_names() -> None:
    assert ERROR_TYPES == ("localization", "classification", "duplicate", "background", "both", "missed")
    assert len(set(ROW_NAMES)) == len(ROW_NAMES) == 12
    assert (*ERROR_TYPES, *PROPOSALS) == ROW_NAMES[3:]


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (("cat", high(5)), "true_positive"),
        (("cat", high(4.999)), "localization"),
        (("cat", high(1)), "localization"),  # .1 ≤ u
        (("cat", high(0.999)), "background"),
        (("dog", HERE), "classification"),
        (("dog", high(5)), "classification"),  # v ≥ τ
        (("dog", high(4.999)), "both"),
        (("dog", high(1.001)), "both"),
        (("dog", high(1)), "background"),  # a ≤ .1
        (("cat", FAR), "background"),
    ],
)
def test_a_prediction_alone_with_a_cat(found: tuple[str, tuple[float, ...]], name: str) -> None:
    label, box = found
    assert names([("a", label, 0.9, box)], [("a", "cat", HERE)])[0] == [name]


@pytest.mark.parametrize(
    ("second", "name"),
    [
        (("a", "cat", 0.8, HERE), "duplicate"),
        (("a", "cat", 0.8, high(5.001)), "duplicate"),
        (("a", "cat", 0.8, high(5)), "localization"),  # u = τ and taken: TIDE's box test is closed at both ends
        (("a", "cat", 0.9, HERE), "duplicate"),  # as sure, but later
    ],
)
def test_a_second_prediction_of_a_truth(second: Row, name: str) -> None:
    assert names([("a", "cat", 0.9, HERE), second], [("a", "cat", HERE)])[0] == ["true_positive", name]


def test_the_order_of_the_questions_is_the_definition() -> None:
    """Near a cat of its own and exactly on a dog: localization is asked first; far from the cat: classification."""
    dog = ("a", "dog", HERE)
    assert names([("a", "cat", 0.9, HERE)], [("a", "cat", high(1)), dog])[0] == ["localization"]
    assert names([("a", "cat", 0.9, HERE)], [("a", "cat", high(0.9)), dog])[0] == ["classification"]
    # Taken cat at u > τ, and on a dog as well: classification before duplicate.
    found = [("a", "cat", 0.9, high(9)), ("a", "cat", 0.8, HERE)]
    assert names(found, [("a", "cat", high(9)), dog])[0] == ["true_positive", "classification"]


def test_without_any_truth_in_the_image_it_is_background() -> None:
    assert names([("a", "cat", 0.9, HERE)], [("b", "cat", HERE)])[0] == ["background"]


@pytest.mark.parametrize(
    ("score", "prediction", "truth"),
    [
        (0.5, "true_positive", "true_positive"),  # at the threshold
        (0.499, "below_threshold", "missed"),
        (0.0, "below_threshold", "missed"),
    ],
)
def test_the_confidence_threshold_is_inclusive(score: float, prediction: str, truth: str) -> None:
    assert names([("a", "cat", score, HERE)], [("a", "cat", HERE)]) == ([prediction], [truth])


def test_below_the_threshold_everything_has_one_name() -> None:
    found = [("a", "cat", 0.4, FAR), ("a", "dog", 0.4, HERE), ("a", "cat", 0.4, high(4)), ("b", "cat", 0.4, HERE)]
    assert set(names(found, [("a", "cat", HERE), ("b", "cat", HERE, CROWD)])[0]) == {"below_threshold"}


def test_a_threshold_of_zero_keeps_all() -> None:
    assert names([("a", "cat", 0.0, HERE)], [("a", "cat", HERE)], confidence_threshold=0)[0] == ["true_positive"]


# The other side: truths


@pytest.mark.parametrize(
    ("found", "truth"),
    [
        ([("a", "cat", 0.9, HERE)], "true_positive"),
        ([], "missed"),
        ([("a", "cat", 0.9, high(4))], "localization"),
        ([("a", "dog", 0.9, HERE)], "classification"),
        ([("a", "dog", 0.9, HERE), ("a", "cat", 0.9, high(4))], "localization"),  # both point at it: TIDE's order
        ([("a", "cat", 0.4, high(4))], "missed"),  # not confident: nobody's error
        ([("a", "dog", 0.9, high(4))], "missed"),  # "both" points at nothing
        ([("a", "cat", 0.9, HERE), ("a", "dog", 0.9, HERE)], "true_positive"),  # found all the same
        ([("a", "cat", 0.4, HERE), ("a", "dog", 0.9, HERE)], "classification"),  # found, but not confidently
    ],
)
def test_a_truth_is_missed_in_one_of_three_ways(found: list[Row], truth: str) -> None:
    assert names(found, [("a", "cat", HERE)])[1] == [truth]


def test_an_error_points_at_its_best_overlap_only() -> None:
    truth = [("a", "cat", high(4)), ("a", "cat", high(3))]
    assert names([("a", "cat", 0.9, HERE)], truth)[1] == ["localization", "missed"]
    assert names([("a", "dog", 0.9, HERE)], truth, iou_threshold=0.3)[1] == ["classification", "missed"]


def test_crowds_are_ignored_on_both_sides() -> None:
    found = [("a", "cat", 0.9, (1, 1, 3, 3)), ("a", "dog", 0.9, (1, 1, 3, 3)), ("a", "cat", 0.9, (0, 0, 30, 10))]
    prediction, truth = names(found, [("a", "cat", HERE, CROWD)])
    assert prediction == ["ignored", "background", "background"]  # a third of the last one lies in the crowd
    assert truth == ["ignored"]


def test_false_positives_and_negatives_are_masks_over_the_names() -> None:
    errors = classify(everything_at_once())
    assert errors.false_positive.tolist() == [False, True, True, False, True, True, True, False, False]
    assert errors.false_negative.tolist() == [False, True, True, False, True, True, True, True, False]
    assert errors.confident.tolist() == [True] * 7 + [False, True]


def test_thresholds_per_class() -> None:
    found = [("a", "cat", 0.6, HERE), ("b", "dog", 0.6, HERE), ("c", "cat", 0.9, high(7)), ("d", "dog", 0.9, high(7))]
    truth = [(image, label, HERE) for image, label, *_ in found]
    chosen = {"class_confidence": {"cat": 0.7}, "class_iou": {"cat": 0.8}}
    prediction, missed = names(found, truth, **chosen)
    assert prediction == ["below_threshold", "true_positive", "localization", "true_positive"]
    assert missed == ["missed", "true_positive", "localization", "true_positive"]


def test_the_confidence_threshold_can_change_without_matching_again() -> None:
    tables = everything_at_once()
    matches = match_detections(*tables)
    for confidence in (0.0, 0.45, 0.85, 0.95):
        settings = MiningSettings(confidence_threshold=confidence)
        again = match_detections(*tables, settings)
        assert again.matched.tolist() == matches.matched.tolist()
        errors = classify_errors(*tables, matches, settings)
        assert errors.confident.tolist() == (tables[0].score >= confidence).tolist()  # type: ignore[operator]


def test_a_confidence_for_an_unknown_class_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^thresholds are given for 1 unknown classes, first 'cow'; classes are 'cat'$"
    ):
        names([("a", "cat", 0.9, HERE)], [], class_confidence={"cow": 0.5})


def test_predictions_need_scores() -> None:
    predictions, truth = scene([("a", "cat", 0.9, HERE)], [("a", "cat", HERE)])
    matches = match_detections(predictions, truth)
    with pytest.raises(
        ValueError, match=r"^the predictions have no score column; are predictions and ground truth swap"
    ):
        classify_errors(truth, truth, matches)


@pytest.mark.parametrize(("found", "truth"), [([], []), ([], [("a", "cat", HERE)]), ([("a", "cat", 0.9, HERE)], [])])
def test_nothing_on_a_side(found: list[Row], truth: list[Row]) -> None:
    assert names(found, truth) == (["background"] * len(found), ["missed"] * len(truth))
