"""FiftyOne's private attributes and the database behind them: the rest of the plugin asks here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import fiftyone as fo
import fiftyone.core.odm as odm
from bson import ObjectId, json_util
from fiftyone.core.odm.runs import RunDocument
from fiftyone.core.sample import Sample
from fiftyone.core.service import ServerService
from fiftyone.factory.repos.execution_store import MongoExecutionStoreRepo
from gridfs import GridFS
from pymongo import UpdateOne, WriteConcern
from pymongo.errors import OperationFailure

if TYPE_CHECKING:
    from pymongo.collection import Collection

__all__ = [
    "Fence",
    "ObjectId",
    "UpdateOne",
    "collection",
    "dataset_id",
    "datasets",
    "files",
    "files_of",
    "is_generated",
    "may_hold",
    "notes",
    "patient_server",
    "refresh",
    "reload",
    "root",
    "run_document",
    "run_documents",
    "run_update",
    "saved_views",
    "serialized",
    "stored_executions",
    "users_of_files",
    "view_of",
]

JOURNALED = WriteConcern("majority", j=True)
"""Acknowledged only when it is in the database's journal, so that it outlives a crash of the server."""


class Fence(Protocol):
    """What every write into samples and schema needs: the right to write, which somebody may have taken over."""

    def check(self) -> None:
        """Raise an error if the right was lost."""


def root(samples: fo.Dataset | fo.DatasetView) -> fo.Dataset:
    """Return the dataset of a view, or the dataset itself."""
    return samples._root_dataset


def collection(samples: fo.Dataset | fo.DatasetView) -> Collection[dict[str, Any]]:
    """Return the MongoDB collection that holds the samples of a dataset or of a view's dataset."""
    return root(samples)._sample_collection


def dataset_id(dataset: fo.Dataset) -> ObjectId:
    """Return the id of a dataset, which stays when the dataset is renamed."""
    return dataset._doc.id


def is_generated(samples: fo.Dataset | fo.DatasetView) -> bool:
    """Return whether a view shows patches, frames or clips instead of whole samples."""
    return bool(samples._is_generated)


@contextmanager
def patient_server(seconds: float) -> Iterator[None]:
    """Let FiftyOne wait so long for the App's server to open its port: its own minute is short on a busy machine."""
    before = ServerService._wait_for_child_port
    ServerService._wait_for_child_port = partialmethod(before, timeout=seconds)
    try:
        yield
    finally:
        ServerService._wait_for_child_port = before


def reload(samples: fo.Dataset | fo.DatasetView) -> None:
    """Update the samples that are in memory after a direct write into the database."""
    Sample._reload_docs(root(samples)._sample_collection_name)


def serialized(view: fo.Dataset | fo.DatasetView) -> list[dict[str, Any]]:
    """Return the stages of a view as plain values; an empty list for a dataset."""
    return view._serialize() if isinstance(view, fo.DatasetView) else []


def view_of(dataset: fo.Dataset, stages: list[dict[str, Any]]) -> fo.DatasetView:
    """Return the view of a dataset with the stages that :func:`serialized` gave."""
    return fo.DatasetView._build(dataset, stages)


def stored_executions() -> Collection[dict[str, Any]]:
    """Return the collection in which FiftyOne keeps its execution stores, for reading many keys at once."""
    return odm.get_db_conn()[MongoExecutionStoreRepo.COLLECTION_NAME]


def datasets() -> Collection[dict[str, Any]]:
    """Return the collection of dataset documents, which hold the schema and the references to runs."""
    return _durable("datasets")


def run_documents() -> Collection[dict[str, Any]]:
    """Return the collection of run documents."""
    return _durable("runs")


def saved_views() -> Collection[dict[str, Any]]:
    """Return the collection of saved views."""
    return _durable("views")


def notes() -> Collection[dict[str, Any]]:
    """Return the collection of FiftyOne's execution stores, for writing."""
    return _durable(MongoExecutionStoreRepo.COLLECTION_NAME)


def run_document(
    samples: fo.Dataset | fo.DatasetView, key: str, config: fo.RunConfig, run_id: ObjectId
) -> dict[str, Any]:
    """Return a run without results as FiftyOne stores it."""
    view = isinstance(samples, fo.DatasetView)
    stages = [json_util.dumps(stage) for stage in samples._serialize(include_uuids=False)] if view else None
    document = RunDocument(
        dataset_id=dataset_id(root(samples)),
        key=key,
        version=fo.__version__,
        timestamp=datetime.now(timezone.utc).replace(tzinfo=None),
        config=config.serialize(),
        view_stages=stages,
    )
    return {**document.to_dict(), "_id": run_id}


def files() -> GridFS:
    """Return the files in which FiftyOne keeps the results of runs."""
    return GridFS(odm.get_db_conn().with_options(write_concern=JOURNALED))


def files_of(query: Mapping[str, Any]) -> list[tuple[ObjectId, dict[str, Any]]]:
    """Return the id and the metadata of every stored file that a query finds."""
    return [(file._id, dict(file.metadata)) for file in files().find(query)]


def refresh(dataset: fo.Dataset) -> None:
    """Read the dataset document and the samples in memory again, after direct writes into the database.

    Only what is really stored may be shown: FiftyOne's own reload of parts can write back what it had read before.
    """
    stored = datasets().find_one({"_id": dataset_id(dataset)}, {"name": 1})
    if stored is not None and stored["name"] == dataset.name:  # a dataset renamed meanwhile can't be loaded by name
        dataset.reload()


def run_update(samples: fo.Dataset | fo.DatasetView, command: dict[str, Any], milliseconds: int) -> None:
    """Run one command of kind ``update`` on the samples, and let the server stop it after so many milliseconds."""
    name = root(samples)._sample_collection_name
    done = odm.get_db_conn().command("update", name, updates=[command], maxTimeMS=milliseconds)
    if done.get("writeErrors"):
        raise OperationFailure(str(done["writeErrors"][0].get("errmsg")), details=done)


def may_hold(
    samples: fo.Dataset | fo.DatasetView, paths: Iterable[str], pipeline: Sequence[dict[str, Any]] = ()
) -> bool:
    """Return whether a stored sample may have a value at one of these paths; False is certain.

    The server sends these fields alone, and what it sends is searched for their names. A query that asks whether they
    exist takes it several times as long, since it looks for each of them in each box.

    Args:
        samples: a dataset or a view of it.
        paths: fields, none of which is in another one.
        pipeline: what chooses the samples; empty for all that are stored.
    """
    wanted = dict.fromkeys(paths, 1)
    names = [path.rpartition(".")[2].encode() + b"\0" for path in wanted]
    if not names:
        return False
    found = collection(samples).aggregate_raw_batches([*pipeline, {"$project": {**wanted, "_id": 0}}])
    return any(name in batch for batch in found for name in names)


def users_of_files(folder: Path) -> set[str]:
    """Return the names of all datasets that have a sample whose file is in a folder, or in one below it."""
    inside = {"filepath": {"$regex": f"^{re.escape(f'{folder}{os.sep}')}"}}
    known = datasets().find({}, ["name", "sample_collection_name"])
    samples = {each["name"]: odm.get_db_conn()[each["sample_collection_name"]] for each in known}
    return {name for name, found in samples.items() if found.find_one(inside, ["_id"]) is not None}


def _durable(name: str) -> Collection[dict[str, Any]]:
    return odm.get_db_conn().get_collection(name, write_concern=JOURNALED)
