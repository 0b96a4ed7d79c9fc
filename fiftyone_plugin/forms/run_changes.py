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
    what = f"{leaves}{shown}; and the tag hard_negative, where no other run gave it{stuck}. {_what_stays(ctx, key)}"
    label = f"This removes {how_many(len(fields), 'field')} of run {key!r}, and cannot be undone"
    inputs.view("what", types.Warning(label=label, description=what))


def _what_stays(ctx: ExecutionContext, key: str) -> str:
    """Return what is not removed; of a run on videos, whether the dataset of their frames is."""
    kept = frames_dataset.why_kept(ctx.dataset, key)
    if kept == "":
        name = ctx.dataset.name
        return f"The dataset {name!r} of the videos' frames goes too, and their pictures: nothing else uses it"
    return f"Boxes, labels, your own tags and reviews stay{f'; the frames too: {kept}' if kept else ''}"


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
