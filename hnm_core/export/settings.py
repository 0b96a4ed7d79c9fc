"""Every knob of exporting, once: the form, the command line and Python read it here."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

__all__ = ["LAYOUTS", "MEDIA", "ExportSettings"]

LAYOUTS = {
    "ultralytics": "data.yaml and train.txt, in which hard images stand more often",
    "yolov5": "data.yaml and folders with copies of hard images, for YOLOv5 drops repeated lines",
    "coco": "annotations/*.json, hard images under several ids, for mmdetection and detectron2",
    "torch": "annotations/*.json with a weight for every image, for a weighted random sampler",
}
MEDIA = {
    "copy": "copy the images",
    "symlink": "link to the originals",
    "reference": "name the originals where they lie",
}


def _knob(default: Any, label: str, help: str, **facts: Any) -> Any:
    return field(default=default, metadata={"label": label, "help": help, **facts})


@dataclass(frozen=True)
class ExportSettings:
    """How to export. ``ExportSettings()`` is valid: the whole train split, weighted, for Ultralytics.

    Raises:
        ValueError: if a value is none of its choices or out of range, or two do not go together.

    Example:
        >>> ExportSettings(layout="yolov5").trainers
        ('yolov5',)
        >>> ExportSettings(layout="darknet")
        Traceback (most recent call last):
        ValueError: layout must be one of ultralytics, yolov5, coco, torch, got 'darknet'
    """

    layout: str = _knob("ultralytics", "Layout", "Who reads it", choices=LAYOUTS, main=True)
    media: str = _knob("copy", "Images", "How the images get into the export", choices=MEDIA)
    only_hard: bool = _knob(
        False,
        "Hard images only",
        "Leave out the images without hard negatives; training on these alone forgets the rest",
        main=True,
    )
    easy_share: float = _knob(
        0.0, "Share of easy images", "With hard images only: keep this share of the others too", low=0, high=1
    )
    crops: bool = _knob(
        False, "Crops around mistakes", "Add a crop around every mistake, with all the truths that it touches"
    )

    def __post_init__(self) -> None:
        """Check every field against its own metadata."""
        for knob in fields(self):
            value, facts = getattr(self, knob.name), knob.metadata
            if "choices" in facts and value not in facts["choices"]:
                raise ValueError(f"{knob.name} must be one of {', '.join(facts['choices'])}, got {value!r}")
            if isinstance(knob.default, bool) and value not in (True, False):
                raise ValueError(f"{knob.name} must be True or False, got {value!r}")
            if "low" in facts and not (isinstance(value, (int, float)) and facts["low"] <= value <= facts["high"]):
                raise ValueError(f"{knob.name} must lie in [{facts['low']}, {facts['high']}], got {value!r}")
        if self.easy_share and not self.only_hard:
            raise ValueError("easy_share keeps easy images beside the hard ones: it needs only_hard")
        if self.layout == "yolov5" and self.media == "reference":
            raise ValueError(
                "YOLOv5 reads no image twice, so that every repeat needs a file: take media symlink or copy"
            )

    @property
    def trainers(self) -> tuple[str, ...]:
        """Who must be able to read the export for it to be finished."""
        return ("coco", "mmdet", "detectron2") if self.layout == "coco" else (self.layout,)

    @property
    def holds_crowds(self) -> bool:
        """Whether the layout has a place for regions to ignore."""
        return self.layout in ("coco", "torch")
