"""A mining in a few kilobytes: every number and chart of it, counted once, to be kept beside the results and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import charts
from .result import MiningResult
from .taxonomy import BELOW_THRESHOLD, ROW_NAMES

__all__ = ["overview", "weighed"]

REPORTED = ("statistics", "metrics", "rates", "mining", "errors", "notes")
"""The parts of a report that a headline needs: those by class and size grow with the data set's classes."""


def overview(result: MiningResult) -> dict[str, Any]:
    """What a panel shows of a mining, JSON-clean and small whatever the size of the data.

    Args:
        result: what :func:`~hnm_core.mine` found.

    Returns:
        ``report`` (the parts that headlines need), ``grid`` and ``cells`` (confidence × IoU of the confident
        predictions, see :func:`~hnm_core.charts.cells`), ``histograms`` of their confidence and IoU, ``classes`` and
        ``other_classes`` (see :func:`~hnm_core.charts.worst_classes`), ``difficulty`` of the mined objects and
        ``weights`` of the images (see :func:`~hnm_core.charts.curve`).

    Example:
        >>> from hnm_core import Detections, mine
        >>> world = dict(images=["a"], classes=["cat"])
        >>> found = mine(Detections([0], [[0, 0, 9, 9]], [0], [0.9], **world), Detections.empty(**world))
        >>> overview(found)["cells"]
        {'background': [[180, 0, 1, 0.9, 0.0]]}
    """
    report = result.report.as_dict()
    rows = np.flatnonzero(result.errors.prediction != BELOW_THRESHOLD)
    names = np.array(ROW_NAMES)[result.errors.prediction[rows]]
    score, iou = np.asarray(result.predictions.score)[rows], result.prediction_iou[rows]
    grid, cells = charts.cells(score, iou, names)
    classes, others = charts.worst_classes(report["classes"])
    mined = (
        result.prediction_difficulty[result.prediction_hard],
        result.truth_difficulty[result.truth_hard],
    )
    return {
        **weighed(report, result.weights),
        "grid": grid,
        "cells": cells,
        "histograms": {"confidence": charts.histograms(score, names), "iou": charts.histograms(iou, names)},
        "classes": [list(row) for row in classes],
        "other_classes": list(others),
        "difficulty": charts.curve(np.concatenate(mined)),
    }


def weighed(report: Mapping[str, Any], weights: NDArray[np.float64]) -> dict[str, Any]:
    """The parts of an overview that change where reviews change the weights: ``report`` and ``weights``."""
    shown = {name: value for name, value in (report["weights"] or {}).items() if name != "class_exposure"}
    return {
        "report": {**{name: report[name] for name in REPORTED}, "weights": shown or None},
        "weights": charts.curve(weights) if shown else [],
    }
