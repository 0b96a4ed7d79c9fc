"""Mend reviewed label errors in the corrected copy of the truth; the truth field itself is never changed.

The copy follows the ledger: what is reviewed is mended, and what was taken back is as it was. Boxes that no review is
about stay as they are, so that corrections by hand are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hnm_core.labels.remedies import Remedies, find_remedies
from hnm_core.labels.reviews import state_codes

from ..runs import corrections, records
from ..settings import RunSettings
from ..store import access, blocks, checks, schema, views
from ..store.access import ObjectId, UpdateOne
from ..store.journal import FIELD
from ..store.lock import Busy, Lease, lease
from ..store.updates import now
from . import accepted_labels, editing, states
from .ledger import Ledger, ReviewAction
from .wanted import Wanted, accepted_id

if TYPE_CHECKING:
    import fiftyone as fo

OPERATOR = "mend_labels"
SAMPLES, ATTEMPTS, WAIT = 500, 3, 10.0
"""Samples looked at together; how often those that somebody edits meanwhile are; seconds to wait for others."""


@dataclass
class Counts:
    """What is mended in the copy.

    Attributes:
        accepted: predictions that are labels now.
        relabelled: labels with another class.
        moved: labels with another box.
        removed: labels that are gone.
        by_hand: labels that somebody edited in Annotate mode, or added there.
        unmended: reviewed label errors with nothing to mend them: they need a person.
    """

    accepted: int = 0
    relabelled: int = 0
    moved: int = 0
    removed: int = 0
    by_hand: int = 0
    unmended: int = 0

    def add(self, found: Remedies) -> None:
        """Add the remedies of some samples."""
        self.accepted += len(found.accepted)
        self.relabelled += len(found.relabelled)
        self.moved += len(found.moved)
        self.removed += len(found.removed)
        self.unmended += len(found.open_predictions) + len(found.open_truth)

    @property
    def labels(self) -> int:
        """How many labels differ from the truth."""
        return self.accepted + self.relabelled + self.moved + self.removed + self.by_hand


def mend(dataset: fo.Dataset, run_key: str | None, who: str | None = None) -> dict[str, Any]:
    """Bring the corrected copy of a run's truth in line with all reviews, and make it if there is none.

    Args:
        dataset: the dataset.
        run_key: the run whose predictions and truth were reviewed.
        who: who edited labels in Annotate mode since; None for the user that this process runs as.

    Returns:
        ``output_field``; how many labels are ``accepted``, ``relabelled``, ``moved``, ``removed``, edited ``by_hand``
        in it, and how many reviewed label errors are ``unmended``; ids of the samples whose edits came into the ledger
        (``edited``); number of samples ``changed`` by this call; ``stale``, a sentence on the run if it was mined
        before.

    Raises:
        ValueError: if there is no such run, or a field of that name exists and is no corrected copy.
    """
    settings = records.settings_of(dataset, run_key)
    base, copy = (each(dataset, settings.gt_field) for each in (corrections.base_of, corrections.copy_of))
    check_copy(dataset, settings)
    name, counts = f"{FIELD}{copy}", Counts()
    with (
        lease(dataset, name, operator=OPERATOR, wait=WAIT) as held,
        records.reading(dataset, settings.run_key),
    ):
        held.begin(name, "mending", {"fields": [copy]})
        if not corrections.is_made(dataset, base):
            kept = {record.key: str(record.run_id) for record in records.usable(dataset)}
            accepted_labels.copy_truth(held, dataset, base, copy, {}, keep=True)
            corrections.note(held, dataset, copy, base, 0, kept)
        edited = editing.collect(dataset, settings, base, copy, who)
        before = corrections.mended_labels(dataset, base)
        actions = Ledger(dataset).actions(withdrawn=True)
        changed = _write(held, dataset, replace(settings, gt_field=base), copy, actions, counts)
        if changed or counts.labels != before:
            corrections.note(held, dataset, copy, base, counts.labels)
        editing.look_again(dataset, copy)
        held.finish(name, {}, keep=False)
    access.refresh(dataset)
    stale = corrections.stale_note(dataset, settings.run_key)
    return {"output_field": copy, **vars(counts), "edited": edited, "changed": changed, "stale": stale}


def check_copy(dataset: fo.Dataset, settings: RunSettings) -> None:
    """Refuse to write into a field that is no corrected copy.

    Raises:
        ValueError: if there is such a field, or one of the run's fields is gone.
    """
    if settings.without_truth:
        raise ValueError(
            f"run {settings.run_key!r} was mined without ground truth, so there is no label to mend: accept what is "
            f"reviewed as ground truth instead (accept_missing_labels)"
        )
    copy = corrections.copy_of(dataset, settings.gt_field)
    checks.check_fields(views.images_of(dataset), settings.pred_field, corrections.base_of(dataset, settings.gt_field))
    schema.check_writable(dataset, [f"{copy}.detections"])
    unfinished = accepted_labels.is_begun(dataset, copy, "mending")
    if not corrections.is_made(dataset, settings.gt_field) and not unfinished and copy in schema.stored(dataset):
        raise ValueError(f"field {copy!r} exists and is no corrected copy: rename it first (rename_sample_field)")


def follow(dataset: fo.Dataset, action: ReviewAction) -> None:
    """Mend again after an action was taken back, where there is a corrected copy that it may have changed."""
    for key in sorted({entry.run_key for entry in action.entries}):
        record = next((each for each in records.usable(dataset) if each.key == key), None)
        if record is not None and corrections.is_made(dataset, record.settings.gt_field):
            try:
                mend(dataset, key)
            except Busy:  # whoever is mending reads the ledger, or the next mending does
                continue


def outcome_text(done: Mapping[str, Any]) -> str:
    """Return a sentence on what is mended, and one on what needs a person."""
    kinds = ("accepted", "relabelled", "moved", "removed", "by_hand")
    parts = [f"{done[kind]:,} {kind.replace('_', ' ')}" for kind in kinds if done[kind]]
    text = f"{done['output_field']!r}: {', '.join(parts) or 'nothing to mend'}"
    left = done["unmended"]
    needs = f"{left:,} reviewed label error{' needs' if left == 1 else 's need'} a person: no prediction mends it"
    return f"{text}. {needs}" if left else text


def _write(
    held: Lease,
    dataset: fo.Dataset,
    settings: RunSettings,
    copy: str,
    actions: Sequence[ReviewAction],
    counts: Counts,
) -> int:
    """Write what differs, and return the number of samples that changed."""
    run = set(map(str, views.images_of(dataset).exists(f"{settings.run_key}_count").values("id")))
    samples = sorted({entry.image for action in actions for entry in action.entries} & run)
    once_removed = {e.label_id for a in actions for e in a.entries if e.state == "bogus_label"}
    total = 0
    for start in range(0, len(samples), SAMPLES):
        some, tally = samples[start : start + SAMPLES], Counts()
        for _ in range(ATTEMPTS):
            tally = Counts()
            updates = list(_updates(dataset, settings, copy, some, once_removed, tally))
            written = blocks.write(held, dataset, updates)
            total += written
            if written == len(updates):
                break
        for name, value in vars(tally).items():
            setattr(counts, name, getattr(counts, name) + value)
    return total


def _updates(
    dataset: fo.Dataset,
    settings: RunSettings,
    copy: str,
    samples: Sequence[str],
    once_removed: Collection[str],
    counts: Counts,
) -> Iterator[UpdateOne]:
    """Yield an update for each sample whose copy differs from what is asked for; it fails where somebody edits it."""
    boxes = states.boxes_of(dataset, settings, samples)
    entries = Ledger(dataset).entries(samples)
    state = states.inherited_states(boxes, entries)
    named = {states.key_of(entry["side"], entry["label_id"]): entry["state"] for entry in entries}
    state |= {key: named[key] for key in state if key in named}
    by_hand = editing.by_hand(entries)
    state |= {key: "unreviewed" for key in by_hand & set(state)}  # it is mended already
    predictions = [b for b in boxes if b.side == "prediction" and (b.error is not None or state[b.key] != "unreviewed")]
    truth = [b for b in boxes if b.side == "truth"]
    images = tuple(dict.fromkeys(box.sample_id for box in boxes))
    classes = tuple(dict.fromkeys(box.label for box in boxes))
    predicted, true = (states.detections_of(table, images, classes) for table in (predictions, truth))
    said, said_of_truth = (_codes([state[box.key] for box in table]) for table in (predictions, truth))
    found = find_remedies(predicted, true, said, said_of_truth)
    wanted = Wanted(found, predictions, truth, by_hand)
    fields = {name: 1 for name in (settings.pred_field, settings.gt_field, copy)}
    query = {"_id": {"$in": [ObjectId(i) for i in samples]}}
    for document in access.collection(dataset).find(query, fields):
        listed = (states.boxes_at(document, field) for field in (settings.pred_field, settings.gt_field, copy))
        proposals, original, before = ([dict(box) for box in part] for part in listed)
        after = wanted.of(proposals, original, before, settings, named, once_removed)
        if after != before:
            same: dict[str, Any] = {"_id": document["_id"]}
            if document.get(copy) is None:
                yield UpdateOne({**same, copy: None}, {"$set": {copy: _list_of(after)} | now()})
            else:
                path = f"{copy}.detections"
                yield UpdateOne({**same, path: document[copy].get("detections")}, {"$set": {path: after} | now()})
    accepted = (states.key_of("truth", accepted_id(predictions[row].label_id)) for row in found.accepted.tolist())
    counts.add(found)
    counts.accepted -= sum(named.get(key) == "bogus_label" for key in accepted)
    counts.by_hand += len(by_hand)


def _list_of(boxes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"_cls": "Detections", "detections": list(boxes)}


def _codes(names: Sequence[str]) -> NDArray[np.int8]:
    return state_codes(names) if names else np.zeros(0, dtype=np.int8)
