"""Write tables of boxes as Parquet shards, a row an image, and read them shard by shard or as a whole.

The schema is documented in ``docs/reference/shards.md``. An image never straddles two shards, so that each can be
matched on its own. What all shards share stands in the metadata of each: the version of the format, the classes, the
number of shards, and where the boxes came from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import unit_of
from ..columns import KINDS, Detections
from ..engines.shard import Shard, sides_of
from .names import check_names
from .parquet import pyarrow_and_parquet
from .progress import Progress, silent, tracked
from .shard_columns import EVIDENCE, OF_TRUTH, lists, numbers_of, texts
from .write_aside import new_folder, say_unfinished

__all__ = [
    "IMAGES_PER_SHARD",
    "KEY",
    "VERSION",
    "Shard",
    "ShardColumns",
    "shard_name",
    "write_shard_files",
    "write_shards",
]

VERSION = 1
"""Of the format."""

KEY = b"hnm.shard"
"""Metadata key of what a shard says of itself, as JSON."""

READ_ONLY = 0o444
"""Shards are replaced, never changed: what is mined of them may be a link to them (:mod:`.kept_shards`)."""

Order = NDArray[np.int64] | None
"""Rows in the order of their images; None if they lie so."""

SAMPLED, SPREAD = 2**16, 0.85
"""Numbers of a column that are looked at, and share of them that must differ for it to be written without a dictionary:
as of 200,000 different ones, more than a dictionary of Parquet holds (chosen)."""

IMAGES_PER_SHARD = 5_000
"""Images in a shard: some MB of it, some tens of MB in memory (chosen)."""


def write_shards(
    folder: str | Path, content: Shard, *, images_per_shard: int = IMAGES_PER_SHARD, progress: Progress = silent
) -> Path:
    """Write a folder of shards, which appears only when it is complete.

    The order of images is kept, and that of the boxes within an image; the files of equal content are equal.

    Args:
        folder: must not exist, or must be empty.
        content: what is written.
        images_per_shard: at least 1.
        progress: shows the progress.

    Returns:
        The folder: ``part-00000-of-00007.parquet`` and so on; one shard if there are no images.

    Raises:
        FileExistsError: if the folder is not empty.
        ImportError: if pyarrow is missing.
        ValueError: if ``images_per_shard`` is below 1, or a name of an image is no text in UTF-8.
    """
    if images_per_shard < 1:
        raise ValueError(f"images_per_shard is {images_per_shard}, expected at least 1")
    pyarrow_and_parquet()
    target = Path(folder).resolve()
    check_names(content.truth.images, target)
    say_unfinished(target.parent)
    with new_folder(target, "choose another --output") as aside:
        write_shard_files(aside, content, images_per_shard=images_per_shard, progress=progress)
    return target


def write_shard_files(
    folder: Path, content: Shard, *, images_per_shard: int = IMAGES_PER_SHARD, progress: Progress = silent
) -> None:
    """Write the files of :func:`write_shards` into a folder that has none; names are those of readers."""
    images = content.truth.images
    columns = ShardColumns.of(content)
    starts = range(0, max(len(images), 1), images_per_shard)
    common = {
        **{"shards": len(starts), "images": len(images), "classes": content.truth.classes},
        **{"source": dict(content.source), "unit": unit_of(content.predictions.xyxy, content.truth.xyxy)},
    }
    for number, start in enumerate(tracked(starts, "writing shards", progress)):
        columns.write(folder, number, start, min(start + images_per_shard, len(images)), common)


def shard_name(number: int, count: int) -> str:
    """Return the file name of a shard.

    Example:
        >>> shard_name(0, 7)
        'part-00000-of-00007.parquet'
    """
    return f"part-{number:05d}-of-{count:05d}.parquet"


@dataclass(frozen=True, eq=False)
class ShardColumns:
    """All columns, with the order that sorts them by image, of which shards are slices."""

    ends: NDArray[np.int64]
    truth_ends: NDArray[np.int64]
    of_images: Mapping[str, Callable[[slice], Any]]
    of_rows: Mapping[str, tuple[NDArray[Any], Order, NDArray[np.int64]]]
    encoding: Mapping[str, list[str]]

    @classmethod
    def of(cls, content: Shard) -> ShardColumns:
        """Return the columns of what is written."""
        predictions, truth = content.predictions, content.truth
        images = len(truth.images)
        orders, ends = zip(*(_by_image(table, images) for table in (predictions, truth)), strict=True)
        sides: list[dict[str, NDArray[Any]]] = [
            {"box": predictions.xyxy, "label": predictions.label},
            {"box": truth.xyxy, "label": truth.label, "kind": truth.kinds()},
        ]
        if predictions.score is not None:
            sides[0]["score"] = predictions.score
        for kind, given in content.evidence.items():
            for side, values in zip(sides, sides_of(given), strict=False):
                side[EVIDENCE + kind] = np.asarray(values, dtype=np.float64)
        for side, values in zip(sides, content.twins or (), strict=False):
            side["twin"] = np.asarray(values, dtype=np.int64)
        of_rows: dict[str, tuple[NDArray[Any], Order, NDArray[np.int64]]] = {}
        for prefix, side, order, end in zip((OF_TRUTH, ""), reversed(sides), orders[::-1], ends[::-1], strict=True):
            of_rows |= {prefix + name: (column, order, end) for name, column in side.items()}
        for name in ("verified", "not_exhaustive"):
            pairs = getattr(truth, name)
            if pairs is not None:
                inner = np.argsort(pairs[:, 0], kind="stable")
                of_rows[name] = pairs[:, 1], inner, _ends(pairs[:, 0], images)
        of_images = cls._images(content)
        return cls(ends[0], ends[1], of_images, of_rows, _encoding([*of_images], of_rows))

    @staticmethod
    def _images(content: Shard) -> dict[str, Callable[[slice], Any]]:
        arrow, _ = pyarrow_and_parquet()
        names, files, groups, sizes = content.truth.images, content.files, content.groups, content.sizes
        columns: dict[str, Callable[[slice], Any]] = {"image": lambda at: texts(names[at])}
        if files is not None:
            columns["file"] = lambda at: texts(files[at])
        if sizes is not None:
            columns["width"] = lambda at: numbers_of(sizes[at, 0], arrow.float64())
            columns["height"] = lambda at: numbers_of(sizes[at, 1], arrow.float64())
        if groups is not None:
            whole = all(isinstance(key, (int, np.integer)) for key in groups)
            keys = [int(key) for key in groups] if whole else [str(key) for key in groups]
            if len(set(keys)) < len(set(groups)):
                raise ValueError("groups have keys of mixed types that are written alike, such as 1 and '1'")
            columns["group"] = lambda at: arrow.array(keys[at], arrow.int64() if whole else arrow.string())
        return columns

    def write(self, folder: Path, number: int, start: int, stop: int, common: Mapping[str, Any]) -> None:
        """Write some of the images as a shard.

        Args:
            folder: of the shards.
            number: of the shard.
            start: the first image, and
            stop: the one after the last.
            common: what all shards say: ``shards``, ``images``, ``classes``, ``source``, ``unit``.
        """
        _, parquet = pyarrow_and_parquet()
        says = {
            **{"version": VERSION, "shard": number, "kinds": KINDS, **common},
            "boxes": [int(sides[stop] - sides[start]) for sides in (self.ends, self.truth_ends)],
        }
        path = folder / shard_name(number, common["shards"])
        parquet.write_table(
            self._table(start, stop).replace_schema_metadata({KEY: json.dumps(says, ensure_ascii=False)}),
            str(path),
            compression="zstd",
            write_page_checksum=True,
            row_group_size=max(stop - start, 1),
            **self.encoding,
        )
        path.chmod(READ_ONLY)

    def _table(self, start: int, stop: int) -> Any:
        """Return the rows of some images as an Arrow table."""
        arrow, _ = pyarrow_and_parquet()
        columns = {name: of(slice(start, stop)) for name, of in self.of_images.items()}
        for name, (values, order, ends) in self.of_rows.items():
            part = ends[start : stop + 1]
            rows = slice(part[0], part[-1])
            columns[name] = lists(values[rows if order is None else order[rows]], part, name)
        return arrow.table(columns)


def _encoding(names: list[str], of_rows: Mapping[str, tuple[NDArray[Any], Order, Any]]) -> dict[str, list[str]]:
    """Return how Parquet is to write the columns: numbers that hardly repeat without looking for repetitions.

    Byte by byte they compress as well, are written in half of the time, and read in two thirds of it.
    """
    plain: list[str] = []
    for name, (values, _, _) in of_rows.items():
        path = f"{name}{'.list.element' * values.ndim}"
        (plain if values.dtype.kind == "f" and _are_spread(values.ravel()) else names).append(path)
    return {"use_dictionary": names, "use_byte_stream_split": plain}


def _are_spread(numbers: NDArray[np.float64]) -> bool:
    looked_at = numbers[:: len(numbers) // SAMPLED | 1]  # an odd step: all four sides of a box
    return len(np.unique(looked_at)) > SPREAD * len(looked_at)


def _ends(image: NDArray[np.int64], images: int) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.bincount(image, minlength=images))]).astype(np.int64)


def _by_image(table: Detections, images: int) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Return the order that sorts the rows by image, None if they are, and where the rows of each image begin."""
    image = table.image
    order = None if bool((image[1:] >= image[:-1]).all()) else np.argsort(image, kind="stable")
    return order, _ends(image, images)
