"""Proposals where there is no ground truth: lists by confidence or by track, and what a review changes."""

from __future__ import annotations

import numpy as np
import pytest

from hnm_core import Detections, MiningResult, MiningSettings
from hnm_core.labels.reviews import Reviews
from hnm_core.live.proposals import codes_of, propose, summary_of
from hnm_core.taxonomy import CONFIDENT, UNCERTAIN

WORLD = {"images": ["a", "b"], "classes": ["cat", "dog"]}
BOXES = [[0.0, 0, 9, 9], [20, 20, 30, 30], [50, 50, 60, 60], [0, 0, 9, 9]]
TABLE = Detections([0, 0, 0, 1], BOXES, [0, 1, 0, 1], [0.9, 0.5, 0.2499, 0.25], **WORLD)  # type: ignore[arg-type]


def found(reviews: list[tuple[str, str, int, str]] = (), **more: object) -> MiningResult:  # type: ignore[assignment]
    entries = [
        {"image": image, "side": "prediction", "class": name, "bbox": BOXES[row], "state": state}
        for image, name, row, state in reviews
    ]
    assert TABLE.score is not None
    return propose(TABLE, 1.0 - TABLE.score, reviews=Reviews.of(entries), **more)  # type: ignore[arg-type]


def test_thresholds_are_inclusive_and_of_the_class() -> None:
    assert found().prediction_error.tolist() == ["confident", "confident", "below_threshold", "uncertain"]
    by_class = MiningSettings(class_confidence={"dog": 0.6})
    assert codes_of(TABLE, by_class).tolist()[:2] == [CONFIDENT, UNCERTAIN]
    with pytest.raises(ValueError, match="no score column"):
        codes_of(Detections.empty(**WORLD), MiningSettings())


def test_what_is_listed_has_a_difficulty_and_counts_in_its_list_alone() -> None:
    result = found()
    assert result.prediction_difficulty.tolist() == pytest.approx([0.1, 0.5, np.nan, 0.75], nan_ok=True)
    assert result.hard_counts.tolist() == [2, 1]
    errors = result.report.errors
    assert {name: of["hard_negatives"] for name, of in errors.items()} == {"confident": 2, "uncertain": 1, "gap": 0}
    said = summary_of(result, "confidence")
    assert "confident" in said
    assert "lowest confidence, without a verifier" in said


def test_an_answer_takes_the_place_of_the_estimate() -> None:
    result = found([("a", "cat", 0, "missing_label"), ("a", "dog", 1, "ignore")])
    assert result.prediction_difficulty.tolist() == pytest.approx([0.0, np.nan, np.nan, 0.75], nan_ok=True)
    assert result.prediction_hard.tolist() == [True, False, False, True]
    assert result.prediction_state.tolist() == ["missing_label", "ignore", "", "unreviewed"]
    assert result.image_scores[0] < found().image_scores[0]


def test_gaps_are_the_truths_and_match_nothing() -> None:
    gaps = Detections([1], [BOXES[3]], [1], None, **WORLD)  # type: ignore[arg-type]
    result = found(gaps=gaps, gap_difficulty=np.array([0.8]), code=np.array([CONFIDENT, 1, 1, 1]))
    assert (result.truth_error.tolist(), result.truth_difficulty.tolist()) == (["gap"], [0.8])
    assert result.prediction_error.tolist() == ["confident", *["below_threshold"] * 3]
    assert not result.prediction_iou.any()
    with pytest.raises(ValueError, match="difficulty has 4 and 0 numbers, expected 4 and 1"):
        found(gaps=gaps)


def test_nothing_gives_nothing() -> None:
    nothing = Detections.empty(**WORLD, scored=True)
    assert propose(nothing, np.zeros(0)).hard_counts.tolist() == [0, 0]


def test_nothing_is_said_of_weights_which_proposals_do_not_have() -> None:
    boxes, images = [[0.0, 0, 9, 9]] * 60, [f"{number}" for number in range(60)]
    table = Detections(range(60), boxes, [0] * 60, [0.9] * 60, images=images, classes=["cat"])
    assert propose(table, np.arange(60) / 60).report.notes == ()
