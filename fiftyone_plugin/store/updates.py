"""Turn a mining result into one MongoDB update per sample.

Each update is guarded by the ids that the sample's lists contain, so that an edit made meanwhile is never overwritten.
Objects are set by their position in the list: FiftyOne's own ``set_values`` takes about twenty times as long for one
float on every object. Values are made for some images at a time, so that memory does not grow with the dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

import bson
import numpy as np
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from numpy.typing import NDArray
from pymongo import UpdateOne

from hnm_core import Detections, MiningResult
from hnm_core.taxonomy import BELOW_THRESHOLD, ROW_NAMES

from ..settings import RunSettings
from .box_tables import Lists, Tables, ids_of
from .rereading import UNKNOWN, milliseconds, moment_of

TAG = "hard_negative"
_ERRORS = np.array(ROW_NAMES, dtype=object)

Ids = list[bytes]
"""The twelve bytes of every id in a list of boxes, in order."""


class Job:
    """Everything that one run writes.

    Attributes:
        sample_ids: id of the sample of each image.
        sides: predictions and truths.
        tagged: ``(images,)`` bool, samples that get the tag.
        stamps: ``(images,)`` int64, when each sample was modified before it was read: its update fails if somebody has
            modified it since. ``UNKNOWN`` does not ask.
        written: ``(images,)`` int64, when each sample was written; ``UNKNOWN`` if somebody may have modified it.
        replaces: whether values that are there already are removed where the run has none.
    """

    def __init__(
        self,
        tables: Tables,
        result: MiningResult,
        settings: RunSettings,
        stamps: NDArray[np.int64] | None = None,
        *,
        replaces: bool = False,
    ) -> None:
        self.key, self.sample_ids = settings.run_key, tables.sample_ids
        self.tagged = result.hard_images & settings.weighs
        self.sides = (
            Side("prediction", tables.predictions, tables.truth, tables.prediction_lists, result, settings),
            Side("truth", tables.truth, tables.predictions, tables.truth_lists, result, settings),
        )
        self._columns = {"score": result.image_scores.tolist(), "count": result.hard_counts.tolist()}
        if settings.weighs:
            self._columns["weight"] = result.weights.tolist()
        self.stamps = np.full(len(tables.sample_ids), UNKNOWN) if stamps is None else stamps.copy()
        self.written = np.full(len(tables.sample_ids), UNKNOWN)
        self.replaces = replaces

    def read(self, images: range) -> dict[int, list[Ids]]:
        """Return, per image, the ids of both its lists as they were read."""
        return {i: [side.read(i) for side in self.sides] for i in images}

    def of(self, images: range, lists: Mapping[int, Sequence[Ids]]) -> list[UpdateOne]:
        """Return the update of each sample whose lists contain these ids.

        A box that is no longer in its list is skipped.
        """
        boxes = [
            _Boxes(side, self.key, images, [ids[n] for ids in lists.values()]) for n, side in enumerate(self.sides)
        ]
        return [self._update(image, boxes, ids) for image, ids in lists.items()]

    def row(self, image: int) -> list[float]:
        """Return the values of a sample's own fields."""
        return [column[image] for column in self._columns.values()]

    def doubt(self, images: range) -> None:
        """Write these whoever has modified them, since one of them was: the next mining reads them again."""
        self.stamps[images.start : images.stop] = UNKNOWN

    def _update(self, image: int, boxes: Sequence[_Boxes], lists: Sequence[Ids]) -> UpdateOne:
        moment = now()
        sure = self.stamps[image] != UNKNOWN
        self.written[image] = milliseconds(moment["last_modified_at"]) if sure else UNKNOWN
        change = {f"{self.key}_{name}": column[image] for name, column in self._columns.items()} | moment
        tags = {"tags": TAG} if self.tagged[image] else {}
        guards = [of_side.add(image, ids, change, tags) for of_side, ids in zip(boxes, lists, strict=True)]
        update: dict[str, Any] = {"$set": change, "$addToSet": tags} if tags else {"$set": change}
        if self.replaces:
            gone: dict[str, str] = {}
            for of_side, ids in zip(boxes, lists, strict=True):
                of_side.absent(image, ids, gone)
            update |= {"$unset": gone} if gone else {}
        which: dict[str, Any] = {"_id": self.sample_ids[image]}
        if sure:
            which["last_modified_at"] = moment_of(int(self.stamps[image]))
        return UpdateOne({"$and": [which, *filter(None, guards)]}, update)


