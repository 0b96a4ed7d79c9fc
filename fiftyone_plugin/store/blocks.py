"""Write, remove and rename stored values, block by block. What is absent stays absent.

FiftyOne's own ``rename_sample_fields``, ``clone_sample_field`` and ``delete_sample_fields`` make an empty list of boxes
in samples that have none, and can't be continued after a crash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import fiftyone as fo

from . import access, schema
from .access import Fence, ObjectId, UpdateOne
from .updates import now

SAMPLES, UPDATES = 2_000, 250
"""Samples per block that gets one update, and single updates per block."""

Filters = list[dict[str, Any]] | None
"""Which elements of an array an update changes."""

LONGEST = 20_000
"""Milliseconds that a block may take: less than a lease is trusted for."""


def ranges(dataset: fo.Dataset) -> Iterator[dict[str, Any]]:
    """Yield queries that each find some of the samples, and all together."""
    ids = [document["_id"] for document in access.collection(dataset).find({}, ["_id"]).sort("_id", 1)]
    for start in range(0, len(ids), SAMPLES):
        some = ids[start : start + SAMPLES]
        yield {"_id": {"$gte": some[0], "$lte": some[-1]}}


def write(fence: Fence, dataset: fo.Dataset, updates: Sequence[UpdateOne]) -> int:
    """Write single updates, and return the number of samples that changed."""
    changed = 0
    for start in range(0, len(updates), UPDATES):
        fence.check()
        done = access.collection(dataset).bulk_write(updates[start : start + UPDATES], ordered=False)
        changed += done.modified_count
    fence.check()
    return changed


def change(fence: Fence, dataset: fo.Dataset, query: Mapping[str, Any], update: Any, filters: Filters = None) -> None:
    """Change all samples that a query finds."""
    for some in ranges(dataset):
        _many(fence, dataset, {"$and": [some, query]}, update, filters)


def change_those(
    fence: Fence,
    dataset: fo.Dataset,
    ids: Sequence[ObjectId],
    query: Mapping[str, Any],
    update: Any,
    filters: Filters = None,
) -> None:
    """Change those of some samples that a query finds, too."""
    for start in range(0, len(ids), SAMPLES):
        _many(fence, dataset, {"_id": {"$in": list(ids[start : start + SAMPLES])}, **query}, update, filters)


def erase(
    fence: Fence, dataset: fo.Dataset, paths: Iterable[str], *, again: Collection[str] = (), stamp: bool = True
) -> None:
    """Remove fields, values and declaration, and nothing else; also values that are not declared.

    Those that are about to be written ``again`` stay declared, and so do the indexes that somebody made on them.
    Without ``stamp`` the samples do not count as modified, so that what others modify meanwhile can be told apart.
    """
    paths, stamped = list(dict.fromkeys(paths)), {"$set": now()} if stamp else {}
    for field, leaves in _by_list(paths).items():
        if not field:
            there: dict[str, Any] = {"$or": [{leaf: {"$exists": True}} for leaf in leaves]}
            change(fence, dataset, there, {"$unset": dict.fromkeys(leaves, ""), **stamped})
            continue
        there = {field: {"$elemMatch": {"$or": [{leaf: {"$exists": True}} for leaf in leaves]}}}
        boxes = [{"$or": [{f"box.{leaf}": {"$exists": True}} for leaf in leaves]}]
        gone = {f"{field}.$[box].{leaf}": "" for leaf in leaves}
        change(fence, dataset, there, {"$unset": gone, **stamped}, boxes)
    schema.undeclare(fence, dataset, [path for path in paths if path not in again])


def rename(fence: Fence, dataset: fo.Dataset, mapping: Mapping[str, str]) -> None:
    """Rename stored values, old path to new one in the same list; twice is as good as once."""
    for field, leaves in sorted(_by_list(mapping).items(), reverse=True):  # what is in a list before the list itself
        new = {leaf: mapping[f"{field}.{leaf}".lstrip(".")].rpartition(".")[2] for leaf in leaves}
        if not field:
            for old, now_named in new.items():
                change(fence, dataset, {old: {"$exists": True}}, {"$rename": {old: now_named}, "$set": now()})
            continue
        there = {field: {"$elemMatch": {"$or": [{leaf: {"$exists": True}} for leaf in leaves]}}}
        given = {now_named: f"$$box.{old}" for old, now_named in new.items()}  # one that is missing makes no new one
        is_box = {"$eq": [{"$type": "$$box"}, "object"]}
        boxes = {"$cond": [is_box, {"$mergeObjects": ["$$box", given]}, "$$box"]}
        renamed = {"$map": {"input": f"${field}", "as": "box", "in": boxes}}
        update = [{"$set": {field: renamed, **_stamp()}}, {"$unset": [f"{field}.{leaf}" for leaf in leaves]}]
        change(fence, dataset, there, update)


def erase_in(fence: Fence, dataset: fo.Dataset, ids: Sequence[ObjectId], paths: Iterable[str]) -> None:
    """Remove the values of fields in some samples; what is declared stays."""
    for field, leaves in _by_list(paths).items():
        head, there = (f"{field}.$[].", {field: {"$type": "array"}}) if field else ("", {})
        gone = {f"{head}{leaf}": "" for leaf in leaves}
        change_those(fence, dataset, ids, there, {"$unset": gone, "$set": now()})


def copy(
    fence: Fence, dataset: fo.Dataset, field: str, new: str, without: Iterable[str], *, stamp: bool = True
) -> None:
    """Copy the lists of boxes of a field into another one, where there are any, without some attributes.

    Without ``stamp`` the samples do not count as modified: a copy changes nothing that was read of them.
    """
    gone = [f"{new}.detections.{leaf}" for leaf in without]
    update: list[dict[str, Any]] = [{"$set": {new: f"${field}", **(_stamp() if stamp else {})}}]
    change(fence, dataset, {field: {"$type": "object"}}, [*update, {"$unset": gone}] if gone else update)


def set_column(fence: Fence, dataset: fo.Dataset, field: str, values: Mapping[str, Any]) -> None:
    """Set a field of some samples, by their ids."""
    updates = [UpdateOne({"_id": ObjectId(i)}, {"$set": {field: value} | now()}) for i, value in values.items()]
    write(fence, dataset, updates)


def _stamp() -> dict[str, Any]:
    return {"last_modified_at": "$$NOW"}


def _by_list(paths: Iterable[str]) -> dict[str, list[str]]:
    """Return the last names of paths by the list that they are in; "" for fields of the sample."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        field, _, leaf = path.rpartition(".")
        found[field].append(leaf)
    return found


def _many(fence: Fence, dataset: fo.Dataset, query: Any, update: Any, filters: Filters) -> None:
    fence.check()
    command: dict[str, Any] = {"q": query, "u": update, "multi": True}
    if filters:
        command["arrayFilters"] = filters
    access.run_update(dataset, command, LONGEST)
    fence.check()
