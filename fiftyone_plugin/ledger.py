"""The review ledger of a dataset: who said what of which object, when. It belongs to the dataset, not to a run.

It lies in FiftyOne's execution store of the dataset, one document an act (what one person says at once, of one object
or of many): writing and undoing an act is atomic, so that nobody's words are lost when two people review. Runs come and
go, predictions get new ids: an entry names its object by image, side, class and box, and later objects inherit it by
overlap. It is cloned and deleted with its dataset. FiftyOne's exports leave it out, so ``reviews_file`` carries it.

Not in ``dataset.info``, which is saved whole, so that the second of two reviewers would undo the first; not in a field
of the samples, which would be one more field of the user's.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

import fiftyone.core.odm as odm
from bson import ObjectId
from fiftyone.factory.repos.execution_store import MongoExecutionStoreRepo
from fiftyone.operators.store import ExecutionStore
from fiftyone.operators.store.clone import register_cloneable_store

from hnm_core.reviews import STATES

STORE = "hnm_reviews"
SIDES = ("prediction", "truth")
MOST = 10_000
"""Objects to an act: more would be a large document, and nobody has looked at so many at once."""

register_cloneable_store(STORE)


@dataclass(frozen=True)
class Entry:
    """What was said of one object.

    Attributes:
        image: id of its sample.
        side: ``prediction`` or ``truth``.
        label: its class, as the run named it.
        bbox: ``x0, y0, x1, y1`` as fractions of the image.
        state: one of the review states; ``unreviewed`` takes back what was said before.
        run_key: run in which it was seen; "" if in none.
        label_id: its id then.
    """

    image: str
    side: str
    label: str
    bbox: tuple[float, ...]
    state: str
    run_key: str = ""
    label_id: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be an object or a state."""
        check_state(self.state)
        if self.side not in SIDES:
            raise ValueError(f"side must be one of {', '.join(SIDES)}, got {self.side!r}")
        object.__setattr__(self, "bbox", tuple(map(float, self.bbox)))
        if len(self.bbox) != 4 or not (self.bbox[0] <= self.bbox[2] and self.bbox[1] <= self.bbox[3]):
            raise ValueError(f"bbox must be x0, y0, x1, y1 as fractions of the image, got {list(self.bbox)}")

    def as_dict(self) -> dict[str, Any]:
        """The entry as the engine reads it, and what only people want to know beside it."""
        values = asdict(self)
        return {**values, "class": values.pop("label"), "bbox": list(self.bbox)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Entry:
        """The entry that :meth:`as_dict` gives; other keys are passed over."""
        missing = [name for name in ("image", "side", "class", "bbox", "state") if name not in values]
        if missing:
            raise ValueError(f"a review needs image, side, class, bbox and state; missing: {', '.join(missing)}")
        named = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        return cls(**{**named, "label": values["class"]})


@dataclass(frozen=True)
class Act:
    """What one person said at once.

    Attributes:
        key: name of the act; acts are in the order of their keys.
        who: the person.
        when: time, ISO 8601 in UTC.
        entries: what was said.
        withdrawn: when it was taken back; "" if it stands.
    """

    key: str
    who: str
    when: str
    entries: tuple[Entry, ...]
    withdrawn: str = ""


class Ledger:
    """The ledger of a dataset.

    Args:
        dataset: the dataset, or a view of it.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset_id = dataset._root_dataset._doc.id
        self._store = ExecutionStore.create(STORE, self._dataset_id)

    def add(self, entries: Iterable[Entry], who: str | None = None, when: str | None = None) -> Act:
        """Write down what somebody says at once.

        Args:
            entries: what is said, at least of one object.
            who: the person; None for the user that this process runs as.
            when: time, ISO 8601; None for now.

        Raises:
            ValueError: if it is said of nothing, or of too many objects.
        """
        said = tuple(entries)
        if not 0 < len(said) <= MOST:
            raise ValueError(f"one act reviews 1 to {MOST:,} objects, got {len(said):,}")
        act = Act(str(ObjectId()), who or somebody(), when or _now(), said)
        self._store.set_if_absent(act.key, _stored(act))
        return act

    def undo(self, who: str | None = None) -> Act | None:
        """Take back the last act of a person that still stands; None if there is none. The ledger keeps both."""
        who = who or somebody()
        for document in self._documents({"value.who": who, "value.withdrawn": ""}, newest_first=True):
            if self._store.compare_and_set(
                document["key"], document["value"], {**document["value"], "withdrawn": _now()}
            ):
                return _act(document)
        return None

    def acts(self, *, withdrawn: bool = False) -> list[Act]:
        """Every act that stands, in order; with ``withdrawn`` those too that were taken back."""
        return [_act(document) for document in self._documents({} if withdrawn else {"value.withdrawn": ""})]

    def entries(self, images: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """What stands, in order, as the engine reads it: the later of two entries on an object counts.

        Args:
            images: ids of samples; None for everything.
        """
        wanted = None if images is None else set(images)
        about = {} if wanted is None else {"value.entries.image": {"$in": list(wanted)}}
        return [
            {**entry.as_dict(), "who": act.who, "when": act.when}
            for act in map(_act, self._documents({"value.withdrawn": "", **about}))
            for entry in act.entries
            if wanted is None or entry.image in wanted
        ]

    def changed(self, known: Mapping[str, Any]) -> dict[str, tuple[Any, Act]]:
        """The acts that were added or withdrawn since, each with a stamp of its last change.

        Args:
            known: stamp of every act that is known, by its key.
        """
        stamps = {document["key"]: document["updated_at"] for document in self._documents({}, fields=("updated_at",))}
        new = [key for key, stamp in stamps.items() if known.get(key) != stamp]
        found = self._documents({"key": {"$in": new}}) if new else ()
        return {document["key"]: (document["updated_at"], _act(document)) for document in found}

    def _documents(
        self, query: Mapping[str, Any], *, newest_first: bool = False, fields: Iterable[str] = ("value", "updated_at")
    ) -> Iterable[dict[str, Any]]:
        """Documents in the order of their keys. FiftyOne's store reads one key at a time; this reads all at once."""
        collection = odm.get_db_conn()[MongoExecutionStoreRepo.COLLECTION_NAME]
        whole = {"store_name": STORE, "dataset_id": self._dataset_id, "key": {"$ne": "__store__"}, **query}
        return collection.find(whole, ["key", *fields]).sort("key", -1 if newest_first else 1)


def check_state(state: Any) -> str:
    """The state itself, if it is one.

    Raises:
        ValueError: naming the states.
    """
    if state not in STATES:
        raise ValueError(f"state must be one of {', '.join(STATES)}, got {state!r}")
    return str(state)


def somebody() -> str:
    """The user that this process runs as: FiftyOne's open version knows no other."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without names
        return "somebody"


def _stored(act: Act) -> dict[str, Any]:
    return {
        "who": act.who,
        "when": act.when,
        "withdrawn": act.withdrawn,
        "entries": [entry.as_dict() for entry in act.entries],
    }


def _act(document: Mapping[str, Any]) -> Act:
    value = document["value"]
    entries = tuple(map(Entry.of, value["entries"]))
    return Act(document["key"], value["who"], value["when"], entries, value["withdrawn"])


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
