"""Reviews on the boxes of a run: which box inherits which review, and their copies in the run's fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from fiftyone import ViewField as F

from hnm_core import Detections
from hnm_core.labels.inheritance import inherit_answers
from hnm_core.labels.reviews import LABEL_ERRORS, STATES, UNREVIEWED, Reviews

from ..settings import RunSettings
from ..store import access, blocks, checks
from ..store.access import Fence, ObjectId, UpdateOne
from ..store.updates import now

if TYPE_CHECKING:
    import fiftyone as fo

SUSPICION = {"hard_negative": 0.0, **{STATES[code]: 1.0 for code in LABEL_ERRORS}}
"""Suspicion after a review; ``ignore`` does not change it, after ``unreviewed`` it is the estimate again."""


@dataclass(frozen=True)
class Box:
    """A box of a run as it is stored in the database.

    Attributes:
        sample_id: id of its sample.
        label_id: its own id.
        field: its field.
        side: ``prediction`` or ``truth``.
        label: its class, with the name that the run uses.
        bbox: ``x0, y0, x1, y1`` as fractions of the image.
        stored_state: ``KEY_state``; None if the run did not mine the box.
        error: ``KEY_error``.
        mined: whether the run can weigh the box; False if it was ignored when the run was mined.
        key: unique among the boxes of the run: truths are often corrected copies of predictions, with the same ids.
    """

    sample_id: str
    label_id: str
    field: str
    side: str
    label: str
    bbox: tuple[float, ...]
    stored_state: str | None
    error: str | None
    mined: bool

    @property
    def key(self) -> str:
        """Return ``SIDE:ID``."""
        return key_of(self.side, self.label_id)


def key_of(side: str, label_id: str) -> str:
    """Return the key of an object. An id alone can be that of a prediction and of a truth that was copied from it."""
    return f"{side}:{label_id}"


def sides_of(settings: RunSettings) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return both sides of a run with their fields."""
    return ("prediction", settings.pred_field), ("truth", settings.gt_field)


def boxes_of(dataset: fo.Dataset, settings: RunSettings, sample_ids: Iterable[str]) -> list[Box]:
    """Return every box of some samples in the fields of a run, in the order of their lists."""
    key = settings.run_key
    names = ("_id", "label", "bounding_box", f"{key}_state", f"{key}_error", f"{key}_difficulty")
    paths = {f"{field}.detections.{name}": 1 for _, field in sides_of(settings) for name in names}
    found = []
    for document in access.collection(dataset).find({"_id": {"$in": [ObjectId(i) for i in sample_ids]}}, paths):
        for side, field in sides_of(settings):
            class_map = settings.class_map if side == "prediction" else {}
            for box in boxes_at(document, field):
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


def check_alone(boxes: Sequence[Box]) -> None:
    """Refuse objects of a run that share their key with another box: a review of one would be one of both.

    Mining refuses such fields; labels can be copied later.

    Args:
        boxes: the objects, and other boxes of any samples.

    Raises:
        ValueError: saying how many share it, where the first one is, and what helps.
    """
    places = {(box.key, box.sample_id) for box in boxes if box.stored_state is not None}
    here = [box for box in boxes if (box.key, box.sample_id) in places]
    times = Counter(box.key for box in here)
    if shared := [box for box in here if times[box.key] > 1]:
        first = shared[0]
        raise ValueError(
            f"{len(shared)} of {len(here)} boxes to review (first {first.key} in sample {first.sample_id}) have "
            f"{checks.shared_id(first.field)}; then mine again"
        )


def without_list(dataset: fo.Dataset, field: str, sample_ids: Iterable[str]) -> list[str]:
    """Return the ids of the samples in which the field has no list of boxes, because it was removed."""
    wanted = {"_id": {"$in": [ObjectId(i) for i in sample_ids]}, f"{field}.detections": {"$not": {"$type": "array"}}}
    return [str(found["_id"]) for found in access.collection(dataset).find(wanted, ["_id"])]


