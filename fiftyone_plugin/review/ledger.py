"""The review ledger of a dataset: who reviewed which object, when, and how. It belongs to the dataset, not to a run.

It is kept in FiftyOne's execution store of the dataset, one document per action (all that one person reviews at once),
so that adding and undoing an action is atomic and no review is lost when two people work. Runs come and go and
predictions get new ids: an entry names its object by image, side, class and box, and later objects inherit it by
overlap. The ledger is cloned and deleted with its dataset. FiftyOne's exports leave it out; ``json_file`` carries it.

It is not in ``dataset.info``, which is saved whole, so that the second of two people would undo the first, and not in a
field of the samples, which would be one more field of the user.
"""

from __future__ import annotations

import getpass
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from fiftyone.operators.store import ExecutionStore
from fiftyone.operators.store.clone import register_cloneable_store

from hnm_core.io.numbers import as_number
from hnm_core.labels.reviews import ONE_SIDED, SIDES, STATES

from ..store import access
from ..store.access import ObjectId

if TYPE_CHECKING:
    import fiftyone as fo

STORE = "hnm_reviews"
MOST_OBJECTS = 10_000
"""Objects per action: more would make a large document, and nobody reviews so many at once."""

register_cloneable_store(STORE)


@dataclass(frozen=True)
class ReviewEntry:
    """The review of one object.

    Attributes:
        image: id of its sample.
        side: ``prediction`` or ``truth``.
        label: its class, with the name that the run used.
        bbox: ``x0, y0, x1, y1`` as fractions of the image.
        state: one of the review states; ``unreviewed`` takes an earlier review back.
        run_key: run in which it was reviewed; "" for none.
        label_id: its id at that time.
        corrected: whether somebody corrected the label by hand, in the corrected copy.
    """

    image: str
    side: str
    label: str
    bbox: tuple[float, ...]
    state: str
    run_key: str = ""
    label_id: str = ""
    corrected: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot be an object or a state."""
        for name in ("image", "side", "label", "state", "run_key", "label_id"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{'class' if name == 'label' else name} must be a text, got {getattr(self, name)!r}")
        check_state(self.state)
        if self.side not in SIDES:
            raise ValueError(f"side must be one of {', '.join(SIDES)}, got {self.side!r}")
        side, why = ONE_SIDED.get(self.state, (self.side, ""))
        if self.side != side:
            raise ValueError(f"a {self.side} cannot be {self.state}: {why}")
        edges = [as_number(edge) for edge in self.bbox] if isinstance(self.bbox, (list, tuple)) else []
        box = tuple(edge for edge in edges if edge is not None and math.isfinite(edge))
        if not len(edges) == len(box) == 4 or box[2] < box[0] or box[3] < box[1]:
            raise ValueError(f"bbox must be x0, y0, x1, y1 as fractions of the image, got {self.bbox!r}")
        object.__setattr__(self, "bbox", box)
        object.__setattr__(self, "corrected", self.corrected is True)

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as the engine reads it, with run and id added."""
        values = asdict(self)
        if not self.corrected:
            del values["corrected"]
        return {**values, "class": values.pop("label"), "bbox": list(self.bbox)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ReviewEntry:
        """Return the entry of a dict that :meth:`as_dict` gave; other keys are ignored."""
        missing = [name for name in ("image", "side", "class", "bbox", "state") if name not in values]
        if missing:
            raise ValueError(f"a review needs image, side, class, bbox and state; missing: {', '.join(missing)}")
        named = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        return cls(**{**named, "label": values["class"]})


@dataclass(frozen=True)
class ReviewAction:
    """All that one person reviewed at once.

    Attributes:
        key: name of the action; actions are in the order of their keys.
        who: the person.
        when: time, ISO 8601 in UTC.
        entries: the reviews.
        withdrawn: when it was withdrawn; "" if it was not.
        clicks: what it cost to say so: one for the answer, and one for each exception that was marked.
    """

    key: str
    who: str
    when: str
    entries: tuple[ReviewEntry, ...]
    withdrawn: str = ""
    clicks: int = 1

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the entries as the engine reads them; an exception has the state that does not fit as ``refused``."""
        answer = next((entry.state for entry in self.entries if entry.state != "unreviewed"), None)
        refused = {"refused": answer} if answer else {}
        return [
            {**entry.as_dict(), **(refused if entry.state == "unreviewed" and not entry.corrected else {})}
            for entry in self.entries
        ]


class Ledger:
    """The review ledger of a dataset.

    Args:
        dataset: the dataset, or a view of it.
    """

    def __init__(self, dataset: fo.Dataset) -> None:
        self._dataset_id = access.dataset_id(access.root(dataset))
        self._store = ExecutionStore.create(STORE, self._dataset_id)

    def add(
        self, entries: Iterable[ReviewEntry], who: str | None = None, when: str | None = None, *, clicks: int = 1
    ) -> ReviewAction:
        """Add an action.

        Args:
            entries: the reviews, at least one.
            who: the person; None for the user that this process runs as.
            when: time, ISO 8601; None for now.
            clicks: what it cost.

        Raises:
            ValueError: if there is no entry, or there are too many.
        """
        reviewed = tuple(entries)
        if not 0 < len(reviewed) <= MOST_OBJECTS:
            raise ValueError(f"one action reviews 1 to {MOST_OBJECTS:,} objects, got {len(reviewed):,}")
        action = ReviewAction(str(ObjectId()), who or current_user(), when or _now(), reviewed, clicks=clicks)
        self._store.set_if_absent(action.key, _stored(action))
        return action

    def undo(self, who: str | None = None) -> ReviewAction | None:
        """Withdraw the last action of a person that is not withdrawn, and return it; None if there is none.

        The ledger keeps it.
        """
        who = who or current_user()
        for document in self._documents({"value.who": who, "value.withdrawn": ""}, newest_first=True):
            if self._store.compare_and_set(
                document["key"], document["value"], {**document["value"], "withdrawn": _now()}
            ):
                return _action_of(document)
        return None

    def actions(self, *, withdrawn: bool = False) -> list[ReviewAction]:
        """Return every action that is not withdrawn, in order; with ``withdrawn``, all of them."""
        return [_action_of(document) for document in self._documents({} if withdrawn else {"value.withdrawn": ""})]

    def entries(self, images: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Return all valid entries, in order, as the engine reads them: of two on one object the later counts.

        Args:
            images: ids of samples; None for everything.
        """
        wanted = None if images is None else set(images)
        about = {} if wanted is None else {"value.entries.image": {"$in": list(wanted)}}
        return [
            {**entry, "who": action.who, "when": action.when}
            for action in map(_action_of, self._documents({"value.withdrawn": "", **about}))
            for entry in action.as_dicts()
            if wanted is None or entry["image"] in wanted
        ]

    def changed(self, known: Mapping[str, Any]) -> dict[str, tuple[Any, ReviewAction]]:
        """Return the actions that were added or withdrawn since, each with the time of its last change.

        Args:
            known: time of the last change of every known action, by its key.
        """
        stamps = {document["key"]: document["updated_at"] for document in self._documents({}, fields=("updated_at",))}
        new = [key for key, stamp in stamps.items() if known.get(key) != stamp]
        found = self._documents({"key": {"$in": new}}) if new else ()
        return {document["key"]: (document["updated_at"], _action_of(document)) for document in found}

    def _documents(
        self, query: Mapping[str, Any], *, newest_first: bool = False, fields: Iterable[str] = ("value", "updated_at")
    ) -> Iterable[dict[str, Any]]:
        """Return documents in the order of their keys.

        FiftyOne's store reads one key at a time; this reads all at once.
        """
        whole = {"store_name": STORE, "dataset_id": self._dataset_id, "key": {"$ne": "__store__"}, **query}
        return access.stored_executions().find(whole, ["key", *fields]).sort("key", -1 if newest_first else 1)


def check_state(state: Any) -> str:
    """Return the state if it is one.

    Raises:
        ValueError: naming the states.
    """
    if state not in STATES:
        raise ValueError(f"state must be one of {', '.join(STATES)}, got {state!r}")
    return str(state)


def current_user() -> str:
    """Return the user that this process runs as; FiftyOne's open-source version has no users of its own."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without user names
        return "somebody"


def _stored(action: ReviewAction) -> dict[str, Any]:
    return {
        "who": action.who,
        "when": action.when,
        "withdrawn": action.withdrawn,
        "clicks": action.clicks,
        "entries": [entry.as_dict() for entry in action.entries],
    }


def _action_of(document: Mapping[str, Any]) -> ReviewAction:
    value = document["value"]
    entries = tuple(ReviewEntry.of(_meant(entry)) for entry in value["entries"])
    clicks = value.get("clicks", 1)
    return ReviewAction(document["key"], value["who"], value["when"], entries, value["withdrawn"], clicks)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _meant(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a stored entry, whose missing_label on a truth (once allowed) can only mean that the label is wrong."""
    of_truth = entry.get("side") == "truth" and entry.get("state") == "missing_label"
    return {**entry, "state": "wrong_label"} if of_truth else entry
