"""Compute sample weights and repeats from image scores, with numpy alone.

Weights are kept small: large ones reduce the effective sample size, skew the classes and make detectors worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..settings import MiningSettings
from .class_factors import class_repeat_factors
from .exact import exact_sum

__all__ = [
    "SampleWeights",
    "class_repeat_factors",
    "effective_sample_size",
    "limit_weights",
    "round_to_repeats",
    "weigh_images",
    "whole_draws",
]

BISECTIONS = 40


@dataclass(frozen=True, eq=False)
class SampleWeights:
    """How much each image counts in training.

    Attributes:
        weights: ``(images,)`` float64 ≥ 1.
        repeats: ``(images,)`` int64 ≥ 1, the weights as whole numbers, for trainers that read lists of images.
        hard: ``(images,)`` bool, images with a higher weight because of their mistakes.
        notes: limits that took effect, as sentences.
        alarm_extra: ``(images,)`` (1 - λ) · a, the extra weight by false positives alone, before the limits.
        score_extra: ``(images,)`` λ · b, the extra weight by all mined objects, before the limits.
        balance: λ, the share of the ranking by all mined objects; 1 if misses need no limit.
    """

    weights: NDArray[np.float64]
    repeats: NDArray[np.int64]
    hard: NDArray[np.bool_]
    notes: tuple[str, ...]
    alarm_extra: NDArray[np.float64]
    score_extra: NDArray[np.float64]
    balance: float


def weigh_images(
    scores: NDArray[np.float64],
    settings: MiningSettings,
    *,
    alarm_scores: NDArray[np.float64] | None = None,
    missed_scores: NDArray[np.float64] | None = None,
    background: NDArray[np.bool_] | None = None,
    class_factors: NDArray[np.float64] | None = None,
) -> SampleWeights:
    """Compute the weights of all images from their scores.

    1. At most H = ⌈``hard_image_share`` · N⌉ images are hard: those with the highest alarm score f > 0, then, in the
       places left, those with the highest score s > 0.
    2. Among them a = (``max_weight`` - 1) · q(f), 0 if f is 0, and b = (``max_weight`` - 1) · q(s), with q = 1 -
       (rank - 1) / n over the n images ranked, ties sharing the mean rank. With A = Σa, B = Σb, M the part of B owed
       to misses and m = ``miss_share``: λ = 1 if M ≤ m · B or no image has an alarm score, else
       λ = m · A / (M - m · B + m · A). Then w = 1 + (1 - λ) · a + λ · b: misses cause at most m of the extra weight.
    3. × ``class_factors``, over the smallest product.
    4. The extra weight of background images is scaled down to ``background_share`` of all weight.
    5. w ← w^p with the largest p in [0, 1] that keeps the effective sample size of weights and repeats at
       ``effective_sample_floor``.
    6. Repeats by seeded systematic rounding.

    Args:
        scores: ``(images,)`` image score s in ``[0, 1]``, higher is harder.
        settings: those named above, and ``seed``.
        alarm_scores: ``(images,)`` score f of the false positives alone; None if there are none.
        missed_scores: ``(images,)`` the part of s that misses make; None if there are none.
        background: ``(images,)`` bool, images without any truth; None skips step 4.
        class_factors: ``(images,)`` repeat factor per image, see :func:`class_repeat_factors`.

    Example:
        >>> done = weigh_images(np.array([0.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.3, 0.0]), MiningSettings())
        >>> done.weights.tolist()
        [1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.5, 1.0]
    """
    none = np.zeros(len(scores))
    alarm_scores = none if alarm_scores is None else alarm_scores
    missed_scores = none if missed_scores is None else missed_scores
    hard = _hard_images(alarm_scores, scores, settings.hard_image_share)
    alarm_extra, score_extra = none.copy(), none.copy()
    for extra, by in ((alarm_extra, alarm_scores), (score_extra, scores)):
        ranked = np.flatnonzero(hard & (by > 0))
        extra[ranked] = (settings.max_weight - 1.0) * _rank_shares(by[ranked])
    notes: list[str] = []
    balance = _balance(alarm_extra, score_extra, scores, missed_scores, settings.miss_share, notes)
    alarm_extra, score_extra = (1.0 - balance) * alarm_extra, balance * score_extra
    weights = 1.0 + alarm_extra + score_extra
    hard &= weights > 1.0
    if class_factors is not None and len(weights):
        weights *= class_factors
        weights /= weights.min()
    weights, repeats, limits = limit_weights(weights, settings, background)
    return SampleWeights(weights, repeats, hard, (*notes, *limits), alarm_extra, score_extra, balance)


def limit_weights(
    weights: NDArray[np.float64], settings: MiningSettings, background: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64], list[str]]:
    """Apply the limits of all weights, steps 4 to 6 of :func:`weigh_images`.

    Returns:
        The weights, their repeats, and the limits that took effect, as sentences.

    Example:
        >>> limit_weights(np.array([1.0, 1.0, 9.0]), MiningSettings())[0].round(2).tolist()
        [1.0, 1.0, 1.5]
    """
    notes: list[str] = []
    if background is not None:
        weights = _cap_background(weights, background, settings.background_share, notes)
    return *_keep_effective(weights, settings, notes), notes


def effective_sample_size(weights: NDArray[np.float64] | NDArray[np.int64]) -> float:
    """Return the effective sample size per image, (Σw)² / (N · Σw²), in (0, 1]; 1 for no images (Kish, 1965).

    Example:
        >>> effective_sample_size(np.array([1.0, 1.0, 1.0, 3.0]))
        0.75
    """
    w = np.asarray(weights, dtype=np.float64)
    return exact_sum(w) ** 2 / (len(w) * exact_sum(w**2)) if len(w) else 1.0


def round_to_repeats(weights: NDArray[np.float64], seed: int = 0) -> NDArray[np.int64]:
    """Round weights to whole numbers of draws whose expectation is the weight, by systematic sampling.

    With one random offset u, the repeats count the whole numbers that the running sum of the weights, shifted by u,
    passes. Each is ⌊w⌋ or ⌈w⌉, and their sum is Σw rounded (a half down). The images are taken in random order, so that
    the rounding does not always fall on the same positions.

    Args:
        weights: ``(images,)`` ≥ 1.
        seed: of ``numpy.random.default_rng``.

    Example:
        >>> round_to_repeats(np.array([1.0, 1.5, 1.5, 1.0])).sum()
        np.int64(5)
    """
    weights = np.asarray(weights, dtype=np.float64)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(weights))
    repeats = np.floor(weights)
    part = (weights - repeats)[order]
    rest = part.sum() - math.floor(part.sum())
    low, high = (1.0 - rest, 1.0) if rest > 0.5 else (0.0, 1.0 - rest)
    steps = np.floor(np.cumsum(part) + rng.uniform(low, high))
    repeats[order] += np.diff(steps, prepend=0.0)
    return repeats.astype(np.int64)


def whole_draws(weights: ArrayLike) -> int:
    """Return how many images an epoch of these weights draws, Σw rounded, a half down as in :func:`round_to_repeats`.

    Example:
        >>> whole_draws([3.0, 1.5, 1.5, 1.5])
        7
    """
    return math.ceil(math.fsum(np.asarray(weights, dtype=np.float64).tolist()) - 0.5)


def _hard_images(alarms: NDArray[np.float64], scores: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """Return the hard images, at most ⌈share · N⌉: by alarm score, then by score; of equals the earlier images."""
    limit = math.ceil(round(share * len(scores), 9))
    hard = np.zeros(len(scores), dtype=bool)
    for by in (alarms, scores):
        left = np.flatnonzero(~hard & (by > 0))
        hard[left[_highest(by[left], limit - int(hard.sum()))]] = True
    return hard


def _highest(values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return the places of the highest values, ascending; of equals the earlier ones."""
    if count <= 0 or count >= len(values):
        return np.arange(len(values) if count > 0 else 0)
    least = np.partition(values, len(values) - count)[len(values) - count]
    above, equal = values > least, np.flatnonzero(values == least)
    above[equal[: count - int(above.sum())]] = True
    return np.flatnonzero(above)


