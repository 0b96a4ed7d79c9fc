"""View hard negatives: show what a run mined, hardest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.boxes import SIZES
from hnm_core.labels.reviews import STATES
from hnm_core.rounds import CHANGES

from ..app import colors
from ..app.icons import icons
from ..forms import parts
from ..runs import records
from ..settings import NOT_SETTINGS
from ..store import access, views

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class ViewHardNegatives(foo.Operator):
    """Show the mined objects of a run in the grid, hardest first."""

    takes = (views.hardest,)
    """What describes the options that are not named in the signature."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="view_hard_negatives",
            label="View hard negatives",
            description="Show what a mining run found, hardest first",
            **icons("view"),
            risk_level="low",
            dynamic=True,
            view_target=False,
        )

    def __call__(self, samples: SampleCollection, run_key: str, *, save_as: str | None = None, **filters: Any) -> Any:
        """Return the view of a run's hard negatives, hardest first.

        Args:
            samples: a dataset or a view of it.
            run_key: the run to show.
            save_as: save the view in the dataset under this name.
            **filters: which objects are shown.
        """
        views.check_filters(filters)
        settings = records.settings_of(access.root(samples), run_key)
        view = views.hardest(samples, settings, **{name: value for name, value in filters.items() if value is not None})
        if save_as:
            views.save(view, save_as)
        return view

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        if parts.existing_run(ctx, inputs):
            parts.choose(
                inputs, "type", views.TYPES, None, "Show", "False positives unless chosen; missed objects for missed"
            )
            settings = records.settings_of(ctx.dataset, ctx.params.get("run_key") or records.newest(ctx.dataset))
            parts.choose(inputs, "error", views.errors_of(settings), None, "Error", "Only this error type")
            parts.choose(inputs, "size", SIZES, None, "Size", "Only boxes of this size, by their share of the image")
            parts.choose(inputs, "state", STATES, None, "Review state", "Only objects with this review state")
            inputs.bool("patches", label="One object per tile", default=False)
            parts.choose(inputs, "sort_by", views.SORTS, views.SORTS[0], "Sort by", "Largest first")
            inputs.bool("show_advanced", label="More filters", default=False, view=types.SwitchView())
            if ctx.params.get("show_advanced"):
                _more(ctx, inputs)
            _check(ctx, inputs)
        return types.Property(inputs, view=types.View(label="View hard negatives"))

    def execute(self, ctx: ExecutionContext) -> dict[str, Any]:
        """Set the view; if it is empty, leave the grid and notify instead."""
        run_key = ctx.params.get("run_key")
        view = self(ctx.dataset, run_key, save_as=ctx.params.get("save_as"), **_filters(ctx))
        count = view.count()
        if not ctx.delegated and count:
            ctx.ops.set_view(view=view)
            colors.set_colors(ctx, records.settings_of(ctx.dataset, run_key))
        elif not ctx.delegated:
            ctx.ops.notify(f"No object of run {run_key!r} matches these filters; the view is unchanged", variant="info")
        return {"run_key": run_key, "count": count}


def _filters(ctx: ExecutionContext) -> dict[str, Any]:
    """Return the parameters that say which objects are shown; what no filter is called is refused later."""
    others = {*NOT_SETTINGS, "run_key", "save_as"}
    return {name: value for name, value in ctx.params.items() if value is not None and name not in others}


def _more(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Ask for the less common filters."""
    inputs.str("label", label="Class", required=False, description="Only objects of this class")
    for name, what in (("min_difficulty", "Minimum difficulty"), ("min_suspicion", "Minimum suspicion")):
        inputs.float(name, label=what, min=0, max=1, required=False)
    inputs.float("max_suspicion", label="Maximum suspicion", min=0, max=1, required=False)
    inputs.int("most", label="At most", min=1, required=False, description="Only so many objects, the hardest")
    what = "Only errors that persist or are new since the compared run"
    parts.choose(inputs, "change", CHANGES[:2], None, "Change", what)
    inputs.str("save_as", label="Save as", required=False, description="Save the view under this name")


def _check(ctx: ExecutionContext, inputs: types.Object) -> None:
    """Show why there is no such view."""
    key = ctx.params.get("run_key") or records.newest(ctx.dataset)
    try:
        views.check_filters(_filters(ctx))
        views.hardest(ctx.dataset, records.settings_of(ctx.dataset, key), **_filters(ctx))
        if name := ctx.params.get("save_as"):
            views.check_name(ctx.dataset, name)
    except ValueError as error:
        parts.refuse(inputs, str(error))
