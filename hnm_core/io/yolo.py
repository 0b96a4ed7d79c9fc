"""YOLO folders, their label files and prediction files, to the two tables."""

from __future__ import annotations

import codecs
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from .classes import in_classes
from .data_yaml import check_stems, class_names, label_file, read_data_yaml, split_images
from .progress import Progress, silent

__all__ = ["read_yolo", "read_yolo_truth"]

FRACTION = 2
"""Coordinates beyond this are no fractions of an image: they are pixels."""

FILES_AT_ONCE = 500


def read_yolo(
    data: str | Path,
    split: str = "train",
    *,
    predictions: str | Path,
    class_map: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    progress: Progress = silent,
) -> tuple[Detections, Detections]:
    """Predictions and ground truth of one split of a YOLO data set.

    Boxes stay fractions of the image side, as YOLO writes them; images are named by their path. Polygons count as
    the box around them.

    Args:
        data: ``data.yaml``; a relative ``path:`` is looked for beside it, then in the working directory.
        split: ``train``, ``val`` or ``test``.
        predictions: folder of ``<image>.txt`` with lines ``class x y w h confidence``, as Ultralytics writes with
            ``save_txt=True, save_conf=True``; an image without a file has no predictions.
        class_map: prediction class → truth class, see :func:`~hnm_core.io.classes.in_classes`.
        classes: keep the boxes of these classes alone; None for all.
        progress: told how far reading has come.

    Returns:
        ``(predictions, truth)``, both tables over the same images and classes.

    Raises:
        ValueError: if a file is not what it should be, naming file and line.
        FileNotFoundError: if the data, the split's images or the predictions are not there.
        ImportError: if PyYAML is missing.
    """
    data, folder = Path(data), Path(predictions)
    config = read_data_yaml(data)
    images = split_images(data, split, config)
    known = class_names(data, config)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of predictions at {folder}")
    files = [folder / f"{image.stem}.txt" for image in images]
    check_stems(images)
    if not any(file.exists() for file in files):
        raise FileNotFoundError(
            f"{folder} holds no prediction file for any of the {len(images)} images of {split!r}, expected names like "
            f"{files[0].name}; predict on this split with save_txt=True, save_conf=True"
        )
    labels = [label_file(image) for image in images]
    if not any(file.exists() for file in labels):
        warnings.warn(
            f"none of the {len(images)} images of {split!r} has a label file, expected places like {labels[0]}: all "
            f"are taken for background",
            stacklevel=2,
        )
    names = tuple(map(str, images))
    found = _read_boxes(files, known, scored=True, progress=progress)
    truth = _read_boxes(labels, known, scored=False, progress=progress)
    return in_classes(
        Detections(found.image, found.xyxy, found.label, found.score, names, known),
        Detections(truth.image, truth.xyxy, truth.label, None, names, known),
        *(class_map, classes),
    )


def read_yolo_truth(images: Sequence[Path], classes: tuple[str, ...], progress: Progress = silent) -> Detections:
    """The ground truth of some images of a YOLO data set, from the label files beside them.

    Args:
        images: named by their path.
        classes: all class names of ``data.yaml``.
        progress: told how far reading has come.

    Raises:
        ValueError: if a file is not what it should be, naming file and line.
    """
    read = _read_boxes([label_file(image) for image in images], classes, scored=False, progress=progress)
    return Detections(read.image, read.xyxy, read.label, None, tuple(map(str, images)), classes)


@dataclass(frozen=True, eq=False)
class _Boxes:
    image: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    label: NDArray[np.int64]
    score: NDArray[np.float64]


def _read_boxes(files: list[Path], classes: tuple[str, ...], *, scored: bool, progress: Progress) -> _Boxes:
    """All boxes of all files; file ``i`` is that of image ``i``.

    Raises:
        ValueError: if lines cannot be read, with their number and the first one's place.
    """
    runs, broken = [np.zeros((0, 7))], []
    texts: list[tuple[int, bytes]] = []
    for i, file in enumerate(progress(files, "reading predictions" if scored else "reading labels")):
        try:
            with open(file, "rb") as stream:
                texts.append((i, stream.read().removeprefix(codecs.BOM_UTF8)))
        except FileNotFoundError:
            pass
        if len(texts) == FILES_AT_ONCE or (texts and i + 1 == len(files)):
            table = _read_regular(texts, len(classes), scored)
            if table is None:
                table, why = _read_line_by_line(texts, files, len(classes), scored)
                broken += why
            runs.append(table)
            texts = []
    if broken:
        raise ValueError(f"{len(broken)} lines cannot be read, first {broken[0]}")
    table = np.concatenate(runs)
    centre, size = table[:, 2:4], table[:, 4:6]
    return _Boxes(
        table[:, 0].astype(np.int64),
        np.concatenate([centre - size / 2, centre + size / 2], axis=1),
        table[:, 1].astype(np.int64),
        table[:, 6],
    )


