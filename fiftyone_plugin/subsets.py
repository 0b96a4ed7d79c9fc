"""An exported subset, back in FiftyOne: as a saved view, or as a dataset of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fiftyone as fo

__all__ = ["check_names", "keep"]


def check_names(dataset: Any, saved_view: str | None, clone: str | None) -> None:
    """Refuse names that are taken, before any work is done.

    Raises:
        ValueError: naming what is there.
    """
    if saved_view and dataset.has_saved_view(saved_view):
        raise ValueError(f"dataset {dataset.name!r} has a saved view {saved_view!r} already: choose another name")
    if clone and fo.dataset_exists(clone):
        raise ValueError(f"there is a dataset {clone!r} already: choose another name for the clone")


def keep(
    dataset: Any, sample_ids: Sequence[str], run_key: str, saved_view: str | None, clone: str | None
) -> dict[str, str]:
    """Save the samples as a view, copy them into a dataset, or both; media stay where they are.

    Returns:
        The names that were given.
    """
    names = {}
    if saved_view or clone:
        view = dataset.select_group_slices(media_type="image") if dataset.media_type == "group" else dataset
        view = view.select(list(sample_ids))
        if saved_view:
            dataset.save_view(saved_view, view, description=f"Train samples exported with run {run_key}")
            names["saved_view"] = saved_view
        if clone:
            view.clone(clone, persistent=True)
            names["clone"] = clone
    return names
