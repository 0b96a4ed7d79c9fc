"""Give two tables the same classes: translate names of the predictions, and select classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..matching.class_roles import beside_classes

__all__ = ["in_classes", "renumbered_pairs", "select_classes"]


def in_classes(
    predictions: Detections,
    truth: Detections,
    class_map: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    neutral: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Detections, Detections]:
    """Return both tables with the same classes: the union of the names, or the selected ones.

    Args:
        predictions: scored boxes; their class names may differ from the truth's.
        truth: the ground truth, over the same images.
        class_map: prediction class → truth class, for detectors with other names; several to one is allowed.
        classes: keep only boxes of these classes, numbered in this order; None for all, those of the truth first.
            Truths that do not count beside them are kept after these: regions, and neighbours of the classes.
        neutral: neighbour classes, see :mod:`hnm_core.matching.ignored`; None or empty for those found by name.

    Raises:
        ValueError: if ``class_map`` has a key that is not a class of the predictions, or ``classes`` an unknown class.

    Example:
        >>> world = dict(images=["a"], classes=["person", "car"])
        >>> found = Detections([0], [[0, 0, 9, 9]], [0], [0.9], **world)
        >>> truth = Detections([0], [[0, 0, 9, 9]], [0], None, ["a"], ["pedestrian"])
        >>> [t.classes for t in in_classes(found, truth, {"person": "pedestrian"}, ["pedestrian"])]
        [('pedestrian',), ('pedestrian',)]
    """
    class_map = class_map or {}
    _check_known("class_map", [name for name in class_map if name not in predictions.classes], predictions.classes)
    translated = tuple(class_map.get(name, name) for name in predictions.classes)
    union = tuple(dict.fromkeys((*truth.classes, *translated)))
    chosen = union if classes is None else tuple(dict.fromkeys(classes))
    _check_known("classes", [name for name in chosen if name not in union], union)
    beside = beside_classes(chosen, union, neutral or {})
    found = _renamed(predictions, translated, chosen)
    every = (*chosen, *beside)
    return found if found.classes == every else replace(found, classes=every), _renamed(truth, truth.classes, every)


def select_classes(table: Detections, classes: Sequence[str]) -> Detections:
    """Return the boxes of these classes, numbered in this order; the table needs not know all of them.

    Example:
        >>> table = Detections([0, 0], [[0, 0, 9, 9]] * 2, [0, 1], [0.9, 0.8], ["a"], ["dog", "cat"])
        >>> select_classes(table, ["cat", "bird"]).label.tolist()
        [0]
    """
    return _renamed(table, table.classes, tuple(classes))


def _check_known(argument: str, unknown: Sequence[str], known: Sequence[str]) -> None:
    if unknown:
        raise ValueError(
            f"{argument} names {len(unknown)} unknown classes, first {unknown[0]!r}; classes are "
            f"{', '.join(map(repr, known[:10]))}{' …' if len(known) > 10 else ''}"
        )


def _renamed(table: Detections, names: Sequence[str], chosen: tuple[str, ...]) -> Detections:
    """Return the boxes of the selected classes, renumbered; ``names`` are the translated classes of the table."""
    if table.classes == tuple(names) == chosen:
        return table  # a copy would cost as much memory again
    number = {name: i for i, name in enumerate(chosen)}
    label = np.array([number.get(name, -1) for name in names], dtype=np.int64)[table.label]
    rows = np.flatnonzero(label >= 0)
    renumbered = [number.get(name, -1) for name in names]
    return replace(
        table.take(rows),
        label=label[rows],
        classes=chosen,
        verified=renumbered_pairs(table.verified, renumbered),
        not_exhaustive=renumbered_pairs(table.not_exhaustive, renumbered),
    )


def renumbered_pairs(pairs: NDArray[np.int64] | None, number: Sequence[int]) -> NDArray[np.int64] | None:
    """Return pairs of image and label with other labels, without those whose new label is below 0; None stays None."""
    if pairs is None:
        return None
    label = np.array(number, dtype=np.int64)[pairs[:, 1]]
    kept: NDArray[np.int64] = np.stack([pairs[:, 0], label], axis=1)[label >= 0]
    return kept
