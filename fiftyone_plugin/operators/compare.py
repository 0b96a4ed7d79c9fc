"""Compare mining runs: which errors persist, are new, are fixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types

from hnm_core.io.progress import Progress
from hnm_core.rounds import CHANGES, KINDS

from ..app.icons import icons
from ..forms import parts, results
from ..runs import compare, records
from ..store import access, checks, views
from .long import LongOperator

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection
    from fiftyone.operators import ExecutionContext


class CompareMiningRuns(LongOperator):
    """Follow every error from an earlier run to a later one, and show those that are new, persistent or fixed."""

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists this operator."""
        return foo.OperatorConfig(
            name="compare_mining_runs",
            label="Compare mining runs",
            description="Find which errors persist, are new or are fixed since an earlier run, and show them",
            **icons("compare"),
            risk_level="medium",
            dynamic=True,
            execute_as_generator=True,
            allow_delegated_execution=True,
            view_target=False,
        )

    def __call__(
        self,
        samples: SampleCollection,
        earlier_run_key: str | None = None,
        later_run_key: str | None = None,
        truth_before: str | None = None,
        **others: Any,
    ) -> dict[str, Any]:
        """Compare from Python; ``fiftyone_plugin.store.views.changed`` then makes the views.

        Args:
            samples: the dataset that was mined.
            earlier_run_key: the earlier run.
            later_run_key: the later run, which gets the field ``KEY_change``.
            truth_before: field of the labels before they were corrected; None for the truth of the earlier run, or for
                what a corrected copy was made from, if both runs mined that copy.
            **others: refused; former names of the two runs get a sentence.

        Raises:
            ValueError: if a run is missing, or ``run_key`` and ``other_run_key`` are given instead.
        """
        _refuse_old_names(others)
        if others:
            raise TypeError(f"compare_mining_runs has no parameter {', '.join(map(repr, others))}")
        return compare.compare(access.root(samples), earlier_run_key, later_run_key, truth_before=truth_before)

    def resolve_input(self, ctx: ExecutionContext) -> types.Property:
        """Return the form."""
        inputs = types.Object()
        if parts.two_runs(ctx, inputs):
            what = "Which errors the grid shows afterwards"
            parts.choose(inputs, "show", ("new", "persistent", "fixed"), "new", "Show", what)
            parts.choose(inputs, "kind", KINDS, KINDS[0], "Kind of error", "False positives or false negatives")
            labels = "Field of the labels before they were corrected; empty: found by itself"
            fields = checks.detection_fields(ctx.dataset)
            parts.choose(inputs, "truth_before", fields, None, "Labels before", labels)
        return types.Property(inputs, view=types.View(label="Compare mining runs"))

    def work(self, ctx: ExecutionContext, progress: Progress) -> dict[str, Any]:
        """Compare, and return the outcome with a sentence about what the grid shows."""
        keys, change, kind = _asked(ctx)
        outcome = compare.compare(ctx.dataset, *keys, progress, truth_before=ctx.params.get("truth_before"))
        count, words = outcome["changes"][kind][change], kind.replace("_", " ")
        shown = f"The grid shows the {count} {change} {words}." if count else f"There are no {change} {words}."
        return {**outcome, "view": shown}

    def show(self, ctx: ExecutionContext, outcome: dict[str, Any]) -> Iterator[Any]:
        """Show the errors that the form asked for, if there are any."""
        yield ctx.ops.reload_dataset()
        keys, change, kind = _asked(ctx)
        if outcome["changes"][kind][change]:  # an empty grid would look as if comparing had failed
            yield ctx.ops.set_view(
                view=views.changed(ctx.dataset, *records.both(ctx.dataset, *keys), change, kind=kind)
            )

    def resolve_output(self, ctx: ExecutionContext) -> types.Property | None:
        """Return the table of changes."""
        return results.finished(
            ctx, "Comparison finished", lambda outputs, outcome: results.report(outputs, outcome, outcome["view"])
        )


def _asked(ctx: ExecutionContext) -> tuple[tuple[str | None, str | None], str, str]:
    """Return the keys of the earlier and the later run, and the change and the kind of error to show."""
    _refuse_old_names(ctx.params)
    keys = ctx.params.get("earlier_run_key"), ctx.params.get("later_run_key")
    change = views.known("show", ctx.params.get("show") or "new", CHANGES)
    return keys, change, views.known("kind", ctx.params.get("kind") or KINDS[0], KINDS)


def _refuse_old_names(params: Mapping[str, Any]) -> None:
    """Refuse the names of a development version, which had the later run first.

    Raises:
        ValueError: naming those to use.
    """
    old = [name for name in ("run_key", "other_run_key") if name in params]
    if old:
        raise ValueError(
            f"compare_mining_runs has no parameter {' or '.join(old)}: name the runs earlier_run_key and later_run_key"
        )
