"""A run's overview → what plotly draws. The engine counts; here things get names, colours and hover texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hnm_core import charts
from hnm_core.taxonomy import ERROR_TYPES

from . import picks

WORDS = {name: name.replace("_", " ") for name in charts.COLORS}
SIDE_COLORS = {"false_positives": charts.COLORS["background"], "false_negatives": charts.COLORS["missed"]}
RATES = {"false_alarm_rate": "false-alarm rate", "miss_rate": "miss rate", "fppi": "false positives per image"}
LINE = "#888888"
"""A grey that can be seen on both themes."""

Trace = dict[str, Any]


def facts(overview: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[list[Any]]:
    """The headline's numbers: name, value, remark, change since the round before, whether that is better."""
    return [list(fact) for fact in charts.headline(overview["report"], before["report"] if before else None)]


def remarks(overview: Mapping[str, Any]) -> list[str]:
    """What should be known about the data and the weights, in sentences."""
    return [*overview["warnings"], *overview["report"]["notes"]]


def drawn(overview: Mapping[str, Any]) -> dict[str, list[Trace]]:
    """Traces of every chart of a run, by its name."""
    return {
        "scatter": scatter(overview["grid"], overview["cells"]),
        "errors": errors(overview["report"]),
        "confidence": histogram("confidence", overview["histograms"]["confidence"]),
        "iou": histogram("iou", overview["histograms"]["iou"]),
        "classes": classes(overview["classes"], overview["other_classes"]),
        "difficulty": curve("difficulty", overview["difficulty"], "{} mined objects at least this hard"),
        "weights": curve("weight", overview["weights"], "{} images weighted at least so much"),
    }


def scatter(bins: int, cells: Mapping[str, Sequence[Sequence[float]]]) -> list[Trace]:
    """Confidence × IoU, a trace per row name; what is drawn last, the mistakes, lies on top."""
    return [_marks(bins, name, marks) for name, marks in reversed(list(cells.items()))]


def histogram(attribute: str, counts: Mapping[str, Sequence[int]]) -> list[Trace]:
    """Bars over ``confidence`` or ``iou``, stacked by row name; bars without height are left out."""
    return [_bars(attribute, name, of_name) for name, of_name in counts.items()]


def errors(report: Mapping[str, Any]) -> list[Trace]:
    """False positives and, hatched, false negatives by error type."""
    return [
        _lying(
            *(side, [WORDS[name] for name in ERROR_TYPES], [report["errors"][name][side] for name in ERROR_TYPES]),
            ids=[picks.of_error(side, name) for name in ERROR_TYPES],
            color=[charts.COLORS[name] for name in ERROR_TYPES],
        )
        for side in picks.SIDES
    ]


def classes(worst: Sequence[Sequence[Any]], others: Sequence[int]) -> list[Trace]:
    """False positives and, hatched, false negatives of the worst classes, and of all others in one bar."""
    names = [str(name) for name, *_ in worst]
    folded = [f"{others[0]} more"] if others[0] else []
    return [
        _lying(
            *(side, [*names, *folded], [*(row[number] for row in worst), *others[number : number + len(folded)]]),
            ids=[*(picks.of_class(side, name) for name in names), *(picks.of_other_classes(side) for _ in folded)],
            color=SIDE_COLORS[side],
        )
        for number, side in enumerate(picks.SIDES, start=1)
    ]


def curve(what: str, points: Sequence[Sequence[float]], stands_for: str) -> list[Trace]:
    """A falling curve; each of its points is a way to what lies at or above it."""
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": what,
            "x": [count for count, _ in points],
            "y": [value for _, value in points],
            "ids": [picks.of_curve(what, value) for _, value in points],
            "line": {"color": LINE, "width": 1.5},
            "marker": {"color": charts.COLORS["background"], "size": 5},
            "hovertemplate": f"{what} %{{y:.3f}}<br>{stands_for.format('%{x:,}')}<extra></extra>",
        }
    ]


