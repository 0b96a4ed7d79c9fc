"""What mining found → one update per sample, in plain values for MongoDB.

Everything one sample gets is one update, guarded by the ids its lists hold, so that an edit made meanwhile is never
overwritten. Objects are set by their place in the list: one float on every object takes FiftyOne's own ``set_values``
about twenty times as long. Values are made for some images at a time, so that memory does not grow with the dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
from bson import ObjectId
from numpy.typing import NDArray
from pymongo import UpdateOne

from hnm_core import Detections, MiningResult
from hnm_core.taxonomy import ROW_NAMES

from .bridge import Lists, Tables, ids_of
from .settings import RunSettings

TAG = "hard_negative"
_ERRORS = np.array(ROW_NAMES, dtype=object)

Ids = list[bytes]
"""The twelve bytes of every id in a list of boxes, in order."""


class Job:
    """Everything one run writes.

    Attributes:
        sample_ids: per image.
        sides: predictions and truths.
        tagged: ``(images,)`` bool, the samples that get the tag.
    """

    def __init__(self, tables: Tables, result: MiningResult, settings: RunSettings) -> None:
        self.key, self.sample_ids = settings.run_key, tables.sample_ids
        self.tagged = result.hard_images & settings.weighs
        self.sides = (
            Side("prediction", tables.predictions, tables.truth, tables.prediction_lists, result),
            Side("truth", tables.truth, tables.predictions, tables.truth_lists, result),
        )
        self._columns = {"score": result.image_scores.tolist(), "count": result.hard_counts.tolist()}
        if settings.weighs:
            self._columns["weight"] = result.weights.tolist()

    def read(self, images: range) -> dict[int, list[Ids]]:
        """Per image the ids of both its lists, as they were read."""
        return {i: [side.read(i) for side in self.sides] for i in images}

    def of(self, images: range, lists: Mapping[int, Sequence[Ids]]) -> list[UpdateOne]:
        """The one update of each sample whose lists hold these ids; a box that is gone from them is passed over."""
        boxes = [
            _Boxes(side, self.key, images, [ids[n] for ids in lists.values()]) for n, side in enumerate(self.sides)
        ]
        return [self._update(image, boxes, ids) for image, ids in lists.items()]

    def _update(self, image: int, boxes: Sequence[_Boxes], lists: Sequence[Ids]) -> UpdateOne:
        change = {f"{self.key}_{name}": column[image] for name, column in self._columns.items()} | now()
        tags = {"tags": TAG} if self.tagged[image] else {}
        guards = [of_side.add(image, ids, change, tags) for of_side, ids in zip(boxes, lists, strict=True)]
        update: dict[str, Any] = {"$set": change, "$addToSet": tags} if tags else {"$set": change}
        return UpdateOne({"$and": [{"_id": self.sample_ids[image]}, *filter(None, guards)]}, update)


class Side:
    """What is written on the boxes of one field.

    Attributes:
        field: name of the field.
        path: path of its list.
        image: ``(n,)`` image of every box.
        hard: ``(n,)`` bool, what was mined.
    """

    def __init__(self, name: str, table: Detections, other: Detections, lists: Lists, result: MiningResult) -> None:
        self.field, self.path, self.image = lists.field, f"{lists.field}.detections", table.image
        self.start = np.searchsorted(table.image, np.arange(len(table.images) + 1)).tolist()
        self._lists, self._table, self._other = lists, table, other
        self._error = getattr(result.errors, name)
        self._state = getattr(result, f"{name}_state")
        self.hard, self._near, self._iou, self._difficulty, self._suspicion = (
            getattr(result, f"{name}_{attribute}") for attribute in ("hard", "near", "iou", "difficulty", "suspicion")
        )

    def read(self, image: int) -> Ids:
        """The ids of this image's list, as it was read."""
        return self._lists.ids[self._lists.start[image] : self._lists.start[image + 1]].tolist()

    def ids(self, rows: slice) -> Ids:
        """The ids of these rows of the table."""
        assert self._table.ids is not None
        return self._table.ids[rows].tolist()

    def states(self, rows: slice) -> list[str | None]:
        """The review state of what was mined, and of what would have been if nobody had said to ignore it."""
        state = self._state[rows]
        return np.where(self.hard[rows] | (state == "ignore"), state, np.array(None)).tolist()

    def columns(self, rows: slice) -> dict[str, list[Any]]:
        """Per attribute the values of these rows, None for none."""
        near = self._near[rows]
        near_ids = np.full(len(near), None, dtype=object)
        near_ids[near >= 0] = ids_of(self._other, near[near >= 0])
        return {
            "error": _ERRORS[self._error[rows]].tolist(),
            "difficulty": _present(self._difficulty[rows]),
            "iou": self._iou[rows].tolist(),
            "near_id": near_ids.tolist(),
            "suspicion": _present(self._suspicion[rows]),
            "state": self.states(rows),
        }


class _Boxes:
    """What the boxes of some images get in one field: whole columns, since there may be a thousand values a sample."""

    def __init__(self, side: Side, key: str, images: range, lists: Sequence[Ids]) -> None:
        rows = slice(side.start[images.start], side.start[images.stop])
        self.side, self._first, self._ids = side, rows.start, side.ids(rows)
        self._columns = side.columns(rows)
        self._hard = [hard or None for hard in side.hard[rows].tolist()]
        places = range(max(map(len, lists), default=0))
        self._paths = {name: [f"{side.path}.{n}.{key}_{name}" for n in places] for name in self._columns}
        self._tags = [f"{side.path}.{n}.tags" for n in places]

    def add(self, image: int, ids: Ids, change: dict[str, Any], tags: dict[str, str]) -> dict[str, Any]:
        """Add what the boxes of this image get, where the list of these ids holds them.

        Returns:
            The condition under which it is right: the same list, or where few of many boxes are written, these boxes
            at their places.
        """
        rows = slice(self.side.start[image] - self._first, self.side.start[image + 1] - self._first)
        own = self._ids[rows]
        place = None if ids == own else {box: n for n, box in enumerate(ids)}
        at = None if place is None else [place.get(box) for box in own]
        for name, column in self._columns.items():
            change.update(_pairs(self._paths[name], column[rows], at))
        tags.update((path, TAG) for path, _ in _pairs(self._tags, self._hard[rows], at))
        path = self.side.path
        if at is not None and 4 * len(own) < len(ids):
            placed = zip(at, own, strict=True)
            return {f"{path}.{n}._id": ObjectId(box) for n, box in placed if n is not None}
        return {"$expr": {"$eq": [f"${path}._id", list(map(ObjectId, ids))]}} if own and ids else {}


def _pairs(paths: list[str], values: list[Any], at: list[int | None] | None) -> list[tuple[str, Any]]:
    """Paths and values that there are; ``at`` says at which place each value goes, None of all for their order."""
    if at is not None:
        placed = [(n, value) for n, value in zip(at, values, strict=True) if n is not None]
        return [(paths[n], value) for n, value in placed if value is not None]
    pairs = zip(paths, values, strict=False)  # there are paths for the longest list
    return [pair for pair in pairs if pair[1] is not None] if None in values else list(pairs)


def _present(values: NDArray[np.float64]) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]  # NaN is unlike itself


def now() -> dict[str, datetime]:
    """What every update says of itself."""
    return {"last_modified_at": datetime.now(timezone.utc)}
