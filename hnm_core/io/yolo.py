"""YOLO folders: ``data.yaml``, label files and prediction files, to the two tables."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from .classes import in_classes
from .progress import Progress, silent

__all__ = ["IMAGE_SUFFIXES", "label_file", "read_yolo", "read_yolo_truth", "split_images"]

IMAGE_SUFFIXES = frozenset(
    [".avif", ".bmp", ".dng", ".heic", ".jp2", ".jpeg", ".jpeg2000", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"]
)


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
        data: ``data.yaml``; a relative ``path:`` is looked for beside it.
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


def read_data_yaml(data: Path) -> Mapping[str, Any]:
    """The content of ``data.yaml``."""
    try:
        import yaml
    except ImportError:
        raise ImportError("reading data.yaml needs PyYAML: pip install pyyaml") from None
    try:
        content = yaml.safe_load(data.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{data} is not valid yaml: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        raise ValueError(f"{data} holds no mapping, expected train:, val: and names:")
    return content


def class_names(data: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names in label order, from a list or a mapping of numbers."""
    names = config.get("names")
    if isinstance(names, Mapping):
        if set(names) != set(range(len(names))):
            numbers = f"{', '.join(map(repr, list(names)[:5]))}{' …' if len(names) > 5 else ''}"
            raise ValueError(f"{data}: classes are numbered {numbers}, expected 0 to {len(names) - 1}")
        names = [names[i] for i in range(len(names))]
    if not names or not isinstance(names, list):
        raise ValueError(
            f"{data} has names: {names!r}, expected a list of class names, or a mapping of numbers to them"
        )
    return tuple(map(str, names))


def split_images(data: Path, split: str, config: Mapping[str, Any] | None = None) -> list[Path]:
    """The images of a split, from folders or list files, each once, sorted."""
    config = read_data_yaml(data) if config is None else config
    entries = config.get(split)
    if not entries:
        has = ", ".join(key for key in ("train", "val", "test") if config.get(key)) or "none"
        raise ValueError(f"{data} has no split {split!r}; it has {has}")
    root = Path(config.get("path") or "")
    root = root if root.is_absolute() else data.parent / root
    images: set[Path] = set()
    for entry in _listed(entries):
        images.update(_images_at(root / entry, root))
    if not images:
        where = ", ".join(str(root / entry) for entry in _listed(entries))
        raise FileNotFoundError(f"{data}: split {split!r} holds no images at {where}")
    return sorted(images, key=lambda image: image.parts)


def label_file(image: Path) -> Path:
    """Where YOLO looks for an image's labels: the last ``images`` folder of its path becomes ``labels``.

    Example:
        >>> label_file(Path("set/images/train/a.jpg")).as_posix()
        'set/labels/train/a.txt'
    """
    place, name = os.path.split(image)
    before, found, after = f"/{place}/".rpartition("/images/")
    if found:
        place = f"{before}/labels/{after}"[1:]
    return Path(place, name).with_suffix(".txt")


def _listed(entries: str | list[str]) -> list[str]:
    return [entries] if isinstance(entries, str) else entries


def _images_at(place: Path, root: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from (p for p in place.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    elif place.is_file():
        for line in place.read_text(encoding="utf-8").splitlines():
            if line.strip():
                path = Path(line.strip())
                yield path if path.is_absolute() else (place.parent if line.startswith("./") else root) / path
    else:
        raise FileNotFoundError(f"no folder or list of images at {place}")


def check_stems(images: list[Path]) -> None:
    """Refuse images of which two share a name, but for folder and suffix: their text files would be one."""
    seen: dict[str, Path] = {}
    for image in images:
        if image.stem in seen:
            raise ValueError(
                f"{seen[image.stem]} and {image} share the name {image.stem!r}, so that their prediction files cannot "
                f"be told apart"
            )
        seen[image.stem] = image


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
                texts.append((i, stream.read()))
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
