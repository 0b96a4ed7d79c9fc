"""Export crops around mistakes; a crop contains every truth that it touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from .choose import has_truth
from .images import ExportImage, Window
from .regions import is_region

__all__ = ["SUSPECTED", "add_crops", "crop_window"]

SCALE = 2.0
"""Side of a crop, as multiple of the longer side of the mistake's box (chosen)."""

MIN_SIDE = 96
"""Smallest side of a crop in pixels, if the image is large enough (chosen)."""

MAX_SHARE = 0.5
"""Largest share of the image area; larger crops add nothing new (chosen)."""

HALF = 0.5
"""Smallest visible share of a truth that is cut by the crop (chosen)."""

SUSPECTED = 0.5
"""No crops are made around mistakes of higher suspicion: the object may be missing its label (chosen)."""

PER_IMAGE = 3
"""Largest number of crops per image, around its hardest mistakes (chosen)."""


TruthColumns = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]
"""Image numbers, boxes and labels of some truths."""


def crop_window(
    box: NDArray[np.float64], truths: NDArray[np.float64], crowds: NDArray[np.float64], size: tuple[int, int]
) -> Window | None:
    """Return the window around a mistake, enlarged until it contains every truth that it touches.

    If that is too much of the image, truths may be cut by the window if at least half of them is visible; their visible
    part is the label. No truth is dropped.

    Args:
        box: ``(4,)`` corners of the mistake in pixels.
        truths: ``(n, 4)`` truths of the image in pixels.
        crowds: ``(m, 4)`` crowd regions; a crop must not touch them, because the objects in them have no labels.
        size: width and height of the image in pixels.

    Returns:
        Corners in whole pixels, or None if there is no such window that is small enough.

    Example:
        >>> crop_window(np.array([10.0, 10, 30, 30]), np.array([[90.0, 20, 130, 60]]), np.zeros((0, 4)), (640, 480))
        (0, 0, 130, 96)
    """
    limits = np.array([*size, *size], dtype=np.float64)
    side = max(SCALE * float((box[2:] - box[:2]).max()), MIN_SIDE)
    low = np.clip((box[:2] + box[2:] - side) / 2, 0, np.maximum(limits[:2] - side, 0))
    start = np.concatenate([np.minimum(low, box[:2]), np.maximum(low + side, box[2:])])
    for seen in (1.0, HALF):
        window = _grown(start, np.clip(truths, 0, limits), limits, seen)
        width, height = window[2:] - window[:2]
        if width * height <= MAX_SHARE * size[0] * size[1] and not _touched(crowds, window).any():
            x0, y0, x1, y1 = (int(v) for v in window)
            return x0, y0, x1, y1
    return None


def _grown(
    window: NDArray[np.float64], truths: NDArray[np.float64], limits: NDArray[np.float64], seen: float
) -> NDArray[np.float64]:
    """Enlarge the window, in whole pixels, until at least this share of every truth that it touches is visible."""
    area = np.prod(truths[:, 2:] - truths[:, :2], axis=1)
    while True:
        window = np.clip(np.concatenate([np.floor(window[:2]), np.ceil(window[2:])]), 0, limits)
        sides = np.minimum(truths[:, 2:], window[2:]) - np.maximum(truths[:, :2], window[:2])
        cut = _touched(truths, window) & (np.prod(sides, axis=1) < seen * area - 1e-6)
        if not cut.any():
            return window
        corners = np.concatenate([truths[cut], window[None]])
        window = np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])


def _touched(boxes: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.bool_]:
    overlap = np.minimum(boxes[:, 2:], window[2:]) > np.maximum(boxes[:, :2], window[:2])
    return np.asarray(overlap.all(axis=1))


