"""The strategy of a second model: a mistake is hard if the second model does not make it too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..boxes import check_units
from ..matching.chunks import near_pairs
from ..matching.greedy import match_detections
from ..taxonomy import TRUE_POSITIVE, classify_errors
from .builtin import confidence_based
from .registry import Difficulty, StrategyInput, register_strategy

__all__ = ["LEARNABILITY", "check_second", "second_is_right"]

LEARNABILITY = "learnability_based"

SAME_IOU = 0.5
"""IoU from which two false positives are the same one, as between two rounds."""


def check_second(strategy: str, given: bool) -> None:
    """Refuse a strategy that compares with a second model where there is none.

    Raises:
        ValueError: saying how to give one.
    """
    if strategy == LEARNABILITY and not given:
        raise ValueError(
            f"strategy {LEARNABILITY!r} compares with a second model, and none is given: pass its predictions to "
            f"mine() as second_predictions, to `hnm mine` as --second-predictions, or name their field in FiftyOne as "
            f"second_field; rounds during training and shards have none"
        )


def second_is_right(inputs: StrategyInput) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where the second model does not make the mistake of the first one.

    The second model's predictions are matched and judged by the same settings: its false positives are confident and
    not ignored, and it finds a truth if a confident prediction matches it.

    Returns:
        ``(n,)`` bool, predictions of the first model without a false positive of the second model at IoU ≥ .5 of the
        same class (of any class if matching is class-agnostic); ``(m,)`` bool, truths that the second model finds.

    Raises:
        ValueError: if there is no second model, or its table does not fit the truth.

    Example:
        >>> from hnm_core import match_detections, classify_errors
        >>> from hnm_core import Detections, MiningSettings
        >>> world = dict(images=["a"], classes=["cat"])
        >>> truth = Detections.empty(**world)
        >>> first = Detections([0, 0], [[0, 0, 9, 9], [20, 20, 29, 29]], [0, 0], [0.9, 0.9], **world)
        >>> second = Detections([0], [[0, 0, 9, 8]], [0], [0.8], **world)
        >>> matches = match_detections(first, truth)
        >>> errors = classify_errors(first, truth, matches)
        >>> inputs = StrategyInput(first, truth, matches, errors, MiningSettings(), second)
        >>> second_is_right(inputs)[0].tolist()
        [False, True]
    """
    second, truth, settings = inputs.second_predictions, inputs.truth, inputs.settings
    check_second(LEARNABILITY, second is not None)
    assert second is not None
    matches = match_detections(second, truth, settings)
    if not (matches.best_iou.any() or matches.same_iou.any()):
        check_units(second.xyxy, truth.xyxy)
    errors = classify_errors(second, truth, matches, settings)
    first_wrong, second_wrong = np.flatnonzero(inputs.errors.false_positive), np.flatnonzero(errors.false_positive)
    firsts, seconds = inputs.predictions.take(first_wrong), second.take(second_wrong)
    rows, others, _ = near_pairs(firsts, seconds, SAME_IOU)
    same = (firsts.label[rows] == seconds.label[others]) | settings.class_agnostic
    right = np.ones(len(inputs.predictions), dtype=bool)
    right[first_wrong[rows[same]]] = False
    return right, errors.truth == TRUE_POSITIVE


@register_strategy(LEARNABILITY)
def _learnability_based(inputs: StrategyInput) -> Difficulty:
    """Score by confidence what the second model gets right, and 0 what both models get wrong."""
    right, found = second_is_right(inputs)
    difficulty = confidence_based(inputs)
    return Difficulty(difficulty.prediction * right, difficulty.truth * found)
