"""Compute the data of every chart: bins, curves, cells of a scatter plot, and one colour per error type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..counting import ScoreCells
from ..counting.scores import mean_of, places_of
from ..taxonomy import ROW_NAMES

__all__ = [
    "BINS",
    "COLORS",
    "GRIDS",
    "bars_of",
    "bin_range",
    "cells",
    "cells_of",
    "curve",
    "histograms",
    "worst_classes",
    "worst_confusions",
]

BINS = 20
"""Number of bars from 0 to 1, each .05 wide, so that TIDE's thresholds .1 and .5 lie between two bars."""

GRIDS = (200, 100, 40, 20)
"""Possible numbers of cells per side of a scatter plot; TIDE's thresholds lie between two cells in all of them."""

MOST_CELLS = 1500
"""Largest number of marks in a scatter plot. Each is an element of the page: without a graphics card the hover text
follows the mouse within 40 ms for 2,000 marks, and within 270 ms for 5,000."""

COLORS: Mapping[str, str] = MappingProxyType(
    {
        "background": "#D55E00",
        "localization": "#56B4E9",
        "classification": "#CC79A7",
        "duplicate": "#E69F00",
        "both": "#009E73",
        "missed": "#0072B2",
        "true_positive": "#6E6E6E",
        "confident": "#B33F00",
        "uncertain": "#F5A623",
        "gap": "#004C9E",
        "ignored": "#BDBDBD",
        "below_threshold": "#D9D9D9",
    }
)
"""The colour of every row name: mistakes in the colour-blind safe colours of Okabe and Ito (2008), proposals in shades
of three of them, since no chart shows both, others in grey."""

CODES = {name: ROW_NAMES.index(name) for name in COLORS}


Names = Sequence[str] | NDArray[np.str_]

Ask = Callable[..., Sequence[Any]]
"""Calls a method of :class:`~hnm_core.counting.ScoreCells`, by name, wherever they are, and returns the answers."""


