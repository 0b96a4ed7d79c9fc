"""Pool the mistakes of an image to one image score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["RANK_SHARES", "ImageScores", "PooledScores", "object_shares", "pool_images"]

RANK_SHARES = np.array([4.0, 2.0, 1.0]) / 7.0
"""Shares of the hardest, second and third hardest object in their image's score."""


@dataclass(frozen=True, eq=False)
class PooledScores:
    """Two scores of every image, and the part of each mined object in them.

    Attributes:
        image: ``(k,)`` image number of each object.
        parts: ``(k,)`` its part of the score of its image.
        alarm_parts: ``(k,)`` its part of the alarm score of its image; 0 for all but false positives.
        missed: ``(k,)`` bool, false negatives of whatever type.
        scores: ``(images,)`` in ``[0, 1]``, s: pooled over all mined objects.
        alarm_scores: ``(images,)`` in ``[0, 1]``, f: pooled over the false positives alone.
    """

    image: NDArray[np.int64]
    parts: NDArray[np.float64]
    alarm_parts: NDArray[np.float64]
    missed: NDArray[np.bool_]
    scores: NDArray[np.float64]
    alarm_scores: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        image: NDArray[np.int64],
        difficulty: NDArray[np.float64],
        false_positive: NDArray[np.bool_],
        missed: NDArray[np.bool_],
        n_images: int,
    ) -> PooledScores:
        """Pool objects with an effective difficulty, ``(k,)``, to the scores of ``n_images`` images.

        Example:
            >>> found, missed = np.array([True, False]), np.array([False, True])
            >>> pooled = PooledScores.of(np.array([0, 0]), np.array([0.7, 0.35]), found, missed, 1)
            >>> pooled.scores.round(2).tolist(), pooled.alarm_scores.round(2).tolist()
            ([0.5], [0.4])
        """
        every = np.arange(len(image))
        (parts, scores), (alarm_parts, alarm_scores) = (
            _pooled(image, difficulty, rows, n_images) for rows in (every, np.flatnonzero(false_positive))
        )
        return cls(image, parts, alarm_parts, missed, scores, alarm_scores)

    @property
    def missed_scores(self) -> NDArray[np.float64]:
        """``(images,)`` the part of each score that misses make."""
        return _added(self.image, np.where(self.missed, self.parts, 0.0), len(self.scores))


@dataclass(frozen=True, eq=False)
class ImageScores:
    """The scores of every image without the objects behind them, ``(images,)`` each; see :class:`PooledScores`."""

    scores: NDArray[np.float64]
    alarm_scores: NDArray[np.float64]
    missed_scores: NDArray[np.float64]


def pool_images(image: NDArray[np.int64], difficulty: NDArray[np.float64], n_images: int) -> NDArray[np.float64]:
    """Return the score of every image: (4 e1 + 2 e2 + e3) / 7 over its three hardest objects, missing ones 0.

    Chosen because it is monotone (fixing an error never raises the score), has few ties, and does not grow with the
    number of objects.

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
    return _pooled(image, difficulty, np.arange(len(image)), n_images)[1]


def object_shares(image: NDArray[np.int64], difficulty: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each object's part of its image score: 4/7, 2/7 or 1/7 of its difficulty, 0 from the fourth hardest on.

    The extra weight of an image is attributed to its objects in this proportion; of equal ones the earlier rows come
    first.

    Example:
        >>> object_shares(np.array([0, 0, 0, 0]), np.array([0.7, 0.1, 0.35, 0.35])).round(2).tolist()
        [0.4, 0.0, 0.1, 0.05]
    """
    return _pooled(image, difficulty, np.arange(len(image)), int(image.max(initial=-1)) + 1)[0]


def _pooled(
    image: NDArray[np.int64], difficulty: NDArray[np.float64], rows: NDArray[np.int64], n_images: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each object's part, ``(k,)``, and the scores, ``(n_images,)``, pooled over some rows in ascending order.

    The hardest object of every image is looked up, then taken out, three times: no row is sorted. Parts are added the
    largest first, since another order could change the last bit, and equal images would not be tied.
    """
    parts, scores = np.zeros(len(image)), np.zeros(n_images)
    left = rows[difficulty[rows] > 0]
    for share in RANK_SHARES:
        of, value = image[left], difficulty[left]
        most, first = np.zeros(n_images), np.full(n_images, -1)
        np.maximum.at(most, of, value)
        hardest = np.flatnonzero(value == most[of])[::-1]
        first[of[hardest]] = left[hardest]  # of several for one image the last one written counts: the earliest row
        there = np.flatnonzero(first >= 0)
        parts[first[there]] = share * difficulty[first[there]]
        scores[there] += parts[first[there]]
        left = left[first[of] != left]
    return parts, scores


def _added(image: NDArray[np.int64], parts: NDArray[np.float64], n_images: int) -> NDArray[np.float64]:
    """Return the sum of parts of objects, ``(k,)``, per image, the largest first."""
    some = np.flatnonzero(parts)
    order = some[np.argsort(-parts[some])]
    return np.asarray(np.bincount(image[order], parts[order], minlength=n_images), dtype=np.float64)