def count_needing_mining(dataset: fo.Dataset, settings: RunSettings) -> int:
    """Count the objects that a run ignored when it was mined, and that are not reviewed as ``ignore`` any more."""
    state, difficulty = F(f"{settings.run_key}_state"), F(f"{settings.run_key}_difficulty")
    reviewed = state.exists() & (state != "ignore") & ~difficulty.exists()
    return sum(dataset.filter_labels(field, reviewed).count(f"{field}.detections") for _, field in sides_of(settings))


def remine_note(run_key: str, count: int) -> str:
    """Return a sentence on objects that only mining again can weigh."""
    what, it = ("1 object was", "it") if count == 1 else (f"{count:,} objects were", "them")
    return f"{what} ignored when run {run_key!r} was mined: mine again to give {it} a weight"


def inherited_states(boxes: Sequence[Box], entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the review state of every box, by its key; arguments as for :func:`inherited_answers`."""
    return {key: STATES[max(answer, UNREVIEWED)] for key, answer in inherited_answers(boxes, entries).items()}


def inherited_answers(boxes: Sequence[Box], entries: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return the answer on every box, by its key: that of the entries on it or on a box that it overlaps.

    Args:
        boxes: all boxes of some samples in the fields of one run.
        entries: the ledger's entries on these samples, in order.
    """
    tables = {side: [box for box in boxes if box.side == side] for side in ("prediction", "truth")}
    images = tuple(dict.fromkeys(box.sample_id for box in boxes))
    classes = tuple(dict.fromkeys(box.label for box in boxes))
    found = inherit_answers(Reviews.of(entries), *(detections_of(table, images, classes) for table in tables.values()))
    return {
        box.key: answer
        for table, of_side in zip(tables.values(), found, strict=True)
        for box, answer in zip(table, of_side.tolist(), strict=True)
    }


def copy_states(
    fence: Fence,
    dataset: fo.Dataset,
    settings: RunSettings,
    boxes: Sequence[Box],
    states: Mapping[str, str],
    estimate: Callable[[], Mapping[str, float]],
) -> int:
    """Update ``KEY_state`` and ``KEY_suspicion`` of the boxes of a run from the ledger.

    Args:
        fence: the right to write.
        dataset: the dataset.
        settings: settings of the run.
        boxes: boxes of the run.
        states: state of every box, as :func:`inherited` gives it.
        estimate: returns the suspicion of every unreviewed object by its key; called only if needed.

    Returns:
        Number of boxes changed.
    """
    updates = []
    for box in boxes:
        state = states[box.key]
        if box.stored_state is None or box.stored_state == state:
            continue
        changes: dict[str, Any] = {"state": state}
        proposed = settings.without_truth and state == "unreviewed"  # then nothing is known of it
        suspicion = SUSPICION.get(state) if state != "unreviewed" or proposed else estimate().get(box.key)
        if suspicion is not None:
            changes["suspicion"] = suspicion
        path = f"{box.field}.detections"
        values = {f"{path}.$[box].{settings.run_key}_{name}": value for name, value in changes.items()}
        gone = {"$unset": {f"{path}.$[box].{settings.run_key}_suspicion": ""}} if proposed else {}
        own = {"_id": ObjectId(box.sample_id), f"{path}._id": ObjectId(box.label_id)}
        filters = [{"box._id": ObjectId(box.label_id)}]
        updates.append(UpdateOne(own, {"$set": values | now(), **gone}, array_filters=filters))
    blocks.write(fence, dataset, updates)
    return len(updates)


def detections_of(boxes: Sequence[Box], images: tuple[str, ...], classes: tuple[str, ...]) -> Detections:
    """Return boxes as a table of the engine, without scores."""
    image, label = ({name: i for i, name in enumerate(names)} for names in (images, classes))
    return Detections(
        image=np.array([image[box.sample_id] for box in boxes], dtype=np.int64),
        xyxy=np.array([box.bbox for box in boxes], dtype=np.float64).reshape(-1, 4),
        label=np.array([label[box.label] for box in boxes], dtype=np.int64),
        score=None,
        images=images,
        classes=classes,
    )


def boxes_at(document: Mapping[str, Any] | None, field: str) -> Sequence[Mapping[str, Any]]:
    """Return the boxes of a field in a document of the database, or an empty list."""
    value: Any = document
    for name in (*field.split("."), "detections"):
        value = (value or {}).get(name)
    return value or ()
