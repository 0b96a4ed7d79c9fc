"""What charts and headlines show, ready to be dressed: numbers in words, bins, which points, which colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .report import percent
from .taxonomy import ROW_NAMES

__all__ = ["BINS", "COLORS", "Fact", "bin_range", "headline", "histograms", "points_to_draw"]

BINS = 20
"""Bars from 0 to 1, .05 wide: TIDE's thresholds .1 and .5 then fall between two bars."""

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

_EDGES = np.arange(BINS + 1) / BINS


class Fact(NamedTuple):
    """A number of a report, as people read it."""

    name: str
    value: str
    remark: str = ""


def headline(report: Mapping[str, Any]) -> list[Fact]:
    """The numbers to put above the charts.

    Args:
        report: what :meth:`~hnm_core.report.MiningReport.as_dict` gives.

    Returns:
        A fact each; those on weights only where there are weights. A ratio with denominator 0 is ``–``.

    Example:
        >>> from hnm_core.report import Counts, MiningReport
        >>> report = MiningReport(images=2, counts=Counts(9, 6, 4, 2, 0, hard_negatives=2), candidates=3)
        >>> headline(report.as_dict())[0]
        Fact(name='Hard negatives', value='2', remark='1 left out')
    """
    found, mining, weights = report["statistics"], report["mining"], report["weights"]
    right, wrong, missed = (found[f"{name}s"] for name in ("true_positive", "false_positive", "false_negative"))
    doubt = "a prior: nobody has looked yet" if mining["suspicion_used"] else "a prior that weights ignore"
    facts = [
        Fact("Hard negatives", f"{found['hard_negatives']:,}", f"{mining['cut']:,} left out"),
        Fact("Label errors", f"≈ {mining['expected_label_errors']:,.0f}", doubt),
        Fact("False positives", f"{wrong:,}", f"{report['rates']['fppi']:.2f} per image"),
        Fact("False negatives", f"{missed:,}", f"of {right + missed:,} truths"),
        Fact("True positives", f"{right:,}"),
        Fact("Predictions", f"{found['total_predictions']:,}", f"{mining['confident_predictions']:,} confident"),
        Fact("Precision", percent(right, right + wrong)),
        Fact("Recall", percent(right, right + missed)),
        Fact("False-alarm rate", percent(wrong, mining["confident_predictions"]), "of the confident"),
    ]
    if weights:
        facts += [
            Fact("Hard images", f"{weights['hard_images']:,}", f"of {mining['images']:,}"),
            Fact("Mean weight", f"{weights['mean_weight']:.3f}"),
            Fact("Effective sample", percent(weights["effective_sample_size"], 1), "of the images"),
        ]
    return facts


def bin_range(index: int) -> tuple[float, float]:
    """Lower edge, which belongs to the bin, and upper edge, which does so in the last bin only.

    Raises:
        ValueError: if there is no such bin.

    Example:
        >>> bin_range(2)
        (0.1, 0.15)
    """
    if not 0 <= index < BINS:
        raise ValueError(f"bin must be one of 0 to {BINS - 1}, got {index}")
    return float(_EDGES[index]), float(_EDGES[index + 1])


def histograms(values: ArrayLike, names: Sequence[str]) -> dict[str, list[int]]:
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
    values = np.asarray(values, dtype=np.float64)
    rows = _rows_by_name(names)
    if values.shape != (len(names),):
        raise ValueError(f"values have shape {values.shape}, expected ({len(names)},) as there are {len(names)} names")
    outside = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if outside.size:
        raise ValueError(
            f"{outside.size} of {len(values)} values are not in [0, 1], first at row {outside[0]}: {values[outside[0]]}"
        )
    place = np.minimum(np.searchsorted(_EDGES, values, side="right") - 1, BINS - 1)
    return {name: np.bincount(place[rows[name]], minlength=BINS).tolist() for name in rows}


def points_to_draw(names: Sequence[str], most: int, seed: int = 0) -> dict[str, list[int]]:
    """Which rows a scatter plot shows: all, or if they are too many the rare names whole and the frequent ones thinned.

    Every name gets the same number of places; what a rare name leaves free goes to the frequent ones.

    Args:
        names: ``(n,)`` row names, such as ``background``.
        most: number of points to draw at most.
        seed: of the draw.

    Returns:
        Row numbers by name, ascending, in the order of :data:`COLORS`; names that do not occur are left out.

    Example:
        >>> {name: len(rows) for name, rows in points_to_draw(["true_positive"] * 9 + ["both"] * 2, most=6).items()}
        {'both': 2, 'true_positive': 4}
    """
    rows = _rows_by_name(names)
    random = np.random.default_rng(seed)
    kept, left = dict(rows), most
    for waiting, name in enumerate(sorted(rows, key=lambda name: len(rows[name]))):
        places = left // (len(rows) - waiting)
        if len(rows[name]) > places:
            kept[name] = np.sort(random.choice(rows[name], places, replace=False))
        left -= len(kept[name])
    return {name: chosen.tolist() for name, chosen in kept.items() if len(chosen)}


def _rows_by_name(names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    column = np.asarray(names, dtype=str)
    unknown = sorted(set(column.tolist()) - set(COLORS))
    if unknown:
        raise ValueError(f"no row is called {unknown[0]!r}: names are {', '.join(ROW_NAMES)}")
    return {name: rows for name in COLORS if (rows := np.flatnonzero(column == name)).size}
