"""Pool the mistakes of an image to one image score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["RANK_SHARES", "ImageScores", "PooledScores", "Pools", "object_shares", "pool_images"]

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
        missed_scores: ``(images,)`` the part of s that misses make; empty where only parts are asked for.
    """

    image: NDArray[np.int64]
    parts: NDArray[np.float64]
    alarm_parts: NDArray[np.float64]
    missed: NDArray[np.bool_]
    scores: NDArray[np.float64]
    alarm_scores: NDArray[np.float64]
    missed_scores: NDArray[np.float64]

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
        return Pools(image, false_positive, missed, n_images).pool(difficulty)


@dataclass(frozen=True, eq=False)
class ImageScores:
    """The scores of every image without the objects behind them, ``(images,)`` each; see :class:`PooledScores`."""

    scores: NDArray[np.float64]
    alarm_scores: NDArray[np.float64]
    missed_scores: NDArray[np.float64]


class Pools:
    """Mined objects by image: sorted once, pooled again and again as their effective difficulties change.

    Args:
        image: ``(k,)`` image number of each object.
        false_positive: ``(k,)`` bool.
        missed: ``(k,)`` bool, false negatives of whatever type.
        n_images: number of images, those without objects included.
    """

    def __init__(
        self, image: NDArray[np.int64], false_positive: NDArray[np.bool_], missed: NDArray[np.bool_], n_images: int
    ) -> None:
        self._image, self._missed = image, missed
        self._order = np.argsort(image, kind="stable")
        self._missed_in_order = missed[self._order]
        self._alarms = np.flatnonzero(false_positive[self._order])
        of = image[self._order]
        self._segments = _Segments(of, n_images), _Segments(of[self._alarms], n_images)

    def pool(self, difficulty: NDArray[np.float64]) -> PooledScores:
        """Return the scores, and the parts of the objects, at effective difficulties ``(k,)``."""
        parts, alarm_parts = np.zeros((2, len(self._image)))
        found = self._scores(difficulty, parts, alarm_parts)
        return PooledScores(
            self._image, parts, alarm_parts, self._missed, found.scores, found.alarm_scores, found.missed_scores
        )

    def score(self, difficulty: NDArray[np.float64]) -> ImageScores:
        """Return the scores alone, at effective difficulties ``(k,)``; 0 leaves an object out."""
        return self._scores(difficulty)

    def _scores(
        self,
        difficulty: NDArray[np.float64],
        parts: NDArray[np.float64] | None = None,
        alarm_parts: NDArray[np.float64] | None = None,
    ) -> ImageScores:
        value = np.fmax(difficulty[self._order], 0.0)  # NaN is not above 0
        alarms = value[self._alarms]
        into = None if parts is None else (parts, self._order)
        of_alarms = None if alarm_parts is None else (alarm_parts, self._order[self._alarms])
        scores, missed_scores = self._segments[0].pooled(value, into, self._missed_in_order)
        return ImageScores(scores, self._segments[1].pooled(alarms, of_alarms)[0], missed_scores)


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
    none = np.zeros(len(image), dtype=bool)
    return Pools(image, none, none, n_images).score(difficulty).scores


def object_shares(image: NDArray[np.int64], difficulty: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each object's part of its image score: 4/7, 2/7 or 1/7 of its difficulty, 0 from the fourth hardest on.

    The extra weight of an image is attributed to its objects in this proportion; of equal ones the earlier rows come
    first.

    Example:
        >>> object_shares(np.array([0, 0, 0, 0]), np.array([0.7, 0.1, 0.35, 0.35])).round(2).tolist()
        [0.4, 0.0, 0.1, 0.05]
    """
    none = np.zeros(len(image), dtype=bool)
    return Pools(image, none, none, int(image.max(initial=-1)) + 1).pool(difficulty).parts


class _Segments:
    """Objects whose images ascend.

    Args:
        image: ``(k,)`` image number of each object, ascending.
        n_images: number of images.
    """

    def __init__(self, image: NDArray[np.int64], n_images: int) -> None:
        self._starts = np.flatnonzero(np.diff(image, prepend=-1))
        self._images, self._n_images = image[self._starts], n_images
        self._segment = np.repeat(np.arange(len(self._starts)), np.diff(self._starts, append=len(image)))

    def pooled(
        self,
        value: NDArray[np.float64],
        into: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None,
        missed: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the scores of the images, and what of them the missed objects make, ``(n_images,)`` each.

        The hardest object of every image is looked up, then taken out, three times: nothing is sorted. Parts are added
        the largest first, since another order could change the last bit, and equal images would not be tied.

        Args:
            value: ``(k,)`` effective difficulties, 0 or more; what is taken out becomes 0 in it.
            into: zeros to which the parts of the objects are added, and their places there, ``(k,)``; None adds none.
            missed: ``(k,)`` bool; None for none.
        """
        sums, of_missed = np.zeros((2, len(self._starts)))
        for share in RANK_SHARES if len(value) else ():
            most = np.maximum.reduceat(value, self._starts)
            at = np.flatnonzero(value == most[self._segment])
            first = at[np.flatnonzero(np.diff(self._segment[at], prepend=-1))]  # of equals the earliest
            part = share * most
            sums += part
            if into is not None:
                into[0][into[1][first]] += part  # 0 where all are taken
            if missed is not None:
                of_missed += part * missed[first]
            value[first] = 0.0
        scores, missed_scores = np.zeros((2, self._n_images))
        scores[self._images], missed_scores[self._images] = sums, of_missed
        return scores, missed_scores
