"""What mining found, as the guide's dicts: one per hard negative, hardest first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..findings import MinedRows
from ..taxonomy import ROW_NAMES, TRUE_POSITIVE
from .records import Record

__all__ = ["Found", "Rows", "found_dicts", "rows_by_image", "to_records"]

Found = dict[str, Any]
"""One hard negative: ``type, prediction, ground_truth, iou, confidence, image_path`` and ``error, difficulty,
suspicion``. ``prediction`` of a miss is the nearest one of its class, or None; likewise ``ground_truth``."""


def rows_by_image(table: Detections) -> list[list[int]]:
    """Row numbers of every image, in the order of ``images``."""
    order = np.argsort(table.image, kind="stable")
    ends = np.cumsum(np.bincount(table.image, minlength=len(table.images)))
    return [rows.tolist() for rows in np.split(order, ends[:-1])] if len(ends) else []


def to_records(table: Detections, size: tuple[float, float] = (1.0, 1.0)) -> dict[str, list[Record]]:
    """Every image's boxes as the guide's dicts; an image without boxes has an empty list.

    Args:
        table: predictions or truths.
        size: what the x and y of boxes are multiplied by: width and height of the images, to make pixels of fractions.

    Example:
        >>> table = Detections([0], [[0.1, 0.2, 0.3, 0.4]], [0], None, images=["a", "b"], classes=["cat"])
        >>> to_records(table, size=(100, 50))
        {'a': [{'bbox': [10.0, 10.0, 30.0, 20.0], 'class': 'cat'}], 'b': []}
    """
    rows = Rows(replace(table, xyxy=table.xyxy * np.array([*size, *size])))
    return {name: [rows[i] for i in of] for name, of in zip(table.images, rows_by_image(table), strict=True)}


def found_dicts(
    result: MinedRows,
    predictions: Sequence[Record],
    truth: Sequence[Record],
    image_paths: Sequence[str | None],
) -> list[Found]:
    """The mined rows of a result as dicts, hardest first; false positives before misses of equal difficulty."""
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
) -> list[Found]:
    """One dict per row of one table."""
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


class Rows(Sequence[Record]):
    """A table read as the guide's dicts, one at a time: only the rows found are ever made."""

    def __init__(self, table: Detections) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, row: Any) -> Any:
        table = self.table
        record = {"bbox": table.xyxy[row].tolist(), "class": table.classes[table.label[row]]}
        if table.score is not None:
            record["confidence"] = float(table.score[row])
        if table.crowd is not None and table.crowd[row]:
            record["crowd"] = True
        return record
