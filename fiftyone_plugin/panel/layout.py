"""What the panel looks like: where numbers and charts stand, and what is said where there are none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import fiftyone.operators.types as types

from .. import background, rounds
from .steps import STEPS, operators

CHARTS, TREND = "charts", "trend"
NEEDED = (
    "It needs two fields of type Detections first: a detector's predictions, with confidences, and the ground truth."
)
INTERVAL = 3000
"""Milliseconds between two looks at what works in the background."""

DELETE, PREDICT = "delete_mining_run", "predict_with_yolo"
ACTIONS = {"compare_mining_runs": "Compare", "rename_mining_run": "Rename", DELETE: "Delete"}
QUIET = {"displayModeBar": False, "scrollZoom": False, "responsive": True}

FACT: dict[str, dict[str, Any]] = {
    "& p": {"m": 0, "fontSize": 12, "lineHeight": 1.35, "color": "text.secondary"},
    "& p strong": {"fontSize": 18, "fontWeight": 600, "color": "text.primary"},
    "& p em": {"fontSize": 11, "fontStyle": "normal", "color": "text.tertiary"},
    "& p em strong": {"fontSize": 11},
}
CHANGE = {True: "success.main", False: "error.main", None: "text.tertiary"}
WIDE = {"grid": {"sx": {"gridTemplateColumns": "minmax(0, 1fr)"}}}
"""Of a grid: one column, as wide as the panel."""

WRAPPED = {
    "grid": {
        "sx": {
            "display": "flex",
            "flexWrap": "wrap",
            "& > div": {"width": "auto", "maxWidth": "100%"},  # the App gives each of them the whole width
            "& button, & label": {"whiteSpace": "nowrap"},
        }
    }
}
"""Of a row: what has no room goes below, whole."""

NOTES = {
    "container": {
        "sx": {"& ul, & p": {"m": 0}, "& ul": {"pl": 2}, "& li, & p": {"fontSize": 12, "color": "text.secondary"}}
    }
}


def page() -> types.View:
    """The panel's own view: one part below the other, each as wide as the panel."""
    return types.GridView(orientation="vertical", gap=1, pad=2, componentsProps=WIDE)


def steps(panel: types.Object, handler: Any, enabled: Collection[str], following: str) -> None:
    """The steps of a round in their order, the next one highlighted; those that can't be taken yet are greyed out."""
    row = panel.grid("steps", orientation="horizontal", componentsProps=columns(96))
    for number, step in enumerate(STEPS, start=1):
        comes_next = step.name == following
        row.btn(
            step.name,
            label=f"{number} {step.name.capitalize()}",
            title=f"{step.what} (comes next)" if comes_next else step.what,
            on_click=handler.take_step,
            params={"step": step.name},
            disabled=step.name not in enabled,
            variant="contained" if comes_next else "outlined",
            componentsProps={"button": {"sx": {"width": "100%", "whiteSpace": "nowrap"}}},
        )


def invitation(panel: types.Object, handler: Any, *, minable: bool) -> None:
    """What stands here before anything was mined, and a way to predictions where there are none."""
    needed = "" if minable else f" {NEEDED}"
    panel.md(
        f"This dataset has no mining run yet: mine it to see what the detector is most wrong about.{needed}",
        name="none_yet",
        componentsProps=NOTES,
    )
    if not minable:
        row = panel.h_stack("first", gap=1, componentsProps=WRAPPED)
        label = "Predict with YOLO …"
        row.btn("predict", label=label, on_click=handler.prompt, params={"operator": PREDICT}, variant="outlined")


