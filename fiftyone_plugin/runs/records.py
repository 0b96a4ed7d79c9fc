"""The records of the mining runs of a dataset: what they hold, how they are found, and whether they may be used.

Everything is read from the database as it is now, and one record that can't be read never hides another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import fiftyone as fo

from ..settings import RunSettings
from ..store import access, journal, owners, schema, tags
from ..store.journal import RUN, STATES, Journal
from . import results
from .config import METHOD, MiningRunConfig, parsed
from .owned import add_all_fields
from .results import MiningRunResults


@dataclass(frozen=True)
class Record:
    """What is stored of a run, finished or not.

    Attributes:
        key: its key.
        run_id: id of its document; None if there is none.
        timestamp: when it was mined; None if that can't be read.
        config: its config; None if that can't be read.
        file_id: id of its stored results; None if there are none.
        journal: its journal; None if it has none.
        problem: a sentence on why it can't be used, and what helps; "" if it can.
    """

    key: str
    run_id: Any
    timestamp: datetime | None
    config: MiningRunConfig | None
    file_id: Any
    journal: Journal | None
    problem: str

    @property
    def fields(self) -> list[str]:
        """Return every field that may exist of the run."""
        noted = self.journal.fields if self.journal else ()
        return list(dict.fromkeys([*noted, *(self.config.fields if self.config else ())]))

    @property
    def state(self) -> str:
        """Return what was being done to it when it was left unfinished; ``done`` if it is finished."""
        if self.journal is not None and self.journal.state is not None:
            return self.journal.state
        return "done" if self.config is not None and self.config.finished else "writing"

    @property
    def settings(self) -> RunSettings:
        """Return its settings.

        Raises:
            ValueError: if they can't be read.
        """
        if self.config is None:
            raise ValueError(self.problem)
        return parsed(self.config.settings)


def listed(dataset: fo.Dataset) -> list[Record]:
    """Return all runs of this plugin, in the order of their keys, and whatever else is left of one."""
    return _read(dataset)


def _read(dataset: fo.Dataset, only: str | None = None) -> list[Record]:
    """Return all runs of this plugin as :func:`listed` does, or the one with a key."""
    document = access.datasets().find_one({"_id": access.dataset_id(dataset)}, {"runs": 1, "sample_fields": 1}) or {}
    references = dict(document.get("runs") or {})
    notes = {note.key: note for note in journal.runs(dataset)}
    renamed_to = {note.peer: note for note in notes.values() if note.peer}
    places: dict[str, tuple[Any, Journal | None]] = {}
    for key in sorted({*references, *notes} if only is None else {*references, *notes} & {only}):
        note = notes.get(key) or renamed_to.get(key)
        both = (key, note.key, note.peer) if note is not None and note.peer else (key,)
        places[key] = next((references[name] for name in both if name in references), None), note
    ids = [run_id for run_id, _ in places.values() if run_id is not None]
    documents = {each["_id"]: each for each in access.run_documents().find({"_id": {"$in": ids}})} if ids else {}
    made = (_record(key, run_id, documents.get(run_id), note) for key, (run_id, note) in places.items())
    fields = document.get("sample_fields") or []
    declared, copies = schema.declared(fields), schema.corrected_copies(fields)
    return [_with_all_fields(record, declared, copies) for record in made if record is not None]


def _with_all_fields(record: Record, declared: Mapping[str, Mapping[str, Any]], copies: Mapping[str, str]) -> Record:
    problem = add_all_fields(record.key, record.config, declared, copies) if record.config is not None else ""
    return replace(record, problem=record.problem or problem)


def keys(dataset: fo.Dataset) -> list[str]:
    """Return the keys of this plugin's runs, finished or not."""
    return [record.key for record in listed(dataset)]


def usable(dataset: fo.Dataset) -> list[Record]:
    """Return the runs that are finished."""
    return [record for record in listed(dataset) if not record.problem]


def by_time(dataset: fo.Dataset) -> list[str]:
    """Return the keys of the finished runs, the oldest first."""
    return [record.key for record in sorted(usable(dataset), key=_time)]


def newest(dataset: fo.Dataset) -> str | None:
    """Return the key of the newest finished run, or that of an unfinished one, or None."""
    found = listed(dataset)
    return max(found, key=lambda record: (not record.problem, _time(record))).key if found else None


def all_keys(dataset: fo.Dataset) -> set[str]:
    """Return the keys of all runs, those of other plugins too, and of whatever is left of one."""
    left = {name for note in journal.runs(dataset) for name in (note.key, note.peer) if name}
    return {*_references(dataset), *left}


def free_key(dataset: fo.Dataset, stem: str = "hard_negatives") -> str:
    """Return a key that no run has: the stem, or the stem with the first free number."""
    return free_name(stem, all_keys(dataset))


