"""Compare mining runs: which errors persist, are new, are fixed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.rounds import CHANGES, KINDS

from .. import comparing, forms, runs, views
from ..icons import icons
from .long import LongOperator, Say


class CompareMiningRuns(LongOperator):
    """Follow every error from an earlier run to a later one, and open those that are new, persistent or fixed."""

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="compare_mining_runs",
            label="Compare mining runs",
            description="Tell which errors persist, are new or are fixed since an earlier run, and show them",
            **icons("compare"),
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(self, samples: Any, run_key: str, other_run_key: str) -> dict[str, Any]:
        """Compare from Python; ``fiftyone_plugin.views.changed`` then makes the views."""
        return comparing.compare(samples._root_dataset, run_key, other_run_key)

    def resolve_input(self, ctx: Any) -> types.Property:
        """The form."""
        inputs = types.Object()
        if forms.two_runs(ctx, inputs):
            what = "What the grid shows afterwards"
            forms.choose(inputs, "show", ("new", "persistent", "fixed"), "new", "Show", what)
            forms.choose(inputs, "kind", KINDS, KINDS[0], "Of the", "Kind of mistake")
        return types.Property(inputs, view=types.View(label="Compare mining runs"))

    def work(self, ctx: Any, progress: Say) -> dict[str, Any]:
        """Compare."""
        keys, change, kind = _asked(ctx)
        outcome = comparing.compare(ctx.dataset, *keys, progress=progress)
        count, words = outcome["changes"][kind][change], kind.replace("_", " ")
        shown = f"The grid shows the {count} {change} {words}." if count else f"There are no {change} {words}."
        return {**outcome, "view": shown}

    def show(self, ctx: Any, outcome: dict[str, Any]) -> Iterator[Any]:
        """What was asked for, if there is any."""
        yield ctx.ops.reload_dataset()
        keys, change, kind = _asked(ctx)
        if outcome["changes"][kind][change]:  # an empty grid would look as if comparing had failed
            yield ctx.ops.set_view(view=views.changed(ctx.dataset, *runs.both(ctx.dataset, *keys), change, kind=kind))

    def resolve_output(self, ctx: Any) -> types.Property | None:
        """The table."""
        return forms.finished(
            ctx, "Comparison finished", lambda outputs, outcome: forms.report(outputs, outcome, outcome["view"])
        )


def _asked(ctx: Any) -> tuple[tuple[str | None, str | None], str, str]:
    """Both runs, the change and the kind of mistake to show."""
    keys = ctx.params.get("run_key"), ctx.params.get("other_run_key")
    change = views.known("show", ctx.params.get("show") or "new", CHANGES)
    return keys, change, views.known("kind", ctx.params.get("kind") or KINDS[0], KINDS)
