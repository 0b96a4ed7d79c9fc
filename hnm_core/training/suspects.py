"""Suspects of a training: false positives at a low confidence, which may be objects that nobody labelled.

They are looked for apart from the mining of a round, since a confidence of .5 finds only some of them, and they stay
once they are found: a model that is trained against an object stops predicting it, and the label is missing still.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..io.write_aside import new_file
from ..labels.estimate import Suspicion
from ..labels.reviews import SAME_IOU, Reviews
from ..matching.chunks import near_pairs
from ..pipeline import mine
from ..result import MiningResult
from ..settings import MiningSettings
from ..taxonomy import BACKGROUND

__all__ = ["CLEAN", "FAULTY", "UNKNOWN", "Suspects", "find_suspects", "judge_labels", "same_objects"]

ENOUGH_REVIEWS = 10
"""Reviews of background errors from which their share of label errors is believed (chosen)."""

FEW_ERRORS = 0.25
"""Share of label errors among background errors below which labels are clean: below the upper end of its 90 % interval
(chosen: ten answers without a label error reach it, ten with one do not)."""

COLUMNS = ("image", "class", "x0", "y0", "x1", "y1", "suspicion", "background", "labels")

UNKNOWN, CLEAN, FAULTY = "unknown", "clean", "faulty"
"""What reviews say of the labels, see :func:`judge_labels`."""


@dataclass(frozen=True, eq=False)
class Suspects:
    """False positives with the probability that their label is missing or wrong.

    Attributes:
        boxes: ``k`` boxes as fractions of the image, ``score`` is the suspicion.
        background: ``(k,)`` bool, those that overlap no truth: what a missing label looks like.
        labels: what reviews say of the labels, see :func:`judge_labels`.
    """

    boxes: Detections
    background: NDArray[np.bool_]
    labels: str = UNKNOWN

    @classmethod
    def of(cls, result: MiningResult) -> Suspects:
        """Return the false positives of a mining."""
        rows = np.flatnonzero(result.errors.false_positive)
        boxes = replace(result.predictions.take(rows), score=result.prediction_suspicion[rows], ids=None)
        return cls(boxes, result.errors.prediction[rows] == BACKGROUND, judge_labels(result.estimate.suspicions))

    def __len__(self) -> int:
        """Return the number of suspects."""
        return len(self.boxes)

    def take(self, rows: NDArray[Any]) -> Suspects:
        """Return some of the suspects (mask or indices)."""
        return Suspects(self.boxes.take(rows), self.background[rows], self.labels)

    def keeping(self, before: Suspects | None) -> Suspects:
        """Return these suspects, and those of before that are not among them: the same class at IoU ≥ .5."""
        if before is None or not len(before):
            return self
        gone = np.ones(len(before), dtype=bool)
        gone[same_objects(before.boxes, self.boxes)[0]] = False
        old = before.take(gone)
        assert self.boxes.score is not None
        assert old.boxes.score is not None
        columns = {
            name: np.concatenate([getattr(self.boxes, name), getattr(old.boxes, name)])
            for name in ("image", "xyxy", "label", "score")
        }
        boxes = Detections(**columns, images=self.boxes.images, classes=self.boxes.classes)
        return Suspects(boxes, np.concatenate([self.background, old.background]), self.labels)

    def save(self, file: Path) -> None:
        """Write a CSV file, whole or not at all."""
        boxes = self.boxes
        assert boxes.score is not None
        rows = zip(boxes.image, boxes.label, boxes.xyxy.tolist(), boxes.score.tolist(), self.background, strict=True)
        with new_file(file) as part, part.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened)
            writer.writerow(COLUMNS)
            for image, label, xyxy, suspicion, background in rows:
                writer.writerow(
                    [boxes.images[image], boxes.classes[label], *xyxy, suspicion, int(background), self.labels]
                )

    @classmethod
    def load(cls, file: Path, images: tuple[str, ...], classes: tuple[str, ...]) -> Suspects:
        """Read suspects of the given images and classes; others are left out.

        Raises:
            ValueError: if the file is damaged.
        """
        try:
            return cls._load(file, images, classes)
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise ValueError(
                f"{file} can't be read as the suspects of a round ({type(error).__name__}: {error}): start the "
                f"training anew"
            ) from None

    @classmethod
    def _load(cls, file: Path, images: tuple[str, ...], classes: tuple[str, ...]) -> Suspects:
        place, number = ({name: i for i, name in enumerate(names)} for names in (images, classes))
        with file.open(newline="", encoding="utf-8") as opened:
            rows = [row for row in csv.DictReader(opened) if row["image"] in place and row["class"] in number]
        boxes = Detections(
            np.array([place[row["image"]] for row in rows], dtype=np.int64),
            np.array([[float(row[name]) for name in COLUMNS[2:6]] for row in rows]).reshape(-1, 4),
            np.array([number[row["class"]] for row in rows], dtype=np.int64),
            np.array([float(row["suspicion"]) for row in rows], dtype=np.float64),
            images,
            classes,
        )
        background = np.array([row["background"] == "1" for row in rows], dtype=bool)
        return cls(boxes, background, rows[0]["labels"] if rows else UNKNOWN)


def find_suspects(
    predictions: Detections,
    truth: Detections,
    settings: MiningSettings,
    confidence: float,
    reviews: Reviews | None,
) -> MiningResult:
    """Mine all false positives from a low confidence on, for :meth:`Suspects.of`; evidence may be added to it.

    Args:
        predictions: kept down to that confidence.
        truth: of the same images and classes.
        settings: of the rounds; matching and what is ignored are taken over.
        confidence: lowest confidence of a suspect, of all classes.
        reviews: of mistakes.
    """
    asked = MiningSettings(
        confidence_threshold=confidence,
        iou_threshold=settings.iou_threshold,
        class_iou=settings.class_iou,
        ignored=settings.ignored,
        neutral=settings.neutral,
        hard_negative_ratio=1.0,
        candidates=("false_positive",),
    )
    return mine(predictions, truth, asked, reviews=reviews)


def judge_labels(suspicion: Suspicion) -> str:
    """Return ``clean`` if reviews say that background errors are nearly all the model's, ``faulty`` if they do not.

    With fewer than ten reviews of background errors it is ``unknown``.

    Example:
        >>> from hnm_core import Detections
        >>> world = dict(images=[f"{i}" for i in range(30)], classes=["cat"])
        >>> boxes = Detections(range(30), [[0.1, 0.1, 0.5, 0.5]] * 30, [0] * 30, [0.9] * 30, **world)
        >>> said = {"side": "prediction", "class": "cat", "bbox": [0.1, 0.1, 0.5, 0.5], "state": "hard_negative"}
        >>> def after(count):
        ...     reviews = Reviews.of([{**said, "image": f"{i}"} for i in range(count)])
        ...     result = find_suspects(boxes, Detections.empty(**world), MiningSettings(), 0.1, reviews)
        ...     return judge_labels(result.estimate.suspicions)
        >>> [after(count) for count in (0, 9, 10, 20)]
        ['unknown', 'unknown', 'clean', 'clean']
    """
    strata = suspicion.strata
    some = strata.code == BACKGROUND
    objects = int(strata.objects[some].sum())
    if not objects or int(strata.review_count[some].sum()) < ENOUGH_REVIEWS:
        return UNKNOWN
    return CLEAN if strata.expected(some)[2] / objects < FEW_ERRORS else FAULTY


def same_objects(
    first: Detections, second: Detections, *, of_class: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of rows of two tables that are the same object: image and class, IoU ≥ .5.

    Args:
        first: boxes.
        second: boxes of the same images and classes, in the same unit.
        of_class: whether the class counts.
    """
    rows, others, _ = near_pairs(first, second, SAME_IOU)
    same = (first.label[rows] == second.label[others]) | (not of_class)
    return rows[same], others[same]
