"""Delete mining run: exactly what the run wrote goes, and nothing else."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import forms, runs
from ..icons import icons


class DeleteMiningRun(foo.Operator):
    """Undo a run: its fields, its tags where no other run holds them, its record."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="delete_mining_run",
            label="Delete mining run",
            description="Remove the fields, tags and record of a mining run, and nothing else",
            **icons("delete"),
            dynamic=True,
            view_target=False,
        )

    def __call__(self, samples: Any, run_key: str) -> dict[str, Any]:
        """Delete from Python; says which fields went."""
        return {"run_key": run_key, "fields": runs.delete(samples._root_dataset, run_key)}

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form: what goes, before it goes."""
        inputs = types.Object()
        if forms.existing_run(ctx, inputs):
            forms.what_goes(ctx, inputs)
        view = types.PromptView(label="Delete mining run", submit_button_label="Delete")
        return types.Property(inputs, view=view)

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Delete; a view that asks for the run's fields would be broken, so it is cleared."""
        done = self(ctx.dataset, ctx.params.get("run_key"))
        if not ctx.delegated:
            ctx.ops.clear_view()
            ctx.ops.reload_dataset()
        return done
