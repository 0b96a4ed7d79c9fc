"""The settings of an export: the form, the flags and Python read them here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..io.coco_folders import split_folder
from ..io.data_yaml import SPLITS
from ..settings import Options, option

__all__ = ["LAYOUTS", "MEDIA", "ExportSettings"]

LAYOUTS = {
    "ultralytics": "data.yaml and train.txt, in which the lines of hard images are repeated",
    "yolov5": "data.yaml and folders with copies of hard images, since YOLOv5 drops repeated lines",
    "coco": "annotations/*.json with hard images under several ids, for mmdetection, detectron2, D-FINE, transformers",
    "rfdetr": "folders train, valid and test with _annotations.coco.json, hard images under several ids, for RF-DETR",
    "torch": "annotations/*.json with a weight per image, for a weighted random sampler",
}
MEDIA = {
    "copy": "copy the images",
    "symlink": "link to the original images",
    "reference": "refer to the original images by path",
}


@dataclass(frozen=True)
class ExportSettings(Options):
    """How to export. ``ExportSettings()`` is valid: the whole train split, weighted, for Ultralytics.

    Raises:
        ValueError: if a value is none of its choices or out of range, or two contradict each other.

    Example:
        >>> ExportSettings(layout="yolov5").trainers
        ('yolov5',)
        >>> ExportSettings(layout="darknet")
        Traceback (most recent call last):
        ValueError: layout must be one of ultralytics, yolov5, coco, rfdetr, torch, got 'darknet'
    """

    layout: str = option(
        "ultralytics",
        "Files that are written, by the trainer that reads them",
        label="Layout",
        choices=LAYOUTS,
        group="files",
        main=True,
    )
    media: str = option("copy", "How the images get into the export", label="Images", choices=MEDIA, group="files")
    only_hard: bool = option(
        False,
        "Leave out the train images without hard negatives; a model trained only on the rest forgets other images",
        label="Hard images only",
        group="images",
        main=True,
    )
    easy_share: float = option(
        0.0,
        "With hard images only: also keep this share of the other images",
        label="Share of easy images",
        low=0,
        high=1,
        group="images",
    )
    crops: bool = option(
        False,
        "Add a crop around every mined mistake, with all ground-truth boxes that it touches",
        label="Crops around mistakes",
        group="images",
    )
    first_category_id: int = option(
        1,
        "Number of the first class in COCO json; D-FINE and the DETR models of transformers need 0, since they take "
        "the number after the last class for no object; torchvision's detectors need 1, since their 0 is background",
        label="First class number",
        low=0,
        high=1,
        group="files",
    )
    crowds: str = option(
        "keep",
        "What COCO json says of crowds and ignored regions",
        label="Crowds",
        choices={
            "keep": "written with iscrowd; LightlyTrain takes them for objects",
            "leave_out": "not written; see ignored_regions",
        },
        group="files",
    )
    ignored_regions: str = option(
        "keep",
        "How train images with crowds or ignored regions are exported, if the labels have no entry for regions",
        label="Ignored regions",
        choices={
            "keep": "kept as they are",
            "leave_out": "left out",
            "grey": "copied with these regions grey",
        },
        group="images",
    )

    def _check_together(self) -> None:
        if self.easy_share and not self.only_hard:
            raise ValueError("easy_share keeps easy images beside the hard ones: it needs only_hard")
        if self.layout == "yolov5" and self.media == "reference":
            raise ValueError("YOLOv5 reads no image twice, so every repeat needs a file: set media to symlink or copy")

        if self.ignored_regions == "grey" and self.media == "reference":
            raise ValueError("greyed regions need copies of the images: set media to copy or symlink")

    @property
    def trainers(self) -> tuple[str, ...]:
        """Return the trainers that must be able to read the export for it to be finished."""
        if self.layout != "coco":
            return (self.layout,)
        from_zero = ("dfine", "transformers") if self.first_category_id == 0 else ()
        return ("coco", "mmdet", "detectron2", *from_zero)

    @property
    def is_json(self) -> bool:
        """Return whether the labels are COCO json."""
        return self.layout in ("coco", "rfdetr", "torch")

    @property
    def is_roboflow(self) -> bool:
        """Return whether json and images lie in Roboflow's folders."""
        return self.layout == "rfdetr"

    @property
    def folders(self) -> Mapping[str, str]:
        """Return the folder of the images for each split."""
        return {split: split_folder(split, roboflow=self.is_roboflow) for split in SPLITS}

    @property
    def holds_crowds(self) -> bool:
        """Return whether the labels have entries for regions to ignore."""
        return self.is_json and self.crowds == "keep"
