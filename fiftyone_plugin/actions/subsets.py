"""Keep an exported subset in FiftyOne: as a saved view, or as a dataset of its own."""

from __future__ import annotations

from collections.abc import Sequence

import fiftyone as fo
from fiftyone.core.utils import to_slug

from ..store import views

__all__ = ["check_names", "keep"]


def check_names(dataset: fo.Dataset, saved_view: str | None, clone: str | None) -> None:
    """Refuse names that are taken, before any work is done.

    Raises:
        ValueError: naming the view or dataset that exists.
    """
    if saved_view:
        views.check_name(dataset, saved_view, "saved_view")
    for taken in fo.list_datasets() if clone else ():
        if to_slug(taken) == to_slug(clone):
            raise ValueError(f"clone {clone!r} is taken by dataset {taken!r}: choose another name")


def keep(
    dataset: fo.Dataset, sample_ids: Sequence[str], run_key: str, saved_view: str | None, clone: str | None
) -> dict[str, str]:
    """Save the samples as a view, copy them into a dataset, or both; media files are not copied.

    Returns:
        The names that were given.
    """
    names = {}
    if saved_view or clone:
        view = views.images_of(dataset).select(list(sample_ids))
        if saved_view:
            dataset.save_view(saved_view, view, description=f"Train samples exported with run {run_key}")
            names["saved_view"] = saved_view
        if clone:
            view.clone(clone, persistent=True)
            names["clone"] = clone
    return names
