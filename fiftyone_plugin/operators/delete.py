"""Delete mining run: remove exactly what the run wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from ..app.icons import icons
from ..forms import parts, run_changes
from ..runs import lifecycle
from ..store import access

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class DeleteMiningRun(foo.Operator):
    """Remove a run: its fields and what shows them, its tags where no other run has tagged the same, its record."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="delete_mining_run",
            label="Delete mining run",
            description="Remove the fields, saved views, tags and record of a mining run, and nothing else",
            **icons("delete"),
            risk_level="high",
            dynamic=True,
            view_target=False,
        )

    def __call__(self, samples: SampleCollection, run_key: str) -> dict[str, Any]:
        """Delete from Python, and return which fields and saved views were removed.

        Args:
            samples: the dataset that was mined.
            run_key: the run to delete.
        """
        gone = lifecycle.delete(access.root(samples), run_key)
        return {"run_key": run_key, "fields": gone.fields, "saved_views": gone.saved_views}

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form, which lists what will be removed."""
        inputs = types.Object()
        if parts.existing_run(ctx, inputs, besides=parts.ANY_STATE):
            run_changes.what_goes(ctx, inputs)
        view = types.PromptView(label="Delete mining run", submit_button_label="Delete")
        return types.Property(inputs, view=view)

    def execute(self, ctx: ExecutionContext) -> dict[str, Any]:
        """Delete the run and clear the view, which may need the run's fields."""
        done = self(ctx.dataset, ctx.params.get("run_key"))
        if not ctx.delegated:
            ctx.ops.clear_view()
            ctx.ops.reload_dataset()
        return done
