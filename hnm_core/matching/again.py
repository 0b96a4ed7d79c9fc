"""Match again after some images changed: the others keep their matches, bit for bit."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..settings import MiningSettings
from .class_roles import class_roles
from .greedy import match_detections
from .matches import Matches
from .one_image import NONE

__all__ = ["match_again"]

OF_TRUTH = ("found_by", "best_iou", "best_row", "best_score", "loose_score", "truth_reason")
"""Columns of the truths; the others are those of the predictions."""

ROWS_OF_TRUTH, ROWS_OF_PREDICTIONS = ("matched", "same_row", "other_row"), ("found_by", "best_row")
"""Columns that hold rows of the other table."""

Rows = NDArray[np.int64]


def match_again(
    predictions: Detections,
    truth: Detections,
    settings: MiningSettings,
    before: Matches,
    rows: tuple[Rows, Rows],
) -> Matches:
    """Return what :func:`~hnm_core.matching.match_detections` returns, and match only the images that changed.

    Nothing in an image depends on another one, with two exceptions: neighbouring classes that no prediction names, and
    classes that were checked. Where the tables have either, everything is matched.

    Args:
        predictions: ``n`` rows.
        truth: ``m`` rows, over the same images and classes.
        settings: those of the earlier matching, as far as matching reads them.
        before: the match table of the earlier tables; these had the same classes.
        rows: ``(n,)`` and ``(m,)``, the row of the earlier table that each row is; -1 in images that changed. All rows
            of an image are known, or none is; their order within the image is the same.

    Example:
        >>> world = dict(images=["a", "b"], classes=["cat"])
        >>> truth = Detections([0, 1], [[0, 0, 9, 9]] * 2, [0, 0], None, **world)
        >>> predictions = Detections([0, 1], [[0, 0, 9, 8]] * 2, [0, 0], [0.9, 0.8], **world)
        >>> before = match_detections(predictions, truth)
        >>> now = Detections([0, 1], [[0, 0, 9, 9], [20, 20, 29, 29]], [0, 0], None, **world)  # one moved
        >>> known = np.array([0, -1])
        >>> match_again(predictions, now, MiningSettings(), before, (known, known)).matched.tolist()
        [0, -1]
    """
    roles = class_roles(truth.classes, settings.neutral)
    if roles.neutral or truth.verified is not None or truth.not_exhaustive is not None:
        return match_detections(predictions, truth, settings)
    here = tuple(np.flatnonzero(known == NONE) for known in rows)
    part = match_detections(predictions.take(here[0]), truth.take(here[1]), settings)
    matches = Matches.none(len(predictions), len(truth))
    there = tuple(np.flatnonzero(known != NONE) for known in rows)
    now_at = tuple(
        _inverse(known, len(column)) for known, column in zip(rows, (before.matched, before.found_by), strict=True)
    )
    for name in (each.name for each in fields(Matches)):
        side = int(name in OF_TRUTH)
        column, kept = getattr(matches, name), getattr(before, name)[rows[side][there[side]]]
        found = getattr(part, name)
        if name in ROWS_OF_TRUTH or name in ROWS_OF_PREDICTIONS:
            other = int(name in ROWS_OF_TRUTH)
            kept = np.where(kept == NONE, NONE, now_at[other][kept])
            found = np.where(found == NONE, NONE, here[other][found] if len(here[other]) else NONE)
        column[there[side]], column[here[side]] = kept, found
    return matches


def _inverse(known: Rows, size: int) -> Rows:
    """Return ``(size + 1,)`` the row now of every earlier row; the last place is that of no row."""
    now_at = np.full(size + 1, NONE, dtype=np.int64)
    there = np.flatnonzero(known != NONE)
    now_at[known[there]] = there
    return now_at
