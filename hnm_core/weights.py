"""From image scores to sample weights and repeats: formulas only, no torch.

Mild on purpose. Steep weights collapse the effective sample size, skew the classes and make detectors worse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .settings import MiningSettings

__all__ = [
    "SampleWeights",
    "class_repeat_factors",
    "effective_sample_size",
    "limit_weights",
    "round_to_repeats",
    "weigh_images",
]

BISECTIONS = 40


@dataclass(frozen=True, eq=False)
class SampleWeights:
    """How much each image counts in training.

    Attributes:
        weights: ``(images,)`` float64 ≥ 1.
        repeats: ``(images,)`` int64 ≥ 1, the weights for trainers that read lists.
        hard: ``(images,)`` bool, the images whose mistakes raised their weight.
        notes: what bit on the way, in sentences.
    """

    weights: NDArray[np.float64]
    repeats: NDArray[np.int64]
    hard: NDArray[np.bool_]
    notes: tuple[str, ...] = ()


def weigh_images(
    scores: NDArray[np.float64],
    settings: MiningSettings,
    *,
    background: NDArray[np.bool_] | None = None,
    class_factors: NDArray[np.float64] | None = None,
) -> SampleWeights:
    """Weights of all images from their scores.

    1. Hard are the ⌈``hard_image_share`` · N⌉ images of highest score > 0.
    2. q = 1 - (rank - 1) / n_hard, ties sharing the mean rank; w = 1 + (``max_weight`` - 1) · q; all others 1.
    3. × ``class_factors``, over the smallest product.
    4. The extra weight of background images is scaled down to ``background_share`` of all weight.
    5. w ← w^p with the largest p in [0, 1] that keeps the effective sample size of weights and repeats at
       ``effective_sample_floor``.
    6. Repeats by seeded systematic rounding.

    Args:
        scores: ``(images,)`` image score in ``[0, 1]``, higher is harder.
        settings: the knobs named above, and ``seed``.
        background: ``(images,)`` bool, images without any truth; step 4 is left out where it is None.
        class_factors: ``(images,)`` repeat factor per image, see :func:`class_repeat_factors`.

    Example:
        >>> done = weigh_images(np.array([0.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.3, 0.0]), MiningSettings())
        >>> done.weights.tolist()
        [1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.5, 1.0]
    """
    hard = _hardest(scores, settings.hard_image_share)
    weights = np.ones(len(scores))
    weights[hard] += (settings.max_weight - 1.0) * _rank_shares(scores[hard])
    if class_factors is not None and len(weights):
        weights *= class_factors
        weights /= weights.min()
    weights, repeats, notes = limit_weights(weights, settings, background)
    return SampleWeights(weights, repeats, hard, tuple(notes))


def limit_weights(
    weights: NDArray[np.float64], settings: MiningSettings, background: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64], list[str]]:
    """Weights within the limits that all weights keep, steps 4 to 6 of :func:`weigh_images`.

    Returns:
        The weights, the repeats made of them, and what bit, in sentences.

    Example:
        >>> limit_weights(np.array([1.0, 1.0, 9.0]), MiningSettings())[0].round(2).tolist()
        [1.0, 1.0, 1.5]
    """
    notes: list[str] = []
    if background is not None:
        weights = _cap_background(weights, background, settings.background_share, notes)
    return *_keep_effective(weights, settings, notes), notes


def effective_sample_size(weights: NDArray[np.float64] | NDArray[np.int64]) -> float:
    """Effective sample size over the number of images, (Σw)² / (N · Σw²), in (0, 1]; 1 for no images (Kish, 1965).

    Example:
        >>> effective_sample_size(np.array([1.0, 1.0, 1.0, 3.0]))
        0.75
    """
    w = np.asarray(weights, dtype=np.float64)
    return float(w.sum() ** 2 / (len(w) * (w**2).sum())) if len(w) else 1.0


def class_repeat_factors(
    image: NDArray[np.int64], label: NDArray[np.int64], images: int, classes: int, threshold: float
) -> NDArray[np.float64]:
    """Repeat factor of every image by its rarest class (LVIS, Gupta et al. 2019, appendix B.2).

    f(c) is the share of images with class c, r(c) = max(1, √(t / f(c))), r(I) = the largest r(c) of the image, 1
    without objects.

    Args:
        image: ``(m,)`` image number of every truth.
        label: ``(m,)`` its class number.
        images: number of images.
        classes: number of classes.
        threshold: t, a share of the images.

    Example:
        >>> image, label = np.array([0, 1, 1]), np.array([0, 0, 1])
        >>> class_repeat_factors(image, label, images=4, classes=2, threshold=1.0).round(3).tolist()
        [1.414, 2.0, 1.0, 1.0]
    """
    pairs = np.unique(image * max(classes, 1) + label)
    image, label = np.divmod(pairs, max(classes, 1))
    share = np.bincount(label, minlength=classes) / max(images, 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # classes of no image, whose factor nobody asks for
        factor = np.maximum(1.0, np.sqrt(threshold / share))
    out = np.ones(images)
    np.maximum.at(out, image, factor[label])
    return out


def round_to_repeats(weights: NDArray[np.float64], seed: int = 0) -> NDArray[np.int64]:
    """Whole numbers of draws with the weights as their expectation, by systematic sampling in a random order.

    One random offset u: repeats are the whole numbers that the running sum of the weights, shifted by u, steps over.
    Each is ⌊w⌋ or ⌈w⌉, and their sum is Σw rounded (a half down). What that rounding adds or takes falls on all
    weights alike: hence the random order, without which it would fall on the images at the same places every time.

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


def _hardest(scores: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """The ⌈share · N⌉ highest scores above 0; of equal scores at the edge the earlier images."""
    limit = math.ceil(round(share * len(scores), 9))
    order = np.argsort(-scores, kind="stable")[:limit]
    hard = np.zeros(len(scores), dtype=bool)
    hard[order] = scores[order] > 0
    return hard


def _rank_shares(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each score ranks: 1 - (rank - 1) / n, rank 1 the highest, ties sharing the mean rank."""
    ascending = np.sort(scores)
    below = np.searchsorted(ascending, scores, side="left")
    through = np.searchsorted(ascending, scores, side="right")
    rank = len(scores) - (below + through - 1) / 2.0
    return np.asarray(1.0 - (rank - 1.0) / max(len(scores), 1), dtype=np.float64)


def _cap_background(
    weights: NDArray[np.float64], background: NDArray[np.bool_], share: float, notes: list[str]
) -> NDArray[np.float64]:
    extra = float((weights[background] - 1.0).sum())
    rest = float(weights.sum()) - extra
    if extra <= share * (rest + extra):
        return weights
    factor = share * rest / (extra * (1.0 - share))
    notes.append(f"extra weight of images without truth scaled by {factor:.2f}: at most {share:.0%} of all weight")
    return np.where(background, 1.0 + (weights - 1.0) * factor, weights)


def _keep_effective(
    weights: NDArray[np.float64], settings: MiningSettings, notes: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Flatten the weights until they, and the repeats made of them, keep the floor."""

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
