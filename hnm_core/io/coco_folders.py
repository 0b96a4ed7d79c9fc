"""Where COCO json and its images lie in a folder: one folder of annotations, or Roboflow's folder for each split."""

from __future__ import annotations

from pathlib import Path

from .data_yaml import SPLITS

__all__ = ["annotation_file", "image_root", "is_roboflow", "split_folder"]

ROBOFLOW = {"train": "train", "val": "valid", "test": "test"}
"""Roboflow's names of the splits, which RF-DETR expects (``rfdetr.datasets.coco.build_roboflow_from_coco``)."""


def split_folder(split: str, *, roboflow: bool) -> str:
    """Return the folder of the images of a split, relative to the data set.

    Example:
        >>> split_folder("val", roboflow=True), split_folder("val", roboflow=False)
        ('valid', 'images/val')
    """
    return ROBOFLOW[split] if roboflow else f"images/{split}"


def annotation_file(split: str, *, roboflow: bool) -> str:
    """Return the json of a split, relative to the data set.

    Example:
        >>> annotation_file("val", roboflow=True), annotation_file("val", roboflow=False)
        ('valid/_annotations.coco.json', 'annotations/val.json')
    """
    return f"{ROBOFLOW[split]}/_annotations.coco.json" if roboflow else f"annotations/{split}.json"


def image_root(split: str, *, roboflow: bool) -> str:
    """Return the folder, relative to the data set, that the file names in the json are relative to."""
    return ROBOFLOW[split] if roboflow else ""


def is_roboflow(directory: Path) -> bool:
    """Return whether a folder has a json in one of Roboflow's folders."""
    return any((directory / annotation_file(split, roboflow=True)).is_file() for split in SPLITS)
