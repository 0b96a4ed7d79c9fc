"""How hard each mistake is: three strategies, and a registry for strategies of your own.

A strategy is a callable ``(Evidence) -> Difficulty``. The arithmetic stands in small pure functions beside it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .columns import Detections
from .matching import Matches, per_class
from .settings import MiningSettings
from .taxonomy import LOCALIZATION, TRUE_POSITIVE, Errors

__all__ = [
    "Difficulty",
    "Evidence",
    "boundary_difficulty",
    "confidence_difficulty",
    "find_strategy",
    "forget_strategy",
    "loss_difficulty",
    "register_strategy",
    "score_difficulty",
    "strategy_names",
]

MISS_SHARE = 0.5
"""A miss counts half a false alarm: half of all misses are right boxes with low scores (chosen)."""

LEAST_PROBABILITY = 0.01
"""ε of the logarithms: a total miss then costs as much as a false alarm at .99 (chosen)."""

BOX_LOSS_GAIN = 1.5
"""λ, the weight of 1 - IoU against the cross entropy; about Ultralytics' box : class gains, 7.5 : 0.5, / 10."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that is known about every row: what a strategy may read."""

    predictions: Detections
    truth: Detections
    matches: Matches
    errors: Errors
    settings: MiningSettings


@dataclass(frozen=True, eq=False)
class Difficulty:
    """How hard each row is, in ``[0, 1]``, higher is harder; NaN for rows that are no candidate.

    Attributes:
        prediction: ``(n,)`` float64.
        truth: ``(m,)`` float64.
    """

    prediction: NDArray[np.float64]
    truth: NDArray[np.float64]


Strategy = Callable[[Evidence], Difficulty]

_STRATEGIES: dict[str, Strategy] = {}


def register_strategy(name: str) -> Callable[[Strategy], Strategy]:
    """Make a strategy available by name, in settings, forms and on the command line.

    The values it returns are used for false positives and false negatives only (and, where it gives a number to a
    matched prediction, for that lucky hit); all other rows are set to NaN, and numbers are clipped to ``[0, 1]``.

    Args:
        name: what users type; must not be taken.

    Raises:
        ValueError: if the name is taken by another strategy.

    Example:
        >>> @register_strategy("score_only")
        ... def score_only(evidence):
        ...     return Difficulty(evidence.predictions.score, np.zeros(len(evidence.truth)))
        >>> "score_only" in strategy_names()
        True
        >>> forget_strategy("score_only")
    """

    def register(strategy: Strategy) -> Strategy:
        if name in _STRATEGIES:
            raise ValueError(
                f"a strategy named {name!r} exists already; choose another name, or forget_strategy({name!r}) first"
            )
        _STRATEGIES[name] = strategy
        return strategy

    return register


def forget_strategy(name: str) -> None:
    """Remove a registered strategy; unknown names are ignored."""
    _STRATEGIES.pop(name, None)


def strategy_names() -> tuple[str, ...]:
    """The strategies that can be asked for, in the order of registration."""
    return tuple(_STRATEGIES)


def find_strategy(name: str) -> Strategy:
    """The strategy of a name: a registered one, or ``module:attribute`` of your own, imported when it is asked for.

    The attribute is a strategy, or a subclass of :class:`~hnm_core.miner.HardNegativeMiner`.

    Raises:
        ValueError: if there is none.
    """
    if name in _STRATEGIES:
        return _STRATEGIES[name]
    if ":" not in name:
        raise ValueError(
            f"strategy must be one of {', '.join(strategy_names())}, or module:attribute of your own, got {name!r}"
        )
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"strategy {name!r} cannot be imported: {error}") from error
    strategy = found.as_strategy() if hasattr(found, "as_strategy") else found
    if not callable(strategy):
        raise ValueError(f"strategy {name!r} is a {type(strategy).__name__}, expected a callable or a miner class")
    return strategy  # type: ignore[no-any-return]


