"""Turn a run's overview into plotly traces. The engine counts; names, colours and hover texts are added here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hnm_core.live.tracks import LISTS
from hnm_core.reporting import chart_data
from hnm_core.reporting.headline import Fact, headline
from hnm_core.taxonomy import ERROR_TYPES, PROPOSALS

from . import picks

LABELS = {name: name.replace("_", " ") for name in chart_data.COLORS}
SIDE_COLORS = {"false_positives": chart_data.COLORS["background"], "false_negatives": chart_data.COLORS["missed"]}
RATES = {"false_alarm_rate": "false-alarm rate", "miss_rate": "miss rate", "fppi": "false positives per image"}
LINE = "#888888"
"""A grey that is visible on both themes."""

Trace = dict[str, Any]


def facts(overview: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[list[Any]]:
    """Return the headline numbers: name, value, remark, change since the previous round, and whether that is better."""
    if overview.get("ranked_by"):
        return _proposed(overview)
    return [list(fact) for fact in headline(overview["report"], before["report"] if before else None)]


def _proposed(overview: Mapping[str, Any]) -> list[list[Any]]:
    """Return the headline numbers of a run without ground truth: how many proposals each list has, and their order."""
    report, by = overview["report"], overview["ranked_by"]
    remarks = {"confident": "from the threshold", "uncertain": "from .25 to there", "missed": "short gaps of a track"}
    lists = [
        Fact(of.capitalize(), f"{report['errors'][e]['hard_negatives']:,}", remarks[of]) for of, e in LISTS.items()
    ]
    found = report["statistics"]["total_predictions"]
    numbers = [Fact("Images", f"{report['mining']['images']:,}"), Fact("Detections", f"{found:,}")]
    return [list(fact) for fact in (*lists, *numbers, Fact("Ranked by", by, "likeliest errors first"))]


def remarks(overview: Mapping[str, Any]) -> list[str]:
    """Return remarks on the data and the weights, as sentences."""
    return [*overview["warnings"], *overview["report"]["notes"]]


def drawn(overview: Mapping[str, Any]) -> dict[str, list[Trace]]:
    """Return the traces of every chart of a run, by the chart's name."""
    proposed = bool(overview.get("ranked_by"))
    hard = "{} proposals at least this likely" if proposed else "{} mined objects at least this hard"
    return {
        "scatter": scatter(overview["grid"], overview["cells"]),
        "errors": errors(overview["report"]),
        "confidence": histogram("confidence", overview["histograms"]["confidence"]),
        "iou": histogram("iou", overview["histograms"]["iou"]),
        "classes": classes(overview["classes"], overview["other_classes"]),
        "confusions": confusions(overview.get("confusions", ())),
        "difficulty": curve("difficulty", overview["difficulty"], hard),
        "weights": curve("weight", overview["weights"], "{} images with at least this weight"),
    }


def scatter(bins: int, cells: Mapping[str, Sequence[Sequence[float]]]) -> list[Trace]:
    """Return confidence × IoU, one trace per row name, mistakes last and so on top."""
    return [_marks(bins, name, marks) for name, marks in reversed(list(cells.items()))]


def histogram(attribute: str, counts: Mapping[str, Sequence[int]]) -> list[Trace]:
    """Return bars over ``confidence`` or ``iou``, stacked by row name; empty bars are left out."""
    return [_bars(attribute, name, of_name) for name, of_name in counts.items()]


def errors(report: Mapping[str, Any]) -> list[Trace]:
    """Return bars of false positives and, hatched, false negatives by error type; of proposals, by list."""
    counts = report["errors"]
    names = PROPOSALS if PROPOSALS[0] in counts else ERROR_TYPES
    labels = {**LABELS, **{error: of for of, error in LISTS.items()}} if names is PROPOSALS else LABELS
    return [
        _horizontal_bars(
            *(side, [labels[name] for name in names], [counts[name][side] for name in names]),
            ids=[picks.of_error(side, name) for name in names],
            color=[chart_data.COLORS[name] for name in names],
            words="" if names is ERROR_TYPES else "proposals",
        )
        for side in picks.SIDES
    ]


def classes(worst: Sequence[Sequence[Any]], others: Sequence[int]) -> list[Trace]:
    """Return bars of false positives and, hatched, false negatives of the worst classes, and one bar of all others."""
    names = [str(name) for name, *_ in worst]
    folded = [f"{others[0]} more"] if others[0] else []
    return [
        _horizontal_bars(
            *(side, [*names, *folded], [*(row[number] for row in worst), *others[number : number + len(folded)]]),
            ids=[*(picks.of_class(side, name) for name in names), *(picks.of_other_classes(side) for _ in folded)],
            color=SIDE_COLORS[side],
        )
        for number, side in enumerate(picks.SIDES, start=1)
    ]


