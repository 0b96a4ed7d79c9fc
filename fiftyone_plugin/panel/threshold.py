"""Counts at other confidence thresholds, from the tallies that a run stored, without mining again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import fiftyone.operators.types as types

from hnm_core.report import percent
from hnm_core.reporting.threshold_table import ThresholdTable

from ..app.uris import uri
from ..runs import history, records
from .layout import NOTES, WIDE, WRAPPED

if TYPE_CHECKING:
    from fiftyone.operators import ExecutionContext

SLIDER = "confidence"
"""Name of the slider inside the part ``thresholds`` of the panel."""

LEAST = 0.01
"""Least threshold of the slider: the App takes a zero for no value, and draws the default instead."""

COLUMNS = ("from", "false positives", "missed", "right", "ignored", "precision", "recall")
"""Names of the columns of the table, in the order of :func:`counts_at`."""

IGNORED = COLUMNS.index("ignored")
"""Column that is left out where nothing is ignored: the panel may be narrow."""

TABLE = {"container": {"sx": {"& th, & td": {"px": 0.5, "fontSize": 12, "overflowWrap": "normal"}}}}

TENTHS = tuple(step / 10 for step in range(1, 10))


class ThresholdSection:
    """The events of the slider. ``state.counts`` holds the rows to show, ``state.thresholds`` what the slider has."""

    def change_threshold(self, ctx: ExecutionContext) -> None:
        """Count again at the threshold of the slider, unless the App only tells that it drew it."""
        value = float(ctx.params["value"])
        if value != (ctx.panel.state.counts or {}).get("chosen"):
            self.count_again(ctx, value)

    def count_again(self, ctx: ExecutionContext, chosen: float | None = None) -> None:
        """Count at a threshold; without one, at that of the run. A run of an older version has no tallies."""
        key = ctx.panel.get_state("head.run")
        settings = records.settings_of(ctx.dataset, key).engine
        tallies = history.overview(ctx.dataset, key).get("thresholds")
        value = min(max(settings.confidence_threshold if chosen is None else round(chosen, 2), LEAST), 1.0)
        rows = counts_at(tallies, value) if tallies else []
        note = NOTE_CLASSES if settings.class_confidence else ""
        note += NOTE_AGNOSTIC if settings.class_agnostic else ""
        ctx.panel.state.set("counts", {"rows": rows, "chosen": value, "note": note})
        if chosen is None:
            ctx.panel.state.set(f"thresholds.{SLIDER}", value)

    def mine_at(self, ctx: ExecutionContext) -> None:
        """Open the form of mining with the threshold of the slider."""
        settings = records.settings_of(ctx.dataset, ctx.panel.get_state("head.run"))
        params: dict[str, Any] = {"pred_field": settings.pred_field, "gt_field": settings.gt_field}
        params["confidence_threshold"] = (ctx.panel.state.counts or {}).get("chosen")
        ctx.prompt(uri("mine_hard_negatives"), params=params)


NOTE_CLASSES = " The run has thresholds of single classes; this table uses one threshold for all classes."
NOTE_AGNOSTIC = " The run matched boxes whatever their class: at higher thresholds the numbers are approximate."


def counts_at(tallies: Mapping[str, Any], chosen: float) -> list[list[Any]]:
    """Return the counts at every tenth and at the chosen threshold, as rows in rising order.

    Each is ``[threshold, false positives, missed, right, ignored, precision, recall]``.
    """
    found = ThresholdTable.from_dict(tallies).rows(sorted({*TENTHS, chosen}))
    return [
        [
            *(row["threshold"], row["false_positives"], row["false_negatives"], row["true_positives"], row["ignored"]),
            *(percent(row["precision"], 1), percent(row["recall"], 1)),
        ]
        for row in found
    ]


def _cell(value: Any) -> str:
    """Return a cell as text."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}" if isinstance(value, float) else str(value)


def section(panel: types.Object, handler: Any, state: Mapping[str, Any]) -> None:
    """Add the slider and the table; nothing for a run without tallies."""
    rows: Sequence[Sequence[Any]] = state.get("rows") or []
    if not rows:
        return
    box = panel.grid("thresholds", orientation="vertical", gap=0.5, componentsProps=WIDE)
    chosen = state["chosen"]
    box.md(
        "**Other confidence thresholds**: counted again from this run, without mining",
        name="what",
        componentsProps=NOTES,
    )
    box.float(
        SLIDER,
        min=LEAST,
        max=1,
        default=chosen,
        view=types.SliderView(label="From", value_precision=2, value_label_display="auto"),
        on_change=handler.change_threshold,
    )
    at = next(row for row in rows if row[0] == chosen)
    what = f"At **{chosen:.2f}**: **{at[1]:,}** false positive{'s' * (at[1] != 1)}, "
    what += f"**{at[2]:,}** missed object{'s' * (at[2] != 1)}, {at[3]:,} right."
    box.md(f"{what}{state.get('note', '')}", name="at", componentsProps=NOTES)
    names = list(COLUMNS if any(row[IGNORED] for row in rows) else COLUMNS[:IGNORED] + COLUMNS[IGNORED + 1 :])
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for counts in rows:
        of_column = dict(zip(COLUMNS, counts, strict=True))
        cells = [_cell(of_column[name]) for name in names]
        lines.append(f"| {' | '.join(f'**{cell}**' if counts[0] == chosen else cell for cell in cells)} |")
    box.md("\n".join(lines), name="table", componentsProps=TABLE)
    row = box.h_stack("row", gap=1, componentsProps=WRAPPED)
    row.btn("mine_at", label=f"Mine at {chosen:.2f} …", on_click=handler.mine_at, variant="outlined")
