"""Labels that a detector contradicts, matched or not: another class, another box, or nothing there at all."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from ..boxes import unit_of
from ..columns import Detections
from ..io.cells import safe_cell
from ..labels.stats import logit
from ..result import MiningResult
from ..settings import MiningSettings

__all__ = ["LabelSuspects", "suspects_csv", "suspects_of", "with_suspects"]


@dataclass(frozen=True, eq=False)
class LabelSuspects:
    """How suspicious every label is, in three ways; ``m`` rows; higher is more suspicious. Ranks, no probabilities.

    Attributes:
        wrong_label: ``(m,)`` float64 in [-1, 1], score of the other classes there minus that of its own, mean over the
            views.
        wrong_box: ``(m,)`` in [0, 1], 1 - IoU with the box of its class that the detector puts there, in the view where
            they agree best; NaN if there is none.
        bogus_label: ``(m,)``, negative log odds of the best score of any class there in any view.
    """

    wrong_label: NDArray[np.float64]
    wrong_box: NDArray[np.float64]
    bogus_label: NDArray[np.float64]

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Return the three ways by name, in the words of the review state that they suggest."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def contradicted(self, settings: MiningSettings) -> dict[str, int]:
        """Return how many labels the detector contradicts, by way; a label may be among several.

        It scores another class higher than the label's own; it puts the box of that class where it would not match; it
        sees nothing there that would count.
        """
        least = {
            "wrong_label": 0.0,
            "wrong_box": 1.0 - settings.iou_threshold,
            "bogus_label": -float(logit(np.array(settings.confidence_threshold))),
        }
        return {way: int((np.nan_to_num(of, nan=-np.inf) > least[way]).sum()) for way, of in self.columns().items()}

    def order(self) -> NDArray[np.int64]:
        """Return the rows, those first that are among the most suspicious in any way; none that do not count."""
        ranks = []
        for column in self.columns().values():
            known = np.flatnonzero(np.isfinite(column))
            rank = np.full(len(column), np.inf)
            rank[known[np.argsort(-column[known], kind="stable")]] = np.arange(len(known))
            ranks.append(rank)
        best = np.min(ranks, axis=0)
        return np.argsort(best, kind="stable")[: int(np.isfinite(best).sum())]


def suspects_of(
    own: NDArray[np.float64],
    other: NDArray[np.float64],
    near: NDArray[np.float64],
    iou: NDArray[np.float64],
    ignored: NDArray[np.bool_],
) -> LabelSuspects:
    """Return how suspicious labels are from what views see there.

    Measured on photographs with drawn-in errors and a weak detector: the view that agrees best finds more moved boxes
    (AUROC .90) and labels on nothing (.93) than the mean over the views (.87, .92).

    Args:
        own: ``(views, m)`` best score of the label's class.
        other: ``(views, m)`` best score of the other classes.
        near: ``(views, m)`` best score of any class in the neighbourhood.
        iou: ``(views, m)`` IoU with the box of its class; NaN if there is none.
        ignored: ``(m,)`` bool, labels that do not count; NaN throughout.
    """
    best = np.where(np.isfinite(iou), iou, -1.0).max(axis=0)
    box = np.where(best >= 0, 1.0 - best, np.nan)
    columns = (other - own).mean(axis=0), box, -logit(near.max(axis=0))
    return LabelSuspects(*(np.where(ignored, np.nan, column) for column in columns))


def with_suspects(result: MiningResult, suspects: LabelSuspects) -> MiningResult:
    """Return the result with the number of contradicted labels in its report."""
    counts = {"labels": int((~result.matches.truth_ignored).sum()), **suspects.contradicted(result.settings)}
    return replace(result, report=replace(result.report, label_suspects=counts))


def suspects_csv(labels: Detections, suspects: LabelSuspects) -> str:
    """Return a table of the labels, the most suspicious first, as CSV text.

    Columns: image, class, the box (``x0 y0 x1 y1`` and its unit), and one per way in which the label may be wrong.
    """
    text, columns, unit = io.StringIO(), suspects.columns(), unit_of(labels.xyxy)
    rows = csv.writer(text)
    rows.writerow(("image", "class", "x0", "y0", "x1", "y1", "unit", *columns))
    for row in suspects.order().tolist():
        ways = ("" if np.isnan(column[row]) else round(float(column[row]), 4) + 0.0 for column in columns.values())
        where = labels.images[labels.image[row]], labels.classes[labels.label[row]]
        rows.writerow([*map(safe_cell, where), *labels.xyxy[row].tolist(), unit, *ways])
    return text.getvalue()
