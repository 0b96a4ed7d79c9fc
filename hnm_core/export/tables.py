"""Write ``weights.csv`` and ``weights.parquet``: the weight of every image, and its errors."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from ..io.cells import safe_cell
from .images import NamedImage

__all__ = ["WEIGHT_COLUMNS", "write_weights"]

WEIGHT_COLUMNS = (
    *("filepath", "sample_id", "split", "weight", "repeats", "score", "hard_negatives", "errors", "run_key"),
)


def write_weights(root: Path, images: Sequence[NamedImage], run_key: str) -> list[str]:
    """Write the CSV file and, if pyarrow is installed, a Parquet file with the same rows.

    Returns:
        A sentence if the Parquet file is not written.
    """
    rows = [
        (
            *(one.path, i.sample_id, i.split, float(i.weight), int(i.repeats), float(i.score)),
            *(int(i.hard_negatives), ";".join(f"{e}:{n}" for e, n in (i.errors or {}).items()), run_key),
        )
        for one in images
        for i in (one.image,)
    ]
    with (root / "weights.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([WEIGHT_COLUMNS, *(map(safe_cell, row) for row in rows)])
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return ["weights.parquet is not written: pyarrow is not installed (pip install pyarrow)"]
    columns = dict(zip(WEIGHT_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), root / "weights.parquet")
    return []
