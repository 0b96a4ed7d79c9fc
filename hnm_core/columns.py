"""The table of boxes on which everything is computed: checked, parallel columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import row_digests

__all__ = ["KINDS", "Detections", "RowMasks", "check_same_world"]

FARTHEST = 1e100
"""Largest coordinate (chosen): areas and their sums stay finite, so that every IoU is a number."""

FEW_ROWS, ROWS_AT_ONCE = 50, 16_384
"""Rows up to which plain Python finds repeated ones faster than numpy; rows per block, which the processor's cache
holds."""

RowMasks = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Masks over the rows of the predictions, ``(n,)`` bool, and of the truths, ``(m,)`` bool."""

COLUMNS = ("image", "xyxy", "label", "score", "ids", "crowd", "kind")
"""The columns with one entry per box. ``images`` and ``classes`` are lists of names."""

KINDS = ("object", "crowd", "group_of", "difficult", "region", "region_before")
"""What a truth is; the column ``kind`` holds the index in this tuple."""

OBJECT, CROWD, GROUP_OF, DIFFICULT, REGION, REGION_BEFORE = range(6)


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes of many images as parallel columns: row ``i`` is one box.

    Predictions and ground truth share this type; ground truth has no ``score``. Rows may be in any order. A table
    may be empty, and it lists all images, also those without boxes.

    Attributes:
        image: ``(n,)`` int64, row number in ``images``.
        xyxy: ``(n, 4)`` float64, ``x0 y0 x1 y1`` in any unit that both tables share (pixels, or fractions of the
            image side: IoU is the same in both). Zero width or height is legal.
        label: ``(n,)`` int64, row number in ``classes``.
        score: ``(n,)`` float64 in ``[0, 1]``, the detector's confidence; None for ground truth.
        images: the caller's key per image, *including images without boxes*.
        classes: class name per label.
        ids: ``(n,)`` the caller's own id of each box; passed through unchanged. Optional.
        crowd: ``(n,)`` bool, regions whose detections are ignored (COCO ``iscrowd``): the same as ``kind`` crowd.
            Optional.
        kind: ``(n,)`` uint8, index in :data:`KINDS`: what does not count as an object, see
            :mod:`hnm_core.matching.ignored`. Optional.
        verified: ``(k, 2)`` int64, pairs of image and label: classes that somebody checked in that image, present or
            not. None: every class is checked everywhere.
        not_exhaustive: ``(k, 2)`` int64, pairs of image and label: classes of which not every object is labelled in
            that image. Optional.

    Raises:
        ValueError: if columns differ in length, or hold values that are not valid for a box.

    Example:
        >>> table = Detections([0], [[10, 10, 30, 30]], [0], [0.9], images=["a.jpg", "b.jpg"], classes=["cat"])
        >>> len(table), len(table.images)
        (1, 2)
    """

    image: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    label: NDArray[np.int64]
    score: NDArray[np.float64] | None
    images: tuple[str, ...]
    classes: tuple[str, ...]
    ids: NDArray[Any] | None = None
    crowd: NDArray[np.bool_] | None = None
    kind: NDArray[np.uint8] | None = field(default=None, kw_only=True)
    verified: NDArray[np.int64] | None = field(default=None, kw_only=True)
    not_exhaustive: NDArray[np.int64] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Convert every column to its type and check shapes, names, boxes and scores."""
        self._set("images", tuple(map(str, self.images)))
        self._set("classes", tuple(map(str, self.classes)))
        self._set("image", _whole_numbers("image", self.image))
        self._set("label", _whole_numbers("label", self.label))
        self._set("xyxy", _floats("xyxy", self.xyxy, width=4))
        if self.score is not None:
            self._set("score", _floats("score", self.score))
        if self.ids is not None:
            self._set("ids", np.asarray(self.ids))
        if self.crowd is not None:
            self._set("crowd", np.asarray(self.crowd, dtype=bool))
        if self.kind is not None:
            self._set("kind", _whole_numbers("kind", self.kind).astype(np.uint8))
        for name in ("verified", "not_exhaustive"):
            if getattr(self, name) is not None:
                self._set(name, np.asarray(getattr(self, name), dtype=np.int64).reshape(-1, 2))
        self._check_shapes()
        self._check_names()
        self._check_boxes()
        self._check_scores()

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.image)

    @classmethod
    def empty(cls, images: Sequence[str], classes: Sequence[str], *, scored: bool = False) -> Detections:
        """Return a table of the given images without boxes; with ``scored`` a table of predictions."""
        score = np.zeros(0) if scored else None
        return cls(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, int), score, tuple(images), tuple(classes))

    def take(self, rows: NDArray[Any]) -> Detections:
        """Return a table of the given rows (mask or indices); all images are kept."""
        kept: dict[str, Any] = {}
        for name in COLUMNS:
            column = getattr(self, name)
            kept[name] = None if column is None else column[rows]
        return replace(self, **kept)

    def kinds(self) -> NDArray[np.uint8]:
        """Return ``kind``, ``(n,)`` uint8, with ``crowd`` in it; all 0, objects, if the table has neither column."""
        kind = np.zeros(len(self), dtype=np.uint8) if self.kind is None else self.kind
        return kind if self.crowd is None else np.where(self.crowd & (kind == OBJECT), np.uint8(CROWD), kind)

    def is_crowd(self) -> NDArray[np.bool_]:
        """Return ``(n,)`` bool, crowds and groups; all False if the table has no such column."""
        kind = self.kinds()
        crowds: NDArray[np.bool_] = (kind == CROWD) | (kind == GROUP_OF)
        return crowds

    def repeated(self) -> NDArray[np.bool_]:
        """Return ``(n,)`` bool, rows that equal an earlier row in image, class, box, score and kind."""
        if len(self) <= FEW_ROWS:
            texts = list(zip(*(column.tolist() for column in self._compared(slice(None))), strict=True))
            return np.array([text in texts[:row] for row, text in enumerate(texts)], dtype=bool)
        again = np.zeros(len(self), dtype=bool)
        for part in self._parts():
            starts = range(part.start, part.stop, ROWS_AT_ONCE)
            key = np.concatenate([self._keys(slice(at, min(at + ROWS_AT_ONCE, part.stop))) for at in starts])
            ordered = np.sort(key)
            twice = ordered[1:][ordered[1:] == ordered[:-1]]
            if not len(twice):
                continue  # the usual case: sorting the keys of a few images is fast
            same = part.start + np.flatnonzero(np.isin(key, twice))
            columns = self._compared(same)
            order = np.lexsort(columns)  # stable: the earliest row comes first
            equal = np.all([column[order[1:]] == column[order[:-1]] for column in columns], axis=0)
            again[same[order[1:][equal]]] = True
        return again

    def _parts(self) -> Iterator[slice]:
        """Yield the rows in parts of whole images; all at once where they do not come image by image."""
        n, start = len(self), 0
        if not (self.image[1:] >= self.image[:-1]).all():
            yield slice(0, n)
            return
        while start < n:
            last = self.image[min(start + ROWS_AT_ONCE, n) - 1]
            end = int(np.searchsorted(self.image, last, side="right"))
            yield slice(start, end)
            start = end

    def _keys(self, rows: slice) -> NDArray[np.uint32]:
        """Return a number per row, the same for equal rows and hardly ever for others."""
        return (row_digests(self._compared(rows)) >> np.uint64(32)).astype(np.uint32)

    def _compared(self, rows: slice | NDArray[np.int64]) -> list[NDArray[Any]]:
        """Return the columns that equal rows share, each of eight bytes; + 0.0 so that -0.0 is 0.0."""
        kind = np.zeros(len(self.image[rows]), dtype=np.int64)
        if self.kind is not None:
            kind += self.kind[rows]
        if self.crowd is not None:
            kind[self.crowd[rows] & (kind == OBJECT)] = CROWD
        score = [] if self.score is None else [self.score[rows] + 0.0]
        return [self.image[rows], self.label[rows], kind, *np.add(self.xyxy[rows].T, 0.0, order="C"), *score]

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_shapes(self) -> None:
        n = len(self.image)
        for name in COLUMNS[1:]:
            column, shape = getattr(self, name), (n, 4) if name == "xyxy" else (n,)
            if column is not None and column.shape != shape:
                raise ValueError(f"{name} has shape {column.shape}, expected {shape}: one entry per row of image")
        if self.kind is not None and self.kind.max(initial=0) >= len(KINDS):
            raise ValueError(f"kind holds {self.kind.max()}, expected an index in {', '.join(KINDS)}")
        for name in ("verified", "not_exhaustive"):
            pairs = getattr(self, name)
            if pairs is not None and len(pairs) and not (pairs.min() >= 0 and (pairs < self._world).all()):
                images, classes = self._world
                raise ValueError(f"{name} holds (image, class) pairs outside {images} images and {classes} classes")

    @property
    def _world(self) -> tuple[int, int]:
        return len(self.images), len(self.classes)

    def _check_names(self) -> None:
        for column, names in (("image", self.images), ("label", self.classes)):
            kind = "images" if column == "image" else "classes"
            if len(set(names)) < len(names):
                seen: set[str] = set()
                twice = next(n for n in names if n in seen or seen.add(n))  # type: ignore[func-returns-value]
                raise ValueError(f"{kind} names {twice!r} more than once: each name must be unique")
            numbers = getattr(self, column)
            if not numbers.size or (numbers.min() >= 0 and numbers.max() < len(names)):
                continue
            bad = np.flatnonzero((numbers < 0) | (numbers >= len(names)))
            raise ValueError(
                f"{bad.size} of {len(self)} {column} numbers are none of the {len(names)} {kind} (counted from 0), "
                f"first at row {bad[0]}: {numbers[bad[0]]}. Are they ids instead of row numbers?"
            )

    def _check_boxes(self) -> None:
        ordered = self.xyxy[:, 2:] >= self.xyxy[:, :2]
        finite = (self.xyxy <= FARTHEST) & (self.xyxy >= -FARTHEST)  # NaN is neither
        if ordered.all() and finite.all():
            return
        bad = np.flatnonzero(~(ordered.all(axis=1) & finite.all(axis=1)))
        raise ValueError(
            f"{bad.size} of {len(self)} boxes have x1 < x0, y1 < y0, NaN, infinity or beyond 1e100, first at row "
            f"{bad[0]} (image {self.images[self.image[bad[0]]]!r}): {self.xyxy[bad[0]].tolist()}. Are they xywh? Then "
            f"convert them with hnm_core.boxes.xywh_to_xyxy"
        )

    def _check_scores(self) -> None:
        if self.score is None:
            return
        right = (self.score >= 0) & (self.score <= 1)  # False for NaN
        if right.all():
            return
        bad = np.flatnonzero(~right)
        first = float(self.score[bad[0]])
        hint = "" if np.isnan(first) else ". Are they percentages or logits?"
        raise ValueError(
            f"{bad.size} of {len(self)} scores lie outside [0, 1], first at row {bad[0]} (image "
            f"{self.images[self.image[bad[0]]]!r}): {first!r}{hint}"
        )


