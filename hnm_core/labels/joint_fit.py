"""Fit the shares of the strata and the weights of evidence that only ranks together, so that no review counts twice.

Shares that are shrunk level by level let one review move its error type, then its class again, then its stratum again.
Evidence that ranks leaves less for the strata to tell (their score bands are in it), and that is too much then:
measured on photographs, 100 answers made the ranking worse. So all levels and weights are the mode of one posterior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..taxonomy import ROW_NAMES
from .evidence_weights import MOST, Kind, weighted
from .prior import prior_suspicion
from .stats import expit, logit
from .strata import PSEUDO_COUNTS, Levels

__all__ = ["fit_jointly", "prior_weights"]

PULL = PSEUDO_COUNTS / 4.0
"""Precision of the difference between the log odds of a level and of the level above: of its pseudo-counts at 1 : 1."""

NEWTON, CLOSE = 40, 1e-9
"""Steps at most, and the step that ends them."""


def prior_weights(kinds: Sequence[Kind]) -> NDArray[np.float64]:
    """Return the weight of each kind of evidence before any review, ``(kinds,)``."""
    beside = any(kind.ranks for kind in kinds)
    return np.array([kind.beside if beside else kind.weight for kind in kinds])


def fit_jointly(
    columns: NDArray[np.float64],
    wrong: NDArray[np.bool_],
    stratum: NDArray[np.int64],
    code: NDArray[np.int64],
    label: NDArray[np.int64],
    kinds: Sequence[Kind],
    counts: NDArray[np.float64],
    shift: NDArray[np.float64],
) -> tuple[NDArray[np.float64], Levels]:
    """Return the weight of each kind of evidence, ``(kinds,)`` in [0, 3] or [-3, 3], and the levels.

    Mode of a logistic regression of the reviews. Its log odds are those of the prior, a number of the error type, one
    of the class in it and one of the stratum, each normal around 0, and the weighted evidence less ``shift``; weights
    have the normal prior of their kind.

    Args:
        columns: ``(r, kinds)`` evidence at every review.
        wrong: ``(r,)`` bool, the reviews: whether the label is wrong.
        stratum: ``(r,)`` stratum of every review.
        code: ``(s,)`` error type of every stratum.
        label: ``(s,)`` its class.
        kinds: what is known of each kind beforehand.
        counts: ``(r,)`` how many reviews each counts as.
        shift: by error type, how far the log odds are lowered.
    """
    prior = prior_weights(kinds)
    pull = 1.0 / np.array([kind.spread for kind in kinds]) ** 2
    least = np.array([-MOST if kind.signed else 0.0 for kind in kinds])
    levels = Levels.of(code, label, stratum, wrong, None, counts)  # for its counts of reviews
    class_of = levels.to_class
    type_of = np.zeros(int(class_of.max(initial=-1)) + 1, dtype=np.int64)
    type_of[class_of] = code
    start = logit(np.nan_to_num(prior_suspicion(np.arange(len(ROW_NAMES), dtype=np.int8))))
    parents = class_of, type_of, np.zeros(len(start), dtype=np.int64)
    moved = [np.zeros(len(parent)) for parent in parents]  # of each stratum, class and type, against the level above
    weights = prior.copy()
    for _ in range(NEWTON):
        odds = start[code] + moved[2][code] + moved[1][class_of] + moved[0]
        seen = expit((odds - shift[code])[stratum] + weighted(columns, weights))
        off, known = counts * (wrong - seen), counts * seen * (1.0 - seen)
        slope = columns.T @ off - pull * (weights - prior)
        fixed = ((weights <= least) & (slope < 0)) | ((weights >= MOST) & (slope > 0))
        curve = columns.T @ (columns * known[:, None]) + np.diag(pull)
        sums = np.column_stack([off, known, columns * known[:, None]])
        change, *steps = _newton(curve, slope, _sums(stratum, sums, len(code)), moved, parents, ~fixed)
        weights = np.clip(weights + np.clip(change, -0.5, 0.5), least, MOST)
        moved = [each + np.clip(step, -1.0, 1.0) for each, step in zip(moved, steps, strict=True)]
        if max(float(np.abs(step).max(initial=0.0)) for step in (change, *steps)) < CLOSE:
            break
    of_type = (start + moved[2])[code]
    of_class = of_type + moved[1][class_of]
    own, of_class, of_type = (expit(odds) for odds in (of_class + moved[0], of_class, of_type))
    return weights, replace(levels, own=own, of_class=of_class, of_type=of_type)


def _newton(
    curve: NDArray[np.float64],
    slope: NDArray[np.float64],
    sums: NDArray[np.float64],
    moved: Sequence[NDArray[np.float64]],
    parents: Sequence[NDArray[np.int64]],
    free: NDArray[np.bool_],
) -> list[NDArray[np.float64]]:
    """Return the Newton step of the weights, and that of each level, the lowest first.

    Levels are eliminated from below, one number at a time, since each knows only its parent and the weights.

    Args:
        curve: ``(kinds, kinds)`` second derivatives by the weights.
        slope: ``(kinds,)`` first derivatives.
        sums: ``(s, 2 + kinds)`` per stratum: first and second derivative by its log odds, and that by each weight.
        moved: where the levels are.
        parents: of each number in each level, its place in the level above.
        free: ``(kinds,)`` which weights may move.
    """
    below, above_counts = [], [*(len(value) for value in moved[1:]), 1]
    for value, parent, count in zip(moved, parents, above_counts, strict=True):
        known, mixed = sums[:, 1], sums[:, 2:]
        rest, total = sums[:, 0] - PULL * value, known + PULL
        curve, slope = curve - (mixed.T / total) @ mixed, slope - mixed.T @ (rest / total)
        below.append((rest, known, mixed, total, parent))
        passed = np.column_stack([sums[:, 0] - known * rest / total, sums[:, 1:] * (PULL / total)[:, None]])
        sums = _sums(parent, passed, count)
    change = np.zeros(len(slope))
    change[free] = np.linalg.solve(curve[np.ix_(free, free)], slope[free])
    steps, above = list[NDArray[np.float64]](), np.zeros(1)
    for rest, known, mixed, total, parent in reversed(below):
        step = (rest - known * above[parent] - mixed @ change) / total
        steps.insert(0, step)
        above = above[parent] + step
    return [change, *steps]


def _sums(group: NDArray[np.int64], values: NDArray[np.float64], groups: int) -> NDArray[np.float64]:
    """Return the sums of the rows of each group, ``(groups, columns)``."""
    return np.stack([np.bincount(group, column, groups) for column in values.T], axis=1).astype(np.float64)
