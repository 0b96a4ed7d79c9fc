"""Saved views that show fields of a run: they follow the run when it is renamed; those made with it go with it.

FiftyOne leaves them as they are, and cannot load a view whose field is gone. A user's own stays all the same: it is
loaded again once a run of that key is mined.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import fiftyone as fo
from fiftyone.core.utils import to_slug

from hnm_core.live.tracks import LISTS

from . import access
from .access import Fence

__all__ = ["made_with", "naming", "remove", "rename"]

PLAIN = {"field", "kwargs"}
"""Keys of the stages of a view below which a text without ``$`` can be a field."""

VALUES = {"ids", "label", "labels", "map", "sample_ids", "tags", "values"}
"""Arguments of stages that hold values, not fields."""


def naming(dataset: fo.Dataset, paths: Collection[str]) -> list[str]:
    """Return the names of the saved views in which one of these fields is named, in order."""
    return sorted(view["name"] for view, _ in _found(access.saved_views(), dataset, dict.fromkeys(paths, "")))


def rename(fence: Fence, dataset: fo.Dataset, mapping: Mapping[str, str], key: str, new_key: str) -> None:
    """Write the new names of fields into every saved view and into the views of runs; twice is as good as once.

    A saved view that is named after the run, such as ``KEY_missed``, is renamed too, if no other has the new name.

    Args:
        fence: the right to write.
        dataset: the dataset.
        mapping: old path → new path.
        key: of the run, as it was.
        new_key: the new one.
    """
    for documents in (access.saved_views(), access.run_documents()):
        for found, stages in _found(documents, dataset, mapping):
            change: dict[str, Any] = {"view_stages": stages}
            if documents.name == access.saved_views().name and found["name"].startswith(f"{key}_"):
                change |= _named(dataset, f"{new_key}{found['name'][len(key) :]}")
            fence.check()
            documents.update_one({"_id": found["_id"]}, {"$set": change})


def made_with(key: str) -> set[str]:
    """Return the names of the saved views that are made with a run."""
    return {f"{key}_{of}" for of in LISTS}


def remove(fence: Fence, dataset: fo.Dataset, paths: Collection[str], key: str) -> tuple[list[str], list[str]]:
    """Remove the saved views that were made with a run, and show one of these fields.

    Returns:
        Their names, and those of all others that show one.
    """
    found = naming(dataset, paths)
    ours = [name for name in found if name in made_with(key)]
    for name in ours:
        fence.check()
        dataset.delete_saved_view(name)
    return ours, [name for name in found if name not in ours]


def _found(documents: Any, dataset: fo.Dataset, mapping: Mapping[str, str]) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield the documents whose view names a field of these, with its stages as they are with the new names."""
    names = {path.rpartition(".")[2]: new.rpartition(".")[2] for path, new in mapping.items()}
    about = {"_dataset_id": access.dataset_id(dataset), "view_stages.0": {"$exists": True}}
    for found in list(documents.find(about, ["name", "view_stages"])):
        stages = [json.loads(stage) for stage in found["view_stages"]]
        changed = [_renamed(stage, names, plain=True) for stage in stages]
        if changed != stages:
            yield found, [json.dumps(stage) for stage in changed]


def _renamed(value: Any, names: Mapping[str, str], *, plain: bool) -> Any:
    """Return a part of a view with other names of fields; ``plain`` if a text in it is a field without a ``$``."""
    if isinstance(value, str):
        if not (plain or value.startswith("$")):
            return value
        parts = value.split(".")
        at = [len(part) - len(part.lstrip("$")) for part in parts]
        return ".".join(part[:n] + names.get(part[n:], part[n:]) for n, part in zip(at, parts, strict=True))
    if isinstance(value, list):
        if len(value) == 2 and isinstance(value[0], str) and value[0] in VALUES:  # an argument: its name and value
            return value
        return [_renamed(each, names, plain=plain) for each in value]
    if isinstance(value, dict):
        return {
            _renamed(name, names, plain=True): _renamed(each, names, plain=name in PLAIN)
            for name, each in value.items()
        }
    return value


def _named(dataset: fo.Dataset, name: str) -> dict[str, str]:
    """Return the values of a saved view of this name; none if there is one already."""
    taken = access.saved_views().find({"_dataset_id": access.dataset_id(dataset)}, ["slug"])
    slug = to_slug(name)
    return {} if slug in {view.get("slug") for view in taken} else {"name": name, "slug": slug}
