"""What charts and headlines show, ready to be dressed: numbers in words, bins, curves, which points, which colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .report import percent
from .taxonomy import ROW_NAMES

__all__ = [
    "BINS",
    "COLORS",
    "GRIDS",
    "Fact",
    "bin_range",
    "cells",
    "curve",
    "headline",
    "histograms",
    "worst_classes",
]

BINS = 20
"""Bars from 0 to 1, .05 wide: TIDE's thresholds .1 and .5 then fall between two bars."""

GRIDS = (200, 100, 40, 20)
"""Cells along either side of a scatter plot; all put TIDE's thresholds between two cells."""

MOST_CELLS = 1500
"""Marks in a scatter plot of cells, each an element of the page: without a graphics card the hover text of 2,000
follows the mouse within 40 ms, that of 5,000 within 270."""

COLORS: Mapping[str, str] = MappingProxyType(
    {
        "background": "#D55E00",
        "localization": "#56B4E9",
        "classification": "#CC79A7",
        "duplicate": "#E69F00",
        "both": "#009E73",
        "missed": "#0072B2",
        "true_positive": "#6E6E6E",
        "ignored": "#BDBDBD",
        "below_threshold": "#D9D9D9",
    }
)
"""One colour per row name, everywhere: mistakes in those of Okabe and Ito (2008), which colour-blind eyes tell apart;
all else in greys."""


Names = Sequence[str] | NDArray[np.str_]


class Fact(NamedTuple):
    """A number of a report, as people read it; ``change`` since the round before, and whether that is ``better``."""

    name: str
    value: str
    remark: str = ""
    change: str = ""
    better: bool | None = None


