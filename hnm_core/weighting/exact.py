"""Sums that do not depend on the order of their terms: fixed point 2⁻³², added as whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_floats", "exact_sum", "exact_sums", "exact_units"]

UNIT = 2.0**-32
"""Every term is rounded to a multiple of this; terms stay below 2²⁰, so that they are exact in float64."""

HALF_BITS = 26
"""Terms are split into two halves of so many bits, which float64 adds without rounding."""

ROWS_AT_ONCE = 2**18
"""Terms per block, few megabytes; up to 2²⁶ halves stay below 2⁵² when added. The blocks are added as unbounded whole
numbers."""


def exact_sum(values: NDArray[Any]) -> float:
    """Return the sum of the values, each rounded to 2⁻³².

    Args:
        values: ``(k,)`` numbers in (-2²⁰, 2²⁰).

    Example:
        >>> values = np.array([0.1, 0.2, 0.3, 1e-9])
        >>> exact_sum(values) == exact_sum(values[::-1])
        True
    """
    total = 0
    for start in range(0, len(values), ROWS_AT_ONCE):
        units = _units(values[start : start + ROWS_AT_ONCE])
        total += int((units >> HALF_BITS).sum()) * 2**HALF_BITS + int((units & (2**HALF_BITS - 1)).sum())
    return float(total * UNIT)


def exact_sums(index: NDArray[np.integer[Any]], values: NDArray[Any], length: int) -> NDArray[np.float64]:
    """Return the sum of the values of each group, as ``np.bincount`` does, whatever the order of the rows.

    Args:
        index: ``(k,)`` group of each value, 0 ≤ index < ``length``.
        values: ``(k,)`` numbers in (-2²⁰, 2²⁰).
        length: number of groups.

    Returns:
        ``(length,)`` float64.

    Example:
        >>> exact_sums(np.array([1, 0, 1]), np.array([0.5, 1.0, 0.25]), 3).tolist()
        [1.0, 0.75, 0.0]
    """
    return as_floats(exact_units(index, values, length))


def exact_units(index: NDArray[np.integer[Any]], values: NDArray[Any], length: int) -> NDArray[np.object_]:
    """Return the sums of :func:`exact_sums` as whole numbers of 2⁻³², ``(length,)`` of Python's unbounded integers.

    Sums of parts of the data are added, in any order, before :func:`as_floats` makes numbers of them.

    Example:
        >>> parts = [exact_units(np.array([0, 1]), np.array([0.1, value]), 2) for value in (0.2, 0.3)]
        >>> as_floats(parts[0] + parts[1]).round(6).tolist()
        [0.2, 0.5]
    """
    totals = np.zeros(length, dtype=object)
    for start in range(0, len(values), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        units = _units(values[rows])
        for half, factor in ((units >> HALF_BITS, 2**HALF_BITS), (units & (2**HALF_BITS - 1), 1)):
            sums = np.bincount(index[rows], half, minlength=length).astype(np.int64)
            totals += sums.astype(object) * factor
    return totals


def as_floats(units: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return sums that :func:`exact_units` has counted, ``(length,)`` float64."""
    return np.array([total * UNIT for total in units.tolist()], dtype=np.float64)


def _units(values: NDArray[Any]) -> NDArray[np.int64]:
    return np.rint(np.asarray(values, dtype=np.float64) / UNIT).astype(np.int64)
