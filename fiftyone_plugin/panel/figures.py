"""A run's results → what plotly draws. The engine counts; here things get names, colours and margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hnm_core import charts
from hnm_core.taxonomy import ERROR_TYPES

from . import picks

MOST_POINTS = 2000
"""Points in the scatter plot, each an element of the page: without a graphics card the hover text of 2,000 follows the
mouse within 40 ms, that of 5,000 within 270."""

PREDICTIONS = ("label_id", "sample_id", "error", "confidence", "iou", "label", "hard")
WORDS = {name: name.replace("_", " ") for name in charts.COLORS}
Trace = dict[str, Any]


def drawn(results: Any) -> dict[str, list[Trace]]:
    """Traces of every chart, by its name."""
    predictions = _predictions(results.objects)
    return {
        "scatter": scatter(predictions),
        "errors": errors(results.report),
        "confidence": histogram(predictions, "confidence"),
        "iou": histogram(predictions, "iou"),
    }


def facts(results: Any) -> list[list[str]]:
    """The headline's numbers: name, value, remark."""
    return [list(fact) for fact in charts.headline(results.report)]


def notes(results: Any) -> list[str]:
    """What should be known about the data and the charts, in sentences."""
    total = results.objects["side"].count("prediction")
    thinned = (
        f"The scatter plot shows {MOST_POINTS:,} of {total:,} predictions: rare errors whole, frequent ones thinned"
    )
    return [*results.warnings, *results.report["notes"], *([thinned] if total > MOST_POINTS else [])]


def scatter(predictions: Mapping[str, Sequence[Any]]) -> list[Trace]:
    """Confidence × IoU, a trace per row name; what is drawn last, the mistakes, lies on top."""
    drawn = charts.points_to_draw(predictions["error"], MOST_POINTS)
    return [_points(predictions, name, rows) for name, rows in reversed(drawn.items())]


def histogram(predictions: Mapping[str, Sequence[Any]], attribute: str) -> list[Trace]:
    """Bars over ``confidence`` or ``iou``, stacked by row name; bars without height are left out."""
    counts = charts.histograms(predictions[attribute], predictions["error"])
    return [_bars(attribute, name, of_name) for name, of_name in counts.items()]


def errors(report: Mapping[str, Any]) -> list[Trace]:
    """False positives and, hatched, false negatives by error type."""
    return [
        {
            "type": "bar",
            "orientation": "h",
            "name": side.replace("_", " "),
            "y": [WORDS[name] for name in ERROR_TYPES],
            "x": [report["errors"][name][side] for name in ERROR_TYPES],
            "ids": [picks.of_error(side, name) for name in ERROR_TYPES],
            "marker": {
                "color": [charts.COLORS[name] for name in ERROR_TYPES],
                "pattern": {"shape": "" if side == "false_positives" else "/", "size": 6, "solidity": 0.4},
            },
            "hovertemplate": f"%{{y}}: %{{x:,}} {side.replace('_', ' ')}<extra></extra>",
        }
        for side in picks.SIDES
    ]


def _predictions(objects: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The columns of the predictions alone: a truth that nobody found has no confidence."""
    rows = [row for row, side in enumerate(objects["side"]) if side == "prediction"]
    return {name: [objects[name][row] for row in rows] for name in PREDICTIONS}


def _points(predictions: Mapping[str, Sequence[Any]], name: str, rows: Sequence[int]) -> Trace:
    def of(column: str) -> list[Any]:
        return [predictions[column][row] for row in rows]

    return {
        "type": "scatter",
        "mode": "markers",
        "name": WORDS[name],
        "x": of("confidence"),
        "y": of("iou"),
        "text": of("label"),
        "customdata": [", hard negative" if hard else "" for hard in of("hard")],
        "ids": [picks.of_object(*pair) for pair in zip(of("sample_id"), of("label_id"), strict=True)],
        "marker": {"color": charts.COLORS[name], "size": 6, "opacity": 0.75},
        "hovertemplate": f"<b>%{{text}}</b> · {WORDS[name]}%{{customdata}}<br>"
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
