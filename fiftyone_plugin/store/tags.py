"""Tag samples and boxes for a run, remember what was tagged, and bring back what was there before.

A list of tags is written before any tag is. It is named by an id, so that renaming a run moves nothing and a new list
can stand beside the old one. It holds, per field, the ids of what the run tagged, by what ``tags`` was before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import fiftyone as fo

from . import access, blocks, journal, schema
from .access import Fence, ObjectId
from .updates import TAG, now

MOST = 500_000
"""Ids per document: a document may have 16 MB."""

SAMPLE = ""
"""Stands for the samples themselves where a field of boxes is named."""

Held = dict[tuple[str, ObjectId], str]
"""Field and id of what is tagged → what ``tags`` was before: ``list``, ``null`` or ``absent``."""


class Tagged(NamedTuple):
    """Ids of tagged samples, and of tagged labels with their field: a copy of a field has the same ids."""

    samples: list[str]
    labels: list[tuple[str, str]]


def held(dataset: fo.Dataset, lists: Iterable[ObjectId]) -> Held:
    """Return what lists hold; a list that was never written holds nothing."""
    keys = [f"list:{list_id}:" for list_id in lists]
    query = {**journal.named(dataset, ""), "key": {"$regex": f"^({'|'.join(keys)})"}}
    found: Held = {}
    for document in access.notes().find(query, ["value"]) if keys else ():
        value = document["value"]
        ids = (ObjectId(value["ids"][at : at + 12]) for at in range(0, len(value["ids"]), 12))
        found |= dict.fromkeys(((value["what"], i) for i in ids), value["was"])
    return found


def without(dataset: fo.Dataset, gone: Held, kept: Held, fields: Iterable[str]) -> Held:
    """Return what is in the first lists and not in the second, in fields that were renamed since by their new names.

    Args:
        dataset: the dataset.
        gone: what a run has tagged.
        kept: what stays tagged.
        fields: path of every field of the run, those in renamed fields by their new names.
    """
    declared, named = schema.stored(dataset), {field for field, _ in gone}
    tops = {path.rpartition(".detections.")[0] for path in fields if ".detections." in path}
    new = [top for top in tops - named if top in declared]

    def renamed(what: Held) -> Held:
        old = {field for field, _ in what} - {SAMPLE} - declared.keys()
        return what | {(top, i): was for (field, i), was in what.items() if field in old for top in new}

    stays = renamed(kept)
    return {pair: was for pair, was in renamed(gone).items() if pair not in stays}


def held_of(tagged: Tagged) -> Held:
    """Return what a run tagged that has no list, since it came from another database."""
    whole = [(SAMPLE, i) for i in tagged.samples] + list(tagged.labels)
    return {(field, ObjectId(i)): "list" for field, i in whole}


def tagged_of(found: Held) -> Tagged:
    """Return ids as they are stored with the results of a run."""
    labels = [(field, str(i)) for field, i in found if field != SAMPLE]
    return Tagged([str(i) for field, i in found if field == SAMPLE], labels)


def keep(dataset: fo.Dataset, list_id: ObjectId, what: Held) -> None:
    """Write a list, durably."""
    parts: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    for (field, i), was in what.items():
        parts[field, was].append(i.binary)
    number = 0
    for (field, was), ids in parts.items():
        for start in range(0, len(ids), MOST):
            value = {"what": field, "was": was, "ids": b"".join(ids[start : start + MOST])}
            name = journal.named(dataset, f"list:{list_id}:{number}")
            access.notes().update_one(name, {"$set": journal.new(value)}, upsert=True)
            number += 1


def drop(dataset: fo.Dataset, lists: Iterable[ObjectId]) -> None:
    """Remove lists."""
    for list_id in lists:
        query = {**journal.named(dataset, ""), "key": {"$regex": f"^list:{list_id}:"}}
        access.notes().delete_many(query)


def tagged_now(
    dataset: fo.Dataset, wanted: Tagged, among: Sequence[ObjectId] | None = None
) -> set[tuple[str, ObjectId]]:
    """Return what has the tag now, from whatever source, in the fields in which something shall have it.

    ``among`` are the samples to look at; None for all.
    """
    fields = sorted({field for field, _ in wanted.labels} | ({SAMPLE} if wanted.samples else set()))
    return {pair for field in fields for pair in _tagged(dataset, field, among)}


def choose(
    dataset: fo.Dataset, wanted: Tagged, known: Held, now_tagged: set[tuple[str, ObjectId]] | None = None
) -> Held:
    """Return what a run tags itself, with what ``tags`` is now: all it wants but what a user has tagged.

    Args:
        dataset: the dataset.
        wanted: what the run wants to be tagged.
        known: what this and other runs have tagged: the last of them brings back what was there before.
        now_tagged: what :func:`tagged_now` gives, if it is known.
    """
    asked = held_of(wanted)
    fields = sorted({field for field, _ in asked})
    already = (tagged_now(dataset, wanted) if now_tagged is None else now_tagged) - known.keys()
    ours = {pair: known.get(pair, "list") for pair in asked if pair not in already}
    for field in fields:
        for i, was in _without_list(dataset, field):
            if (field, i) in ours and (field, i) not in known:
                ours[field, i] = was
    return ours


def untag(fence: Fence, dataset: fo.Dataset, gone: Held, name: str = TAG, *, stamp: bool = True) -> None:
    """Remove the tag, and bring back ``tags`` that was missing or null, if nobody has added a tag since.

    Without ``stamp`` the samples do not count as modified.
    """
    stamped = {"$set": now()} if stamp else {}
    for field, ids in _by_field(gone).items():
        other = {i for i in ids if gone[field, i] != "list"}
        if field == SAMPLE:
            blocks.change_those(fence, dataset, ids, {"tags": name}, {"$pull": {"tags": name}, **stamped})
            for was, back in _BACK.items():
                some = [i for i in other if gone[field, i] == was]
                blocks.change_those(fence, dataset, some, {"tags": []}, back("tags"))
            continue
        tags = f"{field}.detections.$[box].tags"
        query = {"$or": [{"tags": name}, {"tags": []}]} if other else {"tags": name}
        for samples, boxes in _places(dataset, field, ids, query):
            change = {"$pull": {tags: name}, **stamped}
            filters: list[dict[str, Any]] = [{"box._id": {"$in": boxes}, "box.tags": name}]
            blocks.change_those(fence, dataset, samples, {}, change, filters)
            for was, back in _BACK.items():
                some = [i for i in boxes if i in other and gone[field, i] == was]
                if some:
                    empty = [{"box._id": {"$in": some}, "box.tags": []}]
                    blocks.change_those(fence, dataset, samples, {}, back(tags), empty)


def tag_samples(fence: Fence, dataset: fo.Dataset, sample_ids: Sequence[str], name: str) -> None:
    """Give samples a tag that stays theirs; where ``tags`` is missing or null it becomes a list."""
    ids = [ObjectId(i) for i in sample_ids]
    blocks.change_those(fence, dataset, ids, {"tags": None}, {"$set": {"tags": []}})
    blocks.change_those(fence, dataset, ids, {}, {"$addToSet": {"tags": name}, "$set": now()})


def tag_null(fence: Fence, dataset: fo.Dataset, what: Held) -> None:
    """Replace ``tags`` that is missing or null in what will be tagged by empty lists: null takes no tag."""
    empty = {pair: was for pair, was in what.items() if was != "list"}
    for field, ids in _by_field(empty).items():
        if field == SAMPLE:
            blocks.change_those(fence, dataset, ids, {"tags": None}, {"$set": {"tags": []}})
            continue
        tags = f"{field}.detections.$[box].tags"
        for samples, boxes in _places(dataset, field, ids, {"tags": None}):
            filters = [{"box._id": {"$in": boxes}, "box.tags": None}]
            blocks.change_those(fence, dataset, samples, {}, {"$set": {tags: []}}, filters)


_BACK: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "null": lambda path: {"$set": {path: None}},
    "absent": lambda path: {"$unset": {path: ""}},
}


def _by_field(what: Held) -> dict[str, list[ObjectId]]:
    found: dict[str, list[ObjectId]] = defaultdict(list)
    for field, i in what:
        found[field].append(i)
    return found


def _tagged(dataset: fo.Dataset, field: str, among: Sequence[ObjectId] | None) -> Iterator[tuple[str, ObjectId]]:
    """Yield everything that has the tag now, from whatever source."""
    collection = access.collection(dataset)
    some: dict[str, Any] = {} if among is None else {"_id": {"$in": list(among)}}
    if field == SAMPLE:
        yield from ((field, found["_id"]) for found in collection.find({"tags": TAG, **some}, ["_id"]))
        return
    for box in _boxes(dataset, field, {"tags": TAG}, some):
        if TAG in (box.get("tags") or ()):
            yield field, box["_id"]


def _without_list(dataset: fo.Dataset, field: str) -> Iterator[tuple[ObjectId, str]]:
    """Yield what has no list of tags, and whether it is null or absent."""
    found = access.collection(dataset).find({"tags": None}, ["tags"]) if field == SAMPLE else None
    for each in found if found is not None else _boxes(dataset, field, {"tags": None}):
        if each.get("tags") is None:
            yield each["_id"], "null" if "tags" in each else "absent"


def _boxes(
    dataset: fo.Dataset, field: str, query: Mapping[str, Any], samples: Mapping[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the boxes, id and tags, of all samples, or of those of a query, in which a box fulfils a query."""
    path = f"{field}.detections"
    wanted = {path: {"$elemMatch": query}, **(samples or {})}
    for document in access.collection(dataset).find(wanted, {f"{path}._id": 1, f"{path}.tags": 1}):
        yield from (box for box in _at(document, path) if isinstance(box, dict) and "_id" in box)


def _places(
    dataset: fo.Dataset, field: str, ids: Sequence[ObjectId], query: Mapping[str, Any]
) -> Iterator[tuple[list[ObjectId], list[ObjectId]]]:
    """Yield samples and those of the boxes that are in them, some samples at a time."""
    path, wanted = f"{field}.detections", set(ids)
    any_box = {path: {"$elemMatch": query}} if query else {path: {"$type": "array"}}
    samples: list[ObjectId] = []
    boxes: list[ObjectId] = []
    for document in access.collection(dataset).find(any_box, {f"{path}._id": 1}):
        here = [box["_id"] for box in _at(document, path) if isinstance(box, dict) and box.get("_id") in wanted]
        if here:
            samples.append(document["_id"])
            boxes += here
        if len(samples) >= blocks.SAMPLES:
            yield samples, boxes
            samples, boxes = [], []
    if samples:
        yield samples, boxes


def _at(document: Any, path: str) -> Iterable[Any]:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, Mapping) else None
    return document if isinstance(document, list) else ()
