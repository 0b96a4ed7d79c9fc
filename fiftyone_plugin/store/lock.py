"""Hold a run or a field while it is written, so that nobody else writes it, and lose it safely.

A lease is a document in FiftyOne's execution store, taken by compare-and-set and renewed by a thread. Each lease has a
number that only grows: every write of the journal is conditional on it. Samples can't be written on that condition,
since MongoDB without replica set has no transactions. So each block of samples asks :meth:`Lease.check` before and
after, and a block starts only when the lease was renewed in the first half of its time.
"""

from __future__ import annotations

import getpass
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import fiftyone as fo
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from hnm_core.io.processes import this_process

from . import access, journal, owners
from .access import ObjectId
from .journal import Journal

__all__ = ["Busy", "Lease", "LeaseLost", "lease", "on_release"]

BEAT, TRUSTED = 5.0, 30.0
"""Seconds between two signs of life, and for which the last one is trusted: half of what makes an owner expire."""

Contents = Mapping[str, Iterable[Any]]
"""What exists of a run or field: its ``fields``, ``lists`` of tags, ``runs`` (documents) and ``files``."""

logger = logging.getLogger(__name__)
_followers: list[Callable[[Lease, str], None]] = []


class Busy(ValueError):
    """Somebody else writes this run or field."""


class LeaseLost(RuntimeError):
    """Somebody took the lease over; nothing more may be written."""


def on_release(follow: Callable[[Lease, str], None]) -> None:
    """Register what brings a finished run in line with the reviews that were made while it was being written."""
    if follow not in _followers:
        _followers.append(follow)


class Lease:
    """The right to write some runs and fields, renewed by a thread until it is released or lost."""

    def __init__(self, dataset: fo.Dataset, owner: Mapping[str, Any]) -> None:
        self.dataset, self.numbers = dataset, dict[str, int]()
        self._owner, self._confirmed, self._lost = owner, time.monotonic(), ""
        self._over, self._guard = threading.Event(), threading.RLock()

    def check(self) -> None:
        """Refuse to write on after the lease was lost.

        Raises:
            LeaseLost: if somebody took it over, or the database has not answered for too long.
        """
        if not self._lost and time.monotonic() - self._confirmed > 1.0:
            self._beat()
        if self._lost or time.monotonic() - self._confirmed > TRUSTED:
            why = f"somebody took over {self._lost}" if self._lost else f"the database was silent for {TRUSTED:g} s"
            raise LeaseLost(
                f"writing was stopped, because {why}; nothing more was written: start again, or delete the run or field"
            )

    def journal(self, name: str) -> Journal:
        """Return the journal of a run or field that is held, as it is stored now."""
        found = journal.read(self.dataset, name)
        if found is None:
            self._lost = name
            self.check()
            raise AssertionError(name)  # check has raised
        return found

    def begin(self, name: str, state: str, adds: Contents, *, peer: str | None = None) -> None:
        """Write down what is about to happen, before any data changes.

        Args:
            name: the run or field, which is held.
            state: what is about to happen, one of ``journal.STATES``.
            adds: ``fields``, ``lists``, ``runs``, ``files`` that may exist from now on, beside those already noted.
            peer: the other key of a rename.
        """
        by = {"who": self._owner["who"], "operator": self._owner["operator"]}
        change: dict[str, Any] = {"value.state": state, "value.peer": peer}
        change |= {f"value.by.{part}": value for part, value in by.items()}
        lists = {f"value.{part}": {"$each": list(values)} for part, values in adds.items()}
        # an operator of the query language, since a pipeline has no union for arrays that may be null
        self._update(name, {"$set": change, "$addToSet": lists, "$currentDate": {"value.by.since": True}})

    def finish(self, name: str, left: Contents, *, keep: bool = True) -> None:
        """Write down that it is done.

        Args:
            name: the run or field.
            left: ``fields``, ``lists``, ``runs``, ``files`` that exist now and nothing beside them.
            keep: whether a run is left that needs a journal; if not, the journal goes with the lease.
        """
        change: dict[str, Any] = {"state": "done" if keep else None, "peer": None, "written": self.numbers[name]}
        change |= {part: list(values) for part, values in left.items()}
        if not keep:
            change |= {"fields": [], "lists": [], "runs": [], "files": [], "dirty": False}
        self._update(name, {"$set": {f"value.{part}": value for part, value in change.items()}})

    def move(self, name: str, new: str, left: Contents) -> None:
        """Write down that a run has another key now, which is held too: its journal gets the other name, in one write.

        Raises:
            LeaseLost: if somebody took one of both over.
        """
        change: dict[str, Any] = {"key": new, "value.state": "done", "value.peer": None}
        change |= {"value.written": self.numbers[name]} | {f"value.{part}": list(v) for part, v in left.items()}
        with self._guard:
            access.notes().delete_one(self._mine(new))
            if not access.notes().update_one(self._mine(name), {"$set": change}).matched_count:
                self._lost = name
            self.numbers[new] = self.numbers.pop(name)
        self.check()

    def take(self, *names: str) -> None:
        """Take the lease of these runs and fields, too; in order, so that no two wait for each other.

        Raises:
            Busy: if somebody else has one; none is taken then.
        """
        taken: list[str] = []
        try:
            for name in sorted(set(names) - set(self.numbers)):
                number = _take(self.dataset, name, self._owner)
                with self._guard:
                    self.numbers[name] = number
                taken.append(name)
        except Busy:
            self.drop(*taken)
            raise

    def drop(self, *names: str) -> None:
        """Give these back before the others."""
        for name in names:
            while not self._released(name):  # a review was made between copying and letting go
                continue

    def release(self) -> None:
        """Give everything back."""
        try:
            self.drop(*list(self.numbers))
        finally:
            self._over.set()
            owners.living.discard(self._owner["token"])

    def renew(self) -> None:
        """Show signs of life until the lease is released; the work of a thread."""
        while not self._over.wait(BEAT) and not self._lost:
            try:
                self._beat()
            except PyMongoError:  # the database may be back before the lease expires
                logger.warning("the lease of %s could not be renewed", ", ".join(self.numbers))

    def _beat(self) -> None:
        before = time.monotonic()
        with self._guard:
            for name in self.numbers:
                done = access.notes().update_one(self._mine(name), [{"$set": {"value.beat": "$$NOW"}}])
                if not done.matched_count:
                    self._lost = name
                    return
        self._confirmed = before

    def _mine(self, name: str) -> dict[str, Any]:
        mine = {"value.number": self.numbers[name], "value.owner.token": self._owner["token"]}
        return journal.named(self.dataset, name) | mine

    def _update(self, name: str, change: Mapping[str, Any]) -> None:
        self.check()
        if not access.notes().update_one(self._mine(name), change).matched_count:
            self._lost = name
            self.check()

    def _released(self, name: str) -> bool:
        """Give one back: after the reviews made meanwhile are copied, and without a trace if nothing was written."""
        waiting = {"value.dirty": True, "value.state": "done"}
        notes, failed = access.notes(), False
        with self._guard:  # most have nothing else to do
            calm = {"value.dirty": {"$ne": True}, "value.runs.0": {"$exists": True}}
            if notes.update_one(self._mine(name) | calm, {"$set": {"value.owner": None}}).matched_count:
                self.numbers.pop(name)
                return True
        if _followers and notes.update_one(self._mine(name) | waiting, {"$set": {"value.dirty": False}}).matched_count:
            try:
                for follow in _followers:
                    follow(self, name.partition(":")[2])
            except Exception:
                notes.update_one(self._mine(name), {"$set": {"value.dirty": True}})
                logger.exception("reviews made while %s was written are not copied into it yet", name)
                failed = True
        with self._guard:
            mine = self._mine(name)
            empty: dict[str, Any] = {"value.state": None, "value.runs": [], "value.fields": []}
            heard = {"$or": [{part: {"$ne": value}} for part, value in waiting.items()]}
            gone = notes.delete_one(mine | empty).deleted_count
            if not gone:
                let_go = mine if failed or not _followers else mine | heard
                gone = notes.update_one(let_go, {"$set": {"value.owner": None}}).matched_count
            if not gone and not self._lost and notes.find_one(mine, ["_id"]):
                return False
            self.numbers.pop(name, None)
            return True


