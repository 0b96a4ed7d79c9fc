"""Evidence from the appearance of mistakes: crops of the images, described by their edges.

Needs scikit-learn and Pillow (``pip install scikit-learn pillow``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..boxes import are_fractions
from ..columns import Detections
from ..io.pictures import UnreadablePictureError, open_picture, pixel_scale, say_left_out
from ..labels.settled import alarms_of
from ..result import MiningResult
from ..taxonomy import DUPLICATE
from .crop_classifier import LEAST_LABELLED, LEAST_SUSPECTS, MOST, likeness
from .edges import EDGES, SIDE, edge_features

__all__ = ["Crops", "CutCrops", "appearance_evidence", "cut_box", "cut_crops", "describe_crops"]

MARGIN = 0.15
"""Margin of a crop on each side, as share of the longer side of the box (chosen)."""

OUTSIDE = 0.02
"""A box closer to the image border than this share of its longer side may be cut off."""

NO_PICTURE = "they are no pictures that can be read"

Locate = Callable[[str], "str | Path | None"]
Describe = Callable[[NDArray[np.uint8]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Crops:
    """Descriptors of crops, of classes with enough false positives and labelled objects to compare.

    Attributes:
        suspects: ``(k,)`` int64, ascending rows of the predictions: false positives, without duplicates.
        seen: ``(k, d)`` float64, their descriptors.
        inside: ``(k,)`` bool, whether they are away from the image border.
        labels: ``(l,)`` int64, ascending rows of the truth: labelled objects that were drawn, and missed ones.
        known: ``(l, d)`` float64, their descriptors.
        whole: ``(l,)`` bool, whether they are away from the image border.
        jobs: per class, rows of the predictions and of the drawn labels to compare.
    """

    suspects: NDArray[np.int64]
    seen: NDArray[np.float64]
    inside: NDArray[np.bool_]
    labels: NDArray[np.int64]
    known: NDArray[np.float64]
    whole: NDArray[np.bool_]
    jobs: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]


class CutCrops(NamedTuple):
    """Crops of boxes.

    Attributes:
        pixels: ``(k, 64, 64, 3)`` uint8; black where the image is no picture.
        inside: ``(k,)`` bool, whether the box is away from the image border; False where the image is no picture.
        read: ``(k,)`` bool, whether the image is a picture that can be read; it may be black.
    """

    pixels: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    read: NDArray[np.bool_]


def appearance_evidence(
    result: MiningResult,
    locate: Locate = Path,
    describe: Describe | None = None,
    sizes: NDArray[np.float64] | None = None,
    *,
    crops: Crops | None = None,
) -> NDArray[np.float64]:
    """Return evidence from the images, for ``result.with_evidence({"appearance": ...})``.

    Every false positive is compared with the labelled objects and with the other false positives of its class, see
    :func:`~.crop_classifier.likeness`. There is no evidence on duplicates, which show a labelled object in any case,
    and on boxes at the image border, where labelling rules differ.

    Args:
        result: a mining of the images.
        locate: returns the file of an image key.
        describe: computes descriptors ``(k, d)`` of crops ``(k, 64, 64, 3)`` uint8; None for :func:`edge_features`.
        sizes: ``(images, 2)`` width and height at labelling, for boxes in pixels, see :func:`cut_crops`.
        crops: what :func:`describe_crops` returned for this result; None to describe them here.

    Returns:
        ``(n,)`` float64, a log-likelihood ratio per prediction, positive if it looks like a labelled object; NaN
        where there is no evidence.

    Raises:
        FileNotFoundError: if an image file does not exist.
        ImportError: if Pillow or scikit-learn is missing.
    """
    crops = describe_crops(result, locate, describe, sizes) if crops is None else crops
    out = np.full(len(result.predictions), np.nan)
    for some, others in crops.jobs:
        at, place = np.searchsorted(crops.suspects, some), np.searchsorted(crops.labels, others)
        at, place = at[crops.inside[at]], place[crops.whole[place]]
        out[crops.suspects[at]] = likeness(crops.known[place], crops.seen[at])
    return out


def describe_crops(
    result: MiningResult,
    locate: Locate = Path,
    describe: Describe | None = None,
    sizes: NDArray[np.float64] | None = None,
) -> Crops:
    """Describe the crops of false positives, of labelled objects to compare them with, and of missed objects.

    Arguments and errors are those of :func:`appearance_evidence`. A class counts from ten labelled objects and five
    false positives; of more than a thousand labelled ones, so many are drawn, and the missed ones come on top.
    """
    describe = describe or edge_features
    rng = np.random.default_rng(result.settings.seed)
    alarms, code = alarms_of(result.errors, result.settled)
    accepted = result.matches.matched[alarms]  # labels that were made of false positives are the same crops
    false_positives = alarms[code != DUPLICATE]
    labelled = np.setdiff1d(np.flatnonzero(~result.matches.truth_ignored), accepted)
    jobs: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for label in range(len(result.truth.classes)):
        suspects = false_positives[result.predictions.label[false_positives] == label]
        examples = rng.permutation(labelled[result.truth.label[labelled] == label])[:MOST]
        if len(suspects) >= LEAST_SUSPECTS and len(examples) >= LEAST_LABELLED:
            jobs.append((suspects, examples))
    classes = [int(result.predictions.label[some[0]]) for some, _ in jobs]
    missed = np.flatnonzero(result.errors.false_negative & np.isin(result.truth.label, classes))
    none = np.zeros(0, dtype=np.int64)
    suspects = np.unique(np.concatenate([none, *(some for some, _ in jobs)]))
    labels = np.unique(np.concatenate([none, missed, *(others for _, others in jobs)]))
    seen, inside, unread = _described(result.predictions, suspects, locate, describe, sizes)
    known, whole, others_unread = _described(result.truth, labels, locate, describe, sizes)
    say_left_out("images are not compared", NO_PICTURE, list(dict.fromkeys([*unread, *others_unread])))
    return Crops(suspects, seen, inside, labels, known, whole, tuple(jobs))


def cut_crops(
    table: Detections,
    rows: NDArray[np.int64],
    locate: Locate = Path,
    sizes: NDArray[np.float64] | None = None,
    margin: float = MARGIN,
) -> CutCrops:
    """Cut square crops with a margin around boxes; outside the image the border pixels are repeated.

    Args:
        table: boxes, in pixels or as fractions of their image.
        rows: the rows to cut, in any order; every image is opened once.
        locate: returns the file of an image key; None for an image that must not be opened.
        sizes: ``(images, 2)`` width and height at labelling, NaN where unknown, for boxes in pixels; None if they are
            those of the pictures.
        margin: on each side, as share of the longer side of the box.

    Returns:
        The crops; a warning names the images that are no pictures.

    Raises:
        FileNotFoundError: if an image file does not exist.
    """
    crops, unread = _crops(table, rows, locate, sizes, margin)
    say_left_out("images are not compared", NO_PICTURE, unread)
    return crops


def cut_box(pixels: NDArray[np.uint8], box: NDArray[np.float64], margin: float = MARGIN) -> NDArray[np.uint8]:
    """Cut the square around one box and scale it; outside the image the border pixels are repeated.

    Args:
        pixels: ``(height, width, 3)`` uint8.
        box: ``(4,)`` float64, ``x0 y0 x1 y1`` in pixels; it counts as at most twice as large as the image, so that
            memory does not grow with it.
        margin: on each side, as share of the longer side of the box.

    Returns:
        ``(64, 64, 3)`` uint8.
    """
    from PIL import Image

    rows, width, _ = pixels.shape
    most = 2.0 * max(rows, width)
    half = min(max(box[2] - box[0], box[3] - box[1], 1.0), most) * (0.5 + margin)
    x, y = np.clip((box[:2] + box[2:]) / 2.0, -2.0 * most, [width + 2.0 * most, rows + 2.0 * most])
    low, high = np.floor([x - half, y - half]).astype(int), np.ceil([x + half, y + half]).astype(int)
    if (low >= 0).all() and (high <= pixels.shape[1::-1]).all():
        part = pixels[low[1] : high[1], low[0] : high[0]]
    else:
        columns, lines = (np.clip(np.arange(low[axis], high[axis]), 0, pixels.shape[1 - axis] - 1) for axis in (0, 1))
        part = pixels[lines[:, None], columns]
    edges = (x - half - low[0], y - half - low[1], x + half - low[0], y + half - low[1])
    return np.asarray(Image.fromarray(part).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=edges))


def _crops(
    table: Detections,
    rows: NDArray[np.int64],
    locate: Locate,
    sizes: NDArray[np.float64] | None,
    margin: float = MARGIN,
) -> tuple[CutCrops, list[str]]:
    """Do what :func:`cut_crops` says, and return the keys of the images that are no pictures."""
    crops = np.zeros((len(rows), SIDE, SIDE, 3), dtype=np.uint8)
    inside, read = np.zeros(len(rows), dtype=bool), np.ones(len(rows), dtype=bool)
    fractions = are_fractions(table.xyxy)
    unread = []
    for number, places in _by_image(table.image[rows]):
        file = locate(table.images[number])
        try:
            if file is None:
                raise UnreadablePictureError(table.images[number])
            pixels = np.asarray(open_picture(file))
        except UnreadablePictureError:
            unread.append(table.images[number])
            read[places] = False
            continue
        size = np.array([pixels.shape[1], pixels.shape[0]] * 2, dtype=np.float64)
        labelled = None if sizes is None else (float(sizes[number, 0]), float(sizes[number, 1]))
        unit = size if fractions else np.tile(pixel_scale(labelled, (pixels.shape[1], pixels.shape[0])), 2)
        for place in places.tolist():
            box = table.xyxy[rows[place]] * unit
            near = OUTSIDE * max(box[2] - box[0], box[3] - box[1], 1.0)
            inside[place] = bool((box[:2] > near).all() and (box[2:] < size[2:] - near).all())
            crops[place] = cut_box(pixels, box, margin)
    return CutCrops(crops, inside, read), unread


def _described(
    table: Detections,
    rows: NDArray[np.int64],
    locate: Locate,
    describe: Describe,
    sizes: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]:
    crops, unread = _crops(table, rows, locate, sizes)
    return describe(crops.pixels) if len(rows) else np.zeros((0, EDGES)), crops.inside, unread


def _by_image(image: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    order = np.argsort(image, kind="stable")
    numbers, first = np.unique(image[order], return_index=True)
    if len(image):
        yield from zip(numbers.tolist(), np.split(order, first[1:]), strict=True)
