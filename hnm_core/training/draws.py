"""Compute how often each image is drawn in an epoch: whole numbers whose long-run mean is the weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..weighting.weights import round_to_repeats

__all__ = ["draws_of_epoch", "order_of_epoch"]

GOLDEN = (5**0.5 - 1) / 2
"""Step of the offset per epoch: the multiples of the golden ratio fill [0, 1) most evenly."""


def draws_of_epoch(
    weights: NDArray[np.float64], epoch: int, *, seed: int = 0, draws: int | None = None
) -> NDArray[np.int64]:
    """Return how often each image is drawn in one epoch.

    Without ``draws`` an epoch is round(Σw) images long and no image is left out: repeats as in
    :func:`~..weights.round_to_repeats`, rounded again each epoch. With ``draws`` an epoch has that length and image
    ``i`` is drawn x = draws · w / Σw times on average, by systematic sampling: every count is ⌊x⌋ or ⌈x⌉. The offset
    moves on by the golden ratio, so that an image of x ≥ .62 never misses two consecutive epochs.

    Args:
        weights: ``(images,)`` float64 > 0; ≥ 1 without ``draws``.
        epoch: from 0; the same epoch of the same seed draws the same.
        seed: of the rounding.
        draws: images per epoch, or None.

    Returns:
        ``(images,)`` int64.

    Raises:
        ValueError: if a weight is not finite, or too small.

    Example:
        >>> weights = np.array([1.0, 1.0, 2.0])
        >>> draws_of_epoch(weights, 0).tolist()
        [1, 1, 2]
        >>> np.mean([draws_of_epoch(weights, epoch, draws=3) for epoch in range(400)], axis=0).round(2).tolist()
        [0.75, 0.75, 1.5]
    """
    weights = np.asarray(weights, dtype=np.float64)
    least = "finite and ≥ 1" if draws is None else "finite and > 0"
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 1.0 if draws is None else weights > 0)))
    if wrong.size:
        raise ValueError(
            f"{wrong.size} of {len(weights)} weights are not {least}, first {weights[wrong[0]]:g} at {wrong[0]}; "
            f"every image must still be drawn"
        )
    if draws is None:
        return round_to_repeats(weights, int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))
    rng = np.random.default_rng(seed)
    order, start = rng.permutation(len(weights)), rng.random()
    counts = np.zeros(len(weights), dtype=np.int64)
    if len(weights):
        edges = np.cumsum(weights[order]) * (draws / weights.sum())
        steps = np.floor(edges + (start + epoch * GOLDEN) % 1.0)
        steps[-1] = draws  # corrects rounding errors of the sum
        counts[order] = np.diff(steps, prepend=0.0)
    return counts


def order_of_epoch(
    weights: NDArray[np.float64], epoch: int, *, seed: int = 0, draws: int | None = None
) -> NDArray[np.int64]:
    """Return the shuffled images of one epoch, each as often as it is drawn.

    Example:
        >>> sorted(order_of_epoch(np.array([1.0, 2.0, 1.0]), 0).tolist())
        [0, 1, 1, 2]
    """
    drawn = np.repeat(np.arange(len(weights)), draws_of_epoch(weights, epoch, seed=seed, draws=draws))
    return np.random.default_rng([seed, epoch]).permutation(drawn)
