"""What the panel's tabs hold: a function each that lays out a part of the panel for the run that is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fiftyone.operators.types as types

from . import layout, review

Section = Callable[[types.Object, Any, Any], None]


def charts(panel: types.Object, handler: Any, ctx: Any) -> None:
    """A run's numbers and charts."""
    state = ctx.panel.state
    layout.numbers(panel, state.facts or [], state.remarks or [])
    layout.charts(panel, handler)


def rounds(panel: types.Object, handler: Any, ctx: Any) -> None:
    """How the rates went over all runs, and what can be done with a run as a whole."""
    layout.trend(panel, handler)
    layout.run_actions(panel, handler)


SECTIONS: dict[str, Section] = {"charts": charts, "review": review.section, "rounds": rounds}
"""The tabs in their order: name → ``(panel, handler, ctx)``. A step of the same name opens its tab."""