def _read_regular(texts: list[tuple[int, bytes]], n_classes: int, scored: bool) -> NDArray[np.float64] | None:
    """``(n, 7)`` image, class, x, y, w, h, score of files of nothing but sound boxes; None if there is anything else.

    Many times faster than line by line, which is left to say what is wrong.
    """
    width = 5 + scored
    lines = [text.count(b"\n") + (text != b"" and not text.endswith(b"\n")) for _, text in texts]
    whole = b"\n".join(text.removesuffix(b"\n") for _, text in texts if text)
    rows = np.zeros((0, width))
    try:
        if whole.strip():
            rows = np.loadtxt(io.StringIO(whole.decode("ascii")), comments=None, ndmin=2)
    except ValueError:
        return None
    if rows.shape != (sum(lines), width):
        return None
    label, box, score = rows[:, 0], rows[:, 1:5], rows[:, 5] if scored else np.ones(len(rows))
    sound = (label >= 0) & (label < n_classes) & (label == np.floor(label)) & (score >= 0) & (score <= 1)
    sound &= (np.abs(box) <= FRACTION).all(axis=1) & (box[:, 2:] >= 0).all(axis=1)  # False for NaN
    return np.column_stack([np.repeat([i for i, _ in texts], lines), label, box, score]) if sound.all() else None


def _read_line_by_line(
    texts: list[tuple[int, bytes]], files: list[Path], n_classes: int, scored: bool
) -> tuple[NDArray[np.float64], list[str]]:
    """The same of any files: blank lines are passed over, polygons boxed; and what is wrong with which line."""
    rows: list[tuple[float, ...]] = []
    broken: list[str] = []
    for i, text in texts:
        for number, line in enumerate(text.decode("utf-8", errors="replace").splitlines(), 1):
            if not line.strip():
                continue
            row, why = _read_line(line, n_classes, scored)
            if row is None:
                broken.append(f"{files[i]}:{number}: {why}")
            else:
                rows.append((i, *row))
    return np.array(rows, dtype=np.float64).reshape(-1, 7), broken


def _read_line(line: str, n_classes: int, scored: bool) -> tuple[tuple[float, ...] | None, str]:
    """``(class, x, y, w, h, score)`` of a line, or why it has none."""
    try:
        values = [float(v) for v in line.split()]
    except ValueError:
        return None, f"not numbers: {line.strip()[:60]!r}"
    if not all(map(math.isfinite, values)):
        return None, f"NaN or infinite: {line.strip()[:60]!r}"
    shape = f"{len(values)} columns, expected class x y w h{' confidence' if scored else ''}"
    if len(values) < 5:
        return None, shape
    score = 1.0
    if scored:
        if len(values) == 5:
            return None, "no confidence in the sixth column; predict with save_conf=True"
        score = values.pop()
        if not 0 <= score <= 1:
            return None, f"confidence {score:g} outside [0, 1]"
    label, box = values[0], values[1:]
    if label != int(label) or not 0 <= label < n_classes:
        return None, f"class {label:g}, expected 0 to {n_classes - 1}: data.yaml names {n_classes} classes"
    if len(box) >= 6 and len(box) % 2 == 0:  # a polygon: the box around it
        xs, ys = box[0::2], box[1::2]
        box = [(min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)]
    if len(box) != 4:
        return None, shape
    if box[2] < 0 or box[3] < 0:
        return None, f"negative width or height: {line.strip()[:60]!r}"
    if max(map(abs, box)) > FRACTION:
        return None, f"not fractions of the image: {line.strip()[:60]!r}; are they pixels?"
    return (label, *box, score), ""
