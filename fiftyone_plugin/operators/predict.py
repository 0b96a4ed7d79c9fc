"""Predict with YOLO: a checkpoint over the target view, low confidences kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.training.detecting import BATCH

from .. import checkpoints, checks, forms, predicting
from ..icons import icons
from .long import LongOperator, Say

OPTIONS = ("confidence", "imgsz", "batch", "device", "overwrite", "download")

FIRST = 200
"""Samples that the form looks at; all are looked at before predicting."""


class PredictWithYolo(LongOperator):
    """Put what an Ultralytics checkpoint sees into a field that can be mined."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="predict_with_yolo",
            label="Predict with YOLO",
            description="Run an Ultralytics checkpoint over the images, and keep its boxes for mining",
            **icons("predict"),
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
        )

    def __call__(self, samples: Any, model: str, pred_field: str, **options: Any) -> dict[str, Any]:
        """Predict from Python; ``confidence, imgsz, batch, device, overwrite, download`` may be named."""
        return predicting.predict(samples, model, pred_field, **options)

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        forms.target(ctx, inputs, "Predict on")
        _ask(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Predict with YOLO"))

    def work(self, ctx: Any, progress: Say) -> dict[str, Any]:
        """Predict."""
        given = {name: ctx.params[name] for name in OPTIONS if ctx.params.get(name) not in (None, "", 0)}
        samples = ctx.target_view(require_flat=True)
        model, field = (forms.needed(ctx, name) for name in ("model", "pred_field"))
        return predicting.predict(samples, model, field, **given, progress=progress)

    def show(self, ctx: Any, outcome: dict[str, Any]) -> Iterator[Any]:
        """The new boxes."""
        yield ctx.ops.reload_dataset()

    def resolve_output(self, ctx: Any) -> types.Property | None:
        """How much was found, and what should be known about it."""
        return forms.finished(ctx, "Prediction finished", _show)


def _show(outputs: types.Object, outcome: Mapping[str, Any]) -> None:
    forms.notes(outputs, outcome["warnings"])
    images, boxes = outcome["images_read"], outcome["detections"]
    outputs.md(f"{boxes:,} boxes in {images:,} images, in field `{outcome['field']}`.", name="shown")


def _ask(ctx: Any, inputs: types.Object) -> None:
    """Ask for a checkpoint and where its boxes go; say what loading it means before anything is loaded."""
    inputs.view("trust", types.Notice(label=checkpoints.TRUST))
    model, field = ctx.params.get("model"), ctx.params.get("pred_field", "predictions")
    what = (
        "Path of an Ultralytics checkpoint on the machine that runs FiftyOne, such as runs/detect/train/weights/best.pt"
    )
    inputs.str("model", label="Checkpoint", required=True, description=what)
    if model and checkpoints.is_hub_name(model) and not Path(model).is_file():
        what = "There is no such file: fetch the checkpoint of this name from Ultralytics' releases on github.com"
        inputs.bool("download", label="Download it", default=False, description=what)
    what = "A new field for the boxes, or one that holds predictions"
    inputs.str("pred_field", label="Predictions", default="predictions", required=False, description=what)
    try:
        if model and not (ctx.params.get("download") and checkpoints.is_hub_name(model)):
            checkpoints.find_model(model)
        predicting.check_field(
            ctx.target_view(require_flat=True), field, overwrite=bool(ctx.params.get("overwrite")), among=FIRST
        )
    except (ValueError, FileNotFoundError) as error:
        forms.refuse(inputs, str(error))
    if field in checks.detection_fields(ctx.dataset):
        inputs.bool("overwrite", label="Replace the boxes that are there", default=False)
    what = "Boxes below it are dropped; low ones tell a miss from a right box with a low score"
    lowest = predicting.LEAST_CONFIDENCE
    inputs.float(
        "confidence", label="Lowest confidence", default=lowest, min=0, max=1, required=False, description=what
    )
    what = "Longer side in pixels that images are scaled to; 0 takes what the checkpoint was trained with"
    inputs.int("imgsz", label="Image size", default=0, min=0, max=10_000, required=False, description=what)
    what = "Images predicted at once"
    inputs.int("batch", label="Batch", default=BATCH, min=1, max=1024, required=False, description=what)
    what = "cpu, or the number of a GPU; empty takes a GPU if there is one"
    inputs.str("device", label="Device", required=False, description=what)
