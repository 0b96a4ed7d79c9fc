"""Review objects: write the reviews into the ledger, and update every run that contains the objects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hnm_core.boxes import overlapping
from hnm_core.labels.prior import PRIOR
from hnm_core.labels.reviews import ONE_SIDED, SAME_IOU
from hnm_core.report.lines import how_many

from ..runs import corrections, records
from ..settings import RunSettings
from ..store import access, journal, owners, schema
from ..store.access import ObjectId
from ..store.journal import RUN
from ..store.lock import Busy, Lease, lease
from . import editing, mending, session, states
from .ledger import Ledger, ReviewAction, ReviewEntry, check_state
from .states import Box

if TYPE_CHECKING:
    import fiftyone as fo

SELECT_FIRST = "select samples, patches or labels first, or name label_ids"


def triage(
    dataset: fo.Dataset,
    run_key: str | None,
    state: str | None,
    label_ids: Iterable[str],
    *,
    sample_ids: Iterable[str] = (),
    all_but: Iterable[str] = (),
    who: str | None = None,
    clicks: int = 1,
    record: records.Record | None = None,
) -> dict[str, Any]:
    """Review objects that a run mined.

    Args:
        dataset: the dataset.
        run_key: the run in which they are reviewed.
        state: the review state of all of them.
        label_ids: ids of the objects, or ``SIDE:ID`` if truths are copies of predictions with the same ids.
        sample_ids: ids of their samples if known: searching for them takes seconds in a large dataset.
        all_but: exceptions among ``label_ids``: they stay unreviewed, and are left to a single look.
        who: the person; None for the user that this process runs as.
        clicks: what it cost the person.
        record: of the run, if it was read just now.

    Returns:
        ``state``, ``count`` of objects that got it and of ``exceptions``, ``label_ids`` and ``keys`` (``SIDE:ID``) of
        both, ``runs`` in which their copies were changed, ``needs_mining``: per run, how many of them it can weigh
        only after mining again.

    Raises:
        ValueError: if there is no such run or state, no object is named, one was not mined by the run or shares its id.
    """
    settings = _reviewable(dataset, run_key, record)
    state = check_state(state)
    wanted = list(dict.fromkeys(map(str, label_ids)))
    if not wanted:
        raise ValueError(f"nothing is selected: {SELECT_FIRST}")
    boxes = _find(dataset, settings, set(wanted), sample_ids)
    known = {name for box in boxes if box.stored_state is not None for name in (box.key, box.label_id)}
    not_mined = [name for name in wanted if name not in known]
    if not_mined:
        raise ValueError(_refusal(settings, not_mined, wanted, boxes))
    states.check_alone(boxes)
    boxes = [box for box in boxes if box.stored_state is not None]
    apart = set(map(str, all_but))
    if strange := apart - {name for box in boxes for name in (box.key, box.label_id)}:
        raise ValueError(f"{len(strange)} of {len(apart)} in all_but are not among label_ids (first {min(strange)})")
    answer = {box.key: "unreviewed" if apart & {box.key, box.label_id} else state for box in boxes}
    side, why = ONE_SIDED.get(state, ("", ""))
    unfit = sum(box.side != side and answer[box.key] == state for box in boxes) if side else 0
    if unfit:
        raise ValueError(
            f"{unfit} of {len(boxes)} objects cannot be {state}: {why}, or leave them out of the selection"
        )
    entries = [
        ReviewEntry(box.sample_id, box.side, box.label, bbox, answer[box.key], settings.run_key, box.label_id)
        for box, bbox in [*_earlier_boxes(dataset, settings, boxes), *((box, box.bbox) for box in boxes)]
    ]
    action = Ledger(dataset).add(entries, who, clicks=clicks)
    return _outcome(dataset, action)


def mend(dataset: fo.Dataset, run_key: str | None, who: str | None = None) -> dict[str, Any]:
    """Mend labels, see :func:`.mending.mend`, and bring what was edited by hand into the fields of the runs."""
    done = mending.mend(dataset, run_key, who)
    if done["edited"]:
        copy_states(dataset, done["edited"])
    return done


def take_edits(dataset: fo.Dataset, run_key: str | None, who: str | None = None) -> dict[str, Any] | None:
    """Mend again if labels were edited in Annotate mode since; return what was mended, or None.

    Raises:
        ValueError: if labels were opened there, and there is no such run.
    """
    if not editing.is_any_opened(dataset):
        return None
    settings = records.settings_of(dataset, run_key)
    copy = corrections.copy_of(dataset, settings.gt_field)
    if not corrections.is_made(dataset, settings.gt_field) or not editing.is_edited(dataset, copy):
        return None
    return mend(dataset, settings.run_key, who)


def undo(dataset: fo.Dataset, who: str | None = None) -> dict[str, Any]:
    """Withdraw the last action of a person that is not withdrawn yet, in the corrected copy of the truth, too.

    Returns:
        ``state`` that was withdrawn, ``count``, ``label_ids`` and ``keys`` of the objects, ``runs`` in which their
        copies were changed, ``needs_mining`` as :func:`triage` gives it.

    Raises:
        ValueError: if there is nothing to withdraw.
    """
    action = Ledger(dataset).undo(who)
    if action is None:
        raise ValueError("there is nothing to undo: you have no review in this dataset")
    outcome = _outcome(dataset, action)
    mending.follow(dataset, action)
    return outcome


def outcome_text(done: Mapping[str, Any], *, undone: bool = False) -> str:
    """Return a sentence on what was done, and one per run on objects that need mining."""
    what = done["state"].replace("_", " ")
    done_text = f"{'Withdrawn' if undone else 'Reviewed'}: {what}, {count_text(done['count'])}"
    if done["exceptions"] and not undone:
        done_text += f"; {done['exceptions']:,} left to a single look"
    return ". ".join([done_text, *(states.remine_note(key, count) for key, count in done["needs_mining"].items())])


def count_text(count: int) -> str:
    """Return a number of objects as text."""
    return how_many(count, "object")


def copy_states(dataset: fo.Dataset, sample_ids: Collection[str]) -> dict[str, int]:
    """Update the copies of the ledger in every finished run, in these samples.

    Whoever is writing a run copies the states itself before it lets go.

    Returns:
        Keys of the runs that were changed, and for each the number of changed objects that need mining.
    """
    journal.mark_dirty(dataset)
    changed = {}
    for record in records.usable(dataset):
        needs_mining = _copy_or_tell(dataset, record, sample_ids)
        if needs_mining is not None:
            changed[record.key] = needs_mining
    access.reload(dataset)
    return changed


def _reviewable(dataset: fo.Dataset, run_key: str | None, record: records.Record | None) -> RunSettings:
    """Return the settings of a run that can be reviewed: it is finished, or somebody is adding to it right now."""
    if record is None or record.problem:
        held = owners.is_held(journal.read(dataset, f"{RUN}{run_key}"))
        record = records.opened(dataset, run_key, besides=("applying", "comparing", "searching") if held else ())
    schema.check_writable(dataset, record.fields)
    return record.settings


def _copy_or_tell(dataset: fo.Dataset, record: records.Record, sample_ids: Collection[str]) -> int | None:
    """Update the copies in one run, or tell whoever is writing it that there is something to copy."""
    key = record.key
    while True:
        try:
            with lease(dataset, f"{RUN}{key}", operator="triage_hard_negatives") as held:
                return _copy(held, dataset, key, sample_ids, record)
        except Busy:
            if journal.mark_dirty(dataset, key):
                return None  # whoever writes it copies the reviews before letting go


def _copy(
    held: Lease, dataset: fo.Dataset, key: str, sample_ids: Collection[str], before: records.Record | None = None
) -> int | None:
    """Update the copies in one run; return the number of changed objects that need mining, None if none changed.

    ``before`` is its record as it was before the run was held; it is read again only if it has changed since.
    """
    try:
        same = before is not None and records.is_unchanged(dataset, before)
        settings = before.settings if before is not None and same else records.settings_of(dataset, key)
    except ValueError:  # deleted or left unfinished meanwhile
        return None
    boxes = states.boxes_of(dataset, settings, sample_ids)
    prior = {box.key: PRIOR.get(box.error or "", 0.0) for box in boxes}
    now = states.inherited_states(boxes, Ledger(dataset).entries(sample_ids))
    if not states.copy_states(held, dataset, settings, boxes, now, cache(partial(_estimates, dataset, key, prior))):
        return None
    reviewed = [box for box in boxes if box.stored_state not in (None, now[box.key]) and now[box.key] != "ignore"]
    return sum(not box.mined for box in reviewed)


def catch_up(held: Lease, key: str) -> None:
    """Copy all reviews of a dataset into one run, which was being written while some of them were made."""
    ledger = Ledger(held.dataset)
    _copy(held, held.dataset, key, {e.image for action in ledger.actions(withdrawn=True) for e in action.entries})


def _earlier_boxes(
    dataset: fo.Dataset, settings: RunSettings, boxes: Sequence[Box]
) -> list[tuple[Box, tuple[float, ...]]]:
    """Return reviewed boxes of earlier rounds that these objects overlap, as pairs of object and box.

    They get the new review, too: else a box of the next round could be nearer to the older box and inherit its old
    review.
    """
    samples = {box.sample_id for box in boxes}
    reviewed = {(e["image"], e["side"], e["class"], tuple(e["bbox"])) for e in Ledger(dataset).entries(samples)}
    if not reviewed:
        return []
    here = states.boxes_of(dataset, settings, samples)
    gone = reviewed - {(box.sample_id, box.side, box.label, box.bbox) for box in here}
    pairs = [
        (box, bbox)
        for box in boxes
        for image, side, label, bbox in sorted(gone)
        if (image, side, label) == (box.sample_id, box.side, box.label)
    ]
    if not pairs:
        return []
    now, then = (np.array(of_side) for of_side in zip(*((box.bbox, bbox) for box, bbox in pairs), strict=True))
    row = np.arange(len(pairs))
    rows, _, iou = overlapping(now, then, row, row)
    return [pairs[at] for at in rows[iou >= SAME_IOU].tolist()]


def _outcome(dataset: fo.Dataset, action: ReviewAction) -> dict[str, Any]:
    answers = {states.key_of(entry.side, entry.label_id): entry.state for entry in action.entries}
    keys, state = list(answers), next((s for s in answers.values() if s != "unreviewed"), "unreviewed")
    exceptions = sum(answer != state for answer in answers.values())
    changed = copy_states(dataset, {entry.image for entry in action.entries})
    return {
        "state": state,
        "count": len(keys) - exceptions,
        "exceptions": exceptions,
        "label_ids": list(dict.fromkeys(entry.label_id for entry in action.entries)),
        "keys": keys,
        "runs": list(changed),
        "needs_mining": {key: count for key, count in changed.items() if count},
    }


def _estimates(dataset: fo.Dataset, key: str, prior: Mapping[str, float]) -> Mapping[str, float]:
    try:
        return session.open_review(dataset, key).suspicion_by_key()
    except ValueError:  # the run was interrupted: only the prior is known
        return prior


def _find(dataset: fo.Dataset, settings: RunSettings, wanted: set[str], sample_ids: Iterable[str]) -> list[Box]:
    """Return the boxes of these ids or keys, searched in the given samples first and in the whole dataset then."""

    def within(samples: Iterable[str]) -> list[Box]:
        return [box for box in states.boxes_of(dataset, settings, samples) if wanted & {box.key, box.label_id}]

    found = within(sample_ids)
    if len(found) < len(wanted):
        label_ids = {name.rpartition(":")[2] for name in wanted}
        ids = [ObjectId(label_id) for label_id in label_ids if ObjectId.is_valid(label_id)]
        anywhere = [{f"{field}.detections._id": {"$in": ids}} for _, field in states.sides_of(settings)]
        documents = access.collection(dataset).find({"$or": anywhere}, {"_id": 1})
        found = within([str(document["_id"]) for document in documents])
    return found


def _refusal(settings: RunSettings, not_mined: Sequence[str], wanted: Sequence[str], boxes: Sequence[Box]) -> str:
    """Return a sentence on why some objects cannot be reviewed."""
    error = {name: box.error for box in boxes for name in (box.key, box.label_id)}
    if not_mined[0] not in error:
        first = f"no object of {settings.pred_field!r} or {settings.gt_field!r} has this id"
    else:  # the run wrote nothing on what is below its threshold, or came later
        first = f"it is {error[not_mined[0]] or 'below the confidence threshold, or newer than the run'}"
    return (
        f"{len(not_mined)} of {len(wanted)} objects were not mined by run {settings.run_key!r} (first {not_mined[0]}: "
        f"{first}): select objects that view_hard_negatives shows"
    )
