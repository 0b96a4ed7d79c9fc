"""What the panel looks like: where numbers and charts stand, and what is said where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import fiftyone.operators.types as types

from .steps import Step

CHARTS = "charts"
QUIET = {"displayModeBar": False, "scrollZoom": False, "responsive": True}

FACT = {
    "container": {
        "sx": {
            "& p": {"m": 0, "fontSize": 12, "lineHeight": 1.35, "color": "text.secondary"},
            "& p strong": {"fontSize": 18, "fontWeight": 600, "color": "text.primary"},
            "& p:nth-of-type(3)": {"fontSize": 11, "color": "text.tertiary"},
        }
    }
}
NOTES = {
    "container": {
        "sx": {"& ul, & p": {"m": 0}, "& ul": {"pl": 2}, "& li, & p": {"fontSize": 12, "color": "text.secondary"}}
    }
}


def steps(panel: types.Object, handler: Any, offered: Sequence[Step], following: str) -> None:
    """The steps of a round in their order, the next one highlighted."""
    row = panel.grid("steps", orientation="horizontal", componentsProps=_columns(96))
    for number, step in enumerate(offered, start=1):
        row.btn(
            step.name,
            label=f"{number} {step.name.capitalize()}",
            title=f"{step.what} (comes next)" if step.name == following else step.what,
            on_click=handler.take_step,
            params={"step": step.name},
            variant="contained" if step.name == following else "outlined",
            componentsProps={"button": {"sx": {"width": "100%", "whiteSpace": "nowrap"}}},
        )


def invitation(panel: types.Object) -> None:
    """What stands here before anything was mined."""
    panel.md(
        "This dataset has no mining run yet: mine it to see what the detector is most wrong about.", name="none_yet"
    )


def head(panel: types.Object, handler: Any, keys: Sequence[str]) -> None:
    """Which run is shown, and ways back to the whole grid."""
    bar = panel.h_stack("head", gap=1, align_y="center")
    choices = types.DropdownView(label="Run", compact=True)
    for key in keys:
        choices.add_choice(key, label=key)
    bar.enum("run", choices.values(), view=choices, on_change=handler.choose_run)
    bar.btn("hardest", label="Hardest first", on_click=handler.show_hardest, variant="outlined")
    bar.btn("all", label="Show all", on_click=handler.show_all, variant="outlined")


def tabs(panel: types.Object, handler: Any, names: Sequence[str], chosen: str) -> None:
    """The sections of the panel; the one shown is underlined."""
    bar = panel.h_stack("tabs", gap=2)
    for name in names:
        line = {"borderBottom": "2px solid", "borderColor": "primary.main" if name == chosen else "transparent"}
        bar.btn(
            f"show_{name}",
            label=name.capitalize(),
            on_click=handler.show_section,
            params={"section": name},
            componentsProps={
                "button": {
                    "variant": "text",
                    "sx": {**line, "borderRadius": 0, "px": 0.5, "py": 0.25, "minWidth": 0, "color": "text.primary"},
                }
            },
        )


def problem(panel: types.Object, sentence: str) -> None:
    """Why there is nothing to see."""
    panel.view("problem", types.Warning(label="This run can't be shown", description=sentence))


def numbers(panel: types.Object, facts: Sequence[Sequence[str]], notes: Sequence[str]) -> None:
    """The headline, six facts a line; below, what should be known about it."""
    grid = panel.grid("numbers", columns=6, orientation="horizontal", gap=1, align_x="stretch")
    for number, (name, value, remark) in enumerate(facts):
        grid.md(f"{name}\n\n**{value}**\n\n{remark}", name=f"fact_{number}", componentsProps=FACT)
    if notes:
        panel.md("\n".join(f"* {note}" for note in notes), name="notes", componentsProps=NOTES)


def charts(panel: types.Object, handler: Any) -> None:
    """Four charts, two a line."""
    grid = panel.grid(CHARTS, columns=2, orientation="horizontal", gap=1)
    for name, how in LAYOUTS.items():
        grid.plot(name, layout=how, config=QUIET, on_click=handler.pick, height="280px")
    panel.md("Click a bar or a point to see in the grid what it stands for.", name="hint", componentsProps=NOTES)


def _columns(least: int) -> dict[str, Any]:
    """Of a grid: as many columns as fit at this width in pixels, all of one width."""
    columns = f"repeat(auto-fit, minmax(min(100%, {least}px), 1fr))"
    return {"grid": {"sx": {"gridTemplateColumns": columns, "gridAutoFlow": "row"}}}


def _layout(title: str, x: str, y: str, **more: Any) -> dict[str, Any]:
    """A small chart's layout; colours and background come from the App's theme."""
    return {
        "title": {"text": title, "font": {"size": 13}, "x": 0.02, "xanchor": "left", "y": 0.97},
        "font": {"size": 11},
        "margin": {"t": 34, "l": 48, "r": 12, "b": 40},
        "xaxis": {"title": {"text": x, "font": {"size": 11}, "standoff": 6}, "zeroline": False},
        "yaxis": {"title": {"text": y, "font": {"size": 11}, "standoff": 6}, "zeroline": False},
        "barmode": "stack",
        "bargap": 0.06,
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        **more,
    }


LAYOUTS = {
    "scatter": _layout("Confident predictions (grey: true positives)", "confidence", "IoU with the nearest truth"),
    "errors": _layout(
        "Errors by type (hatched: false negatives)",
        "objects",
        "",
        yaxis={"autorange": "reversed", "zeroline": False, "showgrid": False},
    ),
    "confidence": _layout("Predictions by confidence", "confidence", "predictions"),
    "iou": _layout("Predictions by IoU", "IoU with the nearest truth", "predictions"),
}
