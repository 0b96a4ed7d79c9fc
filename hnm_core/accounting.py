"""From rows to numbers: what a report counts, and what the weights do to a training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import area
from .columns import Detections
from .imageset import Images
from .report import Counts, Weighting, ratio
from .taxonomy import BELOW_THRESHOLD, ERROR_TYPES, IGNORED, LOCALIZATION, ROW_NAMES, TRUE_POSITIVE, Errors
from .weights import SampleWeights, effective_sample_size

__all__ = ["SIZES", "are_fractions", "count_classes", "count_errors", "count_sizes", "extra_weight", "weighting"]


SIZES = ("small", "medium", "large")
"""COCO's sizes: areas up to 32² and 96² pixels, and above."""

SIZE_EDGES = np.array([32.0**2, 96.0**2])
FRACTIONS_OF = 640.0**2
"""Where boxes are fractions of the image, its area is taken for this many pixels (chosen: a detector's usual input)."""


ROWS_AT_ONCE = 100_000
"""Rows per block of what needs more room than the rows themselves have."""

Rows = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Which rows of the predictions, ``(n,)``, and of the truths, ``(m,)``."""


def count_classes(predictions: Detections, truth: Detections, errors: Errors, hard: Rows) -> dict[str, Counts]:
    """Everything that can be counted, by class; ``hard`` are the rows that are mined."""
    return _count((predictions.label, truth.label), truth.classes, errors, hard)


def count_sizes(predictions: Detections, truth: Detections, errors: Errors, hard: Rows) -> dict[str, Counts]:
    """The same by the size of the box, in COCO's three sizes."""
    scale = FRACTIONS_OF if are_fractions(predictions, truth) else 1.0
    return _count((_sizes(predictions, scale), _sizes(truth, scale)), SIZES, errors, hard)


def are_fractions(*tables: Detections) -> bool:
    """Whether all boxes lie within twice the unit square, as no boxes in pixels do."""
    return all(t.xyxy.max(initial=0.0) <= 2.0 and t.xyxy.min(initial=0.0) >= -2.0 for t in tables)


def _sizes(table: Detections, scale: float) -> NDArray[np.int8]:
    """The place in ``SIZES`` of every box."""
    sizes = np.empty(len(table), dtype=np.int8)
    for rows in _blocks(len(table)):
        sizes[rows] = np.searchsorted(SIZE_EDGES, area(table.xyxy[rows]) * scale)
    return sizes


def _count(
    groups: tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]],
    names: tuple[str, ...],
    errors: Errors,
    hard: Rows,
) -> dict[str, Counts]:
    """Counts per group; ``groups`` are the group numbers of predictions and truths."""
    found, missed = _by_name(groups[0], errors.prediction, len(names)), _by_name(groups[1], errors.truth, len(names))
    mined = _by_name(groups[0][hard[0]], errors.prediction[hard[0]], len(names))
    mined += _by_name(groups[1][hard[1]], errors.truth[hard[1]], len(names))
    columns = (
        found.sum(axis=1),
        found.sum(axis=1) - found[:, BELOW_THRESHOLD],
        found[:, TRUE_POSITIVE],
        found[:, LOCALIZATION:].sum(axis=1),
        missed[:, LOCALIZATION:].sum(axis=1),
        found[:, IGNORED],
        mined[:, LOCALIZATION:].sum(axis=1),
        mined[:, TRUE_POSITIVE],
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {name: Counts(*row) for name, row in zip(names, rows, strict=True)}


def count_errors(errors: Errors, hard: Rows) -> dict[str, dict[str, int]]:
    """False positives, false negatives and mined objects, by error type."""

    def per_name(code: NDArray[np.int8]) -> NDArray[np.int64]:
        counts: NDArray[np.int64] = _by_name(np.broadcast_to(np.int8(0), len(code)), code, 1)[0]
        return counts

    columns = {
        "false_positives": per_name(errors.prediction),
        "false_negatives": per_name(errors.truth),
        "hard_negatives": per_name(errors.prediction[hard[0]]) + per_name(errors.truth[hard[1]]),
    }
    return {name: {key: int(column[ROW_NAMES.index(name)]) for key, column in columns.items()} for name in ERROR_TYPES}


def _by_name(group: NDArray[np.integer[Any]], code: NDArray[np.int8], n_groups: int) -> NDArray[np.int64]:
    """``(n_groups, names)`` how many rows of each group have each of the names in ``ROW_NAMES``."""
    k = len(ROW_NAMES)
    counts = np.zeros(n_groups * k, dtype=np.int64)
    for rows in _blocks(len(code)):
        counts += np.bincount(group[rows].astype(np.int64) * k + code[rows], minlength=len(counts))
    return counts.reshape(n_groups, k)


def _blocks(n: int) -> list[slice]:
    return [slice(start, start + ROWS_AT_ONCE) for start in range(0, n, ROWS_AT_ONCE)]


def weighting(
    images: Images,
    image: NDArray[np.int64],
    code: NDArray[np.int8],
    shares: NDArray[np.float64],
    weighed: SampleWeights,
) -> Weighting:
    """What the weights do.

    Args:
        images: the images; class exposure is told where it says what they hold.
        image: ``(k,)`` image number of each object that made the scores.
        code: ``(k,)`` its name, as place in :data:`~hnm_core.taxonomy.ROW_NAMES`.
        shares: ``(k,)`` what each of them adds to its image's score; its part of the image's extra weight.
        weighed: the weights of all images.
    """
    w, n, total = weighed.weights, len(weighed.weights), float(weighed.weights.sum())
    by_code = np.bincount(code, extra_weight(image, shares, w), minlength=len(ROW_NAMES))
    names = ["lucky_hit" if name == "true_positive" else name for name in ROW_NAMES]
    owed = zip(names, (by_code / (by_code.sum() or 1.0)).tolist(), strict=True)
    return Weighting(
        hard_images=int(weighed.hard.sum()),
        mean_weight=ratio(total, n) or 1.0,
        effective_sample_size=effective_sample_size(w),
        effective_sample_size_of_repeats=effective_sample_size(weighed.repeats),
        background_share=ratio(float(w[images.background].sum()), total),
        extra_by_error={name: share for name, share in owed if share > 0},
        class_exposure=_class_exposure(images, w),
    )


def extra_weight(
    image: NDArray[np.int64], shares: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What each object has of its image's extra weight w - 1: in proportion to its share of the score, ``(k,)``."""
    score = np.bincount(image, shares, minlength=len(weights))[image]
    return np.divide((weights[image] - 1.0) * shares, score, out=np.zeros(len(shares)), where=score > 0)


def _class_exposure(images: Images, w: NDArray[np.float64]) -> dict[str, float]:
    """Per class, boxes seen per image drawn, with weights over without."""
    if images.truth_image is None or images.truth_label is None:
        return {}
    before = np.bincount(images.truth_label, minlength=len(images.classes))
    after = np.bincount(images.truth_label, w[images.truth_image], minlength=len(images.classes))
    n, total = len(w), float(w.sum())
    return {name: float(a / b * n / total) for name, a, b in zip(images.classes, after, before, strict=True) if b}
