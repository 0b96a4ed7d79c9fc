"""Samples → columns of boxes, batch by batch as MongoDB sends them: walked raw where usual, decoded where not.

Both ways give the same columns; the plain one takes about ten times as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import bson
import numpy as np
from numpy.typing import NDArray

from .rawbson import ID, Batch, Unusual

ATTRIBUTES = {"id": "_id", "label": "label", "xywh": "bounding_box", "score": "confidence", "crowd": "iscrowd"}
"""What can be read of every box: our name, FiftyOne's."""

NEEDED = ("id", "label", "xywh", "score")
"""What no box may lack; a box without ``crowd`` is no crowd."""

BATCH = 500
"""Samples to an answer of the database: a few megabytes."""


@dataclass(eq=False)
class Columns:
    """The boxes of one field, flat over all samples. ``score`` or ``crowd`` is None where it was not asked for.

    Attributes:
        counts: ``(samples,)`` int64 boxes of each sample; -1 where it has no list at all.
        id: ``(n,)`` the twelve bytes of each ObjectId.
        label: ``(n,)`` int32, row number in ``names``.
        xywh: ``(n, 4)`` float64 as FiftyOne stores them, fractions of the image.
        score: ``(n,)`` float64.
        crowd: ``(n,)`` bool.
        lacks: per name of ``NEEDED`` ``(n,)`` bool, boxes without it; their value means nothing.
        names: every label there is.
    """

    counts: NDArray[np.int64]
    id: NDArray[Any]
    label: NDArray[np.int32]
    xywh: NDArray[np.float64]
    score: NDArray[np.float64] | None
    crowd: NDArray[np.bool_] | None
    lacks: dict[str, NDArray[np.bool_]]
    names: tuple[str, ...] = ()


Names = dict[bytes, int]
"""Label, in UTF-8 → its number."""


def read_columns(samples: Any, wanted: Mapping[str, str]) -> tuple[list[Any], dict[str, Columns]]:
    """Every box of these fields in one query.

    Args:
        samples: a dataset or a view of images.
        wanted: field of type Detections → ``score`` or ``crowd``, what to read beside id, label and box.

    Returns:
        Ids of the samples in order, and the columns of each field.
    """
    names: dict[str, Names] = {field: {} for field in wanted}
    sample_ids: list[Any] = []
    parts: dict[str, list[Columns]] = {field: [] for field in wanted}
    for data in _batches(samples, wanted):
        try:
            ids, columns = walk(data, wanted, names)
        except (Unusual, IndexError):  # a walk that leaves its batch is as unusual as they come
            ids, columns = decode(data, wanted, names)
        sample_ids += ids
        for field in wanted:
            parts[field].append(columns[field])
    return sample_ids, {field: _join(parts.pop(field), names[field], extra) for field, extra in wanted.items()}


def _batches(samples: Any, wanted: Mapping[str, str]) -> Iterator[bytes]:
    """Raw answers, each fetched while the one before is walked.

    Boxes stay whole documents: the server takes three times as long to take them apart.
    """
    project = {f"{field}.detections.{ATTRIBUTES[name]}": 1 for field in wanted for name in _asked(wanted[field])}
    pipeline = samples._pipeline(post_pipeline=[{"$project": project}])
    collection = samples._root_dataset._sample_collection
    answers = collection.aggregate_raw_batches(pipeline, allowDiskUse=True, batchSize=BATCH)
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(next, answers, b"")
        while data := coming.result():
            coming = ahead.submit(next, answers, b"")
            yield data


def _asked(extra: str) -> tuple[str, ...]:
    return "id", "label", "xywh", extra


