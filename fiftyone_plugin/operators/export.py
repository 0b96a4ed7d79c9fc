"""Export weighted subset: the train split on disk, hard images more often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from .. import export_form, exports, forms
from ..icons import icons
from .long import LongOperator, Say


class ExportWeightedSubset(LongOperator):
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
            execute_as_generator=True,
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

    def work(self, ctx: Any, progress: Say) -> dict[str, Any]:
        """Export."""
        return exports.export(
            ctx.dataset,
            ctx.params.get("run_key"),
            forms.needed(ctx, "output_dir"),
            progress=progress,
            **exports.options_of(ctx.params),
        )

    def show(self, ctx: Any, outcome: dict[str, Any]) -> Iterator[Any]:
        """The saved view, if that is where it went."""
        if outcome.get("saved_view"):
            yield ctx.ops.reload_dataset()

    def resolve_output(self, ctx: Any) -> types.Property | None:
        """What was written and where."""
        return forms.finished(ctx, "Export finished", export_form.report)
