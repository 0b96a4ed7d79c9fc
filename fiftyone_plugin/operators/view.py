"""View hard negatives: what a run mined, hardest first."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.taxonomy import ERROR_TYPES

from .. import forms, runs, views


class ViewHardNegatives(foo.Operator):
    """Show the mined objects of a run in the grid, hardest first."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="view_hard_negatives",
            label="View hard negatives",
            description="Show what a mining run found, hardest first",
            icon="/assets/view.svg",
            dynamic=True,
            view_target=False,
        )

    def __call__(self, samples: Any, run_key: str, **filters: Any) -> Any:
        """The view, of a dataset or within a view; ``type, error, min_difficulty, patches`` narrow it."""
        settings, _ = runs.load(samples._root_dataset, run_key)
        return views.hardest(samples, settings, **{name: value for name, value in filters.items() if value is not None})

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        if forms.existing_run(ctx, inputs):
            forms.choose(inputs, "type", views.TYPES, views.TYPES[0], "Show", "Kind of mistake")
            forms.choose(inputs, "error", ERROR_TYPES, None, "Error", "Only this error type")
            inputs.float("min_difficulty", label="Minimum difficulty", min=0, max=1, required=False)
            inputs.bool("patches", label="One object a tile", default=False)
        return types.Property(inputs, view=types.View(label="View hard negatives"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Set the view."""
        names = ("type", "error", "min_difficulty", "patches")
        run_key = ctx.params.get("run_key")
        view = self(ctx.dataset, run_key, **{name: ctx.params.get(name) for name in names})
        if not ctx.delegated:
            ctx.ops.set_view(view=view)
        return {"run_key": run_key, "count": view.count()}
