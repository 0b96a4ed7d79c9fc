"""The ledger's words on the boxes of a run: which box inherits which review, and their copies in the run's fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bson import ObjectId
from fiftyone import ViewField as F
from pymongo import UpdateOne

from hnm_core import Detections
from hnm_core.reviews import STATES, Reviews, inherit_reviews

from .settings import RunSettings
from .updates import now

SUSPICION = {"hard_negative": 0.0, "missing_label": 1.0, "wrong_label": 1.0}
"""What a review makes of the suspicion; ``ignore`` leaves it, ``unreviewed`` gives it back to the estimate."""


@dataclass(frozen=True)
class Box:
    """A box of a run, as it stands in the database.

    Attributes:
        sample_id: id of its sample.
        label_id: its own id.
        field: its field.
        side: ``prediction`` or ``truth``.
        label: its class, as the run names it.
        bbox: ``x0, y0, x1, y1`` as fractions of the image.
        held: ``KEY_state`` as it is stored, None where the run did not mine the box.
        error: ``KEY_error`` as it is stored.
        mined: whether the run can weigh it; not so if it was to be ignored when the run was mined.
        key: what tells it from all boxes of the run: truths are often corrected copies of predictions, ids and all.
    """

    sample_id: str
    label_id: str
    field: str
    side: str
    label: str
    bbox: tuple[float, ...]
    held: str | None
    error: str | None
    mined: bool

    @property
    def key(self) -> str:
        """``SIDE:ID``."""
        return key_of(self.side, self.label_id)


def key_of(side: str, label_id: str) -> str:
    """How an object is named where an id alone might be that of a prediction and of the truth copied from it."""
    return f"{side}:{label_id}"


def sides_of(settings: RunSettings) -> tuple[tuple[str, str], tuple[str, str]]:
    """Both sides of a run and their fields."""
    return ("prediction", settings.pred_field), ("truth", settings.gt_field)


def boxes_of(dataset: Any, settings: RunSettings, sample_ids: Iterable[str]) -> list[Box]:
    """Every box of some samples in the fields of a run, in the order of their lists."""
    key = settings.run_key
    names = ("_id", "label", "bounding_box", f"{key}_state", f"{key}_error", f"{key}_difficulty")
    paths = {f"{field}.detections.{name}": 1 for _, field in sides_of(settings) for name in names}
    found = []
    for document in dataset._root_dataset._sample_collection.find(
        {"_id": {"$in": [ObjectId(i) for i in sample_ids]}}, paths
    ):
        for side, field in sides_of(settings):
            class_map = settings.class_map if side == "prediction" else {}
            for box in list_at(document, field):
                x, y, width, height = box["bounding_box"]
                found.append(
                    Box(
                        *(str(document["_id"]), str(box["_id"]), field, side),
                        *(class_map.get(box["label"], box["label"]), (x, y, x + width, y + height)),
                        *(box.get(f"{key}_state"), box.get(f"{key}_error")),
                        mined=box.get(f"{key}_difficulty") is not None,
                    )
                )
    return found


def without_list(dataset: Any, field: str, sample_ids: Iterable[str]) -> list[str]:
    """Ids of those samples in which the field holds no list of boxes, for it was cleared."""
    wanted = {"_id": {"$in": [ObjectId(i) for i in sample_ids]}, f"{field}.detections": {"$not": {"$type": "array"}}}
    return [str(found["_id"]) for found in dataset._root_dataset._sample_collection.find(wanted, ["_id"])]


def left_out(dataset: Any, settings: RunSettings) -> int:
    """How many objects a run left out when it was mined, for they were to be ignored then, and are not any more."""
    state, difficulty = F(f"{settings.run_key}_state"), F(f"{settings.run_key}_difficulty")
    answered = state.exists() & (state != "ignore") & ~difficulty.exists()
    return sum(dataset.filter_labels(field, answered).count(f"{field}.detections") for _, field in sides_of(settings))


def left_out_note(run_key: str, count: int) -> str:
    """What to do about them, in a sentence."""
    what, it = ("1 object was", "it") if count == 1 else (f"{count:,} objects were", "them")
    return f"{what} to be ignored when run {run_key!r} was mined: mine again to weigh {it}"


def inherited(boxes: Sequence[Box], entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The review state of every box, by its key: what the entries say of it or of the box that it was before.

    Args:
        boxes: all boxes of some samples in the fields of one run.
        entries: the ledger's entries on these samples, in order.
    """
    tables = {side: [box for box in boxes if box.side == side] for side in ("prediction", "truth")}
    images = tuple(dict.fromkeys(box.sample_id for box in boxes))
    classes = tuple(dict.fromkeys(box.label for box in boxes))
    codes = inherit_reviews(Reviews.of(entries), *(_table(table, images, classes) for table in tables.values()))
    return {
        box.key: STATES[code]
        for table, of_side in zip(tables.values(), codes, strict=True)
        for box, code in zip(table, of_side.tolist(), strict=True)
    }


def copy_states(
    dataset: Any,
    settings: RunSettings,
    boxes: Sequence[Box],
    states: Mapping[str, str],
    estimate: Callable[[], Mapping[str, float]],
) -> int:
    """Bring ``KEY_state`` and ``KEY_suspicion`` of boxes that a run mined in line with the ledger.

    Args:
        dataset: the dataset.
        settings: settings of the run.
        boxes: boxes of the run.
        states: state of every box, as :func:`inherited` gives it.
        estimate: gives the suspicion of every object that nobody has reviewed, by its key; only asked if need be.

    Returns:
        How many boxes were changed.
    """
    updates = []
    for box in boxes:
        state = states[box.key]
        if box.held is None or box.held == state:
            continue
        changes: dict[str, Any] = {"state": state}
        suspicion = SUSPICION.get(state) if state != "unreviewed" else estimate().get(box.key)
        if suspicion is not None:
            changes["suspicion"] = suspicion
        path = f"{box.field}.detections"
        values = {f"{path}.$[box].{settings.run_key}_{name}": value for name, value in changes.items()}
        own = {"_id": ObjectId(box.sample_id), f"{path}._id": ObjectId(box.label_id)}
        filters = [{"box._id": ObjectId(box.label_id)}]
        updates.append(UpdateOne(own, {"$set": values | now()}, array_filters=filters))
    if updates:
        dataset._root_dataset._sample_collection.bulk_write(updates, ordered=False)
    return len(updates)


def _table(boxes: Sequence[Box], images: tuple[str, ...], classes: tuple[str, ...]) -> Detections:
    image, label = ({name: i for i, name in enumerate(names)} for names in (images, classes))
    return Detections(
        image=np.array([image[box.sample_id] for box in boxes], dtype=np.int64),
        xyxy=np.array([box.bbox for box in boxes], dtype=np.float64).reshape(-1, 4),
        label=np.array([label[box.label] for box in boxes], dtype=np.int64),
        score=None,
        images=images,
        classes=classes,
    )


def list_at(document: Mapping[str, Any] | None, field: str) -> Sequence[Mapping[str, Any]]:
    """The boxes of a field in a document as the database gives it; none where there is no list."""
    value: Any = document
    for name in (*field.split("."), "detections"):
        value = (value or {}).get(name)
    return value or ()
