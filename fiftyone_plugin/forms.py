"""Inputs that the operators share, made from the settings' own metadata.

``resolve_input`` runs at every keystroke: everything here looks at the schema, at names of runs, or for one sample.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import fiftyone as fo
import fiftyone.operators.types as types
from fiftyone.operators.constants import ViewTarget

from hnm_core import MiningSettings
from hnm_core.strategies import strategy_names

from . import background, checks, exports, rounds, runs
from .settings import SPLITS, RunSettings

TRUTH_WORDS = ("truth", "gt", "label", "annot")
PREDICTION_WORDS = ("pred", "det", "model", "yolo")

SHOWN = "shown_already"
"""Key of results that stand in the App already."""


def target(ctx: Any, inputs: types.Object, action: str) -> None:
    """Ask which samples: what is selected, else all of them.

    Not what the grid shows, unless somebody says so: after a look that is a few samples with their mistakes alone.
    """
    default = ViewTarget.SELECTED_SAMPLES if ctx.selected else ViewTarget.DATASET
    inputs.view_target(ctx, action_description=action, default_target=default, require_flat=True)


def has_fields(ctx: Any, inputs: types.Object) -> bool:
    """Whether the dataset has two fields to compare; if not, the form says so."""
    found = checks.detection_fields(ctx.dataset)
    enough = len(found) >= 2
    if not enough:
        labels = ctx.dataset.get_field_schema(ftype=fo.EmbeddedDocumentField, embedded_doc_type=fo.Label)
        names = ", ".join(f"{name} ({field.document_type.__name__})" for name, field in labels.items())
        refuse(
            inputs,
            f"mining needs two fields of type Detections, predictions and ground truth; {ctx.dataset.name!r} has "
            f"{names or 'no label field'}{'; Predict with YOLO makes predictions' if found else ''}",
        )
    return enough


def fields(ctx: Any, inputs: types.Object) -> None:
    """Ask for the two fields."""
    found = checks.detection_fields(ctx.dataset)
    pred_field, gt_field = guess_fields(found)
    choose(inputs, "pred_field", found, pred_field, "Predictions", "Field with the detector's boxes and confidences")
    choose(inputs, "gt_field", found, gt_field, "Ground truth", "Field with the true boxes")


def guess_fields(found: Sequence[str]) -> tuple[str, str]:
    """Which of the fields looks most like predictions, and which of the others like ground truth, by their names."""

    def like_predictions(name: str) -> int:
        return any(word in name.lower() for word in PREDICTION_WORDS) - any(
            word in name.lower() for word in TRUTH_WORDS
        )

    pred_field = max(reversed(found), key=like_predictions)
    return pred_field, min((name for name in found if name != pred_field), key=like_predictions)


def run_key(ctx: Any, inputs: types.Object) -> None:
    """Ask for a new key, with a free one to begin with."""
    free = runs.free_key(ctx.dataset)
    inputs.str(
        "run_key",
        label="Run key",
        default=free,
        required=False,
        description="Name of the run and of the fields it writes",
    )
    if ctx.params.get("run_key", free) in runs.keys(ctx.dataset):
        inputs.bool("overwrite", label="Replace the run of this name", default=False)


def split(ctx: Any, inputs: types.Object) -> None:
    """Ask for the split to mine."""
    choices = types.RadioGroup(orientation="horizontal")
    for name in SPLITS:
        choices.add_choice(name, label=name if name == "train" else f"{name} (monitor only)")
    inputs.enum(
        "mine_split",
        choices.values(),
        default="train",
        required=False,
        label="Split",
        description="Samples without a split count as train; val and test are never weighted",
        view=choices,
    )


def engine(ctx: Any, inputs: types.Object, known: Collection[str] = ()) -> bool:
    """Ask for the engine's main settings but those known already, and whether to see :func:`more`."""
    for knob in dataclasses.fields(MiningSettings):
        if knob.metadata.get("main") and knob.name not in known:
            _knob(inputs, knob, getattr(MiningSettings(), knob.name))
    inputs.bool("show_advanced", label="More settings", default=False, view=types.SwitchView())
    return bool(ctx.params.get("show_advanced"))


