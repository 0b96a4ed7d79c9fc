"""Say which rows have a shape beside their upright box, of which nothing is compared: a rotation or a mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .json_columns import JsonColumns
from .numbers import as_number

__all__ = ["mask_note", "rotation_note"]


def rotation_note(rows: Sequence[Mapping[str, Any]], path: Path) -> str:
    """Return a sentence on the rows whose ``rotation``, or that of their ``attributes`` (CVAT), is not 0.

    Example:
        >>> rotation_note([{"rotation": 0}, {"attributes": {"rotation": 12.5}}], Path("gt.json"))
        'gt.json: 1 of 2 boxes have a rotation: only their upright boxes are compared'
        >>> rotation_note([{"rotation": 0.0}], Path("gt.json"))
        ''
    """
    if isinstance(rows, JsonColumns):
        columns = [column for column in (rows.coded("rotation"), rows.inner.get("rotation")) if column is not None]
        turned = [column.numbers(_is_turned, bool) for column in columns]
        return _note(int(np.logical_or.reduce(turned).sum()), len(rows), "a rotation", path)
    return _note(sum(map(_is_rotated, rows)), len(rows), "a rotation", path)


def mask_note(rows: Sequence[Mapping[str, Any]], path: Path) -> str:
    """Return a sentence on the rows with a ``segmentation`` (polygons or run lengths).

    Example:
        >>> mask_note([{"segmentation": [[0, 0, 9, 0, 9, 9]]}, {"segmentation": []}], Path("gt.json"))
        'gt.json: 1 of 2 boxes have a mask: only their upright boxes are compared'
    """
    if isinstance(rows, JsonColumns):
        return _note(int(rows.coded("segmentation").numbers(bool, bool).sum()), len(rows), "a mask", path)
    return _note(sum(bool(row.get("segmentation")) for row in rows), len(rows), "a mask", path)


def _note(count: int, total: int, what: str, path: Path) -> str:
    return f"{path}: {count} of {total} boxes have {what}: only their upright boxes are compared" if count else ""


def _is_rotated(row: Mapping[str, Any]) -> bool:
    inner = row.get("attributes")
    holders = (row, inner) if isinstance(inner, Mapping) else (row,)
    return any(_is_turned(holder.get("rotation")) for holder in holders)


def _is_turned(rotation: Any) -> bool:
    return as_number(rotation) not in (None, 0.0)
