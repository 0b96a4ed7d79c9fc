"""Create, rename and delete the mining runs of a dataset.

Each of them writes down first, in the journal of the run, what it is about to do; so each can be done again after a
crash, and deleting removes whatever is left.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import fiftyone as fo

from ..settings import RunSettings, check_key, missed_field
from ..store import access, blocks, checks, saved_views, schema, tags, writeback
from ..store.access import ObjectId
from ..store.journal import RUN, TAGS, Journal
from ..store.lock import Contents, Lease, lease
from . import memory, records, results
from .config import MiningRunConfig
from .records import Record

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

WAIT_FOR_TAGS = 60.0
"""Seconds to wait for another run that is just writing down what it tags."""


class Gone(NamedTuple):
    """What went with a run: its fields and its saved views; and saved views of others that showed one of the fields."""

    fields: list[str]
    saved_views: list[str]
    broken_views: list[str]


class MiningRun(fo.Run):
    """What FiftyOne's own ``rename_run`` and ``delete_run`` ask of a run."""

    def get_fields(self, samples: SampleCollection, key: str) -> list[str]:
        """Return the fields that were read and written."""
        return [self.config.pred_field, self.config.gt_field, *self.config.fields]

    def rename(self, samples: SampleCollection, key: str, new_key: str) -> None:
        """Rename the run, its fields included."""
        rename(access.root(samples), key, new_key, reload_last=False)

    def cleanup(self, samples: SampleCollection, key: str) -> None:
        """Remove the fields that the run wrote, and its tags where no other run has tagged the same."""
        delete(access.root(samples), key)


def check_new(
    dataset: fo.Dataset,
    settings: RunSettings,
    *,
    overwrite: bool = False,
    name: str = "run_key",
    own: Collection[str] = (),
    stored: bool = False,
) -> None:
    """Refuse a key if its run or one of its fields exists.

    Args:
        dataset: the dataset.
        settings: those of the new run.
        overwrite: accept the key of a run of this plugin.
        name: the parameter that the error names; only a ``run_key`` can be replaced by ``overwrite``.
        own: fields that may exist.
        stored: also look for attributes that are stored and not declared, which reads the samples: not for forms.

    Raises:
        ValueError: naming the run or the field that exists, or a field that is read-only.
    """
    key = settings.run_key
    another = f"choose another {name}, such as {records.free_key(dataset)!r}"
    runs = {record.key: record for record in records.listed(dataset)}
    if key in runs:
        record = runs[key]
        if not overwrite:
            replace_it = ", or set overwrite to replace it" if name == "run_key" else ""
            raise ValueError(f"run {key!r} exists: {another}{replace_it}")
        if record.state == "renaming":
            raise ValueError(record.problem)
        own = {*own, *record.fields}
    elif key in records.all_keys(dataset):
        renaming = next((run for run in runs.values() if run.journal and run.journal.peer == key), None)
        if renaming is not None:
            raise ValueError(f"{renaming.problem}; or {another}")
        raise ValueError(f"run {key!r} exists and was not made by this plugin: {another}")
    paths = list(writeback.fields_of(key, settings))
    if stored:
        problem = schema.in_the_way(dataset, paths, own)
    else:
        declared = next((path for path in paths if path not in own and dataset.get_field(path) is not None), None)
        problem = f"field {declared!r} exists and belongs to no mining run" if declared else None
    if problem:
        raise ValueError(f"{problem}: {another}")
    schema.check_writable(dataset, [*paths, *writeback.tags_of(settings)])


def register(held: Lease, samples: SampleCollection, key: str, config: MiningRunConfig, run_id: ObjectId) -> None:
    """Add a run document without results, and refer to it in the dataset, as FiftyOne does."""
    document = access.run_document(samples, key, config, run_id)
    held.check()
    access.run_documents().insert_one(document)
    where = {"_id": access.dataset_id(held.dataset)}
    access.datasets().update_one(where, {"$set": {f"runs.{key}": run_id}})


