"""Columns of values that repeat: the different values once, and for every row which of them it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .grown import Grown

__all__ = ["Coded", "Coder", "coded_by"]

Codes = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Coded(Sequence[Any]):
    """A column of any values; what is done with a value is done once, however many rows have it.

    Attributes:
        values: each different value, in the order of the first rows that have it where they are no whole numbers.
        code: ``(n,)`` place in ``values`` of every row.

    Example:
        >>> column = Coded.of(["a", None, "a"])
        >>> column.values, column.code.tolist(), column.mapped(str).values
        (['a', None], [0, 1, 0], ['a', 'None'])
    """

    values: list[Any]
    code: Codes

    @classmethod
    def of(cls, values: Iterable[Any]) -> Coded:
        """Return the column of some values."""
        coder = Coder()
        coder.add(list(values))
        return coder.coded()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.code)

    def __getitem__(self, row: Any) -> Any:
        """Return the value of one row."""
        return self.values[self.code[row]]

    def mapped(self, change: Callable[[Any], Any]) -> Coded:
        """Return the column with each value changed."""
        return Coded([change(value) for value in self.values], self.code)

    def numbers(self, number: Callable[[Any], Any], kind: type = np.int64) -> NDArray[Any]:
        """Return ``(n,)`` numbers or flags, one by value."""
        return np.array([number(value) for value in self.values], dtype=kind)[self.code]

    def take(self, rows: NDArray[Any]) -> Coded:
        """Return the column of some rows (mask or indices), with the values that they have."""
        code = self.code[rows]
        used = np.zeros(len(self.values), dtype=bool)
        used[code] = True
        place = (np.cumsum(used) - 1).astype(np.int32)
        return Coded([self.values[i] for i in np.flatnonzero(used).tolist()], place[code])


class Coder:
    """Code a column part by part."""

    def __init__(self) -> None:
        self._known: dict[Any, int] = {}
        self._values: list[Any] = []
        self._codes = Grown(np.int32)
        self.count = 0

    def add(self, values: list[Any]) -> None:
        """Add rows."""
        self.count += len(values)
        if set(map(type, values)) == {int}:
            try:
                numbers = np.array(values, dtype=np.int64)
            except OverflowError:
                numbers = np.zeros(0, dtype=np.int64)
            if len(numbers):
                used, at = np.unique(numbers, return_inverse=True)
                codes = np.array([self._code(value) for value in used.tolist()], dtype=np.int32)
                self._codes.add(codes[at.reshape(-1)])
                return
        self._codes.add([self._code(value) for value in values])

    def coded(self, *, keep: bool = False) -> Coded:
        """Return the column of all rows added; it is empty afterwards, unless it should keep them."""
        return Coded(self._values, self._codes.whole(keep=keep))

    def _code(self, value: Any) -> int:
        """Return the code of a value; 1, 1.0 and True differ, and what has no hash is like no other."""
        try:
            code = self._known.setdefault((type(value), value), len(self._values))
        except TypeError:
            code = len(self._values)
        if code == len(self._values):
            self._values.append(value)
        return code


def coded_by(rows: Sequence[Mapping[str, Any]], key: str) -> Coded:
    """Return the values under a key, None where a row lacks it."""
    column = getattr(rows, "coded", None)
    return column(key) if column is not None else Coded.of(row.get(key) for row in rows)
