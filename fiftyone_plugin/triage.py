"""A person's word on objects → the ledger, and the copies of it in every run that holds them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from bson import ObjectId

from hnm_core.boxes import overlapping
from hnm_core.reviews import SAME_IOU
from hnm_core.suspicion import PRIOR

from . import review, runs, states, writeback
from .ledger import Act, Entry, Ledger, check_state
from .settings import RunSettings, as_names
from .states import Box

VERDICTS = {
    "hard_negative": ("Model is wrong", "A hard negative: it counts in full"),
    "missing_label": ("Label is missing", "There is an object that nobody labelled: it does not count"),
    "wrong_label": ("Label is wrong", "The label's box or class is wrong: it does not count"),
    "ignore": ("Ignore", "Nothing to learn from: it is left out"),
    "unreviewed": ("Unreviewed", "Take back what was said of it"),
}
"""What can be said of a mistake, in the order of the form: its name and its meaning."""

NOTHING = "select samples, patches or labels first, or name label_ids"


def triage(
    dataset: Any,
    run_key: str | None,
    state: str | None,
    label_ids: Iterable[str],
    *,
    sample_ids: Iterable[str] = (),
    who: str | None = None,
) -> dict[str, Any]:
    """Write down what somebody says of objects that a run mined.

    Args:
        dataset: the dataset.
        run_key: the run in which they were seen.
        state: what is said of all of them.
        label_ids: ids of the objects, or ``SIDE:ID`` where truths are copies of predictions and have their ids.
        sample_ids: ids of their samples where they are known: the search for them takes seconds in a large dataset.
        who: the person; None for the user that this process runs as.

    Returns:
        ``state``, ``count``, ``label_ids`` and ``keys`` (``SIDE:ID``) of the objects, ``runs`` in which their copies
        were changed, ``left_out``: how many of them each run left out when it was mined, so that it can't weigh them.

    Raises:
        ValueError: if there is no such run or state, nothing is named, or an object was not mined by the run.
    """
    settings = runs.settings_of(dataset, run_key)
    state = check_state(state)
    wanted = list(dict.fromkeys(map(str, label_ids)))
    if not wanted:
        raise ValueError(f"nothing is selected: {NOTHING}")
    boxes = _find(dataset, settings, set(wanted), sample_ids)
    known = {name for box in boxes if box.held is not None for name in (box.key, box.label_id)}
    strange = [name for name in wanted if name not in known]
    if strange:
        raise ValueError(_why_not(settings, strange, wanted, boxes))
    boxes = [box for box in boxes if box.held is not None]
    entries = [
        Entry(box.sample_id, box.side, box.label, bbox, state, settings.run_key, box.label_id)
        for box, bbox in [*_forerunners(dataset, settings, boxes), *((box, box.bbox) for box in boxes)]
    ]
    act = Ledger(dataset).add(entries, who)
    return _done(dataset, act)


def undo(dataset: Any, who: str | None = None) -> dict[str, Any]:
    """Withdraw the last thing that a person said and that still stands.

    Returns:
        ``state`` that was withdrawn, ``count``, ``label_ids`` and ``keys`` of the objects, ``runs`` in which their
        copies were changed, ``left_out`` as :func:`triage` gives it.

    Raises:
        ValueError: if nothing of theirs is left to withdraw.
    """
    act = Ledger(dataset).undo(who)
    if act is None:
        raise ValueError("there is nothing to undo: no review of yours stands in this dataset")
    return _done(dataset, act)


def selected(view: Any, settings: RunSettings, ids: Sequence[str], labels: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys of the mined objects that are selected in the App: single labels, or all that the selected tiles show.

    Args:
        view: the view that the grid shows.
        settings: settings of the run.
        ids: ids of the selected tiles, samples or patches.
        labels: selected labels, as FiftyOne's context lists them; they come first.
    """
    side_of = {field: side for side, field in states.sides_of(settings)}
    if labels:
        named = [(label["label_id"], label.get("field")) for label in labels]
        return [states.key_of(side_of[at], i) if at else i for i, at in named if at is None or at in side_of]
    if not ids:
        return []
    tiles, found = view.select(list(ids)), []
    for field, side in side_of.items():
        path = f"{field}.detections"
        if view.get_field(path) is not None:
            for shown in zip(*tiles.values([f"{path}.id", f"{path}.{settings.run_key}_state"]), strict=True):
                pairs = zip(*(part or () for part in shown), strict=True)
                found += [states.key_of(side, label_id) for label_id, state in pairs if state]
        elif view.get_field(f"{field}.bounding_box") is not None:  # a patch has one object, or none of this field
            found += [states.key_of(side, label_id) for label_id in tiles.values(f"{field}.id") if label_id is not None]
    return found


