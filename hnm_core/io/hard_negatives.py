"""Convert mined rows to dicts: one per hard negative, hardest first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..selection.mined import MinedRows
from ..taxonomy import ROW_NAMES, TRUE_POSITIVE
from .records import Record

__all__ = ["HardNegative", "hard_negative_dicts"]

HardNegative = dict[str, Any]
"""One hard negative: ``type, prediction, ground_truth, iou, confidence, image_path`` and ``error, difficulty,
suspicion``. For a false negative ``prediction`` is the nearest one of its class, or None; for a
false positive ``ground_truth`` is the nearest truth, or None."""


def hard_negative_dicts(
    result: MinedRows,
    predictions: Sequence[Record],
    truth: Sequence[Record],
    image_paths: Sequence[str | None],
) -> list[HardNegative]:
    """Return the mined rows of a result as dicts, hardest first; ties: false positives before false negatives.

    Args:
        result: the mined rows.
        predictions: the dict of every row of the predictions.
        truth: the dict of every row of the truth.
        image_paths: the path of every image.
    """
    p_rows, t_rows = np.flatnonzero(result.prediction_hard), np.flatnonzero(result.truth_hard)
    found = [
        *_found(result, p_rows, predictions, truth, image_paths, of_truth=False),
        *_found(result, t_rows, predictions, truth, image_paths, of_truth=True),
    ]
    return sorted(found, key=lambda f: -f["difficulty"])


def _found(
    result: MinedRows,
    rows: NDArray[np.int64],
    predictions: Sequence[Record],
    truth: Sequence[Record],
    image_paths: Sequence[str | None],
    *,
    of_truth: bool,
) -> list[HardNegative]:
    """Return a dict per given row of one table."""
    if of_truth:
        table, codes = result.truth, result.errors.truth
        columns = (result.truth_near, result.truth_iou, result.truth_difficulty, result.truth_suspicion)
    else:
        table, codes = result.predictions, result.errors.prediction
        columns = (
            *(result.prediction_near, result.prediction_iou),
            *(result.prediction_difficulty, result.prediction_suspicion),
        )
    found = []
    for row, image, code, near, iou, difficulty, suspicion in zip(
        rows.tolist(), *(column[rows].tolist() for column in (table.image, codes, *columns)), strict=True
    ):
        p, t = (near, row) if of_truth else (row, near)
        prediction, ground_truth = (predictions[p] if p >= 0 else None), (truth[t] if t >= 0 else None)
        kind = "false_negative" if of_truth else "lucky_hit" if code == TRUE_POSITIVE else "false_positive"
        found.append(
            {
                "type": kind,
                "prediction": prediction,
                "ground_truth": ground_truth,
                "iou": iou,
                "confidence": prediction["confidence"] if prediction is not None else 0.0,
                "image_path": image_paths[image],
                "error": ROW_NAMES[code],
                "difficulty": difficulty,
                "suspicion": 0.0 if math.isnan(suspicion) else suspicion,
            }
        )
    return found
