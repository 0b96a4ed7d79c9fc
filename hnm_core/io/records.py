"""The guide's dicts, to tables and back: one image's boxes as a list of small dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..columns import Detections

__all__ = ["Record", "read_records"]

Record = Mapping[str, Any]
"""``{"bbox": [x1, y1, x2, y2], "confidence": float, "class": str | int}``; a truth has no confidence."""


def read_records(
    predictions: Sequence[Record], truth: Sequence[Record], image: str = "image"
) -> tuple[Detections, Detections]:
    """Tables of one image from the guide's dicts, row ``i`` from dict ``i``.

    Args:
        predictions: dicts with ``bbox`` (``[x1, y1, x2, y2]``), ``confidence`` and ``class``.
        truth: the same without ``confidence``; ``"crowd": True`` marks a region to ignore.
        image: key of the image.

    Raises:
        ValueError: if a dict lacks a key, naming which dict and which key.

    Example:
        >>> p, t = read_records([{"bbox": [0, 0, 2, 2], "confidence": 0.9, "class": "cat"}], [])
        >>> p.classes, len(p), len(t)
        (('cat',), 1, 0)
    """
    for side, records, needed in (
        ("prediction", predictions, ("bbox", "confidence", "class")),
        ("ground truth", truth, ("bbox", "class")),
    ):
        _check(side, records, needed)
    classes = tuple(dict.fromkeys(str(r["class"]) for r in (*predictions, *truth)))
    number = {name: i for i, name in enumerate(classes)}

    def table(records: Sequence[Record], score: Any, crowd: Any) -> Detections:
        return Detections(
            image=np.zeros(len(records), dtype=np.int64),
            xyxy=_boxes(records),
            label=np.array([number[str(r["class"])] for r in records], dtype=np.int64),
            score=score,
            images=(image,),
            classes=classes,
            crowd=crowd,
        )

    score = np.array([r["confidence"] for r in predictions], dtype=np.float64)
    crowd = np.array([bool(r.get("crowd", False)) for r in truth], dtype=bool)
    return table(predictions, score, None), table(truth, None, crowd)


def _boxes(records: Sequence[Record]) -> Any:
    if any(len(r["bbox"]) != 4 for r in records):
        bad = next(r["bbox"] for r in records if len(r["bbox"]) != 4)
        raise ValueError(f"bbox must be [x1, y1, x2, y2], got {list(bad)}")
    return np.array([list(r["bbox"]) for r in records], dtype=np.float64).reshape(-1, 4)


def _check(side: str, records: Iterable[Record], needed: tuple[str, ...]) -> None:
    for i, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise ValueError(f"{side} {i} is a {type(record).__name__}, expected a dict with {', '.join(needed)}")
        missing = [key for key in needed if key not in record]
        if missing:
            raise ValueError(
                f"{side} {i} has no {' and no '.join(map(repr, missing))}; expected {', '.join(map(repr, needed))}, "
                f"got {', '.join(map(repr, record))}"
            )
