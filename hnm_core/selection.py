"""Which mistakes are mined: the hardest, within the cap and the quotas."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Detections
from .settings import MiningSettings
from .strategies import Difficulty
from .taxonomy import LOCALIZATION, Errors

__all__ = ["Candidates", "cap_of", "groups_by_similarity", "number_groups", "select_hardest"]

SIMILARITIES_AT_ONCE = 4_000_000
"""Pairs of images per block of similarities: 32 MB."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The rows of both tables that have a difficulty above 0, as columns of one table.

    Attributes:
        of_truth: ``(k,)`` bool, rows of the truth; the others are of the predictions.
        row: ``(k,)`` int64, row in its table.
        image: ``(k,)`` int64, number of its image.
        label: ``(k,)`` int64, number of its class.
        code: ``(k,)`` int8, its name in :data:`~hnm_core.taxonomy.ROW_NAMES`.
        difficulty: ``(k,)`` float64 in ``(0, 1]``.
        score: ``(k,)`` float64, confidence; 0 for truths.
        xyxy: ``(k, 4)`` float64.
    """

    of_truth: NDArray[np.bool_]
    row: NDArray[np.int64]
    image: NDArray[np.int64]
    label: NDArray[np.int64]
    code: NDArray[np.int8]
    difficulty: NDArray[np.float64]
    score: NDArray[np.float64]
    xyxy: NDArray[np.float64]

    @classmethod
    def of(cls, predictions: Detections, truth: Detections, errors: Errors, difficulty: Difficulty) -> Candidates:
        """The candidates of two tables, predictions first."""
        with np.errstate(invalid="ignore"):
            rows = np.flatnonzero(difficulty.prediction > 0), np.flatnonzero(difficulty.truth > 0)
        assert predictions.score is not None  # matching saw to it

        def both(prediction: NDArray[Any], true: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([prediction[rows[0]], true[rows[1]]])

        return cls(
            of_truth=np.repeat([False, True], [len(rows[0]), len(rows[1])]),
            row=np.concatenate(rows),
            image=both(predictions.image, truth.image),
            label=both(predictions.label, truth.label),
            code=both(errors.prediction, errors.truth),
            difficulty=both(difficulty.prediction, difficulty.truth),
            score=np.concatenate([predictions.score[rows[0]], np.zeros(len(rows[1]))]),
            xyxy=both(predictions.xyxy, truth.xyxy),
        )

    def __len__(self) -> int:
        """The number of candidates."""
        return len(self.row)

    def take(self, rows: NDArray[np.int64]) -> Candidates:
        """Some of the candidates."""
        return Candidates(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def masks(self, n: int, m: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which of ``n`` prediction rows and ``m`` truth rows these are."""
        prediction, truth = np.zeros(n, dtype=bool), np.zeros(m, dtype=bool)
        prediction[self.row[~self.of_truth]] = True
        truth[self.row[self.of_truth]] = True
        return prediction, truth


def cap_of(errors: Errors, share: float) -> int:
    """How many objects may be mined: max(1, ⌈ρ · (confident predictions + false negatives)⌉)."""
    among = int(errors.confident.sum()) + int(errors.false_negative.sum())
    return max(1, math.ceil(round(share * among, 9)))


def select_hardest(
    candidates: Candidates,
    cap: int,
    settings: MiningSettings,
    image_place: NDArray[np.int64],
    group: NDArray[np.int64] | None = None,
) -> tuple[Candidates, tuple[str, ...]]:
    """The hardest candidates within quotas and cap; of equals false positives first, then score, image key, box.

    Quotas come before the cap, one after the other: per image, per group, per class. Each keeps the hardest of what
    the one before has left.

    Args:
        candidates: what could be mined.
        cap: how many at most.
        settings: ``max_per_image``, ``max_per_group``, ``max_per_class``; 0 is no quota.
        image_place: ``(images,)`` place of each image in the order of keys, so that ties do not depend on the table's.
        group: ``(images,)`` number of each image's group.

    Returns:
        What is mined, hardest first where anything was left out; and a sentence for every quota that bit.

    Raises:
        ValueError: if a quota per group is asked for without groups.
    """
    if settings.max_per_group and group is None:
        raise ValueError("max_per_group needs to know the groups: give mine(..., groups=[a key per image])")
    quotas: list[tuple[str, int, Callable[[Candidates], NDArray[np.int64]]]] = [
        ("image", settings.max_per_image, lambda c: c.image),
        ("group of images", settings.max_per_group, lambda c: c.image if group is None else group[c.image]),
        ("class", settings.max_per_class, lambda c: c.label),
    ]
    notes = []
    for what, quota, key in quotas:
        kept = _within(candidates, key(candidates), quota, image_place) if quota else np.arange(len(candidates))
        if len(kept) < len(candidates):
            notes.append(f"{len(candidates) - len(kept)} candidates are left out: at most {quota} per {what}")
            candidates = candidates.take(kept)
    if len(candidates) > cap:
        candidates = candidates.take(_hardest(candidates, cap, image_place))
    return candidates, tuple(notes)


