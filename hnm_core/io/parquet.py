"""A table as one Parquet file: a row per box, and in the file's metadata the names of all images and classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import Detections

__all__ = ["read_parquet", "write_parquet"]

WORLD = b"hnm_core"
"""Metadata key of ``{"images": [...], "classes": [...]}``."""

CORNERS = ("x0", "y0", "x1", "y1")
NEEDED = ("image", "label", *CORNERS)


def write_parquet(table: Detections, path: str | Path) -> None:
    """Write a table so that :func:`read_parquet` gives it back, to the last bit.

    Columns: ``image`` and ``label`` (row numbers among the names), ``x0 y0 x1 y1``, and where the table has them
    ``score``, ``ids``, ``crowd``.

    Raises:
        ImportError: if pyarrow is missing.
        ValueError: if ids are of more than one kind.
    """
    arrow, parquet = _pyarrow()
    columns: dict[str, Any] = {"image": table.image, "label": table.label}
    columns |= dict(zip(CORNERS, table.xyxy.T, strict=True))
    columns |= {name: column for name in ("score", "crowd") if (column := getattr(table, name)) is not None}
    if table.ids is not None:
        try:
            columns["ids"] = arrow.array(table.ids)
        except arrow.ArrowException as error:
            raise ValueError(f"ids must all be text or all be numbers to be written: {error}") from None
    world = {"images": table.images, "classes": table.classes}
    written = arrow.table({name: arrow.array(column) for name, column in columns.items()})
    parquet.write_table(written.replace_schema_metadata({WORLD: json.dumps(world)}), str(path))


def read_parquet(path: str | Path) -> Detections:
    """The table that :func:`write_parquet` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ImportError: if pyarrow is missing.
        ValueError: if the file is none that was written so.
    """
    arrow, parquet = _pyarrow()
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no {path}")
    try:
        read = parquet.read_table(str(path))
    except arrow.ArrowInvalid as error:
        raise ValueError(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from None
    world = json.loads((read.schema.metadata or {}).get(WORLD, b"null"))
    missing = [name for name in NEEDED if name not in read.column_names]
    if world is None or missing:
        what = f"lacks the columns {', '.join(missing)}" if missing else "does not name its images and classes"
        raise ValueError(f"{path} {what}; hnm_core.io.write_parquet writes what is read here")

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
    )


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError("Parquet files need pyarrow: pip install pyarrow") from None
    return pyarrow, pyarrow.parquet
