"""A column that is filled part by part, without holding its parts and the whole at the same time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grown"]

BLOCK = 1 << 25
"""Bytes of a block. From 32 MiB on the C library gives memory back to the system as soon as it is free; smaller blocks
may stay with the process."""


class Grown:
    """A column of numbers in blocks that are filled one after the other.

    Args:
        kind: type of the numbers.
        width: how many of them a row has; 0 for a column without a second dimension.

    Example:
        >>> column = Grown(np.int32)
        >>> column.add([1, 2])
        >>> column.add([3])
        >>> column.whole().tolist()
        [1, 2, 3]
    """

    def __init__(self, kind: Any, width: int = 0) -> None:
        self.kind, self.width = np.dtype(kind), width
        self.rows = BLOCK // (self.kind.itemsize * max(width, 1))
        self.count = 0
        self._blocks: list[NDArray[Any]] = []

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.count

    def add(self, part: Any) -> None:
        """Add rows at the end."""
        part = np.asarray(part, dtype=self.kind)
        start = 0
        while start < len(part):
            at = self.count % self.rows
            if at == 0:
                self._blocks.append(np.empty(self._shape(self.rows), dtype=self.kind))
            some = part[start : start + self.rows - at]
            self._blocks[-1][at : at + len(some)] = some
            self.count += len(some)
            start += len(some)

    def whole(self, *, keep: bool = False) -> NDArray[Any]:
        """Return all rows; the column is empty afterwards, unless it should keep them."""
        found, blocks, count = np.empty(self._shape(self.count), dtype=self.kind), self._blocks[::-1], self.count
        if not keep:
            self._blocks, self.count = [], 0
        for start in range(0, count, self.rows):
            found[start : start + self.rows] = blocks.pop()[: count - start]
        return found

    def _shape(self, rows: int) -> tuple[int, ...]:
        return (rows, self.width) if self.width else (rows,)
