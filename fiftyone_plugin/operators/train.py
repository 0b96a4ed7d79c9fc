"""Train on hard negatives: export, train, predict, mine the next round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import background, checkpoints, forms, runs, training
from ..icons import icons
from .long import LongOperator, Say

NUMBERS = ("epochs", "mine_every", "warmup", "negative_gain", "imgsz", "batch")
LONG = "What is executed at once goes on even if this tab is closed, but not if FiftyOne is stopped"
TEXTS = ("new_run_key", "pred_field", "device", "settings")


class TrainOnHardNegatives(LongOperator):
    """Train a YOLO on the weights of a run, and bring what it sees back as the next round."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="train_on_hard_negatives",
            label="Train on hard negatives",
            description="Train a YOLO on the weights of a run, predict with it, and mine the next round",
            **icons("train"),
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
            allow_immediate_execution=True,
            default_choice_to_delegated=True,
            view_target=False,
        )

    def __call__(self, samples: Any, run_key: str, model: str, output_dir: str, **options: Any) -> dict[str, Any]:
        """Train from Python; options are those of :func:`fiftyone_plugin.training.train`."""
        return training.train(samples._root_dataset, run_key, model, output_dir, **options)

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        if forms.existing_run(ctx, inputs):
            _ask(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Train on hard negatives"))

    def work(self, ctx: Any, progress: Say) -> dict[str, Any]:
        """Train."""
        given = {name: ctx.params[name] for name in NUMBERS if ctx.params.get(name) is not None}
        given |= {name: ctx.params[name] for name in TEXTS if ctx.params.get(name)}
        model, output_dir = (forms.needed(ctx, name) for name in ("model", "output_dir"))
        key = ctx.params.get("run_key") or runs.newest(ctx.dataset)
        return training.train(ctx.dataset, key, model, output_dir, **given, progress=progress)

    def show(self, ctx: Any, outcome: dict[str, Any]) -> Iterator[Any]:
        """The next round."""
        yield ctx.ops.reload_dataset()

    def resolve_output(self, ctx: Any) -> types.Property | None:
        """The next round, and where the model is."""
        return forms.finished(ctx, "Training finished", _show)


def _show(outputs: types.Object, outcome: Mapping[str, Any]) -> None:
    forms.report(outputs, outcome, f"Run `{outcome['run_key']}` mined what `{outcome['model']}` sees.")


def _ask(ctx: Any, inputs: types.Object) -> None:
    """What to start from, where to, how long."""
    key = ctx.params.get("run_key") or runs.newest(ctx.dataset)
    begin = training.begin_with(ctx.dataset, key)
    inputs.view("trust", types.Notice(label=checkpoints.TRUST))
    inputs.view("background", types.Notice(label=f"{background.how_to()}. {LONG}"))
    what = "Checkpoint (.pt) to start from on the machine that runs FiftyOne, or a .yaml to start from nothing"
    inputs.str("model", label="Model", default=begin.model, required=not begin.model, description=what)
    output_dir = forms.folder(
        ctx, inputs, f"{key}_training", "A new or empty folder: the data, the training, its rounds"
    )
    for name, default, low, label, what in (
        ("epochs", training.EPOCHS, 1, "Epochs", "Passes over the training images"),
        ("mine_every", training.MINE_EVERY, 0, "Mine every", "Epochs from round to round in training; 0: one round"),
        ("warmup", training.WARMUP, 0, "Warm-up", "Epochs before the first round; 0 for a trained model"),
        ("imgsz", begin.imgsz, 32, "Image size", "Longer side that images are scaled to, pixels"),
        ("batch", training.BATCH, 1, "Batch", "Images per batch"),
    ):
        inputs.int(name, label=label, default=default, min=low, max=100_000, required=False, description=what)
    what = "How many times background that the model takes for an object counts in the loss; the labels must be whole"
    inputs.float("negative_gain", label="Negative gain", default=1.0, min=1, max=100, required=False, description=what)
    what = "cpu, or the number of a GPU; empty takes a GPU if there is one"
    inputs.str("device", label="Device", required=False, description=what)
    try:
        after = training.next_round(ctx.dataset, runs.settings_of(ctx.dataset, key), ctx.params.get("new_run_key"))
        what = f"Of the next round; empty for {after.run_key}"
        inputs.str("new_run_key", label="New key", required=False, description=what)
        what = f"Field for what the new model sees; empty for {after.pred_field}"
        inputs.str("pred_field", label="Predictions", required=False, description=what)
        asked = (ctx.params.get(name) for name in ("new_run_key", "pred_field"))
        training.check(ctx.dataset, key, ctx.params.get("model") or begin.model, output_dir, *asked)
    except (ValueError, FileNotFoundError, FileExistsError) as error:
        forms.refuse(inputs, str(error))
