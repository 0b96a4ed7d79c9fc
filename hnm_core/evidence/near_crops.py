"""Crops that look alike: twins of one mistake, which one answer settles, and the nearest crops to compare one with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..result import MiningResult
from ..settings.sheets import TWIN_DISTANCE
from .appearance import Crops
from .crop_classifier import MOST

__all__ = ["Described", "NearCrops", "find_twins", "near_crops", "nearest", "twins_of", "unit_vectors"]

NEAREST = 6
"""How many crops of each kind are kept beside a mistake (chosen: a row of the grid)."""

MOST_TWINS = 1_000
"""Mistakes on one picture, at most (chosen): one answer settles no more."""

COMPARED = 5_000
"""Mistakes of one kind that are compared with each other; of more, those of neighbouring images (chosen: the same
thing seen again is in the next frames)."""

BLOCK = 256
"""Mistakes that are compared with all others at once: 5 MB for 5,000."""

Pair = tuple[NDArray[np.int64], NDArray[np.int64]]


class Described(NamedTuple):
    """Descriptors of length 1 of ``k`` crops, ``(k, d)``, with class and group of each, ``(k,)``."""

    vectors: NDArray[np.floating]
    label: NDArray[np.int64]
    group: NDArray[np.int64]

    @property
    def apart(self) -> Described:
        """The same in a group that nobody else has."""
        return self._replace(group=np.full(len(self.group), -1))


@dataclass(frozen=True, eq=False)
class NearCrops:
    """What looks like the mined mistakes of a result with ``n`` predictions and ``m`` truths.

    Attributes:
        twin_of: ``(n,)`` and ``(m,)`` int64, row of the mistake on whose picture a row is shown; itself if it is alone.
        distance: ``(n,)`` and ``(m,)`` float64, cosine distance of its crop to that one; 0 if it is alone.
        rows: ``(q,)`` and ``(p,)`` int64, mined false positives and missed truths of which the nearest crops are known.
        labelled: ``(q, 6)`` and ``(p, 6)`` int64, rows of the truth: the nearest labelled objects of the class, but
            itself and its twins, nearest first; -1 where there are fewer.
        false_positives: ``(q, 6)`` and ``(p, 6)`` int64, rows of the predictions: the nearest other ones, no twins.
    """

    twin_of: Pair
    distance: tuple[NDArray[np.float64], NDArray[np.float64]]
    rows: Pair
    labelled: Pair
    false_positives: Pair


def near_crops(result: MiningResult, crops: Crops) -> NearCrops:
    """Return what looks like the mined mistakes of a result, from crops that are described already."""
    seen, known = unit_vectors(crops.seen), unit_vectors(crops.known)
    at, missed = _mined(result, crops)
    rows = crops.suspects[at], crops.labels[missed]
    twin_of, distance = twins_of(result, crops)
    false_positives = Described(seen[at], result.predictions.label[rows[0]], twin_of[0][rows[0]])
    misses = Described(known[missed], result.truth.label[rows[1]], twin_of[1][rows[1]])
    labels = Described(known, result.truth.label[crops.labels], twin_of[1][crops.labels])
    labelled = nearest(false_positives.apart, labels), nearest(misses, labels)
    others = nearest(false_positives, false_positives), nearest(misses.apart, false_positives)
    return NearCrops(
        twin_of,
        distance,
        rows,
        (_rows(crops.labels, labelled[0]), _rows(crops.labels, labelled[1])),
        (_rows(rows[0], others[0]), _rows(rows[0], others[1])),
    )


def twins_of(result: MiningResult, crops: Crops) -> tuple[Pair, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return ``twin_of`` and ``distance`` of :class:`NearCrops`, from crops that are described already."""
    at, missed = _mined(result, crops)
    twin_of = np.arange(len(result.predictions)), np.arange(len(result.truth))
    distance = np.zeros(len(result.predictions)), np.zeros(len(result.truth))
    for side, (table, some, vectors, code) in enumerate(
        (
            (result.predictions, crops.suspects[at], crops.seen[at], result.errors.prediction),
            (result.truth, crops.labels[missed], crops.known[missed], result.errors.truth),
        )
    ):
        kind = code[some].astype(np.int64) * max(len(table.classes), 1) + table.label[some]
        score = np.zeros(len(some)) if table.score is None else table.score[some]
        name = np.unique(np.array(table.images, dtype=str), return_inverse=True)[1][table.image[some]]
        order = np.lexsort((*table.xyxy[some].T[::-1], name, -score))
        leader, apart = find_twins(unit_vectors(vectors), kind, name, order)
        twin_of[side][some], distance[side][some] = some[leader], apart
    return twin_of, distance


