"""Read and write a table as one Parquet file: a row per box; names of images and classes in the metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import Detections

__all__ = ["memory_of_numpy", "pyarrow_and_parquet", "read_parquet", "write_parquet"]

WORLD = b"hnm_core"
"""Metadata key of ``{"images": [...], "classes": [...]}``."""

PAIRS = ("verified", "not_exhaustive")
CORNERS = ("x0", "y0", "x1", "y1")
NEEDED = ("image", "label", *CORNERS)


def write_parquet(table: Detections, path: str | Path) -> None:
    """Write a table; :func:`read_parquet` returns exactly the same.

    Columns: ``image`` and ``label`` (row numbers among the names), ``x0 y0 x1 y1``, and, if the table has them,
    ``score``, ``ids``, ``crowd``, ``kind``. The classes that were checked in an image are in the metadata.

    Raises:
        ImportError: if pyarrow is missing.
        ValueError: if ids are of mixed types.
    """
    arrow, parquet = pyarrow_and_parquet()
    columns: dict[str, Any] = {"image": table.image, "label": table.label}
    columns |= dict(zip(CORNERS, table.xyxy.T, strict=True))
    columns |= {name: column for name in ("score", "crowd", "kind") if (column := getattr(table, name)) is not None}
    if table.ids is not None:
        try:
            columns["ids"] = arrow.array(table.ids)
        except arrow.ArrowException as error:
            raise ValueError(
                f"ids cannot be written, because they are neither all text nor all numbers: {error}"
            ) from None
    world: dict[str, Any] = {"images": table.images, "classes": table.classes}
    world |= {name: pairs.tolist() for name in PAIRS if (pairs := getattr(table, name)) is not None}
    written = arrow.table({name: arrow.array(column) for name, column in columns.items()})
    parquet.write_table(written.replace_schema_metadata({WORLD: json.dumps(world)}), str(path))


def read_parquet(path: str | Path) -> Detections:
    """Read a table that :func:`write_parquet` wrote.

    Raises:
        FileNotFoundError: if the file does not exist.
        ImportError: if pyarrow is missing.
        ValueError: if the file was not written by :func:`write_parquet`.
    """
    arrow, parquet = pyarrow_and_parquet()
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no {path}")
    try:
        read = parquet.read_table(str(path))
    except arrow.ArrowInvalid as error:
        raise ValueError(f"{path} is not a Parquet file: {str(error).splitlines()[0]}") from None
    try:
        world = json.loads((read.schema.metadata or {}).get(WORLD, b"null"))
        listed = [world[names] for names in ("images", "classes")]
        known = all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in listed)
        pairs = {name: np.array(world[name], dtype=np.int64).reshape(-1, 2) for name in PAIRS if name in world}
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        known, pairs = False, {}
    missing = [name for name in NEEDED if name not in read.column_names]
    if not known or missing:
        what = f"lacks the columns {', '.join(missing)}" if missing else "does not name its images and classes"
        raise ValueError(f"{path} {what}; write it with hnm_core.io.write_parquet")

    def column(name: str) -> Any:
        if name not in read.column_names:
            return None
        values = read[name].to_numpy()
        return values.astype(str) if values.dtype == object else values

    return Detections(
        image=column("image"),
        xyxy=np.stack([column(name) for name in CORNERS], axis=1),
        label=column("label"),
        score=column("score"),
        images=tuple(world["images"]),
        classes=tuple(world["classes"]),
        ids=column("ids"),
        crowd=column("crowd"),
        kind=column("kind"),
        **pairs,
    )


def pyarrow_and_parquet() -> tuple[Any, Any]:
    """Return the modules ``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        ImportError: if they are missing, with what to install.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError("Parquet files need pyarrow: pip install pyarrow") from None
    return pyarrow, pyarrow.parquet


@contextmanager
def memory_of_numpy() -> Iterator[None]:
    """Let Arrow take its memory where NumPy does, from the C library, in the block.

    Each then uses again what the other gave back, pages that the process has already; Arrow's own pool asks the
    operating system for others, which takes longer than what is read into them, and keeps them.
    """
    arrow, _ = pyarrow_and_parquet()
    before = arrow.default_memory_pool()
    arrow.set_memory_pool(arrow.system_memory_pool())
    try:
        yield
    finally:
        arrow.set_memory_pool(before)
