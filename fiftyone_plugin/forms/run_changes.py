"""Inputs of the operators that delete or rename a run."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import fiftyone.operators.types as types

from hnm_core.report.lines import how_many

from ..actions import frames_dataset
from ..runs import lifecycle, records
from ..store import saved_views
from . import parts

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext


def what_goes(ctx: ExecutionContext, inputs: types.Object) -> None:
    """List the fields, saved views and tags of the run that will be removed."""
    key = ctx.params.get("run_key") or records.newest(ctx.dataset)
    if key not in records.keys(ctx.dataset):
        return
    fields = records.find(ctx.dataset, key).fields
    leaves = ", ".join(sorted({path.rpartition(".")[2] for path in fields}))
    showing, ours = saved_views.naming(ctx.dataset, fields), saved_views.made_with(key)
    views, broken = (", ".join(v for v in showing if (v in ours) == own) for own in (True, False))
    shown = f"; the saved views {views}" if views else ""
    stuck = f". Saved views that cannot be loaded then: {broken}" if broken else ""
    what = f"{leaves}{shown}; and the tag hard_negative, where no other run gave it{stuck}. {_what_stays(ctx)}"
    label = f"This removes {how_many(len(fields), 'field')} of run {key!r}, and cannot be undone"
    inputs.view("what", types.Warning(label=label, description=what))


def _what_stays(ctx: ExecutionContext) -> str:
    """Return what is not removed; of a run on videos, that the dataset of their frames may be, without reading it."""
    stays = "Boxes, labels, your own tags and reviews stay"
    if not frames_dataset.is_made(ctx.dataset):
        return stays
    return (
        f"{stays}, and the frames with them. If nothing else uses the dataset {ctx.dataset.name!r} (no review, tag, "
        f"field, saved view or other run), it goes too, with the pictures of the frames"
    )


def new_key(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Ask for a new key of a run, and show why it cannot be used."""
    inputs.str("new_run_key", label="New key", required=True, description="Every field of the run begins with it")
    key, new = ctx.params.get("run_key") or records.newest(ctx.dataset), ctx.params.get("new_run_key")
    if not new:
        return
    try:
        record = records.opened(ctx.dataset, key, besides=("renaming",))
        if not record.problem:
            lifecycle.check_new(ctx.dataset, dataclasses.replace(record.settings, run_key=new), name="new_run_key")
    except ValueError as error:
        parts.refuse(inputs, str(error))
