"""Ask a detector about a folder of pictures without labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..columns import Detections
from ..io.data_yaml import folder_images
from ..io.pictures import say_left_out
from ..io.progress import Progress, silent, tracked
from .detecting import detect, load_detector

__all__ = ["predict_folder"]

CONFIDENCE = 0.05
"""Confidence down to which the detector is asked (chosen: no threshold of a mining is meant to be lower)."""


def predict_folder(weights: str | Path, folder: str | Path, progress: Progress = silent) -> Detections:
    """Return the detections of a model in every picture of a folder and its subfolders, from confidence .05.

    Args:
        weights: the checkpoint, which may run code when it is loaded.
        folder: of the pictures.
        progress: shows the progress.

    Returns:
        Boxes as fractions of the image; images are named by their resolved paths, classes as the model names them.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if it is no checkpoint of a detector.
        ImportError: if Ultralytics is missing.
    """
    for path, there in ((Path(weights), Path(weights).is_file()), (Path(folder), Path(folder).is_dir())):
        if not there:
            raise FileNotFoundError(f"there is no {path}")
    files = sorted(path.resolve() for path in folder_images(Path(folder)))
    model = load_detector(weights)
    names = tuple(str(model.names[number]) for number in sorted(model.names))
    parts = list(zip(tracked(files, "predicting", progress), detect(model, files, conf=CONFIDENCE), strict=True))
    say_left_out("pictures are left out", "they cannot be read", [str(file) for file, boxes in parts if boxes is None])
    found = [np.zeros((0, 6)) if boxes is None else boxes.astype(np.float64) for _, boxes in parts]
    rows = np.concatenate([np.zeros((0, 6)), *found])
    image = np.repeat(np.arange(len(files)), [len(each) for each in found]).astype(np.int64)
    label = rows[:, 5].astype(np.int64)
    return Detections(image, rows[:, :4], label, rows[:, 4], tuple(map(str, files)), names)