def check_same_world(predictions: Detections, truth: Detections) -> None:
    """Check that two tables have the same images and classes, in the same order.

    Otherwise label 3 could mean *cat* in one table and *dog* in the other.

    Raises:
        ValueError: if they differ, with the first difference; or if predictions have no scores, or truth has scores.
    """
    if predictions.score is None:
        raise ValueError("the predictions have no score column; are predictions and ground truth swapped?")
    if truth.score is not None:
        raise ValueError("the ground truth has a score column; are predictions and ground truth swapped?")
    for kind, first, second in (
        ("images", predictions.images, truth.images),
        ("classes", predictions.classes, truth.classes),
    ):
        if first == second:
            continue
        if len(first) != len(second):
            raise ValueError(
                f"predictions have {len(first)} {kind}, ground truth has {len(second)}"
                f"{_only('predictions', first, second)}{_only('ground truth', second, first)}. Both tables must "
                f"name the same {kind} in the same order"
            )
        at = next(i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)
        count = sum(a != b for a, b in zip(first, second, strict=True))
        raise ValueError(
            f"predictions and ground truth differ in {count} of {len(first)} {kind}, first at number {at}: "
            f"{first[at]!r} against {second[at]!r}. Both tables must name the same {kind} in the same order"
        )


def _only(side: str, names: tuple[str, ...], others: tuple[str, ...]) -> str:
    known = set(others)
    only = [name for name in names if name not in known]
    return f"; only {side}: {', '.join(map(repr, only[:3]))}{' …' if len(only) > 3 else ''}" if only else ""


def _whole_numbers(name: str, values: object) -> NDArray[np.int64]:
    try:
        column = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} holds rows of different length, expected one row number per box") from None
    if column.size == 0:
        return column.reshape(-1).astype(np.int64)
    if column.ndim != 1:
        raise ValueError(f"{name} has shape {column.shape}, expected one row number per box")
    if column.dtype.kind not in "iu":
        raise ValueError(f"{name} holds {column.dtype} values, expected row numbers (int)")
    return column.astype(np.int64, copy=False)


def _floats(name: str, values: object, width: int | None = None) -> NDArray[np.float64]:
    try:
        column = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} holds values that are not numbers: {str(values)[:60]}") from None
    return column.reshape(0, width) if width and column.size == 0 else column
