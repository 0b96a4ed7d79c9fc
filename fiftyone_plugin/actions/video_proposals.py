"""Give a dataset of the frames that a watch has kept the run of what is proposed in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections, MiningResult
from hnm_core.labels.reviews import Reviews
from hnm_core.live.pieces import IMAGES, pieces_of
from hnm_core.live.proposals import propose
from hnm_core.live.tracks import GAP
from hnm_core.live.watched import Watched
from hnm_core.taxonomy import BELOW_THRESHOLD, ROW_NAMES

from ..review.ledger import Ledger
from ..runs import save
from ..settings import RunSettings
from ..store import box_tables, model_record
from ..store.access import ObjectId, UpdateOne
from ..store.box_tables import Lists, Tables
from ..store.journal import RUN
from ..store.lock import lease
from ..store.rereading import packed
from . import watched

__all__ = ["Proposed", "read", "record"]


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


def record(
    frames: fo.Dataset, settings: RunSettings, found: Watched, *, overwrite: bool, operator: str
) -> tuple[MiningResult, list[str], int]:
    """Write the run, with the reviews made so far.

    Args:
        frames: the dataset of frames.
        settings: of the run.
        found: what the watch has found, in numbers.
        overwrite: replace a run of this key.
        operator: what writes.

    Returns:
        What is proposed, the warnings about the data, and the number of samples that were written.

    Raises:
        ValueError: if the boxes of the dataset were changed, or the run cannot be written.
    """
    with lease(frames, f"{RUN}{settings.run_key}", operator=operator) as held:
        seen = read(frames, settings)
        seen.tables.warnings.extend(model_record.model_notes(frames, settings.pred_field))
        seen.tables.warnings.extend(found.notes)
        seen.tables.warnings.append(found.left_out)
        result = propose(
            seen.tables.predictions,
            seen.difficulty,
            settings.engine,
            gaps=seen.tables.truth,
            gap_difficulty=seen.gap_difficulty,
            code=seen.code,
            reviews=Reviews.of(Ledger(frames).entries()),
        )
        written = save.record(frames, seen.tables, result, settings, gaps=seen.updates, overwrite=overwrite, held=held)
    return result, seen.tables.warnings, written


def read(frames: fo.Dataset, settings: RunSettings) -> Proposed:
    """Read the frames that :func:`.watched.add_frames` has added, with what is proposed in them.

    Raises:
        ValueError: if their boxes were changed since.
    """
    folder = Path(frames.info[watched.MADE_BY])
    kept = {
        str(folder / IMAGES / frame["image"]): {**frame, "piece": number}
        for number, piece in enumerate(pieces_of(folder), start=1)
        for frame in piece["frames"]
    }
    gaps = [each["prediction"]["class"] for f in kept.values() for each in f["proposals"] if each["error"] == GAP]
    samples = frames.match(fo.ViewField("filepath").is_in(list(kept)))
    tables = box_tables.read_predictions(samples, settings, gaps)
    file_of = dict(zip(*samples.values(["id", "filepath"]), strict=True))
    code, difficulty, found = list[int](), list[float](), list[tuple[int, dict[str, Any]]]()
    for image, sample_id in enumerate(map(str, tables.sample_ids)):
        frame = kept[file_of[sample_id]]
        listed = {watched.same(each["prediction"]): each for each in frame["proposals"]}
        for box in frame["predictions"]:
            each = listed.get(watched.same(box))
            code.append(BELOW_THRESHOLD if each is None else ROW_NAMES.index(each["error"]))
            difficulty.append(0.0 if each is None else each["difficulty"])
        found += [(image, {**each, "frame": frame}) for each in frame["proposals"] if each["error"] == GAP]
    if len(code) != len(tables.predictions):
        raise ValueError(
            f"the boxes of {settings.pred_field!r} in dataset {frames.name!r} were changed: delete that dataset, then "
            f"do the same again"
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
        name, (x, y, w, h) = each["prediction"]["class"], watched.fractions(each["prediction"], each["frame"])
        track = {watched.TRACK: watched.track_of(each["frame"]["piece"], each)}
        made = {**fo.Detection(label=name, bounding_box=[x, y, w, h], **track).to_dict(), "_id": ObjectId()}
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
