"""Train on hard negatives: export, train, predict, mine the next round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.io.progress import Progress
from hnm_core.training.plan import TrainerSettings, TrainingPlan

from ..actions import checkpoints, train
from ..actions.strategies import check_registered
from ..app import background
from ..app.icons import icons
from ..forms import parts, results, rows
from ..runs import records
from ..store import access
from .long import LongOperator

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext

ROWS = (
    *((TrainerSettings, name) for name in ("epochs", "imgsz", "batch", "device")),
    *((TrainingPlan, name) for name in ("mine_every", "warmup", "negative_gain", "loss_gate", "gate_threshold")),
    *((TrainingPlan, name) for name in ("label_threshold", "suspect_evidence")),
)
LONG = "Without *Schedule*, the work goes on if this tab is closed, but not if FiftyOne is stopped"
NAMES = ("new_run_key", "pred_field", "settings")


class TrainOnHardNegatives(LongOperator):
    """Train a YOLO on the weights of a run, predict with it, and mine the next round."""

    takes = (train.train,)
    """What describes the options that are not named in the signature."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="train_on_hard_negatives",
            label="Train on hard negatives",
            description="Train a YOLO on the weights of a run, predict with it, and mine the next round",
            **icons("train"),
            risk_level="dangerous",
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
            allow_immediate_execution=True,
            default_choice_to_delegated=True,
            view_target=False,
        )

    def __call__(
        self, samples: SampleCollection, run_key: str, model: str, output_dir: str, **options: Any
    ) -> dict[str, Any]:
        """Train from Python, and return the report of the next round.

        Args:
            samples: the dataset that was mined.
            run_key: the run whose weights, settings and reviews are used.
            model: an Ultralytics checkpoint (``.pt``), which runs the code that it holds, or a ``.yaml``.
            output_dir: a new or empty folder.
            **options: how to train.
        """
        return train.train(access.root(samples), run_key, model, output_dir, **options)

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        if parts.existing_run(ctx, inputs):
            _ask(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Train on hard negatives"))

    def work(self, ctx: ExecutionContext, progress: Progress) -> dict[str, Any]:
        """Train."""
        given = _given(ctx) | {name: ctx.params[name] for name in NAMES if ctx.params.get(name)}
        model, output_dir = (parts.needed(ctx, name) for name in ("model", "output_dir"))
        key = ctx.params.get("run_key") or records.newest(ctx.dataset)
        check_registered(records.settings_of(ctx.dataset, key).engine.strategy)
        return train.train(ctx.dataset, key, model, output_dir, **given, progress=progress)

    def show(self, ctx: ExecutionContext, outcome: dict[str, Any]) -> Iterator[Any]:
        """Show the next round."""
        yield ctx.ops.reload_dataset()

    def resolve_output(self, ctx: ExecutionContext) -> types.Property | None:
        """Return the report of the next round, and where the model is."""
        return results.finished(ctx, "Training finished", _show)


def _given(ctx: ExecutionContext) -> dict[str, Any]:
    """Return the training settings among the parameters; absent, None and empty ones keep their defaults."""
    return {name: ctx.params[name] for _, name in ROWS if ctx.params.get(name) not in (None, "")}


def _show(outputs: types.Object, outcome: Mapping[str, Any]) -> None:
    results.report(outputs, outcome, f"Run `{outcome['run_key']}` mined the predictions of `{outcome['model']}`.")


def _ask(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Ask for the model, the folder and the training settings."""
    key = ctx.params.get("run_key") or records.newest(ctx.dataset)
    start = train.find_start_model(ctx.dataset, key)
    inputs.view("trust", types.Notice(label=checkpoints.TRUST))
    inputs.view("background", types.Notice(label=f"{background.background_help()}. {LONG}"))
    what = "Checkpoint (.pt) to start from, on the machine that runs FiftyOne, or a .yaml for random weights"
    inputs.str("model", label="Model", default=start.model, required=not start.model, description=what)
    output_dir = parts.folder(
        ctx, inputs, f"{key}_training", "A new or empty folder for the data, the training and its rounds"
    )
    for settings, name in ROWS:
        rows.add_rows(inputs, settings, only=[name], defaults={"imgsz": start.imgsz})
    try:
        before = records.settings_of(ctx.dataset, key)
        check_registered(before.engine.strategy)
        after = train.next_round(ctx.dataset, before, ctx.params.get("new_run_key"))
        what = f"Key of the next round; empty: {after.run_key}"
        inputs.str("new_run_key", label="New key", required=False, description=what)
        what = f"Field for the new predictions; empty: {after.pred_field}"
        inputs.str("pred_field", label="Predictions", required=False, description=what)
        asked = (ctx.params.get(name) for name in ("new_run_key", "pred_field"))
        train.check(ctx.dataset, key, ctx.params.get("model") or start.model, output_dir, *asked)
        for settings in (TrainerSettings, TrainingPlan):
            settings.from_dict({name: value for name, value in _given(ctx).items() if (settings, name) in ROWS})
    except (ValueError, FileNotFoundError, FileExistsError) as error:
        parts.refuse(inputs, str(error))