def score_difficulty(evidence: Evidence) -> Difficulty:
    """Difficulty of every candidate by the strategy that the settings name.

    Candidates are the false positives and false negatives asked for; with ``iou_based`` (or a strategy of your own
    that scores them) also matched predictions, *lucky hits*, along with the false positives.

    Raises:
        ValueError: if the strategy is unknown, or returns something else than a number per row.
    """
    settings, errors = evidence.settings, evidence.errors
    raw = find_strategy(settings.strategy)(evidence)
    if not isinstance(raw, Difficulty):
        raise ValueError(f"strategy {settings.strategy!r} returned a {type(raw).__name__}, expected a Difficulty")
    prediction = _column(raw.prediction, len(evidence.predictions), settings.strategy, "predictions")
    truth = _column(raw.truth, len(evidence.truth), settings.strategy, "truths")
    with np.errstate(invalid="ignore"):
        lucky = (errors.prediction == TRUE_POSITIVE) & (prediction > 0)
    wanted = (errors.false_positive | lucky) & ("false_positive" in settings.candidates)
    missed = errors.false_negative & ("false_negative" in settings.candidates)
    return Difficulty(_only(prediction, wanted), _only(truth, missed))


def _column(values: object, n: int, strategy: str, side: str) -> NDArray[np.float64]:
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (n,):
        raise ValueError(f"strategy {strategy!r} returned {column.shape} values for {n} {side}, expected one each")
    return column


def _only(values: NDArray[np.float64], wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The values of some rows, NaN for all others."""
    rows = np.flatnonzero(wanted)
    out = np.full(len(values), np.nan)
    out[rows] = np.clip(values[rows], 0.0, 1.0)
    return out


def confidence_difficulty(score: NDArray[np.float64], same_iou: NDArray[np.float64]) -> NDArray[np.float64]:
    """Difficulty of false positives by confidence: d = s · (1 - u), sure of itself and far from any truth.

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
    """Difficulty from how near an overlap lies to the match threshold: d = max(0, 1 - |u - τ| / δ).

    A box at IoU .49 and one at .51 look alike and are counted oppositely; both are hard.

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
    """Difficulty as the loss of a stored outcome, no model needed: -ln max(ε, p), over -ln ε, clipped to 1.

    With ``same_iou`` the loss of a badly placed box: -ln max(ε, p) · (1 - u/τ) + λ · (1 - u).

    Args:
        probability: ``(n,)`` what the detector gave to the right answer: 1 - s for a false positive, s* for a miss.
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
    return share + 0.0  # + 0: no -0.0


@register_strategy("confidence_based")
def _confidence_based(evidence: Evidence) -> Difficulty:
    """The guide's "high confidence, low IoU"; a miss is the harder the less the detector saw of it."""
    wrong = np.flatnonzero(evidence.errors.false_positive)
    prediction = np.zeros(len(evidence.predictions))
    prediction[wrong] = confidence_difficulty(_scores(evidence)[wrong], evidence.matches.same_iou[wrong])
    return Difficulty(prediction, MISS_SHARE * (1.0 - evidence.matches.best_score))


@register_strategy("iou_based")
def _iou_based(evidence: Evidence) -> Difficulty:
    """The guide's "IoU near the threshold", on both sides of it."""
    settings, matches = evidence.settings, evidence.matches
    tau = per_class(settings.iou_threshold, settings.class_iou, evidence.truth.classes)
    sure = np.flatnonzero(evidence.errors.confident)
    prediction = np.zeros(len(evidence.predictions))
    prediction[sure] = boundary_difficulty(
        matches.same_iou[sure], tau[evidence.predictions.label[sure]], settings.iou_band
    )
    return Difficulty(prediction, boundary_difficulty(matches.best_iou, tau[evidence.truth.label], settings.iou_band))


@register_strategy("loss_based")
def _loss_based(evidence: Evidence) -> Difficulty:
    """Cross entropy and IoU loss of the stored predictions."""
    settings, matches, errors = evidence.settings, evidence.matches, evidence.errors
    tau = per_class(settings.iou_threshold, settings.class_iou, evidence.truth.classes)
    wrong = np.flatnonzero(errors.false_positive)
    prediction = np.zeros(len(evidence.predictions))
    prediction[wrong] = loss_difficulty(1.0 - _scores(evidence)[wrong])
    misplaced = np.flatnonzero(errors.prediction == LOCALIZATION)
    prediction[misplaced] = loss_difficulty(
        1.0 - _scores(evidence)[misplaced],
        matches.same_iou[misplaced],
        tau[evidence.predictions.label[misplaced]],
    )
    return Difficulty(prediction, MISS_SHARE * loss_difficulty(matches.loose_score))


def _scores(evidence: Evidence) -> NDArray[np.float64]:
    assert evidence.predictions.score is not None  # matching saw to it
    return evidence.predictions.score