def confusions(pairs: Sequence[Sequence[Any]]) -> list[Trace]:
    """Return a bar per pair of confused classes."""
    return [
        _horizontal_bars(
            *(picks.SIDES[0], [f"{true} → {name}" for true, name, _ in pairs], [count for *_, count in pairs]),
            ids=[picks.of_confusion(true, name) for true, name, _ in pairs],
            color=chart_data.COLORS["classification"],
        )
    ]


def curve(what: str, points: Sequence[Sequence[float]], stands_for: str) -> list[Trace]:
    """Return a falling curve; a click on a point shows what lies at or above its value."""
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": what,
            "x": [count for count, _ in points],
            "y": [value for _, value in points],
            "ids": [picks.of_curve(what, value) for _, value in points],
            "line": {"color": LINE, "width": 1.5},
            "marker": {"color": chart_data.COLORS["background"], "size": 5},
            "hovertemplate": f"{what} %{{y:.3f}}<br>{stands_for.format('%{x:,}')}<extra></extra>",
        }
    ]


def trend(rounds: Sequence[Mapping[str, Any]]) -> dict[str, list[Trace]]:
    """Return the rates of the finished runs over time, oldest first; a click on a point shows its run.

    Runs of another split, truth field or group slice follow after a gap: their rates cannot be compared.
    """
    shown = _with_gaps([each for each in reversed(rounds) if each["finished"] and each["rates"]])
    styles = {
        "false_alarm_rate": ("background", "circle"),
        "miss_rate": ("missed", "square"),
        "fppi": ("both", "diamond"),
    }
    formats = {rate: ".2f" if rate == "fppi" else ".1%" for rate in styles}
    lines = {
        rate: {
            "type": "scatter",
            "mode": "lines+markers",
            "name": RATES[rate],
            "x": [each["key"] if each else " " * place for place, each in enumerate(shown)],
            "y": [each["rates"][rate] if each else None for each in shown],
            "ids": [picks.of_run(each["key"]) if each else "" for each in shown],
            "line": {"color": chart_data.COLORS[color]},
            "cliponaxis": False,
            "marker": {"size": 9, "symbol": symbol, "color": chart_data.COLORS[color]},
            "hovertemplate": f"<b>%{{x}}</b><br>{RATES[rate]} %{{y:{formats[rate]}}}<extra></extra>",
        }
        for rate, (color, symbol) in styles.items()
    }
    return {"rates": [lines["false_alarm_rate"], lines["miss_rate"]], "fppi": [lines["fppi"]]}


def _with_gaps(shown: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any] | None]:
    """Return the runs series by series, with None between two series."""
    found: list[Mapping[str, Any] | None] = []
    for series in dict.fromkeys(each["series"] for each in shown):
        found += [*([None] if found else []), *(each for each in shown if each["series"] == series)]
    return found


def _horizontal_bars(
    side: str, names: Sequence[str], counts: Sequence[int], *, ids: Sequence[str], color: Any, words: str = ""
) -> Trace:
    """Return the horizontal bars of one side, and what they count; false negatives are hatched."""
    words = words or side.replace("_", " ")
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
    """Return the cells of one row name; the more points a cell has, the larger its mark."""
    counts = [int(mark[2]) for mark in marks]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": LABELS[name],
        "x": [mark[3] for mark in marks],
        "y": [mark[4] for mark in marks],
        "customdata": counts,
        "ids": [picks.of_cell(bins, int(mark[0]), int(mark[1]), name) for mark in marks],
        "marker": {
            "color": chart_data.COLORS[name],
            "size": [round(min(14.0, 6 + 3 * math.log10(count)), 1) for count in counts],
            "opacity": 0.75,
            "line": {"width": 0},
        },
        "hovertemplate": f"<b>{LABELS[name]}</b>, predictions here: %{{customdata:,}}<br>"
        "confidence %{x:.2f}, IoU %{y:.2f}<extra></extra>",
    }


def _bars(attribute: str, name: str, counts: Sequence[int]) -> Trace:
    shown = [index for index, count in enumerate(counts) if count]
    ranges = [chart_data.bin_range(index) for index in shown]
    axis = "IoU" if attribute == "iou" else attribute
    return {
        "type": "bar",
        "name": LABELS[name],
        "x": [(low + high) / 2 for low, high in ranges],
        "width": [0.92 * (high - low) for low, high in ranges],
        "y": [counts[index] for index in shown],
        "text": [f"{low:.2f} to {high:.2f}" for low, high in ranges],
        "textposition": "none",
        "ids": [picks.of_bin(attribute, index, name) for index in shown],
        "marker": {"color": chart_data.COLORS[name], "line": {"width": 0}},
        "hovertemplate": f"{LABELS[name]}: %{{y:,}}<br>{axis} %{{text}}<extra></extra>",
    }
