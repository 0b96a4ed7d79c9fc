"""Load a detector, and run it on image files, batch by batch."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BATCH", "detect", "load_detector", "read_images"]

BATCH = 16

LONGEST = 200
"""Characters of Ultralytics' errors that are told: some list all that it knows."""

TASKS = ("detect", "segment", "pose")
"""Ultralytics' tasks whose results contain axis-parallel boxes."""


def load_detector(path: str | Path) -> Any:
    """Load the model of a checkpoint.

    Raises:
        ValueError: if it is no checkpoint, or one for another task.
        ImportError: if Ultralytics is missing.
    """
    try:
        from ultralytics import YOLO
    except ImportError:
        raise ImportError("predicting needs Ultralytics; install it with: pip install ultralytics") from None
    try:
        model = YOLO(str(path))
        if isinstance(model.model, str):  # what is no .pt is opened only when it is asked for the first time
            model.predict(np.zeros((32, 32, 3), dtype=np.uint8), verbose=False)
    except Exception as error:  # torch, pickle and zip raise different types
        why = re.sub(r"^ERROR\W*", "", " ".join(str(error).split())).partition(" Recommended fixes")[0]
        said = textwrap.shorten(why, LONGEST, placeholder=" …")
        raise ValueError(f"Ultralytics cannot load {path} as a checkpoint: {said}") from None
    if model.task not in TASKS:
        raise ValueError(
            f"{path} is a model for the task {model.task!r}; mining needs boxes, so use one for {', '.join(TASKS)}"
        )
    return model


def detect(
    model: Any, files: Sequence[str | Path], *, batch: int = BATCH, **options: Any
) -> Iterator[NDArray[np.float32] | None]:
    """Yield the detections of a model in each image, in order; images are read in parallel.

    Args:
        model: an Ultralytics model, or an object with such a ``predict``.
        files: paths of images.
        batch: number of images per batch.
        options: of Ultralytics' ``predict``, such as ``conf``, ``imgsz`` and ``device``.

    Yields:
        ``(n, 6)`` float32 per image: ``x0 y0 x1 y1`` as fractions of the image, confidence and class number, most
        confident first; None if the image cannot be read.
    """
    for images in read_images(files, batch):
        readable = [image for image in images if image is not None]
        results = iter(model.predict(readable, batch=batch, verbose=False, **options) if readable else ())
        yield from (None if image is None else _boxes(next(results).boxes) for image in images)


def read_images(files: Sequence[str | Path], batch: int = BATCH) -> Iterator[list[NDArray[np.uint8] | None]]:
    """Yield images as Ultralytics reads them, ``batch`` at a time, while the next ones are read; None if one can't be.

    Args:
        files: paths of images.
        batch: number of images at once.
    """
    from ultralytics.utils.patches import imread

    batches = [files[start : start + batch] for start in range(0, len(files), batch)]
    with ThreadPoolExecutor(4) as readers:
        coming = [readers.submit(imread, str(file)) for file in (batches[0] if batches else ())]
        for following in itertools.chain(batches[1:], [()]):
            images = [image.result() for image in coming]
            coming = [readers.submit(imread, str(file)) for file in following]
            if images:
                yield images


def _boxes(found: Any) -> NDArray[np.float32]:
    found = found.cpu().numpy()
    return np.column_stack([found.xyxyn, found.conf, found.cls]).astype(np.float32).reshape(-1, 6)
