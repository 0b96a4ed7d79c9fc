"""Write what a mining found as CSV: weights, mined rows, confused classes, counts at other thresholds."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..labels.reviews import STATES
from ..reporting.threshold_table import ThresholdTable
from ..result import Mined
from ..selection.mined import MINED_KINDS, MinedPart
from ..taxonomy import ROW_NAMES
from .cells import safe_cell
from .csv_columns import Numbers, Words, write_columns

__all__ = ["write_csv_files"]

BOX = ("x0", "y0", "x1", "y1")
TWENTIETHS = tuple(i / 20 for i in range(20))


def write_csv_files(folder: Path, result: Mined) -> None:
    """Write ``weights.csv``, ``hard_negatives.csv``, ``confusions.csv`` and ``thresholds.csv`` into a folder."""
    _write_weights(folder / "weights.csv", result)
    _write_hard_negatives(folder / "hard_negatives.csv", result)
    _write_confusions(folder / "confusions.csv", result)
    _write_thresholds(folder / "thresholds.csv", result)


def _write_weights(path: Path, result: Mined) -> None:
    columns = (result.weights, result.repeats, result.image_scores, result.hard_counts)
    head = ("image", "weight", "repeats", "score", "hard_negatives")
    write_columns(path, head, [(Words(result.images()), *map(Numbers, columns))], len(result.weights))


def _write_hard_negatives(path: Path, result: Mined) -> None:
    """Write one row per mined object, hardest first; coordinates in the unit of the tables, which it names."""
    head = ("image", "type", "error", "class", "confidence", "difficulty", "suspicion", "state", "iou", *BOX, "unit")

    def columns_of(rows: MinedPart) -> list[Numbers | Words]:
        return [
            *(Words(result.images(), rows.image), Words(MINED_KINDS, rows.kind), Words(ROW_NAMES, rows.code)),
            *(Words(result.classes, rows.label), Numbers(rows.score, rows.of_truth), Numbers(rows.difficulty)),
            *(Numbers(np.nan_to_num(rows.suspicion)), Words(STATES, rows.state), Numbers(rows.iou)),
            *map(Numbers, rows.xyxy.T),
            Words([result.unit], np.zeros(len(rows), dtype=np.int64)),
        ]

    write_columns(path, head, map(columns_of, result.hardest_first()), int(result.hard_counts.sum()))


def _write_confusions(path: Path, result: Mined) -> None:
    rows = [(true, name, count) for true, row in result.report.confusions.items() for name, count in row.items()]
    _write_csv(path, ("truth", "prediction", "count"), sorted(rows, key=lambda row: (-row[2], row)))


def _write_thresholds(path: Path, result: Mined) -> None:
    """Write counts at every twentieth, for all classes together (class empty) and each class."""
    table = ThresholdTable.of(result)
    names = ("", *table.classes) if len(table.classes) > 1 else ("",)
    rows = [(name, *row.values()) for name in names for row in table.rows(TWENTIETHS, name or None)]
    head = ("class", "threshold", "true_positives", "false_positives", "false_negatives", "ignored")
    _write_csv(path, (*head, "precision", "recall"), rows)


def _write_csv(path: Path, head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows([safe_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
