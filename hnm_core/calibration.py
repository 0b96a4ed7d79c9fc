"""How much evidence is worth: as much as it says before anyone looked, then as much as the answers bear out.

Evidence is a log-likelihood ratio per mistake: how many times likelier what was seen is if the label is wrong, as a
natural logarithm. 0, or NaN, says nothing. What evidence adds to the log odds of a mistake is its weight times that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .odds import expit, logit
from .posterior import Levels

__all__ = ["LARGEST", "as_columns", "at_rows", "weigh_evidence"]

LARGEST = 4.0
"""No single piece of evidence says more than this, either way: 55 to 1 (chosen)."""

WEIGHT, SPREAD = 1.0, 1.0
"""Before anyone looked evidence is taken at its word; answers move its weight from there (chosen, normal prior)."""

MOST = 3.0
ROUNDS, NEWTON = 4, 8


def as_columns(evidence: Mapping[str, Any] | None, n: int) -> NDArray[np.float64]:
    """Evidence as a matrix, ``(n, kinds)``, kinds in the order given, 0 where nothing is said.

    Raises:
        ValueError: if a kind does not have one number per mistake.
    """
    columns = np.zeros((n, len(evidence or {})))
    for i, (name, values) in enumerate((evidence or {}).items()):
        column = np.asarray(values, dtype=np.float64)
        if column.shape != (n,):
            raise ValueError(f"evidence {name!r} has shape {column.shape}, expected ({n},): one number per mistake")
        columns[:, i] = np.clip(np.nan_to_num(column, nan=0.0, posinf=LARGEST, neginf=-LARGEST), -LARGEST, LARGEST)
    return columns


def at_rows(
    evidence: Mapping[str, Any], lengths: tuple[int, int], rows: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> dict[str, NDArray[np.float64]]:
    """Evidence on the rows of two tables, at some rows of both, those of the predictions first.

    Args:
        evidence: per kind ``(n,)`` for the predictions alone, or a pair of ``(n,)`` and ``(m,)``.
        lengths: n and m.
        rows: the rows wanted.

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
) -> NDArray[np.float64]:
    """The weight of each kind of evidence, ``(kinds,)`` in [0, 3]: 1 before anybody looked.

    The mode of a logistic regression of the answers on the evidence, over the share of each error type, with a normal
    prior of mean 1 and standard deviation 1; shares and weights in turns.

    Args:
        columns: ``(r, kinds)`` evidence at every answer.
        wrong: ``(r,)`` the answers: whether the label is wrong.
        stratum: ``(r,)`` stratum of every answer.
        code: ``(s,)`` error type of every stratum.
        label: ``(s,)`` its class.

    Example:
        >>> said, strata = np.array([[2.0], [-2.0]] * 20), (np.zeros(40, int), np.array([6]), np.array([0]))
        >>> [weigh_evidence(said, said[:, 0] * way > 0, *strata).round(1).tolist() for way in (1, -1)]
        [[2.2], [0.0]]
    """
    weights = np.full(columns.shape[1], WEIGHT)
    if not columns.any():
        return weights
    for _ in range(ROUNDS):
        at = logit(Levels.of(code, label, stratum, wrong, columns @ weights).of_type)[stratum]
        for _ in range(NEWTON):
            seen = expit(at + columns @ weights)
            slope = columns.T @ (columns * (seen * (1.0 - seen))[:, None]) + np.eye(len(weights)) / SPREAD**2
            off = columns.T @ (wrong - seen) - (weights - WEIGHT) / SPREAD**2
            weights = np.clip(weights + np.clip(np.linalg.solve(slope, off), -0.5, 0.5), 0.0, MOST)
    return weights
