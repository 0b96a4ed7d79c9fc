"""Run the loaders of trainers of COCO JSON, where they are installed, and count the boxes that they learn from.

Pictures are not decoded: what a loader makes of the annotations depends on the size of the picture alone. Only the
parts of the loaders that convert annotations run, on the rows of the json as their own ``pycocotools`` reads them.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

__all__ = ["load_boxes"]

Row = dict[str, Any]
Convert = Callable[[Row, list[Row]], int]


def load_boxes(trainer: str, root: Path, file: Path) -> tuple[Mapping[Any, int], str] | None:
    """Return the number of boxes per image id as the trainer's own loader reads a json, and the loader's name.

    None if the trainer or a package that it needs is not installed, or cannot be run: its parts have other names in
    some versions, and importing it may fail in many ways.

    Args:
        trainer: name of the trainer.
        root: folder of the images.
        file: the json.
    """
    known = LOADERS.get(trainer)
    if (
        known is None
        or find_spec("torch") is None
        or any(find_spec(name) is None for name in (known[0], "pycocotools"))
    ):
        return None
    package, distribution, open_loader = known
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            name, rows, convert = open_loader(root, file)
            images, of_image = rows.imgs, rows.imgToAnns
            boxes = {key: convert(image, of_image.get(key, [])) for key, image in images.items()}
        except Exception:  # of others' code: then the rules are used, and the result says so
            return None
    try:
        number = version(distribution)
    except PackageNotFoundError:
        number = str(getattr(import_module(package), "__version__", "of unknown version"))
    return boxes, f"its own {name}, {distribution} {number}"


def _picture(image: Row) -> Any:
    """Return what a converter asks of a picture: its size."""
    return SimpleNamespace(size=(image["width"], image["height"]))


def _target(image: Row, rows: list[Row]) -> Row:
    return {"image_id": image["id"], "image_path": image["file_name"], "annotations": rows}


def _torchvision(root: Path, file: Path) -> tuple[str, Any, Convert]:
    dataset = import_module("torchvision.datasets").CocoDetection(str(root), str(file))
    return "CocoDetection", dataset.coco, lambda image, rows: sum(not row.get("iscrowd") for row in rows)


def _rfdetr(root: Path, file: Path) -> tuple[str, Any, Convert]:
    kind = import_module("rfdetr.datasets.coco").CocoDetection
    dataset = kind(root, file, transforms=None, remap_category_ids=True)
    return (
        "CocoDetection",
        dataset.coco,
        lambda i, rows: len(dataset.prepare(_picture(i), _target(i, rows))[1]["boxes"]),
    )


def _dfine(root: Path, file: Path) -> tuple[str, Any, Convert]:
    dataset = import_module("dfine.train.dataset").CocoDetection(str(root), str(file))
    return "CocoDetection", dataset.coco, lambda i, rows: len(dataset._prepare(_picture(i), _target(i, rows))["boxes"])


def _transformers(root: Path, file: Path) -> tuple[str, Any, Convert]:
    import numpy as np

    dataset = import_module("torchvision.datasets").CocoDetection(str(root), str(file))
    processor = import_module("transformers").DetrImageProcessor(
        do_resize=False, do_rescale=False, do_normalize=False, do_pad=False
    )

    def convert(image: Row, rows: list[Row]) -> int:
        blank = np.zeros((image["height"], image["width"], 3), dtype=np.uint8)
        read = processor(images=[blank], annotations=[_target(image, rows)], input_data_format="channels_last")
        return len(read["labels"][0]["class_labels"])

    return "DetrImageProcessor", dataset.coco, convert


LOADERS: dict[str, tuple[str, str, Callable[[Path, Path], tuple[str, Any, Convert]]]] = {
    "torch": ("torchvision", "torchvision", _torchvision),
    "rfdetr": ("rfdetr", "rfdetr", _rfdetr),
    "dfine": ("dfine", "pydfine", _dfine),
    "transformers": ("transformers", "transformers", _transformers),
}
"""Package, distribution and opener of the loader, by trainer."""