def update(held: Lease, run_id: ObjectId, config: MiningRunConfig, **more: Any) -> None:
    """Write the config of a run, and more of its document, in one update."""
    held.check()
    access.run_documents().update_one({"_id": run_id}, {"$set": {"config": config.serialize(), **more}})


def delete(dataset: fo.Dataset, key: str, who: str | None = None, *, held: Lease | None = None) -> Gone:
    """Remove a run, readable or not, finished or not, and return what else was removed.

    Its fields, its tags where no other run has tagged the same, saved views that were made with it, its record and its
    journal go; nothing is left.

    Raises:
        ValueError: if there is no such run, somebody is writing it, or a field of it is read-only.
    """
    record = records.find(dataset, key)
    own = record.journal.name if record.journal else f"{RUN}{key}"
    names = {own, f"{RUN}{key}"} | (
        {f"{RUN}{record.journal.peer}"} if record.journal and record.journal.peer else set()
    )
    with lease(dataset, *names, operator="delete_mining_run", who=who, held=held) as held:
        record = records.find(dataset, key)
        fields = record.fields or _fields_by_name(dataset, key)
        if record.journal:
            peer, own_record = record.journal.peer, replace(record, key=record.journal.key)
        else:
            peer, own_record = None, record
        begin(held, dataset, own_record, "deleting", {"fields": fields}, peer=peer)
        note = held.journal(own)
        clear(held, dataset, note)
        for each in (name.partition(":")[2] for name in names):
            where = {"_id": access.dataset_id(dataset), f"runs.{each}": {"$in": list(note.runs)}}
            access.datasets().update_one(where, {"$unset": {f"runs.{each}": ""}})
        drop(dataset, note.runs, note.files)
        access.refresh(dataset)
        schema.forget(dataset, fields)
        views = saved_views.remove(held, dataset, fields, key)
        tags.drop(dataset, note.lists)
        held.finish(own, {}, keep=False)
    return Gone(fields, *views)


def clear(held: Lease, dataset: fo.Dataset, note: Journal, *, again: Collection[str] = ()) -> None:
    """Remove all fields and tags of a run; fields that are about to be written ``again`` stay declared."""
    blocks.erase(held, dataset, note.fields, again=again)
    untag(held, dataset, note, note.lists)


def untag(held: Lease, dataset: fo.Dataset, note: Journal, lists: Iterable[ObjectId], *, stamp: bool = True) -> None:
    """Remove the tags that are in these lists of a run, but not what another list of it or another run has tagged."""
    with lease(dataset, TAGS, operator="untag", wait=WAIT_FOR_TAGS, held=held):
        gone = tags.held(dataset, lists)
        kept = tags.held(dataset, [each for each in note.lists if each not in lists])
        kept |= records.tagged_by_others(dataset, note.key, to_stay=True)
        tags.untag(held, dataset, tags.without(dataset, gone, kept, note.fields), stamp=stamp)


def drop(dataset: fo.Dataset, run_ids: Iterable[ObjectId], files: Iterable[ObjectId]) -> None:
    """Remove run documents of this dataset with their memories, and stored results that nobody refers to any more."""
    run_ids = list(run_ids)
    memory.remove(run_ids)
    which = {"_id": {"$in": run_ids}, "_dataset_id": access.dataset_id(dataset)}
    access.run_documents().delete_many(which)
    results.remove(files)


