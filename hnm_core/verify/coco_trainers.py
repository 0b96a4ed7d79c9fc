"""What each trainer of COCO JSON drops or mistakes by default, and the settings with which it reads all of an export.

Sources: mmdetection 3.3.0 ``CocoDataset.filter_data``; detectron2 ``build_detection_train_loader``; RF-DETR 1.11.2
``rfdetr.datasets.coco``; D-FINE (pydfine 0.2.1) ``dfine.train.dataset``; transformers 5.24.0
``DetrImageProcessor``, ``DetrLoss``; LightlyTrain 0.18.0 ``COCOObjectDetectionDatasetArgs``; torchvision 0.29
``CocoDetection``, ``wrap_dataset_for_transforms_v2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..weighting.weights import whole_draws
from .reading import TrainerReading

__all__ = ["TrainFile", "add_defaults", "say_small", "too_thin"]

MMDET_MIN_SIZE = 32
"""Side in pixels below which the usual ``filter_cfg`` of mmdetection drops an image."""

USUAL_BATCH = 64
"""Images of a large batch (chosen): with fewer draws, a trainer that drops the last batch may train nothing."""

DROPS_LAST = {"dfine": ("D-FINE", "trains on nothing"), "lightly": ("LightlyTrain", "ends with an error")}
"""Trainers that drop an incomplete last batch, and what they do without a complete one."""

FROM_ZERO = {
    "dfine": "D-FINE takes numbers as labels, so the last class is lost",
    "transformers": "DETR takes it for no object without an error, RT-DETR and others end with IndexError",
}
"""Trainers whose labels are the class numbers, from 0; and what they do with one that is too high."""

Row = dict[str, Any]


@dataclass(frozen=True)
class TrainFile:
    """The json of the train split.

    Attributes:
        home: final folder of the export.
        file: the json, relative to it.
        root: the folder of the images, relative to it; empty for itself.
        images: its rows.
        annotations: its rows.
        categories: its rows.
    """

    home: Path
    file: str
    root: str
    images: list[Row]
    annotations: list[Row]
    categories: list[Row]

    @property
    def classes(self) -> list[str]:
        """Return the names of the classes."""
        return [category["name"] for category in self.categories]

    def without_objects(self) -> set[Any]:
        """Return the ids of the images without a box that is no crowd."""
        return {i["id"] for i in self.images} - {a["image_id"] for a in self.annotations if not a.get("iscrowd")}


def too_thin(annotation: Row) -> bool:
    """Return whether mmdetection drops the box."""
    return bool(min(annotation["bbox"][2:]) < 1 or annotation.get("area", 1) <= 0)


def add_defaults(reading: TrainerReading, trainer: str, train: TrainFile) -> None:
    """Add what the trainer drops or mistakes, and the settings that prevent it."""
    dropped: set[Any] = set()
    small = {
        image["id"]
        for image in train.images
        if min(image.get("width", MMDET_MIN_SIZE), image.get("height", MMDET_MIN_SIZE)) < MMDET_MIN_SIZE
    }
    if trainer == "mmdet":
        dropped = {i["id"] for i in train.images} - {a["image_id"] for a in train.annotations} | small
        _mmdet(reading, train)
    elif trainer == "detectron2":
        dropped = train.without_objects()
    elif trainer == "torch":
        _torch(reading, train)
    _numbers(reading, trainer, train)
    _rows(reading, trainer, train)
    reading.overrides = _settings(trainer, train)
    reading.dropped_by_default = len({i["file_name"] for i in train.images if i["id"] in dropped})
    if dropped:
        first = next(i["file_name"] for i in train.images if i["id"] in dropped)
        background = "without boxes" if dropped - small or trainer != "mmdet" else "too small"
        reading.warnings.append(
            f"{trainer} by default drops {reading.dropped_by_default} train images silently ({background}), first "
            f"{first}; the settings below keep them"
        )


def _mmdet(reading: TrainerReading, train: TrainFile) -> None:
    reading.warnings.append(
        "mmdetection keeps only boxes of the classes in metainfo, by default those of COCO: set your own"
    )
    thin = sum(map(too_thin, train.annotations))
    if thin:
        reading.warnings.append(f"{thin} boxes are less than one pixel wide or high: mmdetection drops them")


def _torch(reading: TrainerReading, train: TrainFile) -> None:
    empty = len(train.without_objects())
    if empty:
        reading.warnings.append(
            f"{empty} train images are background: torchvision's wrap_dataset_for_transforms_v2 gives them a target "
            f"without boxes and labels, so add empty ones, boxes of shape (0, 4)"
        )
    if any(category["id"] == 0 for category in train.categories):
        reading.warnings.append(
            "the first class has number 0, which torchvision's detectors take for background: add 1 to the labels, or "
            "export with first_category_id 1"
        )


def _numbers(reading: TrainerReading, trainer: str, train: TrainFile) -> None:
    """Find class numbers that a trainer without a table of numbers takes for something else."""
    count = len(train.categories)
    high = [a for a in train.annotations if a["category_id"] >= count]
    if trainer in FROM_ZERO and high:
        reading.problems.append(
            f"{len(high)} of {len(train.annotations)} train boxes have a class number above {count - 1}, first "
            f"{high[0]['category_id']} in box {high[0]['id']}: {FROM_ZERO[trainer]}; export with first_category_id 0"
        )


def _rows(reading: TrainerReading, trainer: str, train: TrainFile) -> None:
    """Find rows and lengths that some trainers do not read as others do."""
    bare = [a for a in train.annotations if "area" not in a]
    if trainer in ("rfdetr", "dfine", "transformers") and bare:
        reading.problems.append(
            f"{len(bare)} train boxes have no area, first {bare[0]['id']}: {trainer} ends with KeyError"
        )
    crowds = sum(bool(a.get("iscrowd")) for a in train.annotations)
    if trainer == "lightly" and crowds:
        reading.problems.append(
            f"{crowds} crowds become objects, since LightlyTrain does not know iscrowd: export with crowds leave_out"
        )
    say_small(reading, trainer)


def say_small(reading: TrainerReading, trainer: str) -> None:
    """Warn of a trainer that drops the last batch where it may be the only one."""
    draws = whole_draws([one.times for one in reading.splits.get("train", [])])
    if trainer in DROPS_LAST and draws < USUAL_BATCH:
        name, consequence = DROPS_LAST[trainer]
        reading.warnings.append(
            f"{name} drops an incomplete last batch: with a batch of more than {draws} images it {consequence}"
        )


def _settings(trainer: str, train: TrainFile) -> str:
    """Return the settings of a trainer, as text to copy."""
    home, file, count = train.home, train.home / train.file, len(train.categories)
    root = train.home / train.root
    if trainer == "mmdet":
        return (
            f"train_dataloader = dict(dataset=dict(\n"
            f"    type='CocoDataset', data_root='{home}', ann_file='{train.file}',\n"
            f"    data_prefix=dict(img='{train.root}'), metainfo=dict(classes={tuple(train.classes)!r}),\n"
            f"    filter_cfg=dict(filter_empty_gt=False, min_size=0)))"
        )
    if trainer == "detectron2":
        return (
            f"register_coco_instances('hnm_train', {{}}, '{file}', '{root}')\n"
            f"cfg.DATASETS.TRAIN = ('hnm_train',)\n"
            f"cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False\n"
            f"cfg.MODEL.ROI_HEADS.NUM_CLASSES = {count}"
        )
    if trainer == "torch":
        draws = whole_draws([image.get("weight", 1.0) for image in train.images])
        return (
            f"dataset = torchvision.datasets.CocoDetection('{root}', '{file}')\n"
            f"weights = [image['weight'] for image in dataset.coco.loadImgs(dataset.ids)]\n"
            f"sampler = torch.utils.data.WeightedRandomSampler(weights, num_samples={draws})\n"
            f"# torchvision's detectors: num_classes={count + 1}, labels from 1; drop_last=False keeps the last images"
        )
    if trainer == "rfdetr":
        return (
            f"rfdetr.RFDETRBase().train(dataset_dir='{home}', class_names={train.classes!r})\n"
            f"# {count} classes; RF-DETR gives them the labels 0 to {count - 1} itself, and fills up the last batch"
        )
    if trainer == "dfine":
        return (
            f"loader = dfine.train.dataset.build_coco_dataloader('{root}', '{file}', drop_last=False)\n"
            f"# num_classes={count}; labels are the category ids, 0 to {count - 1}; drop_last=True is its default"
        )
    if trainer == "transformers":
        labels = dict(enumerate(train.classes))
        return (
            f"dataset = torchvision.datasets.CocoDetection('{root}', '{file}')\n"
            f"model = AutoModelForObjectDetection.from_pretrained(\n"
            f"    CHECKPOINT, num_labels={count}, id2label={labels!r}, ignore_mismatched_sizes=True)\n"
            f"arguments = TrainingArguments(OUTPUT, dataloader_drop_last=False, remove_unused_columns=False)\n"
            f"# labels are the category ids, 0 to {count - 1}: no shift"
        )
    if trainer == "lightly":
        return (
            f"data = {{'format': 'coco', 'train': {{'annotations': '{file}', 'images': '{root}'}}, 'val': ...}}\n"
            f"# drop_last=True is its default: loader_args={{'drop_last': False}} keeps the last images"
        )
    return ""
