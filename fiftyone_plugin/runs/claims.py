"""Write more fields of a run that is there: such as what became of its errors, or what looks like them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import fiftyone as fo

from ..store import access, blocks, schema
from ..store.journal import RUN
from ..store.lock import Lease
from .lifecycle import begin, update
from .records import Record

__all__ = ["claim", "finish_claim"]


def claim(held: Lease, dataset: fo.Dataset, record: Record, state: str, leaf: str, paths: Iterable[str]) -> None:
    """Begin to write more fields of a run: refuse what is not its own, and erase those that it had before.

    Args:
        held: the lease of the run.
        dataset: the dataset of the run.
        record: of the run.
        state: what is about to happen, as the journal names it.
        leaf: the end of the fields' names, after the key, such as ``change``.
        paths: the new fields.

    Raises:
        ValueError: if one exists and belongs to no run.
    """
    if problem := schema.in_the_way(dataset, paths, record.fields):
        raise ValueError(f"{problem}: rename or delete it first")
    old = [path for path in record.fields if path.rpartition(".")[2] == f"{record.key}_{leaf}"]
    begin(held, dataset, record, state, {"fields": paths})
    blocks.erase(held, dataset, [*old, *paths], again=list(paths))


def finish_claim(
    held: Lease, dataset: fo.Dataset, record: Record, leaf: str, paths: Iterable[str], **values: Any
) -> None:
    """Write down what :func:`claim` began: the run's fields, and more values of its config."""
    assert record.config is not None
    config = record.config
    kept = [path for path in config.fields if path.rpartition(".")[2] != f"{record.key}_{leaf}"]
    config.fields = [*kept, *paths]
    for name, value in values.items():
        setattr(config, name, value)
    update(held, record.run_id, config)
    held.finish(f"{RUN}{record.key}", {"fields": config.fields})
    access.refresh(dataset)
