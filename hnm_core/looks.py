"""Which mistakes to show next: those whose answers are expected to change the weights most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .imageset import Images
from .judging import Suspicion, suspicions_of, weights_of
from .mistakes import Mistakes
from .reviews import UNREVIEWED
from .settings import MiningSettings

__all__ = ["next_looks"]

TRIED = 8
"""Strata whose answers are thought through to the weights; the others rank by the shares that they would move."""


def next_looks(
    mistakes: Mistakes,
    state: Iterable[str] | NDArray[Any] | None,
    images: Images,
    settings: MiningSettings,
    n: int = 1,
    *,
    seed: int = 0,
    asked: Iterable[int] = (),
    evidence: Mapping[str, Any] | None = None,
) -> NDArray[np.int64]:
    """The mistakes to show next, the most telling first.

    What a look is worth is the sum over all images of how far it is expected to move their weight, over its two
    answers, each as likely as is believed now. All of a stratum are alike in that, so one of them is drawn at random:
    an answer then stands for those that nobody looks at.

    Args:
        mistakes: as for :func:`~hnm_core.judging.judge`.
        state: ``(k,)`` what was said so far.
        images: the images.
        settings: as for mining.
        n: how many to show at most.
        seed: another seed, another draw.
        asked: rows that were shown already and have no answer.
        evidence: as for :func:`~hnm_core.judging.judge`.

    Returns:
        At most ``n`` rows of ``mistakes``, int64: mined, not judged, never one of ``asked``.

    Example:
        >>> from hnm_core.taxonomy import BACKGROUND
        >>> alarms = [BACKGROUND] * 3, [0, 0, 0], [0.9] * 3, [0.9] * 3, [False] * 3, [True] * 3
        >>> mistakes = Mistakes([0, 1, 2], *alarms)  # three, as sure and as hard as each other, in three images
        >>> images = Images(["a", "b", "c"], np.zeros(3, bool))
        >>> next_looks(mistakes, ["", "ignore", ""], images, MiningSettings(), n=9, asked=[0]).tolist()
        [2]
    """
    believed = suspicions_of(mistakes, state, evidence)
    open_to = mistakes.mined & (believed.state == UNREVIEWED) & (believed.stratum >= 0)
    open_to[np.fromiter(asked, dtype=np.int64)] = False
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(open_to))
    value = _worth(mistakes, believed, images, settings, np.unique(believed.stratum[rows]))
    stratum = believed.stratum[rows]
    order = np.argsort(stratum, kind="stable")
    turn = np.empty(len(rows), dtype=np.int64)
    turn[order] = np.arange(len(rows)) - np.searchsorted(stratum[order], stratum[order])
    seen = believed.strata.levels.n[0][stratum] + 3.0
    return np.asarray(rows[np.argsort(-value[stratum] * seen / (seen + turn), kind="stable")[:n]], dtype=np.int64)


def _worth(
    mistakes: Mistakes, believed: Suspicion, images: Images, settings: MiningSettings, strata: NDArray[np.int64]
) -> NDArray[np.float64]:
    """``(s,)`` what a look into each stratum is worth; -1 for those nobody can look into."""
    worth = np.full(len(believed.strata), -1.0)
    if not len(strata):
        return worth
    settings = replace(settings, effective_sample_floor=0.0)  # flattening the weights takes long and changes no order
    counts = np.flatnonzero(mistakes.mined & (believed.state == UNREVIEWED) & (believed.stratum >= 0))
    mass = np.bincount(believed.stratum[counts], mistakes.difficulty[counts], len(worth)).astype(np.float64)
    influence = believed.strata.levels.influence(mass)
    first = strata[np.argsort(-influence[strata], kind="stable")]
    before = weights_of(mistakes, believed, images, settings)
    moved = []
    for at in first[:TRIED].tolist():
        member = int(counts[np.argmax(believed.stratum[counts] == at)])
        moved.append(
            sum(
                chance
                * float(np.abs(weights_of(mistakes, believed.after(member, wrong), images, settings) - before).sum())
                for wrong, chance in ((True, believed.value[member]), (False, 1.0 - believed.value[member]))
            )
        )
    scale = min(
        (m / i for m, i in zip(moved, influence[first[: len(moved)]].tolist(), strict=True) if i > 0), default=0.0
    )
    worth[first] = influence[first] * scale
    worth[first[: len(moved)]] = moved
    return worth
