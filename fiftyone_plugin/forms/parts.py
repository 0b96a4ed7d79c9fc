"""Inputs that operators share, made from the metadata of the settings.

``resolve_input`` runs at every keystroke: all code here reads only the schema, names of runs, or one sample.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import fiftyone as fo
import fiftyone.operators.types as types
from fiftyone.operators.constants import ViewTarget

from hnm_core import MiningSettings
from hnm_core.io.data_yaml import SPLITS
from hnm_core.settings import options
from hnm_core.strategies import strategy_names
from hnm_core.strategies.learnability import LEARNABILITY

from ..actions import export
from ..actions.strategies import check_registered
from ..runs import history, lifecycle, records
from ..settings import RunSettings, switch_of
from ..store import access, checks
from . import rows

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext

TRUTH_WORDS = ("truth", "gt", "label", "annot")
ANY_STATE = ("any",)
"""What a form passes that takes runs in whatever state."""

TARGET = "view_target"
"""Parameter in which FiftyOne's forms send which samples are meant."""

PREDICTION_WORDS = ("pred", "det", "model", "yolo")


def target(ctx: ExecutionContext, inputs: types.Object, action: str) -> None:
    """Ask which samples: the selected ones, else all.

    The current view is not the default: after *Look* it is a few samples with only their mistakes. Of patches, FiftyOne
    offers only views of patches, so the dataset and the samples of the selected patches are offered here.
    """
    default = _default_target(ctx)
    if not access.is_generated(ctx.view):
        inputs.view_target(ctx, action_description=action, default_target=default, require_flat=True)
        return
    choices = types.RadioGroup(label="Target view")
    choices.add_choice(ViewTarget.DATASET, label="Dataset", description=f"{action} the entire dataset")
    if ctx.selected:
        what = f"{action} the images of the selected patches"
        choices.add_choice(ViewTarget.SELECTED_SAMPLES, label="Images of the selection", description=what)
    inputs.enum(TARGET, choices.values(), default=default, required=False, view=choices)


def _default_target(ctx: ExecutionContext) -> str:
    return ViewTarget.SELECTED_SAMPLES if ctx.selected else ViewTarget.DATASET


def target_samples(ctx: ExecutionContext) -> Any:
    """Return the whole samples that are meant: of patches, the dataset, or the samples they were cut from."""
    chosen = ctx.params.get(TARGET) or ctx.request_params.get(TARGET)
    if access.is_generated(ctx.view) and chosen in (None, ViewTarget.DATASET):
        return ctx.dataset if chosen or not ctx.selected else _samples_of_selection(ctx)
    if access.is_generated(ctx.view) and chosen == ViewTarget.SELECTED_SAMPLES:
        return _samples_of_selection(ctx)
    return ctx.target_view(require_flat=True)


def _samples_of_selection(ctx: ExecutionContext) -> Any:
    return ctx.dataset.select(list(dict.fromkeys(ctx.view.select(list(ctx.selected)).values("sample_id"))))


def has_fields(ctx: ExecutionContext, inputs: types.Object) -> bool:
    """Return whether the dataset has two fields to compare; if not, say so in the form."""
    found = checks.detection_fields(ctx.dataset)
    enough = len(found) >= 2
    if not enough:
        labels = ctx.dataset.get_field_schema(ftype=fo.EmbeddedDocumentField, embedded_doc_type=fo.Label)
        names = ", ".join(f"{name} ({field.document_type.__name__})" for name, field in labels.items())
        refuse(
            inputs,
            f"mining needs two fields of type Detections, predictions and ground truth; {ctx.dataset.name!r} has "
            f"{names or 'no label field'}{'; Predict with YOLO can make predictions' if found else ''}",
        )
    return enough


