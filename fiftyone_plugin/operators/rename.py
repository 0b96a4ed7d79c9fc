"""Rename mining run: the record and every field that begins with its key."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import forms, runs
from ..icons import icons


class RenameMiningRun(foo.Operator):
    """Give a run another key; its fields are named after it."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="rename_mining_run",
            label="Rename mining run",
            description="Give a mining run, and every field it wrote, another name",
            **icons("rename"),
            dynamic=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(self, samples: Any, run_key: str, new_run_key: str) -> dict[str, Any]:
        """Rename from Python; says which field is called what now."""
        fields = runs.rename(samples._root_dataset, run_key, new_run_key)
        return {"run_key": new_run_key, "fields": fields}

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        if forms.existing_run(ctx, inputs):
            forms.new_key(ctx, inputs)
        view = types.PromptView(label="Rename mining run", submit_button_label="Rename")
        return types.Property(inputs, view=view)

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Rename; a view that asks for the old fields would be broken, so it is cleared."""
        done = self(ctx.dataset, ctx.params.get("run_key"), forms.needed(ctx, "new_run_key"))
        if not ctx.delegated:
            ctx.ops.clear_view()
            ctx.ops.reload_dataset()
        return done