def add_crops(
    images: Sequence[ExportImage],
    truth: Detections,
    mistakes: Detections,
    sizes: Mapping[str, tuple[int, int]],
    background_share: float,
) -> tuple[list[ExportImage], Detections, list[str]]:
    """Add crops of the train images around their mistakes, after all images.

    A crop has weight 1. Crops without a truth are background; together with the background train images they are at
    most ``background_share`` of all, the hardest first.

    Args:
        images: the images to export.
        truth: their truths, boxes as fractions of the image.
        mistakes: boxes as fractions, ``score`` their difficulty, over the images of ``truth``.
        sizes: width and height by file path.
        background_share: in ``[0, 1]``.

    Returns:
        Images with crops, the truths of all of them, and sentences about the crops.
    """
    train = {i.sample_id: i for i in images if i.split == "train"}
    mistakes = mistakes.take(np.isin(np.array(mistakes.images, dtype=object)[mistakes.image], list(train)))
    found, left_out = _windows(train, truth, mistakes, sizes)
    inside = [_visible_truths(truth, rows, window, sizes[image.filepath]) for image, rows, window in found]
    allowed = _background_left(
        list(train.values()), truth, sum(bool(len(rows)) for rows, _ in inside), background_share
    )
    crops: list[ExportImage] = []
    tables: list[TruthColumns] = []
    easy = 0
    for (image, _, window), (rows, xyxy) in zip(found, inside, strict=True):
        if not len(rows):
            if allowed <= 0:
                easy += 1
                continue
            allowed -= 1
        name = f"{image.sample_id}#crop{len(crops) + 1}"
        crops.append(ExportImage(image.filepath, name, "train", window=window))
        tables.append((np.full(len(rows), len(truth.images) + len(crops) - 1), xyxy, truth.label[rows]))
    notes = [f"{len(crops)} crops around mistakes are added"]
    if left_out:
        notes.append(
            f"{left_out} mistakes have no crop of their own: the crop would be more than half of the image, "
            f"would touch a crowd region, or another crop contains them"
        )
    if easy:
        notes.append(f"{easy} crops without truths are left out: at most {background_share:.0%} are background images")
    return [*images, *crops], _with_truths_of(truth, tables, [crop.sample_id for crop in crops]), notes


def _windows(
    train: Mapping[str, ExportImage],
    truth: Detections,
    mistakes: Detections,
    sizes: Mapping[str, tuple[int, int]],
) -> tuple[list[tuple[ExportImage, NDArray[np.int64], Window]], int]:
    """Return the windows, hardest mistake first, with image and rows of the truths; and the number without a window."""
    number = {name: i for i, name in enumerate(truth.images)}
    rows_of = _rows_by_image(truth)
    crowd = is_region(truth)
    difficulty = np.zeros(len(mistakes)) if mistakes.score is None else mistakes.score
    found: list[tuple[ExportImage, NDArray[np.int64], Window]] = []
    of_image: dict[str, list[Window]] = {}
    left_out = 0
    for row in np.argsort(-difficulty, kind="stable").tolist():
        image = train[mistakes.images[mistakes.image[row]]]
        scale = np.array([*sizes[image.filepath]] * 2, dtype=np.float64)
        box = np.clip(mistakes.xyxy[row], 0, 1) * scale
        others = of_image.setdefault(image.sample_id, [])
        rows = rows_of[number[image.sample_id]]
        boxes = truth.xyxy[rows] * scale
        window = None
        if len(others) < PER_IMAGE and not any(_inside(box, other) for other in others):
            window = crop_window(box, boxes[~crowd[rows]], boxes[crowd[rows]], sizes[image.filepath])
        if window is None or window in others:
            left_out += 1
            continue
        others.append(window)
        found.append((image, rows[~crowd[rows]], window))
    return found, left_out


def _inside(box: NDArray[np.float64], window: Window) -> bool:
    return bool((box[:2] >= window[:2]).all() and (box[2:] <= window[2:]).all())


def _rows_by_image(table: Detections) -> list[NDArray[np.int64]]:
    order = np.argsort(table.image, kind="stable")
    edges = np.searchsorted(table.image[order], np.arange(len(table.images) + 1))
    return [order[a:b] for a, b in pairwise(edges)]


def _visible_truths(
    truth: Detections, rows: NDArray[np.int64], window: Window, size: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the truths that a window touches: their rows, and their visible boxes as fractions of the window."""
    boxes = np.clip(truth.xyxy[rows], 0, 1) * np.array([*size, *size])
    kept = _touched(boxes, np.array(window, dtype=np.float64))
    x0, y0, x1, y1 = window
    fractions = (boxes[kept] - [x0, y0, x0, y0]) / [x1 - x0, y1 - y0, x1 - x0, y1 - y0]
    return rows[kept], np.clip(fractions, 0, 1)


def _background_left(train: Sequence[ExportImage], truth: Detections, labelled: int, share: float) -> int:
    """Return how many more background images are allowed."""
    number = {name: i for i, name in enumerate(truth.images)}
    full = has_truth(truth)
    objects = sum(bool(full[number[i.sample_id]]) for i in train)
    background = len(train) - objects
    if share >= 1:
        return len(truth)
    return int(share / (1 - share) * (objects + labelled) + 1e-9) - background


def _with_truths_of(
    truth: Detections,
    tables: Sequence[TruthColumns],
    names: Sequence[str],
) -> Detections:
    """Append the truths of more images."""
    image = np.concatenate([truth.image, *(image for image, _, _ in tables)])
    xyxy = np.concatenate([truth.xyxy, *(xyxy for _, xyxy, _ in tables)])
    label = np.concatenate([truth.label, *(label for _, _, label in tables)])
    kind = np.concatenate([truth.kinds(), np.zeros(len(image) - len(truth), dtype=np.uint8)])
    return Detections(image, xyxy, label, None, (*truth.images, *names), truth.classes, kind=kind)
