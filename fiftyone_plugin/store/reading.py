"""Read samples into columns of boxes, batch by batch as MongoDB sends them.

Usual batches are read raw, others decoded with pymongo. Both ways give the same columns; the second takes about ten
times as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import bson
import numpy as np
from numpy.typing import NDArray

from hnm_core.io.flags import FLAGS, kinds_of, read_flag

from . import access
from .rawbson import ID, Batch, Unusual

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

BASE = {"id": "_id", "label": "label", "xywh": "bounding_box"}
"""Attributes that are read of every box: our name → FiftyOne's name."""

EXTRAS: dict[str, tuple[str, ...]] = {"score": ("confidence",), "kind": tuple(FLAGS)}
"""What else is read, of predictions and of truths → FiftyOne's names; declared in the schema or not."""

NEEDED = ("id", "label", "xywh", "score", "kind")
"""Columns that every box must have; a box without flags is an object, but a flag must be one."""

BATCH = 500
"""Samples per batch of the database: a few megabytes."""


@dataclass(eq=False)
class Columns:
    """The boxes of one field, flat over all samples. ``score`` or ``kind`` is None if it was not requested.

    Attributes:
        counts: ``(samples,)`` int64, number of boxes of each sample; -1 if it has no list.
        id: ``(n,)`` the twelve bytes of each ObjectId.
        label: ``(n,)`` int32, row number in ``names``.
        xywh: ``(n, 4)`` float64 as FiftyOne stores them, fractions of the image.
        score: ``(n,)`` float64.
        kind: ``(n,)`` uint8, index in :data:`hnm_core.columns.KINDS`.
        lacks: for each name of ``NEEDED``, ``(n,)`` bool, the boxes without it; their value has no meaning.
        names: all labels.
        odd: the values that are no flags, as text.
    """

    counts: NDArray[np.int64]
    id: NDArray[Any]
    label: NDArray[np.int32]
    xywh: NDArray[np.float64]
    score: NDArray[np.float64] | None
    kind: NDArray[np.uint8] | None
    lacks: dict[str, NDArray[np.bool_]]
    names: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()

    def of_samples(self, wanted: NDArray[np.bool_]) -> Columns:
        """Return the boxes of some samples."""
        boxes = np.repeat(wanted, np.maximum(self.counts, 0))
        some: dict[str, Any] = {name: getattr(self, name) for name in FLAT}
        some = {name: None if column is None else column[boxes] for name, column in some.items()}
        some["lacks"] = {name: column[boxes] for name, column in self.lacks.items()}
        return replace(self, counts=self.counts[wanted], **some)


FLAT = ("id", "label", "xywh", "score", "kind")
"""Columns with one entry per box."""

Names = dict[bytes, int]
"""Label, in UTF-8 → its number."""


def read_columns(
    samples: SampleCollection, wanted: Mapping[str, str], among: Sequence[Any] | None = None
) -> tuple[list[Any], dict[str, Columns]]:
    """Read every box of these fields in one query.

    Args:
        samples: a dataset or a view of images.
        wanted: field of type Detections → ``score`` or ``kind``, to be read beside id, label and box.
        among: ids of the samples to read; None for all.

    Returns:
        Ids of the samples in order, and the columns of each field.
    """
    names: dict[str, Names] = {field: {} for field in wanted}
    sample_ids: list[Any] = []
    parts: dict[str, list[Columns]] = {field: [] for field in wanted}
    for data in _batches(samples, wanted, among) if among is None or len(among) else ():
        try:
            ids, columns = walk(data, wanted, names)
        except (Unusual, IndexError):  # reading past the end of a batch is unusual, too
            ids, columns = decode(data, wanted, names)
        sample_ids += ids
        for field in wanted:
            parts[field].append(columns[field])
    return sample_ids, {field: _join(parts.pop(field), names[field], extra) for field, extra in wanted.items()}


def _batches(samples: SampleCollection, wanted: Mapping[str, str], among: Sequence[Any] | None) -> Iterator[bytes]:
    """Yield raw batches; each is fetched while the previous one is read.

    Boxes are requested as whole documents: projecting their attributes takes the server three times as long.
    """
    project = {f"{field}.detections.{name}": 1 for field in wanted for name in _asked(wanted[field])}
    some: list[dict[str, Any]] = [] if among is None else [{"$match": {"_id": {"$in": list(among)}}}]
    pipeline = samples._pipeline(post_pipeline=[*some, {"$project": project}])
    collection = access.collection(samples)
    answers = collection.aggregate_raw_batches(pipeline, allowDiskUse=True, batchSize=BATCH)
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(next, answers, b"")
        while data := coming.result():
            coming = ahead.submit(next, answers, b"")
            yield data


def _asked(extra: str) -> tuple[str, ...]:
    return *BASE.values(), *EXTRAS[extra]


