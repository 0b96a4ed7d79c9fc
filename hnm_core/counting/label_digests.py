"""Tell whether the labels of an image are those of another round, from one number per image."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ..boxes import MIX, row_digests
from ..columns import Detections

__all__ = ["counted_labels", "label_digests"]


def label_digests(truth: Detections) -> NDArray[np.uint64]:
    """Return ``(images,)`` uint64, equal for images with the same labels, whatever their order and class numbers.

    What does not count as a label, see :func:`counted_labels`, makes no difference.

    Example:
        >>> one = Detections([0, 0], [[0, 0, 9, 9], [5, 5, 8, 8]], [0, 1], None, ["a"], ["cat", "dog"])
        >>> two = Detections([0, 0], [[5, 5, 8, 8], [0, 0, 9, 9]], [0, 1], None, ["a"], ["dog", "cat"])
        >>> (label_digests(one) == label_digests(two)).tolist()
        [True]
    """
    rows = np.flatnonzero(counted_labels(truth))
    names = [sha256(name.encode("utf-8", "surrogatepass")).digest()[:8] for name in truth.classes]
    of_class = np.frombuffer(b"".join(names), dtype="<u8").astype(np.uint64)[truth.label[rows]]
    mixed = row_digests([of_class, *(truth.xyxy[rows].T + 0.0)])  # + 0.0 so that -0.0 is 0.0
    digests = np.zeros(len(truth.images), dtype=np.uint64)
    np.add.at(digests, truth.image[rows], mixed * MIX)
    return digests


def counted_labels(truth: Detections) -> NDArray[np.bool_]:
    """Return ``(m,)`` bool, the labels that are compared: as in mining, not those without size, nor exact copies."""
    counts: NDArray[np.bool_] = (truth.xyxy[:, 2:] > truth.xyxy[:, :2]).all(axis=1) & ~truth.repeated()
    return counts