def work(panel: types.Object, handler: Any, jobs: Sequence[Mapping[str, Any]]) -> None:
    """What works in the background, what waits for it and what failed."""
    for number, job in enumerate(jobs):
        what = f"{job['label']}{f' ({key})' if (key := job['run_key']) else ''}"
        if job["state"] == "failed":
            box = panel.grid(f"job_{number}", orientation="vertical", gap=0.5, componentsProps=WIDE)
            box.view("what", types.Error(label=f"{what} failed", description=job["error"]))
            row = box.h_stack("row", gap=1, align_y="center", componentsProps=WRAPPED)
            row.btn("dismiss", label="Dismiss", on_click=handler.dismiss, params={"id": job["id"]}, variant="outlined")
            row.md(f"All of it: `fiftyone delegated info {job['id']}`", name="more", componentsProps=NOTES)
        elif job["state"] == "running":
            share = job["progress"]
            bar = panel.grid(f"job_{number}", orientation="vertical", gap=0.5, componentsProps=WIDE)
            bar.md(f"**{what}** is running. {job['note']}", name="what", componentsProps=NOTES)
            bar.float("share", default=share, view=types.ProgressView())
        else:
            first = not any(earlier["state"] in ("queued", "scheduled") for earlier in jobs[:number])
            notice = types.Notice(label=f"{what} is queued", description=background.STARTS if first else "")
            panel.view(f"job_{number}", notice)


def clock(panel: types.Object, handler: Any) -> None:
    """Looks again every few seconds, as long as it is laid out."""
    panel.view("clock", types.TimerView(interval=INTERVAL, on_interval=handler.refresh))


def head(panel: types.Object, handler: Any, keys: Sequence[str], *, ready: bool, can_go_back: bool) -> None:
    """Which run is shown, its samples if there is anything to see of it, and ways back to the whole grid."""
    bar = panel.h_stack("head", gap=1, align_y="center", componentsProps=WRAPPED)
    choices = types.DropdownView(label="Run", compact=True)
    for key in keys:
        choices.add_choice(key, label=key)
    bar.enum("run", choices.values(), view=choices, on_change=handler.choose_run)
    bar.btn("hardest", label="Hardest first", on_click=handler.show_hardest, variant="outlined", disabled=not ready)
    bar.btn("all", label="Show all", on_click=handler.show_all, variant="outlined")
    bar.btn("back", label="Back", on_click=handler.back, variant="outlined", disabled=not can_go_back)
    switch = types.SwitchView(label="Patches")
    bar.bool("patches", view=switch, on_change=handler.change_tiles, default=False)


def tabs(panel: types.Object, handler: Any, names: Sequence[str], chosen: str) -> None:
    """The sections of the panel; the one shown is underlined."""
    bar = panel.h_stack("tabs", gap=2, componentsProps=WRAPPED)
    for name in names:
        line = {"borderBottom": "2px solid", "borderBottomColor": "primary.main" if name == chosen else "transparent"}
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


def waiting(panel: types.Object, key: str) -> None:
    """What stands here while the run is made."""
    panel.view(
        "waiting", types.Notice(label=f"Run {key} is being written", description="It appears here when it is done.")
    )
    panel.view("bar", types.ProgressView())


def problem(panel: types.Object, handler: Any, sentence: str) -> None:
    """Why there is nothing to see, and the way out."""
    panel.view("problem", types.Warning(label="This run can't be shown", description=sentence))
    panel.btn(
        "delete", label="Delete this run", on_click=handler.prompt, params={"operator": DELETE}, variant="outlined"
    )


def numbers(panel: types.Object, facts: Sequence[Sequence[Any]], notes: Sequence[str]) -> None:
    """The headline; below, what should be known about it."""
    grid = panel.grid("numbers", orientation="horizontal", gap=1, componentsProps=columns(92))
    for number, (name, value, remark, change, better) in enumerate(facts):
        lines = [name, f"**{value}**", *([f"***{change}***"] if change else []), *([f"*{remark}*"] if remark else [])]
        sx = FACT | {"& p em strong": FACT["& p em strong"] | {"color": CHANGE[better]}}
        grid.md("\n\n".join(lines), name=f"fact_{number}", componentsProps={"container": {"sx": sx}})
    if notes:
        panel.md("\n".join(f"* {note}" for note in notes), name="notes", componentsProps=NOTES)


def compared(
    dataset: Any, key: str, before: str | None, shown: Mapping[str, Any], then: Mapping[str, Any] | None
) -> list[str]:
    """What the changes in the headline compare with: a round before, by its key and its overview."""
    if before is None or then is None:
        return []
    otherwise = rounds.differences(dataset, key, before)
    images, had = (each["report"]["mining"]["images"] for each in (shown, then))
    if images != had:  # who mined a selection, then all, compares what has little in common
        otherwise.append(f"images {had:,} → {images:,}")
    asked = f"; it was asked otherwise: {', '.join(otherwise)}" if otherwise else ""
    return [f"▲ and ▼ say what changed since **{before}**{asked}"]


