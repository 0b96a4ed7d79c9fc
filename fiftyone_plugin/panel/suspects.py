"""Labels that the model contradicts, in the panel: how many of each kind, and a button that shows them in the grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import fiftyone.operators.types as types

from hnm_core.report import SUSPECTS

from ..review.sheets import patches_of
from ..runs import records
from .layout import NOTES, WRAPPED

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext

    from ..settings import RunSettings

MOST = 200
"""Labels that a click shows, the hardest (chosen)."""

WAYS = {"wrong_label": "wrong class", "wrong_box": "wrong box", "bogus_label": "on nothing"}


class SuspectsSection:
    """The events of this part of the panel; ``state.suspects`` holds the counts."""

    _set_view: Callable[..., None]
    """Show a view in the grid; the panel has it."""

    def show_suspects(self, ctx: ExecutionContext) -> None:
        """Show the labels that the model contradicts most in the way of the clicked button."""
        way = ctx.params["way"]
        self._set_view(ctx, lambda settings: hardest(ctx.dataset, settings, way))


def hardest(dataset: Any, settings: RunSettings, way: str) -> Any:
    """Return the labels that the model contradicts in one way as patches, the most suspicious first.

    Raises:
        ValueError: if there is none any more.
    """
    _, results = records.load(dataset, settings.run_key)
    suspects = results.label_suspects
    count = results.report["label_suspects"].get(way, 0) if way in suspects else 0
    known = [row for row, value in enumerate(suspects.get(way, ())) if value is not None]
    rows = sorted(known, key=lambda row: -suspects[way][row])[: min(count, MOST)]
    ids, samples = ([suspects[name][row] for row in rows] for name in ("label_id", "sample_id"))
    view = patches_of(dataset, settings.gt_field, samples, ids, [settings.pred_field]) if rows else None
    if view is None or not len(view):
        raise ValueError(f"no label of {settings.gt_field!r} is left that the model contradicts so: mine again")
    return view


def section(panel: types.Object, handler: Any, counts: Mapping[str, int]) -> None:
    """Add the number of labels that the model contradicts, and a button for each way."""
    if not any(counts.get(way) for way in SUSPECTS):
        return
    were = "was" if counts["labels"] == 1 else "were"
    text = f"Asked again, the model contradicts labels ({counts['labels']:,} {were} compared):"
    panel.md(text, name="suspects_text", componentsProps=NOTES)
    bar = panel.h_stack("suspects_bar", gap=1, align_y="center", componentsProps=WRAPPED)
    for way, what in WAYS.items():
        bar.btn(
            f"suspects_{way}",
            label=f"{counts.get(way, 0):,} {what}",
            on_click=handler.show_suspects,
            params={"way": way},
            variant="outlined",
            disabled=not counts.get(way),
        )
