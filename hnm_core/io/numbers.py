"""Read numbers from JSON and dicts: numbers, and text that is plainly one; anything else is named with its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_number", "id_text", "read_columns", "read_numbers"]

PLAIN = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


def as_number(value: Any) -> float | None:
    """Return a number, or text such as ``"0.9"``, as float; None for anything else, ``True`` included.

    Example:
        >>> as_number("0.9"), as_number(3), as_number(True), as_number("0_9"), as_number([1])
        (0.9, 3.0, None, None, None)
    """
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, str) and not PLAIN.fullmatch(value)):
        return None
    if isinstance(value, (list, tuple, bytes, bytearray)):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: a tensor of several values
        return None


def id_text(value: Any) -> str | None:
    """Return an id as text, so that 7, 7.0 and ``"7"`` are the same id; None for what is no id.

    Example:
        >>> id_text(7), id_text(7.0), id_text("007"), id_text(2**64), id_text(True), id_text([7])
        ('7', '7', '007', '18446744073709551616', None, None)
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, (int, np.integer)):
        return str(value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return None


def read_numbers(values: Sequence[Any]) -> tuple[NDArray[np.float64], list[int]]:
    """Return the values as ``(n,)`` float64, NaN for what is no number, and the places of those."""
    if set(map(type, values)) <= {int, float}:
        try:
            return np.array(values, dtype=np.float64), []
        except OverflowError:
            pass
    numbers = [as_number(value) for value in values]
    bad = [i for i, number in enumerate(numbers) if number is None]
    return np.array([np.nan if number is None else number for number in numbers], dtype=np.float64), bad


def read_columns(values: Sequence[Any], width: int) -> tuple[NDArray[np.float64], list[int]]:
    """Return rows of ``width`` numbers as ``(n, width)`` float64, and the places of rows that are no such numbers."""
    rows = [list(value) if isinstance(value, (list, tuple, np.ndarray)) else [] for value in values]
    whole = [i for i, row in enumerate(rows) if len(row) == width]
    flat, bad = read_numbers(list(chain.from_iterable(rows[i] for i in whole)))
    table = np.full((len(rows), width), np.nan)
    table[whole] = flat.reshape(-1, width)
    wrong = {whole[at // width] for at in bad} | set(range(len(rows))).difference(whole)
    return table, sorted(wrong)
