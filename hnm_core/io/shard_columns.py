"""Columns of a shard: lists per image in Arrow, rows over all images in numpy, and back.

A list column holds, for each image, its boxes, labels or scores. What is not known is null, never NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .parquet import pyarrow_and_parquet

__all__ = [
    "EVIDENCE",
    "OF_TRUTH",
    "NotTheColumnError",
    "list_of",
    "lists",
    "numbers_of",
    "rows_of",
    "schema_of",
    "texts",
    "values_of",
]

OF_TRUTH = "gt_"
"""Prefix of the columns of the ground truth; those of the predictions have none."""

EVIDENCE = "evidence:"
"""Prefix of the columns of evidence, before the name of its kind."""

Rows = NDArray[Any]


class NotTheColumnError(ValueError):
    """A column lacks, or holds something else than it should; the message says which."""


def schema_of(names: Any) -> Mapping[str, Any]:
    """Return the Arrow type of every column of these names.

    ``image`` and ``file`` are text, ``width`` and ``height`` float64, ``group`` is text or int64; all others are
    lists: boxes of four float64 ``x0 y0 x1 y1``, labels int32, kinds uint8, scores and evidence float64, twins int64.
    """
    arrow, _ = pyarrow_and_parquet()
    of_image = {"image": arrow.string(), "file": arrow.string(), "width": arrow.float64(), "height": arrow.float64()}
    elements = {
        **{"box": arrow.list_(arrow.float64(), 4), "label": arrow.int32(), "score": arrow.float64()},
        **{"kind": arrow.uint8(), "twin": arrow.int64(), "verified": arrow.int32(), "not_exhaustive": arrow.int32()},
    }

    def of(name: str) -> Any:
        inner = name.removeprefix(OF_TRUTH)
        return arrow.list_(elements.get(inner, arrow.float64()))

    return {name: of_image[name] if name in of_image else of(name) for name in names if name != "group"}


def lists(values: Rows, ends: NDArray[np.int64], name: str) -> Any:
    """Return a list column.

    Args:
        values: ``(k,)`` or ``(k, 4)``, sorted by image; NaN becomes null.
        ends: ``(images + 1,)`` where the values of each image begin, and where the last one's end.
        name: of the column.
    """
    arrow, _ = pyarrow_and_parquet()
    element = schema_of([name])[name].value_type
    if values.ndim == 2:
        inner = arrow.FixedSizeListArray.from_arrays(_as_arrow(values.ravel(), arrow.float64()), 4)
    else:
        inner = numbers_of(values, element)
    return arrow.ListArray.from_arrays(_as_arrow(ends - ends[0], arrow.int32()), inner)


def numbers_of(values: Rows, kind: Any) -> Any:
    """Return a column of numbers of an Arrow type; NaN becomes null."""
    if values.dtype.kind == "f" and np.isnan(values).any():
        arrow, _ = pyarrow_and_parquet()
        return arrow.array(values, type=kind, from_pandas=True)
    return _as_arrow(values, kind)


def texts(values: Sequence[str | None]) -> Any:
    """Return a column of texts; ``arrow.array`` would import pandas."""
    arrow, _ = pyarrow_and_parquet()
    written = [b"" if text is None else text.encode() for text in values]
    ends = np.cumsum([0, *map(len, written)])
    there = np.array([text is not None for text in values], dtype=bool)
    bits = None if there.all() else _bits(there)
    buffers = [bits, arrow.py_buffer(ends.astype(np.int64)), arrow.py_buffer(b"".join(written))]
    return arrow.Array.from_buffers(arrow.large_string(), len(values), buffers).cast(arrow.string())


def flags_of(values: NDArray[np.bool_]) -> Any:
    """Return a column of flags; ``arrow.array`` would import pandas."""
    arrow, _ = pyarrow_and_parquet()
    return arrow.Array.from_buffers(arrow.bool_(), len(values), [None, _bits(values)])


def _bits(flags: NDArray[np.bool_]) -> Any:
    arrow, _ = pyarrow_and_parquet()
    return arrow.py_buffer(np.packbits(flags, bitorder="little"))


def _as_arrow(values: Rows, kind: Any) -> Any:
    """Return numbers as an Arrow array without nulls; ``arrow.array`` would import pandas, as do names of types.

    Raises:
        OverflowError: if the type is too small for them.
    """
    arrow, _ = pyarrow_and_parquet()
    of_numpy = "f" if arrow.types.is_floating(kind) else "u" if arrow.types.is_unsigned_integer(kind) else "i"
    column = np.ascontiguousarray(values, dtype=f"{of_numpy}{kind.bit_width // 8}")
    if values.dtype.kind in "iu" and not np.array_equal(column, values):
        raise OverflowError(f"numbers do not fit into {kind}")
    return arrow.Array.from_buffers(kind, len(column), [None, arrow.py_buffer(column)])


def values_of(table: Any, name: str) -> list[Any] | Rows:
    """Return a column with one value per image: text as a list with None for null, numbers with NaN for null.

    Raises:
        NotTheColumnError: if it is none.
    """
    wanted = schema_of([name]).get(name)
    column = table[name] if wanted is None else _cast(table[name], name, wanted)
    arrow, _ = pyarrow_and_parquet()
    if wanted is not None and arrow.types.is_floating(wanted):
        return np.concatenate([np.zeros(0), *map(_as_numpy, column.chunks)])
    return list(column.to_pylist())


def list_of(table: Any, name: str) -> tuple[NDArray[np.int64], Rows]:
    """Return how many values each image has, ``(images,)`` int64, and all values, ``(k,)`` or ``(k, 4)``.

    Null inside the lists is NaN, which only evidence may hold.

    Raises:
        NotTheColumnError: if it is no such column.
    """
    column = _cast(table[name], name, schema_of([name])[name]).combine_chunks()
    arrow, _ = pyarrow_and_parquet()
    column = column if isinstance(column, arrow.Array) else column.chunk(0) if column.num_chunks else None
    if column is None:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 4) if name.endswith("box") else 0)
    if column.null_count:
        raise NotTheColumnError(f"column {name!r} has {column.null_count} nulls, expected a list for every image")
    counts = np.diff(_as_numpy(column.offsets)).astype(np.int64)
    inner = column.flatten()
    if inner.null_count and EVIDENCE not in name:
        raise NotTheColumnError(f"column {name!r} has {inner.null_count} nulls inside its lists, expected numbers")
    if not name.endswith("box"):
        return counts, _as_numpy(inner)
    numbers = inner.flatten()
    if numbers.null_count:
        raise NotTheColumnError(f"column {name!r} has {numbers.null_count} nulls inside its boxes, expected numbers")
    return counts, _as_numpy(numbers).reshape(-1, 4)


def _as_numpy(column: Any) -> Rows:
    """Return numbers, null as NaN, without a copy if there is no null; ``to_numpy`` would import pandas."""
    return column.to_numpy(zero_copy_only=False) if column.null_count else np.from_dlpack(column)


def rows_of(table: Any, name: str, counts: NDArray[np.int64]) -> Rows:
    """Return the values of a column that has as many in each image as another one.

    Raises:
        NotTheColumnError: if it has more or fewer.
    """
    found, values = list_of(table, name)
    if not np.array_equal(found, counts):
        at = int(np.flatnonzero(found != counts)[0])
        raise NotTheColumnError(
            f"column {name!r} has {found[at]} values in row {at}, but there are {counts[at]} boxes in it"
        )
    return values


def _cast(column: Any, name: str, wanted: Any) -> Any:
    if column.type == wanted:
        return column
    arrow, _ = pyarrow_and_parquet()
    try:
        return column.cast(wanted)
    except arrow.ArrowException:
        raise NotTheColumnError(f"column {name!r} is {column.type}, expected {wanted}") from None
