"""Ignored regions of a training: what the truth says must not be learnt as background, and label files cannot hold."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import CROWD, GROUP_OF, REGION, REGION_BEFORE, Detections
from ..export.regions import is_region, named_regions
from ..io.json_rows import read_truth_file
from ..io.reviews_file import names_in, read_reviews
from ..io.truth_files import of_coco
from ..labels.reviews import IGNORE
from .gates import Gates

__all__ = ["read_regions", "regions_by_class"]

RULE_OF = {CROWD: "crowd", GROUP_OF: "group_of", REGION: "region", REGION_BEFORE: "region_before"}


def regions_by_class(truth: Detections, rules: Collection[str]) -> Gates:
    """Return the labels whose class is one of ignored regions, such as KITTI's ``DontCare``; they act on every class.

    Args:
        truth: labels of the training, as fractions of the image.
        rules: those that are applied, see :data:`hnm_core.settings.mining.IGNORE_RULES`.
    """
    rows = is_region(named_regions(truth, rules))
    return Gates.ignoring(truth.take(rows), np.ones(int(rows.sum()), dtype=bool))


def read_regions(file: str | Path, truth: Detections, rules: Collection[str]) -> tuple[Gates, int]:
    """Read boxes that the loss leaves out, and match their images by the end of the path.

    Two kinds of file are read: COCO json, of which crowds, groups and regions to ignore are taken, as ``rules`` say;
    and a file of reviews, of which the boxes with the state ``ignore`` are taken. A region of a class that is not
    trained acts on every class; a crowd of such a class is left out.

    Args:
        file: JSON, or JSON lines.
        truth: the table of the training, whose images and classes count.
        rules: those that are applied.

    Returns:
        The regions, and how many of the file are of images that are not in the training.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is neither, its boxes have no size of their image, or none is of an image of the training.
    """
    file = Path(file)
    boxes, every = (_of_coco if _is_coco(file) else _of_reviews)(file, truth, frozenset(rules))
    place = {name: i for i, name in enumerate(truth.images)}
    number = {name: i for i, name in enumerate(truth.classes)}
    image = np.array([place.get(name, -1) for name in names_in(boxes.images, truth.images)], dtype=np.int64)
    label = np.array([number.get(name, -1) for name in boxes.classes], dtype=np.int64)
    image, label = image[boxes.image], label[boxes.label]
    if len(boxes) and (image < 0).all():
        raise ValueError(
            f"{file}: none of its {len(boxes)} ignored regions is of an image of the training, whose first is "
            f"{truth.images[0]}; the first of the file is {boxes.images[boxes.image[0]]}"
        )
    kept = np.flatnonzero((image >= 0) & (every | (label >= 0)))
    ours = Detections(
        *(image[kept], boxes.xyxy[kept], np.maximum(label[kept], 0), None, truth.images, truth.classes),
    )
    return Gates.ignoring(ours, every[kept]), int((image < 0).sum())


def _is_coco(file: Path) -> bool:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        return False  # lines of reviews, or what their reader will refuse
    return isinstance(content, Mapping) and "annotations" in content


def _of_coco(file: Path, truth: Detections, rules: frozenset[str]) -> tuple[Detections, Any]:
    """Return regions as fractions, and which of them act on every class."""
    found = of_coco(file, read_truth_file(file), None)
    table = named_regions(found.table, rules)
    some = table.take(np.isin(table.kinds(), [kind for kind, rule in RULE_OF.items() if rule in rules]))
    assert found.sizes is not None
    size = found.sizes[some.image]
    unknown = int((~(size > 0).all(axis=1)).sum())
    if unknown:
        raise ValueError(f"{file}: {unknown} ignored regions are of images without width and height")
    boxes = Detections(some.image, some.xyxy / np.tile(size, 2), some.label, None, some.images, some.classes)
    return boxes, np.isin(some.kinds(), (REGION, REGION_BEFORE))


def _of_reviews(file: Path, truth: Detections, rules: frozenset[str]) -> tuple[Detections, Any]:
    reviews = read_reviews(file, truth.images)
    rows = np.flatnonzero(reviews.state == IGNORE)
    boxes = Detections(
        *(reviews.image[rows], reviews.xyxy[rows], reviews.label[rows], None, reviews.images, reviews.classes)
    )
    trained = np.isin(np.array(reviews.classes, dtype=object), list(truth.classes))
    return boxes, ~trained[boxes.label]
