"""Predict with YOLO: run a checkpoint on the target view and keep low confidences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.io.progress import Progress
from hnm_core.report.lines import how_many
from hnm_core.settings import options

from ..actions import checkpoints, predict
from ..app.icons import icons
from ..forms import parts, results, rows
from ..settings import switch_of
from ..store import checks
from .long import LongOperator

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext

OPTIONS = [each.name for each in options(predict.PredictSettings)]

FIRST = 200
"""Samples that the form checks; all are checked before predicting."""


class PredictWithYolo(LongOperator):
    """Write the predictions of an Ultralytics checkpoint into a field that can be mined."""

    takes = (predict.predict,)
    """What describes the options that are not named in the signature."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="predict_with_yolo",
            label="Predict with YOLO",
            description="Run an Ultralytics checkpoint on the images, and keep its boxes for mining",
            **icons("predict"),
            risk_level="dangerous",
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
        )

    def __call__(self, samples: SampleCollection, model: str, pred_field: str, **options: Any) -> dict[str, Any]:
        """Predict from Python, and return how many boxes were found.

        Args:
            samples: a dataset or a view of it.
            model: an Ultralytics checkpoint (``.pt``); loading it runs the code that it holds.
            pred_field: a new field, or one of predictions.
            **options: how to predict.
        """
        return predict.predict(samples, model, pred_field, **options)

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        parts.target(ctx, inputs, "Predict on")
        _ask(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Predict with YOLO"))

    def work(self, ctx: ExecutionContext, progress: Progress) -> dict[str, Any]:
        """Predict."""
        given = {name: ctx.params[name] for name in OPTIONS if ctx.params.get(name) not in (None, "")}
        samples = parts.target_samples(ctx)
        model, field = (parts.needed(ctx, name) for name in ("model", "pred_field"))
        return predict.predict(samples, model, field, **given, progress=progress)

    def show(self, ctx: ExecutionContext, outcome: dict[str, Any]) -> Iterator[Any]:
        """Show the new boxes."""
        yield ctx.ops.reload_dataset()

    def resolve_output(self, ctx: ExecutionContext) -> types.Property | None:
        """Return the number of boxes and the warnings."""
        return results.finished(ctx, "Prediction finished", _show)


def _show(outputs: types.Object, outcome: Mapping[str, Any]) -> None:
    results.notes(outputs, outcome["warnings"])
    images, boxes = outcome["images_read"], outcome["detections"]
    outputs.md(
        f"{how_many(boxes, 'box', 'boxes')} in {how_many(images, 'image')}, in field `{outcome['field']}`.",
        name="shown",
    )


def _ask(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Ask for a checkpoint and a field; tell what loading a checkpoint means before one is loaded."""
    inputs.view("trust", types.Notice(label=checkpoints.TRUST))
    model, field = ctx.params.get("model"), ctx.params.get("pred_field", "predictions")
    what = (
        "Path of an Ultralytics checkpoint on the machine that runs FiftyOne, such as runs/detect/train/weights/best.pt"
    )
    inputs.str("model", label="Checkpoint", required=True, description=what)
    if model and checkpoints.is_hub_name(model) and not Path(model).is_file():
        rows.add_rows(inputs, predict.PredictSettings, only=["download"])
    what = "A new field for the boxes, or an existing field of predictions"
    inputs.str("pred_field", label="Predictions", default="predictions", required=False, description=what)
    try:
        if model and not (switch_of(ctx.params, "download") and checkpoints.is_hub_name(model)):
            checkpoints.find_model(model)
        overwrite = switch_of(ctx.params, "overwrite")
        predict.check_field(parts.target_samples(ctx), field, overwrite=overwrite, among=FIRST)
    except (ValueError, FileNotFoundError) as error:
        parts.refuse(inputs, str(error))
    if field in checks.detection_fields(ctx.dataset):
        rows.add_rows(inputs, predict.PredictSettings, only=["overwrite"])
    rows.add_rows(inputs, predict.PredictSettings, main=True)
