"""Weigh the kinds of evidence: a weight of its kind before any review, then as far as the reviews confirm it.

Evidence is a log-likelihood ratio per mistake, natural logarithm: how many times likelier the observation is if the
label is wrong. 0 or NaN is no evidence. Evidence adds its weight times this ratio to the log odds of a mistake.

Some kinds (:data:`KINDS`) only rank: they are standardised numbers, which say which mistake is likelier a label error
than another and not how many are. Where one of them is given, the log odds of each error type are shifted so that
their mean share stays as it is without evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..weighting.exact import exact_sums
from .stats import expit, logit
from .strata import Levels

__all__ = [
    *("KINDS", "LARGEST", "MOST", "Kind", "as_columns", "at_rows", "bins_of", "keep_mean", "kinds_of"),
    *("only_ranks", "shift_of", "weigh_evidence", "weighted"),
]

LARGEST = 4.0
"""Bound of a log-likelihood ratio, in both directions: odds of 55 to 1 (chosen)."""

MOST = 3.0
"""Largest weight of a kind of evidence (chosen)."""

ROUNDS, NEWTON = 4, 8
BIN, BINS = 0.05, 1024
"""Width of the bins of log odds in which :func:`keep_mean` counts, and their number."""


@dataclass(frozen=True)
class Kind:
    """What is known of a kind of evidence before any review.

    Attributes:
        weight: mean of the normal prior of its weight, which is the weight before any review.
        spread: standard deviation of that prior: how far reviews can move the weight.
        beside: the weight before any review where views are given too, which tell more.
        ranks: whether it only ranks.
        signed: whether the weight may be negative: nobody knows beforehand which way it points.
    """

    weight: float = 1.0
    spread: float = 1.0
    beside: float = 0.5
    ranks: bool = False
    signed: bool = False


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "views": Kind(weight=1.5, spread=0.5, beside=1.5, ranks=True),
        "steady": Kind(weight=0.0, spread=0.5, beside=0.0, ranks=True, signed=True),
    }
)
"""Kinds of evidence that are no log-likelihood ratios (chosen); for others :class:`Kind` holds as it is."""


def kinds_of(names: Sequence[str]) -> list[Kind]:
    """Return what is known of kinds of evidence, by name."""
    return [KINDS.get(name, Kind()) for name in names]


def only_ranks(names: Sequence[str]) -> bool:
    """Return whether one of these kinds of evidence only ranks."""
    return any(kind.ranks for kind in kinds_of(names))


def keep_mean(
    offset: NDArray[np.float64], group: NDArray[np.integer[Any]], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shift changes of log odds so that the mean share of each group stays what it is.

    Args:
        offset: ``(k,)`` changes of the log odds.
        group: ``(k,)`` the group of each, from 0.
        share: ``(groups,)`` share of every group, in (0, 1).

    Returns:
        ``(k,)`` float64 changes, equal up to one number per group.

    Example:
        >>> moved = keep_mean(np.array([3.0, 1.0]), np.array([0, 0]), np.array([0.5]))
        >>> moved.round(2).tolist(), float(expit(moved).mean().round(2))
        ([1.0, -1.0], 0.5)
    """
    middle = exact_sums(group, offset, len(share)) / np.maximum(np.bincount(group, minlength=len(share)), 1)
    centred = offset - middle[group]
    return np.asarray(centred - shift_of(bins_of(centred, group, len(share)), share)[group], dtype=np.float64)


