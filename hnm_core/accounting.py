"""From rows to numbers: what a report counts, and what the weights do to a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import area
from .columns import Detections
from .findings import Finding
from .imageset import Images
from .report import Counts, MiningReport, Weighting, ratio
from .taxonomy import BELOW_THRESHOLD, ERROR_TYPES, IGNORED, LOCALIZATION, ROW_NAMES, TRUE_POSITIVE, Errors
from .weights import SampleWeights, effective_sample_size

__all__ = [
    "SIZES",
    "are_fractions",
    "count_classes",
    "count_errors",
    "count_sizes",
    "extra_weight",
    "report_of",
    "weighting",
]

SIZES = ("small", "medium", "large")
"""COCO's sizes: areas up to 32² and 96² pixels, and above."""

SIZE_EDGES = np.array([32.0**2, 96.0**2])
FRACTIONS_OF = 640.0**2
"""Where boxes are fractions of the image, its area is taken for this many pixels (chosen: a detector's usual input)."""


ROWS_AT_ONCE = 100_000
"""Rows per block of what needs more room than the rows themselves have."""

Rows = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Which rows of the predictions, ``(n,)``, and of the truths, ``(m,)``."""


def report_of(findings: Sequence[Finding], before: MiningReport | None = None) -> MiningReport:
    """The report of some findings, counted together and added to that of earlier ones; without weights.

    The numbers are the sums of those of each finding alone, to the last bit: in whatever portions they are counted.
    """
    report = before or MiningReport()
    for _, alike in groupby(findings, lambda f: are_fractions(f.predictions, f.truth)):  # what is small, depends on it
        report = report + _counted(list(alike))
    expected = before.expected_label_errors if before else 0.0
    for finding in findings:
        expected += float(np.sort(finding.mined_suspicion).sum())  # sorted: in whatever order they were mined
    return replace(report, expected_label_errors=expected)


def _counted(some: list[Finding]) -> MiningReport:
    """The report of findings whose boxes are in one unit, without expected label errors."""
    predictions, truth = _in_one([f.predictions for f in some]), _in_one([f.truth for f in some])
    errors = Errors(
        prediction=_joined([f.errors.prediction for f in some]),
        truth=_joined([f.errors.truth for f in some]),
        confident=_joined([f.errors.confident for f in some]),
    )
    hard = _joined([f.prediction_hard for f in some]), _joined([f.truth_hard for f in some])
    classes = count_classes(predictions, truth, errors, hard)
    return MiningReport(
        images=len(truth.images),
        counts=sum(classes.values(), Counts()),
        errors=count_errors(errors, hard),
        classes=classes,
        sizes=count_sizes(predictions, truth, errors, hard),
        candidates=sum(f.candidates for f in some),
        cap=sum(f.cap for f in some),
        suspicion_used=all(f.settings.use_suspicion for f in some),
        notes=tuple(dict.fromkeys(note for f in some for note in f.notes)),
    )


def _in_one(tables: list[Detections]) -> Detections:
    """The boxes of some tables, classes by name, images numbered anew: what can be counted, and no more."""
    if len(tables) == 1:
        return tables[0]
    number: dict[str, int] = {}
    labels = [np.array([number.setdefault(name, len(number)) for name in t.classes], dtype=np.int64) for t in tables]
    first = np.cumsum([0, *(len(t.images) for t in tables)]).tolist()
    return Detections(
        image=_joined([t.image + start for t, start in zip(tables, first[:-1], strict=True)]),
        xyxy=_joined([t.xyxy for t in tables]),
        label=_joined([of_class[t.label] for t, of_class in zip(tables, labels, strict=True)]),
        score=None,
        images=tuple(map(str, range(first[-1]))),
        classes=tuple(number),
    )


def _joined(columns: list[NDArray[Any]]) -> NDArray[Any]:
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


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