def fields(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Ask for the two fields."""
    found = checks.detection_fields(ctx.dataset)
    pred_field, gt_field = guess_fields(found)
    choose(inputs, "pred_field", found, pred_field, "Predictions", "Field with the detector's boxes and confidences")
    choose(inputs, "gt_field", found, gt_field, "Ground truth", "Field with the true boxes")


def guess_fields(found: Sequence[str]) -> tuple[str, str]:
    """Return the fields that look most like predictions and like ground truth by their names."""
    pred_field = guess_predictions(found)
    return pred_field, min((name for name in found if name != pred_field), key=_like_predictions)


def guess_predictions(found: Sequence[str]) -> str:
    """Return the field that looks most like predictions by its name."""
    return max(reversed(found), key=_like_predictions)


def _like_predictions(name: str) -> int:
    return any(word in name.lower() for word in PREDICTION_WORDS) - any(word in name.lower() for word in TRUTH_WORDS)


def run_key(ctx: ExecutionContext, inputs: types.Object, stem: str = "hard_negatives") -> None:
    """Ask for a new key, with a free one as default."""
    free = records.free_key(ctx.dataset, stem)
    inputs.str(
        "run_key",
        label="Run key",
        default=free,
        required=False,
        description="Name of the run and of the fields it writes",
    )
    if ctx.params.get("run_key", free) in records.keys(ctx.dataset):
        inputs.bool("overwrite", label="Replace the run of this name", default=False)


def split(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Ask for the split to mine."""
    choices = types.RadioGroup(orientation="horizontal")
    for name in SPLITS:
        choices.add_choice(name, label=name if name == "train" else f"{name} (monitor only)")
    declared = rows.of(RunSettings, "mine_split")
    inputs.enum(
        declared.name,
        choices.values(),
        default=declared.default,
        required=False,
        label=declared.label,
        description=declared.help,
        view=choices,
    )


def engine(ctx: ExecutionContext, inputs: types.Object, known: Collection[str] = ()) -> bool:
    """Ask for the engine's main settings but those known already, what they need, and whether to see :func:`more`."""
    rows.add_rows(inputs, MiningSettings, main=True, skip=known, suggestions={"strategy": strategy_names()})
    _second_field(ctx, inputs, main=True)
    inputs.bool("show_advanced", label="More settings", default=False, view=types.SwitchView())
    return bool(ctx.params.get("show_advanced"))


def more(ctx: ExecutionContext, inputs: types.Object, known: Collection[str] = ()) -> None:
    """Ask for all other settings; what may be set per class is asked for elsewhere, in rows."""
    texts = [name for name in ctx.dataset.get_field_schema(ftype=fo.StringField) if name != "filepath"]
    groups = [*texts, *ctx.dataset.get_field_schema(ftype=fo.IntField)]
    fields_of = {"split_field": texts, "group_field": groups}
    for each in options(RunSettings):
        if each.name in fields_of:
            if fields_of[each.name]:
                choose(inputs, each.name, fields_of[each.name], None, each.label, each.help)
        elif each.name == "second_field":
            _second_field(ctx, inputs, main=False)
        elif each.offered and not each.main and not _pointless(ctx, each.name):
            rows.add_row(inputs, each, default=each.default)
    rows.add_rows(inputs, MiningSettings, main=False, skip=known)


def _second_field(ctx: ExecutionContext, inputs: types.Object, *, main: bool) -> None:
    """Ask for a second model's field: with the main settings if the strategy needs it, else with the others."""
    found = checks.detection_fields(ctx.dataset)
    guessed = zip(("pred_field", "gt_field"), guess_fields(found), strict=True)
    compared = [ctx.params.get(name) or guess for name, guess in guessed]
    others = [name for name in found if name not in compared]
    declared = rows.of(RunSettings, "second_field")
    if others and main == (ctx.params.get("strategy") == LEARNABILITY):
        choose(inputs, declared.name, others, None, declared.label, declared.help)


def _pointless(ctx: ExecutionContext, name: str) -> bool:
    """Return whether a setting does nothing without another that is not set."""
    needs = {"target_precision": "choose_thresholds", "max_per_group": "group_field", "views_model": "views"}
    return name in needs and not ctx.params.get(needs[name])


def check(ctx: ExecutionContext, inputs: types.Object, params: Mapping[str, Any]) -> None:
    """Say why this form can't be sent as it stands, in the words of the error that Python would raise."""
    pred_field, gt_field = guess_fields(checks.detection_fields(ctx.dataset))
    guessed = {"pred_field": pred_field, "gt_field": gt_field, "run_key": records.free_key(ctx.dataset)}
    try:
        settings = RunSettings.from_params(guessed | dict(params))
        check_registered(settings.engine.strategy)
        lifecycle.check_new(ctx.dataset, settings, overwrite=switch_of(params, "overwrite"))
        checks.check_minable(target_samples(ctx), settings)
    except ValueError as error:
        refuse(inputs, str(error))


def existing_run(ctx: ExecutionContext, inputs: types.Object, *, besides: Collection[str] = ()) -> bool:
    """Ask for one of the runs; return False, and say so in the form, if there is none that can be used.

    ``besides`` are states in which a run can be used although it is not finished.
    """
    keys = records.keys(ctx.dataset)
    if not keys:
        refuse(inputs, f"{ctx.dataset.name!r} has no mining run yet: mine first (Mine hard negatives)")
        return False
    newest = records.newest(ctx.dataset)
    choose(inputs, "run_key", keys, newest, "Run", "The mining run")
    try:
        if besides != ANY_STATE:
            records.opened(ctx.dataset, ctx.params.get("run_key") or newest, besides=besides)
    except ValueError as error:
        refuse(inputs, str(error))
        return False
    return True


def two_runs(ctx: ExecutionContext, inputs: types.Object) -> bool:
    """Ask for an earlier and a later run; return False, and say so in the form, if there are no two."""
    keys = records.by_time(ctx.dataset)
    if len(keys) < 2:
        have = f"has one mining run, {keys[0]!r}" if keys else "has no mining run yet"
        refuse(inputs, f"{ctx.dataset.name!r} {have}: comparing needs two, so mine again (Mine hard negatives)")
        return False
    later = ctx.params.get("later_run_key") or keys[-1]
    previous = history.previous_run(history.list_runs(ctx.dataset), later)
    earlier = previous or next(key for key in keys[::-1] if key != later)
    choose(inputs, "earlier_run_key", keys[::-1], earlier, "Earlier run", "The run to compare with")
    choose(inputs, "later_run_key", keys[::-1], keys[-1], "Later run", "The run that gets the field of changes")
    if later == ctx.params.get("earlier_run_key", earlier):
        refuse(inputs, "choose two runs: a run compared with itself has no new and no fixed errors")
    return True


def folder(ctx: ExecutionContext, inputs: types.Object, name: str, description: str) -> str:
    """Ask for a new folder, with a free one in FiftyOne's data folder as default.

    Args:
        ctx: FiftyOne's context.
        inputs: of the form.
        name: default name, inside the dataset's own folder.
        description: text below the input.

    Returns:
        The folder that is entered now.
    """
    free = export.free_dir(ctx.dataset, name)
    inputs.str("output_dir", label="Output folder", default=free, required=False, description=description)
    return ctx.params.get("output_dir") or free


def refuse(inputs: types.Object, sentence: str) -> None:
    """Show a sentence, and disable the form."""
    problem = inputs.view("problem", types.Warning(label="This cannot be run yet", description=sentence))
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
    """Ask for one of several names.

    The input is not marked as required: the App would show an error until it has applied the default.
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


def needed(ctx: ExecutionContext, name: str) -> Any:
    """Return a parameter that has no default.

    Raises:
        ValueError: naming it.
    """
    value = ctx.params.get(name)
    if value in (None, ""):
        raise ValueError(f"{name} is missing")
    return value
