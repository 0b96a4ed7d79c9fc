"""The journal of every run and field: what is about to be written, by whom, and everything that may exist of it.

It is apart from the run itself, so that a run can be deleted when nothing else of it can be read. One document per run
or field, in FiftyOne's execution store of the dataset, which is cloned and deleted with the dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import fiftyone as fo
from fiftyone.operators.store import ExecutionStore
from fiftyone.operators.store.clone import register_cloneable_store

from . import access

STORE = "hnm_writes"
RUN, FIELD, TAGS = "run:", "field:", "tags"

EMPTY: Mapping[str, Any] = {
    **{"number": 0, "owner": None, "since": None, "beat": None, "state": None, "by": {}, "peer": None},
    **{"fields": [], "lists": [], "runs": [], "files": [], "dirty": False, "written": None},
}

STATES = {
    "writing": ("written", "delete it (delete_mining_run), or mine again under its key and overwrite it"),
    "replacing": ("replaced", "delete it (delete_mining_run), or mine again under its key and overwrite it"),
    "deleting": ("deleted", "delete it again (delete_mining_run)"),
    "renaming": ("renamed", "rename it again (rename_mining_run), or delete it (delete_mining_run)"),
    "applying": ("updated from reviews", "apply the reviews again (apply_reviews), or delete it (delete_mining_run)"),
    "comparing": ("compared", "compare it again (compare_mining_runs), or delete it (delete_mining_run)"),
    "searching": ("searched for similar images", "search again (find_similar_images), or delete it"),
    "copying": ("copied", "accept again with this output_field (accept_missing_labels), or delete the field"),
    "mending": ("mended", "mend again (mend_labels), or delete the field"),
    "predicting": ("predicted", "predict into it again (predict_with_yolo), or delete the field"),
}
"""What is being done to a run or field, as a participle, and what helps if it was never finished."""

register_cloneable_store(STORE)


@dataclass(frozen=True)
class Journal:
    """What is known of a run or field apart from itself.

    Attributes:
        name: ``run:KEY`` or ``field:NAME``.
        number: number of the lease that is or was held last.
        owner: who holds it; None if nobody does.
        since: when the owner took it, by the database's clock.
        beat: last sign of life of the owner, by the database's clock.
        now: time of reading, by the same clock.
        state: what is about to happen, a key of ``STATES``; ``done`` if everything is; None if nothing was written.
        by: ``who, operator, since`` of the state.
        peer: the other key of a rename.
        fields: path of every field that may exist.
        lists: every list of tags that may exist, see :mod:`fiftyone_plugin.store.tags`.
        runs: every run document that may exist.
        files: every stored result that may exist.
        dirty: whether there are reviews that the run does not show yet.
        written: number of the lease that changed the data last.
    """

    name: str
    number: int = 0
    owner: Mapping[str, Any] | None = None
    since: datetime | None = None
    beat: datetime | None = None
    now: datetime | None = None
    state: str | None = None
    by: Mapping[str, Any] | None = None
    peer: str | None = None
    fields: tuple[str, ...] = ()
    lists: tuple[Any, ...] = ()
    runs: tuple[Any, ...] = ()
    files: tuple[Any, ...] = ()
    dirty: bool = False
    written: int | None = None

    @property
    def key(self) -> str:
        """Return the name of the run or field itself."""
        return self.name.partition(":")[2]

    @property
    def begun_by_owner(self) -> bool:
        """Return whether the owner has begun what the state says, and not somebody before."""
        begun = (self.by or {}).get("since")
        return self.owner is not None and begun is not None and self.since is not None and begun >= self.since

    def expired(self, seconds: float) -> bool:
        """Return whether the owner has given no sign of life for so long."""
        return self.beat is None or self.now is None or self.now - self.beat > timedelta(seconds=seconds)


def named(dataset: fo.Dataset, name: str) -> dict[str, Any]:
    """Return the query that finds a journal."""
    return {"store_name": STORE, "dataset_id": access.dataset_id(dataset), "key": name}


def read(dataset: fo.Dataset, name: str) -> Journal | None:
    """Return the journal of a run or field; None if there is none."""
    return next(iter(_found({"key": name}, dataset)), None)


def runs(dataset: fo.Dataset) -> list[Journal]:
    """Return the journals of all runs of which anything may be stored."""
    found = _found({"key": {"$regex": f"^{RUN}"}}, dataset)
    return [note for note in found if note.state is not None]


def make(dataset: fo.Dataset, name: str) -> None:
    """Make an empty journal if there is none."""
    if read(dataset, name) is None:
        ExecutionStore.create(STORE, access.dataset_id(dataset))  # makes the index by which there is only one
        access.notes().update_one(named(dataset, name), {"$setOnInsert": new(dict(EMPTY))}, upsert=True)


def new(value: Any) -> dict[str, Any]:
    """Return a value as a document of FiftyOne's execution store."""
    return {"value": value, "created_at": datetime.now(timezone.utc), "policy": "persist"}


