"""The charts of a mining as matplotlib figures: returned, never shown, and nobody's global state touched."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import charts
from .result import MiningResult

__all__ = ["FIGURES", "as_svg", "draw", "training_rounds"]

MOST_MARKS = 20_000
"""Marks in the scatter plot; they are drawn as pixels, so that the page stays small."""

MOST_CLASSES = 20
SIZE = (6.2, 3.6)
ROUND_COLORS = ("#0072b2", "#009e73", "#d55e00", "#555555")
NEUTRAL = charts.COLORS["true_positive"]


def draw(result: MiningResult) -> dict[str, Figure]:
    """Every chart of a result, by its title."""
    return {title: figure(result) for title, figure in FIGURES.items()}


def as_svg(figure: Figure) -> str:
    """The figure as an ``<svg>`` element to put into a page, its text as text."""
    with io.StringIO() as file, rc_context({"svg.fonttype": "none", "svg.hashsalt": "hnm", "savefig.dpi": 110}):
        figure.savefig(file, format="svg", metadata={"Date": None})
        text = file.getvalue()
    return text[text.index("<svg") :]


def scatter(result: MiningResult) -> Figure:
    """Confidence against IoU of the confident predictions, coloured by error type; mistakes lie on top.

    Where there are many, a mark stands for a cell of them, the larger the more.
    """
    figure, axes = _axes("Best IoU with a truth of the image", "Confidence")
    rows = np.flatnonzero(result.errors.confident)
    names, iou, score = result.prediction_error[rows], result.prediction_iou[rows], _scores(result)[rows]
    for name, marks in reversed(charts.cells(iou, score, names, MOST_MARKS)[1].items()):
        _, _, count, x, y = np.array(marks).T
        axes.scatter(
            *(x, y, 14 * (1 + np.log10(count)), charts.COLORS[name]),
            **{"label": _words(name), "alpha": 0.6, "linewidths": 0, "rasterized": True},
        )
    axes.axvline(result.settings.iou_threshold, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlim(-0.02, 1.02)
    return _with_legend(figure, axes)


def confidence(result: MiningResult) -> Figure:
    """How confident the confident predictions are, stacked by error type."""
    return _histogram(result, _scores(result), "Confidence")


def iou(result: MiningResult) -> Figure:
    """How well the confident predictions overlap, stacked by error type."""
    return _histogram(result, result.prediction_iou, "Best IoU with a truth of the image")


def errors(result: MiningResult) -> Figure:
    """False positives and, hatched, false negatives by error type."""
    figure, axes = _axes("Objects", "")
    names = list(result.report.errors)
    left = np.zeros(len(names))
    for side, hatch in (("false_positives", ""), ("false_negatives", "////")):
        counts = np.array([result.report.errors[name][side] for name in names])
        axes.barh(
            *([_words(name) for name in names], counts),
            **{"left": left, "color": [charts.COLORS[n] for n in names], "hatch": hatch, "edgecolor": "white"},
        )
        axes.bar(0, 0, color=NEUTRAL, hatch=hatch, edgecolor="white", label=_words(side))  # for the legend alone
        left += counts
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _with_legend(figure, axes)


def classes(result: MiningResult) -> Figure:
    """Right and wrong by class, the classes with the most mistakes first."""
    counts = sorted(
        result.report.classes.items(), key=lambda item: -(item[1].false_positives + item[1].false_negatives)
    )
    shown = dict(counts[:MOST_CLASSES])
    figure, axes = _axes("Objects", "")
    figure.set_size_inches(SIZE[0], max(SIZE[1], 0.9 + 0.3 * len(shown)))
    left = np.zeros(len(shown))
    for side, color in (
        ("true_positives", NEUTRAL),
        ("false_positives", charts.COLORS["background"]),
        ("false_negatives", charts.COLORS["missed"]),
    ):
        values = np.array([getattr(count, side) for count in shown.values()])
        axes.barh(list(shown), values, left=left, color=color, label=_words(side), height=0.7)
        left += values
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _with_legend(figure, axes)


def difficulty(result: MiningResult) -> Figure:
    """Difficulty of all candidates, hardest first, and where the cap cuts."""
    figure, axes = _axes("Candidates, hardest first", "Difficulty")
    values = np.concatenate([result.prediction_difficulty, result.truth_difficulty])
    values = -np.sort(-values[values > 0])
    axes.plot(np.arange(1, len(values) + 1), values, color=charts.COLORS["background"])
    if result.report.cut:
        axes.axvline(result.report.cap, color="black", linewidth=0.8, linestyle=":", label="cap")
    axes.set_ylim(0, 1.02)
    return _with_legend(figure, axes)


def weights(result: MiningResult) -> Figure:
    """Sample weights, heaviest first."""
    figure, axes = _axes("Images, heaviest first", "Sample weight")
    values = -np.sort(-result.weights)
    axes.plot(np.arange(1, len(values) + 1), values, color=charts.COLORS["missed"])
    axes.set_ylim(bottom=0)
    return figure


def training_rounds(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """How the rates went over the rounds of a training.

    Args:
        rows: per round ``epoch`` and the rates ``false_alarm_rate``, ``precision``, ``recall`` and ``fppi``.
    """
    figure, axes = _axes("Epochs trained before the round", "Share")
    right = axes.twinx()
    right.set(ylabel="False positives per image")
    right.spines["top"].set_visible(False)
    epochs = [row["epoch"] for row in rows]
    lines = {"precision": "o-", "recall": "s-", "false_alarm_rate": "^-", "fppi": "d:"}
    for color, (name, line) in zip(ROUND_COLORS, lines.items(), strict=True):
        on = right if name == "fppi" else axes
        on.plot(epochs, [row[name] for row in rows], line, color=color, label=_words(name))
    axes.set_ylim(0, 1)
    right.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _with_legend(figure, axes)


FIGURES: dict[str, Callable[[MiningResult], Figure]] = {
    "Confidence × IoU": scatter,
    "Errors by type": errors,
    "Confidence": confidence,
    "IoU": iou,
    "Errors by class": classes,
    "Difficulty": difficulty,
    "Weights": weights,
}
"""Every chart by its title, in the order of a page."""


def _histogram(result: MiningResult, values: Any, label: str) -> Figure:
    figure, axes = _axes(label, "Predictions")
    rows = np.flatnonzero(result.errors.confident)
    edges = np.arange(charts.BINS) / charts.BINS
    bottom = np.zeros(charts.BINS)
    for name, counts in charts.histograms(values[rows], result.prediction_error[rows].tolist()).items():
        axes.bar(
            *(edges, counts, 0.95 / charts.BINS, bottom),
            **{"align": "edge", "color": charts.COLORS[name], "label": _words(name)},
        )
        bottom += counts
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return _with_legend(figure, axes)


def _axes(x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _with_legend(figure: Figure, axes: Any) -> Figure:
    if axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return figure


def _scores(result: MiningResult) -> Any:
    assert result.predictions.score is not None  # mining saw to it
    return result.predictions.score


def _words(name: str) -> str:
    return name.replace("_", " ")
