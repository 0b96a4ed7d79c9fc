"""The layouts that read COCO json: one of repeated entries for mmdetection and detectron2, one of weights for torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import Detections
from .images import SPLITS, Named
from .media import put_image
from .settings import ExportSettings

__all__ = ["write_json_layout"]


def write_json_layout(
    root: Path, images: Iterable[Named], all_images: Sequence[Named], truth: Detections, settings: ExportSettings
) -> None:
    """Images and, last of all, ``annotations/<split>.json``; file names start at the export's folder.

    Every image has ``weight`` and ``repeats``. For mmdetection and detectron2 it stands there ``repeats`` times, each
    with an id and annotations of its own, for both draw what is listed; for torch it stands there once.

    Args:
        root: where to write.
        images: all of them once, told off one by one to show how far it has come.
        all_images: the same.
        truth: boxes as fractions of the image, all of them inside.
        settings: layout and media.
    """
    for split in {one.image.split for one in all_images if not Path(one.path).is_absolute()}:
        (root / "images" / split).mkdir(parents=True)
    for one in images:
        put_image(root, one, settings.media, copies=False)
    (root / "annotations").mkdir()
    for split in SPLITS:
        of_split = [one for one in all_images if one.image.split == split]
        if of_split:
            content = _content(of_split, truth, repeated=settings.layout == "coco")
            (root / "annotations" / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")


def _content(images: Sequence[Named], truth: Detections, *, repeated: bool) -> dict[str, Any]:
    rows = np.argsort(truth.image, kind="stable")
    edges = np.searchsorted(truth.image[rows], np.arange(len(truth.images) + 1)).tolist()
    number = {name: i for i, name in enumerate(truth.images)}
    boxes, labels, crowd = truth.xyxy[rows], truth.label[rows].tolist(), truth.is_crowd()[rows].tolist()
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for one in images:
        image, (width, height) = one.image, one.size
        first, last = edges[number[image.sample_id] : number[image.sample_id] + 2]
        pixels = (boxes[first:last] * [width, height, width, height]).round(3).tolist()
        for _ in range(image.repeats if repeated else 1):
            facts = {"id": len(listed) + 1, "file_name": one.path, "width": width, "height": height}
            listed.append({**facts, "weight": image.weight, "repeats": image.repeats, "sample_id": image.sample_id})
            for at, (x0, y0, x1, y1) in zip(range(first, last), pixels, strict=True):
                box = {"id": len(annotations) + 1, "image_id": len(listed), "category_id": labels[at] + 1}
                sides = [x0, y0, round(x1 - x0, 3), round(y1 - y0, 3)]
                area = round(sides[2] * sides[3], 3)
                annotations.append({**box, "bbox": sides, "area": area, "iscrowd": int(crowd[at])})
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(truth.classes)]
    return {"images": listed, "annotations": annotations, "categories": categories}
