"""Carry gated boxes through the transforms of Ultralytics: as instances of a negative class, beside the labels.

So they are moved, cut, mixed and pasted as labels are, whatever the transforms do. They are taken out right before the
labels are formatted, and go to the loss as ``batch["gates"]``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..boxes import overlapping
from .gates import Gates

__all__ = ["EVERY_CLASS", "Carried", "TakeOut", "collate_gates"]

EVERY_CLASS = -1
"""Class of a gate in a batch that acts on all classes."""

SAME_BOX = 0.9
"""IoU from which a label is the box that is to be ignored (chosen: label files round)."""

COLUMNS = 6
"""Of a gate in an image: class, factor, and centre, width and height as fractions."""


class _OfImage(NamedTuple):
    """What is added to one image: classes ``(k, 1)`` and boxes ``(k, 4)``, and the codes of labels, by their rows."""

    cls: NDArray[np.float32]
    xywh: NDArray[np.float32]
    rows: NDArray[np.int64]
    codes: NDArray[np.float32]


class Carried:
    """The gates of a data set of Ultralytics, ready to be carried.

    A carried box has the class ``-1 - i``, where ``i`` is its row in :attr:`table`: exact in float32 for 16 million.

    Args:
        gates: which boxes.
        labels: of the data set: ``im_file``, ``cls`` (n, 1), ``bboxes`` (n, 4) and ``segments``.

    Attributes:
        table: ``(k, 2)`` float32, class (:data:`EVERY_CLASS` for all) and factor of every box.
        found: number of labels that are carried instead of being objects.
    """

    def __init__(self, gates: Gates, labels: Sequence[Mapping[str, Any]]) -> None:
        of_class = np.where(gates.every_class, EVERY_CLASS, gates.label)
        self.table = np.stack([of_class, gates.factor], axis=1).astype(np.float32)
        self.polygons = any(len(label["segments"]) for label in labels)
        self.found = 0
        self._images: dict[str, _OfImage] = {}
        known = {label["im_file"]: label for label in labels}
        for name, rows in _by_image(gates).items():
            if name in known:
                self._images[name] = self._of_image(gates, rows, known[name])

    def add_to(self, label: dict[str, Any]) -> dict[str, Any]:
        """Return the label of an image, as Ultralytics reads it, with what is carried."""
        more = self._images.get(label["im_file"])
        if more is None:
            return label
        cls = label["cls"].astype(np.float32)
        cls[more.rows, 0] = more.codes
        label["cls"] = np.concatenate([cls, more.cls])
        label["bboxes"] = np.concatenate([label["bboxes"], more.xywh])
        if self.polygons:
            label["segments"] = [*label["segments"], *_corners(more.xywh)]
        return label

    def _of_image(self, gates: Gates, rows: NDArray[np.int64], label: Mapping[str, Any]) -> _OfImage:
        xyxy = np.clip(gates.xyxy[rows], 0.0, 1.0)
        fine = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
        rows, xyxy = rows[fine], xyxy[fine]
        taken, codes = _labels_replaced(gates, rows, xyxy, label)
        self.found += len(taken)
        added = ~np.isin(rows, codes)
        rows, xyxy = rows[added], xyxy[added]
        cls = np.where(gates.is_label[rows], gates.label[rows], -1.0 - rows)
        xywh = np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], axis=1)
        return _OfImage(
            cls.astype(np.float32)[:, None], xywh.astype(np.float32), taken, (-1.0 - codes).astype(np.float32)
        )


class TakeOut:
    """Transform that takes the carried boxes out of the instances of an image, into ``gates``.

    Args:
        dataset: has the :class:`Carried` gates, or None, as ``carried``.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Return the labels with ``gates``, ``(k, 6)`` float32: class, factor, centre, width and height."""
        instances, code = labels["instances"], labels["cls"][:, 0]
        out = code < 0
        found = np.zeros((0, COLUMNS), dtype=np.float32)
        if out.any():
            height, width = labels["img"].shape[:2]
            carried = instances[out]
            carried.convert_bbox(format="xywh")
            carried.normalize(width, height)
            rows = (-1 - code[out]).round().astype(np.int64)
            found = np.concatenate([self.dataset.carried.table[rows], carried.bboxes], axis=1).astype(np.float32)
            labels["instances"], labels["cls"] = instances[~out], labels["cls"][~out]
        labels["gates"] = torch.from_numpy(found)
        return labels


def collate_gates(images: Sequence[dict[str, Any]]) -> torch.Tensor:
    """Take the gates out of the images of a batch; return them with the image's number in front, ``(k, 7)``."""
    found = [image.pop("gates", torch.zeros((0, COLUMNS))) for image in images]
    return torch.cat([torch.cat([torch.full((len(g), 1), float(i)), g], dim=1) for i, g in enumerate(found)])


def _by_image(gates: Gates) -> dict[str, NDArray[np.int64]]:
    rows: dict[int, list[int]] = defaultdict(list)
    for row, image in enumerate(gates.image.tolist()):
        rows[image].append(row)
    return {gates.images[image]: np.array(found, dtype=np.int64) for image, found in rows.items()}


def _labels_replaced(
    gates: Gates, rows: NDArray[np.int64], xyxy: NDArray[np.float64], label: Mapping[str, Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the labels that are to be ignored, and the row of the gate of each."""
    asking = np.flatnonzero(gates.replaces[rows])
    boxes = np.asarray(label["bboxes"], dtype=np.float64).reshape(-1, 4)
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    pairs = np.repeat(asking, len(corners)), np.tile(np.arange(len(corners)), len(asking))
    one, other, iou = overlapping(xyxy, np.clip(corners, 0.0, 1.0), *pairs)
    same = (iou >= SAME_BOX) & (gates.label[rows[one]] == np.asarray(label["cls"])[:, 0][other])
    order = np.argsort(-iou[same], kind="stable")
    one, other = one[same][order], other[same][order]
    first = np.unique(other, return_index=True)[1]
    return other[first], rows[one[first]]


def _corners(xywh: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return boxes as polygons, ``(4, 2)`` each."""
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float32) / 2
    return [box[:2] + signs * box[2:] for box in xywh]
