"""Mend labels: bring the corrected copy of the truth in line with the reviews."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from ..app.icons import icons
from ..forms import parts, results
from ..review import mending, triage
from ..runs import corrections, records
from ..store import access

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class MendLabels(foo.Operator):
    """Accept missing labels, correct classes and boxes, and remove bogus labels, in a copy of the truth field."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="mend_labels",
            label="Mend labels",
            description="Correct every label that was reviewed as wrong, in a copy of the ground truth",
            **icons("accept"),
            risk_level="medium",
            dynamic=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(self, samples: SampleCollection, run_key: str) -> dict[str, Any]:
        """Mend from Python, and return what is mended in which field.

        Args:
            samples: the dataset that was mined.
            run_key: the run that was reviewed.
        """
        return triage.mend(access.root(samples), run_key)

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        if parts.existing_run(ctx, inputs):
            settings = records.settings_of(ctx.dataset, ctx.params.get("run_key") or records.newest(ctx.dataset))
            copy = corrections.copy_of(ctx.dataset, settings.gt_field)
            inputs.view("what", types.Notice(label=f"Corrections go into {copy!r}; the ground truth is not changed"))
            try:
                mending.check_copy(ctx.dataset, settings)
            except ValueError as error:
                parts.refuse(inputs, str(error))
        return types.Property(inputs, view=types.View(label="Mend labels"))

    def execute(self, ctx: ExecutionContext) -> dict[str, Any]:
        """Mend, and let the App show the corrected field."""
        done = triage.mend(ctx.dataset, ctx.params.get("run_key"), ctx.user_id)
        if not ctx.delegated:
            ctx.ops.reload_dataset()
        return done

    def resolve_output(self, ctx: ExecutionContext) -> types.Property | None:
        """Return what was mended."""
        return results.finished(ctx, "Labels mended", _show)


def _show(outputs: types.Object, done: Mapping[str, Any]) -> None:
    results.notes(outputs, [mending.outcome_text(done), *([done["stale"]] if done["stale"] else [])])
