"""Edit a label of the corrected copy in FiftyOne's Annotate mode, and bring what was edited into the ledger.

What a sample's labels are when it is opened is written down, and compared with what they are at the next mending, which
follows the ledger and leaves alone what it calls corrected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from fiftyone.operators.store import ExecutionStore

from ..runs import corrections
from ..settings import RunSettings
from ..store import access
from ..store.access import ObjectId
from . import states
from .ledger import MOST_OBJECTS, Ledger, ReviewEntry
from .wanted import edges_of, same_object

if TYPE_CHECKING:
    import fiftyone as fo

STORE = "hnm_edits"
EXPIRY = 7 * 24 * 3600
"""Seconds for which edits of an opened sample are looked for (chosen)."""

Boxes = Mapping[str, Mapping[str, Any]]
"""Boxes by their ids: ``label`` and ``bounding_box``."""


class Opened(NamedTuple):
    """What is open for editing: a field, a sample, and the label to begin with, if there is one."""

    field: str
    sample_id: str
    label_id: str | None


def open_label(dataset: fo.Dataset, settings: RunSettings, side: str, label_id: str, sample_id: str) -> Opened:
    """Write down the labels of a sample in the corrected copy, and return which of them belongs to an object.

    The copy must exist. That of a truth is its own label, that of a prediction the label that covers it most.

    Args:
        dataset: the dataset.
        settings: of the run.
        side: ``prediction`` or ``truth``.
        label_id: of the object.
        sample_id: of its sample.
    """
    copy, fields = corrections.copy_of(dataset, settings.gt_field), (settings.pred_field,)
    document = access.collection(dataset).find_one({"_id": ObjectId(sample_id)}, [copy, *fields])
    labels = _boxes(document, copy)
    _store(dataset).set(f"{copy} {sample_id}", _noted(copy, sample_id, labels), ttl=EXPIRY)
    if side == "truth":
        return Opened(copy, sample_id, label_id if label_id in labels else None)
    box = _boxes(document, settings.pred_field).get(label_id)
    ids, known = list(labels), list(labels.values())
    names = (
        dict.fromkeys([settings.class_map.get(box["label"], box["label"]), *(b["label"] for b in known)]) if box else ()
    )
    at = next((at for name in names if box and (at := same_object(box, known, name)) is not None), None)
    return Opened(copy, sample_id, None if at is None else ids[at])


def is_any_opened(dataset: fo.Dataset) -> bool:
    """Return whether a label of the dataset was opened for editing of late."""
    about = {"store_name": STORE, "dataset_id": access.dataset_id(dataset), "value.copy": {"$exists": True}}
    return access.stored_executions().find_one(about, {"_id": 1}) is not None


def is_edited(dataset: fo.Dataset, copy: str) -> bool:
    """Return whether a sample that was opened has other labels now."""
    return any(before != now for _, before, now in _opened(dataset, copy))


def collect(dataset: fo.Dataset, settings: RunSettings, base: str, copy: str, who: str | None = None) -> list[str]:
    """Add what was edited since to the ledger, as corrected, and return the ids of the samples.

    A label with another class is reviewed as ``wrong_label``, one with another box as ``wrong_box``, one that is gone
    as ``bogus_label``; a new one is noted without a review, and a prediction under it becomes a ``missing_label``.
    """
    edited = []
    for sample_id, before, now in _opened(dataset, copy):
        if before == now:
            continue
        document = access.collection(dataset).find_one({"_id": ObjectId(sample_id)}, [base, settings.pred_field])
        truth, predicted = _boxes(document, base), _boxes(document, settings.pred_field)
        mapped = {
            i: {**box, "label": settings.class_map.get(box["label"], box["label"])} for i, box in predicted.items()
        }
        entries = list(_entries(sample_id, before, now, truth, mapped, settings.run_key))
        edited.append(sample_id)
        for start in range(0, len(entries), MOST_OBJECTS):
            Ledger(dataset).add(entries[start : start + MOST_OBJECTS], who)
    return edited


def look_again(dataset: fo.Dataset, copy: str) -> None:
    """Write down the labels of the opened samples as they are now: the ledger has what was edited."""
    for sample_id, before, now in _opened(dataset, copy):
        if before != now:
            _store(dataset).set(f"{copy} {sample_id}", _noted(copy, sample_id, now), ttl=EXPIRY)


def by_hand(entries: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the keys of the labels that are there as somebody edited them, by the last entry on each."""
    last = {states.key_of(e["side"], e["label_id"]): e for e in entries}
    return {k for k, e in last.items() if e.get("corrected") and e["side"] == "truth" and e["state"] != "bogus_label"}


def _entries(
    sample_id: str, before: Boxes, now: Boxes, truth: Boxes, predicted: Boxes, run_key: str
) -> Iterable[ReviewEntry]:
    for i in {**before, **now}:
        then, there = before.get(i), now.get(i)
        if then == there:
            continue
        first = truth.get(i, then or there)  # the run knows the label as it was
        assert first is not None
        place = sample_id, "truth", first["label"], edges_of(first)
        if there is None:
            state = "bogus_label"
        elif then is None:
            state = "unreviewed"
        else:
            state = "wrong_label" if then["label"] != there["label"] else "wrong_box"
        yield ReviewEntry(*place, state, run_key, i, corrected=True)
        if then is None and there is not None:
            at = same_object(there, list(predicted.values()), there["label"])
            if at is not None:
                key, box = list(predicted.items())[at]
                of_prediction = sample_id, "prediction", box["label"], edges_of(box)
                yield ReviewEntry(*of_prediction, "missing_label", run_key, key, corrected=True)


def _opened(dataset: fo.Dataset, copy: str) -> list[tuple[str, Boxes, Boxes]]:
    """Return every opened sample with its labels then and now; a sample that is gone is left out."""
    about = {"store_name": STORE, "dataset_id": access.dataset_id(dataset), "value.copy": copy}
    noted = {each["value"]["sample_id"]: each["value"]["boxes"] for each in access.stored_executions().find(about)}
    if not noted:
        return []
    some = access.collection(dataset).find({"_id": {"$in": [ObjectId(i) for i in noted]}}, [copy])
    return [(str(document["_id"]), noted[str(document["_id"])], _boxes(document, copy)) for document in some]


def _noted(copy: str, sample_id: str, labels: Boxes) -> dict[str, Any]:
    return {"copy": copy, "sample_id": sample_id, "boxes": labels}


def _boxes(document: Mapping[str, Any] | None, field: str) -> dict[str, dict[str, Any]]:
    names = ("label", "bounding_box")
    return {str(box["_id"]): {name: box[name] for name in names} for box in states.boxes_at(document, field)}


def _store(dataset: fo.Dataset) -> ExecutionStore:
    return ExecutionStore.create(STORE, access.dataset_id(dataset))
