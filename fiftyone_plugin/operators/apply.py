"""Apply reviews: update the weights of a run from the reviews, without mining again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.io.progress import Progress

from ..app.icons import icons
from ..forms import parts, results
from ..review import reweigh, triage
from ..store import access
from .long import LongOperator

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class ApplyReviews(LongOperator):
    """Update fields, tags and weights of a run from the reviews of its dataset."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="apply_reviews",
            label="Apply reviews",
            description="Update the weights of a run from the reviews of its mistakes, without mining again",
            **icons("apply"),
            risk_level="medium",
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(self, samples: SampleCollection, run_key: str) -> dict[str, Any]:
        """Apply from Python, and return how many reviews count and what the weights are now.

        Args:
            samples: the dataset that was mined.
            run_key: the run that was reviewed.
        """
        _take_edits(access.root(samples), run_key)
        return reweigh.apply_reviews(access.root(samples), run_key)

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        parts.existing_run(ctx, inputs, besides=("applying",))
        return types.Property(inputs, view=types.View(label="Apply reviews"))

    def work(self, ctx: ExecutionContext, progress: Progress) -> dict[str, Any]:
        """Apply the reviews."""
        _take_edits(ctx.dataset, ctx.params.get("run_key"), ctx.user_id)
        return reweigh.apply_reviews(ctx.dataset, ctx.params.get("run_key"), progress)

    def show(self, ctx: ExecutionContext, outcome: dict[str, Any]) -> Iterator[Any]:
        """Show the new weights."""
        yield ctx.ops.reload_samples()

    def resolve_output(self, ctx: ExecutionContext) -> types.Property | None:
        """Return how many reviews count, and what the weights are now."""
        return results.finished(
            ctx, "Reviews applied", lambda outputs, done: results.notes(outputs, [reweigh.outcome_text(done)])
        )


def _take_edits(dataset: fo.Dataset, run_key: str | None, who: str | None = None) -> None:
    """Bring what was edited in Annotate mode into the ledger first, unless the run has to be repaired before."""
    with suppress(ValueError):
        triage.take_edits(dataset, run_key, who)
