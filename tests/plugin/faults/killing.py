"""Kill an operator right after a write that the database acknowledged, and put everything back for the next kill.

The listener that counts writes is the database driver's own. A kill is an exception that no ``except Exception`` stops,
and from then on every further write of this process is stopped before it is sent: what a cleanup would do is not done.
The lease of the dead operator is one that nobody in this process holds any more, as after a real kill.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import fiftyone as fo
import fiftyone.core.odm as odm
import fiftyone.core.odm.database as database
from pymongo import monitoring

WRITES = {"insert", "update", "delete", "findAndModify", "createIndexes", "dropIndexes"}
COPIES = ("accepted", "ground_truth_corrected")
"""Corrected copies of the truth in these tests."""

RUN_FIELDS = ("run_", "other_", "new_")
"""How the fields of the runs in these tests begin."""


class Killed(BaseException):
    """The process would be gone now."""


class Guillotine(monitoring.CommandListener):
    """Counts acknowledged writes, and falls after the ``after``-th."""

    def __init__(self) -> None:
        self.after: int | None = None
        self.writes: list[str] = []
        self.armed = self.dead = False
        self._sent: dict[int, str] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Stop every write of the dead."""
        if self.armed and event.command_name in WRITES:
            if self.dead:
                raise Killed
            if is_sign_of_life(event.command):  # at times that no two runs share
                return
            self._sent[event.request_id] = f"{event.command_name} {event.command.get(event.command_name)}"

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Fall after the write that was asked for."""
        what = self._sent.pop(event.request_id, None)
        if self.armed and what is not None:
            self.writes.append(what)
            if len(self.writes) == self.after:
                self.dead = True
                raise Killed

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Forget a write that failed."""
        self._sent.pop(event.request_id, None)

    def run(self, operation: Callable[[], Any], after: int | None = None) -> int:
        """Run an operation and kill it after so many writes; return the number of writes."""
        self.after, self.writes, self.armed, self.dead = after, [], True, False
        try:
            with suppress(Killed):
                operation()
        finally:
            self.armed = False
        return len(self.writes)


def is_sign_of_life(command: Mapping[str, Any]) -> bool:
    """Return whether a command only renews a lease."""
    return any(update["u"] == [{"$set": {"value.beat": "$$NOW"}}] for update in command.get("updates", ()))


guillotine = Guillotine()
monitoring.register(guillotine)
database._disconnect()  # a client listens to what was registered before it was made


class Snapshot:
    """Everything that the database holds of one dataset."""

    def __init__(self, dataset: fo.Dataset) -> None:
        self.dataset, self.id = dataset, dataset._doc.id
        self.files = [each["_id"] for each in _db()["fs.files"].find({}, ["_id"])]
        self.documents = {name: list(_db()[name].find(query)) for name, query in self._where().items()}

    def _where(self) -> dict[str, Mapping[str, Any]]:
        return {
            self.dataset._sample_collection_name: {},
            "datasets": {"_id": self.id},
            "runs": {"_dataset_id": self.id},
            "execution_store": {"dataset_id": self.id},
            "fs.files": {"_id": {"$in": self.files}},
            "fs.chunks": {"files_id": {"$in": self.files}},
        }

    def restore(self) -> None:
        """Put it all back."""
        new = [each["_id"] for each in _db()["fs.files"].find({"_id": {"$nin": self.files}}, ["_id"])]
        _db()["fs.files"].delete_many({"_id": {"$in": new}})
        _db()["fs.chunks"].delete_many({"files_id": {"$in": new}})
        for name, query in self._where().items():
            _db()[name].delete_many(query)
            if self.documents[name]:
                _db()[name].insert_many(copy.deepcopy(self.documents[name]))
        self.dataset.reload()


def users_part(dataset: fo.Dataset, *, strict: bool = False) -> list[str]:
    """Return what is the user's in every sample, as text that tells types and the order of keys apart.

    ``strict`` keeps the tag and empty lists of tags.
    """

    def own(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
        found = []
        for name, each in value.items():
            if name == "last_modified_at" or name.startswith(RUN_FIELDS) or name in COPIES:
                continue
            if name == "tags" and not strict:
                each = [tag for tag in each or () if tag != "hard_negative"] or None
                if each is None:
                    continue
            if isinstance(each, Mapping) and isinstance(each.get("detections"), list):
                boxes = [own(box) if isinstance(box, Mapping) else box for box in each["detections"]]
                each = [(key, boxes if key == "detections" else part) for key, part in each.items()]
            found.append((name, each))
        return found

    return [repr(own(document)) for document in dataset._sample_collection.find().sort("_id", 1)]


def of_run(dataset: fo.Dataset, key: str) -> list[Any]:
    """Return what a run has written, in every sample; copies of the truth, which copy that too, apart."""

    def own(value: Any) -> Any:
        if isinstance(value, Mapping):
            parts = {name: each if name.startswith(f"{key}_") else own(each) for name, each in value.items()}
            return {name: each for name, each in parts.items() if name.startswith(f"{key}_") or each}
        return [found for each in value if (found := own(each))] if isinstance(value, list) else None

    without = dict.fromkeys(COPIES, 0)
    return [own(document) for document in dataset._sample_collection.find({}, without).sort("_id", 1)]


def _db() -> Any:
    return odm.get_db_conn()
