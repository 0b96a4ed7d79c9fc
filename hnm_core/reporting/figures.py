"""Draw the charts of a mining with matplotlib, from the same numbers that the panel of the App shows.

Figures are returned, not shown, and the global state of pyplot is not touched.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import chart_data

__all__ = ["FIGURES", "as_svg", "draw", "training_rounds"]

SIZE, DPI = (6.2, 3.6), 110
ROUND_COLORS = ("#0072b2", "#009e73", "#d55e00", "#555555")
NEUTRAL = chart_data.COLORS["true_positive"]

Overview = Mapping[str, Any]
"""What :func:`~hnm_core.reporting.overview.overview` returns."""


def draw(data: Overview, iou_threshold: float) -> dict[str, Figure]:
    """Return every chart of a mining by its title.

    Args:
        data: the numbers of the charts.
        iou_threshold: drawn as a line into the scatter plot.
    """
    figures = {title: figure(data) for title, figure in FIGURES.items()}
    figures[SCATTER].axes[0].axvline(iou_threshold, color="black", linewidth=0.8, linestyle=":")
    return figures


def as_svg(figure: Figure) -> str:
    """Return the figure as an ``<svg>`` element for an HTML page; text stays text."""
    figure.set_dpi(DPI)
    with io.StringIO() as file, rc_context({"svg.fonttype": "none", "svg.hashsalt": "hnm"}):
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})  # savefig draws everything twice
        text = file.getvalue()
    return text[text.index("<svg") :]


def scatter(data: Overview) -> Figure:
    """Draw confidence against IoU of the confident predictions, coloured by error type; mistakes lie on top.

    A mark stands for a cell of the grid; its area grows with the logarithm of the number of predictions there.
    """
    figure, axes = _axes("Best IoU with a truth of the image", "Confidence")
    for name, marks in reversed(data["cells"].items()):
        _, _, count, score, overlap = np.array(marks).T
        axes.scatter(
            *(overlap, score, 14 * (1 + np.log10(count)), chart_data.COLORS[name]),
            **{"label": _words(name), "alpha": 0.6, "linewidths": 0, "rasterized": True},
        )
    axes.set_xlim(-0.02, 1.02)
    return _with_legend(figure, axes)


def confidence(data: Overview) -> Figure:
    """Draw a histogram of the confidence of the confident predictions, stacked by error type."""
    return _histogram(data["histograms"]["confidence"], "Confidence")


def iou(data: Overview) -> Figure:
    """Draw a histogram of the best IoU of the confident predictions, stacked by error type."""
    return _histogram(data["histograms"]["iou"], "Best IoU with a truth of the image")


def errors(data: Overview) -> Figure:
    """Draw false positives and, hatched, false negatives by error type."""
    counts = data["report"]["errors"]
    names, colors = list(map(_words, counts)), [chart_data.COLORS[name] for name in counts]
    wrong, missed = ([count[side] for count in counts.values()] for side in ("false_positives", "false_negatives"))
    return _bars(names, (wrong, colors, ""), (missed, colors, "////"))


def classes(data: Overview) -> Figure:
    """Draw false positives and false negatives by class, the classes with the most mistakes first, the rest as one."""
    rows = list(data["classes"])
    number, *others = data["other_classes"]
    rows += [(f"{number} other classes", *others)] if number else []
    names, wrong, missed = ([row[i] for row in rows] for i in range(3))
    figure = _bars(
        names, (wrong, chart_data.COLORS["background"], ""), (missed, chart_data.COLORS["missed"], ""), height=0.7
    )
    figure.set_size_inches(SIZE[0], max(SIZE[1], 0.9 + 0.3 * len(rows)))
    return figure


def difficulty(data: Overview) -> Figure:
    """Draw the difficulty of the mined objects, hardest first."""
    figure, axes = _curve(data["difficulty"], "Mined objects, hardest first", "Difficulty", "background")
    axes.set_ylim(0, 1.02)
    return figure


def weights(data: Overview) -> Figure:
    """Draw the sample weights, heaviest first."""
    figure, axes = _curve(data["weights"], "Images, heaviest first", "Sample weight", "missed")
    axes.set_ylim(bottom=0)
    return figure


def training_rounds(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw how the rates changed over the rounds of a training.

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


SCATTER = "Confidence × IoU"
FIGURES: dict[str, Callable[[Overview], Figure]] = {
    SCATTER: scatter,
    "Errors by type": errors,
    "Confidence": confidence,
    "IoU": iou,
    "Errors by class": classes,
    "Difficulty": difficulty,
    "Weights": weights,
}
"""Every chart by its title, in the order of a page."""


def _histogram(counts: Mapping[str, Sequence[int]], label: str) -> Figure:
    figure, axes = _axes(label, "Predictions")
    edges = np.arange(chart_data.BINS) / chart_data.BINS
    bottom = np.zeros(chart_data.BINS)
    for name, of_name in counts.items():
        axes.bar(
            *(edges, of_name, 0.95 / chart_data.BINS, bottom),
            **{"align": "edge", "color": chart_data.COLORS[name], "label": _words(name)},
        )
        bottom += np.array(of_name)
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return _with_legend(figure, axes)


def _bars(names: Sequence[str], wrong: Sequence[Any], missed: Sequence[Any], height: float = 0.8) -> Figure:
    """Draw horizontal bars: false positives, and false negatives after them; each as (counts, colours, hatch)."""
    figure, axes = _axes("Objects", "")
    left = np.zeros(len(names))
    for label, (counts, color, hatch) in {"false positives": wrong, "false negatives": missed}.items():
        axes.barh(
            *(names, counts, height, left),
            **{"color": color, "hatch": hatch, "edgecolor": "white"},
        )
        legend = color if isinstance(color, str) else NEUTRAL
        axes.bar(0, 0, color=legend, hatch=hatch, edgecolor="white", label=label)  # an entry of the legend, no bar
        left += np.array(counts)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _with_legend(figure, axes)


def _curve(points: Sequence[Sequence[float]], x: str, y: str, color: str) -> tuple[Figure, Any]:
    figure, axes = _axes(x, y)
    count, value = (np.array([point[i] for point in (*points[:1], *points)]) for i in (0, 1))
    count[:1] = 1  # from the first object on: a point says how many have at least its value
    axes.plot(count, value, drawstyle="steps-pre", color=chart_data.COLORS[color])
    return figure, axes


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


def _words(name: str) -> str:
    return name.replace("_", " ")
