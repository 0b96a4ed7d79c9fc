"""The mistakes of a mining, from both tables, as columns: the objects that people review."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections, RowMasks
from ..strategies import Difficulty
from ..taxonomy import Errors

__all__ = ["Mistakes", "mistake_rows", "two_sided"]


@dataclass(frozen=True, eq=False)
class Mistakes:
    """The mistakes of a mining, of both tables, as columns.

    Attributes:
        image: ``(k,)`` int64, number of the image.
        code: ``(k,)`` int8, error type, as index in :data:`~hnm_core.taxonomy.ROW_NAMES`; a mined lucky hit is a
            ``true_positive``.
        label: ``(k,)`` int64, number of the class.
        score: ``(k,)`` float64, confidence; NaN for truths.
        difficulty: ``(k,)`` float64, NaN where it is not a candidate.
        of_truth: ``(k,)`` bool, rows of the truth.
        mined: ``(k,)`` bool. Reviews of mistakes that are not mined count too.
        twins: ``(k,)`` int64, twins have the same number: they show the same object in several images, so that their
            reviews count as one. None if there are none.

    Raises:
        ValueError: if the columns differ in length.
    """

    image: NDArray[np.int64]
    code: NDArray[np.int8]
    label: NDArray[np.int64]
    score: NDArray[np.float64]
    difficulty: NDArray[np.float64]
    of_truth: NDArray[np.bool_]
    mined: NDArray[np.bool_]
    twins: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Convert the columns to their types; lists from JSON, with None for NaN, are accepted."""
        types = (np.int64, np.int8, np.int64, np.float64, np.float64, bool, bool, np.int64)
        lengths = {}
        for column, kind in zip(fields(self), types, strict=True):
            if (values := getattr(self, column.name)) is not None:
                object.__setattr__(self, column.name, np.asarray(values, dtype=kind))
                lengths[column.name] = len(values)
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of mistakes differ in length: {lengths}")

    @classmethod
    def of(
        cls,
        predictions: Detections,
        truth: Detections,
        errors: Errors,
        difficulty: Difficulty,
        hard: RowMasks,
        twins: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    ) -> Mistakes:
        """Return all mistakes and mined lucky hits of two tables, rows of the predictions first.

        ``twins`` are numbers of all rows, ``(n,)`` and ``(m,)``; those of the two tables have nothing to do with each
        other.
        """
        rows = mistake_rows(errors, hard)
        assert predictions.score is not None  # checked by matching

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
            twins=None if twins is None else both(*two_sided(*twins)),
        )

    def __len__(self) -> int:
        """Return the number of mistakes."""
        return len(self.image)

    def take(self, rows: NDArray[Any]) -> Mistakes:
        """Return some of the mistakes (mask or indices)."""
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        taken: dict[str, Any] = {name: values if values is None else values[rows] for name, values in columns.items()}
        return Mistakes(**taken)

    def and_more(self, others: Mistakes) -> Mistakes:
        """Return these and others as one table; the others have numbers of twins if these have."""
        both = {column.name: (getattr(self, column.name), getattr(others, column.name)) for column in fields(self)}
        joined: dict[str, Any] = {
            name: None if ours is None else np.concatenate([ours, theirs]) for name, (ours, theirs) in both.items()
        }
        return Mistakes(**joined)


def two_sided(prediction: NDArray[np.int64], truth: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return numbers of twins of two tables that have nothing to do with each other as numbers of one."""
    return prediction, truth + prediction.max(initial=0) + 1


def mistake_rows(errors: Errors, hard: RowMasks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of both tables that are mistakes or mined lucky hits."""
    return np.flatnonzero(errors.false_positive | hard[0]), np.flatnonzero(errors.false_negative | hard[1])
