"""Predict with YOLO: a checkpoint over the target view, low confidences kept."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import forms, predicting

OPTIONS = ("confidence", "imgsz", "batch", "device", "overwrite", "download")


class PredictWithYolo(foo.Operator):
    """Put what an Ultralytics checkpoint sees into a field that can be mined."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="predict_with_yolo",
            label="Predict with YOLO",
            description="Run an Ultralytics checkpoint over the images, and keep its boxes for mining",
            icon="/assets/predict.svg",
            dynamic=True,
            allow_delegated_execution=True,
        )

    def __call__(self, samples: Any, model: str, pred_field: str, **options: Any) -> dict[str, Any]:
        """Predict from Python; ``confidence, imgsz, batch, device, overwrite, download`` may be named."""
        return predicting.predict(samples, model, pred_field, **options)

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        inputs.view_target(ctx, action_description="Predict on", require_flat=True)
        forms.prediction(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Predict with YOLO"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Predict, and show the new boxes."""
        given = {name: ctx.params[name] for name in OPTIONS if ctx.params.get(name) not in (None, "", 0)}
        samples = ctx.target_view(require_flat=True)
        model, field = (forms.needed(ctx, name) for name in ("model", "pred_field"))
        outcome = predicting.predict(samples, model, field, **given, progress=ctx.set_progress)
        if not ctx.delegated:
            ctx.ops.reload_dataset()
        return outcome

    def resolve_output(self, ctx: Any) -> types.Property:
        """How much was found, and what should be known about it."""
        outputs = types.Object()
        forms.notes(outputs, ctx.results["warnings"])
        images, boxes = ctx.results["images_read"], ctx.results["detections"]
        outputs.md(f"{boxes:,} boxes in {images:,} images, in field `{ctx.results['field']}`.", name="shown")
        return types.Property(outputs, view=types.View(label="Prediction finished"))
