"""What the loss of background counts at single boxes: 0 where a person or the truth says so, less at suspects.

The forms are those of :data:`~hnm_core.training.plan.GATES`. A box acts on the anchors that a label there could be
assigned to, and on its own class; an ignored region acts on every class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..labels.inheritance import inherit_reviews
from ..labels.reviews import HARD_NEGATIVE, IGNORE, LABEL_ERRORS, MISSING_LABEL, Reviews
from .plan import DROP, OFF, WEIGH, TrainingPlan
from .suspects import CLEAN, FAULTY, Suspects, same_objects

__all__ = ["Gates", "gates_of"]


@dataclass(frozen=True, eq=False)
class Gates:
    """Boxes at which the loss of background counts less, or that are trained as objects; ``k`` rows.

    Attributes:
        images: image keys.
        image: ``(k,)`` int64, row number in ``images``.
        xyxy: ``(k, 4)`` float64, fractions of the image.
        label: ``(k,)`` int64, number of the class.
        factor: ``(k,)`` float64 in ``[0, 1]``, on the loss of background of that class.
        every_class: ``(k,)`` bool, the factor is for all classes.
        replaces: ``(k,)`` bool, the label of this box, if there is one, is no object.
        is_label: ``(k,)`` bool, trained as an object.
    """

    images: tuple[str, ...]
    image: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    label: NDArray[np.int64]
    factor: NDArray[np.float64]
    every_class: NDArray[np.bool_]
    replaces: NDArray[np.bool_]
    is_label: NDArray[np.bool_]

    @classmethod
    def at(
        cls, boxes: Detections, factor: float | NDArray[np.float64], label_from: NDArray[np.bool_] | None = None
    ) -> Gates:
        """Return gates at boxes; those of ``label_from`` are objects."""
        none = np.zeros(len(boxes), dtype=bool)
        factors = np.broadcast_to(np.asarray(factor, dtype=np.float64), len(boxes)).copy()
        return cls(
            boxes.images,
            boxes.image,
            boxes.xyxy,
            boxes.label,
            factors,
            none,
            none,
            none if label_from is None else label_from,
        )

    @classmethod
    def none(cls, like: Detections) -> Gates:
        """Return no gates, of the images of a table."""
        return cls.at(Detections.empty(like.images, like.classes), 0.0)

    @classmethod
    def ignoring(cls, boxes: Detections, every_class: NDArray[np.bool_]) -> Gates:
        """Return gates that leave boxes out, be they labelled or not."""
        n = len(boxes)
        return cls(
            *(boxes.images, boxes.image, boxes.xyxy, boxes.label, np.zeros(n), every_class),
            replaces=np.ones(n, dtype=bool),
            is_label=np.zeros(n, dtype=bool),
        )

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.image)

    def also(self, *others: Gates) -> Gates:
        """Return these gates and others of the same images."""
        columns = [each.name for each in fields(self)][1:]
        return Gates(self.images, *(np.concatenate([getattr(g, name) for g in (self, *others)]) for name in columns))

    def describe(self) -> str:
        """Return how many boxes there are of which kind, as a phrase."""
        out = int(((self.factor == 0) & ~self.is_label).sum())
        labels = int(self.is_label.sum())
        parts = [f"{out} boxes are left out of the loss", f"{len(self) - out - labels} count less"]
        return ", ".join([*parts, *([f"{labels} are trained as objects"] if labels else [])])


def gates_of(
    plan: TrainingPlan,
    truth: Detections,
    suspects: Suspects | None,
    reviews: Reviews | None,
    regions: Gates,
) -> Gates:
    """Return what the loss does at which boxes.

    Args:
        plan: with the gate and its thresholds.
        truth: labels of the training, as fractions of the image.
        suspects: false positives of the training images; None before they were looked for. Where reviews say that
            labels are clean, those that nobody reviewed count fully; where they do not say that labels are faulty,
            none of these becomes an object.
        reviews: of mistakes; a label error or ``ignore`` of a prediction counts 0, ``ignore`` of a truth too. A label
            error that is put right, so that a label of its class is there, counts fully.
        regions: ignored regions.

    Example:
        >>> world = dict(images=["a"], classes=["cat"])
        >>> boxes = Detections([0, 0], [[0, 0, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]], [0, 0], [0.9, 0.2], **world)
        >>> suspects, none = Suspects(boxes, np.array([True, True])), Detections.empty(**world)
        >>> nowhere = Gates.none(none)
        >>> plan = TrainingPlan(negative_gain=3)
        >>> gates_of(plan, none, suspects, None, nowhere).factor.round(2).tolist()
        [0.1, 0.8]
        >>> gates_of(plan.from_dict({"loss_gate": "drop"}), none, suspects, None, nowhere).factor.tolist()
        [0.0]
    """
    found = regions
    if plan.gate == OFF:
        found = Gates.none(truth)
    elif reviews is not None and len(reviews):
        found = found.also(*_reviewed(reviews, truth, plan))
    if suspects is None or not len(suspects):
        return found
    boxes = suspects.boxes
    state = np.zeros(len(boxes), dtype=np.int8) if reviews is None else inherit_reviews(reviews, boxes, truth)[0]
    open_rows = ~np.isin(state, (HARD_NEGATIVE, IGNORE, *LABEL_ERRORS)) & (suspects.labels != CLEAN)
    assert boxes.score is not None
    labels = np.zeros(len(boxes), dtype=bool)
    if plan.label_threshold is not None and suspects.labels == FAULTY:
        labels = open_rows & suspects.background & (boxes.score >= plan.label_threshold)
        labels = _one_an_object(boxes, labels, found)
    gated = open_rows & ~labels
    if plan.gate == WEIGH:
        gated &= boxes.score > 0
        factor = 1.0 - boxes.score
    elif plan.gate == DROP:
        gated &= boxes.score >= plan.gate_threshold
        factor = np.zeros(len(boxes))
    else:
        gated[:] = False
        factor = np.ones(len(boxes))
    kept = gated | labels
    return found.also(Gates.at(boxes.take(kept), factor[kept], labels[kept]))


def _reviewed(reviews: Reviews, truth: Detections, plan: TrainingPlan) -> list[Gates]:
    """Return the gates that reviews ask for; a later review of the same object replaces an earlier one."""
    number, label_of = _places(reviews.images, truth.images), _places(reviews.classes, truth.classes)
    image, label = number[reviews.image], label_of[reviews.label]
    known = np.flatnonzero((image >= 0) & (label >= 0))
    boxes = Detections(image[known], reviews.xyxy[known], label[known], None, truth.images, truth.classes)
    state, of_truth = reviews.state[known], reviews.of_truth[known]
    one, other = same_objects(boxes, boxes)
    replaced = np.zeros(len(boxes), dtype=bool)
    replaced[one[(one < other) & (of_truth[one] == of_truth[other])]] = True
    mended = np.zeros(len(boxes), dtype=bool)
    mended[same_objects(boxes, truth)[0]] = True  # the label is right by now, and what it covers is trained as ever
    wrong = ~replaced & ~of_truth & ((state == IGNORE) | (np.isin(state, LABEL_ERRORS) & ~mended))
    labels = (state == MISSING_LABEL) & (plan.label_threshold is not None)
    ignored = ~replaced & of_truth & (state == IGNORE)
    every = np.zeros(int(ignored.sum()), dtype=bool)
    return [Gates.at(boxes.take(wrong), 0.0, labels[wrong]), Gates.ignoring(boxes.take(ignored), every)]


def _one_an_object(boxes: Detections, labels: NDArray[np.bool_], known: Gates) -> NDArray[np.bool_]:
    """Leave of labels at the same place, of whatever class, the most suspected; none where a reviewed label is."""
    assert boxes.score is not None
    rows = np.flatnonzero(labels)
    some = boxes.take(rows)
    by_review = known.is_label
    image, xyxy, label = known.image[by_review], known.xyxy[by_review], known.label[by_review]
    reviewed = Detections(image, xyxy, label, None, boxes.images, boxes.classes)
    kept = np.ones(len(rows), dtype=bool)
    kept[same_objects(some, reviewed, of_class=False)[0]] = False
    one, other = same_objects(some, some, of_class=False)
    score = boxes.score[rows]
    less = (score[one] < score[other]) | ((score[one] == score[other]) & (one > other))
    kept[one[less & kept[other]]] = False
    out = np.zeros(len(boxes), dtype=bool)
    out[rows[kept]] = True
    return out


def _places(names: Sequence[str], into: Sequence[str]) -> NDArray[np.int64]:
    place: Mapping[str, int] = {name: i for i, name in enumerate(into)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int64)
