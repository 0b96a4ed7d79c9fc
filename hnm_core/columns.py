"""The table of boxes everything here is computed on: columns with manners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Detections", "check_same_world"]

COLUMNS = ("image", "xyxy", "label", "score", "ids", "crowd")
"""What has one entry per box; ``images`` and ``classes`` are names, shared by all."""


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes of many images as parallel columns: row ``i`` is one box.

    Predictions and ground truth share this type; ground truth has no ``score``. Rows may stand in any order. Empty
    is an ordinary value: ``n = 0`` is fine, and a table never forgets an image without boxes.

    Attributes:
        image: ``(n,)`` int64, row number in ``images``.
        xyxy: ``(n, 4)`` float64, ``x0 y0 x1 y1`` in any unit that both tables share (pixels, or fractions of the
            image side: IoU is the same in both). Zero width or height is legal.
        label: ``(n,)`` int64, row number in ``classes``.
        score: ``(n,)`` float64 in ``[0, 1]``, the detector's confidence; None for ground truth.
        images: the caller's key per image, *including images without boxes*.
        classes: class name per label.
        ids: ``(n,)`` the caller's own id of each box; carried, never read. Optional.
        crowd: ``(n,)`` bool, regions whose detections are ignored (COCO ``iscrowd``). Optional.

    Raises:
        ValueError: if columns do not fit each other, or hold values that no box can have.

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

    def __post_init__(self) -> None:
        """Bring every column to its type and refuse what cannot be a table of boxes."""
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
        self._check_shapes()
        self._check_names()
        self._check_boxes()
        self._check_scores()

    def __len__(self) -> int:
        """The number of boxes."""
        return len(self.image)

    @classmethod
    def empty(cls, images: Sequence[str], classes: Sequence[str], *, scored: bool = False) -> Detections:
        """A table of the given images without any box; ``scored`` makes it one of predictions."""
        score = np.zeros(0) if scored else None
        return cls(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, int), score, tuple(images), tuple(classes))

    def take(self, rows: NDArray[Any]) -> Detections:
        """The table of the given rows (mask or indices); all images are kept."""
        kept: dict[str, Any] = {}
        for name in COLUMNS:
            column = getattr(self, name)
            kept[name] = None if column is None else column[rows]
        return replace(self, **kept)

    def is_crowd(self) -> NDArray[np.bool_]:
        """``(n,)`` bool: ``crowd``, or all False where the table has none."""
        return np.zeros(len(self), dtype=bool) if self.crowd is None else self.crowd

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_shapes(self) -> None:
        n = len(self.image)
        for name, shape in {"xyxy": (n, 4), "label": (n,), "score": (n,), "ids": (n,), "crowd": (n,)}.items():
            column = getattr(self, name)
            if column is not None and column.shape != shape:
                raise ValueError(f"{name} has shape {column.shape}, expected {shape}: one entry per row of image")

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
        ordered, finite = self.xyxy[:, 2:] >= self.xyxy[:, :2], np.isfinite(self.xyxy)  # NaN is not ordered either
        if ordered.all() and finite.all():
            return
        bad = np.flatnonzero(~(ordered.all(axis=1) & finite.all(axis=1)))
        raise ValueError(
            f"{bad.size} of {len(self)} boxes have x1 < x0, y1 < y0, NaN or infinity, first at row {bad[0]} "
            f"(image {self.images[self.image[bad[0]]]!r}): {self.xyxy[bad[0]].tolist()}. Are they xywh? Then "
            f"convert them with hnm_core.boxes.xywh_to_xyxy"
        )

    def _check_scores(self) -> None:
        if self.score is None:
            return
        right = (self.score >= 0) & (self.score <= 1)  # False for NaN
        if right.all():
            return
        bad = np.flatnonzero(~right)
        raise ValueError(
            f"{bad.size} of {len(self)} scores lie outside [0, 1], first at row {bad[0]} (image "
            f"{self.images[self.image[bad[0]]]!r}): {self.score[bad[0]]:g}. Are they percentages or logits?"
        )


def check_same_world(predictions: Detections, truth: Detections) -> None:
    """Refuse two tables that do not speak of the same images and classes.

    Label 3 must never mean *cat* on one side and *dog* on the other.

    Raises:
        ValueError: naming the first difference; or if predictions lack scores, or truth has them.
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