def mark_dirty(dataset: fo.Dataset, key: str | None = None) -> bool:
    """Tell whoever holds or has left unfinished a run, or any run, that there are new reviews.

    They are copied before the run is let go. Return whether there is such a run.
    """
    which = f"{RUN}{key}" if key is not None else {"$regex": f"^{RUN}"}
    at_work = {"$or": [{"value.owner": {"$ne": None}}, {"value.state": {"$nin": ["done", None]}}]}
    told = access.notes().update_many({**named(dataset, ""), "key": which, **at_work}, {"$set": {"value.dirty": True}})
    return bool(told.matched_count)


def unfinished(note: Journal, *, held: bool = False) -> str:
    """Return a sentence on a run or field that is not finished, and what helps."""
    what = f"{'field' if note.name.startswith(FIELD) else 'run'} {note.key!r}"
    by = note.by or {}
    participle, cure = STATES[note.state or "writing"]
    to = f" to {note.peer!r}" if note.peer else ""
    when = f"{by['since']:%Y-%m-%d %H:%M:%S} UTC" if by.get("since") else "an unknown time"
    who = f"{by.get('operator', 'an operator')}, by {by.get('who', 'somebody')}, since {when}"
    if held:
        return f"{what} is being {participle}{to} ({who}): wait until it is done"
    return f"{what} was interrupted while it was being {participle}{to} ({who}): {cure}"


def busy(name: str, note: Journal | None) -> str:
    """Return a sentence on a run or field that somebody else is writing."""
    kind, _, key = name.partition(":")
    what = f"{kind} {key!r} is" if key else f"the {kind} of this dataset are"
    owner = (note.owner if note else None) or {}
    if not owner:
        return f"{what} being written by somebody else: try again"
    where = f"process {owner['pid']} on {owner['host']}"
    return (
        f"{what} being written ({owner['operator']}, by {owner['who']}, {where}): wait until it is done, or stop that "
        f"process and try again in a minute"
    )


def _found(query: Mapping[str, Any], dataset: fo.Dataset) -> list[Journal]:
    """Return the journals of a dataset, with the time of the database's clock."""
    about = {"store_name": STORE, "dataset_id": access.dataset_id(dataset), **query}
    pipeline = [{"$match": about}, {"$project": {"key": 1, "value": 1, "now": "$$NOW"}}, {"$sort": {"key": 1}}]
    return [_journal(document) for document in access.notes().aggregate(pipeline)]


def _journal(document: Mapping[str, Any]) -> Journal:
    value = {**EMPTY, **(document.get("value") or {})}
    plain = {
        name: value[name] for name in ("number", "owner", "since", "beat", "state", "by", "peer", "dirty", "written")
    }
    lists: dict[str, Any] = {name: tuple(value[name] or ()) for name in ("fields", "lists", "runs", "files")}
    return Journal(name=document["key"], now=document["now"], **plain, **lists)
