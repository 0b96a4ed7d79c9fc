"""Compute the numbers of all charts of a mining once, in a few kilobytes, to store and to draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..result import Mined
from . import chart_data
from .threshold_table import ThresholdTable

__all__ = ["overview", "weight_overview"]

REPORTED = ("statistics", "metrics", "rates", "mining", "errors", "label_suspects", "notes")
"""The parts of a report that a headline needs, without those that grow with the number of classes."""


def overview(result: Mined) -> dict[str, Any]:
    """Return the numbers that the panel shows of a mining; JSON-clean, and small for datasets of any size.

    Args:
        result: what :func:`~hnm_core.mine` or :func:`~hnm_core.engines.mine_shards` returns.

    Returns:
        ``report`` (the parts that headlines need), ``grid`` and ``cells`` (confidence × IoU of the confident
        predictions, see :func:`~.chart_data.cells`), ``histograms`` of their confidence and IoU, ``classes`` and
        ``other_classes`` (see :func:`~.chart_data.worst_classes`), ``difficulty`` of the mined objects and
        ``weights`` of the images (see :func:`~.chart_data.curve`); ``confusions`` (``[class of the truth, class of the
        prediction, count]``, the most frequent first) and ``thresholds`` (see :meth:`.ThresholdTable.as_dict`), over
        all classes together.

    Example:
        >>> from hnm_core import Detections, mine
        >>> world = dict(images=["a"], classes=["cat"])
        >>> found = mine(Detections([0], [[0, 0, 9, 9]], [0], [0.9], **world), Detections.empty(**world))
        >>> overview(found)["cells"]
        {'background': [[180, 0, 1, 0.9, 0.0]]}
    """
    report = result.report.as_dict()
    grid, cells = chart_data.cells_of(result.ask_cells)
    confidence, iou = chart_data.bars_of(result.ask_cells)
    classes, others = chart_data.worst_classes(report["classes"])
    return {
        **weight_overview(report, result.weights),
        "grid": grid,
        "cells": cells,
        "histograms": {"confidence": confidence, "iou": iou},
        "classes": [list(row) for row in classes],
        "other_classes": list(others),
        "difficulty": chart_data.curve(result.mined_difficulty),
        "confusions": chart_data.worst_confusions(report["confusions"]),
        "thresholds": ThresholdTable.of(result).in_one().as_dict(),
    }


def weight_overview(report: Mapping[str, Any], weights: NDArray[np.float64]) -> dict[str, Any]:
    """Return the parts of an overview that change with the weights: ``report`` and ``weights``."""
    shown = {name: value for name, value in (report["weights"] or {}).items() if name != "class_exposure"}
    return {
        "report": {**{name: report[name] for name in REPORTED}, "weights": shown or None},
        "weights": chart_data.curve(weights) if shown else [],
    }
