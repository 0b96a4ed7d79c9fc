"""What the form of mining asks beyond plain settings: thresholds of single classes, an evaluation to start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fiftyone.operators.types as types

from . import checks, evaluating, forms, views
from .settings import CLASS_ROWS, SPLITS

COUNTING = 60
"""Milliseconds that a form waits for a count."""


def evaluation(ctx: Any, inputs: types.Object) -> dict[str, Any]:
    """Offer the dataset's evaluations of detections to start from.

    Returns:
        The parameters as they count: with what the chosen evaluation says of fields and IoU.
    """
    keys = evaluating.keys(ctx.dataset)
    if keys:
        what = "Take fields and IoU threshold from an evaluation that was made with evaluate_detections"
        forms.choose(inputs, "eval_key", keys, None, "Start from evaluation", what)
    try:
        params = evaluating.with_evaluation(ctx.dataset, ctx.params)
    except ValueError as error:
        forms.refuse(inputs, str(error))
        return dict(ctx.params)
    if ctx.params.get("eval_key"):
        taken = f"predictions {params['pred_field']!r}, ground truth {params['gt_field']!r}, IoU "
        taken += f"{params['iou_threshold']:g}" + (", whatever the class" if params["class_agnostic"] else "")
        inputs.view("from_evaluation", types.Notice(label=f"Taken from {params['eval_key']!r}: {taken}"))
    return params


def count(ctx: Any, inputs: types.Object) -> None:
    """Say how many samples will be mined, as far as that can be counted while somebody types."""
    split = ctx.params.get("mine_split") or "train"
    samples = ctx.target_view(require_flat=True)
    try:
        chosen = views.of_split(samples, split if split in SPLITS else "train", ctx.params.get("split_field"))
    except ValueError:
        return  # said by what checks the form
    found, total = checks.count_within(chosen, COUNTING), len(views.images_of(samples._root_dataset))
    if found is None:
        label = f"Mines the {split} split of up to {total:,} samples"
    else:
        label = f"Mines {found:,} of the dataset's {total:,} samples"
    inputs.view("count", types.Notice(label=label))
    forms.notes(inputs, checks.hidden_notes(samples))


def class_rows(ctx: Any, inputs: types.Object, params: Mapping[str, Any]) -> None:
    """Ask for thresholds of single classes, a row each, and always one row more than are filled.

    Rows are called ``c0``, ``c1``, …, and the class stands in them as text: the App takes a dot in an input's name for
    a step into an object, so that a class ``a.b`` would never arrive.
    """
    rows = ctx.params.get(CLASS_ROWS)
    filled = [name for name, row in rows.items() if row and row.get("label")] if isinstance(rows, Mapping) else []
    last = max((int(name[1:]) for name in filled if name[1:].isdigit()), default=-1)
    gt_field = params.get("gt_field") or forms.guess_fields(checks.detection_fields(ctx.dataset))[1]
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
    what = "For single classes, over those above; an empty number keeps what is set for all"
    inputs.define_property(CLASS_ROWS, table, label="Thresholds per class", description=what)


def _known_classes(dataset: Any, gt_field: str) -> list[str]:
    """The classes the dataset names, or those of its first samples."""
    declared = dataset.classes.get(gt_field) or dataset.default_classes
    return sorted(map(str, declared)) if declared else checks.first_values(dataset, f"{gt_field}.detections.label")
