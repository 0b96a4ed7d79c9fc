"""Describe crops by their edges: histograms of oriented gradients (Dalal and Triggs, 2005), of many crops at once."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["EDGES", "SIDE", "edge_features"]

SIDE = 64
"""Side of a crop in pixels."""

CELL, BLOCK, DIRECTIONS = 8, 2, 9
"""Pixels on a side of a cell, cells on a side of a block, directions (from 0 to 180 degrees) of a histogram."""

CELLS = SIDE // CELL
BLOCKS = CELLS - BLOCK + 1

EDGES = BLOCKS * BLOCKS * BLOCK * BLOCK * DIRECTIONS
"""Length of a descriptor."""

LARGEST, LEAST = 0.2, 1e-5
"""Where a block of length 1 is clipped, and what keeps a block without edges from division by zero."""

AT_ONCE = 4
"""Crops that are described together: 128 KB an array; memory of larger ones is new each time, and twice as slow."""

WHITE = 3 * 255.0
"""The three colours of a white pixel, added up."""


def edge_features(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute histograms of oriented gradients, ``(k, 1764)`` float64.

    They are those of ``skimage.feature.hog`` for the mean of the colours, but for its sums in single precision, in a
    small part of its time: it walks the blocks of a crop one by one. OpenCV's differ, and OpenCV 5 has none.

    Args:
        crops: ``(k, 64, 64, 3)`` uint8.

    Example:
        >>> ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], (64, 1, 3))
        >>> edge_features(ramp[None])[0, :9].round(2).tolist()
        [0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    found = np.empty((len(crops), EDGES))
    for first in range(0, len(crops), AT_ONCE):
        cells = _histograms(crops[first : first + AT_ONCE])
        blocks = sliding_window_view(cells, (BLOCK, BLOCK), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
        blocks = blocks.reshape(-1, BLOCK * BLOCK * DIRECTIONS)
        clipped = np.minimum(_of_length_one(blocks), LARGEST)
        found[first : first + AT_ONCE] = _of_length_one(clipped).reshape(-1, EDGES)
    return found


def _histograms(crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how strong the edges of each direction are in each cell, ``(k, 8, 8, 9)``."""
    grey = np.add(crops[..., 0], crops[..., 1], dtype=np.int16) + crops[..., 2]
    down, right = np.zeros(grey.shape), np.zeros(grey.shape)
    np.subtract(grey[:, 2:], grey[:, :-2], out=down[:, 1:-1])
    np.subtract(grey[:, :, 2:], grey[:, :, :-2], out=right[:, :, 1:-1])
    # From -9 to 9; down and up are one direction, as are right and left, so that three turns of nine are added up.
    direction = np.floor(np.arctan2(down, right) / (np.pi / DIRECTIONS)).astype(np.intp)
    at = np.arange(SIDE) // CELL
    cell = (np.arange(len(crops))[:, None, None] * CELLS + at[:, None]) * CELLS + at
    place = (cell * 3 + 1) * DIRECTIONS + direction
    length = np.sqrt(down * down + right * right)
    size = len(crops) * CELLS * CELLS * 3 * DIRECTIONS
    sums = np.bincount(place.ravel(), length.ravel(), size).reshape(len(crops), CELLS, CELLS, 3, DIRECTIONS)
    return np.asarray(sums.sum(axis=3) / (CELL * CELL * WHITE), dtype=np.float64)


def _of_length_one(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(blocks / np.sqrt((blocks * blocks).sum(axis=1, keepdims=True) + LEAST**2), dtype=np.float64)
