"""The layout of the panel: where numbers and charts are, and the texts if there are none."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import fiftyone.operators.types as types

from ..actions.videos import frame_fields
from ..app import background
from ..runs import history
from ..store import checks
from .steps import STEPS, operators

if TYPE_CHECKING:
    import fiftyone as fo

CHARTS, TREND = "charts", "trend"
NEEDED = "Mining needs two fields of type Detections: predictions with confidences, and ground truth."
VIDEOS = (
    "Videos are mined without ground truth: frames worth a review become a dataset of their own, which gets the run."
)
INTERVAL = 3000
"""Milliseconds between two updates of the background work."""

COMPARE, DELETE, PREDICT = "compare_mining_runs", "delete_mining_run", "predict_with_yolo"
PROPOSE = "mine_without_truth"
ACTIONS = {COMPARE: "Compare", "fit_verifier": "Fit a verifier to", "rename_mining_run": "Rename", DELETE: "Delete"}
QUIET = {"displayModeBar": False, "scrollZoom": False, "responsive": True}

FACT: dict[str, dict[str, Any]] = {
    "& p": {"m": 0, "fontSize": 12, "lineHeight": 1.35, "color": "text.secondary"},
    "& p strong": {"fontSize": 18, "fontWeight": 600, "color": "text.primary"},
    "& p em": {"fontSize": 11, "fontStyle": "normal", "color": "text.tertiary"},
    "& p em strong": {"fontSize": 11},
}
CHANGE = {True: "success.main", False: "error.main", None: "text.tertiary"}
WIDE = {"grid": {"sx": {"gridTemplateColumns": "minmax(0, 1fr)"}}}
"""A grid of one column, as wide as the panel."""

WRAPPED = {
    "grid": {
        "sx": {
            "display": "flex",
            "flexWrap": "wrap",
            "& > div": {"width": "auto", "maxWidth": "100%"},  # the App gives each element the whole width
            "& button, & label": {"whiteSpace": "nowrap"},
        }
    }
}
"""A row that wraps: an element that does not fit goes into the next line."""

NOTES = {
    "container": {
        "sx": {"& ul, & p": {"m": 0}, "& ul": {"pl": 2}, "& li, & p": {"fontSize": 12, "color": "text.secondary"}}
    }
}


def page() -> types.View:
    """Return the panel's own view: one part below the other, each as wide as the panel."""
    return types.GridView(orientation="vertical", gap=1, pad=2, componentsProps=WIDE)


def steps(panel: types.Object, handler: Any, enabled: Collection[str], following: str) -> None:
    """Add the steps of a round in order, the next one highlighted; steps that are not possible yet are disabled."""
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


def empty_state(panel: types.Object, handler: Any, dataset: fo.Dataset) -> None:
    """Add the text for a dataset without a run, and buttons for predictions and for a run without ground truth."""
    fields, videos = checks.detection_fields(dataset) or frame_fields(dataset), dataset.media_type == "video"
    minable = len(fields) >= 2 or videos
    needed = "" if minable else f" {NEEDED}"
    text = f"This dataset has no mining run yet: mine it to see the worst mistakes of the detector.{needed}"
    panel.md(VIDEOS if videos else text, name="none_yet", componentsProps=NOTES)
    row = panel.h_stack("first", gap=1, componentsProps=WRAPPED)
    offered = {"Predict with YOLO …": PREDICT} if not minable else {}
    offered |= {"Mine without truth …": PROPOSE} if fields else {}
    for label, operator in offered.items():
        row.btn(operator, label=label, on_click=handler.prompt, params={"operator": operator}, variant="outlined")


def work(panel: types.Object, handler: Any, jobs: Sequence[Mapping[str, Any]]) -> None:
    """Add the background work that runs, waits or has failed."""
    for number, job in enumerate(jobs):
        what = f"{job['label']}{f' ({key})' if (key := job['run_key']) else ''}"
        if job["state"] == "failed":
            box = panel.grid(f"job_{number}", orientation="vertical", gap=0.5, componentsProps=WIDE)
            box.view("what", types.Error(label=f"{what} failed", description=job["error"]))
            row = box.h_stack("row", gap=1, align_y="center", componentsProps=WRAPPED)
            row.btn("dismiss", label="Dismiss", on_click=handler.dismiss, params={"id": job["id"]}, variant="outlined")
            row.md(f"Full error: `fiftyone delegated info {job['id']}`", name="more", componentsProps=NOTES)
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
    """Add a timer that refreshes the panel every few seconds, as long as it is laid out."""
    panel.view("clock", types.TimerView(interval=INTERVAL, on_interval=handler.refresh))


def head(panel: types.Object, handler: Any, keys: Sequence[str], *, ready: bool, can_go_back: bool) -> None:
    """Add the choice of the run, and the buttons that change the view of the grid."""
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
    """Add the tabs of the panel; the current one is underlined."""
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
    """Add the text for a run that is being written."""
    panel.view(
        "waiting",
        types.Notice(label=f"Run {key} is being written", description="It is shown here when it is finished."),
    )
    panel.view("bar", types.ProgressView())


def problem(panel: types.Object, handler: Any, sentence: str) -> None:
    """Add the reason why the run cannot be shown, and a button to delete it."""
    panel.view("problem", types.Warning(label="This run cannot be shown", description=sentence))
    panel.btn(
        "delete", label="Delete this run", on_click=handler.prompt, params={"operator": DELETE}, variant="outlined"
    )


