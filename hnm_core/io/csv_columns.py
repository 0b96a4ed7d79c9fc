"""Write columns as CSV, the bytes of Python's ``csv``; many rows by Arrow, which takes a tenth of the time."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cells import safe_cell
from .parquet import memory_of_numpy
from .shard_columns import flags_of, numbers_of, texts

__all__ = ["Numbers", "Words", "write_columns"]

MANY, SOME = 100_000, 2_000
"""Rows from which on Arrow is worth its import, and its use where it is imported already (chosen)."""

ROWS_AT_ONCE = 20_000
"""Rows that are texts at the same time."""

END = "\r\n"
SPECIAL = re.compile('[,"\r\n]')
TINY, HUGE = 1e-4, 1e9
"""Between these Arrow writes numbers as Python does, but whole ones without ``.0``; others are left to Python."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """A column of numbers.

    Attributes:
        values: ``(k,)`` floats or whole numbers.
        empty: ``(k,)`` bool, rows whose cell is empty; None for none.
    """

    values: NDArray[Any]
    empty: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    def cells(self, rows: slice) -> list[Any]:
        """Return some of the cells."""
        found: list[Any] = self.values[rows].tolist()
        if self.empty is not None:
            for at in np.flatnonzero(self.empty[rows]).tolist():
                found[at] = ""
        return found


@dataclass(frozen=True, eq=False)
class Words:
    """A column of texts that repeat, safe for spreadsheets.

    Attributes:
        words: the different texts.
        at: ``(k,)`` place in ``words`` of every row; None: each once, in their order.
    """

    words: Sequence[str]
    at: NDArray[np.integer[Any]] | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.words if self.at is None else self.at)

    def cells(self, rows: slice) -> list[Any]:
        """Return some of the cells."""
        if self.at is None:
            return [safe_cell(word) for word in self.words[rows]]
        safe = {i: safe_cell(self.words[i]) for i in np.unique(self.at[rows]).tolist()}
        return [safe[i] for i in self.at[rows].tolist()]


Columns = Sequence[Numbers | Words]


def write_columns(path: Path, head: Sequence[str], parts: Iterable[Columns], rows: int) -> None:
    """Write a CSV file in UTF-8 with a header.

    Args:
        path: of the file.
        head: names of the columns.
        parts: the columns, of some rows after the others. The words of a column are the same in all parts.
        rows: how many all parts have.
    """
    with path.open("wb") as file:
        file.write(_as_csv([head]))
        if _worth_arrow(rows):
            with memory_of_numpy():
                file.writelines(_by_arrow(parts))
            return
        for columns in parts:
            for block in _blocks(len(columns[0])):
                file.write(_as_csv(zip(*(column.cells(block) for column in columns), strict=True)))


def _worth_arrow(rows: int) -> bool:
    return rows >= (SOME if "pyarrow" in sys.modules else MANY) and find_spec("pyarrow") is not None


def _blocks(rows: int) -> list[slice]:
    return [slice(start, min(start + ROWS_AT_ONCE, rows)) for start in range(0, rows, ROWS_AT_ONCE)]


def _as_csv(rows: Any) -> bytes:
    with io.StringIO(newline="") as out:
        csv.writer(out).writerows(rows)
        return out.getvalue().encode()


def _by_arrow(parts: Iterable[Columns]) -> Iterator[Any]:
    import pyarrow
    import pyarrow.compute as compute

    written: list[Any] = []
    nothing, comma, point, end = texts(["", ",", ".0", END])  # Arrow would import pandas to make these of plain text

    def cells(column: Numbers | Words, words: Any, rows: slice) -> Any:
        if isinstance(column, Words):
            if column.at is None:
                return words[rows.start : rows.stop]
            return words.take(numbers_of(column.at[rows], _kind("int64")))
        values = column.values[rows]
        found = numbers_of(values, _kind("double" if values.dtype.kind == "f" else "int64")).cast(_kind("string"))
        if values.dtype.kind == "f":
            whole, size = compute.binary_join_element_wise(found, nothing, point), np.abs(values)
            found = compute.if_else(flags_of(values == np.floor(values)), whole, found)
            odd = ~((size >= TINY) & (size < HUGE)) & (size != 0)
            found = replaced(found, odd, list(map(repr, values[odd].tolist())))
        empty = None if column.empty is None else column.empty[rows]
        return found if empty is None else replaced(found, empty, [""] * int(empty.sum()))

    def replaced(found: Any, where: NDArray[np.bool_], by: list[str]) -> Any:
        return compute.replace_with_mask(found, flags_of(where), texts(by)) if by else found

    def of_words(words: Sequence[str]) -> Any:
        return pyarrow.concat_arrays([texts(_quoted(words[block])) for block in _blocks(len(words) or 1)])

    for columns in parts:
        written = written or [of_words(column.words) if isinstance(column, Words) else None for column in columns]
        for rows in _blocks(len(columns[0])):
            joined = [cells(column, words, rows) for column, words in zip(columns, written, strict=True)]
            lines = compute.binary_join_element_wise(compute.binary_join_element_wise(*joined, comma), nothing, end)
            _, ends, data = lines.buffers()
            last = np.frombuffer(ends, dtype=np.int32)[len(lines)]
            yield memoryview(data)[:last]
        del columns  # before the next part is made


def _kind(name: str) -> Any:
    import pyarrow

    return pyarrow.type_for_alias(name)


def _quoted(words: Sequence[str]) -> list[str]:
    """Return texts as they stand in a CSV file."""
    safe = [safe_cell(word) for word in words]
    if not SPECIAL.search("".join(safe)):
        return safe
    return [_as_csv([(word, "")]).decode().removesuffix(f",{END}") if SPECIAL.search(word) else word for word in safe]