class Side:
    """What is written on the boxes of one field; on proposals neither suspicion nor the nearest box, nor a tag.

    Attributes:
        field: name of the field.
        path: path of its list.
        image: ``(n,)`` image of every box.
        hard: ``(n,)`` bool, boxes that were mined.
        tagged: ``(n,)`` bool, boxes that get the tag.
    """

    def __init__(
        self,
        name: str,
        table: Detections,
        other: Detections,
        lists: Lists,
        result: MiningResult,
        settings: RunSettings,
    ) -> None:
        self.field, self.path, self.image = lists.field, f"{lists.field}.detections", table.image
        self.start = np.searchsorted(table.image, np.arange(len(table.images) + 1)).tolist()
        self._lists, self._table, self._other = lists, table, other
        self._error = getattr(result.errors, name)
        self._state = getattr(result, f"{name}_state")
        self.hard, self._near, self._iou, self._difficulty, self._suspicion = (
            getattr(result, f"{name}_{attribute}") for attribute in ("hard", "near", "iou", "difficulty", "suspicion")
        )
        self._proposed = settings.without_truth
        if self._proposed:
            self._suspicion = np.full(len(table), np.nan)
        self.tagged = np.zeros_like(self.hard) if self._proposed else self.hard

    def read(self, image: int) -> Ids:
        """Return the ids of this image's list as it was read."""
        return self._lists.ids[self._lists.start[image] : self._lists.start[image + 1]].tolist()

    def ids(self, rows: slice) -> Ids:
        """Return the ids of these rows of the table."""
        assert self._table.ids is not None
        return self._table.ids[rows].tolist()

    def states(self, rows: NDArray[np.int64]) -> list[str | None]:
        """Return the review state of mined objects, and of those that would be mined if they were not ignored."""
        state = self._state[rows]
        return np.where(self.hard[rows] | (state == "ignore"), state, np.array(None)).tolist()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the values of all rows as arrays: ids as twelve bytes, and "" for a state that is not written."""
        assert self._table.ids is not None
        assert self._other.ids is not None
        near = np.zeros(len(self._near), dtype=self._table.ids.dtype)
        near[self._near >= 0] = self._other.ids[self._near[self._near >= 0]]
        state = np.where(self.hard | (self._state == "ignore"), self._state, "")
        numbers = {"difficulty": self._difficulty, "iou": self._iou, "suspicion": self._suspicion}
        return {"id": self._table.ids, "near": near, "error": self._error, "hard": self.hard, "state": state, **numbers}

    def written(self, rows: slice) -> NDArray[np.int64]:
        """Return which of these rows get a value.

        Predictions below the threshold count for nothing and get none, unless somebody set them to ignore: they are
        most of what a detector returns.
        """
        return rows.start + np.flatnonzero((self._error[rows] != BELOW_THRESHOLD) | (self._state[rows] == "ignore"))

    def columns(self, rows: NDArray[np.int64]) -> dict[str, list[Any]]:
        """Return the values of these rows per attribute, None for no value."""
        error, near = self._error[rows], self._near[rows]
        counts = error != BELOW_THRESHOLD
        near_ids = np.full(len(rows), None, dtype=object)
        named = counts & (near >= 0)
        near_ids[named] = ids_of(self._other, near[named])
        nearest = {
            "iou": np.where(counts, self._iou[rows].astype(object), np.array(None)).tolist(),
            "near_id": near_ids.tolist(),
        }
        return {
            "error": np.where(counts, _ERRORS[error], np.array(None)).tolist(),
            "difficulty": _present(self._difficulty[rows]),
            **({} if self._proposed else nearest),
            "suspicion": _present(self._suspicion[rows]),
            "state": self.states(rows),
        }


class _Boxes:
    """The values for the boxes of some images in one field, as columns: a sample can have a thousand values."""

    def __init__(self, side: Side, key: str, images: range, lists: Sequence[Ids]) -> None:
        rows = slice(side.start[images.start], side.start[images.stop])
        self.side, self._first, self._ids = side, rows.start, side.ids(rows)
        written = side.written(rows)
        self._row = (written - rows.start).tolist()
        self._start = np.searchsorted(written, side.start[images.start : images.stop + 1]).tolist()
        self._images = images
        self._columns = side.columns(written)
        self._tagged = side.tagged[written].tolist()
        places = range(max(map(len, lists), default=0))
        self._paths = {name: [f"{side.path}.{n}.{key}_{name}" for n in places] for name in self._columns}
        self._tags = [f"{side.path}.{n}.tags" for n in places]

    def add(self, image: int, ids: Ids, change: dict[str, Any], tags: dict[str, str]) -> dict[str, Any]:
        """Add the values for the boxes of this image to the update, at their positions in the list of these ids.

        Returns:
            The condition under which the update is right: the list is the same, or, if few of many boxes are written,
            these boxes are at their positions.
        """
        own, some, first = self._own(image)
        at = [row - first for row in self._row[some]]
        same = ids == own
        if not same:
            place = {box: n for n, box in enumerate(ids)}
            at = [place.get(own[n], -1) for n in at]
        for name, column in self._columns.items():
            paths = self._paths[name]
            for n, value in zip(at, column[some], strict=True):
                if value is not None and n >= 0:
                    change[paths[n]] = value
        tags.update((self._tags[n], TAG) for n, tagged in zip(at, self._tagged[some], strict=True) if tagged and n >= 0)
        path = self.side.path
        if not same and 4 * len(own) < len(ids):
            return {f"{path}.{place[box]}._id": ObjectId(box) for box in own if box in place}
        return {"$expr": _is_list(path, ids)} if own and ids else {}

    def absent(self, image: int, ids: Ids, gone: dict[str, str]) -> None:
        """Add the paths of the values that the boxes of a list with these ids must not have."""
        own, some, first = self._own(image)
        row = {own[n - first]: at for at, n in enumerate(self._row[some])}
        at = [row.get(box) for box in ids]
        for name, column in self._columns.items():
            values = column[some]
            gone.update(
                (path, "") for path, n in zip(self._paths[name], at, strict=False) if n is None or values[n] is None
            )

    def _own(self, image: int) -> tuple[Ids, slice, int]:
        """Return the ids of the boxes of this image, where those that get values are, and the row of its first box."""
        number = image - self._images.start
        first, stop = (self.side.start[n] - self._first for n in (image, image + 1))
        return self._ids[first:stop], slice(*self._start[number : number + 2]), first


def _is_list(path: str, ids: Ids) -> RawBSONDocument:
    """Return the expression that is true if the boxes at this path have these ids, in order.

    It is put together as BSON: one object of Python per box would be most of what writing costs this process, and wake
    the garbage collector all the time.
    """
    parts = _parts(path, len(ids))
    found = [b""] * (len(parts) + len(ids))
    found[::2], found[1::2] = parts, ids
    return RawBSONDocument(b"".join(found))


@lru_cache(maxsize=1024)
def _parts(path: str, boxes: int) -> list[bytes]:
    """Return what is before, between and after the ids in the BSON of that expression."""
    placeholder = b"\xff" * 12  # no UTF-8, so no part of a path
    return bson.encode({"$eq": [f"${path}._id", [ObjectId(placeholder)] * boxes]}).split(placeholder)


def _present(values: NDArray[np.float64]) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # NaN differs from itself


def now() -> dict[str, datetime]:
    """Return the modification time that every update sets."""
    return {"last_modified_at": datetime.now(timezone.utc)}
