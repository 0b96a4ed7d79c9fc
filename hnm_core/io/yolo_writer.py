"""Write a table as YOLO text files, one per image, which :func:`~hnm_core.io.yolo.read_yolo` reads."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ..boxes import FRACTION_LIMIT
from ..columns import DIFFICULT, OBJECT, Detections
from .data_yaml import check_stems
from .records import rows_by_image

__all__ = ["write_yolo"]


def write_yolo(table: Detections, folder: str | Path, size: ArrayLike = (1.0, 1.0)) -> Path:
    """Write ``<image>.txt`` for every image: ``class x y w h``, and for predictions the confidence.

    An image without boxes gets an empty file, which means background.

    Args:
        table: truths or predictions.
        folder: created if it does not exist.
        size: width and height of all images, or ``(images, 2)`` of each, to convert pixels to fractions; by default
            boxes are fractions.

    Returns:
        The folder.

    Raises:
        ValueError: if two images have the same name, or boxes are not fractions of the image.
        FileExistsError: if one of the files exists; then nothing is written.
    """
    folder = Path(folder)
    check_stems([Path(name) for name in table.images])
    files = [folder / f"{Path(name).stem}.txt" for name in table.images]
    taken = [file for file in files if file.exists()]
    if taken:
        raise FileExistsError(f"{len(taken)} of {len(files)} files exist already, first {taken[0]}")
    sizes = np.broadcast_to(np.asarray(size, dtype=np.float64), (len(files), 2))
    boxes = table.xyxy / np.tile(sizes[table.image], 2)
    centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    boxes = np.concatenate([centre, side], axis=1)
    beyond = np.flatnonzero((np.abs(boxes) > FRACTION_LIMIT).any(axis=1))
    if beyond.size:
        raise ValueError(
            f"{beyond.size} of {len(table)} boxes are not fractions of the image, first at row {beyond[0]}: "
            f"{table.xyxy[beyond[0]].tolist()}; are they pixels? Then give size=(width, height)"
        )
    regions = ~np.isin(table.kinds(), (OBJECT, DIFFICULT))
    if regions.any():
        warnings.warn(f"{regions.sum()} crowd regions are not written, because the YOLO format has none", stacklevel=2)
        boxes, table = boxes[~regions], table.take(~regions)
    score = [] if table.score is None else [table.score.tolist()]
    lines = [" ".join(map(repr, row)) for row in zip(table.label.tolist(), *boxes.T.tolist(), *score, strict=True)]
    folder.mkdir(parents=True, exist_ok=True)
    for file, rows in zip(files, rows_by_image(table), strict=True):
        file.write_text("".join(f"{lines[row]}\n" for row in rows), encoding="utf-8")
    return folder
