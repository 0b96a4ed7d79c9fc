"""Draw label errors of known kind into a set of photographs, so that judgement can be measured where answers are known.

Every label draws one fate at most: it is lost (``missing``), gets another class (``class``) or another box (``box``).
Beside each label, by a draw of its own, a label of the same class and size is put where nothing is (``bogus``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections
from hnm_core.boxes import overlapping
from hnm_core.io import write_yolo
from hnm_core.io.data_yaml import class_names, read_data_yaml, split_images
from hnm_core.io.yolo import read_yolo_truth

__all__ = ["KINDS", "Noise", "NoisyLabels", "add_label_noise", "draw_label_errors", "read_noisy"]

KINDS = ("right", "missing", "class", "box", "bogus")
RIGHT, MISSING, CLASS, BOX, BOGUS = range(5)

TRIES = 200
MOVED_IOU = (0.3, 0.7)
"""IoU of a moved box with the true one: an error, and still about this object. From .5 on it matches, and is hidden."""

EMPTY_IOU = 0.05
"""Largest IoU of a bogus label with any true box of its image."""

SHIFT, SCALE = 0.5, (0.6, 1.6)
"""A moved box is shifted by up to this share of its sides, and each side scaled by a factor in this range."""


@dataclass(frozen=True)
class Noise:
    """Shares of the labels that are drawn into errors; for ``bogus`` labels added per label."""

    missing: float = 0.2
    wrong_class: float = 0.05
    box: float = 0.1
    bogus: float = 0.05


@dataclass(frozen=True, eq=False)
class NoisyLabels:
    """Labels with errors, and what is true of each.

    Attributes:
        table: the noisy labels, ``m`` rows.
        kind: ``(m,)`` int8, index in :data:`KINDS`; never ``missing``.
        of: ``(m,)`` int64, row of the true label that it was made from; -1 for a bogus one.
        truth: the true labels.
    """

    table: Detections
    kind: NDArray[np.int8]
    of: NDArray[np.int64]
    truth: Detections


def draw_label_errors(truth: Detections, noise: Noise, seed: int) -> NoisyLabels:
    """Draw errors into labels.

    Args:
        truth: true labels as fractions of their images.
        noise: how many of each kind.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    edges = np.cumsum([noise.missing, noise.wrong_class, noise.box])
    fates = np.array([MISSING, CLASS, BOX, RIGHT], dtype=np.int8)
    fate = fates[np.searchsorted(edges, rng.random(len(truth)), side="right")]
    beside = rng.random(len(truth)) < noise.bogus
    label, boxes = truth.label.copy(), truth.xyxy.copy()
    if len(truth.classes) > 1:
        swapped = fate == CLASS
        label[swapped] = (label[swapped] + rng.integers(1, len(truth.classes), swapped.sum())) % len(truth.classes)
    else:
        fate[fate == CLASS] = RIGHT
    for row in np.flatnonzero(fate == BOX).tolist():
        new = _moved(rng, truth.xyxy[row])
        fate[row] = BOX if new is not None else RIGHT
        boxes[row] = truth.xyxy[row] if new is None else new
    extra, empty = [], []
    for row in np.flatnonzero(beside).tolist():
        new = _empty(rng, truth.xyxy[row], truth.xyxy[truth.image == truth.image[row]])
        if new is not None:
            extra.append(row)
            empty.append(new)
    kept = np.flatnonzero(fate != MISSING)
    added = np.array(extra, dtype=np.int64)
    rows = np.concatenate([kept, added])
    table = Detections(
        truth.image[rows],
        np.concatenate([boxes[kept], np.reshape(empty, (-1, 4))]),
        np.concatenate([label[kept], truth.label[added]]),
        None,
        truth.images,
        truth.classes,
    )
    kind = np.concatenate([fate[kept], np.full(len(added), BOGUS, dtype=np.int8)])
    return NoisyLabels(table, kind, np.concatenate([kept, np.full(len(added), -1)]), truth)


def add_label_noise(
    data: Path,
    folder: Path,
    noise: Noise,
    seed: int,
    most: int | None = None,
    splits: Sequence[str] = ("train",),
) -> Path:
    """Write a train split with label errors, of images of a YOLO set, and return its ``data.yaml``.

    Args:
        data: ``data.yaml`` of the set with the true labels.
        folder: a new folder; images in it are links.
        noise: how many errors of each kind.
        seed: of the draws.
        most: use that many images, drawn at random; None for all.
        splits: of the set, whose images are used.
    """
    true, pictures = _true_labels(data, seed, most, splits)
    noisy = draw_label_errors(true, noise, seed)
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    for picture in pictures:
        (folder / "images" / "train" / picture.name).symlink_to(picture.resolve())
    write_yolo(noisy.table, folder / "labels" / "train")
    answers = {"data": str(data.resolve()), "seed": seed, "most": most, "splits": list(splits), "noise": vars(noise)}
    (folder / "answers.json").write_text(json.dumps(answers))
    lines = [f"path: {json.dumps(str(folder.resolve()))}", "train: images/train", "val: images/train"]
    lines.append(f"names: {json.dumps(list(true.classes))}")
    (folder / "data.yaml").write_text("\n".join([*lines, ""]))
    return folder / "data.yaml"


def read_noisy(folder: Path) -> NoisyLabels:
    """Return what :func:`add_label_noise` drew there; images are named by their files in that folder."""
    said = json.loads((folder / "answers.json").read_text())
    true, pictures = _true_labels(Path(said["data"]), said["seed"], said["most"], said["splits"])
    names = tuple(str(folder / "images" / "train" / picture.name) for picture in pictures)
    true = Detections(true.image, true.xyxy, true.label, None, names, true.classes)
    return draw_label_errors(true, Noise(**said["noise"]), said["seed"])


def _true_labels(data: Path, seed: int, most: int | None, splits: Sequence[str]) -> tuple[Detections, list[Path]]:
    """Return the true labels of the images that are used, without boxes that can't count, and these images."""
    config = read_data_yaml(data)
    pictures = [picture for split in splits for picture in split_images(data, split, config)]
    if most is not None:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(pictures))[:most])
        pictures = [pictures[i] for i in chosen.tolist()]
    table = read_yolo_truth(pictures, class_names(data, config))
    rows = np.column_stack([table.image, table.label, table.xyxy])
    first = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    return table.take(first[(table.xyxy[first, 2:] > table.xyxy[first, :2]).all(axis=1)]), pictures


def _moved(rng: np.random.Generator, box: NDArray[np.float64]) -> NDArray[np.float64] | None:
    side = box[2:] - box[:2]
    for _ in range(TRIES):
        centre = (box[:2] + box[2:]) / 2 + rng.uniform(-SHIFT, SHIFT, 2) * side
        half = side * rng.uniform(*SCALE, 2) / 2
        new: NDArray[np.float64] = np.clip(np.concatenate([centre - half, centre + half]), 0.0, 1.0)
        if MOVED_IOU[0] <= _largest_iou(new, box[None]) <= MOVED_IOU[1]:
            return new
    return None


def _empty(
    rng: np.random.Generator, like: NDArray[np.float64], boxes: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    side = like[2:] - like[:2]
    if (side >= 1.0).any():
        return None
    for _ in range(TRIES):
        corner = rng.uniform(0.0, 1.0 - side)
        new = np.concatenate([corner, corner + side])
        if _largest_iou(new, boxes) < EMPTY_IOU:
            return new
    return None


def _largest_iou(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> float:
    pairs = np.zeros(len(boxes), dtype=np.int64), np.arange(len(boxes))
    return float(overlapping(box[None], boxes, *pairs)[2].max(initial=0.0))
