"""Turn the reviews of a run without ground truth into ground truth, in a field of its own.

A sample counts as labelled once everything that the run lists in it is reviewed: what was confirmed is its truth, what
was refuted is none. So mining with this field finds the refuted detections as false positives.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import fiftyone as fo

from hnm_core.labels.reviews import STATES, UNREVIEWED

from ..settings import RunSettings
from ..store import blocks, schema, views
from ..store.access import ObjectId, UpdateOne
from ..store.lock import Lease
from ..store.updates import now
from . import states
from .states import Box

CONFIRMED = {"prediction": "missing_label", "truth": "hard_negative"}
"""What says that there is an object: a detection without a label, or an object that the model has missed."""

UNCLEAR = ("wrong_label", "wrong_box")
"""What says that there is an object, and not which or where: the sample needs a person who draws it."""

OPEN = STATES[UNREVIEWED]


def labelled(dataset: fo.Dataset, settings: RunSettings) -> dict[str, list[Box]]:
    """Return the samples in which everything listed is reviewed, by id, each with its confirmed objects.

    Raises:
        ValueError: if there is none.
    """
    samples = views.images_of(dataset).exists(f"{settings.run_key}_count").values("id")
    listed: dict[str, list[Box]] = defaultdict(list)
    for box in states.boxes_of(dataset, settings, samples):
        if box.stored_state is not None:
            listed[box.sample_id].append(box)
    found = {
        sample_id: [box for box in boxes if box.stored_state == CONFIRMED[box.side]]
        for sample_id, boxes in listed.items()
        if not any(box.stored_state in (OPEN, *UNCLEAR) for box in boxes)
    }
    if not found:
        raise ValueError(
            f"in none of the {len(listed)} images that run {settings.run_key!r} lists something in is all of it "
            f"reviewed: review some first (triage_hard_negatives, or Review in the panel)"
        )
    return found


def write(
    held: Lease,
    dataset: fo.Dataset,
    settings: RunSettings,
    name: str,
    found: dict[str, list[Box]],
    attributes: tuple[str, str],
) -> None:
    """Write the field: the confirmed objects of the samples that are labelled; others have no value.

    ``attributes`` name where a label keeps the id of what it came from, and the run.
    """
    blocks.erase(held, dataset, [name])  # of an accepting that was interrupted
    inside = {f"{name}.detections.{each}": (fo.StringField, "") for each in attributes}
    schema.declare(held, dataset, {name: (fo.Detections, ""), **inside})
    updates = [
        UpdateOne({"_id": ObjectId(sample_id)}, {"$set": {name: _document(boxes, settings, attributes)} | now()})
        for sample_id, boxes in found.items()
    ]
    blocks.write(held, dataset, updates)


def _document(boxes: list[Box], settings: RunSettings, attributes: tuple[str, str]) -> dict[str, Any]:
    made = []
    for box in boxes:
        x0, y0, x1, y1 = box.bbox
        origin = dict(zip(attributes, (box.label_id, f"{box.field} {settings.run_key}"), strict=True))
        made.append(fo.Detection(label=box.label, bounding_box=[x0, y0, x1 - x0, y1 - y0], **origin))
    return dict(fo.Detections(detections=made).to_dict())
