"""What somebody is looking at, so that nobody else is asked the same: reserved until it is answered, or for a while.

One document per reader in FiftyOne's execution store of the dataset. MongoDB removes those that have expired.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fiftyone.operators.store import ExecutionStore

from . import access

if TYPE_CHECKING:
    import fiftyone as fo

STORE = "hnm_sheets"

EXPIRY = 600
"""Seconds that a reservation holds (chosen: a sheet is read in one or two minutes)."""


def take(dataset: fo.Dataset, run_key: str, reader: str, keys: Iterable[str]) -> None:
    """Reserve objects of a run for a reader, instead of those that were reserved before."""
    store = ExecutionStore.create(STORE, access.dataset_id(dataset))
    store.set(reader, {"run_key": run_key, "keys": list(keys)}, ttl=EXPIRY)


def give_back(dataset: fo.Dataset, reader: str) -> None:
    """End the reservation of a reader, if there is one."""
    ExecutionStore.create(STORE, access.dataset_id(dataset)).delete(reader)


def of_others(dataset: fo.Dataset, run_key: str, reader: str) -> set[str]:
    """Return the keys of the objects of a run that other readers have reserved."""
    about = {"store_name": STORE, "dataset_id": access.dataset_id(dataset), "value.run_key": run_key}
    valid = {"key": {"$ne": reader}, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
    return {key for found in access.stored_executions().find({**about, **valid}) for key in found["value"]["keys"]}
