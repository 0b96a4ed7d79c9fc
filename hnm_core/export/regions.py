"""Ignored regions on the way out: what labels cannot say is left out of them, said, and on request greyed in a copy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import DIFFICULT, OBJECT, Detections
from ..io.pictures import open_file, write_picture
from ..matching.class_roles import class_roles
from .images import ExportImage, NamedImage

__all__ = ["Greys", "grey_image", "greys_of", "is_region", "named_regions", "without_regions"]

GREY = (114, 114, 114)
"""The colour with which YOLO fills the border of a letterboxed image: no object has ever been labelled on it."""

Greys = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""``sample_id`` → regions to grey and boxes to keep visible, each ``(k, 4)`` corners as fractions of the image."""


def named_regions(truth: Detections, rules: Collection[str]) -> Detections:
    """Return the truths with the kind that the names of classes say, such as KITTI's ``DontCare``."""
    kind = truth.kinds().copy()
    roles = class_roles(truth.classes, {})
    for label, of_class in roles.kind.items():
        if roles.unevaluated[label] in rules:
            kind[truth.label == label] = of_class
    return replace(truth, kind=kind, crowd=None)


def is_region(truth: Detections) -> NDArray[np.bool_]:
    """Return ``(m,)`` bool, what is no single object: crowds, groups and ignored regions."""
    return ~np.isin(truth.kinds(), (OBJECT, DIFFICULT))


def without_regions(
    images: Sequence[ExportImage], truth: Detections, choice: str
) -> tuple[list[ExportImage], list[str]]:
    """Return the images without those train images that have regions, if that is chosen; and notes on the regions.

    Raises:
        ValueError: if no train image is left.
    """
    number = {name: i for i, name in enumerate(truth.images)}
    regions = np.bincount(truth.image[is_region(truth)], minlength=len(truth.images))
    per_image = [int(regions[number[one.sample_id]]) for one in images]
    total = sum(per_image)
    if not total:
        return list(images), []
    hit = [bool(count) and one.split == "train" for one, count in zip(images, per_image, strict=True)]
    said = f"{total} ignored regions (crowds among them) cannot be written in this label format"
    if choice == "leave_out":
        kept = [one for one, out in zip(images, hit, strict=True) if not out]
        if not any(one.split == "train" for one in kept):
            raise ValueError(f"{said}, and every train image has one: nothing is left; set ignored_regions to grey")
        return kept, [f"{said}: the {sum(hit)} train images with any are left out"]
    if choice == "grey":
        return list(images), [f"{said}: they are greyed in copies of the {sum(hit)} train images with any"]
    hint = "trainers treat them as background; set ignored_regions to leave these images out, or to grey the regions"
    return list(images), [f"{said}, in {sum(hit)} train images: {hint}"]


def greys_of(images: Sequence[ExportImage], truth: Detections) -> Greys:
    """Return what is greyed in each whole train image, and the labelled boxes that stay visible."""
    number = {name: i for i, name in enumerate(truth.images)}
    region = is_region(truth)
    greys = {}
    for one in images:
        rows = truth.image == number[one.sample_id]
        if one.split == "train" and one.window is None and (rows & region).any():
            greys[one.sample_id] = truth.xyxy[rows & region], truth.xyxy[rows & ~region]
    return greys


def grey_image(one: NamedImage, to: Path, regions: NDArray[np.float64], boxes: NDArray[np.float64]) -> None:
    """Write a copy of an image, upright, with its regions grey and its labelled boxes as they were."""
    from PIL import ImageOps

    with open_file(one.image.filepath) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    grey = upright.copy()
    scale = np.array([upright.width, upright.height] * 2)
    for x0, y0, x1, y1 in np.rint(regions * scale).astype(int).tolist():
        grey.paste(GREY, (x0, y0, x1, y1))
    for x0, y0, x1, y1 in np.concatenate([np.floor(boxes[:, :2] * scale[:2]), np.ceil(boxes[:, 2:] * scale[2:])], 1):
        window = int(x0), int(y0), int(x1), int(y1)
        grey.paste(upright.crop(window), window)
    options: dict[str, Any] = {"quality": 95} if to.suffix.lower() in (".jpg", ".jpeg") else {}
    write_picture(grey, to, **options)