def free_name(stem: str, taken: Collection[str]) -> str:
    """Return the stem if it is not taken, else the stem with the first free number."""
    names = (stem if n == 1 else f"{stem}_{n}" for n in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def find(dataset: fo.Dataset, key: str | None) -> Record:
    """Return the record of a run, finished or not.

    Raises:
        ValueError: if there is none, naming the runs that exist.
    """
    if isinstance(key, str) and (found := _read(dataset, key)):
        return found[0]
    names = ", ".join(repr(record.key) for record in listed(dataset))
    cure = f"runs are {names}" if names else "there is none yet, mine first (mine_hard_negatives)"
    raise ValueError(f"dataset {dataset.name!r} has no mining run {key!r}: {cure}")


def opened(dataset: fo.Dataset, key: str | None, *, besides: Collection[str] = ()) -> Record:
    """Return the record of a run that may be used.

    Args:
        dataset: the dataset.
        key: of the run.
        besides: states in which it may be used, too, since the caller finishes what was begun.

    Raises:
        ValueError: if there is no such run, or it is not finished.
    """
    record = find(dataset, key)
    if record.problem and not (record.config is not None and record.state in besides):
        raise ValueError(record.problem)
    return record


@contextmanager
def reading(dataset: fo.Dataset, *run_keys: str | None) -> Iterator[None]:
    """Read runs, and refuse the outcome if one was changed meanwhile.

    Raises:
        ValueError: if one is not finished, before or after.
    """
    before = {key: _stamp(opened(dataset, key)) for key in run_keys}
    try:
        yield
    except Exception:
        _check_unchanged(dataset, before)  # what is missing was deleted meanwhile: say that, and not what is missing
        raise
    _check_unchanged(dataset, before)


def settings_of(dataset: fo.Dataset, key: str | None) -> RunSettings:
    """Return the settings of a finished run.

    Raises:
        ValueError: if there is no such run, or it is not finished.
    """
    return opened(dataset, key).settings


def both(
    dataset: fo.Dataset, earlier_run_key: str | None, later_run_key: str | None
) -> tuple[RunSettings, RunSettings]:
    """Return the settings of an earlier and a later run."""
    return settings_of(dataset, earlier_run_key), settings_of(dataset, later_run_key)


def load(
    dataset: fo.Dataset, key: str | None, *, besides: Collection[str] = ()
) -> tuple[RunSettings, MiningRunResults]:
    """Return settings and results of a run that may be used; ``besides`` as for :func:`opened`.

    Raises:
        ValueError: if there is no such run, it is not finished, or its results can't be read.
    """
    record = opened(dataset, key, besides=besides)
    return record.settings, results.read(dataset, record.key, record.config, record.file_id)


def is_unchanged(dataset: fo.Dataset, record: Record) -> bool:
    """Return whether nobody has begun to change a finished run since its record was read; False if that is unknown."""
    then, now = record.journal, journal.read(dataset, f"{RUN}{record.key}")
    stamps = [(note.name, note.state, note.written, note.runs) for note in (then, now) if note is not None]
    return len(stamps) == 2 and stamps[0] == stamps[1] and stamps[0][1] == "done"


def revision(record: Record) -> tuple[str, ...]:
    """Return values that change whenever the results of a run are written."""
    return str(record.timestamp), str(record.file_id), record.state


def tagged_by_others(dataset: fo.Dataset, key: str, *, to_stay: bool = False) -> tags.Held:
    """Return what all other runs have tagged; with ``to_stay`` without those whose deletion has begun."""
    found: tags.Held = {}
    for record in listed(dataset):
        own = record.key == key or (record.journal is not None and record.journal.key == key)
        if not own and not (to_stay and record.state == "deleting"):
            found |= tagged_by(dataset, record)
    return found


def tagged_by(dataset: fo.Dataset, record: Record) -> tags.Held:
    """Return what a run has tagged: by its lists, or by its results where it has no journal. Results may be broken."""
    if record.journal is not None:
        return tags.held(dataset, record.journal.lists)
    try:
        stored = results.read(dataset, record.key, record.config, record.file_id)
        labels = [(field, label_id) for field, label_id in stored.tagged_labels]
        return tags.held_of(tags.Tagged(list(stored.tagged_samples), labels))
    except ValueError:
        return {}


def renamed(path: str, key: str, new_key: str, owned: Collection[str] = ()) -> str:
    """Return the path of a field of run ``key`` after the run was renamed to ``new_key``.

    ``owned`` are all fields of the run: a field of boxes among them gets the new key, too, and so what is in it.
    """
    names = path.split(".")
    for at in {0, len(names) - 1}:
        if names[at].startswith(f"{key}_") and (at == len(names) - 1 or names[0] in owned):
            names[at] = f"{new_key}{names[at][len(key) :]}"
    return ".".join(names)


def _references(dataset: fo.Dataset) -> dict[str, Any]:
    document = access.datasets().find_one({"_id": access.dataset_id(dataset)}, {"runs": 1})
    return dict((document or {}).get("runs") or {})


def _record(key: str, run_id: Any, document: Any, note: Journal | None) -> Record | None:
    """Return the record of a run; None if it is one of another plugin."""
    stored = (document or {}).get("config")
    if note is None and isinstance(stored, dict) and stored.get("method") != METHOD:
        return None
    config, problem = None, ""
    if note is not None and note.state in STATES:
        problem = journal.unfinished(note, held=note.begun_by_owner and owners.is_held(note))
    try:
        if not isinstance(stored, dict):
            raise TypeError("it has no config")
        config = MiningRunConfig(**{k: v for k, v in stored.items() if k not in ("cls", "type", "method")})
        parsed(config.settings)
        if list(config.fields) != [str(path) for path in config.fields]:
            raise TypeError("fields are no names")
    except Exception as error:  # whatever a damaged document holds
        config, what = None, f"the record of run {key!r} cannot be read ({type(error).__name__}: {error})"
        problem = problem or f"{what}: delete it (delete_mining_run), then mine again"
    if not problem and note is None and config is not None and not config.finished:
        problem = journal.unfinished(Journal(f"{RUN}{key}", state="writing"))
    return Record(
        key, run_id, (document or {}).get("timestamp"), config, (document or {}).get("results"), note, problem
    )


def _check_unchanged(dataset: fo.Dataset, before: Mapping[str | None, tuple[Any, ...]]) -> None:
    for key, stamp in before.items():
        if _stamp(opened(dataset, key)) != stamp:
            raise ValueError(f"run {key!r} was changed while it was being read: try again")


def _stamp(record: Record) -> tuple[Any, ...]:
    return record.run_id, record.file_id, record.journal.written if record.journal else None


def _time(record: Record) -> datetime:
    return record.timestamp or datetime.min
