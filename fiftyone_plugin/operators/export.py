"""Export weighted subset: write the train split to disk, hard images more often."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.export import ExportSettings
from hnm_core.io.progress import Progress

from ..actions import export
from ..app.icons import icons
from ..forms import export_form, parts, results
from ..store import access
from .long import LongOperator

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class ExportWeightedSubset(LongOperator):
    """Write the images and labels of a run, with its weights, as a data set for a trainer."""

    takes = (export.export, ExportSettings)
    """What describes the options that are not named in the signature."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="export_weighted_subset",
            label="Export weighted subset",
            description="Write the train split to disk with its sample weights, ready for training",
            **icons("export"),
            risk_level="high",
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(self, samples: SampleCollection, run_key: str, output_dir: str, **options: Any) -> dict[str, Any]:
        """Export from Python, and return what was written.

        Args:
            samples: the dataset that was mined.
            run_key: the run whose weights are exported.
            output_dir: a new or empty folder.
            **options: layout, media and what is exported.
        """
        return export.export(access.root(samples), run_key, output_dir, **options)

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        if parts.existing_run(ctx, inputs):
            export_form.ask(ctx, inputs)
            export_form.check(ctx, inputs)
        return types.Property(inputs, view=types.View(label="Export weighted subset"))

    def work(self, ctx: ExecutionContext, progress: Progress) -> dict[str, Any]:
        """Export."""
        return export.export(
            ctx.dataset,
            ctx.params.get("run_key"),
            parts.needed(ctx, "output_dir"),
            progress=progress,
            **export.options_of(ctx.params),
        )

    def show(self, ctx: ExecutionContext, outcome: dict[str, Any]) -> Iterator[Any]:
        """Show the saved view, if there is one."""
        if outcome.get("saved_view"):
            yield ctx.ops.reload_dataset()

    def resolve_output(self, ctx: ExecutionContext) -> types.Property | None:
        """Return what was written and where."""
        return results.finished(ctx, "Export finished", export_form.report)
