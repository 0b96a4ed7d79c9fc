"""The form of an export, and what it shows when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators.types as types

from hnm_core.export import ExportSettings
from hnm_core.report.lines import how_many
from hnm_core.settings import check_switch

from ..actions import export, subsets
from ..runs import records
from . import parts, results, rows

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext

BACK = (
    ("saved_view", "Saved view", "Save the exported train samples as a view of this name"),
    ("clone", "Cloned dataset", "Copy the exported train samples into a new dataset of this name"),
)


def ask(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Ask for the folder and the main settings; for all others on demand."""
    key = ctx.params.get("run_key") or records.newest(ctx.dataset)
    parts.folder(ctx, inputs, f"{key}_export", "A new or empty folder on the machine that runs FiftyOne")
    rows.add_rows(inputs, ExportSettings, main=True)
    inputs.bool("show_advanced", label="More settings", default=False, view=types.SwitchView())
    if ctx.params.get("show_advanced"):
        rows.add_rows(inputs, ExportSettings, main=False)
        what = (
            "Add train images without labels on which the model fires, with empty labels, within the background share"
        )
        inputs.bool("add_background", label="Add unlabelled background", description=what, default=False)
        what = "Add only those with this tag, which says that they hold no object"
        inputs.str("background_tag", label="Tag of the background", required=False, description=what)
        for name, label, what in BACK:
            inputs.str(name, label=label, required=False, description=what)


def check(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Show why this export cannot be made."""
    key, folder = ctx.params.get("run_key"), ctx.params.get("output_dir")
    try:
        if key:
            export.check_weighted(records.settings_of(ctx.dataset, key))
        if folder:
            export.check_output_dir(folder)
        options = export.options_of(ctx.params)
        subsets.check_names(ctx.dataset, options.pop("saved_view", None), options.pop("clone", None))
        check_switch("add_background", options.pop("add_background", False))
        options.pop("background_tag", None)
        ExportSettings(**options)
    except (ValueError, FileExistsError) as error:
        parts.refuse(inputs, str(error))


def report(outputs: types.Object, outcome: Mapping[str, Any]) -> None:
    """Show what was exported, what reading it back found, and how to train on it."""
    results.notes(outputs, outcome["warnings"])
    images = ", ".join(f"{count} {split}" for split, count in outcome["images"].items())
    verified = "\n".join(f"- {trainer}: {_as_read(found)}" for trainer, found in outcome["verification"].items())
    said = f"\n\nThe reviews are in `{export.REVIEWS}`." if outcome["reviews"] else ""
    entries = how_many(outcome["train_entries"], "entry", "entries")
    outputs.md(
        f"{images} images, {entries} per epoch, in `{outcome['output_dir']}`.\n\n"
        f"Verified by reading back:\n\n{verified}\n\nTrain with\n\n```text\n{outcome['train_with']}\n```{said}",
        name="shown",
    )


def _as_read(found: Mapping[str, Any]) -> str:
    return (
        f"{found['read_with']}; background {found['background_share']:.1%}, effective sample size "
        f"{found['effective_sample_size']:.2f}"
    )
