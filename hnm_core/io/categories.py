"""Which class a results file means by a category id.

Ultralytics writes class index + 1 into ``predictions.json``, whatever the ids in the ground truth are; others write
the index itself. Read as given, *cat* then silently becomes *dog*. So where ids can be read in more ways than one, the
boxes decide: labels must agree where predictions and truths overlap.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..matching import NONE, match_detections

__all__ = ["read_labels"]

AS_GIVEN, NEXT, INDEX = "as given", "as class index + 1", "as class index"

TRUSTED = 0.5
"""Share of overlapping boxes that must agree before ids are read otherwise than given (chosen)."""

HOPELESS, ENOUGH = 0.2, 20
"""Where labels agree on fewer of at least this many boxes, however they are read, the files do not belong together."""

Labels = NDArray[np.int64]


def read_labels(
    path: Path,
    truth_path: Path,
    ids: Sequence[Any],
    categories: Sequence[Mapping[str, Any]],
    boxes: Detections,
    truth: Detections,
) -> Labels:
    """The class number of every result.

    Args:
        path: the results file, for messages.
        truth_path: the annotation file, for messages.
        ids: ``category_id`` of every result.
        categories: those of the annotation file, in its order.
        boxes: the results' boxes, all of one class.
        truth: the ground truth, with its classes.

    Raises:
        ValueError: if ids are unknown, or labels disagree however they are read.
    """
    readings = _readings(ids, categories)
    if list(readings) == [AS_GIVEN]:
        return readings[AS_GIVEN]
    p, t = _overlapping(boxes, truth)
    agree = {name: float((labels[p] == truth.label[t]).mean()) if len(p) else 0.0 for name, labels in readings.items()}
    best = max(agree, key=lambda name: agree[name], default=AS_GIVEN)
    if best == AS_GIVEN or agree[best] == agree.get(AS_GIVEN) or agree[best] < TRUSTED:
        if AS_GIVEN not in readings:
            raise ValueError(_unknown(path, truth_path, ids, categories))
        if len(p) >= ENOUGH and agree[best] < HOPELESS:
            raise ValueError(
                f"{path}: labels agree with {truth_path} on {agree[best]:.0%} of {len(p)} overlapping boxes, however "
                f"category ids are read; do the two files belong together?"
            )
        return readings[AS_GIVEN]
    given = f", as given on {agree[AS_GIVEN]:.0%}" if AS_GIVEN in agree else ", and not all ids are known as given"
    warnings.warn(
        f"{path}: category ids are read {best}: labels then agree with {truth_path} on {agree[best]:.0%} of {len(p)} "
        f"overlapping boxes{given}",
        stacklevel=4,
    )
    return readings[best]


def _readings(ids: Sequence[Any], categories: Sequence[Mapping[str, Any]]) -> dict[str, Labels]:
    """Every way to read the ids under which all are known; ways that come to the same are named once."""
    by_id = {category["id"]: i for i, category in enumerate(categories)}
    n = len(categories)
    found: dict[str, Labels] = {}
    for name, meaning in (
        (AS_GIVEN, by_id),
        (NEXT, {i + 1: i for i in range(n)}),
        (INDEX, {i: i for i in range(n)}),
    ):
        labels = np.array([meaning.get(i, NONE) for i in ids], dtype=np.int64)
        if (labels != NONE).all() and not any(np.array_equal(labels, other) for other in found.values()):
            found[name] = labels
    return found


def _overlapping(boxes: Detections, truth: Detections) -> tuple[Labels, Labels]:
    """Predictions and the truths they lie on, whatever their classes."""
    crowdless = np.flatnonzero(~truth.is_crowd())
    targets = Detections(
        *(truth.image[crowdless], truth.xyxy[crowdless], np.zeros(len(crowdless), dtype=np.int64)),
        *(None, truth.images, boxes.classes),
    )
    matched = match_detections(boxes, targets).matched
    p = np.flatnonzero(matched != NONE)
    return p, crowdless[matched[p]]


def _unknown(path: Path, truth_path: Path, ids: Sequence[Any], categories: Sequence[Mapping[str, Any]]) -> str:
    known = [category["id"] for category in categories]
    unknown = Counter(i for i in ids if i not in set(known))
    return (
        f"{path}: {sum(unknown.values())} of {len(ids)} boxes have a category_id that {truth_path} does not list among "
        f"its categories, first {next(iter(unknown))!r}; listed are {', '.join(map(repr, known[:5]))}"
        f"{' …' if len(known) > 5 else ''}. Do the two files belong together?"
    )