def more(ctx: Any, inputs: types.Object, known: Collection[str] = ()) -> None:
    """Ask for all other settings; what may be set per class is asked for elsewhere, in rows."""
    texts = [name for name in ctx.dataset.get_field_schema(ftype=fo.StringField) if name != "filepath"]
    if texts:
        what = "Field that names each sample's split, instead of the tags train, val and test"
        choose(inputs, "split_field", texts, None, "Split field", what)
    groups = [*texts, *ctx.dataset.get_field_schema(ftype=fo.IntField)]
    if groups:
        what = "Field that names each sample's scene or video, for the most mined per group"
        choose(inputs, "group_field", groups, None, "Group field", what)
    what = "Choose the confidence threshold of every class on the val split"
    inputs.bool("choose_thresholds", label="Choose thresholds", default=False, required=False, description=what)
    if ctx.params.get("choose_thresholds"):
        what = "Choose them for this precision; 0 asks for the highest F1"
        inputs.float(
            "target_precision", label="Target precision", default=0.0, min=0, max=1, required=False, description=what
        )
    what = "Open the images: a mistake that looks like what is labelled is suspected to be a missing label"
    inputs.bool("appearance", label="Look at the crops", default=False, required=False, description=what)
    compared = [ctx.params.get("pred_field"), ctx.params.get("gt_field")]
    others = [name for name in checks.detection_fields(ctx.dataset) if name not in compared]
    if others:
        what = "Field of another model's boxes: mistakes that it makes too are suspected to be missing labels"
        choose(inputs, "second_field", others, None, "Second opinion", what)
    inputs.str("classes", label="Classes", required=False, description="Mine these classes alone, such as car, truck")
    hint = 'Prediction class to truth class, JSON such as {"person": "pedestrian"}'
    inputs.str("class_map", label="Class map", required=False, description=hint)
    for knob in dataclasses.fields(MiningSettings):
        default = getattr(MiningSettings(), knob.name)
        if not knob.metadata.get("main") and knob.name not in known and not isinstance(default, Mapping):
            _knob(inputs, knob, default)


def check(ctx: Any, inputs: types.Object, params: Mapping[str, Any]) -> None:
    """Say why this form can't be sent as it stands, in the words of the error that Python would raise."""
    pred_field, gt_field = guess_fields(checks.detection_fields(ctx.dataset))
    guessed = {"pred_field": pred_field, "gt_field": gt_field, "run_key": runs.free_key(ctx.dataset)}
    try:
        settings = RunSettings.from_params(guessed | dict(params))
        runs.check_new(ctx.dataset, settings, overwrite=bool(params.get("overwrite")))
        checks.check_minable(ctx.target_view(require_flat=True), settings)
    except ValueError as error:
        refuse(inputs, str(error))


def existing_run(ctx: Any, inputs: types.Object) -> bool:
    """Ask for one of the runs; False if there is none, and the form says so."""
    keys = runs.keys(ctx.dataset)
    if not keys:
        refuse(inputs, f"{ctx.dataset.name!r} has no mining run yet: mine first (Mine hard negatives)")
        return False
    choose(inputs, "run_key", keys, runs.newest(ctx.dataset), "Run", "The mining run")
    return True


def what_goes(ctx: Any, inputs: types.Object) -> None:
    """Say which fields and tags of the run will be gone."""
    key = ctx.params.get("run_key") or runs.newest(ctx.dataset)
    if key not in runs.keys(ctx.dataset):
        return
    config = ctx.dataset.get_run_info(key).config
    leaves = ", ".join(sorted({path.rpartition(".")[2] for path in config.fields}))
    stays = "Boxes, labels, your own tags and reviews stay"
    what = f"{leaves}; and the tag hard_negative, where no other run gave it. {stays}"
    label = f"This removes {len(config.fields)} fields of run {key!r}, and cannot be undone"
    inputs.view("what", types.Warning(label=label, description=what))


def new_key(ctx: Any, inputs: types.Object) -> None:
    """Ask for another name of a run, and say why one can't be had."""
    inputs.str("new_run_key", label="New key", required=True, description="Begins the name of every field of the run")
    key, new = ctx.params.get("run_key") or runs.newest(ctx.dataset), ctx.params.get("new_run_key")
    if not new:
        return
    try:
        renamed = dataclasses.replace(runs.settings_of(ctx.dataset, key), run_key=new)
        runs.check_new(ctx.dataset, renamed, name="new_run_key")
    except ValueError as error:
        refuse(inputs, str(error))


