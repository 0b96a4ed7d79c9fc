"""From one round of mining to the next: which errors persist, which are new, which are fixed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Detections
from .matching import NONE, match_detections
from .result import MiningResult
from .settings import MiningSettings
from .taxonomy import ERROR_TYPES, ROW_NAMES

__all__ = ["CHANGES", "KINDS", "RoundChanges", "compare_rounds", "fppi_at_recall"]

SAME_IOU = 0.5
"""Overlap from which two errors of one image, side and class are the same error."""

KINDS = ("false_positives", "false_negatives")
CHANGES = ("persistent", "new", "fixed")
SHOWN = 10
"""Classes in the table for people, those that changed most."""


@dataclass(frozen=True, eq=False)
class RoundChanges:
    """What became of every error.

    Attributes:
        before: the earlier round.
        after: the later round.
        prediction_persists: ``(n_after,)`` bool, false positives that were there before; its other ones are new.
        truth_persists: ``(m_after,)`` bool, likewise false negatives.
        prediction_fixed: ``(n_before,)`` bool, false positives that are gone.
        truth_fixed: ``(m_before,)`` bool, likewise false negatives.
    """

    before: MiningResult
    after: MiningResult
    prediction_persists: NDArray[np.bool_]
    truth_persists: NDArray[np.bool_]
    prediction_fixed: NDArray[np.bool_]
    truth_fixed: NDArray[np.bool_]

    def as_dict(self) -> dict[str, Any]:
        """Counts of both kinds of error, and how often there is a false alarm at the recall of the earlier round.

        ``errors`` and ``classes`` break the counts up by error type and by class: what persists or is new by the name
        it has now, what is fixed by the name it had. ``fppi_at_recall`` compares at equal recall: fewer false
        positives at a fixed confidence may be nothing but lower scores. It is None where a round never reaches that
        recall.
        """
        recall = self.before.report.counts.recall
        by_error, by_class = self._counted("error"), self._counted("class")
        return {
            **{kind: _total(by_error[kind]) for kind in KINDS},
            "errors": {kind: {name: by_error[kind][name] for name in ERROR_TYPES} for kind in KINDS},
            "classes": {kind: dict(sorted(by_class[kind].items())) for kind in KINDS},
            "recall": recall,
            "fppi_at_recall": {
                "before": fppi_at_recall(self.before, recall),
                "after": fppi_at_recall(self.after, recall),
            },
        }

    def __str__(self) -> str:
        """The counts as a table for people: by kind and error type, then the classes that changed most."""
        changes = self.as_dict()
        lines = ["Since the round before", f"  {'error':<18}{'persistent':>12}{'new':>8}{'fixed':>8}"]
        for kind in KINDS:
            lines.append(_line(kind.replace("_", " "), changes[kind]))
            of_kind = changes["errors"][kind].items()
            lines += [_line(f"  {name}", count) for name, count in of_kind if any(count.values())]
        at = ("–" if value is None else f"{value:.3f}" for value in changes["fppi_at_recall"].values())
        lines.append(f"  false positives per image at recall {changes['recall']:.3f}: {' → '.join(at)}")
        classes = [(kind, *item) for kind in KINDS for item in changes["classes"][kind].items()]
        moved = [item for item in classes if item[2]["new"] or item[2]["fixed"]]
        moved.sort(key=lambda item: -item[2]["new"] - item[2]["fixed"])
        if moved:
            lines += ["", f"  {'class':<18}{'persistent':>12}{'new':>8}{'fixed':>8}"]
            lines += [f"{_line(name[:18], count)}  {kind.replace('_', ' ')}" for kind, name, count in moved[:SHOWN]]
        return "\n".join(lines)

    def changed(self) -> Iterator[tuple[str, str, Detections, NDArray[np.bool_]]]:
        """Every kind of error and what became of it: kind, ``persistent, new`` or ``fixed``, table, rows of it."""
        before, after = self.before, self.after
        for kind, table, wrong, stays in (
            ("false_positives", after.predictions, after.errors.false_positive, self.prediction_persists),
            ("false_negatives", after.truth, after.errors.false_negative, self.truth_persists),
        ):
            yield kind, "persistent", table, stays
            yield kind, "new", table, wrong & ~stays
        yield "false_positives", "fixed", before.predictions, self.prediction_fixed
        yield "false_negatives", "fixed", before.truth, self.truth_fixed

    def _counted(self, what: str) -> dict[str, dict[str, dict[str, int]]]:
        """Per kind and error type or class, how many persist, are new, are fixed."""
        counted: dict[str, dict[str, dict[str, int]]] = {
            kind: {name: _none() for name in ERROR_TYPES} for kind in KINDS
        }
        if what == "class":
            counted = {kind: {} for kind in KINDS}
        for kind, change, table, rows in self.changed():
            result = self.before if change == "fixed" else self.after
            codes = result.errors.prediction if kind == "false_positives" else result.errors.truth
            numbers = table.label[rows].tolist() if what == "class" else codes[rows].tolist()
            names = table.classes if what == "class" else ROW_NAMES
            for number, count in Counter(numbers).items():
                counted[kind].setdefault(names[number], _none())[change] += count
        return counted


def compare_rounds(before: MiningResult, after: MiningResult) -> RoundChanges:
    """Follow errors from one round to the next.

    An error persists if the other round has one in the same image, on the same side, of the same class, at IoU ≥ .5;
    one to one, the surer (or the larger overlap) first. Images and classes meet by name; what only one round looked
    at cannot persist.

    Raises:
        ValueError: if the rounds looked at no image in common.

    Example:
        >>> from hnm_core import mine
        >>> world = dict(images=["a"], classes=["cat"])
        >>> truth = Detections.empty(**world)
        >>> first = mine(Detections([0, 0], [[0, 0, 9, 9], [20, 20, 30, 30]], [0, 0], [0.9, 0.8], **world), truth)
        >>> second = mine(Detections([0], [[0, 0, 9, 8]], [0], [0.7], **world), truth)
        >>> compare_rounds(first, second).as_dict()["false_positives"]
        {'persistent': 1, 'new': 0, 'fixed': 1}
    """
    seen, later = before.truth.images, after.truth.images
    if seen and later and set(seen).isdisjoint(later):
        raise ValueError(
            f"the two minings share no image: the earlier one has {len(seen)}, first {seen[0]}, the later one "
            f"{len(later)}, first {later[0]}; if they are the same files under other names, mine both again"
        )
    predictions = _same(
        (before.predictions, before.errors.false_positive), (after.predictions, after.errors.false_positive)
    )
    truths = _same((before.truth, before.errors.false_negative), (after.truth, after.errors.false_negative))
    return RoundChanges(
        before=before,
        after=after,
        prediction_persists=predictions[1],
        truth_persists=truths[1],
        prediction_fixed=before.errors.false_positive & ~predictions[0],
        truth_fixed=before.errors.false_negative & ~truths[0],
    )


def fppi_at_recall(result: MiningResult, recall: float) -> float | None:
    """False positives per image at the highest confidence that reaches a recall, whatever the threshold was.

    Args:
        result: a mining of predictions that were kept down to a low confidence.
        recall: in ``[0, 1]``; 0 needs no prediction.

    Returns:
        False positives per image, or None if the recall is never reached or there are no truths.
    """
    matches, score = result.matches, result.predictions.score
    assert score is not None  # mining saw to it
    truths = int((~result.truth.is_crowd()).sum())
    if not truths or not len(result.truth.images):
        return None
    rows = np.flatnonzero(~matches.on_crowd)
    rows = rows[np.argsort(-score[rows], kind="stable")]
    found = np.cumsum(matches.matched[rows] != NONE)
    edges = np.flatnonzero(np.diff(score[rows], append=-1.0))
    enough = edges[found[edges] >= recall * truths - 1e-9]
    if recall <= 0:
        return 0.0
    if not enough.size:
        return None
    return float((enough[0] + 1 - found[enough[0]]) / len(result.truth.images))


def _same(
    before: tuple[Detections, NDArray[np.bool_]], after: tuple[Detections, NDArray[np.bool_]]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows of either table are the same error: those that COCO's matching pairs, the later round choosing."""
    images = _union(before[0].images, after[0].images)
    classes = _union(before[0].classes, after[0].classes)
    rows = [np.flatnonzero(wrong) for _, wrong in (before, after)]
    old, new = (_in_world(table.take(r), images, classes) for (table, _), r in zip((before, after), rows, strict=True))
    score = np.ones(len(new)) if new.score is None else new.score
    matches = match_detections(
        Detections(new.image, new.xyxy, new.label, score, images, classes),
        Detections(old.image, old.xyxy, old.label, None, images, classes),
        MiningSettings(iou_threshold=SAME_IOU),
    )
    was, stays = np.zeros(len(before[0]), dtype=bool), np.zeros(len(after[0]), dtype=bool)
    was[rows[0][matches.found_by != NONE]] = True
    stays[rows[1][matches.matched != NONE]] = True
    return was, stays


def _none() -> dict[str, int]:
    return dict.fromkeys(CHANGES, 0)


def _total(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {change: sum(count[change] for count in counts.values()) for change in CHANGES}


def _line(name: str, count: Mapping[str, int]) -> str:
    return f"  {name:<18}{count['persistent']:>12}{count['new']:>8}{count['fixed']:>8}"


def _union(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _in_world(table: Detections, images: tuple[str, ...], classes: tuple[str, ...]) -> Detections:
    """The same boxes with images and classes numbered as in a larger world."""
    image, label = ({name: i for i, name in enumerate(names)} for names in (images, classes))
    renumber_image = np.array([image[name] for name in table.images], dtype=np.int64)
    renumber_label = np.array([label[name] for name in table.classes], dtype=np.int64)
    return Detections(
        renumber_image[table.image], table.xyxy, renumber_label[table.label], table.score, images, classes
    )
