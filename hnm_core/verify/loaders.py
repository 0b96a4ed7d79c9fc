"""Run the loaders of trainers, where they are installed, and count the boxes that they learn from.

Pictures are not decoded: what a loader makes of the annotations depends on the size of the picture alone. Of COCO JSON
only the parts that convert annotations run, on the rows as the trainer itself reads them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..io.data_yaml import label_file
from .reading import DrawnImage

__all__ = ["load_boxes", "load_folders", "offline"]

Row = dict[str, Any]
Boxes = Mapping[Any, int]
Entries = dict[str, list[DrawnImage]]

OFFLINE = {"YOLO_OFFLINE": "true", "NO_ALBUMENTATIONS_UPDATE": "1"}
"""What keeps Ultralytics from looking up host names, and albumentations PyPI, as they are imported."""


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Keep imported trainers from asking the network; the environment is then as before."""
    before = {name: os.environ.get(name) for name in OFFLINE}
    os.environ.update(OFFLINE)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _own_pycocotools() -> Iterator[None]:
    """Put ``pycocotools`` back, in whose place faster-coco-eval puts itself for all when D-FINE's data set is made."""

    def held() -> dict[str, Any]:
        return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "pycocotools"}

    for name in ("pycocotools.coco", "pycocotools.cocoeval", "pycocotools.mask"):
        import_module(name)
    before = held()
    try:
        yield
    finally:
        for name in held().keys() - before.keys():
            del sys.modules[name]
        sys.modules.update(before)


def load_boxes(trainer: str, root: Path, file: Path) -> tuple[Boxes, str] | None:
    """Return the number of boxes per image id as the trainer's own loader reads a json, and the loader's name.

    None if the trainer or a package that it needs is not installed, or cannot be run: its parts have other names in
    some versions, and importing it may fail in many ways.

    Args:
        trainer: name of the trainer.
        root: folder of the images.
        file: the json.
    """
    return _run(LOADERS.get(trainer), root, file)


def load_folders(
    trainer: str, directory: Path, places: Mapping[str, str], names: tuple[str, ...]
) -> tuple[Entries, str] | None:
    """Return the entries of each split as the trainer's own loader reads YOLO folders, and the loader's name.

    None as for :func:`load_boxes`.

    Args:
        trainer: name of the trainer.
        directory: folder of the export.
        places: the folder or list of each split, relative to it.
        names: the classes.
    """
    return _run(FOLDER_LOADERS.get(trainer), directory, places, names)


def _run(known: tuple[str, str, Callable[..., tuple[str, Any]]] | None, *given: Any) -> tuple[Any, str] | None:
    if known is None or any(find_spec(name) is None for name in ("torch", "pycocotools", known[0])):
        return None
    package, distribution, load = known
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), offline(), _own_pycocotools():
            warnings.simplefilter("ignore")
            name, found = load(*given)
    except Exception:  # of others' code: then the rules are used, and the result says so
        return None
    try:
        number = version(distribution)
    except PackageNotFoundError:
        number = str(getattr(import_module(package), "__version__", "of unknown version"))
    return found, f"its own {name}, {distribution} {number}"


def _count(coco: Any, convert: Callable[[Row, list[Row]], int]) -> Boxes:
    return {key: convert(image, coco.imgToAnns.get(key, [])) for key, image in coco.imgs.items()}


def _picture(image: Row) -> Any:
    """Return what a converter asks of a picture: its size."""
    return SimpleNamespace(size=(image["width"], image["height"]))


def _target(image: Row, rows: list[Row]) -> Row:
    return {"image_id": image["id"], "image_path": image["file_name"], "annotations": rows}


def _torchvision(root: Path, file: Path) -> tuple[str, Boxes]:
    dataset = import_module("torchvision.datasets").CocoDetection(str(root), str(file))
    return "CocoDetection", _count(dataset.coco, lambda _, rows: sum(not row.get("iscrowd") for row in rows))


def _rfdetr(root: Path, file: Path) -> tuple[str, Boxes]:
    kind = import_module("rfdetr.datasets.coco").CocoDetection
    dataset = kind(root, file, transforms=None, remap_category_ids=True)
    return "CocoDetection", _count(
        dataset.coco, lambda i, rows: len(dataset.prepare(_picture(i), _target(i, rows))[1]["boxes"])
    )


