"""What a model sees in files of images, batch by batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BATCH", "detect"]

BATCH = 16


def detect(
    model: Any, files: Sequence[str | Path], *, batch: int = BATCH, **options: Any
) -> Iterator[NDArray[np.float32] | None]:
    """What a model sees in each image, in order; the next images are read while it looks.

    Args:
        model: an Ultralytics model, or what has a ``predict`` like it.
        files: paths of images.
        batch: images at once.
        options: of Ultralytics' ``predict``, such as ``conf``, ``imgsz`` and ``device``.

    Yields:
        ``(n, 6)`` float32 per image, ``x0 y0 x1 y1`` as fractions of its sides, confidence and number of the class,
        surest first; None if the image can't be read.
    """
    from ultralytics.utils.patches import imread

    batches = [files[start : start + batch] for start in range(0, len(files), batch)]
    with ThreadPoolExecutor(4) as readers:
        coming = [readers.submit(imread, str(file)) for file in (batches[0] if batches else ())]
        for following in itertools.chain(batches[1:], [()]):
            images = [image.result() for image in coming]
            coming = [readers.submit(imread, str(file)) for file in following]
            readable = [image for image in images if image is not None]
            results = iter(model.predict(readable, batch=batch, verbose=False, **options) if readable else ())
            yield from (None if image is None else _boxes(next(results).boxes) for image in images)


def _boxes(found: Any) -> NDArray[np.float32]:
    found = found.cpu().numpy()
    return np.column_stack([found.xyxyn, found.conf, found.cls]).astype(np.float32).reshape(-1, 6)
