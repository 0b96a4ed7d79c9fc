"""Select the mistakes that are mined: the hardest, within quotas and cap."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..settings import MiningSettings
from ..strategies import Difficulty
from ..taxonomy import LOCALIZATION, Errors
from .choose import Ranked, ascending, choose

__all__ = [
    *("CAP", "CLASS", "GROUP", "IMAGE", "Candidates", "HardestFirst", "cap_of", "group_of", "groups_by_similarity"),
    *("kinds_of_rows", "left_out", "number_groups", "quotas_of", "select_hardest", "within"),
]

KIND_BIT = 62
"""Bit from which on a key of the order holds the kind of a row."""

IMAGE, GROUP, CLASS, CAP = "image", "group of images", "class", "all images"
"""What a quota is about."""

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
        code: ``(k,)`` int8, its name, as index in :data:`~hnm_core.taxonomy.ROW_NAMES`.
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
        """Return the candidates of two tables, predictions first."""
        with np.errstate(invalid="ignore"):
            rows = np.flatnonzero(difficulty.prediction > 0), np.flatnonzero(difficulty.truth > 0)
        assert predictions.score is not None  # checked by matching

        def both(prediction: NDArray[Any], true: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate(
                [column.take(at, axis=0) for column, at in zip((prediction, true), rows, strict=True)]
            )

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

    @cached_property
    def kind(self) -> NDArray[np.int64]:
        """``(k,)`` 0 for false positives, 1 for misses, 2 for lucky hits: the order in which they are mined."""
        return kinds_of_rows(self.of_truth, self.code)

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.row)

    def take(self, rows: NDArray[np.int64]) -> Candidates:
        """Return some of the candidates."""
        return Candidates(**{f.name: getattr(self, f.name).take(rows, axis=0) for f in fields(self)})

    def masks(self, n: int, m: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return masks of these rows among ``n`` prediction rows and ``m`` truth rows."""
        prediction, truth = np.zeros(n, dtype=bool), np.zeros(m, dtype=bool)
        prediction[self.row[~self.of_truth]] = True
        truth[self.row[self.of_truth]] = True
        return prediction, truth


def kinds_of_rows(of_truth: NDArray[np.bool_], code: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return 0 for false positives, 1 for misses, 2 for lucky hits: the order in which rows are mined, ``(k,)``."""
    return np.where(of_truth, 1, np.where(code < LOCALIZATION, 2, 0))


class SomeRows(Protocol):
    """What selection reads of rows: columns of :class:`Candidates`, wherever they are kept."""

    @property
    def kind(self) -> NDArray[np.int64]: ...
    @property
    def difficulty(self) -> NDArray[np.float64]: ...
    @property
    def score(self) -> NDArray[np.float64]: ...
    @property
    def xyxy(self) -> NDArray[np.float64]: ...
    @property
    def label(self) -> NDArray[np.int64]: ...
    @property
    def image(self) -> NDArray[np.int64]: ...
    def __len__(self) -> int: ...


def cap_of(counted: int, false_negatives: int, settings: MiningSettings) -> int:
    """Return how many objects may be mined.

    max(1, ⌈``hard_negative_ratio`` · (counted predictions + false negatives)⌉), and not more than
    ``max_hard_negatives`` if that is set. Counted predictions are the confident ones that are not ignored.
    """
    cap = max(1, math.ceil(round(settings.hard_negative_ratio * (counted + false_negatives), 9)))
    return min(cap, settings.max_hard_negatives or cap)


def select_hardest(
    candidates: Candidates,
    cap: int,
    settings: MiningSettings,
    image_place: NDArray[np.int64],
    group: NDArray[np.int64] | None = None,
    max_per_group: int = 0,
) -> tuple[Candidates, tuple[str, ...]]:
    """Select candidates within quotas and cap: false positives first, then misses, then lucky hits, hardest first.

    Quotas are applied before the cap, in the order image, group, class, each to what is left. Ties are broken by
    score, image key, box and class.

    Args:
        candidates: the objects that could be mined.
        cap: how many at most.
        settings: ``max_per_image``, ``max_per_class``; 0 is no quota.
        image_place: ``(images,)`` position of each image sorted by key, so that ties do not depend on the table.
        group: ``(images,)`` number of each image's group.
        max_per_group: quota of a group; 0 is none.

    Returns:
        The selected candidates, in that order if any were left out, and a sentence for every quota that took effect.

    Raises:
        ValueError: if ``max_per_group`` is set without groups.
    """
    if max_per_group and group is None:
        raise ValueError("max_per_group needs the groups of the images: give mine(..., groups=[a key per image])")
    notes = []
    for what, quota in quotas_of(settings, max_per_group, cap):
        key = group_of(what, candidates, group)
        rows = Ranked(HardestFirst(candidates, image_place, key))
        kept = np.flatnonzero(within(rows, quota, int(key.max(initial=0)) + 1))
        if len(kept) < len(candidates):
            notes += left_out(len(candidates) - len(kept), what, quota)
            candidates = candidates.take(kept)
    return candidates, tuple(notes)


def quotas_of(settings: MiningSettings, max_per_group: int, cap: int) -> list[tuple[str, int]]:
    """Return what a quota is about and how many rows it allows, in the order in which they are applied; the cap last.

    The cap counts even if it is 0, as no quota of 0 does.
    """
    quotas = ((IMAGE, settings.max_per_image), (GROUP, max_per_group), (CLASS, settings.max_per_class))
    return [*((what, quota) for what, quota in quotas if quota), (CAP, cap)]


def group_of(what: str, candidates: SomeRows, group: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the group of every candidate whose quota it is in, ``(k,)`` int64; ``group`` holds those of the images."""
    if what == IMAGE:
        return candidates.image
    if what == CLASS:
        return candidates.label
    return np.zeros(len(candidates), dtype=np.int64) if what == CAP or group is None else group[candidates.image]


def left_out(number: int, what: str, quota: int) -> list[str]:
    """Return the sentence on what a quota left out; the cap is told by the report's numbers."""
    return [] if what == CAP else [f"{number} candidates are left out: at most {quota} per {what}"]


def number_groups(groups: Sequence[Hashable], images: int) -> NDArray[np.int64]:
    """Number the group keys, ``(images,)`` int64.

    Raises:
        ValueError: if there is not one key per image.
    """
    if len(groups) != images:
        raise ValueError(f"groups has {len(groups)} keys, expected one for each of the {images} images")
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(key, len(number)) for key in groups], dtype=np.int64)


