"""Mined rows that count themselves when they are asked."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..selection.mined import MinedRows
from .label_digests import label_digests
from .recall import RecallCurve
from .scores import ScoreCells, ThresholdCounts

__all__ = ["CountedRows"]


class CountedRows(MinedRows):
    """The counts of mined rows."""

    @cached_property
    def thresholds(self) -> ThresholdCounts:
        """Return the counts at other thresholds."""
        return ThresholdCounts.of(self.predictions, self.truth, self.matches)

    @cached_property
    def recall_curve(self) -> RecallCurve:
        """Return the false positives by recall."""
        return RecallCurve.of(self.predictions, self.truth, self.matches)

    @cached_property
    def label_digests(self) -> NDArray[np.uint64]:
        """Return a digest of the labels of each image, see :func:`~.label_digests.label_digests`."""
        return label_digests(self.truth)

    def ask_cells(self, name: str, *args: Any) -> list[Any]:
        """Call a method of the :class:`~.scores.ScoreCells` of the predictions."""
        return [getattr(self._cells, name)(*args)]

    @cached_property
    def _cells(self) -> ScoreCells:
        return ScoreCells.of_confident(self.predictions, self.errors, self.matches)
