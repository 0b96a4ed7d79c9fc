"""Mine hard negatives: read, mine, write, show."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import forms, mining, runs, views


class MineHardNegatives(foo.Operator):
    """Score every prediction and image, and write the scores to the dataset."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="mine_hard_negatives",
            label="Mine hard negatives",
            description="Find a detector's worst mistakes and weigh the images by them",
            icon="/assets/mine.svg",
            dynamic=True,
            allow_delegated_execution=True,
        )

    def __call__(self, samples: Any, pred_field: str, gt_field: str, run_key: str, **settings: Any) -> dict[str, Any]:
        """Mine a dataset or view from Python; every setting of a run may be named, ``overwrite=True`` replaces one."""
        named = {"pred_field": pred_field, "gt_field": gt_field, "run_key": run_key, **settings}
        return mining.mine_samples(samples, named)

    def resolve_placement(self, ctx: Any) -> types.Placement:
        """A button above the grid."""
        button = types.Button(label="Mine hard negatives", icon="/assets/mine.svg", prompt=True)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        inputs.view_target(ctx, action_description="Mine", require_flat=True)
        if forms.has_fields(ctx, inputs):
            forms.check(ctx, inputs)
            forms.fields(ctx, inputs)
            forms.run_key(ctx, inputs)
            forms.split(ctx, inputs)
            forms.engine(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Mine hard negatives"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Mine, and show the result where there is an App to show it in."""
        outcome = mining.mine_samples(ctx.target_view(require_flat=True), ctx.params, ctx.set_progress)
        if not ctx.delegated:
            ctx.ops.reload_dataset()
            hardest = views.hardest(ctx.dataset, runs.settings_of(ctx.dataset, outcome["run_key"]))
            if hardest:  # an empty grid would look as if mining had failed
                ctx.ops.set_view(view=hardest)
            ctx.ops.open_panel("hard_negatives_panel", layout="horizontal", is_active=True)
        return outcome

    def resolve_output(self, ctx: Any) -> types.Property:
        """The report, and what should be known about the data."""
        outputs = types.Object()
        forms.report(outputs, ctx.results)
        return types.Property(outputs, view=types.View(label="Mining finished"))
