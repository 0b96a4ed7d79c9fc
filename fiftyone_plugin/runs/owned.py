"""What a run owns beside the fields that it wrote: those in a corrected copy, and those of a field that was renamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..store import writeback
from .config import MiningRunConfig

ERROR = "error"
"""The object field by which the boxes of a run are known."""


def add_all_fields(
    key: str, config: MiningRunConfig, declared: Mapping[str, Mapping[str, Any]], copies: Mapping[str, str]
) -> str:
    """Add to the config of a run every field that it owns; return a sentence if boxes have another field now, or "".

    Args:
        key: of the run.
        config: its config, which gets the fields.
        declared: every field of the dataset by its path.
        copies: path → path in a corrected copy, as :func:`.schema.corrected_copies` gives them.
    """
    moved = _moved(key, config, declared)
    more = [copies[path] for path in config.fields if path in copies]
    leaves = dict.fromkeys(path.rpartition(".")[2] for path in config.fields)
    more += [path for place in moved for leaf in leaves if (path := f"{place}.detections.{leaf}") in declared]
    config.fields = list(dict.fromkeys([*config.fields, *more]))
    return _renamed(key, moved) if moved else ""


def _moved(key: str, config: MiningRunConfig, declared: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the fields that hold what the run wrote into fields that are gone: each → a field that is gone."""
    gone = [field for field in (config.pred_field, config.gt_field) if field not in declared]
    if not gone:
        return {}
    used = {path.rpartition(".detections.")[0] for path in config.fields if ".detections." in path}
    leaf, text = f".detections.{key}_{ERROR}", writeback.OBJECT_FIELDS[ERROR][1]
    found = (path.removesuffix(leaf) for path in declared if path.endswith(leaf))
    same = (place for place in found if declared[f"{place}{leaf}"].get("description") == text)
    return {place: gone[0] for place in same if place not in used}


def _renamed(key: str, moved: Mapping[str, str]) -> str:
    new, old = next(iter(moved.items()))
    return (
        f"run {key!r} was mined with field {old!r}, which is gone, and what it wrote there is in {new!r} now: rename "
        f"the field back (dataset.rename_sample_field({new!r}, {old!r})), mine again under this key with overwrite, "
        f"or delete the run (delete_mining_run)"
    )
