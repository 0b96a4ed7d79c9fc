"""Make two tables speak of the same classes: one side's names translated, some classes chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..columns import Detections

__all__ = ["in_classes"]


def in_classes(
    predictions: Detections,
    truth: Detections,
    class_map: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
) -> tuple[Detections, Detections]:
    """Both tables over the same classes: the union of the names, or those chosen.

    Args:
        predictions: scored boxes; their class names may differ from the truth's.
        truth: the ground truth, over the same images.
        class_map: prediction class → truth class, for detectors that name things otherwise; many to one is fine.
        classes: keep the boxes of these classes alone, numbered in this order; None for all, the truth's first.

    Raises:
        ValueError: if ``class_map`` names no class of the predictions, or ``classes`` names one that neither side has.

    Example:
        >>> world = dict(images=["a"], classes=["person", "car"])
        >>> found = Detections([0], [[0, 0, 9, 9]], [0], [0.9], **world)
        >>> truth = Detections([0], [[0, 0, 9, 9]], [0], None, ["a"], ["pedestrian"])
        >>> [t.classes for t in in_classes(found, truth, {"person": "pedestrian"}, ["pedestrian"])]
        [('pedestrian',), ('pedestrian',)]
    """
    class_map = class_map or {}
    _refuse("class_map", [name for name in class_map if name not in predictions.classes], predictions.classes)
    translated = tuple(class_map.get(name, name) for name in predictions.classes)
    union = tuple(dict.fromkeys((*truth.classes, *translated)))
    chosen = union if classes is None else tuple(dict.fromkeys(classes))
    _refuse("classes", [name for name in chosen if name not in union], union)
    return _renamed(predictions, translated, chosen), _renamed(truth, truth.classes, chosen)


def _refuse(argument: str, unknown: Sequence[str], known: Sequence[str]) -> None:
    if unknown:
        raise ValueError(
            f"{argument} names {len(unknown)} unknown classes, first {unknown[0]!r}; classes are "
            f"{', '.join(map(repr, known[:10]))}{' …' if len(known) > 10 else ''}"
        )


def _renamed(table: Detections, names: Sequence[str], chosen: tuple[str, ...]) -> Detections:
    """The table's boxes of the chosen classes, numbered by them; ``names`` are what its own classes are called."""
    number = {name: i for i, name in enumerate(chosen)}
    label = np.array([number.get(name, -1) for name in names], dtype=np.int64)[table.label]
    rows = np.flatnonzero(label >= 0)
    return replace(table.take(rows), label=label[rows], classes=chosen)
