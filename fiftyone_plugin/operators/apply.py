"""Apply reviews: what people said counts in the weights of a run, without mining again."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import forms, reweigh
from ..icons import icons


class ApplyReviews(foo.Operator):
    """Bring fields, tags and weights of a run in line with the reviews of its dataset."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="apply_reviews",
            label="Apply reviews",
            description="Let what people said of a run's mistakes count in its weights, without mining again",
            **icons("apply"),
            dynamic=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(self, samples: Any, run_key: str) -> dict[str, Any]:
        """Apply from Python; says how many looks count and what the weights are now."""
        return reweigh.apply_reviews(samples._root_dataset, run_key)

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        forms.existing_run(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Apply reviews"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Apply, and let the App see it."""
        done = reweigh.apply_reviews(ctx.dataset, ctx.params.get("run_key"), ctx.set_progress)
        if not ctx.delegated:
            ctx.ops.reload_samples()
            ctx.ops.notify(reweigh.said(done), variant="success")
        return done
