"""The boxes of a sample as its reviews ask for them: what mending writes into the corrected copy."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from hnm_core.boxes import overlapping
from hnm_core.labels.remedies import Remedies
from hnm_core.labels.reviews import SAME_IOU

from ..settings import RunSettings
from ..store.access import ObjectId
from . import accepted_labels, states
from .accepted_labels import CORRECTED, ROUND, SOURCE

BY_HAND = "by_hand"
"""What ``corrected_as`` says of a label that somebody edited or added in Annotate mode."""


class Wanted:
    """What the reviews ask for: classes and boxes by the id of a truth, ids to remove, ids of predictions to accept.

    What was edited by hand stays as it is, as long as the ledger says so.
    """

    def __init__(
        self, found: Remedies, predictions: Sequence[states.Box], truth: Sequence[states.Box], by_hand: Collection[str]
    ) -> None:
        self.by_hand = by_hand
        self.label = {truth[t].label_id: predictions[p].label for t, p in found.relabelled.tolist()}
        self.box = {truth[t].label_id: predictions[p].label_id for t, p in found.moved.tolist()}
        self.removed = {truth[t].label_id for t in found.removed.tolist()}
        self.accepted = {predictions[p].label_id for p in found.accepted.tolist()}

    def of(
        self,
        predicted: Sequence[dict[str, Any]],
        original: Sequence[dict[str, Any]],
        before: Sequence[dict[str, Any]],
        settings: RunSettings,
        named: Mapping[str, str],
        once_removed: Collection[str],
    ) -> list[dict[str, Any]]:
        """Return the list of boxes of one sample, corrected.

        Args:
            predicted: the predictions.
            original: the truth.
            before: the copy as it is.
            settings: of the run.
            named: the last review of every object by its key.
            once_removed: ids of the truths that were ever reviewed as bogus.
        """
        predictions = {str(box["_id"]): box for box in predicted}
        first = {str(box["_id"]): box for box in original}
        after, ours = [], {accepted_id(i): i for i in predictions}
        for box in before:
            i = str(box["_id"])
            if states.key_of("truth", i) in self.by_hand:
                after.append({**box, CORRECTED: BY_HAND})
                continue
            if box.get(CORRECTED) == BY_HAND and i not in first:
                continue  # somebody took the edit back; an accepted label is made anew below
            bogus = named.get(states.key_of("truth", i)) == "bogus_label" or i in self.removed
            taken_back = i in ours and ours[i] not in self.accepted
            if not bogus and not taken_back:
                after.append(self._changed(box, i, first, predictions))
        there = {str(box["_id"]) for box in after}
        drawn = [box for box in after if box.get(CORRECTED) == BY_HAND]
        for i, box in first.items():
            if i not in there and i not in self.removed and i in once_removed:
                after.append(self._changed(box, i, first, predictions))
        for new, i in ours.items():
            refused = named.get(states.key_of("truth", new)) == "bogus_label"
            if i in self.accepted and new not in there and not (refused or _is_drawn(predictions[i], drawn, settings)):
                after.append(_accepted(predictions[i], new, settings))
        return after

    def _changed(
        self, box: dict[str, Any], i: str, first: Mapping[str, Any], predictions: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return a box with the class and the edges that are asked for, or those that it had."""
        out = dict(box)
        if out.pop(CORRECTED, None) and i in first:
            out |= {name: first[i][name] for name in ("label", "bounding_box")}
        kinds = []
        if i in self.label:
            out["label"] = self.label[i]
            kinds.append("wrong_label")
        if i in self.box:
            out["bounding_box"] = list(predictions[self.box[i]]["bounding_box"])
            kinds.append("wrong_box")
        if kinds:
            out[CORRECTED] = " ".join(kinds)
        return out


def accepted_id(label_id: str) -> str:
    """Return the id of the label that a prediction becomes: always the same, so that it is never accepted twice."""
    return hashlib.sha256(f"accepted {label_id}".encode()).hexdigest()[:24]


def _accepted(box: Mapping[str, Any], new: str, settings: RunSettings) -> dict[str, Any]:
    """Return a prediction as a label, with where it came from."""
    label = settings.class_map.get(box["label"], box["label"])
    made = accepted_labels.new_label(label, box["bounding_box"])
    source = {SOURCE: str(box["_id"]), ROUND: f"{settings.pred_field} {settings.run_key}"}
    return {**made, "_id": ObjectId(new), **source}


def edges_of(box: Mapping[str, Any]) -> tuple[float, ...]:
    """Return ``x0, y0, x1, y1`` of a box as FiftyOne stores it."""
    x, y, width, height = box["bounding_box"]
    return (x, y, x + width, y + height)


def same_object(box: Mapping[str, Any], others: Sequence[Mapping[str, Any]], label: str) -> int | None:
    """Return the place of the box of this class that covers a box best, None if none does (IoU ≥ .5)."""
    some = [at for at, other in enumerate(others) if other["label"] == label]
    if not some:
        return None
    one, many = np.array([edges_of(box)]), np.array([edges_of(others[at]) for at in some])
    _, found, iou = overlapping(one, many, np.zeros(len(some), dtype=np.int64), np.arange(len(some)))
    return some[int(found[np.argmax(iou)])] if len(iou) and iou.max() >= SAME_IOU else None


def _is_drawn(box: Mapping[str, Any], drawn: Sequence[Mapping[str, Any]], settings: RunSettings) -> bool:
    """Return whether somebody has drawn the label of a prediction already."""
    return same_object(box, drawn, settings.class_map.get(box["label"], box["label"])) is not None