def find_twins(
    vectors: NDArray[np.floating],
    kind: NDArray[np.int64],
    image: NDArray[np.int64],
    order: NDArray[np.int64],
    most_apart: float = TWIN_DISTANCE,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the row whose picture stands for each row, and how far it is from it.

    The first row in ``order`` that is in nobody's group stands for all that are near it, of its kind, and of other
    images: the same object is in an image once. So nobody is further than ``most_apart`` from the picture that is
    shown, however long the row of look-alikes is.

    Args:
        vectors: ``(k, d)`` descriptors of length 1; zeros, a crop without edges, are near nothing.
        kind: ``(k,)`` number of the kind.
        image: ``(k,)`` number of the image; neighbouring numbers are neighbouring images.
        order: ``(k,)`` the rows, those first that stand for others.
        most_apart: largest cosine distance, in [0, 1).

    Returns:
        ``(k,)`` row that stands for it, itself if it is alone; ``(k,)`` cosine distance to that one.

    Example:
        >>> angle = np.radians([0.0, 8.0, 16.0, 90.0])
        >>> crops = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        >>> same = np.zeros(4, dtype=int)
        >>> find_twins(crops, same, np.arange(4), np.arange(4), 0.02)[0].tolist()
        [0, 0, 2, 3]
    """
    leader, apart = np.arange(len(kind)), np.zeros(len(kind))
    place = np.empty(len(kind), dtype=np.int64)
    place[order] = np.arange(len(kind))
    for rows in _neighbourhoods(kind, image):
        rows = rows[np.argsort(place[rows])]
        some, free = vectors[rows], np.ones(len(rows), dtype=bool)
        for at in range(len(rows)):
            if at % BLOCK == 0:  # at once, since products of single rows are many times slower
                first, alike = at, some[at : at + BLOCK] @ some[at:].T
            if not free[at]:
                continue
            free[at] = False
            rest = at + 1 + np.flatnonzero(free[at + 1 :])
            away = np.round(np.clip(1.0 - alike[at - first, rest - first], 0.0, None), 6)  # sums differ by machine
            near = np.flatnonzero(away <= most_apart)
            near = near[np.sort(np.unique(image[rows[rest[near]]], return_index=True)[1])]  # once an image
            near = near[image[rows[rest[near]]] != image[rows[at]]][: MOST_TWINS - 1]
            leader[rows[rest[near]]], apart[rows[rest[near]]] = rows[at], away[near]
            free[rest[near]] = False
    return leader, apart


def nearest(some: Described, among: Described, count: int = NEAREST, seed: int = 0) -> NDArray[np.int64]:
    """Return for every row the nearest rows of its class in another table, ``(k, count)``; -1 where there are fewer.

    Args:
        some: ``k`` crops.
        among: the crops to search in; those of the same group are no neighbours.
        count: how many.
        seed: of the draw from more than 1,000 of a class.
    """
    found = np.full((len(some.label), count), -1, dtype=np.int64)
    rng = np.random.default_rng(seed)
    for each in np.unique(some.label):
        mine, other = np.flatnonzero(some.label == each), np.flatnonzero(among.label == each)
        other = np.sort(rng.permutation(other)[:MOST])
        if not len(other):
            continue
        for rows in np.array_split(mine, len(mine) // COMPARED + 1):
            away = np.round(1.0 - some.vectors[rows] @ among.vectors[other].T, 6)
            away[some.group[rows][:, None] == among.group[other]] = np.inf
            first = np.argsort(away, axis=1, kind="stable")[:, :count]
            near = np.where(np.isfinite(np.take_along_axis(away, first, axis=1)), other[first], -1)
            found[rows[:, None], np.arange(near.shape[1])] = near
    return found


def _mined(result: MiningResult, crops: Crops) -> Pair:
    """Return the places of the mined false positives among the suspects, and of the missed truths among the labels."""
    missed = result.truth_hard & result.errors.false_negative
    return np.flatnonzero(result.prediction_hard[crops.suspects]), np.flatnonzero(missed[crops.labels])


def _neighbourhoods(kind: NDArray[np.int64], image: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of every kind, of large ones in parts of neighbouring images."""
    order = np.lexsort((image, kind))
    first = np.unique(kind[order], return_index=True)[1]
    for rows in np.split(order, first[1:]):
        yield from np.array_split(rows, -(-len(rows) // COMPARED)) if len(rows) else ()


def unit_vectors(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return vectors of length 1, ``(k, d)`` float32; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    ones = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return np.asarray(ones, dtype=np.float32)


def _rows(rows: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(places >= 0, rows[places] if len(rows) else -1, -1)