@contextmanager
def lease(
    dataset: fo.Dataset,
    *names: str,
    operator: str,
    who: str | None = None,
    wait: float = 0.0,
    held: Lease | None = None,
) -> Iterator[Lease]:
    """Hold runs (``run:KEY``) and fields (``field:NAME``) while they are written.

    Args:
        dataset: the dataset.
        names: what to hold.
        operator: name of the operator, for others who are refused meanwhile.
        who: the person; None for the user that this process runs as.
        wait: seconds to wait for somebody else.
        held: a lease that the caller has: it takes what is missing, and gives that back.

    Raises:
        Busy: if somebody else holds one of them.
    """
    until = time.monotonic() + wait
    ours = held or _new(dataset, operator, who)
    before = set(ours.numbers)
    try:
        while True:
            try:
                ours.take(*names)
                break
            except Busy:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.05)
        if held is None:
            threading.Thread(target=ours.renew, daemon=True, name="lease").start()
        yield ours
    finally:
        if held is None:
            ours.release()
        else:
            ours.drop(*(set(ours.numbers) - before))


def _new(dataset: fo.Dataset, operator: str, who: str | None) -> Lease:
    try:
        user = who or getpass.getuser()
    except (KeyError, OSError):  # a container without user names
        user = "somebody"
    token = str(ObjectId())
    owners.living.add(token)
    return Lease(dataset, {**this_process(), "token": token, "who": user, "operator": operator})


def _take(dataset: fo.Dataset, name: str, owner: Mapping[str, Any]) -> int:
    """Take one lease and return its number. Two steps, since an upsert knows no expressions."""
    me = journal.named(dataset, name)
    free: list[dict[str, Any]] = [{"value.owner": None}]
    free.append({"$expr": {"$lt": ["$value.beat", {"$subtract": ["$$NOW", int(owners.EXPIRY * 1000)]}]}})
    number = {"$max": [{"$add": ["$value.number", 1]}, {"$toLong": "$$NOW"}]}
    change = {"value.number": number, "value.owner": {"$literal": owner}, "value.since": "$$NOW", "value.beat": "$$NOW"}
    found: Journal | None = None
    for _ in range(3):
        journal.make(dataset, name)
        taken = access.notes().find_one_and_update(
            {**me, "$or": free}, [{"$set": change}], return_document=ReturnDocument.AFTER
        )
        if taken is not None:
            return int(taken["value"]["number"])
        found = journal.read(dataset, name)
        if found is not None and found.owner is not None:
            if not owners.is_dead(found.owner):
                break
            free.append({"value.owner.token": found.owner["token"]})
    raise Busy(journal.busy(name, found))
