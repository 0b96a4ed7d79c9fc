"""Mine hard negatives: read, mine, write, show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.io.progress import Progress
from hnm_core.settings import MiningSettings

from ..actions import evaluations, mine
from ..actions.strategies import check_registered
from ..app import background, colors
from ..app.icons import icons
from ..forms import mining_form, parts, results
from ..runs import records
from ..settings import RunSettings
from ..store import views
from .long import LongOperator

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class MineHardNegatives(LongOperator):
    """Score every prediction and image, and write the scores to the dataset."""

    takes = (RunSettings, MiningSettings)
    """What describes the options that are not named in the signature."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="mine_hard_negatives",
            label="Mine hard negatives",
            description="Find the worst mistakes of a detector, and weight the images by them",
            **icons("mine"),
            risk_level="high",
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
        )

    def __call__(
        self,
        samples: SampleCollection,
        pred_field: str | None = None,
        gt_field: str | None = None,
        run_key: str | None = None,
        *,
        overwrite: bool = False,
        **settings: Any,
    ) -> dict[str, Any]:
        """Mine a dataset or view from Python, and return the report.

        Args:
            samples: a dataset or a view of it.
            pred_field: field of the predictions; not needed with ``eval_key``.
            gt_field: field of the ground truth; not needed with ``eval_key``.
            run_key: name of the run, and the beginning of every field that it writes.
            overwrite: replace a run of the same name.
            **settings: every setting of a run.
        """
        named = {"pred_field": pred_field, "gt_field": gt_field, "run_key": run_key, "overwrite": overwrite, **settings}
        return mine.mine_samples(samples, named)

    def resolve_placement(self, ctx: ExecutionContext) -> types.Placement:
        """Return a button above the grid."""
        button = types.Button(label="Mine hard negatives", icon="filter_center_focus", prompt=True)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        parts.target(ctx, inputs, "Mine")
        if parts.has_fields(ctx, inputs):
            params = mining_form.evaluation(ctx, inputs)
            parts.check(ctx, inputs, params)
            if not params.get("eval_key"):
                parts.fields(ctx, inputs)
            parts.run_key(ctx, inputs)
            parts.split(ctx, inputs)
            mining_form.count(ctx, inputs)
            known = evaluations.KEPT if params.get("eval_key") else ()
            if parts.engine(ctx, inputs, known):
                mining_form.class_rows(ctx, inputs, params)
                parts.more(ctx, inputs, known)
            inputs.view("background", types.Notice(label=background.background_help()))
        return types.Property(inputs, view=types.View(label="Mine hard negatives"))

    def work(self, ctx: ExecutionContext, progress: Progress) -> dict[str, Any]:
        """Mine; what the App sends names no module to import."""
        check_registered(ctx.params.get("strategy"))
        return mine.mine_samples(parts.target_samples(ctx), ctx.params, progress)

    def show(self, ctx: ExecutionContext, outcome: dict[str, Any]) -> Iterator[Any]:
        """Show the hardest images and the panel."""
        yield ctx.ops.reload_dataset()
        settings = records.settings_of(ctx.dataset, outcome["run_key"])
        hardest = views.hardest(ctx.dataset, settings)
        if hardest:  # an empty grid would look as if mining had failed
            yield ctx.ops.set_view(view=hardest)
            yield colors.set_colors(ctx, settings)
        yield ctx.ops.open_panel("hard_negatives_panel", layout="horizontal", is_active=True)

    def resolve_output(self, ctx: ExecutionContext) -> types.Property | None:
        """Return the report and the warnings about the data."""
        return results.finished(ctx, "Mining finished", results.report)