def two_runs(ctx: Any, inputs: types.Object) -> bool:
    """Ask for a run and an earlier one; False if there are no two, and the form says so."""
    keys = runs.by_time(ctx.dataset)
    if len(keys) < 2:
        have = f"has one mining run, {keys[0]!r}" if keys else "has no mining run yet"
        refuse(inputs, f"{ctx.dataset.name!r} {have}: comparing needs two, so mine again (Mine hard negatives)")
        return False
    key = ctx.params.get("run_key") or keys[-1]
    before = rounds.before(rounds.listed(ctx.dataset), key) or next(each for each in keys[::-1] if each != key)
    choose(inputs, "run_key", keys[::-1], keys[-1], "Run", "The later run; it gets the field of changes")
    choose(inputs, "other_run_key", keys[::-1], before, "Compared with", "The earlier run")
    if key == ctx.params.get("other_run_key", before):
        refuse(inputs, "choose two runs: a run compared with itself has nothing new and nothing fixed")
    return True


def folder(ctx: Any, inputs: types.Object, name: str, description: str) -> str:
    """Ask for a new folder, with a free one to begin with where FiftyOne keeps data.

    Args:
        ctx: FiftyOne's context.
        inputs: of the form.
        name: of the folder that is offered, below one of the dataset's own.
        description: what it is for.

    Returns:
        The folder as it stands.
    """
    free = exports.free_dir(ctx.dataset, name)
    inputs.str("output_dir", label="Output folder", default=free, required=False, description=description)
    return ctx.params.get("output_dir") or free


def refuse(inputs: types.Object, sentence: str) -> None:
    """Show a sentence and bar the form from being sent."""
    problem = inputs.view("problem", types.Warning(label="This can't be run yet", description=sentence))
    problem.invalid = True
    problem.error_message = sentence


def choose(
    inputs: types.Object,
    name: str,
    values: Iterable[str],
    default: str | None,
    label: str,
    description: str,
) -> None:
    """Ask for one of some names.

    Nothing is required by the form itself: the App would complain in red until it has applied the defaults.
    """
    choices = types.DropdownView()
    for value in values:
        choices.add_choice(value, label=value)
    inputs.enum(
        name,
        choices.values(),
        default=default,
        label=label,
        description=description,
        required=False,
        view=choices,
    )


def _knob(inputs: types.Object, knob: Any, default: Any) -> None:
    """The input of one engine setting, by the type of its default and its metadata."""
    facts = knob.metadata
    texts = {"label": facts["label"], "description": facts["help"], "required": False}
    if knob.name == "strategy":
        choices = types.AutocompleteView(allow_user_input=True)
        for value in strategy_names():
            choices.add_choice(value, label=value)
        texts["description"] += "; module:attribute takes one of your own"
        inputs.str(knob.name, default=default, view=choices, **texts)
    elif "choices" in facts:
        choices = types.AutocompleteView(multiple=True, allow_user_input=False, allow_duplicates=False)
        for value in facts["choices"]:
            choices.add_choice(value, label=value)
        inputs.list(knob.name, types.String(), default=list(default), view=choices, **texts)
    elif isinstance(default, bool):
        inputs.bool(knob.name, default=default, **texts)
    else:
        number = inputs.int if isinstance(default, int) else inputs.float
        number(knob.name, min=facts["low"], max=facts["high"], default=default, **texts)


def finished(ctx: Any, label: str, show: Callable[[types.Object, Any], None]) -> types.Property | None:
    """What an operator shows of its results.

    Nothing if it failed or was scheduled: the App asks then too, and an error here would hide what really happened.
    Nothing either if it is shown already.

    Args:
        ctx: FiftyOne's context.
        label: title of what is shown.
        show: lays the results out.
    """
    if not ctx.results or SHOWN in ctx.results or background.is_scheduled(ctx.results):
        return None
    outputs = types.Object()
    outputs.view("finished", types.Header(label=label))
    show(outputs, ctx.results)
    return types.Property(outputs)


def report(outputs: types.Object, outcome: Mapping[str, Any], first: str = "") -> None:
    """Show a report and warnings, below a sentence of what the App shows."""
    if first:
        outputs.md(first, name="first")
    notes(outputs, outcome["warnings"])
    outputs.md(f"```text\n{outcome['summary']}\n```", name="shown")  # a name of the outcome would show its value


def notes(outputs: types.Object, sentences: Iterable[str]) -> None:
    """Show sentences one above the other."""
    for number, sentence in enumerate(sentences):
        outputs.view(f"note_{number}", types.Notice(label=sentence))


def needed(ctx: Any, name: str) -> Any:
    """A parameter that has no default.

    Raises:
        ValueError: naming it.
    """
    value = ctx.params.get(name)
    if value in (None, ""):
        raise ValueError(f"{name} is missing")
    return value
