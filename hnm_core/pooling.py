"""From the mistakes of an image to one score for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["RANK_SHARES", "add_shares", "object_shares", "pool_images"]

RANK_SHARES = np.array([4.0, 2.0, 1.0]) / 7.0
"""Shares of the hardest, second and third hardest object in their image's score."""


def pool_images(image: NDArray[np.int64], difficulty: NDArray[np.float64], n_images: int) -> NDArray[np.float64]:
    """Score of every image: (4 e1 + 2 e2 + e3) / 7 over its three hardest objects, absent ones 0.

    Monotone (fixing an error never makes an image harder), few ties, and a crowd does not win by number (chosen).

    Args:
        image: ``(k,)`` image number of each object.
        difficulty: ``(k,)`` its effective difficulty in ``[0, 1]``.
        n_images: number of images, those without objects included.

    Returns:
        ``(n_images,)`` float64 in ``[0, 1]``.

    Example:
        >>> pool_images(np.array([0, 0, 2]), np.array([0.7, 0.7, 0.35]), 3).round(2).tolist()
        [0.6, 0.0, 0.2]
    """
    return add_shares(image, object_shares(image, difficulty), n_images)


def add_shares(image: NDArray[np.int64], shares: NDArray[np.float64], n_images: int) -> NDArray[np.float64]:
    """The image scores that the shares of ``(k,)`` objects add up to, ``(n_images,)``.

    Largest first: added in another order they may differ in the last bit, and equal images would not be tied.
    """
    order = np.argsort(-shares)
    return np.asarray(np.bincount(image[order], shares[order], minlength=n_images), dtype=np.float64)


def object_shares(image: NDArray[np.int64], difficulty: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each object adds to its image's score: 4/7, 2/7 or 1/7 of its difficulty, 0 from the fourth hardest on.

    An image's extra weight belongs to its objects in proportion to this.

    Example:
        >>> object_shares(np.array([0, 0, 0, 0]), np.array([0.7, 0.1, 0.35, 0.35])).round(2).tolist()
        [0.4, 0.0, 0.1, 0.05]
    """
    order = np.lexsort((-difficulty, image))
    image = image[order]
    rank = np.arange(len(image)) - np.searchsorted(image, image)
    shares = np.zeros(len(image))
    top = np.flatnonzero(rank < len(RANK_SHARES))
    shares[order[top]] = RANK_SHARES[rank[top]] * difficulty[order[top]]
    return shares
