"""Mine hard negatives: read, mine, write, show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import background, evaluating, forms, mining, mining_form, runs, views
from ..icons import icons
from .long import LongOperator, Say


class MineHardNegatives(LongOperator):
    """Score every prediction and image, and write the scores to the dataset."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="mine_hard_negatives",
            label="Mine hard negatives",
            description="Find a detector's worst mistakes and weigh the images by them",
            **icons("mine"),
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
        )

    def __call__(
        self,
        samples: Any,
        pred_field: str | None = None,
        gt_field: str | None = None,
        run_key: str | None = None,
        **settings: Any,
    ) -> dict[str, Any]:
        """Mine a dataset or view from Python; every setting of a run may be named, ``overwrite=True`` replaces one.

        ``eval_key`` names an evaluation to take both fields from.
        """
        named = {"pred_field": pred_field, "gt_field": gt_field, "run_key": run_key, **settings}
        return mining.mine_samples(samples, named)

    def resolve_placement(self, ctx: Any) -> types.Placement:
        """A button above the grid."""
        button = types.Button(label="Mine hard negatives", icon="filter_center_focus", prompt=True)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        forms.target(ctx, inputs, "Mine")
        if forms.has_fields(ctx, inputs):
            params = mining_form.evaluation(ctx, inputs)
            forms.check(ctx, inputs, params)
            if not params.get("eval_key"):
                forms.fields(ctx, inputs)
            forms.run_key(ctx, inputs)
            forms.split(ctx, inputs)
            mining_form.count(ctx, inputs)
            known = evaluating.KEPT if params.get("eval_key") else ()
            if forms.engine(ctx, inputs, known):
                mining_form.class_rows(ctx, inputs, params)
                forms.more(ctx, inputs, known)
            inputs.view("background", types.Notice(label=background.how_to()))
        return types.Property(inputs, view=types.View(label="Mine hard negatives"))

    def work(self, ctx: Any, progress: Say) -> dict[str, Any]:
        """Mine."""
        return mining.mine_samples(ctx.target_view(require_flat=True), ctx.params, progress)

    def show(self, ctx: Any, outcome: dict[str, Any]) -> Iterator[Any]:
        """The hardest images, and the panel."""
        yield ctx.ops.reload_dataset()
        hardest = views.hardest(ctx.dataset, runs.settings_of(ctx.dataset, outcome["run_key"]))
        if hardest:  # an empty grid would look as if mining had failed
            yield ctx.ops.set_view(view=hardest)
        yield ctx.ops.open_panel("hard_negatives_panel", layout="horizontal", is_active=True)

    def resolve_output(self, ctx: Any) -> types.Property | None:
        """The report, and what should be known about the data."""
        return forms.finished(ctx, "Mining finished", forms.report)
