"""Write the COCO JSON layouts: repeated entries for mmdetection, detectron2 and RF-DETR, weights for torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import Detections
from ..io.coco_folders import annotation_file
from ..io.data_yaml import SPLITS
from ..io.flags import write_kind
from .images import NamedImage
from .media import put_image
from .regions import Greys, is_region
from .settings import ExportSettings

__all__ = ["write_json_layout"]


def write_json_layout(
    root: Path,
    images: Iterable[NamedImage],
    all_images: Sequence[NamedImage],
    truth: Detections,
    settings: ExportSettings,
    greys: Greys | None = None,
) -> None:
    """Write the images, then the json of each split.

    File names are relative to the folder of the export, in Roboflow's folders to the json's own. Every image has
    ``weight`` and ``repeats``. For trainers that draw every entry once it is listed ``repeats`` times, each with its
    own id and annotations; for torch it is listed once. RF-DETR does not start without ``valid``: with no val image its
    json is empty.

    Args:
        root: where to write.
        images: all images, wrapped to show the progress.
        all_images: the same images.
        truth: boxes as fractions of the image, clipped to the image.
        settings: layout, media, numbers of the classes, and whether crowds are written.
        greys: what is greyed in each image.
    """
    if not settings.holds_crowds:
        truth = truth.take(np.flatnonzero(~is_region(truth)))
    for split in {one.image.split for one in all_images if not Path(one.path).is_absolute()}:
        (root / settings.folders[split]).mkdir(parents=True)
    for one in images:
        put_image(root, one, settings.media, copies=False, greys=greys)
    for split in SPLITS:
        of_split = [one for one in all_images if one.image.split == split]
        if of_split or (split == "val" and settings.is_roboflow):
            file = root / annotation_file(split, roboflow=settings.is_roboflow)
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(_content(of_split, truth, settings)), encoding="utf-8")


def _content(images: Sequence[NamedImage], truth: Detections, settings: ExportSettings) -> dict[str, Any]:
    first_id = settings.first_category_id
    rows = np.argsort(truth.image, kind="stable")
    edges = np.searchsorted(truth.image[rows], np.arange(len(truth.images) + 1)).tolist()
    number = {name: i for i, name in enumerate(truth.images)}
    boxes, labels, kinds = truth.xyxy[rows], truth.label[rows].tolist(), truth.kinds()[rows].tolist()
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for one in images:
        image, (width, height) = one.image, one.size
        first, last = edges[number[image.sample_id] : number[image.sample_id] + 2]
        pixels = (boxes[first:last] * [width, height, width, height]).round(3).tolist()
        name = Path(one.path).name if settings.is_roboflow and not Path(one.path).is_absolute() else one.path
        for _ in range(1 if settings.layout == "torch" else image.repeats):
            facts = {"id": len(listed) + 1, "file_name": name, "width": width, "height": height}
            listed.append({**facts, "weight": image.weight, "repeats": image.repeats, "sample_id": image.sample_id})
            for at, (x0, y0, x1, y1) in zip(range(first, last), pixels, strict=True):
                box = {"id": len(annotations) + 1, "image_id": len(listed), "category_id": labels[at] + first_id}
                sides = [x0, y0, round(x1 - x0, 3), round(y1 - y0, 3)]
                area = round(sides[2] * sides[3], 3)
                annotations.append({**box, "bbox": sides, "area": area, **write_kind(kinds[at])})
    categories = [{"id": i, "name": name} for i, name in enumerate(truth.classes, first_id)]
    return {"images": listed, "annotations": annotations, "categories": categories}