def bins_of(centred: NDArray[np.float64], group: NDArray[np.integer[Any]], groups: int) -> NDArray[np.int64]:
    """Count changes of log odds, whose mean is about 0, in bins of each group, ``(groups, bins)`` int64."""
    place = np.clip(np.rint(centred / BIN).astype(np.int64) + BINS // 2, 0, BINS - 1)
    counts = np.bincount(group.astype(np.int64) * BINS + place, minlength=groups * BINS)
    return counts.reshape(groups, BINS)


def shift_of(counts: NDArray[np.int64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return per group how far counted changes must be lowered, so that the mean share is what is given."""
    groups = len(share)
    at, step = logit(share)[:, None], (np.arange(BINS) - BINS // 2) * BIN
    total = np.maximum(counts.sum(axis=1), 1)
    low, high = np.full(groups, -BIN * BINS), np.full(groups, BIN * BINS)
    for _ in range(40):  # halving, as the mean share falls steadily with the shift
        shift = (low + high) / 2.0
        above = (counts * expit(at + step - shift[:, None])).sum(axis=1) / total > share
        low, high = np.where(above, shift, low), np.where(above, high, shift)
    return np.asarray((low + high) / 2.0, dtype=np.float64)


def as_columns(evidence: Mapping[str, Any] | None, n: int) -> NDArray[np.float64]:
    """Return evidence as a matrix, ``(n, kinds)`` float64, kinds in the order given, 0 where there is none.

    Raises:
        ValueError: if a kind does not have one number per mistake.
    """
    columns = np.zeros((n, len(evidence or {})))
    for i, (name, values) in enumerate((evidence or {}).items()):
        column = np.asarray(values, dtype=np.float64)
        if column.shape != (n,):
            raise ValueError(f"evidence {name!r} has shape {column.shape}, expected ({n},): one number per mistake")
        columns[:, i] = np.clip(np.where(np.isnan(column), 0.0, column), -LARGEST, LARGEST)
    return columns


def weighted(columns: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted sum of the kinds of evidence of every mistake, ``(k,)``; a row's own bits in any table."""
    total = np.zeros(len(columns))
    for column, weight in zip(columns.T, weights, strict=True):  # a matrix product rounds by the place of the row
        total += column * weight
    return total


def at_rows(
    evidence: Mapping[str, Any], lengths: tuple[int, int], rows: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> dict[str, NDArray[np.float64]]:
    """Select evidence at some rows of two tables; rows of the predictions come first.

    Args:
        evidence: per kind ``(n,)`` for the predictions alone, or a pair of ``(n,)`` and ``(m,)``.
        lengths: n and m, the lengths of the tables.
        rows: row numbers in each table.

    Raises:
        ValueError: if a kind does not have one number per row.
    """
    out = {}
    for name, values in evidence.items():
        both = values if isinstance(values, tuple) else (values, np.full(lengths[1], np.nan))
        sides = [np.asarray(side, dtype=np.float64) for side in both]
        if [side.shape for side in sides] != [(n,) for n in lengths]:
            got, (n, m) = " and ".join(str(side.shape) for side in sides), lengths
            raise ValueError(f"evidence {name!r} has shapes {got}, expected ({n},) and ({m},): one number per row")
        out[name] = np.concatenate([side[at] for side, at in zip(sides, rows, strict=True)])
    return out


def weigh_evidence(
    columns: NDArray[np.float64],
    wrong: NDArray[np.bool_],
    stratum: NDArray[np.int64],
    code: NDArray[np.int64],
    label: NDArray[np.int64],
    kinds: Sequence[Kind] | None = None,
    counts: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the weight of each kind of evidence, ``(kinds,)`` float64 in [0, 3], or [-3, 3] if it is signed.

    Mode of a logistic regression of the reviews on the evidence, with the share of each error type as offset and the
    normal prior of each kind. Shares and weights are estimated in turns.

    Args:
        columns: ``(r, kinds)`` evidence at every review.
        wrong: ``(r,)`` bool, the reviews: whether the label is wrong.
        stratum: ``(r,)`` stratum of every review.
        code: ``(s,)`` error type of every stratum.
        label: ``(s,)`` its class.
        kinds: what is known of each kind beforehand; None for log-likelihood ratios.
        counts: ``(r,)`` how many reviews each counts as; None: each is one.

    Example:
        >>> values, strata = np.array([[2.0], [-2.0]] * 20), (np.zeros(40, int), np.array([6]), np.array([0]))
        >>> [weigh_evidence(values, values[:, 0] * way > 0, *strata).round(1).tolist() for way in (1, -1)]
        [[2.2], [0.0]]
    """
    kinds = kinds if kinds is not None else [Kind()] * columns.shape[1]
    counts = np.ones(len(columns)) if counts is None else counts
    prior = np.array([kind.weight for kind in kinds])
    pull = 1.0 / np.array([kind.spread for kind in kinds]) ** 2
    least = np.array([-MOST if kind.signed else 0.0 for kind in kinds])
    weights = prior.copy()
    if not columns.any():
        return weights
    for _ in range(ROUNDS):
        at = logit(Levels.of(code, label, stratum, wrong, columns @ weights, counts).of_type)[stratum]
        for _ in range(NEWTON):
            seen = expit(at + columns @ weights)
            slope = columns.T @ (columns * (counts * (seen * (1.0 - seen)))[:, None]) + np.diag(pull)
            off = columns.T @ (counts * (wrong - seen)) - (weights - prior) * pull
            weights = np.clip(weights + np.clip(np.linalg.solve(slope, off), -0.5, 0.5), least, MOST)
    return weights