def walk(data: bytes, wanted: Mapping[str, str], names: dict[str, Names]) -> tuple[list[Any], dict[str, Columns]]:
    """Return the columns of a batch without decoding it.

    Raises:
        Unusual: if its layout is not the usual one of boxes.
    """
    batch = Batch(data)
    starts = batch.documents()
    columns = {}
    for field, extra in wanted.items():
        path = [*field.encode().split(b"."), b"detections"]
        lists = np.array([batch.list_at(at, path) for at in starts], dtype=np.int64)
        items, counts = batch.items(lists)
        found = batch.attributes(items, _asked(extra))
        columns[field] = Columns(
            counts=np.where(lists > 0, counts, -1),
            id=batch.ids(found["_id"]),
            label=batch.texts(found["label"], names[field]),
            xywh=batch.boxes(found["bounding_box"]),
            score=batch.numbers(found["confidence"]) if extra == "score" else None,
            kind=kinds_of({name: batch.flags(found[name]) for name in FLAGS}) if extra == "kind" else None,
            lacks={name: np.zeros(len(items), dtype=bool) for name in NEEDED},
        )
    return [bson.ObjectId(batch.id_at(at)) for at in starts], columns


def decode(data: bytes, wanted: Mapping[str, str], names: dict[str, Names]) -> tuple[list[Any], dict[str, Columns]]:
    """Return the same columns of any batch, decoded with pymongo."""
    documents = bson.decode_all(data)
    columns = {field: _decoded(documents, field, extra, names[field]) for field, extra in wanted.items()}
    return [document["_id"] for document in documents], columns


def _decoded(documents: list[dict[str, Any]], field: str, extra: str, names: Names) -> Columns:
    lists = [_at(document, [*field.split("."), "detections"]) for document in documents]
    boxes = [box if isinstance(box, dict) else {} for listed in lists for box in listed or ()]
    values = {name: [box.get(name) for box in boxes] for name in _asked(extra)}
    ids = [value.binary if isinstance(value, bson.ObjectId) else None for value in values["_id"]]
    labels = [None if value is None else str(value).encode() for value in values["label"]]
    shapes = [_numbers(value, 4) for value in values["bounding_box"]]
    scores = [_numbers([value], 1) for value in values.get("confidence", ())]
    flags = {name: list(map(read_flag, values[name])) for name in EXTRAS["kind"] if extra == "kind"}
    known = [None if None in of_box else True for of_box in zip(*flags.values(), strict=True)]
    odd = [
        f"{name}={values[name][i]!r}" for name, of_boxes in flags.items() for i, v in enumerate(of_boxes) if v is None
    ]
    fine: list[Any] = [0.0] * len(boxes)
    lacks: dict[str, list[Any]] = {"id": ids, "label": labels, "xywh": shapes, "score": scores or fine}
    lacks["kind"] = known if extra == "kind" else fine
    return Columns(
        counts=np.array([-1 if listed is None else len(listed) for listed in lists], dtype=np.int64),
        id=np.array([value or bytes(12) for value in ids], dtype=ID),
        label=np.array([0 if v is None else names.setdefault(v, len(names)) for v in labels], dtype=np.int32),
        xywh=np.array([value or [0.0] * 4 for value in shapes], dtype=np.float64).reshape(-1, 4),
        score=np.array([value[0] if value else 0.0 for value in scores]) if extra == "score" else None,
        kind=kinds_of({name: np.array(of, dtype=bool) for name, of in flags.items()}) if extra == "kind" else None,
        lacks={name: np.array([v is None for v in column], dtype=np.bool_) for name, column in lacks.items()},
        odd=tuple(odd),
    )


def _at(document: Any, path: list[str]) -> list[Any] | None:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, list) else None


def _numbers(values: Any, n: int) -> list[float] | None:
    """Return these ``n`` values as numbers, or None if they are not ``n`` numbers; text is none."""
    if not isinstance(values, list) or len(values) != n or any(isinstance(value, (str, bytes)) for value in values):
        return None
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError):
        return None


def _join(parts: list[Columns], names: Names, extra: str) -> Columns:
    """Join the columns of all batches; each part is freed as soon as it is copied."""
    joined: dict[str, Any] = {"names": tuple(name.decode() for name in names)}
    joined["odd"] = tuple(odd for part in parts for odd in part.odd)
    joined["lacks"] = {name: _concatenated([part.lacks.pop(name) for part in parts], bool) for name in NEEDED}
    types = {"counts": np.int64, "id": ID, "label": np.int32, "xywh": np.float64, "score": np.float64, "kind": np.uint8}
    for name in (f.name for f in fields(Columns)):
        if name in types:
            found = [part.__dict__.pop(name) for part in parts]
            unasked = name in EXTRAS and name != extra
            joined[name] = None if unasked else _concatenated(found, types[name])
    joined["xywh"] = joined["xywh"].reshape(-1, 4)
    return Columns(**joined)


def _concatenated(columns: list[NDArray[Any]], kind: Any) -> NDArray[Any]:
    return np.concatenate(columns) if columns else np.zeros(0, dtype=kind)
