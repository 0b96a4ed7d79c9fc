"""Read YOLO folders as RF-DETR, LightlyTrain and LibreYOLO do, by their rules.

Sources: RF-DETR 1.11.2 ``rfdetr.datasets.yolo``; LightlyTrain 0.18.0 ``YOLOObjectDetectionDatasetArgs``; LibreYOLO
1.6.0 ``libreyolo.data.dataset.YOLODataset``. The first two list the images of a folder and never read ``train.txt``;
the third reads it, and repeated lines survive. All read an image without a label file as background.
"""

from __future__ import annotations

from pathlib import Path

from ..io.data_yaml import SPLITS, class_names, read_data_yaml
from ..io.progress import Progress
from .coco_trainers import DROPS_LAST, USUAL_BATCH
from .pixels import ImageChecks
from .reading import TrainerReading
from .yolo import listed_images, read_by_rules

__all__ = ["FOLDER_TRAINERS", "read_yolo_folders"]

FOLDER_TRAINERS = {"rfdetr": "RF-DETR", "lightly": "LightlyTrain", "libreyolo": "LibreYOLO"}
"""Trainers that read ``data.yaml``, besides Ultralytics and YOLOv5."""

NEEDS_VAL = ("rfdetr", "lightly")


def read_yolo_folders(
    directory: Path, home: Path, checked: ImageChecks, progress: Progress, trainer: str
) -> TrainerReading:
    """Read the images as one of these trainers does."""
    splits, problems = listed_images(directory, trainer, home)
    config = read_data_yaml(directory / "data.yaml")
    reading = TrainerReading("its documented rules", listed=splits, problems=problems)
    name = FOLDER_TRAINERS[trainer]
    lists = [split for split in SPLITS if str(config.get(split) or "").endswith(".txt")]
    if lists and trainer != "libreyolo":
        for split in lists:  # what it reads instead: every image of the folder, once
            splits[split] = list(dict.fromkeys(splits[split]))
        problems.append(
            f"{name} reads folders of images and never {config[lists[0]]}, in silence: no image is drawn more often. "
            f"Export with layout {'rfdetr' if trainer == 'rfdetr' else 'yolov5'}"
        )
    if not splits.get("val") and trainer in NEEDS_VAL:
        problems.append(f"data.yaml has no val split: {name} does not start without it")
    read_by_rules(reading, len(class_names(directory / "data.yaml", config)), checked, progress)
    draws = len(reading.splits.get("train", []))
    if trainer in DROPS_LAST and draws < USUAL_BATCH:
        reading.warnings.append(
            f"{name} drops an incomplete last batch: with a batch of more than {draws} images it trains on nothing"
        )
    reading.overrides = _settings(trainer, home, class_names(directory / "data.yaml", config))
    return reading


def _settings(trainer: str, home: Path, names: tuple[str, ...]) -> str:
    if trainer == "rfdetr":
        return f"rfdetr.RFDETRBase().train(dataset_dir='{home}')"
    if trainer == "lightly":
        folders = "'train': 'images/train', 'val': 'images/val'"
        return f"data = {{'path': '{home}', {folders}, 'names': {dict(enumerate(names))!r}}}"
    return f"libreyolo train data={home / 'data.yaml'}"
