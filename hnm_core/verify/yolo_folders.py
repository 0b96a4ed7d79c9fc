"""Read YOLO folders as RF-DETR, LightlyTrain and LibreYOLO do: with their loaders if they are installed, or by rules.

Sources: RF-DETR 1.11.2 ``rfdetr.datasets.yolo``; LightlyTrain 0.18.0 ``YOLOObjectDetectionDataArgs``; LibreYOLO
1.6.0 ``libreyolo.data``. The first two read folders and no list; the third reads ``train.txt``, and repeated lines
survive. All read an image without a label file as background.
"""

from __future__ import annotations

from pathlib import Path

from ..io.data_yaml import SPLITS, class_names, read_data_yaml
from ..io.progress import Progress
from .coco_trainers import say_small
from .loaders import load_folders
from .pixels import ImageChecks
from .reading import TrainerReading
from .yolo import Fault, listed_images, read_by_rules

__all__ = ["FOLDER_TRAINERS", "read_yolo_folders"]

FOLDER_TRAINERS = {"rfdetr": "RF-DETR", "lightly": "LightlyTrain", "libreyolo": "LibreYOLO"}
"""Trainers that read ``data.yaml``, besides Ultralytics and YOLOv5."""

NEEDS_VAL = ("rfdetr", "lightly")

LEFT_OUT = "LibreYOLO leaves these boxes out"
FAULTS = {
    "rfdetr": {Fault.OUTSIDE: "RF-DETR clips these boxes"},
    "lightly": {
        Fault.CLASS: "LightlyTrain leaves these boxes out",
        Fault.OUTSIDE: "LightlyTrain does not clip these boxes",
    },
    "libreyolo": {
        Fault.NUMBERS: LEFT_OUT,
        Fault.COLUMNS: LEFT_OUT,
        Fault.CLASS: LEFT_OUT,
        Fault.OUTSIDE: "LibreYOLO clips these boxes",
    },
}
"""What a trainer does about a fault of a label file; about any other, it ends with an error."""


def read_yolo_folders(
    directory: Path, home: Path, checked: ImageChecks, progress: Progress, trainer: str
) -> TrainerReading:
    """Read the images as one of these trainers does."""
    splits, problems = listed_images(directory, trainer, home)
    config = read_data_yaml(directory / "data.yaml")
    names = class_names(directory / "data.yaml", config)
    reading = TrainerReading("its documented rules", listed=splits, problems=problems)
    name = FOLDER_TRAINERS[trainer]
    lists = [split for split in SPLITS if str(config.get(split) or "").endswith(".txt")]
    if lists and trainer == "rfdetr":
        for split in lists:
            splits[split] = []
        problems.append(
            f"{name} reads folders of images and not {config[lists[0]]}: it ends with FileNotFoundError. Export with "
            f"layout rfdetr"
        )
    elif lists and trainer == "lightly":
        for split in lists:  # what it reads if it is given the folder instead: every image, once
            splits[split] = list(dict.fromkeys(splits[split]))
        problems.append(
            f"{name} reads folders of images and refuses {config[lists[0]]}: from the folder no image is drawn more "
            f"often. Export with layout yolov5"
        )
    if not config.get("val") and trainer in NEEDS_VAL:
        problems.append(f"data.yaml has no val split: {name} does not start without it")
    ends = dict.fromkeys(Fault, f"{name} ends with an error")
    read_by_rules(reading, len(names), checked, progress, {**ends, **FAULTS[trainer]})
    places = {split: str(config[split]) for split in SPLITS if config.get(split)}
    loaded = None if problems else load_folders(trainer, directory, places, names)
    if loaded:
        reading.splits, reading.read_with = loaded
    say_small(reading, trainer)
    reading.overrides = _settings(trainer, home, names)
    return reading


def _settings(trainer: str, home: Path, names: tuple[str, ...]) -> str:
    if trainer == "rfdetr":
        return f"rfdetr.RFDETRBase().train(dataset_dir='{home}')"
    if trainer == "lightly":
        folders = "'train': 'images/train', 'val': 'images/val'"
        return f"data = {{'path': '{home}', {folders}, 'names': {dict(enumerate(names))!r}}}"
    return f"libreyolo train data={home / 'data.yaml'}"
