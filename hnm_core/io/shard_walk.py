"""Walk shards from files: what loads each of them, the same with other classes, and what they know of their images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from .classes import in_classes
from .parquet import pyarrow_and_parquet
from .pictures import outside
from .shard_columns import EVIDENCE, values_of
from .shard_heads import ShardFolder, damaged
from .shard_reading import read_shard
from .shards import Shard, ShardColumns

__all__ = ["ShardChange", "has_evidence", "loaders_of", "names_and_sizes", "pictures_of", "write_changed"]

SIZES = ("width", "height")


def loaders_of(folder: ShardFolder) -> list[Callable[[], Shard]]:
    """Return functions that read a shard each, for an engine."""
    return [partial(read_shard, folder, number) for number in range(len(folder.files))]


@dataclass(frozen=True)
class ShardChange:
    """Other classes of shards, see :func:`~hnm_core.io.classes.in_classes`.

    Attributes:
        class_map: prediction class → truth class.
        classes: boxes of these classes are kept; None for all.
        neutral: neighbour classes.
        before: the classes of the shards,
        mapped: these after ``class_map``, and
        after: those that are kept.

    Raises:
        ValueError: if ``class_map`` or ``classes`` name a class that there is not.
    """

    class_map: Mapping[str, str]
    classes: Sequence[str] | None
    neutral: Mapping[str, Sequence[str]]
    before: tuple[str, ...]
    mapped: tuple[str, ...]
    after: tuple[str, ...]

    @classmethod
    def of(
        cls,
        folder: ShardFolder,
        class_map: Mapping[str, str],
        classes: Sequence[str] | None,
        neutral: Mapping[str, Sequence[str]],
    ) -> ShardChange:
        """Return the change of a folder's classes."""
        none = Detections.empty([], folder.classes, scored=True), Detections.empty([], folder.classes)
        mapped = in_classes(*none, class_map)
        after = in_classes(*mapped, None, classes, neutral)[1].classes
        return cls(class_map, classes, neutral, folder.classes, mapped[1].classes, after)

    @property
    def drops(self) -> bool:
        """Return whether boxes are left out, and with them what is known of the rows."""
        return self.after != self.mapped

    def __bool__(self) -> bool:
        """Return whether anything changes."""
        return bool(self.class_map) or self.drops

    def apply(self, shard: Shard) -> Shard:
        """Return a shard with the classes that are kept; without evidence and twins if boxes are left out."""
        predictions, truth = in_classes(shard.predictions, shard.truth, self.class_map)
        predictions, truth = in_classes(predictions, truth, None, self.classes, self.neutral)
        known: dict[str, Any] = {"evidence": {}, "twins": None} if self.drops else {}
        return replace(shard, predictions=predictions, truth=truth, **known)


def write_changed(folder: ShardFolder, target: Path, change: Callable[[Shard], Shard]) -> None:
    """Write all shards of a folder, each changed, into another one, which must exist and be empty.

    Only one of them is in memory at a time. A file that is read alone becomes a folder of one shard.
    """
    common: dict[str, Any] = {"shards": len(folder.files), "images": folder.images}
    common |= {"source": dict(folder.source), "unit": folder.unit}
    for number in range(len(folder.files)):
        shard = change(read_shard(folder, number))
        images = len(shard.truth.images)
        ShardColumns.of(shard).write(target, number, 0, images, {**common, "classes": shard.truth.classes})


def names_and_sizes(folder: ShardFolder) -> tuple[list[str], NDArray[np.float64] | None]:
    """Return the keys of all images and, where boxes are in pixels, ``(images, 2)`` width and height."""
    names: list[str] = []
    sizes = []
    for shard in range(len(folder.files)):
        columns = _image_columns(folder, shard, ("image", *SIZES))
        names += columns["image"]
        if "width" in columns:
            sizes.append(np.stack([columns[side] for side in SIZES], axis=1))
    return names, np.concatenate(sizes) if sizes else None


def pictures_of(
    folder: ShardFolder, numbers: Collection[int], root: Path | None
) -> tuple[dict[str, Path | None], dict[str, tuple[float, float]]]:
    """Return the pictures of some images by their keys, and their widths and heights where these are known.

    Args:
        folder: the shards.
        numbers: of the images, among all.
        root: folder of the pictures, which keys are then paths in; None for the places that the shards name.
    """
    found, sizes = dict[str, Path | None](), dict[str, tuple[float, float]]()
    starts = np.cumsum([0, *folder.images_in])
    for shard in np.unique(np.searchsorted(starts, sorted(numbers), side="right") - 1).tolist():
        rows = [number - int(starts[shard]) for number in numbers if starts[shard] <= number < starts[shard + 1]]
        columns = _image_columns(folder, shard, ("image", "file", *SIZES), rows)
        for at, name in enumerate(columns["image"]):
            file = columns["file"][at] if root is None and "file" in columns else None
            found[name] = None if file is None else Path(file)
            if root is not None:
                found[name] = None if outside([name], root) else root / name
            if "width" in columns:
                sizes[name] = float(columns["width"][at]), float(columns["height"][at])
    return found, sizes


def has_evidence(folder: ShardFolder) -> bool:
    """Return whether shards know anything of their rows besides boxes."""
    return "twin" in folder.names or any(name.startswith(EVIDENCE) for name in folder.names)


def _image_columns(
    folder: ShardFolder, shard: int, names: Sequence[str], rows: Sequence[int] | None = None
) -> dict[str, Any]:
    """Return the columns of a shard that have one value per image, those that there are; of all images, or of some."""
    arrow, parquet = pyarrow_and_parquet()
    path = folder.files[shard]
    try:
        with parquet.ParquetFile(str(path), page_checksum_verification=True) as file:
            there = file.read(columns=[name for name in names if name in folder.names], use_threads=False)
            table = there if rows is None else arrow.concat_tables([there.slice(at, 1) for at in rows])
            return {name: values_of(table, name) for name in there.column_names}
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise ValueError(damaged(path, error)) from None
