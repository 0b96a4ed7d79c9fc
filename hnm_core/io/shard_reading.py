"""Read Parquet shards one by one, or all of them as one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from .parquet import memory_of_numpy, pyarrow_and_parquet
from .progress import Progress, silent, tracked
from .shard_columns import EVIDENCE, OF_TRUTH, NotTheColumnError, list_of, rows_of, values_of
from .shard_heads import AGAIN, ShardFolder, damaged, open_shards
from .shards import Shard

__all__ = ["read_shard", "read_shards", "read_whole"]


def read_shards(path: str | Path) -> Iterator[Shard]:
    """Return the shards of a folder one after the other, so that memory holds one of them.

    Args:
        path: the folder, or one file of it.

    Raises:
        FileNotFoundError: as :func:`open_shards`.
        ImportError: likewise.
        ValueError: likewise, and if a shard is damaged.
    """
    folder = open_shards(path)
    return (read_shard(folder, number) for number in range(len(folder.files)))


def read_whole(path: str | Path, progress: Progress = silent) -> Shard:
    """Return all shards of a folder as one, its tables over all images.

    Raises:
        FileNotFoundError: as :func:`read_shards`.
        ImportError: likewise.
        ValueError: likewise, and if shards share an image.
    """
    folder = open_shards(path)
    if len(folder.files) == 1:
        return read_shard(folder, 0)
    whole = _Whole(folder)
    for number in tracked(range(len(folder.files)), "reading shards", progress):
        whole.add(read_shard(folder, number))
    try:
        return whole.shard()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


class _Whole:
    """Tables that are filled shard by shard, so that no column is held twice."""

    def __init__(self, folder: ShardFolder) -> None:
        self.folder = folder
        counts = np.array(folder.boxes).sum(axis=0).tolist()
        self.room: dict[str, NDArray[Any]] = {}
        self.filled = {"": 0, OF_TRUTH: 0, "image": 0}
        self.counts = {"": counts[0], OF_TRUTH: counts[1], "image": folder.images}
        self.lists: dict[str, list[Any]] = {}

    def add(self, shard: Shard) -> None:
        before = self.filled["image"]
        for side, table in (("", shard.predictions), (OF_TRUTH, shard.truth)):
            columns = {"image": table.image + before, "box": table.xyxy, "label": table.label}
            columns |= {name: column for name in ("score", "kind") if (column := getattr(table, name)) is not None}
            at = 1 if side else 0
            columns |= {
                EVIDENCE + kind: each[at]
                for kind, given in shard.evidence.items()
                if len(each := given if isinstance(given, tuple) else (given,)) > at
            }
            if shard.twins is not None:
                columns["twin"] = shard.twins[at]
            for name, column in columns.items():
                self._put(side, side + name, column)
            self.filled[side] += len(table)
        if shard.sizes is not None:
            self._put("image", "sizes", shard.sizes)
        for name, values in (("images", shard.truth.images), ("files", shard.files), ("groups", shard.groups)):
            if values is not None:
                self.lists.setdefault(name, []).extend(values)
        for name in ("verified", "not_exhaustive"):
            pairs = getattr(shard.truth, name)
            if pairs is not None:
                self.lists.setdefault(name, []).append(pairs + np.array([before, 0]))
        self.filled["image"] += len(shard.truth.images)

    def shard(self) -> Shard:
        images, room = tuple(self.lists["images"]), self.room
        pairs: dict[str, Any] = {
            name: np.concatenate(self.lists[name]) for name in ("verified", "not_exhaustive") if name in self.lists
        }
        truth = Detections(
            *(room["gt_image"], room["gt_box"], room["gt_label"], None, images, self.folder.classes),
            kind=room["gt_kind"],
            **pairs,
        )
        found = Detections(
            *(room["image"], room["box"], room["label"], room["score"], images, self.folder.classes),
        )
        twins = (room["twin"], room["gt_twin"]) if "twin" in room else None
        return Shard(
            *(found, truth, self.lists.get("groups"), _evidence(room, room.__getitem__), twins),
            *(room.get("sizes"), self.lists.get("files"), self.folder.source),
        )

    def _put(self, side: str, name: str, column: NDArray[Any]) -> None:
        if name not in self.room:
            self.room[name] = np.empty((self.counts[side], *column.shape[1:]), dtype=column.dtype)
        at = self.filled[side]
        self.room[name][at : at + len(column)] = column


def _evidence(names: Any, column: Any) -> dict[str, Any]:
    """Return the evidence by kind: of the predictions, or of both sides."""
    found: dict[str, Any] = {}
    for name in names:
        if name.startswith(EVIDENCE):
            of_truth = OF_TRUTH + name
            found[name.removeprefix(EVIDENCE)] = (column(name), column(of_truth)) if of_truth in names else column(name)
    return found


class _Table:
    """The columns of a shard, each read when it is asked for, so that memory holds one in Arrow's form."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __getitem__(self, name: str) -> Any:
        return self.file.read(columns=[name], use_threads=False)[name]


