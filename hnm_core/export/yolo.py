"""Write the layouts with label files: repeated lines in a list for Ultralytics, copies of images for YOLOv5."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..columns import Detections
from ..io.data_yaml import SPLITS, label_file
from .images import NamedImage
from .media import put_image
from .regions import Greys, is_region
from .settings import ExportSettings

__all__ = ["same_labels", "write_yolo_layout"]

SAME = 1e-3
"""Tolerance between an existing label and the exported one, as fraction of the image side."""


def write_yolo_layout(
    root: Path,
    home: Path,
    images: Iterable[NamedImage],
    all_images: Sequence[NamedImage],
    truth: Detections,
    settings: ExportSettings,
    greys: Greys | None = None,
) -> None:
    """Write images, label files and lists, then ``data.yaml``.

    Args:
        root: where to write.
        home: the final folder of the export.
        images: all images, wrapped to show the progress.
        all_images: the same images.
        truth: boxes as fractions of the image, clipped to the image.
        settings: layout and media.
        greys: what is greyed in each image.
    """
    lines = label_lines(all_images, truth)
    if settings.media == "reference":
        _check_labels_beside(all_images, lines)
    for kind in ("images", "labels"):
        for split in {one.image.split for one in all_images}:
            (root / kind / split).mkdir(parents=True)
    copies = settings.layout == "yolov5"
    for one, text in zip(images, lines, strict=True):
        put_image(root, one, settings.media, copies=copies, greys=greys)
        if not Path(one.path).is_absolute():
            for name in (one.path, *(one.copies() if copies else ())):
                label_file(root / name).write_text(text, encoding="utf-8")
    _write_data_yaml(root, home, all_images, truth.classes, settings)


def label_lines(images: Sequence[NamedImage], truth: Detections) -> list[str]:
    """Return the text of the label file of every image; crowds and ignored regions are left out."""
    kept = np.flatnonzero(~is_region(truth))
    kept = kept[np.argsort(truth.image[kept], kind="stable")]
    xyxy = truth.xyxy[kept]
    rows = np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], axis=1).tolist()
    labels = truth.label[kept].tolist()
    text = [f"{c} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for c, (x, y, w, h) in zip(labels, rows, strict=True)]
    edges = np.searchsorted(truth.image[kept], np.arange(len(truth.images) + 1)).tolist()
    number = {name: i for i, name in enumerate(truth.images)}
    at = [number[one.image.sample_id] for one in images]
    return ["".join(text[edges[i] : edges[i + 1]]) for i in at]


def _check_labels_beside(images: Sequence[NamedImage], lines: Sequence[str]) -> None:
    """Check that the label files of the originals are equal to the export, since trainers read them."""
    other = []
    for one, text in zip(images, lines, strict=True):
        if Path(one.path).is_absolute():
            beside = label_file(Path(one.path))
            if not beside.is_file() or not same_labels(beside.read_text(encoding="utf-8"), text):
                other.append(beside)
    if other:
        raise ValueError(
            f"{len(other)} of {len(images)} originals have a missing or different label file, first {other[0]}. YOLO "
            f"reads the labels beside the original images, so use media symlink"
        )


def same_labels(one: str, other: str) -> bool:
    """Return whether two label files contain the same boxes, in any order."""
    try:
        mine, theirs = (
            [np.array(line.split(), dtype=float) for line in text.splitlines() if line.strip()] for text in (one, other)
        )
    except ValueError:
        return False
    for row in mine:
        near = [i for i, its in enumerate(theirs) if its.shape == row.shape and np.abs(its - row).max() <= SAME]
        if not near:
            return False
        del theirs[min(near, key=lambda i: np.abs(theirs[i] - row).max())]
    return not theirs


def _write_data_yaml(
    root: Path, home: Path, images: Sequence[NamedImage], classes: Iterable[str], settings: ExportSettings
) -> None:
    """Write ``data.yaml``: without ``path:`` for Ultralytics, so that the export can be moved; YOLOv5 needs it."""
    has = [split for split in SPLITS if any(one.image.split == split for one in images)]
    copies, referred = settings.layout == "yolov5", settings.media == "reference"
    lines = [f"path: {json.dumps(str(home), ensure_ascii=False)}"] if copies else []
    for split in SPLITS:
        if split not in has:
            lines += ["val:"] if split == "val" else []
        elif referred or (split == "train" and not copies):
            _write_list(root / f"{split}.txt", [one for one in images if one.image.split == split])
            lines.append(f"{split}: {split}.txt")
        else:
            lines.append(f"{split}: images/{split}")
    lines += ["names:", *(f"  {i}: {json.dumps(name, ensure_ascii=False)}" for i, name in enumerate(classes))]
    (root / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_list(path: Path, images: Sequence[NamedImage]) -> None:
    names = [one.path if Path(one.path).is_absolute() else f"./{one.path}" for one in images]
    broken = [name for name in names if name.splitlines() != [name]]
    if broken:
        raise ValueError(
            f"{len(broken)} of {len(images)} originals have a break of lines in their path, first {broken[0]!r}: a "
            f"list has one path a line. Set media to copy or symlink"
        )
    text = "".join(f"{name}\n" * one.image.repeats for name, one in zip(names, images, strict=True))
    path.write_text(text, encoding="utf-8")
