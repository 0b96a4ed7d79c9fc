"""Choose the mistakes to review next: those whose reviews are expected to change the weights most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..settings import MiningSettings
from ..weighting.images import Images
from .estimate import Estimator, Suspicion
from .mistakes import Mistakes
from .reviews import UNREVIEWED
from .settled import Settled

__all__ = ["choose_reviews", "next_reviews"]

TRIED = 8
"""Strata for which the change of the weights is computed; the others are ranked by the change of the shares."""


def next_reviews(
    mistakes: Mistakes,
    state: Iterable[str] | NDArray[Any] | None,
    images: Images,
    settings: MiningSettings,
    n: int = 1,
    *,
    seed: int = 0,
    skip: Iterable[int] = (),
    evidence: Mapping[str, Any] | None = None,
    settled: Settled | None = None,
) -> NDArray[np.int64]:
    """Return the mistakes to review next, the most informative first.

    The value of a review is the expected change of the weights, summed over all images, over its two possible answers
    with their current probabilities. It is the same for all mistakes of a stratum, so one of them is drawn at random
    and represents the others.

    Args:
        mistakes: as for :func:`~hnm_core.labels.estimate.estimate_labels`.
        state: ``(k,)`` review states so far; None for no reviews.
        images: the images.
        settings: as for mining.
        n: largest number of mistakes to return.
        seed: of the random draw.
        skip: rows that were shown already and have no review.
        evidence: as for :func:`~hnm_core.labels.estimate.estimate_labels`.
        settled: likewise.

    Returns:
        At most ``n`` rows of ``mistakes``, int64: mined, not reviewed, not in ``skip``.

    Example:
        >>> from hnm_core.taxonomy import BACKGROUND
        >>> errors = [BACKGROUND] * 3, [0, 0, 0], [0.9] * 3, [0.9] * 3, [False] * 3, [True] * 3
        >>> mistakes = Mistakes([0, 1, 2], *errors)  # three equal false positives in three images
        >>> images = Images(["a", "b", "c"], np.zeros(3, bool))
        >>> next_reviews(mistakes, ["", "ignore", ""], images, MiningSettings(), n=9, skip=[0]).tolist()
        [2]
    """
    return choose_reviews(Estimator(mistakes, images, settings, evidence, settled), state, n, seed=seed, skip=skip)


def choose_reviews(
    estimator: Estimator,
    state: Iterable[str] | NDArray[Any] | None,
    n: int = 1,
    *,
    seed: int = 0,
    skip: Iterable[int] = (),
) -> NDArray[np.int64]:
    """Return the same of mistakes that are estimated again and again."""
    suspicion, mistakes = estimator.suspicion(state), estimator.mistakes
    open_rows = mistakes.mined & (suspicion.state == UNREVIEWED) & (suspicion.stratum >= 0)
    open_rows[np.fromiter(skip, dtype=np.int64)] = False
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(open_rows))
    value = _review_values(estimator, suspicion, np.unique(suspicion.stratum[rows]))
    stratum = suspicion.stratum[rows]
    order = np.argsort(stratum, kind="stable")
    turn = np.empty(len(rows), dtype=np.int64)
    turn[order] = np.arange(len(rows)) - np.searchsorted(stratum[order], stratum[order])
    seen = suspicion.strata.levels.n[0][stratum] + 3.0
    return np.asarray(rows[np.argsort(-value[stratum] * seen / (seen + turn), kind="stable")[:n]], dtype=np.int64)


def _review_values(estimator: Estimator, suspicion: Suspicion, strata: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the value of a review in each stratum, ``(s,)``; -1 for strata that are not in ``strata``."""
    values = np.full(len(suspicion.strata), -1.0)
    if not len(strata):
        return values
    mistakes = estimator.mistakes
    free = replace(estimator.settings, effective_sample_floor=0.0)  # flattening is slow, and does not change the order
    counts = np.flatnonzero(mistakes.mined & (suspicion.state == UNREVIEWED) & (suspicion.stratum >= 0))
    mass = np.bincount(suspicion.stratum[counts], mistakes.difficulty[counts], len(values)).astype(np.float64)
    influence = suspicion.strata.levels.influence(mass)
    first = strata[np.argsort(-influence[strata], kind="stable")]
    before = estimator.weights(suspicion, free)
    moved = []
    for at in first[:TRIED].tolist():
        member = int(counts[np.argmax(suspicion.stratum[counts] == at)])
        moved.append(
            sum(
                chance * float(np.abs(estimator.weights(suspicion.after(member, wrong), free) - before).sum())
                for wrong, chance in ((True, suspicion.value[member]), (False, 1.0 - suspicion.value[member]))
            )
        )
    scale = min(
        (m / i for m, i in zip(moved, influence[first[: len(moved)]].tolist(), strict=True) if i > 0), default=0.0
    )
    values[first] = influence[first] * scale
    values[first[: len(moved)]] = moved
    return values
