"""The three strategies of the guide, and their formulas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..matching.greedy import per_class
from ..settings import CANDIDATES
from ..taxonomy import LOCALIZATION
from .registry import Difficulty, StrategyInput, register_strategy

__all__ = ["boundary_difficulty", "confidence_based", "confidence_difficulty", "loss_difficulty"]

MISS_SHARE = 0.5
"""Factor on the difficulty of missed truths: half of them are correct boxes with low scores (chosen)."""


LEAST_PROBABILITY = 0.01
"""ε of the logarithms: a truth without any prediction costs as much as a false positive at .99 (chosen)."""


BOX_LOSS_GAIN = 1.5
"""λ, the weight of 1 - IoU against the cross entropy; about Ultralytics' box : class gains, 7.5 : 0.5, / 10."""


def confidence_difficulty(score: NDArray[np.float64], same_iou: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the difficulty of false positives by confidence: d = s · (1 - u), high if confident and far from truths.

    Args:
        score: ``(n,)`` confidence *s* in ``[0, 1]``.
        same_iou: ``(n,)`` best IoU *u* with a truth of the same class.

    Example:
        >>> confidence_difficulty(np.array([0.9, 0.9]), np.array([0.0, 0.5])).tolist()
        [0.9, 0.45]
    """
    return score * (1.0 - same_iou)


def boundary_difficulty(
    iou: NDArray[np.float64], iou_threshold: float | NDArray[np.float64] = 0.5, half_width: float = 0.1
) -> NDArray[np.float64]:
    """Return the difficulty by the distance of an IoU to the threshold: d = max(0, 1 - |u - τ| / δ).

    Boxes at IoU .49 and .51 are almost equal, but one is an error and one is correct; both are hard.

    Args:
        iou: ``(n,)`` best overlap *u*, in ``[0, 1]``.
        iou_threshold: τ, one for all or ``(n,)``.
        half_width: δ, distance in IoU units at which difficulty reaches 0; > 0.

    Raises:
        ValueError: if ``half_width`` is not positive.

    Example:
        >>> boundary_difficulty(np.array([0.0, 0.45, 0.5, 0.9])).round(2).tolist()
        [0.0, 0.5, 1.0, 0.0]
    """
    if not half_width > 0:
        raise ValueError(f"half_width must be > 0 (IoU units), got {half_width}")
    return np.maximum(0.0, 1.0 - np.abs(iou - iou_threshold) / half_width)


def loss_difficulty(
    probability: NDArray[np.float64],
    same_iou: NDArray[np.float64] | None = None,
    iou_threshold: float | NDArray[np.float64] = 0.5,
) -> NDArray[np.float64]:
    """Return the difficulty as loss of a stored prediction: min(1, -ln max(ε, p) / -ln ε); no model is needed.

    With ``same_iou`` the loss of a badly placed box replaces -ln max(ε, p): -ln max(ε, p) · (1 - u/τ) + λ · (1 - u).

    Args:
        probability: ``(n,)`` probability *p* of the correct answer: 1 - s for a false positive, s* for a missed truth.
        same_iou: ``(n,)`` *u* of localization errors.
        iou_threshold: τ, one for all or ``(n,)``.

    Example:
        >>> loss_difficulty(np.array([1.0, 0.1, 0.0])).round(2).tolist()
        [0.0, 0.5, 1.0]
    """
    loss = -np.log(np.maximum(LEAST_PROBABILITY, probability))
    if same_iou is not None:
        loss = loss * (1.0 - same_iou / iou_threshold) + BOX_LOSS_GAIN * (1.0 - same_iou)
    share: NDArray[np.float64] = np.minimum(loss / -np.log(LEAST_PROBABILITY), 1.0)
    return share + 0.0  # + 0.0 turns -0.0 into 0.0


@register_strategy("confidence_based")
def confidence_based(inputs: StrategyInput) -> Difficulty:
    """Score false positives of high confidence and low IoU; missed truths by the best score on them."""
    wrong = np.flatnonzero(inputs.errors.false_positive)
    prediction = np.zeros(len(inputs.predictions))
    prediction[wrong] = confidence_difficulty(_scores(inputs)[wrong], inputs.matches.same_iou[wrong])
    return Difficulty(prediction, MISS_SHARE * (1.0 - inputs.matches.best_score))


@register_strategy("iou_based", mines=CANDIDATES)
def _iou_based(inputs: StrategyInput) -> Difficulty:
    """Score predictions and missed truths whose IoU is near the threshold, on both sides of it."""
    settings, matches = inputs.settings, inputs.matches
    tau = per_class(settings.iou_threshold, settings.class_iou, inputs.truth.classes)
    sure = np.flatnonzero(inputs.errors.confident)
    prediction = np.zeros(len(inputs.predictions))
    prediction[sure] = boundary_difficulty(
        matches.same_iou[sure], tau[inputs.predictions.label[sure]], settings.iou_band
    )
    return Difficulty(prediction, boundary_difficulty(matches.best_iou, tau[inputs.truth.label], settings.iou_band))


@register_strategy("loss_based")
def _loss_based(inputs: StrategyInput) -> Difficulty:
    """Score by the cross entropy and the IoU loss of the stored predictions."""
    settings, matches, errors = inputs.settings, inputs.matches, inputs.errors
    tau = per_class(settings.iou_threshold, settings.class_iou, inputs.truth.classes)
    wrong = np.flatnonzero(errors.false_positive)
    prediction = np.zeros(len(inputs.predictions))
    prediction[wrong] = loss_difficulty(1.0 - _scores(inputs)[wrong])
    misplaced = np.flatnonzero(errors.prediction == LOCALIZATION)
    prediction[misplaced] = loss_difficulty(
        1.0 - _scores(inputs)[misplaced],
        matches.same_iou[misplaced],
        tau[inputs.predictions.label[misplaced]],
    )
    return Difficulty(prediction, MISS_SHARE * loss_difficulty(matches.loose_score))


def _scores(inputs: StrategyInput) -> NDArray[np.float64]:
    assert inputs.predictions.score is not None  # checked by matching
    return inputs.predictions.score
