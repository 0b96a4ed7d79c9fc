"""The guide's dicts, to tables and back: one image's boxes as a list of small dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..columns import Detections

__all__ = ["Record", "read_records"]

Record = Mapping[str, Any]
"""``{"bbox": [x1, y1, x2, y2], "confidence": float, "class": str | int}``; a truth has no confidence."""

PREDICTION, TRUTH = "prediction", "ground truth"


def read_records(
    predictions: Sequence[Record], truth: Sequence[Record], image: str = "image", classes: Iterable[str] = ()
) -> tuple[Detections, Detections]:
    """Tables of one image from the guide's dicts, row ``i`` from dict ``i``.

    Args:
        predictions: dicts with ``bbox`` (``[x1, y1, x2, y2]``), ``confidence`` and ``class``.
        truth: the same without ``confidence``; ``"crowd": True`` marks a region to ignore.
        image: key of the image.
        classes: names that the tables shall know although this image may not show them.

    Raises:
        ValueError: if a dict lacks a key or holds what is none, naming which dict and which key.

    Example:
        >>> p, t = read_records([{"bbox": [0, 0, 2, 2], "confidence": 0.9, "class": "cat"}], [])
        >>> p.classes, len(p), len(t)
        (('cat',), 1, 0)
    """
    for side, records, needed in (
        (PREDICTION, predictions, ("bbox", "confidence", "class")),
        (TRUTH, truth, ("bbox", "class")),
    ):
        _check(side, records, needed)
    labels = [_class(PREDICTION, i, r) for i, r in enumerate(predictions)]
    truth_labels = [_class(TRUTH, i, r) for i, r in enumerate(truth)]
    names = tuple(dict.fromkeys((*classes, *labels, *truth_labels)))
    number = {name: i for i, name in enumerate(names)}

    def table(side: str, records: Sequence[Record], of_rows: list[str], score: Any, crowd: Any) -> Detections:
        return Detections(
            image=np.zeros(len(records), dtype=np.int64),
            xyxy=np.array([_box(side, i, r) for i, r in enumerate(records)], dtype=np.float64),
            label=np.array([number[name] for name in of_rows], dtype=np.int64),
            score=score,
            images=(image,),
            classes=names,
            crowd=crowd,
        )

    score = np.array([_confidence(i, r) for i, r in enumerate(predictions)], dtype=np.float64)
    crowd = np.array([bool(r.get("crowd", False)) for r in truth], dtype=bool)
    return table(PREDICTION, predictions, labels, score, None), table(TRUTH, truth, truth_labels, None, crowd)


def _class(side: str, i: int, record: Record) -> str:
    name = record["class"]
    if not isinstance(name, (str, int, np.integer)):  # 0.0 and 0, or tensor(0) and 0, would be two classes
        raise ValueError(f"{side} {i} has class {name!r} ({type(name).__name__}), expected a name or a whole number")
    return str(name)


def _box(side: str, i: int, record: Record) -> list[float]:
    try:
        box = [float(edge) for edge in record["bbox"]]
    except (TypeError, ValueError):
        box = []
    if len(box) != 4:
        raise ValueError(f"{side} {i} has bbox {record['bbox']!r}, expected four numbers [x1, y1, x2, y2]")
    return box


def _confidence(i: int, record: Record) -> float:
    try:
        return float(record["confidence"])
    except (TypeError, ValueError):
        raise ValueError(
            f"{PREDICTION} {i} has confidence {record['confidence']!r}, expected a number in [0, 1]"
        ) from None


def _check(side: str, records: Iterable[Record], needed: tuple[str, ...]) -> None:
    for i, record in enumerate(records):
        if not isinstance(record, (dict, Mapping)):  # dict first: the other question takes its time
            raise ValueError(f"{side} {i} is a {type(record).__name__}, expected a dict with {', '.join(needed)}")
        if not all(map(record.__contains__, needed)):
            missing = [key for key in needed if key not in record]
            raise ValueError(
                f"{side} {i} has no {' and no '.join(map(repr, missing))}; expected {', '.join(map(repr, needed))}, "
                f"got {', '.join(map(repr, record))}"
            )
