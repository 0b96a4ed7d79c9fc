"""The panel's tabs: one function each, which lays out a part of the panel for the run that is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import fiftyone.operators.types as types

from . import layout, review, suspects, threshold, unlabelled

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext

Section = Callable[[types.Object, Any, Any], None]


def charts(panel: types.Object, handler: Any, ctx: ExecutionContext) -> None:
    """Add a run's numbers and charts."""
    state = ctx.panel.state
    layout.numbers(panel, state.facts or [], state.remarks or [])
    unlabelled.section(panel, handler, state.remarks or [])
    suspects.section(panel, handler, state.suspects or {})
    layout.charts(panel, handler, confused=bool(state.confused), without_truth=bool(state.without_truth))
    threshold.section(panel, handler, state.counts or {})


def rounds(panel: types.Object, handler: Any, ctx: ExecutionContext) -> None:
    """Add the rates of all runs over time, and the buttons for a run as a whole."""
    layout.trend(panel, handler)
    layout.run_actions(panel, handler)


SECTIONS: dict[str, Section] = {"charts": charts, "review": review.section, "rounds": rounds}
"""The tabs in their order: name → ``(panel, handler, ctx)``. A step of the same name opens its tab."""
