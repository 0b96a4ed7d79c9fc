"""Compare two ground truths of the same images: labels that were added, removed, moved or given another class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..boxes import overlapping
from ..columns import Detections
from ..counting import counted_labels
from ..matching.chunks import near_pairs
from .changes import SAME_IOU, Round

__all__ = ["LabelChanges", "changed_images", "compare_labels"]

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelChanges:
    """What became of every label.

    Attributes:
        before: the earlier truth.
        after: the later truth, over the same images and classes.
        unchanged: ``(u, 2)`` int64, rows of both truths: the same box and class.
        moved: ``(v, 2)``, the same class, another box.
        relabelled: ``(r, 2)``, another class, whatever the box.
        removed: ``(d,)`` rows of ``before``.
        added: ``(a,)`` rows of ``after``.
    """

    before: Detections
    after: Detections
    unchanged: Rows
    moved: Rows
    relabelled: Rows
    removed: Rows
    added: Rows

    def counts(self) -> dict[str, int]:
        """Return the number of labels before and after, and how many are unchanged, moved, and so on.

        ``before`` = unchanged + moved + relabelled + removed; ``after`` = unchanged + moved + relabelled + added.
        """
        found = {name: len(getattr(self, name)) for name in ("unchanged", "added", "removed", "moved", "relabelled")}
        kept = found["unchanged"] + found["moved"] + found["relabelled"]
        return {"before": kept + found["removed"], "after": kept + found["added"], **found}

    def affected(self) -> NDArray[np.bool_]:
        """Return ``(classes,)`` bool, the classes of which a label changed; both classes of a relabelled one."""
        classes = np.zeros(len(self.before.classes), dtype=bool)
        classes[self.before.label[[*self.moved[:, 0], *self.relabelled[:, 0], *self.removed]]] = True
        classes[self.after.label[[*self.relabelled[:, 1], *self.added]]] = True
        return classes


def compare_labels(before: Detections, after: Detections) -> LabelChanges:
    """Follow every label from an earlier truth to a later one.

    Where both tables have ids, labels of one id in one image are the same label. The others are paired one to one
    within an image: equal boxes first, then boxes of one class at IoU ≥ .5, then those of two classes; in each the
    largest IoU first. What is left was added or removed. Boxes without size and exact copies do not count, as in
    mining.

    Args:
        before: the earlier truth.
        after: the later truth, over the same images and classes, in the same order.

    Raises:
        ValueError: if the tables differ in images or classes.

    Example:
        >>> world = dict(images=["a"], classes=["cat", "dog"])
        >>> before = Detections([0, 0], [[0, 0, 9, 9], [20, 20, 30, 30]], [0, 0], None, **world)
        >>> after = Detections([0, 0], [[0, 0, 9, 8], [50, 50, 60, 60]], [0, 1], None, **world)
        >>> compare_labels(before, after).counts()
        {'before': 2, 'after': 2, 'unchanged': 0, 'added': 1, 'removed': 1, 'moved': 1, 'relabelled': 0}
    """
    if before.images != after.images or before.classes != after.classes:
        raise ValueError("two truths can be compared only over the same images and classes: renumber one of them")
    rows = [np.flatnonzero(counted_labels(table)) for table in (before, after)]
    old, new = (table.take(some) for table, some in zip((before, after), rows, strict=True))
    first, second, iou = near_pairs(old, new, SAME_IOU)
    same = old.label[first] == new.label[second]
    kind = np.where(iou == 1.0, 0, 2) + ~same
    by_id = _same_id(old, new)
    order = np.lexsort((second, first, -iou, kind))
    taken = {int(a): int(b) for a, b in by_id}
    used = set(taken.values())
    for a, b in zip(first[order].tolist(), second[order].tolist(), strict=True):
        if a not in taken and b not in used:
            taken[a] = b
            used.add(b)
    both = np.array(sorted(taken.items()), dtype=np.int64).reshape(-1, 2)
    one, other = old.label[both[:, 0]] == new.label[both[:, 1]], ~_equal(old.xyxy[both[:, 0]], new.xyxy[both[:, 1]])
    found = np.stack([rows[0][both[:, 0]], rows[1][both[:, 1]]], axis=1)
    return LabelChanges(
        before=before,
        after=after,
        unchanged=found[one & ~other],
        moved=found[one & other],
        relabelled=found[~one],
        removed=np.delete(rows[0], both[:, 0]),
        added=np.delete(rows[1], both[:, 1]),
    )


def changed_images(before: Round, after: Round) -> int:
    """Return in how many of the images that both rounds have any label differs, to the last bit of its box."""
    digests = zip(after.truth.images, after.label_digests.tolist(), strict=True)
    known = dict(zip(before.truth.images, before.label_digests.tolist(), strict=True))
    return sum(known.get(name, digest) != digest for name, digest in digests)


def _equal(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return ``(k,)`` bool, boxes whose IoU rounds to 1: fractions and pixels differ in the last bits."""
    at = np.arange(len(first))
    rows, _, iou = overlapping(first, second, at, at)
    equal = np.zeros(len(first), dtype=bool)
    equal[rows[iou == 1.0]] = True
    return equal


def _same_id(old: Detections, new: Detections) -> Rows:
    """Return ``(k, 2)`` rows with one id and image; none where a table has no ids, or ids that repeat."""
    none = np.zeros((0, 2), dtype=np.int64)
    if old.ids is None or new.ids is None or old.ids.dtype != new.ids.dtype:
        return none
    keys = [list(zip(table.image.tolist(), table.ids.tolist(), strict=True)) for table in (old, new)]  # type: ignore[union-attr]
    place = {key: row for row, key in enumerate(keys[1])}
    if len(place) < len(keys[1]) or len(set(keys[0])) < len(keys[0]):
        return none
    pairs = [(row, place[key]) for row, key in enumerate(keys[0]) if key in place]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
