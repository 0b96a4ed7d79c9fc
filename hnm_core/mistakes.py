"""The mistakes of a mining, out of both tables, as columns: what people look at and judge."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .accounting import Rows
from .columns import Detections
from .strategies import Difficulty
from .taxonomy import Errors

__all__ = ["Mistakes", "mistake_rows"]


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The mistakes of a mining, of both tables, as columns.

    Attributes:
        image: ``(k,)`` int64, number of the image.
        code: ``(k,)`` int8, error type, as place in :data:`~hnm_core.taxonomy.ROW_NAMES`; a mined lucky hit is a
            ``true_positive``.
        label: ``(k,)`` int64, number of the class.
        score: ``(k,)`` float64, confidence; NaN for truths.
        difficulty: ``(k,)`` float64, NaN where it is no candidate.
        of_truth: ``(k,)`` bool, rows of the truth.
        mined: ``(k,)`` bool. A look at one that is not mined counts as an answer all the same.

    Raises:
        ValueError: if the columns are not equally long.
    """

    image: NDArray[np.int64]
    code: NDArray[np.int8]
    label: NDArray[np.int64]
    score: NDArray[np.float64]
    difficulty: NDArray[np.float64]
    of_truth: NDArray[np.bool_]
    mined: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Bring the columns to their types: JSON's lists, with None for NaN, are fine too."""
        types = (np.int64, np.int8, np.int64, np.float64, np.float64, bool, bool)
        for column, kind in zip(fields(self), types, strict=True):
            object.__setattr__(self, column.name, np.asarray(getattr(self, column.name), dtype=kind))
        lengths = {column.name: len(getattr(self, column.name)) for column in fields(self)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of mistakes differ in length: {lengths}")

    @classmethod
    def of(
        cls, predictions: Detections, truth: Detections, errors: Errors, difficulty: Difficulty, hard: Rows
    ) -> Mistakes:
        """Those of two tables: every mistake and every mined lucky hit, rows of the predictions first."""
        rows = mistake_rows(errors, hard)
        assert predictions.score is not None  # matching saw to it

        def both(prediction: NDArray[Any], true: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([prediction[rows[0]], true[rows[1]]])

        return cls(
            image=both(predictions.image, truth.image),
            code=both(errors.prediction, errors.truth),
            label=both(predictions.label, truth.label),
            score=np.concatenate([predictions.score[rows[0]], np.full(len(rows[1]), np.nan)]),
            difficulty=both(difficulty.prediction, difficulty.truth),
            of_truth=np.repeat([False, True], [len(rows[0]), len(rows[1])]),
            mined=both(*hard),
        )

    def __len__(self) -> int:
        """The number of mistakes."""
        return len(self.image)

    def take(self, rows: NDArray[Any]) -> Mistakes:
        """Some of the mistakes (mask or indices)."""
        return Mistakes(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})


def mistake_rows(errors: Errors, hard: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of both tables that are mistakes or mined lucky hits."""
    return np.flatnonzero(errors.false_positive | hard[0]), np.flatnonzero(errors.false_negative | hard[1])
