"""The evidence that a run stores: one column of its stored objects per kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections, MiningResult
from hnm_core.evidence.label_suspects import LabelSuspects

from ..store.box_tables import ids_of

STORED = "evidence_"
"""Prefix of the columns of evidence in a run's results, one per kind."""

Evidence = dict[str, Any]
"""Per kind a column of the predictions, or a pair of columns, of the predictions and of the truths."""


def stored(result: MiningResult, side: str, rows: NDArray[np.bool_]) -> dict[str, list[float | None]]:
    """Return the evidence on rows of one side, by the name of its stored column."""
    return {f"{STORED}{kind}": _of_side(values, side, rows) for kind, values in result.evidence.items()}


def suspects_of(suspects: LabelSuspects | None, labels: Detections) -> dict[str, list[Any]]:
    """Return how suspicious each label is as parallel lists, the most suspicious first: ids, and a list per way."""
    if suspects is None:
        return {}
    rows = suspects.order()
    columns = {name: json_column(column[rows]) for name, column in suspects.columns().items()}
    images = np.array(labels.images, dtype=object)[labels.image[rows]].tolist()
    return {"label_id": ids_of(labels, rows), "sample_id": images, **columns}


def of_mistakes(objects: Mapping[str, Any], rows: NDArray[np.int64]) -> Evidence | None:
    """Return the evidence on rows of a run's stored objects, or None if the run was mined without evidence."""
    columns = {name: values for name, values in objects.items() if name.startswith(STORED)}
    found = {
        name.removeprefix(STORED): np.array([values[row] for row in rows.tolist()], dtype=np.float64)
        for name, values in columns.items()
    }
    return found or None


def _of_side(values: Any, side: str, rows: NDArray[np.bool_]) -> list[float | None]:
    both = values if isinstance(values, tuple) else (values, None)
    column = both[0] if side == "prediction" else both[1]
    if column is None:
        return [None] * int(rows.sum())
    return json_column(np.asarray(column)[rows])


def json_column(column: NDArray[np.float64]) -> list[float | None]:
    """Return numbers with None in place of NaN."""
    return [None if value != value else value for value in column.tolist()]  # NaN is no JSON