def walk(data: bytes, wanted: Mapping[str, str], names: dict[str, Names]) -> tuple[list[Any], dict[str, Columns]]:
    """The columns of a batch, without decoding it.

    Raises:
        Unusual: if something in it is not as nearly all boxes are.
    """
    batch = Batch(data)
    starts = batch.documents()
    columns = {}
    for field, extra in wanted.items():
        path = [*field.encode().split(b"."), b"detections"]
        lists = np.array([batch.list_at(at, path) for at in starts], dtype=np.int64)
        items, counts = batch.items(lists)
        found = batch.attributes(items, [ATTRIBUTES[name] for name in _asked(extra)])
        columns[field] = Columns(
            counts=np.where(lists > 0, counts, -1),
            id=batch.ids(found["_id"]),
            label=batch.texts(found["label"], names[field]),
            xywh=batch.boxes(found["bounding_box"]),
            score=batch.numbers(found["confidence"]) if extra == "score" else None,
            crowd=batch.flags(found["iscrowd"]) if extra == "crowd" else None,
            lacks={name: np.zeros(len(items), dtype=bool) for name in NEEDED},
        )
    return [bson.ObjectId(batch.id_at(at)) for at in starts], columns


def decode(data: bytes, wanted: Mapping[str, str], names: dict[str, Names]) -> tuple[list[Any], dict[str, Columns]]:
    """The same columns of any batch, through Python objects."""
    documents = bson.decode_all(data)
    columns = {field: _decoded(documents, field, extra, names[field]) for field, extra in wanted.items()}
    return [document["_id"] for document in documents], columns


def _decoded(documents: list[dict[str, Any]], field: str, extra: str, names: Names) -> Columns:
    lists = [_at(document, [*field.split("."), "detections"]) for document in documents]
    boxes = [box if isinstance(box, dict) else {} for listed in lists for box in listed or ()]
    values = {name: [box.get(ATTRIBUTES[name]) for box in boxes] for name in _asked(extra)}
    ids = [value.binary if isinstance(value, bson.ObjectId) else None for value in values["id"]]
    labels = [None if value is None else str(value).encode() for value in values["label"]]
    shapes = [_numbers(value, 4) for value in values["xywh"]]
    scores = [_numbers([value], 1) for value in values.get("score", ())]
    lacks: dict[str, list[Any]] = {"id": ids, "label": labels, "xywh": shapes, "score": scores or [0.0] * len(boxes)}
    return Columns(
        counts=np.array([-1 if listed is None else len(listed) for listed in lists], dtype=np.int64),
        id=np.array([value or bytes(12) for value in ids], dtype=ID),
        label=np.array([0 if v is None else names.setdefault(v, len(names)) for v in labels], dtype=np.int32),
        xywh=np.array([value or [0.0] * 4 for value in shapes], dtype=np.float64).reshape(-1, 4),
        score=np.array([value[0] if value else 0.0 for value in scores]) if extra == "score" else None,
        crowd=np.array(list(map(bool, values["crowd"])), dtype=bool) if extra == "crowd" else None,
        lacks={name: np.array([v is None for v in column], dtype=np.bool_) for name, column in lacks.items()},
    )


def _at(document: Any, path: list[str]) -> list[Any] | None:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, list) else None


def _numbers(values: Any, n: int) -> list[float] | None:
    """These ``n`` values as numbers, or None if they are none."""
    try:
        return [float(value) for value in values] if len(values) == n else None
    except (TypeError, ValueError):
        return None


def _join(parts: list[Columns], names: Names, extra: str) -> Columns:
    """All batches in one; each part's column is let go as it is copied."""
    joined: dict[str, Any] = {"names": tuple(name.decode() for name in names)}
    joined["lacks"] = {name: _concatenated([part.lacks.pop(name) for part in parts], bool) for name in NEEDED}
    types = {"counts": np.int64, "id": ID, "label": np.int32, "xywh": np.float64, "score": np.float64, "crowd": bool}
    for name in (f.name for f in fields(Columns)):
        if name in types:
            found = [part.__dict__.pop(name) for part in parts]
            unasked = name in ("score", "crowd") and name != extra
            joined[name] = None if unasked else _concatenated(found, types[name])
    joined["xywh"] = joined["xywh"].reshape(-1, 4)
    return Columns(**joined)


def _concatenated(columns: list[NDArray[Any]], kind: Any) -> NDArray[Any]:
    return np.concatenate(columns) if columns else np.zeros(0, dtype=kind)
