"""The form of an export, and what is shown when it is done."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import fiftyone.operators.types as types

from hnm_core.export import ExportSettings

from . import exports, forms, runs, subsets

KNOBS = dataclasses.fields(ExportSettings)
BACK = (
    ("saved_view", "Saved view", "Save the exported train samples as a view of this name"),
    ("clone", "Cloned dataset", "Copy the exported train samples into a new dataset of this name"),
)


def ask(ctx: Any, inputs: types.Object) -> None:
    """Ask where to, for whom, and whether for all of it; all else on demand."""
    key = ctx.params.get("run_key") or runs.newest(ctx.dataset)
    forms.folder(ctx, inputs, f"{key}_export", "A new or empty folder on the machine that runs FiftyOne")
    for knob in KNOBS:
        if knob.metadata.get("main"):
            _ask_for(inputs, knob)
    inputs.bool("show_advanced", label="More settings", default=False, view=types.SwitchView())
    if ctx.params.get("show_advanced"):
        for knob in KNOBS:
            if not knob.metadata.get("main"):
                _ask_for(inputs, knob)
        for name, label, what in BACK:
            inputs.str(name, label=label, required=False, description=what)


def _ask_for(inputs: types.Object, knob: Any) -> None:
    """One setting, by its metadata."""
    facts = knob.metadata
    texts = {"label": facts["label"], "description": facts["help"], "default": knob.default, "required": False}
    if "choices" in facts:
        choices = types.DropdownView()
        for value, what in facts["choices"].items():
            choices.add_choice(value, label=value, description=what)
        inputs.enum(knob.name, choices.values(), view=choices, **texts)
    elif isinstance(knob.default, bool):
        inputs.bool(knob.name, **texts)
    else:
        inputs.float(knob.name, min=facts["low"], max=facts["high"], **texts)


def check(ctx: Any, inputs: types.Object) -> None:
    """Say why this export can't be made."""
    key, folder = ctx.params.get("run_key"), ctx.params.get("output_dir")
    try:
        if key:
            exports.check_weighted(runs.settings_of(ctx.dataset, key))
        if folder:
            exports.check_output_dir(folder)
        options = exports.options_of(ctx.params)
        subsets.check_names(ctx.dataset, options.pop("saved_view", None), options.pop("clone", None))
        ExportSettings(**options)
    except (ValueError, FileExistsError) as error:
        forms.refuse(inputs, str(error))


def report(outputs: types.Object, outcome: Mapping[str, Any]) -> None:
    """Show what was exported, what reading it back found, and how to train on it."""
    forms.notes(outputs, outcome["warnings"])
    images = ", ".join(f"{count} {split}" for split, count in outcome["images"].items())
    verified = "\n".join(f"- {trainer}: {_as_read(found)}" for trainer, found in outcome["verification"].items())
    said = f"\n\nWhat people said in review is in `{exports.REVIEWS}`." if outcome["reviews"] else ""
    outputs.md(
        f"{images} images, {outcome['train_entries']} drawn an epoch, in `{outcome['output_dir']}`.\n\n"
        f"Read back as promised:\n\n{verified}\n\nTrain with\n\n```text\n{outcome['train_with']}\n```{said}",
        name="shown",
    )


def _as_read(found: Mapping[str, Any]) -> str:
    return (
        f"{found['read_with']}; background {found['background_share']:.1%}, effective sample size "
        f"{found['effective_sample_size']:.2f}"
    )
