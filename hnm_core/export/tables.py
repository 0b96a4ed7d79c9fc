"""``weights.csv`` and ``weights.parquet``: what counts how much, and why."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from .images import Named

__all__ = ["WEIGHT_COLUMNS", "write_weights"]

WEIGHT_COLUMNS = (
    *("filepath", "sample_id", "split", "weight", "repeats", "score", "hard_negatives", "errors", "run_key"),
)


def write_weights(root: Path, images: Sequence[Named], run_key: str) -> list[str]:
    """Write the csv and, where pyarrow is installed, the Parquet file: the same rows.

    Returns:
        What is missing.
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
        csv.writer(file).writerows([WEIGHT_COLUMNS, *rows])
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return ["weights.parquet is not written: pyarrow is not installed (pip install pyarrow)"]
    columns = dict(zip(WEIGHT_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), root / "weights.parquet")
    return []
