"""What mistakes look like: crops of the images, described by their edges.

Needs scikit-image and Pillow (``pip install scikit-image pillow``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Detections
from .likeness import LEAST_LABELLED, LEAST_SUSPECTS, MOST, likeness
from .result import MiningResult
from .taxonomy import DUPLICATE

__all__ = ["appearance_evidence", "cut_crops", "edge_features"]

SIDE = 64
"""Pixels of a crop's side."""

EDGES = 7 * 7 * 2 * 2 * 9
"""Numbers that describe a crop: blocks of 2 × 2 cells of 8 pixels, 9 directions each."""

MARGIN = 0.15
"""How much more than the longer side of its box a crop shows, on each side (chosen)."""

OUTSIDE = 0.02
"""A box nearer to the image's edge than this share of its own side may be cut by it."""

Locate = Callable[[str], "str | Path"]
Describe = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


def appearance_evidence(
    result: MiningResult, locate: Locate = Path, describe: Describe | None = None
) -> NDArray[np.float64]:
    """Evidence from looks, for ``mine(..., evidence={"appearance": ...})``.

    Every false positive is compared with the labelled objects of its class and with the other false positives of its
    class: see :func:`~hnm_core.likeness.likeness`. Nothing is said of duplicates, which show a labelled object
    anyway, and of boxes at the edge of the image, where people label by rules of their own.

    Args:
        result: a mining of the images.
        locate: from an image's key to its file.
        describe: crops ``(k, 64, 64, 3)`` uint8 to descriptors ``(k, d)``; None for :func:`edge_features`.

    Returns:
        ``(n,)`` float64, a log-likelihood ratio per prediction, positive if it looks like what is labelled; NaN where
        nothing is said.

    Raises:
        FileNotFoundError: if an image is not there.
        ImportError: if Pillow or scikit-image is missing.
    """
    describe = describe or edge_features
    rng = np.random.default_rng(result.settings.seed)
    alarms = np.flatnonzero(result.errors.false_positive & (result.errors.prediction != DUPLICATE))
    labelled = np.flatnonzero(~result.truth.is_crowd())
    jobs: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for label in range(len(result.truth.classes)):
        suspects = alarms[result.predictions.label[alarms] == label]
        examples = rng.permutation(labelled[result.truth.label[labelled] == label])[:MOST]
        if len(suspects) >= LEAST_SUSPECTS and len(examples) >= LEAST_LABELLED:
            jobs.append((suspects, examples))
    out = np.full(len(result.predictions), np.nan)
    if not jobs:
        return out
    suspects, examples = (np.unique(np.concatenate(rows)) for rows in zip(*jobs, strict=True))
    seen, inside = _described(result.predictions, suspects, locate, describe)
    known, whole = _described(result.truth, examples, locate, describe)
    for some, like in jobs:
        some, like = some[inside[np.searchsorted(suspects, some)]], like[whole[np.searchsorted(examples, like)]]
        out[some] = likeness(known[np.searchsorted(examples, like)], seen[np.searchsorted(suspects, some)])
    return out


def cut_crops(
    table: Detections, rows: NDArray[np.int64], locate: Locate = Path
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Square crops around boxes, with a margin; beyond the image its edge is continued.

    Args:
        table: boxes, in pixels or as fractions of their image.
        rows: the rows to cut, in any order; every image is opened once.
        locate: from an image's key to its file.

    Returns:
        ``(k, 64, 64, 3)`` uint8, and ``(k,)`` bool: whether the box keeps clear of the image's edge.

    Raises:
        FileNotFoundError: if an image is not there.
    """
    from PIL import Image

    crops, inside = np.zeros((len(rows), SIDE, SIDE, 3), dtype=np.uint8), np.zeros(len(rows), dtype=bool)
    fractions = float(np.abs(table.xyxy).max(initial=0.0)) <= 2.0
    for number, places in _by_image(table.image[rows]):
        with Image.open(locate(table.images[number])) as file:
            pixels = np.asarray(file.convert("RGB"))
        size = np.array([pixels.shape[1], pixels.shape[0]] * 2, dtype=np.float64)
        for place in places.tolist():
            box = table.xyxy[rows[place]] * (size if fractions else 1.0)
            near = OUTSIDE * max(box[2] - box[0], box[3] - box[1], 1.0)
            inside[place] = bool((box[:2] > near).all() and (box[2:] < size[2:] - near).all())
            crops[place] = _cut(pixels, box)
    return crops, inside


def edge_features(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Histograms of oriented gradients (Dalal and Triggs, 2005) by scikit-image: 1,764 numbers a crop.

    Args:
        crops: ``(k, 64, 64, 3)`` uint8.
    """
    from skimage.feature import hog

    cells: dict[str, Any] = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2)}
    found = [hog(crop.mean(axis=2) / 255.0, **cells, block_norm="L2-Hys") for crop in crops]
    return np.array(found, dtype=np.float64).reshape(len(crops), EDGES)


def _described(
    table: Detections, rows: NDArray[np.int64], locate: Locate, describe: Describe
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    crops, inside = cut_crops(table, rows, locate)
    return describe(crops), inside


def _by_image(image: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    order = np.argsort(image, kind="stable")
    numbers, first = np.unique(image[order], return_index=True)
    yield from zip(numbers.tolist(), np.split(order, first[1:]), strict=True)


def _cut(pixels: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The square around a box."""
    from PIL import Image

    half = max(box[2] - box[0], box[3] - box[1], 1.0) * (0.5 + MARGIN)
    x, y = (box[0] + box[2]) / 2.0, (box[1] + box[3]) / 2.0
    low, high = np.floor([x - half, y - half]).astype(int), np.ceil([x + half, y + half]).astype(int)
    columns, lines = (np.clip(np.arange(low[axis], high[axis]), 0, pixels.shape[1 - axis] - 1) for axis in (0, 1))
    part = Image.fromarray(pixels[lines][:, columns])
    edges = (x - half - low[0], y - half - low[1], x + half - low[0], y + half - low[1])
    return np.asarray(part.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=edges))
