"""The outcome that an operator shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators.types as types

from ..app import background

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext

SHOWN = "shown_already"
"""Key of results that the App shows already."""


def finished(ctx: ExecutionContext, label: str, show: Callable[[types.Object, Any], None]) -> types.Property | None:
    """Return what an operator shows of its results.

    None if it failed or was scheduled (the App asks then, too, and an error here would hide the real one), or if it is
    shown already.

    Args:
        ctx: FiftyOne's context.
        label: title of what is shown.
        show: adds the results to the output.
    """
    if not ctx.results or SHOWN in ctx.results or background.is_scheduled(ctx.results):
        return None
    outputs = types.Object()
    outputs.view("finished", types.Header(label=label))
    show(outputs, ctx.results)
    return types.Property(outputs)


def report(outputs: types.Object, outcome: Mapping[str, Any], first: str = "") -> None:
    """Show a report and warnings, below a sentence on what the App shows."""
    if first:
        outputs.md(first, name="first")
    notes(outputs, outcome["warnings"])
    outputs.md(f"```text\n{outcome['summary']}\n```", name="shown")  # a name of the outcome would show its value


def notes(outputs: types.Object, sentences: Iterable[str]) -> None:
    """Show sentences below each other."""
    for number, sentence in enumerate(sentences):
        outputs.view(f"note_{number}", types.Notice(label=sentence))