def bin_range(index: int, bins: int = BINS) -> tuple[float, float]:
    """Return the lower edge of a bin, inclusive, and the upper edge, inclusive only in the last bin.

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
    """Count the values of each name in each bin from 0 to 1, for stacked histograms.

    Args:
        values: ``(n,)`` float in ``[0, 1]``: scores, IoUs, difficulties.
        names: ``(n,)`` row names, such as ``background``.

    Returns:
        Counts of the ``BINS`` bins by name, in the order of :data:`COLORS`, for names that occur.

    Raises:
        ValueError: if the columns differ in length, a value is outside [0, 1] or NaN, or a name is unknown.

    Example:
        >>> {name: sum(counts) for name, counts in histograms([0.05, 0.1, 1.0], ["both", "both", "background"]).items()}
        {'background': 1, 'both': 2}
    """
    rows = _rows_by_name(names)
    place = places_of(_checked(values, names), BINS)
    return {name: np.bincount(place[rows[name]], minlength=BINS).tolist() for name in rows}


def bars_of(ask: Ask) -> tuple[dict[str, list[int]], ...]:
    """Return the :func:`histograms` of scores and of IoUs of predictions that are counted in one place or in many."""
    return tuple(
        {name: counts[code] for name, code in CODES.items() if any(counts[code])}
        for counts in np.sum(ask("bars", BINS), axis=0).tolist()
    )


def cells(x: ArrayLike, y: ArrayLike, names: Names, most: int = MOST_CELLS) -> tuple[int, dict[str, list[list[float]]]]:
    """Group the points of a scatter plot into the cells of a grid, by name; a mark stands for the points of a cell.

    All points are counted. The grid is the finest of :data:`GRIDS` with at most ``most`` marks; the coarsest grid may
    have more.

    Args:
        x: ``(n,)`` float in ``[0, 1]``, such as scores.
        y: ``(n,)`` float in ``[0, 1]``, such as IoUs.
        names: ``(n,)`` row names, such as ``background``.
        most: largest number of marks.

    Returns:
        The number of cells per side, and by name, in the order of :data:`COLORS`, the marks as
        ``[column, row, points, mean x, mean y]``.

    Raises:
        ValueError: as :func:`histograms`.

    Example:
        >>> cells([0.9, 0.9, 0.2], [0.0, 0.0, 0.7], ["background", "background", "both"])
        (200, {'background': [[180, 0, 2, 0.9, 0.0]], 'both': [[40, 140, 1, 0.2, 0.7]]})
    """
    x, y, rows = _checked(x, names), _checked(y, names), _rows_by_name(names)
    code = np.zeros(len(x), dtype=np.int64)
    for name in rows:
        code[rows[name]] = CODES[name]
    counted = ScoreCells.of(x, y, code)
    return cells_of(lambda ask, *args: [getattr(counted, ask)(*args)], most)


def cells_of(ask: Ask, most: int = MOST_CELLS) -> tuple[int, dict[str, list[list[float]]]]:
    """Return the :func:`cells` of predictions that are counted in one place or in many."""
    bins = next((bins for bins in GRIDS[:-1] if _are_few(ask("occupied", bins, most), most)), GRIDS[-1])
    places, count, sums = (np.concatenate(column) for column in zip(*ask("marks", bins), strict=True))
    held, at = np.unique(places, return_inverse=True)
    number, total = np.zeros(len(held), dtype=np.int64), np.zeros((len(held), sums.shape[1]), dtype=np.int64)
    np.add.at(number, at.reshape(-1), count)
    np.add.at(total, at.reshape(-1), sums)
    marks: dict[str, list[list[float]]] = {name: [] for name in CODES}
    means = np.array(mean_of(total, number)).reshape(-1, 2).round(4)
    for cell, points, mean in zip(held.tolist(), number.tolist(), means.tolist(), strict=True):
        marks[ROW_NAMES[cell // bins**2]].append([cell // bins % bins, cell % bins, points, *mean])
    return bins, {name: found for name, found in marks.items() if found}


def curve(values: ArrayLike, most: int = 100) -> list[list[float]]:
    """Return points of a falling curve: for some values, including highest and lowest, how many are at least as high.

    Args:
        values: ``(n,)`` float, in any order; NaN is left out.
        most: largest number of points.

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
    """Return the classes with the most mistakes, and the sums of the others.

    Args:
        classes: counts by class, as in :meth:`~hnm_core.report.MiningReport.as_dict`.
        most: largest number of classes to list.

    Returns:
        ``(class, false positives, false negatives)`` of the listed classes, most mistakes first; and for the other
        classes with mistakes ``(number of classes, false positives, false negatives)``.

    Example:
        >>> count = lambda fp, fn: {"false_positives": fp, "false_negatives": fn}
        >>> worst_classes({"cat": count(1, 0), "dog": count(2, 5), "cow": count(0, 0), "hen": count(0, 1)}, most=1)
        ([('dog', 2, 5)], (2, 1, 1))
    """
    wrong = [(name, count["false_positives"], count["false_negatives"]) for name, count in classes.items()]
    wrong = sorted((row for row in wrong if row[1] + row[2]), key=lambda row: (-row[1] - row[2], row[0]))
    rest = wrong[most:]
    return wrong[:most], (len(rest), sum(row[1] for row in rest), sum(row[2] for row in rest))


def worst_confusions(confusions: Mapping[str, Mapping[str, int]], most: int = 12) -> list[list[Any]]:
    """Return the pairs of classes that are confused most, ``[class of the truth, class of the prediction, count]``.

    Example:
        >>> worst_confusions({"cat": {"dog": 2, "cow": 5}, "cow": {"cat": 2}}, most=2)
        [['cat', 'cow', 5], ['cat', 'dog', 2]]
    """
    pairs = sorted((-count, true, name) for true, row in confusions.items() for name, count in row.items())
    return [[true, name, -count] for count, true, name in pairs[:most]]


def _edges(bins: int) -> NDArray[np.float64]:
    return np.arange(bins + 1) / bins


def _are_few(answers: Sequence[NDArray[np.int64] | None], most: int) -> bool:
    """Return whether all places together have at most ``most`` different cells."""
    there = [cells for cells in answers if cells is not None]
    return len(there) == len(answers) and len(np.unique(np.concatenate(there))) <= most


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
        raise ValueError(f"unknown row name {unknown[0]!r}; names are {', '.join(ROW_NAMES)}")
    return {name: rows for name in COLORS if (rows := np.flatnonzero(column == name)).size}
