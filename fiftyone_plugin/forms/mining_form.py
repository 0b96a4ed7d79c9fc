"""The parts of the mining form beyond plain settings: thresholds per class, an evaluation to start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators.types as types

from hnm_core.io.data_yaml import SPLITS
from hnm_core.report.lines import how_many

from ..actions import evaluations
from ..settings import CLASS_ROWS, RunSettings
from ..store import access, checks, views
from . import parts, results, rows

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.operators import ExecutionContext

COUNTING = 60
"""Milliseconds that the form waits for a count."""


def evaluation(ctx: ExecutionContext, inputs: types.Object) -> dict[str, Any]:
    """Offer the dataset's evaluations of detections to start from.

    Returns:
        The parameters, with fields and IoU threshold of the chosen evaluation.
    """
    keys = evaluations.keys(ctx.dataset)
    if keys:
        declared = rows.of(RunSettings, "eval_key")
        parts.choose(inputs, declared.name, keys, None, declared.label, declared.help)
    try:
        params = evaluations.with_evaluation(ctx.dataset, ctx.params)
    except ValueError as error:
        parts.refuse(inputs, str(error))
        return dict(ctx.params)
    if ctx.params.get("eval_key"):
        taken = f"predictions {params['pred_field']!r}, ground truth {params['gt_field']!r}, IoU "
        taken += f"{params['iou_threshold']:g}" + (", class-agnostic" if params["class_agnostic"] else "")
        inputs.view("from_evaluation", types.Notice(label=f"Taken from {params['eval_key']!r}: {taken}"))
    return params


def count(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Show how many samples will be mined, if they can be counted while somebody types."""
    split = ctx.params.get("mine_split") or "train"
    samples = parts.target_samples(ctx)
    try:
        chosen = views.of_split(samples, split if split in SPLITS else "train", ctx.params.get("split_field"))
    except ValueError:
        return  # parts.check shows this error
    found, total = checks.count_within(chosen, COUNTING), len(views.images_of(access.root(samples)))
    if found is None:
        label = f"Mines the {split} split of up to {how_many(total, 'sample')}"
    else:
        label = f"Mines {found:,} of the dataset's {total:,} samples"
    inputs.view("count", types.Notice(label=label))
    results.notes(inputs, checks.hidden_notes(samples))


def class_rows(ctx: ExecutionContext, inputs: types.Object, params: Mapping[str, Any]) -> None:
    """Ask for thresholds per class, one row each, and always show one empty row more.

    Rows are named ``c0``, ``c1``, …, and the class is a text in them: the App reads a dot in an input's name as a step
    into an object, so an input named ``a.b`` would never arrive.
    """
    given = ctx.params.get(CLASS_ROWS)
    filled = [name for name, row in given.items() if row and row.get("label")] if isinstance(given, Mapping) else []
    last = max((int(name[1:]) for name in filled if name[1:].isdigit()), default=-1)
    gt_field = params.get("gt_field") or parts.guess_fields(checks.detection_fields(ctx.dataset))[1]
    known = _known_classes(ctx.dataset, gt_field)
    table = types.Object()
    for number in range(last + 2):
        row = types.Object()
        choices = types.AutocompleteView(allow_user_input=True, space=6)
        for name in known:
            choices.add_choice(name, label=name)
        row.str("label", label="Class", required=False, view=choices)
        for attribute, label, low in (("confidence", "Confidence from", 0), ("iou", "IoU from", 0.01)):
            row.float(attribute, label=label, min=low, max=1, required=False, view=types.FieldView(space=3))
        table.define_property(f"c{number}", row, view=types.ObjectView())
    what = "Thresholds of single classes, instead of those above; an empty number keeps the common threshold"
    inputs.define_property(CLASS_ROWS, table, label="Thresholds per class", description=what)


def _known_classes(dataset: fo.Dataset, gt_field: str) -> list[str]:
    """Return the classes that the dataset names, or those of its first samples."""
    declared = dataset.classes.get(gt_field) or dataset.default_classes
    return sorted(map(str, declared)) if declared else checks.first_values(dataset, f"{gt_field}.detections.label")