def headline(report: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> list[Fact]:
    """The numbers to put above the charts: rates first, then what they are made of.

    Args:
        report: what :meth:`~hnm_core.report.MiningReport.as_dict` gives.
        before: the same of the round before; rates then say how they changed.

    Returns:
        A fact each; those on weights only where there are weights. A ratio with denominator 0 is ``–`` and has no
        change.

    Example:
        >>> from hnm_core.report import Counts, MiningReport
        >>> report = MiningReport(images=2, counts=Counts(9, 6, 4, 2, 0, hard_negatives=2), candidates=3)
        >>> headline(report.as_dict())[5]
        Fact(name='Hard negatives', value='2', remark='1 left out', change='', better=None)
    """
    found, mining, weights = report["statistics"], report["mining"], report["weights"]
    right, wrong, missed = (found[f"{name}s"] for name in ("true_positive", "false_positive", "false_negative"))
    doubt = _doubt(mining)

    def change(group: str, rate: str, scale: float, unit: str, *, lower: bool) -> tuple[str, bool | None]:
        if not before or not all(_counted(rate, each) for each in (report, before)):  # 0 of nothing is no progress
            return "", None
        return _change(report[group][rate], before[group][rate], scale, unit, lower=lower)

    facts = [
        Fact(
            *("False-alarm rate", percent(wrong, mining["confident_predictions"]), "of the confident"),
            *change("rates", "false_alarm_rate", 100, " pts", lower=True),
        ),
        Fact(
            *("False positives", f"{wrong:,}", f"{report['rates']['fppi']:.2f} per image"),
            *change("rates", "fppi", 1, "", lower=True),
        ),
        Fact(
            *("False negatives", f"{missed:,}", f"{percent(missed, right + missed)} of {right + missed:,} truths"),
            *change("rates", "miss_rate", 100, " pts", lower=True),
        ),
        Fact("Precision", percent(right, right + wrong), "", *change("metrics", "precision", 100, " pts", lower=False)),
        Fact("Recall", percent(right, right + missed), "", *change("metrics", "recall", 100, " pts", lower=False)),
        Fact("Hard negatives", f"{found['hard_negatives']:,}", f"{mining['cut']:,} left out"),
        Fact("Label errors", f"≈ {mining['expected_label_errors']:,.0f}", doubt),
        Fact("True positives", f"{right:,}"),
        Fact("Predictions", f"{found['total_predictions']:,}", f"{mining['confident_predictions']:,} confident"),
    ]
    if weights:
        facts += [
            Fact("Hard images", f"{weights['hard_images']:,}", f"of {mining['images']:,}"),
            Fact("Mean weight", f"{weights['mean_weight']:.3f}"),
            Fact("Effective sample", percent(weights["effective_sample_size"], 1), "of the images"),
        ]
    return facts


def _counted(rate: str, report: Mapping[str, Any]) -> int:
    """Of how many a rate is the share."""
    found, mining = report["statistics"], report["mining"]
    if rate == "fppi":
        return int(mining["images"])
    if rate in ("recall", "miss_rate"):
        return int(found["true_positives"] + found["false_negatives"])
    return int(mining["confident_predictions"])


def _doubt(mining: Mapping[str, Any]) -> str:
    """On what the number of label errors stands; runs of before people were asked know nothing of looks."""
    looks, interval = mining.get("looks", 0), mining.get("expected_label_errors_interval")
    if not looks:
        return "a prior: nobody has looked yet" if mining["suspicion_used"] else "a prior that weights ignore"
    between = f"{interval[0]:,.0f} to {interval[1]:,.0f}, " if interval else ""
    unused = "" if mining["suspicion_used"] else ", and weights ignore it"
    return f"{between}by {looks:,} {'look' if looks == 1 else 'looks'}{unused}"


def bin_range(index: int, bins: int = BINS) -> tuple[float, float]:
    """Lower edge, which belongs to the bin, and upper edge, which does so in the last bin only.

    Raises:
        ValueError: if there is no such bin.

    Example:
        >>> bin_range(2)
        (0.1, 0.15)
    """
    if not 0 <= index < bins:
        raise ValueError(f"bin must be one of 0 to {bins - 1}, got {index}")
    edges = _edges(bins)
    return float(edges[index]), float(edges[index + 1])


def histograms(values: ArrayLike, names: Names) -> dict[str, list[int]]:
    """How many values of each name fall into each bin from 0 to 1, to be stacked.

    Args:
        values: ``(n,)`` float in ``[0, 1]``: scores, IoUs, difficulties.
        names: ``(n,)`` row names, such as ``background``.

    Returns:
        Counts of the ``BINS`` bins by name, in the order of :data:`COLORS`; names that do not occur are left out.

    Raises:
        ValueError: if the columns differ in length, a value is outside [0, 1] or NaN, or a name is unknown.

    Example:
        >>> {name: sum(counts) for name, counts in histograms([0.05, 0.1, 1.0], ["both", "both", "background"]).items()}
        {'background': 1, 'both': 2}
    """
    rows = _rows_by_name(names)
    place = _places(_checked(values, names), BINS)
    return {name: np.bincount(place[rows[name]], minlength=BINS).tolist() for name in rows}


def cells(x: ArrayLike, y: ArrayLike, names: Names, most: int = MOST_CELLS) -> tuple[int, dict[str, list[list[float]]]]:
    """A scatter plot of any number of points: a mark for each cell of a grid that holds some, by name.

    No point is left out, and a mark says how many it stands for. The grid is the finest of :data:`GRIDS` that keeps to
    ``most`` marks (the coarsest may exceed them).

    Args:
        x: ``(n,)`` float in ``[0, 1]``, such as scores.
        y: ``(n,)`` float in ``[0, 1]``, such as IoUs.
        names: ``(n,)`` row names, such as ``background``.
        most: number of marks to draw at most.

    Returns:
        Cells along a side, and by name, in the order of :data:`COLORS`, a mark each:
        ``[column, row, points, mean x, mean y]``.

    Raises:
        ValueError: as :func:`histograms`.

    Example:
        >>> cells([0.9, 0.9, 0.2], [0.0, 0.0, 0.7], ["background", "background", "both"])
        (200, {'background': [[180, 0, 2, 0.9, 0.0]], 'both': [[40, 140, 1, 0.2, 0.7]]})
    """
    x, y, rows = _checked(x, names), _checked(y, names), _rows_by_name(names)
    codes = np.zeros(len(x), dtype=np.int64)
    for code, name in enumerate(rows):
        codes[rows[name]] = code
    for bins in GRIDS:
        place = (codes * bins + _places(x, bins)) * bins + _places(y, bins)
        held, mark, count = np.unique(place, return_inverse=True, return_counts=True)
        if len(held) <= most:
            break
    middle = [np.bincount(mark, values, len(held)) / count for values in (x, y)]
    listed = zip(*(column.tolist() for column in (held, count, *(m.round(4) for m in middle))), strict=True)
    marks: dict[str, list[list[float]]] = {name: [] for name in rows}
    order = list(rows)
    for cell, points, *mean in listed:
        marks[order[cell // bins**2]].append([cell // bins % bins, cell % bins, points, *mean])
    return bins, marks


def curve(values: ArrayLike, most: int = 100) -> list[list[float]]:
    """A falling curve: for some values, how many are at least as high; the highest and the lowest among them.

    Args:
        values: ``(n,)`` float, in any order; NaN is left out.
        most: number of points at most.

    Returns:
        ``[count, value]`` pairs, counts rising.

    Example:
        >>> curve([0.5, 1.0, 0.5])
        [[1, 1.0], [3, 0.5]]
    """
    column = np.asarray(values, dtype=np.float64)
    rising = np.sort(column[~np.isnan(column)])
    if not len(rising):
        return []
    chosen = np.unique(rising[np.linspace(0, len(rising) - 1, min(most, len(rising))).round().astype(np.int64)])
    count = len(rising) - np.searchsorted(rising, chosen)
    return [[int(n), float(value)] for n, value in zip(count[::-1], chosen[::-1], strict=True)]


def worst_classes(
    classes: Mapping[str, Mapping[str, int]], most: int = 12
) -> tuple[list[tuple[str, int, int]], tuple[int, int, int]]:
    """The classes with the most mistakes, and the others as one.

    Args:
        classes: counts by class, as in :meth:`~hnm_core.report.MiningReport.as_dict`.
        most: number of classes to name at most.

    Returns:
        ``(class, false positives, false negatives)`` of the worst, most mistakes first; and of the others that have
        any: ``(number of classes, false positives, false negatives)``.

    Example:
        >>> count = lambda fp, fn: {"false_positives": fp, "false_negatives": fn}
        >>> worst_classes({"cat": count(1, 0), "dog": count(2, 5), "cow": count(0, 0), "hen": count(0, 1)}, most=1)
        ([('dog', 2, 5)], (2, 1, 1))
    """
    wrong = [(name, count["false_positives"], count["false_negatives"]) for name, count in classes.items()]
    wrong = sorted((row for row in wrong if row[1] + row[2]), key=lambda row: (-row[1] - row[2], row[0]))
    rest = wrong[most:]
    return wrong[:most], (len(rest), sum(row[1] for row in rest), sum(row[2] for row in rest))


def _change(now: float, before: float, scale: float, unit: str, *, lower: bool) -> tuple[str, bool | None]:
    """A difference for people, with an arrow and a word so that it is read without colour; and whether it is good."""
    difference = round(scale * (now - before), 1 if scale > 1 else 2)
    if not difference:
        return "as before", None
    better = (difference < 0) == lower
    digits = f"{abs(difference):.1f}" if scale > 1 else f"{abs(difference):.2f}"
    return f"{'▼' if difference < 0 else '▲'} {digits}{unit} {'better' if better else 'worse'}", better


def _edges(bins: int) -> NDArray[np.float64]:
    return np.arange(bins + 1) / bins


def _places(values: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """The bin of each value: the edges themselves decide, so that a filter by edges finds the same values."""
    return np.minimum(np.searchsorted(_edges(bins), values, side="right") - 1, bins - 1)


def _checked(values: ArrayLike, names: Names) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(names),):
        raise ValueError(f"values have shape {values.shape}, expected ({len(names)},) as there are {len(names)} names")
    outside = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if outside.size:
        raise ValueError(
            f"{outside.size} of {len(values)} values are not in [0, 1], first at row {outside[0]}: {values[outside[0]]}"
        )
    return values


def _rows_by_name(names: Names) -> dict[str, NDArray[np.int64]]:
    column = np.asarray(names, dtype=str)
    unknown = sorted(set(column.tolist()) - set(COLORS))
    if unknown:
        raise ValueError(f"no row is called {unknown[0]!r}: names are {', '.join(ROW_NAMES)}")
    return {name: rows for name in COLORS if (rows := np.flatnonzero(column == name)).size}
