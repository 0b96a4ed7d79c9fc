"""What mining finds on the rows of the two tables, before anything is counted or weighed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .columns import Detections
from .imageset import Images
from .matching import Matches
from .selection import Candidates
from .settings import MiningSettings
from .suspicion import prior_suspicion
from .taxonomy import ROW_NAMES, Errors

__all__ = ["Finding", "MinedRows"]


@dataclass(frozen=True, eq=False)
class MinedRows:
    """What is known of every row of the two tables that were mined; see :class:`~hnm_core.result.MiningResult`."""

    predictions: Detections
    truth: Detections
    settings: MiningSettings
    matches: Matches
    errors: Errors
    prediction_difficulty: NDArray[np.float64]
    truth_difficulty: NDArray[np.float64]
    prediction_hard: NDArray[np.bool_]
    truth_hard: NDArray[np.bool_]

    @property
    def prediction_error(self) -> NDArray[np.str_]:
        """``(n,)`` name of every prediction: an error type, or ``true_positive``, ``below_threshold``, ``ignored``."""
        return np.array(ROW_NAMES)[self.errors.prediction]

    @property
    def truth_error(self) -> NDArray[np.str_]:
        """``(m,)`` name of every truth: ``missed``, ``localization``, ``classification``, or what is no error."""
        return np.array(ROW_NAMES)[self.errors.truth]

    @property
    def prediction_type(self) -> NDArray[np.str_]:
        """``(n,)`` the mined rows' type, ``false_positive`` or ``lucky_hit``; empty for all others."""
        kind = np.where(self.errors.false_positive, "false_positive", "lucky_hit")
        return np.where(self.prediction_hard, kind, "")

    @property
    def truth_type(self) -> NDArray[np.str_]:
        """``(m,)`` the mined rows' type, ``false_negative``; empty for all others."""
        return np.where(self.truth_hard, "false_negative", "")

    @property
    def prediction_suspicion(self) -> NDArray[np.float64]:
        """``(n,)`` probability that the label is wrong rather than the model; NaN where a row is no mistake."""
        return prior_suspicion(self.errors.prediction)

    @property
    def truth_suspicion(self) -> NDArray[np.float64]:
        """``(m,)``, likewise."""
        return prior_suspicion(self.errors.truth)

    @property
    def prediction_iou(self) -> NDArray[np.float64]:
        """``(n,)`` best IoU of each prediction with any truth of its image, a = max(u, v)."""
        return self.matches.iou

    @property
    def prediction_near(self) -> NDArray[np.int32]:
        """``(n,)`` row of the truth with that IoU; its own class first, -1 for none."""
        m = self.matches
        return np.where(m.same_iou >= m.other_iou, m.same_row, m.other_row)

    @property
    def truth_iou(self) -> NDArray[np.float64]:
        """``(m,)`` best IoU of each truth with a prediction of its class, whatever its score."""
        return self.matches.best_iou

    @property
    def truth_near(self) -> NDArray[np.int32]:
        """``(m,)`` row of that prediction, -1 for none."""
        return self.matches.best_row

    @property
    def hard_counts(self) -> NDArray[np.int64]:
        """``(images,)`` mined objects in each image."""
        n = len(self.truth.images)
        found = np.bincount(self.predictions.image[self.prediction_hard], minlength=n)
        return found + np.bincount(self.truth.image[self.truth_hard], minlength=n)


@dataclass(frozen=True, eq=False)
class Finding(MinedRows):
    """The rows, and what a report needs to count them; what the images are worth is not asked yet.

    Attributes:
        mined: the mined objects.
        candidates: number of mistakes with a difficulty above 0.
        cap: how many of them may be mined.
        images: what weighing needs to know of the images.
        states: ``(n,)`` and ``(m,)`` int8, what people said of every row; None where nobody was asked.
        notes: what bit on the way, in sentences.
    """

    mined: Candidates
    candidates: int
    cap: int
    images: Images
    states: tuple[NDArray[np.int8], NDArray[np.int8]] | None
    notes: tuple[str, ...]

    @property
    def mined_suspicion(self) -> NDArray[np.float64]:
        """Suspicion of the mined objects; 0 for lucky hits."""
        return np.nan_to_num(prior_suspicion(self.mined.code))