def trend(rounds: Sequence[Mapping[str, Any]]) -> dict[str, list[Trace]]:
    """Rates of the finished runs in time, oldest first; a point shows its run.

    Runs of other splits, truths or group slices stand apart, behind a gap: their rates say nothing of these.
    """
    shown = _apart([each for each in reversed(rounds) if each["finished"] and each["rates"]])
    looks = {
        "false_alarm_rate": ("background", "circle"),
        "miss_rate": ("missed", "square"),
        "fppi": ("both", "diamond"),
    }
    formats = {rate: ".2f" if rate == "fppi" else ".1%" for rate in looks}
    lines = {
        rate: {
            "type": "scatter",
            "mode": "lines+markers",
            "name": RATES[rate],
            "x": [each["key"] if each else " " * place for place, each in enumerate(shown)],
            "y": [each["rates"][rate] if each else None for each in shown],
            "ids": [picks.of_run(each["key"]) if each else "" for each in shown],
            "line": {"color": charts.COLORS[color]},
            "cliponaxis": False,
            "marker": {"size": 9, "symbol": symbol, "color": charts.COLORS[color]},
            "hovertemplate": f"<b>%{{x}}</b><br>{RATES[rate]} %{{y:{formats[rate]}}}<extra></extra>",
        }
        for rate, (color, symbol) in looks.items()
    }
    return {"rates": [lines["false_alarm_rate"], lines["miss_rate"]], "fppi": [lines["fppi"]]}


def _apart(shown: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any] | None]:
    """Runs by what they can be compared with, None between one world and the next."""
    found: list[Mapping[str, Any] | None] = []
    for world in dict.fromkeys(each["world"] for each in shown):
        found += [*([None] if found else []), *(each for each in shown if each["world"] == world)]
    return found


def _lying(side: str, names: Sequence[str], counts: Sequence[int], *, ids: Sequence[str], color: Any) -> Trace:
    """Lying bars of one side; false negatives are hatched."""
    words = side.replace("_", " ")
    return {
        "type": "bar",
        "orientation": "h",
        "name": words,
        "y": list(names),
        "x": list(counts),
        "ids": list(ids),
        "width": min(0.8, 0.2 * len(names)),
        "marker": {
            "color": color,
            "pattern": {"shape": "" if side == "false_positives" else "/", "size": 6, "solidity": 0.4},
        },
        "hovertemplate": f"%{{y}}: %{{x:,}} {words}<extra></extra>",
    }


def _marks(bins: int, name: str, marks: Sequence[Sequence[float]]) -> Trace:
    """The cells of one name: the more points one stands for, the larger its mark."""
    counts = [int(mark[2]) for mark in marks]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": WORDS[name],
        "x": [mark[3] for mark in marks],
        "y": [mark[4] for mark in marks],
        "customdata": counts,
        "ids": [picks.of_cell(bins, int(mark[0]), int(mark[1]), name) for mark in marks],
        "marker": {
            "color": charts.COLORS[name],
            "size": [round(min(14.0, 6 + 3 * math.log10(count)), 1) for count in counts],
            "opacity": 0.75,
            "line": {"width": 0},
        },
        "hovertemplate": f"<b>{WORDS[name]}</b>, predictions here: %{{customdata:,}}<br>"
        "confidence %{x:.2f}, IoU %{y:.2f}<extra></extra>",
    }


def _bars(attribute: str, name: str, counts: Sequence[int]) -> Trace:
    shown = [index for index, count in enumerate(counts) if count]
    ranges = [charts.bin_range(index) for index in shown]
    axis = "IoU" if attribute == "iou" else attribute
    return {
        "type": "bar",
        "name": WORDS[name],
        "x": [(low + high) / 2 for low, high in ranges],
        "width": [0.92 * (high - low) for low, high in ranges],
        "y": [counts[index] for index in shown],
        "text": [f"{low:.2f} to {high:.2f}" for low, high in ranges],
        "textposition": "none",
        "ids": [picks.of_bin(attribute, index, name) for index in shown],
        "marker": {"color": charts.COLORS[name], "line": {"width": 0}},
        "hovertemplate": f"{WORDS[name]}: %{{y:,}}<br>{axis} %{{text}}<extra></extra>",
    }