def charts(panel: types.Object, handler: Any) -> None:
    """The charts of a run, as many beside each other as there is room for."""
    panel.md("Click a bar or a point to see in the grid what it stands for.", name="hint", componentsProps=NOTES)
    grid = panel.grid(CHARTS, orientation="horizontal", gap=1, componentsProps=columns(270))
    for name, how in LAYOUTS.items():
        wide = {"item": {"sx": {"gridColumn": "1 / -1"}}} if name == "scatter" else {}
        grid.plot(name, layout=how, config=QUIET, on_click=handler.pick, height="270px", componentsProps=wide)


def trend(panel: types.Object, handler: Any) -> None:
    """The rates of all runs."""
    grid = panel.grid(TREND, orientation="horizontal", gap=1, componentsProps=columns(270))
    for name, how in TRENDS.items():
        grid.plot(name, layout=how, config=QUIET, on_click=handler.pick, height="270px")
    panel.md("Click a point to see its run.", name="hint", componentsProps=NOTES)


def run_actions(panel: types.Object, handler: Any) -> None:
    """What can be done with the run that is shown as a whole, and with work that takes long."""
    bar = panel.h_stack("actions", gap=1, componentsProps=WRAPPED)
    for operator, label in ACTIONS.items():
        if operator in operators():
            bar.btn(
                operator,
                label=f"{label} this run …",
                on_click=handler.prompt,
                params={"operator": operator},
                variant="outlined",
            )
    panel.md(f"{background.how_to()}.", name="background", componentsProps=NOTES)


def columns(least: int) -> dict[str, Any]:
    """Of a grid: as many columns as fit at this width in pixels, all of one width."""
    columns = f"repeat(auto-fit, minmax(min(100%, {least}px), 1fr))"
    return {"grid": {"sx": {"gridTemplateColumns": columns, "gridAutoFlow": "row"}}}


def _layout(title: str, x: str, y: str, **more: Any) -> dict[str, Any]:
    """A small chart's layout; colours and background come from the App's theme."""
    axis = {"zeroline": False, "automargin": True}
    return {
        "title": {"text": title, "font": {"size": 13}, "x": 0.02, "xanchor": "left", "y": 0.97},
        "font": {"size": 11},
        "margin": {"t": 34, "l": 48, "r": 12, "b": 40},
        "xaxis": {**axis, "title": {"text": x, "font": {"size": 11}, "standoff": 6}},
        "yaxis": {**axis, "title": {"text": y, "font": {"size": 11}, "standoff": 6}},
        "barmode": "stack",
        "bargap": 0.06,
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        **more,
    }


def _names(**more: Any) -> dict[str, Any]:
    """An axis of names, the first one on top."""
    return {
        "autorange": "reversed",
        "zeroline": False,
        "showgrid": False,
        "automargin": True,
        "type": "category",
        **more,
    }


LAYOUTS = {
    "errors": _layout("Errors by type (hatched: false negatives)", "objects", "", yaxis=_names()),
    "classes": _layout("Errors by class (hatched: false negatives)", "objects", "", yaxis=_names()),
    "scatter": _layout("Confident predictions (grey: true positives)", "confidence", "IoU with the nearest truth"),
    "confidence": _layout("Predictions by confidence", "confidence", "predictions"),
    "iou": _layout("Predictions by IoU", "IoU with the nearest truth", "predictions"),
    "difficulty": _layout("Difficulty of the mined objects", "mined objects, hardest first", "difficulty"),
    "weights": _layout("Sample weights", "images, heaviest first", "weight"),
}
_TOP = {"rangemode": "tozero", "zeroline": False, "automargin": True}
_KEYS = {"type": "category", "zeroline": False, "automargin": True}
_LEGEND = {"showlegend": True, "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}}
TRENDS = {
    "rates": _layout("", "", "", xaxis=_KEYS, yaxis=_TOP | {"tickformat": ".0%"}, **_LEGEND),
    "fppi": _layout("", "", "", xaxis=_KEYS, yaxis=_TOP, **_LEGEND),
}