def rename(
    dataset: fo.Dataset, key: str, new_key: str, who: str | None = None, *, reload_last: bool = True
) -> dict[str, str]:
    """Rename a run, its fields and what names them, or finish a renaming that was interrupted.

    Returns:
        The fields, old name to new name.

    Raises:
        ValueError: if there is no such run, the new key is taken, or somebody is writing one of both.
    """
    old, new = f"{RUN}{key}", f"{RUN}{check_key(new_key)}"
    with lease(dataset, old, new, operator="rename_mining_run", who=who) as held:
        record = records.opened(dataset, key, besides=("renaming",))
        peer = record.journal.peer if record.journal else None
        if record.problem and peer != new_key:
            raise ValueError(record.problem)
        settings, fields = record.settings, list(record.config.fields if record.config else ())
        if settings.run_key == new_key:  # an interrupted renaming had come so far
            mapping = {records.renamed(path, new_key, key, fields): path for path in fields}
        else:
            mapping = {path: records.renamed(path, key, new_key, fields) for path in fields}
        settings, fields = replace(settings, run_key=new_key), list(mapping)
        if settings.without_truth:
            settings = replace(settings, gt_field=mapping.get(settings.gt_field, settings.gt_field))
        if not record.problem:
            check_new(dataset, settings, name="new_run_key", stored=True)
            if taken := schema.in_the_way(dataset, mapping.values(), ()):
                raise ValueError(f"{taken}: choose another new_run_key")
        begin(held, dataset, record, "renaming", {"fields": mapping.values()}, peer=new_key)
        schema.declare_like(held, dataset, mapping)
        blocks.rename(held, dataset, {path: name for path, name in mapping.items() if path != name})
        schema.index_like(held, dataset, mapping)
        access.collection(dataset).create_index(f"{new_key}_score")
        schema.undeclare(held, dataset, [path for path, name in mapping.items() if path != name])
        saved_views.rename(held, dataset, mapping, key, new_key)
        _refer(held, dataset, record, key, new_key, settings, list(mapping.values()), reload=not reload_last)
        held.move(old, new, {"fields": mapping.values(), "runs": [record.run_id]})
    if reload_last:
        access.refresh(dataset)
        schema.forget(dataset, mapping)
    return mapping


def begin(
    held: Lease, dataset: fo.Dataset, record: Record, state: str, adds: Contents, *, peer: str | None = None
) -> None:
    """Write down what is about to happen to a run, with all that exists of it; ``adds`` is what may exist from now on.

    A run that came without a journal, as in an imported dataset, gets one, and a list of what it has tagged.

    Raises:
        ValueError: if a field of the run, or one that it is written into, is read-only.
    """
    tagged = writeback.tags_of(record.settings) if record.config else ()
    schema.check_writable(dataset, [*record.fields, *adds.get("fields", ()), *tagged])
    lists = []
    if record.journal is None:
        lists = [ObjectId()]
        tags.keep(dataset, lists[0], records.tagged_by(dataset, record))
    all_of = {"fields": record.fields, "lists": lists, "runs": [record.run_id], "files": [record.file_id]}
    known = {name: [*(v for v in values if v), *adds.get(name, ())] for name, values in all_of.items()}
    held.begin(f"{RUN}{record.key}", state, known, peer=peer)


def _refer(
    held: Lease,
    dataset: fo.Dataset,
    record: Record,
    key: str,
    new_key: str,
    settings: RunSettings,
    fields: list[str],
    *,
    reload: bool,
) -> None:
    """Write the new key into everything that names the run."""
    assert record.config is not None
    config = record.config
    config.fields, config.settings = fields, json.dumps(settings.as_dict())
    update(held, record.run_id, config, key=new_key)
    for other in records.listed(dataset):
        comparison = json.loads(other.config.comparison) if other.config and other.config.comparison else {}
        if other.config and comparison.get("earlier_run_key") == key:
            changed = json.dumps({**comparison, "earlier_run_key": new_key})
            unchanged = {"_id": other.run_id, "config.comparison": other.config.comparison}
            access.run_documents().update_one(unchanged, {"$set": {"config.comparison": changed}})
    if reload:  # FiftyOne goes on with the references that it has in memory
        access.refresh(dataset)
    where = {"_id": access.dataset_id(dataset), f"runs.{key}": {"$exists": True}}
    access.datasets().update_one(where, {"$rename": {f"runs.{key}": f"runs.{new_key}"}})


def _fields_by_name(dataset: fo.Dataset, key: str) -> list[str]:
    """Return the fields that look like those of a run of which nothing can be read: by name and description."""
    texts = {f"{key}_{n}": text for n, (_, text) in {**writeback.OBJECT_FIELDS, **writeback.SAMPLE_FIELDS}.items()}
    texts[missed_field(key)] = checks.MISSED
    found = schema.stored(dataset)
    return [path for path, each in found.items() if texts.get(each["name"], "") == each.get("description")]
