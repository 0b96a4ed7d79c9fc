"""COCO json as mmdetection, detectron2 and torch read it: through pycocotools where it is installed, then their rules.

Both mmdetection and detectron2 leave out images without boxes unless told otherwise. Both draw every entry of
``images``, so an image that stands there twice under two ids is drawn twice. (Compared by hand with what mmdetection
3.3.0's own ``CocoDataset`` draws, by default and with the settings shown: the same, image by image.)
"""

from __future__ import annotations

import contextlib
import io
import json
from collections import defaultdict
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .pixels import Checked
from .reading import Drawn, Reading

__all__ = ["Files", "load_files", "read_json_export"]

SPLITS = ("train", "val", "test")
MMDET_MIN_SIZE = 32
"""Pixels a side below which mmdetection's usual ``filter_cfg`` leaves an image out."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Files:
    """The json files of an export, read.

    Attributes:
        directory: where the export lies.
        read_with: what read them.
        splits: images, annotations and categories per split.
    """

    directory: Path
    read_with: str
    splits: dict[str, tuple[list[Row], list[Row], list[Row]]]

    def listed(self) -> dict[str, list[Path]]:
        """The images of every split, as often as they stand there."""
        return {
            split: [self.directory / image["file_name"] for image in images]
            for split, (images, _, _) in self.splits.items()
        }


def load_files(directory: Path) -> Files:
    """Read what is there of ``annotations/{train,val,test}.json``.

    Raises:
        ValueError: if a file is no COCO json.
    """
    splits = {}
    for split in SPLITS:
        path = directory / "annotations" / f"{split}.json"
        if path.is_file():
            try:
                splits[split] = _load(path)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path} is no COCO json: {type(error).__name__} {error}") from None
    return Files(directory, "pycocotools" if find_spec("pycocotools") else "its documented rules", splits)


def _load(path: Path) -> tuple[list[Row], list[Row], list[Row]]:
    if find_spec("pycocotools"):
        from pycocotools.coco import COCO

        with contextlib.redirect_stdout(io.StringIO()):
            parts = COCO(str(path)).dataset
    else:
        parts = json.loads(path.read_text(encoding="utf-8"))
    if not all(isinstance(image["file_name"], str) for image in parts["images"]):
        raise TypeError("a file_name that is no text")
    return parts["images"], parts.get("annotations", []), parts.get("categories", [])


def read_json_export(files: Files, home: Path, trainer: str, checked: Checked) -> Reading:
    """What a trainer of COCO json takes."""
    reading = Reading(files.read_with, listed=files.listed())
    for split, (images, boxed, categories) in files.splits.items():
        where = f"annotations/{split}.json"
        reading.problems += _faults(where, images, boxed, categories, files.directory, checked)
        boxes = _boxes(boxed, trainer)
        entries = []
        for image, path in zip(images, reading.listed[split], strict=True):
            times = float(image.get("weight", 1)) if trainer == "torch" and split == "train" else 1
            if path not in checked.broken:
                entries.append(Drawn(path, boxes[image["id"]], times))
        reading.splits[split] = entries
        if split == "train":
            _defaults(reading, trainer, home, images, boxed, [c["name"] for c in categories])
    if trainer not in ("torch", "coco"):
        reading.read_with = f"{reading.read_with}, then {trainer}'s documented rules"
    return reading


def _faults(
    where: str, images: list[Row], annotations: list[Row], categories: list[Row], directory: Path, checked: Checked
) -> list[str]:
    problems = []
    for what, rows in (("images", images), ("annotations", annotations), ("categories", categories)):
        count = len(rows) - len({row["id"] for row in rows})
        if count:
            problems.append(f"{where}: {count} of {len(rows)} {what} have the id of another")
    sizes = {image["id"]: (image.get("width"), image.get("height")) for image in images}
    known = {category["id"] for category in categories}
    lost = [a for a in annotations if a["image_id"] not in sizes or a["category_id"] not in known]
    if lost:
        problems.append(
            f"{where}: {len(lost)} boxes name an image or category that is not there, first id {lost[0]['id']}"
        )
    wrong = [i for i in images if sizes[i["id"]] != checked.sizes.get(directory / i["file_name"], sizes[i["id"]])]
    if wrong:
        first = wrong[0]
        width, height = checked.sizes[directory / first["file_name"]]
        problems.append(
            f"{where}: {len(wrong)} images have another size than their file, first {first['file_name']}: "
            f"{first.get('width')} × {first.get('height')} instead of {width} × {height}; detectron2 stops at that"
        )
    outside = [a for a in annotations if a["image_id"] in sizes and not _inside(a["bbox"], *sizes[a["image_id"]])]
    if outside:
        problems.append(f"{where}: {len(outside)} boxes reach outside their image, first id {outside[0]['id']}")
    return problems


def _inside(bbox: list[float], width: float | None, height: float | None) -> bool:
    x, y, w, h = bbox
    if w < 0 or h < 0 or x < 0 or y < 0:
        return False
    return width is None or height is None or (x + w <= width + 1e-3 and y + h <= height + 1e-3)


def _too_thin(annotation: Row) -> bool:
    """Boxes that mmdetection passes over."""
    return bool(min(annotation["bbox"][2:]) < 1 or annotation.get("area", 1) <= 0)


def _boxes(annotations: list[Row], trainer: str) -> dict[Any, int]:
    """Boxes to learn from, per image id; crowds are none."""
    counts: dict[Any, int] = defaultdict(int)
    for annotation in annotations:
        if not annotation.get("iscrowd") and not (trainer == "mmdet" and _too_thin(annotation)):
            counts[annotation["image_id"]] += 1
    return counts


def _defaults(
    reading: Reading, trainer: str, home: Path, images: list[Row], annotations: list[Row], classes: list[str]
) -> None:
    """What the trainer's defaults leave out, and the settings that keep it."""
    with_any = {a["image_id"] for a in annotations}
    with_box = {a["image_id"] for a in annotations if not a.get("iscrowd")}
    small = {
        i["id"] for i in images if min(i.get("width", MMDET_MIN_SIZE), i.get("height", MMDET_MIN_SIZE)) < MMDET_MIN_SIZE
    }
    thin = sum(map(_too_thin, annotations))
    if trainer == "mmdet":
        dropped = {i["id"] for i in images} - with_any | small
        reading.overrides = (
            f"train_dataloader = dict(dataset=dict(\n"
            f"    type='CocoDataset', data_root='{home}', ann_file='annotations/train.json',\n"
            f"    data_prefix=dict(img=''), metainfo=dict(classes={tuple(classes)!r}),\n"
            f"    filter_cfg=dict(filter_empty_gt=False, min_size=0)))"
        )
        reading.warnings.append(
            "mmdetection keeps boxes of the classes in metainfo alone, by default COCO's 80: name yours"
        )
        if thin:
            reading.warnings.append(f"{thin} boxes are less than one pixel wide or high: mmdetection passes them over")
    elif trainer == "detectron2":
        dropped = {i["id"] for i in images} - with_box
        reading.overrides = (
            f"register_coco_instances('hnm_train', {{}}, '{home / 'annotations/train.json'}', '{home}')\n"
            f"cfg.DATASETS.TRAIN = ('hnm_train',)\n"
            f"cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False\n"
            f"cfg.MODEL.ROI_HEADS.NUM_CLASSES = {len(classes)}"
        )
    elif trainer == "torch":
        dropped = set()
        reading.overrides = (
            f"dataset = torchvision.datasets.CocoDetection('{home}', '{home / 'annotations/train.json'}')\n"
            f"weights = [image['weight'] for image in dataset.coco.loadImgs(dataset.ids)]\n"
            f"sampler = torch.utils.data.WeightedRandomSampler(weights, num_samples=round(sum(weights)))"
        )
    else:
        dropped = set()
    reading.dropped_by_default = len({i["file_name"] for i in images if i["id"] in dropped})
    if dropped:
        first = next(i["file_name"] for i in images if i["id"] in dropped)
        background = "without boxes" if dropped - small or trainer != "mmdet" else "too small"
        reading.warnings.append(
            f"{trainer} by default drops {reading.dropped_by_default} train images in silence ({background}), first "
            f"{first}; the settings below keep them"
        )