def number_groups(groups: Sequence[Hashable], images: int) -> NDArray[np.int64]:
    """Group keys as numbers, ``(images,)``.

    Raises:
        ValueError: if there is not one key per image.
    """
    if len(groups) != images:
        raise ValueError(f"groups has {len(groups)} keys, expected one for each of the {images} images")
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(key, len(number)) for key in groups], dtype=np.int64)


def groups_by_similarity(embeddings: NDArray[np.floating[Any]], threshold: float = 0.95) -> NDArray[np.int64]:
    """Group images that look alike, so that near-identical ones share a quota.

    Two images are in one group if a chain of pairs with cosine similarity ≥ ``threshold`` leads from one to the other.

    Args:
        embeddings: ``(images, d)`` one vector per image, from any model.
        threshold: in (0, 1].

    Returns:
        ``(images,)`` int64, the number of the first image of each one's group; for ``mine(..., groups=...)``.

    Raises:
        ValueError: if vectors are no matrix, zero or not finite.

    Example:
        >>> groups_by_similarity(np.array([[1.0, 0.0], [0.0, 1.0], [0.99, 0.01]])).tolist()
        [0, 1, 0]
    """
    vectors = np.asarray(embeddings, dtype=np.float64)
    if vectors.ndim != 2:
        raise ValueError(f"embeddings have shape {vectors.shape}, expected (images, d)")
    length = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~(np.isfinite(length) & (length > 0)))
    if bad.size:
        raise ValueError(f"{bad.size} of {len(vectors)} embeddings are zero, NaN or infinite, first at row {bad[0]}")
    vectors = vectors / length[:, None]
    group = np.arange(len(vectors))
    step = max(1, SIMILARITIES_AT_ONCE // max(len(vectors), 1))
    for start in range(0, len(vectors), step):
        rows, others = np.nonzero(vectors[start : start + step] @ vectors[start:].T >= threshold)
        for row, other in zip((rows + start).tolist(), (others + start).tolist(), strict=True):
            if group[row] != group[other]:
                first, second = sorted((group[row], group[other]))
                group[group == second] = first
    return group


def _within(
    candidates: Candidates, key: NDArray[np.int64], quota: int, image_place: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The candidates that are among the ``quota`` hardest of their key."""
    order = _order(candidates, np.arange(len(candidates)), image_place)
    by_key = order[np.argsort(key[order], kind="stable")]
    sorted_key = key[by_key]
    rank = np.arange(len(by_key)) - np.searchsorted(sorted_key, sorted_key)
    return np.sort(by_key[rank < quota])


def _hardest(candidates: Candidates, cap: int, image_place: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ``cap`` hardest; only those as hard as the last one need to be put in order."""
    d = candidates.difficulty
    edge = -np.partition(-d, cap - 1)[cap - 1]
    surely, tied = np.flatnonzero(d > edge), np.flatnonzero(d == edge)
    return np.concatenate([surely, _order(candidates, tied, image_place)[: cap - len(surely)]])


def _order(candidates: Candidates, rows: NDArray[np.int64], image_place: NDArray[np.int64]) -> NDArray[np.int64]:
    """The given candidates, hardest first; only twins are left to the order of rows."""
    some = candidates.take(rows)
    other = some.of_truth | (some.code < LOCALIZATION)  # misses and lucky hits
    x0, y0, x1, y1 = some.xyxy.T
    order = np.lexsort((some.label, y1, x1, y0, x0, image_place[some.image], -some.score, other, -some.difficulty))
    return rows[order]