def read_shard(folder: ShardFolder, number: int, source: Any = None, called: str = "") -> Shard:
    """Return one shard.

    Args:
        folder: the shards.
        number: of the shard.
        source: what Arrow opens; None for the file.
        called: what the file is called in messages; "" for its path.

    Raises:
        ValueError: if it is damaged.
    """
    path = called or folder.files[number]
    arrow, parquet = pyarrow_and_parquet()
    try:
        with (
            memory_of_numpy(),
            parquet.ParquetFile(str(path) if source is None else source, page_checksum_verification=True) as file,
        ):
            shard = _shard(_Table(file), folder)
    except NotTheColumnError as error:
        raise ValueError(f"{path}: {error}; {AGAIN}") from None
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(damaged(path, error)) from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    said, there = folder.boxes[number], (len(shard.predictions), len(shard.truth))
    if said != there:
        raise ValueError(
            f"{path} has {there[0]} predictions and {there[1]} truths, but says that it has {said[0]} and {said[1]}; "
            f"{AGAIN}"
        )
    return shard


def _shard(table: Any, folder: ShardFolder) -> Shard:
    names = values_of(table, "image")
    unnamed = [row for row, name in enumerate(names) if name is None]
    if unnamed:
        raise NotTheColumnError(f"column 'image' has {len(unnamed)} nulls, first in row {unnamed[0]}")
    images = tuple(names)
    tables, counts = [], {}
    for side in ("", OF_TRUTH):
        of_image, boxes = list_of(table, f"{side}box")
        counts[side] = of_image
        known: dict[str, Any] = {"kind": rows_of(table, "gt_kind", of_image)} if side else {}
        if side:
            for name in ("verified", "not_exhaustive"):
                if name in folder.names:
                    each, labels = list_of(table, name)
                    known[name] = np.stack([np.repeat(np.arange(len(images)), each), labels], axis=1)
        tables.append(
            Detections(
                *(np.repeat(np.arange(len(images)), of_image), boxes, rows_of(table, f"{side}label", of_image)),
                *(None if side else rows_of(table, "score", of_image), images, folder.classes),
                **known,
            )
        )

    def column(name: str) -> Any:
        return rows_of(table, name, counts[OF_TRUTH if name.startswith(OF_TRUTH) else ""])

    sizes = None
    if "width" in folder.names:
        sizes = np.stack([values_of(table, name) for name in ("width", "height")], axis=1)
    return Shard(
        predictions=tables[0],
        truth=tables[1],
        groups=list(values_of(table, "group")) if "group" in folder.names else None,
        evidence=_evidence(folder.names, column),
        twins=(column("twin"), column("gt_twin")) if "twin" in folder.names else None,
        sizes=sizes,
        files=list(values_of(table, "file")) if "file" in folder.names else None,
        source=folder.source,
    )