def numbers(panel: types.Object, facts: Sequence[Sequence[Any]], notes: Sequence[str]) -> None:
    """Add the headline numbers, and remarks below."""
    grid = panel.grid("numbers", orientation="horizontal", gap=1, componentsProps=columns(92))
    for number, (name, value, remark, change, better) in enumerate(facts):
        lines = [name, f"**{value}**", *([f"***{change}***"] if change else []), *([f"*{remark}*"] if remark else [])]
        sx = FACT | {"& p em strong": FACT["& p em strong"] | {"color": CHANGE[better]}}
        grid.md("\n\n".join(lines), name=f"fact_{number}", componentsProps={"container": {"sx": sx}})
    if notes:
        panel.md("\n".join(f"* {note}" for note in notes), name="notes", componentsProps=NOTES)


def comparison_remarks(
    dataset: fo.Dataset, key: str, before: str | None, shown: Mapping[str, Any], then: Mapping[str, Any] | None
) -> list[str]:
    """Return a remark on what the changes in the headline compare with: the previous round."""
    if before is None or then is None:
        return []
    differ = history.differences(dataset, key, before)
    images, had = (each["report"]["mining"]["images"] for each in (shown, then))
    if images != had:  # a selection and the whole dataset have little in common
        differ.append(f"images {had:,} → {images:,}")
    asked = f"; different settings: {', '.join(differ)}" if differ else ""
    return [f"▲ and ▼ show the change since **{before}**{asked}"]


def charts(panel: types.Object, handler: Any, *, confused: bool, without_truth: bool = False) -> None:
    """Add the charts of a run, as many side by side as the width allows; one that would be empty is left out."""
    panel.md("Click a bar or a point to show its objects in the grid.", name="hint", componentsProps=NOTES)
    grid = panel.grid(CHARTS, orientation="horizontal", gap=1, componentsProps=columns(270))
    for name, how in LAYOUTS.items():
        if (name == "confusions" and not confused) or (without_truth and name in NEED_TRUTH):
            continue
        if without_truth:
            how = PROPOSED.get(name, how)
        wide = {"item": {"sx": {"gridColumn": "1 / -1"}}} if name == "scatter" else {}
        grid.plot(name, layout=how, config=QUIET, on_click=handler.pick, height="270px", componentsProps=wide)


def trend(panel: types.Object, handler: Any) -> None:
    """Add the rates of all runs."""
    grid = panel.grid(TREND, orientation="horizontal", gap=1, componentsProps=columns(270))
    for name, how in TRENDS.items():
        grid.plot(name, layout=how, config=QUIET, on_click=handler.pick, height="270px")
    panel.md("Click a point to show its run.", name="hint", componentsProps=NOTES)


def run_actions(panel: types.Object, handler: Any) -> None:
    """Add the buttons for the run as a whole, and a note on background work."""
    bar = panel.h_stack("actions", gap=1, componentsProps=WRAPPED)
    for operator, label in ACTIONS.items():
        if operator in operators():
            bar.btn(
                operator,
                label=f"{label} this run …",
                on_click=handler.prompt,
                params={"operator": operator, "parameter": "later_run_key" if operator == COMPARE else "run_key"},
                variant="outlined",
            )
    panel.md(f"{background.background_help()}.", name="background", componentsProps=NOTES)


def columns(least: int) -> dict[str, Any]:
    """Return the properties of a grid with as many equal columns as fit at this least width in pixels."""
    columns = f"repeat(auto-fit, minmax(min(100%, {least}px), 1fr))"
    return {"grid": {"sx": {"gridTemplateColumns": columns, "gridAutoFlow": "row"}}}


def _layout(title: str, x: str, y: str, **more: Any) -> dict[str, Any]:
    """Return the layout of a small chart; colours and background come from the App's theme."""
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
    """Return an axis of names, the first one on top."""
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
    "confusions": _layout("Confused classes (truth → taken for)", "objects", "", yaxis=_names()),
    "scatter": _layout("Confident predictions (grey: true positives)", "confidence", "IoU with the nearest truth"),
    "confidence": _layout("Predictions by confidence", "confidence", "predictions"),
    "iou": _layout("Predictions by IoU", "IoU with the nearest truth", "predictions"),
    "difficulty": _layout("Difficulty of the mined objects", "mined objects, hardest first", "difficulty"),
    "weights": _layout("Sample weights", "images, heaviest first", "weight"),
}
NEED_TRUTH = ("scatter", "iou", "confusions", "weights")
"""Charts that a run without ground truth does not have."""

PROPOSED = {
    "errors": _layout("Proposals by list (hatched: missed)", "objects", "", yaxis=_names()),
    "classes": _layout("Confident and uncertain by class (hatched: missed)", "objects", "", yaxis=_names()),
    "difficulty": _layout("Likelihood of an error of the proposals", "proposals, likeliest first", "likelihood"),
}
"""Charts of a run without ground truth, where they differ."""

_TOP = {"rangemode": "tozero", "zeroline": False, "automargin": True}
_KEYS = {"type": "category", "zeroline": False, "automargin": True}
_LEGEND = {"showlegend": True, "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}}
TRENDS = {
    "rates": _layout("", "", "", xaxis=_KEYS, yaxis=_TOP | {"tickformat": ".0%"}, **_LEGEND),
    "fppi": _layout("", "", "", xaxis=_KEYS, yaxis=_TOP, **_LEGEND),
}
