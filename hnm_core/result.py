"""What mining gives back: the rows, the images' scores and weights, the report, each where its table has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .findings import MinedRows
from .judging import Judgement
from .mistakes import Mistakes, mistake_rows
from .report import MiningReport
from .reviews import STATES, UNREVIEWED, Reviews
from .strategies import Difficulty

__all__ = ["MiningResult"]


@dataclass(frozen=True, eq=False)
class MiningResult(MinedRows):
    """Everything mining found, aligned with the rows of the two tables it was given.

    Attributes:
        predictions: the table of predictions, ``n`` rows.
        truth: the table of truths, ``m`` rows.
        settings: what was asked for.
        matches: who found whom.
        errors: a code per row.
        prediction_difficulty: ``(n,)`` float64 in ``[0, 1]``, NaN where a row is no candidate.
        truth_difficulty: ``(m,)``, likewise.
        prediction_hard: ``(n,)`` bool, the mined rows: candidates of difficulty above 0, within the cap.
        truth_hard: ``(m,)``, likewise.
        image_scores: ``(images,)`` float64 in ``[0, 1]``, higher is harder.
        weights: ``(images,)`` float64 ≥ 1.
        repeats: ``(images,)`` int64 ≥ 1.
        hard_images: ``(images,)`` bool, the images that got extra weight for their mistakes.
        judgement: whose each mistake is, after what people said, and what follows from it; its rows are those of
            :attr:`mistakes`.
        reviews: what people had said.
        evidence: what was given to narrow suspicion.
        report: counts, rates and what the weights do.
    """

    image_scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    repeats: NDArray[np.int64]
    hard_images: NDArray[np.bool_]
    judgement: Judgement
    reviews: Reviews | None
    evidence: Mapping[str, Any]
    report: MiningReport

    @property
    def mistakes(self) -> Mistakes:
        """Every mistake and every mined lucky hit, rows of the predictions first; what the judgement is of."""
        difficulty = Difficulty(self.prediction_difficulty, self.truth_difficulty)
        return Mistakes.of(self.predictions, self.truth, self.errors, difficulty, self._hard)

    @property
    def prediction_suspicion(self) -> NDArray[np.float64]:
        """``(n,)`` probability that the label is wrong rather than the model; NaN where a row is no mistake."""
        return self._suspicion()[0]

    @property
    def truth_suspicion(self) -> NDArray[np.float64]:
        """``(m,)``, likewise."""
        return self._suspicion()[1]

    @property
    def prediction_state(self) -> NDArray[np.str_]:
        """``(n,)`` what a person said of each mistake; ``unreviewed`` on mined rows nobody judged, empty elsewhere."""
        return self._states()[0]

    @property
    def truth_state(self) -> NDArray[np.str_]:
        """``(m,)``, likewise."""
        return self._states()[1]

    @property
    def _hard(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return self.prediction_hard, self.truth_hard

    def _suspicion(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        sides = np.full(len(self.predictions), np.nan), np.full(len(self.truth), np.nan)
        value = np.where(self.judgement.suspicions.stratum >= 0, self.judgement.suspicion, np.nan)
        for side, rows, values in zip(sides, *self._split(value), strict=True):
            side[rows] = values
        return sides

    def _states(self) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
        names = np.array(STATES)
        sides = np.zeros(len(self.predictions), names.dtype), np.zeros(len(self.truth), names.dtype)
        said = self._split(self.judgement.suspicions.state)
        for side, mined, rows, state in zip(sides, self._hard, *said, strict=True):
            side[rows] = np.where(mined[rows] | (state != UNREVIEWED), names[state], "")
        return sides

    def _split(self, column: NDArray[Any]) -> tuple[tuple[NDArray[np.int64], ...], list[NDArray[Any]]]:
        """The rows of the mistakes in both tables, and the two parts of a column of the mistakes."""
        rows = mistake_rows(self.errors, self._hard)
        return rows, np.split(column, [len(rows[0])])
