"""Make the demo's data: images, a detector's predictions, and a FiftyOne dataset of both."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fiftyone_plugin.actions.checkpoints import load
from fiftyone_plugin.actions.predict import DEFAULTS
from fiftyone_plugin.demo.digits import ARCHITECTURE as ARCHITECTURE
from fiftyone_plugin.demo.digits import WEIGHTS as WEIGHTS
from fiftyone_plugin.demo.digits import make_digits
from fiftyone_plugin.store import access
from fiftyone_plugin.store.lock import lease
from fiftyone_plugin.store.model_record import declare, record_of
from hnm_core import Detections
from hnm_core.boxes import xyxy_to_xywh
from hnm_core.io import read_yolo, write_yolo
from hnm_core.io.data_yaml import SPLITS, split_images
from hnm_core.training.detecting import detect

SIZE = 192
STAMP = "made.json"

Say = Callable[[str], None]


def prepare_digits(folder: Path, images: int, seed: int, say: Say = print) -> Path:
    """Make images, labels and the bundled detector's predictions; what exists already is not made again.

    Args:
        folder: gets ``digits/`` (a YOLO data set), ``predictions/SPLIT/labels/`` and ``made.json`` with the arguments
            that they were made with.
        images: number of images in all splits.
        seed: seed of the set.
        say: called with a text about each step.

    Returns:
        The path of ``data.yaml``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"images": images, "seed": seed, "weights": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()}
    data, stamp = folder / "digits" / "data.yaml", folder / STAMP
    if stamp.exists() and data.exists() and json.loads(stamp.read_text()) == asked:
        say(f"Digits on photographs: {images} images in {data.parent} (made before)")
        return data
    stamp.unlink(missing_ok=True)
    say(f"Making {images} images of handwritten digits on photographs; the detector looks for 3 and 7 …")
    data = make_digits(data.parent, images, seed=seed, size=SIZE)
    say(f"Predicting with the bundled detector, down to confidence {DEFAULTS.confidence} …")
    predict(data, folder / "predictions")
    stamp.write_text(json.dumps(asked) + "\n")
    return data


def predict(data: Path, into: Path) -> None:
    """Run the bundled detector on all splits and write its predictions as YOLO text files."""
    logging.getLogger("ultralytics").setLevel(logging.WARNING)
    shutil.rmtree(into, ignore_errors=True)
    for split in SPLITS:
        model, images = load(WEIGHTS), split_images(data, split)
        found = [*detect(model, images, batch=32, conf=DEFAULTS.confidence, imgsz=SIZE, device="cpu")]
        seen = [np.zeros((0, 6)) if boxes is None else boxes.astype(np.float64) for boxes in found]
        rows = np.concatenate([np.zeros((0, 6)), *seen])
        image = np.repeat(np.arange(len(images)), list(map(len, seen)))
        classes = tuple(model.names.values())
        table = Detections(image, rows[:, :4], rows[:, 5].astype(int), rows[:, 4], tuple(map(str, images)), classes)
        write_yolo(table, into / split / "labels")


def load_digits(data: Path, predictions: Path, name: str) -> Any:
    """Load the data set with its predictions as a FiftyOne dataset, splits as tags."""
    import fiftyone as fo

    dataset = fo.Dataset(name, overwrite=True)
    samples = []
    for split in SPLITS:
        found, truth = read_yolo(data, split, predictions=predictions / split / "labels")
        by_image = [_labels_by_image(table) for table in (found, truth)]
        samples += [
            fo.Sample(path, tags=[split], predictions=predicted, ground_truth=true)
            for path, predicted, true in zip(truth.images, *by_image, strict=True)
        ]
    dataset.default_classes = list(truth.classes)
    dataset.add_samples(samples, progress=False)
    known = record_of(load(WEIGHTS), WEIGHTS, DEFAULTS.confidence, SIZE)
    with lease(dataset, "field:predictions", operator="hnm demo") as held:
        declare(held, dataset, "predictions", [{**known, "samples": len(samples)}])
    access.refresh(dataset)
    return dataset


def load_quickstart(name: str) -> Any:
    """Load FiftyOne's quickstart dataset from its zoo, which downloads it the first time.

    All its samples are tagged ``validation``, and a held-out split is never weighted; in this demo they are used as
    training images, so the tag is removed.
    """
    import fiftyone.zoo as foz

    dataset = foz.load_zoo_dataset("quickstart", dataset_name=name, drop_existing_dataset=True, progress=False)
    dataset.untag_samples("validation")
    return dataset


def _labels_by_image(table: Detections) -> list[Any]:
    """Return one ``fo.Detections`` per image of the table."""
    import fiftyone as fo

    boxes = xyxy_to_xywh(table.xyxy).tolist()
    scores = [None] * len(table) if table.score is None else table.score.tolist()
    order = np.argsort(table.image, kind="stable")
    edges = np.searchsorted(table.image[order], np.arange(len(table.images) + 1))
    return [
        fo.Detections(
            detections=[
                fo.Detection(label=table.classes[table.label[row]], bounding_box=boxes[row], confidence=scores[row])
                for row in order[start:end]
            ]
        )
        for start, end in itertools.pairwise(edges)
    ]