def chosen(ctx: Any, run_key: str | None) -> tuple[list[str], list[str]]:
    """Ids or keys of the objects that an operator is to review, and of their samples as far as the App knows them.

    Args:
        ctx: FiftyOne's context; ``label_ids`` among its parameters come before what is selected.
        run_key: the run that mined them.

    Raises:
        ValueError: if there is no such run.
    """
    if given := ctx.params.get("label_ids"):
        return list(as_names("label_ids", given)), []
    settings = runs.settings_of(ctx.dataset, run_key)
    labels, tiles = ctx.selected_labels or [], list(ctx.selected)
    samples = [label["sample_id"] for label in labels] if labels else tiles
    if not labels and tiles and ctx.view.get_field("sample_id") is not None:  # tiles are patches
        samples = ctx.view.select(tiles).values("sample_id")
    return selected(ctx.view, settings, tiles, labels), samples


def said(done: Mapping[str, Any], *, undone: bool = False) -> str:
    """What was done, in a sentence, and in another what no run can weigh yet."""
    what = done["state"].replace("_", " ")
    done_ = f"{'Withdrawn' if undone else 'Reviewed'}: {what}, {objects(done['count'])}"
    return ". ".join([done_, *(states.left_out_note(key, count) for key, count in done["left_out"].items())])


def objects(count: int) -> str:
    """So many objects, in words."""
    return f"{count:,} object{'' if count == 1 else 's'}"


def copy_states(dataset: Any, sample_ids: Collection[str]) -> dict[str, int]:
    """Bring the copies of the ledger in every run in line with it, in these samples.

    Returns:
        Keys of the runs that were changed, and how many of the objects changed each had left out when it was mined.
    """
    entries = Ledger(dataset).entries(sample_ids)
    changed = {}
    for key in runs.keys(dataset):
        settings = runs.settings_of(dataset, key)
        boxes = states.boxes_of(dataset, settings, sample_ids)
        guess = {box.key: PRIOR.get(box.error or "", 0.0) for box in boxes}
        now = states.inherited(boxes, entries)
        if states.copy_states(dataset, settings, boxes, now, cache(partial(_estimates, dataset, key, guess))):
            answered = [box for box in boxes if box.held not in (None, now[box.key]) and now[box.key] != "ignore"]
            changed[key] = sum(not box.mined for box in answered)
    writeback.reload(dataset)
    return changed


def _forerunners(dataset: Any, settings: RunSettings, boxes: Sequence[Box]) -> list[tuple[Box, tuple[float, ...]]]:
    """What these objects were in earlier rounds, as far as it was reviewed: the last word counts for them too.

    Else a box of the next round might lie nearer to the older one, and inherit what was said before.
    """
    samples = {box.sample_id for box in boxes}
    said = {(e["image"], e["side"], e["class"], tuple(e["bbox"])) for e in Ledger(dataset).entries(samples)}
    if not said:
        return []
    here = states.boxes_of(dataset, settings, samples)
    gone = said - {(box.sample_id, box.side, box.label, box.bbox) for box in here}
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


def _done(dataset: Any, act: Act) -> dict[str, Any]:
    keys = list(dict.fromkeys(states.key_of(entry.side, entry.label_id) for entry in act.entries))
    changed = copy_states(dataset, {entry.image for entry in act.entries})
    return {
        "state": act.entries[0].state,
        "count": len(keys),
        "label_ids": list(dict.fromkeys(entry.label_id for entry in act.entries)),
        "keys": keys,
        "runs": list(changed),
        "left_out": {key: count for key, count in changed.items() if count},
    }


def _estimates(dataset: Any, key: str, guess: Mapping[str, float]) -> Mapping[str, float]:
    try:
        return review.open_review(dataset, key).estimates()
    except ValueError:  # interrupted, or mined by an older version: the prior is all that is known
        return guess


def _find(dataset: Any, settings: RunSettings, wanted: set[str], sample_ids: Iterable[str]) -> list[Box]:
    """The boxes of these ids or keys: in the samples named if they are there, else wherever they are."""

    def within(samples: Iterable[str]) -> list[Box]:
        return [box for box in states.boxes_of(dataset, settings, samples) if wanted & {box.key, box.label_id}]

    found = within(sample_ids)
    if len(found) < len(wanted):
        label_ids = {name.rpartition(":")[2] for name in wanted}
        ids = [ObjectId(label_id) for label_id in label_ids if ObjectId.is_valid(label_id)]
        anywhere = [{f"{field}.detections._id": {"$in": ids}} for _, field in states.sides_of(settings)]
        documents = dataset._root_dataset._sample_collection.find({"$or": anywhere}, {"_id": 1})
        found = within([str(document["_id"]) for document in documents])
    return found


def _why_not(settings: RunSettings, strange: Sequence[str], wanted: Sequence[str], boxes: Sequence[Box]) -> str:
    """Why some objects can't be reviewed."""
    error = {name: box.error for box in boxes for name in (box.key, box.label_id)}.get(strange[0])
    first = f"it is {error}" if error else f"no object of {settings.pred_field!r} or {settings.gt_field!r} has this id"
    return (
        f"{len(strange)} of {len(wanted)} objects were not mined by run {settings.run_key!r} (first {strange[0]}: "
        f"{first}): select what the run mined, as view_hard_negatives shows it"
    )
