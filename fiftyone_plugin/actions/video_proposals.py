"""Read the frames that were kept of videos, as tables, with what is proposed in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections
from hnm_core.live.pieces import IMAGES, pieces_of
from hnm_core.live.tracks import GAP
from hnm_core.taxonomy import BELOW_THRESHOLD, ROW_NAMES

from ..settings import RunSettings
from ..store import box_tables
from ..store.access import ObjectId, UpdateOne
from ..store.box_tables import Lists, Tables
from ..store.rereading import packed
from . import watched
from .videos import fractions

__all__ = ["Proposed", "read"]


@dataclass(frozen=True, eq=False)
class Proposed:
    """The frames that are kept, as tables, and what is proposed in them.

    Attributes:
        tables: the boxes of the model, and as truths the gaps.
        code: ``(n,)`` int8, the list of each box of the model.
        difficulty: ``(n,)`` how likely it is an error.
        gap_difficulty: ``(m,)`` how likely an object was missed.
        updates: what writes the gaps into the run's own field.
    """

    tables: Tables
    code: NDArray[np.int8]
    difficulty: NDArray[np.float64]
    gap_difficulty: NDArray[np.float64]
    updates: list[UpdateOne]


def read(frames: fo.Dataset, settings: RunSettings) -> Proposed:
    """Read the frames that :func:`.videos.keep_frames` has made, with what is proposed in them.

    Raises:
        ValueError: if their boxes were changed since.
    """
    folder = Path(frames.info[watched.MADE_BY])
    kept = {str(folder / IMAGES / frame["image"]): frame for p in pieces_of(folder) for frame in p["frames"]}
    gaps = [each["prediction"]["class"] for f in kept.values() for each in f["proposals"] if each["error"] == GAP]
    samples = frames.match(fo.ViewField("filepath").is_in(list(kept)))
    tables = box_tables.read_predictions(samples, settings, gaps)
    file_of = dict(zip(*samples.values(["id", "filepath"]), strict=True))
    code, difficulty, found = list[int](), list[float](), list[tuple[int, dict[str, Any]]]()
    for image, sample_id in enumerate(map(str, tables.sample_ids)):
        frame = kept[file_of[sample_id]]
        listed = {_same(each["prediction"]): each for each in frame["proposals"]}
        for box in frame["predictions"]:
            each = listed.get(_same(box))
            code.append(BELOW_THRESHOLD if each is None else ROW_NAMES.index(each["error"]))
            difficulty.append(0.0 if each is None else each["difficulty"])
        found += [(image, {**each, "frame": frame}) for each in frame["proposals"] if each["error"] == GAP]
    if len(code) != len(tables.predictions):
        raise ValueError(
            f"the boxes of {settings.pred_field!r} in dataset {frames.name!r} were changed: delete that dataset, and "
            f"mine the videos again"
        )
    truth, lists, updates = _gaps(tables, settings.gt_field, found)
    return Proposed(
        replace(tables, truth=truth, truth_lists=lists),
        np.array(code, dtype=np.int8),
        np.array(difficulty, dtype=np.float64),
        np.array([each["difficulty"] for _, each in found], dtype=np.float64),
        updates,
    )


def _gaps(
    tables: Tables, field: str, found: Sequence[tuple[int, Mapping[str, Any]]]
) -> tuple[Detections, Lists, list[UpdateOne]]:
    """Return the gaps as a table, as lists of the run's own field, and what writes them."""
    classes = {name: number for number, name in enumerate(tables.predictions.classes)}
    documents: dict[int, list[dict[str, Any]]] = {}
    ids, rows = list[ObjectId](), list[tuple[int, list[float], int]]()
    for image, each in found:
        name, (x, y, w, h) = each["prediction"]["class"], fractions(each["prediction"], each["frame"])
        made = {**fo.Detection(label=name, bounding_box=[x, y, w, h]).to_dict(), "_id": ObjectId()}
        documents.setdefault(image, []).append(made)
        ids.append(made["_id"])
        rows.append((image, [x, y, x + w, y + h], classes[name]))
    images, xyxy, label = zip(*rows, strict=True) if rows else ((), (), ())
    packed_ids = packed(ids)
    table = Detections(
        image=np.array(images, dtype=np.int64),
        xyxy=np.array(xyxy, dtype=np.float64).reshape(-1, 4),
        label=np.array(label, dtype=np.int64),
        score=None,
        images=tables.predictions.images,
        classes=tables.predictions.classes,
        ids=packed_ids,
    )
    start = np.searchsorted(table.image, np.arange(len(table.images) + 1))
    updates = [
        UpdateOne({"_id": tables.sample_ids[at]}, {"$set": {field: {"_cls": "Detections", "detections": boxes}}})
        for at, boxes in documents.items()
    ]
    return table, Lists(field, packed_ids, start), updates


def _same(box: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*box["bbox"], box["class"], box["confidence"])