def _balance(
    alarm_extra: NDArray[np.float64],
    score_extra: NDArray[np.float64],
    scores: NDArray[np.float64],
    missed_scores: NDArray[np.float64],
    miss_share: float,
    notes: list[str],
) -> float:
    """Return λ of step 2, at which misses cause at most ``miss_share`` of the extra weight."""
    owed = np.divide(missed_scores, scores, out=np.zeros(len(scores)), where=scores > 0)
    a, b, m = exact_sum(alarm_extra), exact_sum(score_extra), exact_sum(score_extra * owed)
    if m <= miss_share * b:
        return 1.0
    if a == 0:
        notes.append("no false positive was mined: all extra weight is caused by misses, whatever miss_share is")
        return 1.0
    balance = miss_share * a / (m - miss_share * b + miss_share * a)
    notes.append(
        f"misses would cause {m / b:.0%} of the extra weight: limited to {miss_share:.0%} (miss_share), before the "
        "other limits"
    )
    return balance


def _rank_shares(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 - (rank - 1) / n of every score, rank 1 the highest, ties with their mean rank."""
    order = np.argsort(scores)
    ascending = scores[order]
    first = np.flatnonzero(np.diff(ascending, prepend=-np.inf))
    sizes = np.diff(first, append=len(scores))
    rank = np.empty(len(scores))
    rank[order] = np.repeat(len(scores) - (2 * first + sizes - 1) / 2.0, sizes)
    return np.asarray(1.0 - (rank - 1.0) / max(len(scores), 1), dtype=np.float64)


def _cap_background(
    weights: NDArray[np.float64], background: NDArray[np.bool_], share: float, notes: list[str]
) -> NDArray[np.float64]:
    extra = exact_sum(weights[background] - 1.0)
    rest = exact_sum(weights) - extra
    if extra <= share * (rest + extra):
        return weights
    factor = share * rest / (extra * (1.0 - share))
    notes.append(f"extra weight of images without truth scaled by {factor:.2f}: at most {share:.0%} of all weight")
    return np.where(background, 1.0 + (weights - 1.0) * factor, weights)


def _keep_effective(
    weights: NDArray[np.float64], settings: MiningSettings, notes: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Flatten the weights until the effective sample size of weights and repeats is at least the floor."""

    def flattened(power: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        flat = weights**power
        return flat, round_to_repeats(flat, settings.seed)

    def holds(made: tuple[NDArray[np.float64], NDArray[np.int64]]) -> bool:
        return all(effective_sample_size(w) >= settings.effective_sample_floor for w in made)

    made = flattened(1.0)
    if holds(made):
        return made
    low, high, best = 0.0, 1.0, flattened(0.0)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        made = flattened(middle)
        if holds(made):
            low, best = middle, made
        else:
            high = middle
    notes.append(
        f"weights raised to the power {low:.2f}: effective sample size kept at "
        f"{settings.effective_sample_floor:.0%} of the images"
    )
    return best
