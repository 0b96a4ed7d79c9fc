"""Export weighted subset: the train split on disk, hard images more often."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import export_form, exports, forms
from ..icons import icons


class ExportWeightedSubset(foo.Operator):
    """Write the images and labels of a run, with its weights, as a data set for the trainer of choice."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="export_weighted_subset",
            label="Export weighted subset",
            description="Write the train split with its sample weights, ready for training",
            **icons("export"),
            dynamic=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(self, samples: Any, run_key: str, output_dir: str, **options: Any) -> dict[str, Any]:
        """Export from Python; options are those of :func:`fiftyone_plugin.exports.export`."""
        return exports.export(samples._root_dataset, run_key, output_dir, **options)

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        if forms.existing_run(ctx, inputs):
            export_form.ask(ctx, inputs)
            export_form.check(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Export weighted subset"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Export, and tell how far it has come."""
        summary = exports.export(
            ctx.dataset,
            ctx.params.get("run_key"),
            forms.needed(ctx, "output_dir"),
            progress=ctx.set_progress,
            **exports.options_of(ctx.params),
        )
        if summary.get("saved_view") and not ctx.delegated:
            ctx.ops.reload_dataset()
        return summary

    def resolve_output(self, ctx: Any) -> types.Property | None:
        """What was written and where."""
        return forms.finished(ctx, "Export finished", export_form.report)