def _dfine(root: Path, file: Path) -> tuple[str, Boxes]:
    dataset = import_module("dfine.train.dataset").CocoDetection(str(root), str(file))
    return "CocoDetection", _count(
        dataset.coco, lambda i, rows: len(dataset._prepare(_picture(i), _target(i, rows))["boxes"])
    )


def _transformers(root: Path, file: Path) -> tuple[str, Boxes]:
    import numpy as np

    dataset = import_module("torchvision.datasets").CocoDetection(str(root), str(file))
    processor = import_module("transformers").DetrImageProcessor(
        do_resize=False, do_rescale=False, do_normalize=False, do_pad=False
    )

    def convert(image: Row, rows: list[Row]) -> int:
        blank = np.zeros((image["height"], image["width"], 3), dtype=np.uint8)
        read = processor(images=[blank], annotations=[_target(image, rows)], input_data_format="channels_last")
        return len(read["labels"][0]["class_labels"])

    return "DetrImageProcessor", _count(dataset.coco, convert)


def _lightly(root: Path, file: Path) -> tuple[str, Boxes]:
    kind = import_module("lightly_train._data.coco_object_detection_dataset").COCOObjectDetectionDataArgs
    split = {"annotations": str(file), "images": str(root)}
    listed = kind(train=split, val=split).get_train_args().list_image_info()  # in the order of the json
    images = json.loads(file.read_text(encoding="utf-8"))["images"]
    boxes = {image["id"]: len(json.loads(row["bboxes"])) for image, row in zip(images, listed, strict=True)}
    return "COCOObjectDetectionDataArgs", boxes


def _rfdetr_folders(directory: Path, places: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, Entries]:
    kind = import_module("rfdetr.datasets.yolo").YoloDetection
    found = {}
    for split, place in places.items():
        images = directory / place
        coco = kind(str(images), str(label_file(images / "any.txt").parent), str(directory / "data.yaml")).coco
        found[split] = [
            DrawnImage(images / Path(image["file_name"]).name, len(coco.imgToAnns.get(key, [])))
            for key, image in coco.imgs.items()
        ]
    return "YoloDetection", found


def _lightly_folders(directory: Path, places: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, Entries]:
    kind = import_module("lightly_train._data.yolo_object_detection_dataset").YOLOObjectDetectionDataArgs
    found = {}
    for split, place in places.items():
        read = kind(path=str(directory), train=place, val=place, names=dict(enumerate(names))).get_train_args()
        found[split] = [
            DrawnImage(Path(row["image_path"]), len(json.loads(row["bboxes"]))) for row in read.list_image_info()
        ]
    return "YOLOObjectDetectionDataArgs", found


def _libreyolo_folders(directory: Path, places: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, Entries]:
    kind = import_module("libreyolo.data.dataset").YOLODataset
    list_images = import_module("libreyolo.data.utils").get_img_files
    found = {}
    for split, place in places.items():
        images = list_images(directory / place)
        dataset = kind(img_files=images, num_classes=len(names), img_size=(32, 32))
        found[split] = [DrawnImage(path, len(row[0])) for path, row in zip(images, dataset.annotations, strict=True)]
    return "YOLODataset", found


Loaders = dict[str, tuple[str, str, Callable[..., tuple[str, Any]]]]

LOADERS: Loaders = {
    "torch": ("torchvision", "torchvision", _torchvision),
    "rfdetr": ("rfdetr", "rfdetr", _rfdetr),
    "dfine": ("dfine", "pydfine", _dfine),
    "transformers": ("transformers", "transformers", _transformers),
    "lightly": ("lightly_train", "lightly-train", _lightly),
}
"""Package, distribution and loader of COCO JSON, by trainer."""

FOLDER_LOADERS: Loaders = {
    "rfdetr": ("rfdetr", "rfdetr", _rfdetr_folders),
    "lightly": ("lightly_train", "lightly-train", _lightly_folders),
    "libreyolo": ("libreyolo", "libreyolo", _libreyolo_folders),
}
"""The same of YOLO folders."""
