"""View hard negatives: what a run mined, hardest first."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.reviews import STATES
from hnm_core.rounds import CHANGES
from hnm_core.taxonomy import ERROR_TYPES

from .. import forms, runs, views
from ..icons import icons

FILTERS = (
    *("type", "side", "label", "error", "state", "change", "min_difficulty", "min_suspicion", "max_suspicion"),
    *("patches", "sort_by"),
)


class ViewHardNegatives(foo.Operator):
    """Show the mined objects of a run in the grid, hardest first."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="view_hard_negatives",
            label="View hard negatives",
            description="Show what a mining run found, hardest first",
            **icons("view"),
            dynamic=True,
            view_target=False,
        )

    def __call__(self, samples: Any, run_key: str, *, save_as: str | None = None, **filters: Any) -> Any:
        """The view, of a dataset or within a view; ``views.hardest`` says what narrows it. ``save_as`` keeps it."""
        settings = runs.settings_of(samples._root_dataset, run_key)
        runs.check_finished(samples._root_dataset.get_run_info(run_key).config, run_key)
        view = views.hardest(samples, settings, **{name: value for name, value in filters.items() if value is not None})
        if save_as:
            views.save(view, save_as)
        return view

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        if forms.existing_run(ctx, inputs):
            forms.choose(inputs, "type", views.TYPES, views.TYPES[0], "Show", "Kind of mistake")
            forms.choose(inputs, "error", ERROR_TYPES, None, "Error", "Only this error type")
            forms.choose(inputs, "state", STATES, None, "Review state", "Only what was reviewed so, or not yet")
            inputs.bool("patches", label="One object a tile", default=False)
            forms.choose(inputs, "sort_by", views.SORTS, views.SORTS[0], "Sort by", "Largest first")
            inputs.bool("show_advanced", label="More filters", default=False, view=types.SwitchView())
            if ctx.params.get("show_advanced"):
                _more(ctx, inputs)
            _check(ctx, inputs)
        return types.Property(inputs, view=types.View(label="View hard negatives"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        """Set the view; an empty grid would look as if something had failed, so nothing found is said instead."""
        run_key = ctx.params.get("run_key")
        filters = {name: ctx.params.get(name) for name in FILTERS}
        view = self(ctx.dataset, run_key, save_as=ctx.params.get("save_as"), **filters)
        count = view.count()
        if not ctx.delegated and count:
            ctx.ops.set_view(view=view)
        elif not ctx.delegated:
            ctx.ops.notify(f"Nothing that run {run_key!r} mined is so: the grid stays as it is", variant="info")
        return {"run_key": run_key, "count": count}


def _more(ctx: Any, inputs: types.Object) -> None:
    """Ask for what is rarely asked for."""
    inputs.str("label", label="Class", required=False, description="Only objects of this class")
    for name, what in (("min_difficulty", "Minimum difficulty"), ("min_suspicion", "Minimum suspicion")):
        inputs.float(name, label=what, min=0, max=1, required=False)
    inputs.float("max_suspicion", label="Maximum suspicion", min=0, max=1, required=False)
    what = "Only errors that persist or are new since the run that this one was compared with"
    forms.choose(inputs, "change", CHANGES[:2], None, "Change", what)
    inputs.str("save_as", label="Save as", required=False, description="Name under which the view is kept")


def _check(ctx: Any, inputs: types.Object) -> None:
    """Say why there is no such view."""
    key = ctx.params.get("run_key") or runs.newest(ctx.dataset)
    filters = {name: ctx.params[name] for name in FILTERS if ctx.params.get(name) is not None}
    try:
        views.hardest(ctx.dataset, runs.settings_of(ctx.dataset, key), **filters)
        if name := ctx.params.get("save_as"):
            views.check_name(ctx.dataset, name)
    except ValueError as error:
        forms.refuse(inputs, str(error))