def groups_by_similarity(embeddings: NDArray[np.floating[Any]], threshold: float = 0.95) -> NDArray[np.int64]:
    """Group similar images, so that near-identical ones share a quota.

    Two images are in one group if a chain of pairs with cosine similarity ≥ ``threshold`` connects them.

    Args:
        embeddings: ``(images, d)`` one vector per image, from any model.
        threshold: in (0, 1].

    Returns:
        ``(images,)`` int64, per image the number of the first image of its group; for ``mine(..., groups=...)``.

    Raises:
        ValueError: if the embeddings are not a matrix, or a vector is zero or not finite.

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


@dataclass(frozen=True, eq=False)
class HardestFirst:
    """The order in which candidates are mined: false positives, misses, lucky hits, each the hardest first.

    Ties are broken by score, image key, box and class.

    Attributes:
        candidates: the rows.
        image_place: ``(images,)`` int64, position of each image among all sorted by key.
        group: ``(k,)`` int64, the group whose quota a row is in.
    """

    candidates: SomeRows
    image_place: NDArray[np.int64]
    group: NDArray[np.int64]
    depth = 8

    def key(self, part: int, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return one key of some rows; the smallest come first."""
        c = self.candidates
        if part == 0:  # a difficulty in (0, 1] leaves the upper two bits free
            harder = np.uint64(2**KIND_BIT - 1) - c.difficulty[rows].view(np.uint64)
            return (c.kind[rows].astype(np.uint64) << np.uint64(KIND_BIT)) | harder
        if part == 1:
            return ~ascending(c.score[rows])
        if part == 2:
            return ascending(self.image_place[c.image[rows]])
        return ascending(c.label[rows] if part == 7 else c.xyxy[rows, part - 3])


def within(rows: Ranked, quota: int, groups: int) -> NDArray[np.bool_]:
    """Return which rows of one table are within the quota of their group, ``(k,)`` bool."""
    found = choose(lambda ask, *args: [getattr(rows, ask)(*args)], quota, groups, HardestFirst.depth)
    return np.ones(len(rows.rows.group), dtype=bool) if found is None else rows.kept(found[0], found[1][0])
