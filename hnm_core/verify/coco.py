"""Read COCO JSON as its trainers do: with their loaders or pycocotools if they are installed, and by their rules.

All draw every entry of ``images``, so an image that is listed twice with two ids is drawn twice. (mmdetection: compared
by hand with ``CocoDataset`` of 3.3.0, with its defaults and with the settings printed here: equal, image by image.)
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import reprlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..io.coco_folders import annotation_file, image_root, is_roboflow
from ..io.data_yaml import SPLITS
from .coco_trainers import TrainFile, add_defaults, too_thin
from .loaders import load_boxes
from .pixels import ImageChecks
from .reading import DrawnImage, TrainerReading

__all__ = ["Files", "load_files", "read_json_export"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Files:
    """The content of the JSON files of an export.

    Attributes:
        directory: folder of the export.
        read_with: name of the reader.
        splits: images, annotations and categories per split.
        roboflow: whether json and images lie in Roboflow's folders.
    """

    directory: Path
    read_with: str
    splits: dict[str, tuple[list[Row], list[Row], list[Row]]]
    roboflow: bool = False

    def root(self, split: str) -> Path:
        """Return the folder that the file names of a split are relative to."""
        return self.directory / image_root(split, roboflow=self.roboflow)

    def where(self, split: str) -> str:
        """Return the json of a split, relative to the export."""
        return annotation_file(split, roboflow=self.roboflow)

    def listed(self) -> dict[str, list[Path]]:
        """Return the images of every split, as often as they are listed."""
        return {
            split: [self.root(split) / image["file_name"] for image in images]
            for split, (images, _, _) in self.splits.items()
        }


def load_files(directory: Path) -> Files:
    """Read the json of those splits that have one.

    Raises:
        ValueError: if a file is not COCO JSON, or rows of it lack what every trainer reads.
    """
    splits, roboflow = {}, is_roboflow(directory)
    for split in SPLITS:
        path = directory / annotation_file(split, roboflow=roboflow)
        if path.is_file():
            try:
                splits[split] = _load(path)
            except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError) as error:
                raise ValueError(f"{path} is not COCO JSON: {type(error).__name__} {error}") from None
            _check_rows(path, *splits[split])
    return Files(directory, "pycocotools" if find_spec("pycocotools") else "its documented rules", splits, roboflow)


def _load(path: Path) -> tuple[list[Row], list[Row], list[Row]]:
    if find_spec("pycocotools"):
        from pycocotools.coco import COCO

        with contextlib.redirect_stdout(io.StringIO()):
            parts = COCO(str(path)).dataset
    else:
        parts = json.loads(path.read_text(encoding="utf-8"))
    return parts["images"], parts.get("annotations", []), parts.get("categories", [])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or _is_whole(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, (bool, int))


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(_is_number, value))


NEEDED: tuple[Mapping[str, Callable[[Any], bool]], ...] = (
    {"id": _is_id, "file_name": _is_text},
    {"id": _is_id, "image_id": _is_id, "category_id": _is_whole, "bbox": _is_box},
    {"id": _is_whole, "name": _is_text},
)
"""What every trainer reads of images, annotations and categories."""

OPTIONAL: tuple[Mapping[str, Callable[[Any], bool]], ...] = (
    {"width": _is_number, "height": _is_number, "weight": _is_number},
    {"area": _is_number, "iscrowd": _is_flag},
    {},
)


def _check_rows(path: Path, *lists: list[Row]) -> None:
    for what, rows, needed, optional in zip(
        ("images", "annotations", "categories"), lists, NEEDED, OPTIONAL, strict=True
    ):
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"{path} is not COCO JSON: {what} is no list of rows")
        for key, fits in {**needed, **optional}.items():
            bad = [at for at, row in enumerate(rows) if (key in needed or key in row) and not fits(row.get(key))]
            if bad:
                raise ValueError(
                    f"{path}: {len(bad)} of {len(rows)} {what} have no {key} that a trainer can read, first number "
                    f"{bad[0]}: {reprlib.repr(rows[bad[0]].get(key))}"
                )


def read_json_export(files: Files, home: Path, trainer: str, checked: ImageChecks) -> TrainerReading:
    """Read the images as a trainer of COCO JSON does."""
    reading = TrainerReading(files.read_with, listed=files.listed())
    for split, (images, boxed, categories) in files.splits.items():
        reading.problems += _faults(files.where(split), images, boxed, categories, files.root(split), checked)
        boxes: Mapping[Any, int] = _boxes(boxed, trainer)
        loaded = (
            None if reading.problems else load_boxes(trainer, files.root(split), files.directory / files.where(split))
        )
        if loaded:
            boxes, reading.read_with = loaded
        entries = []
        for image, path in zip(images, reading.listed[split], strict=True):
            times = float(image.get("weight", 1)) if trainer == "torch" and split == "train" else 1
            if path not in checked.broken:
                entries.append(DrawnImage(path, boxes[image["id"]], times))
        reading.splits[split] = entries
        if split == "train":
            train = TrainFile(
                home, files.where(split), image_root(split, roboflow=files.roboflow), images, boxed, categories
            )
            add_defaults(reading, trainer, train)
    if trainer == "rfdetr":
        _needs_valid(reading, files)
    if trainer not in ("torch", "coco") and reading.read_with == files.read_with:
        reading.read_with = f"{reading.read_with}, then {trainer}'s documented rules"
    return reading


def _faults(
    where: str, images: list[Row], annotations: list[Row], categories: list[Row], directory: Path, checked: ImageChecks
) -> list[str]:
    problems = []
    for what, rows in (("images", images), ("annotations", annotations), ("categories", categories)):
        count = len(rows) - len({row["id"] for row in rows})
        if count:
            problems.append(f"{where}: {count} of {len(rows)} {what} have a repeated id")
    sizes = {image["id"]: (image.get("width"), image.get("height")) for image in images}
    known = {category["id"] for category in categories}
    lost = [a for a in annotations if a["image_id"] not in sizes or a["category_id"] not in known]
    if lost:
        problems.append(f"{where}: {len(lost)} boxes have an unknown image or category, first id {lost[0]['id']}")
    wrong = [i for i in images if sizes[i["id"]] != checked.sizes.get(directory / i["file_name"], sizes[i["id"]])]
    if wrong:
        first = wrong[0]
        width, height = checked.sizes[directory / first["file_name"]]
        problems.append(
            f"{where}: {len(wrong)} images have a size that differs from their file, first {first['file_name']}: "
            f"{first.get('width')} × {first.get('height')} instead of {width} × {height}; detectron2 raises an error"
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


def _boxes(annotations: list[Row], trainer: str) -> dict[Any, int]:
    """Return the number of boxes to learn from per image id, without crowds; LightlyTrain learns them as objects."""
    counts: dict[Any, int] = defaultdict(int)
    for annotation in annotations:
        crowd = annotation.get("iscrowd") and trainer != "lightly"
        if not crowd and not (trainer == "mmdet" and too_thin(annotation)):
            counts[annotation["image_id"]] += 1
    return counts


def _needs_valid(reading: TrainerReading, files: Files) -> None:
    """Say what RF-DETR does without images to validate on; it validates after every epoch."""
    if "val" not in files.splits:
        reading.problems.append(f"{files.where('val')} does not exist: RF-DETR does not start without it")
    elif not reading.listed["val"]:
        reading.warnings.append(
            f"{files.where('val')} lists no image: RF-DETR validates on it after every epoch, so add a val split"
        )
