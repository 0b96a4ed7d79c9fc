"""Rename mining run: change its key, its record and every field that begins with the key."""

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


class RenameMiningRun(foo.Operator):
    """Give a run another key, and rename its fields accordingly."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="rename_mining_run",
            label="Rename mining run",
            description="Give a mining run, its fields and its saved views another name",
            **icons("rename"),
            risk_level="medium",
            dynamic=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(self, samples: SampleCollection, run_key: str, new_run_key: str) -> dict[str, Any]:
        """Rename from Python, and return the old and the new name of every field.

        Args:
            samples: the dataset that was mined.
            run_key: the run to rename.
            new_run_key: its new name.
        """
        fields = lifecycle.rename(access.root(samples), run_key, new_run_key)
        return {"run_key": new_run_key, "fields": fields}

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        if parts.existing_run(ctx, inputs, besides=("renaming",)):
            run_changes.new_key(ctx, inputs)
        view = types.PromptView(label="Rename mining run", submit_button_label="Rename")
        return types.Property(inputs, view=view)

    def execute(self, ctx: ExecutionContext) -> dict[str, Any]:
        """Rename the run and clear the view, which may need the old fields."""
        done = self(ctx.dataset, ctx.params.get("run_key"), parts.needed(ctx, "new_run_key"))
        if not ctx.delegated:
            ctx.ops.clear_view()
            ctx.ops.reload_dataset()
        return done
