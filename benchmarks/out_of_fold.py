"""A second opinion that has not learnt these labels by heart: each half predicted by a model trained on the other."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.retraining_sets import TRAINING
from hnm_core import Detections

FOLDS, EPOCHS, SEED = 2, 3, 0
LEAST = 0.01
"""Lowest confidence of the predictions."""


def out_of_fold(truth: Detections, weights: Path, size: int) -> Detections:
    """Predictions on every image by a model that was not trained on it.

    Args:
        truth: labels to train on; its images are paths, with YOLO labels where Ultralytics looks for them.
        weights: where each fold's training starts: a model that has not seen these images.
        size: side of the images that it sees, in pixels.
    """
    from ultralytics import YOLO

    from hnm_core.training import detect

    fold = np.random.default_rng(SEED).permutation(len(truth.images)) % FOLDS
    rows: list[Any] = [None] * len(truth.images)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FOLDS):
            held = np.flatnonzero(fold == number)
            data = data_yaml(Path(folder), truth, np.flatnonzero(fold != number), f"fold-{number}")
            model = YOLO(str(weights))
            run = {"project": folder, "name": f"fold-{number}", "epochs": EPOCHS, "imgsz": size, "seed": SEED}
            model.train(data=str(data), **run, **TRAINING)
            trained = YOLO(str(Path(folder, f"fold-{number}", "weights", "last.pt")))
            files = [truth.images[i] for i in held]
            for i, boxes in zip(held, detect(trained, files, conf=LEAST, imgsz=size, device="cpu"), strict=True):
                rows[i] = boxes
    return as_predictions(rows, truth)


def as_predictions(rows: Sequence[Any], truth: Detections) -> Detections:
    """Return the predictions of a model that :func:`hnm_core.training.detect` gave, an array per image of the truth."""
    found = np.concatenate(rows).astype(np.float64)
    image = np.repeat(np.arange(len(rows)), [len(boxes) for boxes in rows])
    return Detections(image, found[:, :4], found[:, 5].astype(np.int64), found[:, 4], truth.images, truth.classes)


def data_yaml(folder: Path, truth: Detections, images: Iterable[int], name: str) -> Path:
    """``data.yaml`` of a training on some of the images."""
    listed = folder / f"{name}.txt"
    listed.write_text("".join(f"{truth.images[i]}\n" for i in images))
    data = folder / f"{name}.yaml"
    data.write_text(f"train: {listed}\nval: {listed}\nnames: {json.dumps(list(truth.classes))}\n")
    return data
