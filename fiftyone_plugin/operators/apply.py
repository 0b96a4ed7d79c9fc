"""Apply reviews: what people said counts in the weights of a run, without mining again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import forms, reweigh
from ..icons import icons
from .long import LongOperator, Say


class ApplyReviews(LongOperator):
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
            execute_as_generator=True,
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

    def work(self, ctx: Any, progress: Say) -> dict[str, Any]:
        """Apply."""
        return reweigh.apply_reviews(ctx.dataset, ctx.params.get("run_key"), progress)

    def show(self, ctx: Any, outcome: dict[str, Any]) -> Iterator[Any]:
        """The weights as they are now."""
        yield ctx.ops.reload_samples()

    def resolve_output(self, ctx: Any) -> types.Property | None:
        """How many looks count, and what became of the weights."""
        return forms.finished(ctx, "Reviews applied", lambda outputs, done: forms.notes(outputs, [reweigh.said(done)]))
