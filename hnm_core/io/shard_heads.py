"""Read what Parquet shards say of themselves, and check that those of a folder belong together; no box is read."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..columns import KINDS
from .parquet import pyarrow_and_parquet
from .shards import KEY, VERSION, shard_name

__all__ = ["AGAIN", "SHARED", "ShardFolder", "are_shards", "damaged", "folder_of", "head_of", "open_shards"]

NEEDED = ("image", "gt_box", "gt_label", "gt_kind", "box", "label", "score")
SIDES = ("width", "height")
"""Columns of a data set in pixels: both or none."""
SUFFIX = ".parquet"
SHARED = ("classes", "shards", "images", "unit", "source", "columns")
"""What all shards of a folder say alike."""

AGAIN = "convert the data again with `hnm convert`"


@dataclass(frozen=True)
class ShardFolder:
    """Shards that belong together.

    Attributes:
        files: of the shards, in their order.
        classes: class names.
        images: how many images all shards have.
        boxes: how many predictions and truths each shard has, in the order of the files.
        images_in: how many images each shard has.
        names: of the columns.
        unit: of the boxes, ``pixels`` or ``fractions``.
        source: where the boxes came from.
    """

    files: tuple[Path, ...]
    classes: tuple[str, ...]
    images: int
    boxes: tuple[tuple[int, int], ...]
    images_in: tuple[int, ...]
    names: tuple[str, ...]
    unit: str
    source: Mapping[str, str]


def are_shards(path: Path) -> bool:
    """Return whether a path looks like shards: a Parquet file, or a folder with some."""
    return (path.suffix.lower() == SUFFIX and path.is_file()) or (path.is_dir() and any(path.glob(f"[!.]*{SUFFIX}")))


def open_shards(path: str | Path) -> ShardFolder:
    """Read what the shards of a folder say of themselves, and check that they belong together; no box is read.

    Args:
        path: the folder, or one file of it, which is then read alone.

    Raises:
        FileNotFoundError: if there is none, or one is missing.
        ImportError: if pyarrow is missing.
        ValueError: if a file is damaged or no shard, or shards differ.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    files = sorted(path.glob(f"[!.]*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"{path} has no shards, expected files such as {shard_name(0, 1)}; {AGAIN}")
    heads = [head_of(file) for file in files]
    first = heads[0]
    for file, head in zip(files, heads, strict=True):
        for what in SHARED:
            if head[what] != first[what]:
                raise ValueError(
                    f"{file} and {files[0]} differ in {what}: "
                    f"{_difference(head[what], first[what])}; are they shards of two data sets? Each needs its own "
                    f"folder"
                )
    if path.is_dir():
        _check_complete(path, files, heads)
    return folder_of(files, heads)


def folder_of(files: Sequence[Path], heads: Sequence[Mapping[str, Any]]) -> ShardFolder:
    """Return the shards that say this of themselves."""
    first = heads[0]
    return ShardFolder(
        files=tuple(files),
        classes=tuple(first["classes"]),
        images=sum(head["rows"] for head in heads),
        boxes=tuple((head["boxes"][0], head["boxes"][1]) for head in heads),
        images_in=tuple(head["rows"] for head in heads),
        names=tuple(first["names"]),
        unit=first["unit"],
        source=first["source"],
    )


def head_of(path: Path | str, source: Any = None) -> dict[str, Any]:
    """Return what a shard says of itself, checked, with the names of its columns and the number of its rows.

    Args:
        path: the file, or what it is called in messages.
        source: what Arrow opens; None for the path.

    Raises:
        ValueError: if the file is damaged or no shard.
    """
    arrow, parquet = pyarrow_and_parquet()
    try:
        with parquet.ParquetFile(str(path) if source is None else source) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise ValueError(damaged(path, error)) from None
    try:
        head = json.loads((schema.metadata or {}).get(KEY, b"null"))
    except ValueError:
        head = None
    sides = [] if set(SIDES).isdisjoint(schema.names) else SIDES
    missing = [name for name in (*NEEDED, *sides) if name not in schema.names]
    if not isinstance(head, dict) or "version" not in head:
        what = f"lacks the columns {', '.join(missing)}" if missing else "does not name its classes and its version"
        raise ValueError(f"{path} is Parquet, but no shard: it {what}; {AGAIN}")
    if head["version"] != VERSION:
        raise ValueError(
            f"{path} is a shard of version {reprlib.repr(head['version'])}, this release reads version {VERSION}: "
            f"{AGAIN}, or update hnm"
        )
    if missing or not _is_sound(head):
        what = f"lacks the columns {', '.join(missing)}" if missing else f"says {reprlib.repr(head)} of itself"
        raise ValueError(f"{path} is a damaged shard: it {what}; {AGAIN}")
    return {**head, "rows": rows, "names": schema.names, "columns": sorted(schema.names)}


def _is_sound(head: Mapping[str, Any]) -> bool:
    """Return whether what a shard says of itself has the types that it should."""

    def whole(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0

    classes, boxes, source = head.get("classes"), head.get("boxes"), head.get("source")
    return (
        all(whole(head.get(name)) for name in ("shard", "shards", "images"))
        and isinstance(classes, list)
        and all(isinstance(name, str) for name in classes)
        and head.get("kinds") == list(KINDS)
        and isinstance(boxes, list)
        and len(boxes) == 2
        and all(map(whole, boxes))
        and isinstance(head.get("unit"), str)
        and isinstance(source, dict)
        and all(isinstance(text, str) for text in source.values())
    )


def _check_complete(folder: Path, files: Sequence[Path], heads: Sequence[Mapping[str, Any]]) -> None:
    """Check that every shard is there, once."""
    count = heads[0]["shards"]
    there = [head["shard"] for head in heads]
    missing = [shard_name(number, count) for number in range(count) if number not in set(there)]
    if missing:
        raise FileNotFoundError(f"{folder} has {len(files)} of its {count} shards, missing is {missing[0]}; {AGAIN}")
    if len(files) > count:
        twice = next(file for file, number in zip(files, there, strict=True) if there.count(number) > 1)
        raise ValueError(f"{folder} has {len(files)} files, but its data has {count} shards: {twice} is there twice")


def _difference(one: Any, other: Any) -> str:
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"{len(one)} and {len(other)} of them"
        return next(f"{a!r} and {b!r}" for a, b in zip(one, other, strict=True) if a != b)
    return f"{reprlib.repr(one)} and {reprlib.repr(other)}"


def damaged(path: Path | str, error: Exception) -> str:
    """Return the sentence on a file that pyarrow cannot read."""
    if Path(path).is_file() and not Path(path).stat().st_size:
        return f"{path} is empty, expected a shard; {AGAIN}"
    reason = re.sub(r"\s+", " ", str(error))[:120]
    return f"{path} is no Parquet file, or is damaged or cut off: {reason}; {AGAIN}"
