"""Compare two rounds of mining: which errors persist, are new, or are fixed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..counting import RecallCurve
from ..matching.greedy import NONE, match_detections
from ..report import MiningReport
from ..settings import MiningSettings
from ..taxonomy import ERROR_TYPES, ROW_NAMES, Errors

__all__ = [
    *("CHANGES", "KINDS", "SAME_IOU", "Round", "RoundChanges", "compare_rounds", "renumbered", "same_errors"),
    "value_text",
]

SAME_IOU = 0.5
"""IoU from which two errors of the same image, side and class are the same error."""

KINDS = ("false_positives", "false_negatives")
CHANGES = ("persistent", "new", "fixed")
SHOWN = 10
"""Number of classes in the printed table, those with the most changes."""


class Round(Protocol):
    """What comparing needs of a mining: tables that hold its errors at least, and counts of all its rows."""

    @property
    def settings(self) -> MiningSettings: ...
    @property
    def report(self) -> MiningReport: ...
    @property
    def predictions(self) -> Detections: ...
    @property
    def truth(self) -> Detections: ...
    @property
    def errors(self) -> Errors: ...
    @property
    def recall_curve(self) -> RecallCurve: ...
    @property
    def label_digests(self) -> NDArray[np.uint64]: ...


@dataclass(frozen=True, eq=False)
class RoundChanges:
    """Which errors of two rounds persist, are new, or are fixed.

    Attributes:
        before: the earlier round.
        after: the later round.
        prediction_persists: ``(n_after,)`` bool, false positives that the earlier round had too; the others are new.
        truth_persists: ``(m_after,)`` bool, the same for false negatives.
        prediction_fixed: ``(n_before,)`` bool, false positives that the later round no longer has.
        truth_fixed: ``(m_before,)`` bool, the same for false negatives.
        shared: ``(images,)`` bool of the earlier and of the later round, images that the other round has too. Errors in
            other images are neither new nor fixed.
    """

    before: Round
    after: Round
    prediction_persists: NDArray[np.bool_]
    truth_persists: NDArray[np.bool_]
    prediction_fixed: NDArray[np.bool_]
    truth_fixed: NDArray[np.bool_]
    shared: tuple[NDArray[np.bool_], NDArray[np.bool_]]

    def as_dict(self) -> dict[str, Any]:
        """Return the counts of both kinds of error, and the false positives per image at the earlier round's recall.

        ``errors`` and ``classes`` split the counts by error type and by class: persistent and new errors by their type
        in the later round, fixed errors by their type in the earlier one. ``fppi_at_recall`` compares at equal recall,
        because fewer false positives at a fixed confidence may only mean lower scores; it is None for a round that
        never reaches that recall. ``settings`` are those that differ; an error may be new or fixed by them alone.
        ``images`` counts those of both rounds, which are compared, and those of one round alone, which stand in its
        false positives per image only.
        """
        recall = self.before.report.counts.recall
        by_error, by_class = self._counted("error"), self._counted("class")
        return {
            "settings": self.settings,
            "images": self.images,
            **{kind: _total(by_error[kind]) for kind in KINDS},
            "errors": {kind: {name: by_error[kind][name] for name in ERROR_TYPES} for kind in KINDS},
            "classes": {kind: dict(sorted(by_class[kind].items())) for kind in KINDS},
            "recall": recall,
            "fppi_at_recall": {
                "before": self.before.recall_curve.fppi(recall),
                "after": self.after.recall_curve.fppi(recall),
            },
        }

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the settings that differ, by name their values ``before`` and ``after``."""
        old, new = self.before.settings.as_dict(), self.after.settings.as_dict()
        return {name: {"before": old[name], "after": new[name]} for name in new if old[name] != new[name]}

    @property
    def images(self) -> dict[str, int]:
        """Return the number of images of ``both`` rounds, and of those ``before`` and ``after`` alone."""
        earlier, later = self.shared
        return {"both": int(earlier.sum()), "before": int((~earlier).sum()), "after": int((~later).sum())}

    def __str__(self) -> str:
        """Return the settings that differ, and a table: by kind and error type, then the classes that change most."""
        changes = self.as_dict()
        lines = ["Since the previous round"]
        if changes["settings"]:
            lines.append("  Settings differ (thresholds, and what is ignored, decide which errors there are):")
            lines += [
                f"    {name}: {value_text(each['before'])} → {value_text(each['after'])}"
                for name, each in changes["settings"].items()
            ]
        both, *alone = changes["images"].values()
        if any(alone):
            lines.append(
                f"  {both} images are compared; not compared: {alone[0]} of the earlier, {alone[1]} of the later"
            )
        lines.append(f"  {'error':<18}{'persistent':>12}{'new':>8}{'fixed':>8}")
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
        """Yield kind of error, change (``persistent``, ``new`` or ``fixed``), table, and mask of its rows."""
        before, after = self.before, self.after
        for kind, table, wrong, stays in (
            ("false_positives", after.predictions, after.errors.false_positive, self.prediction_persists),
            ("false_negatives", after.truth, after.errors.false_negative, self.truth_persists),
        ):
            yield kind, "persistent", table, stays
            yield kind, "new", table, wrong & ~stays & self.shared[1][table.image]
        yield "false_positives", "fixed", before.predictions, self.prediction_fixed
        yield "false_negatives", "fixed", before.truth, self.truth_fixed

    def _counted(self, what: str) -> dict[str, dict[str, dict[str, int]]]:
        """Return the numbers of persistent, new and fixed errors per kind and per error type or class."""
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


def compare_rounds(before: Round, after: Round) -> RoundChanges:
    """Compare the errors of two rounds.

    An error persists if the other round has one in the same image, on the same side, of the same class, at IoU ≥ .5;
    one to one, the more confident (for truths the larger overlap) first. Images and classes are matched by name.
    Errors in images of one round alone are not compared.

    Raises:
        ValueError: if the rounds have no image in common.

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
    names, later_names = set(seen), set(later)
    if seen and later and names.isdisjoint(later_names):
        raise ValueError(
            f"the two rounds have no image in common: the earlier one has {len(seen)}, first {seen[0]}, the later one "
            f"{len(later)}, first {later[0]}; if the same files were renamed, mine both again"
        )
    shared = (
        np.fromiter((name in later_names for name in seen), dtype=bool, count=len(seen)),
        np.fromiter((name in names for name in later), dtype=bool, count=len(later)),
    )
    predictions = same_errors(
        (before.predictions, before.errors.false_positive), (after.predictions, after.errors.false_positive)
    )
    truths = same_errors((before.truth, before.errors.false_negative), (after.truth, after.errors.false_negative))
    return RoundChanges(
        before=before,
        after=after,
        prediction_persists=predictions[1],
        truth_persists=truths[1],
        prediction_fixed=before.errors.false_positive & ~predictions[0] & shared[0][before.predictions.image],
        truth_fixed=before.errors.false_negative & ~truths[0] & shared[0][before.truth.image],
        shared=shared,
    )


def same_errors(
    before: tuple[Detections, NDArray[np.bool_]], after: tuple[Detections, NDArray[np.bool_]]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows of both tables are the same error, matched as in COCO with the later round as predictions."""
    images = _union(before[0].images, after[0].images)
    classes = _union(before[0].classes, after[0].classes)
    rows = [np.flatnonzero(wrong) for _, wrong in (before, after)]
    old, new = (renumbered(table.take(r), images, classes) for (table, _), r in zip((before, after), rows, strict=True))
    score = np.ones(len(new)) if new.score is None else new.score
    matches = match_detections(
        Detections(new.image, new.xyxy, new.label, score, images, classes),
        Detections(old.image, old.xyxy, old.label, None, images, classes),
        MiningSettings(iou_threshold=SAME_IOU, ignored=()),
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


def value_text(value: Any) -> str:
    """Return the value of a setting as text, a dash for none.

    Example:
        >>> value_text({"cat": 0.3, "dog": 0.5}), value_text([]), value_text(None), value_text(0.7)
        ('cat: 0.3, dog: 0.5', '–', '–', '0.7')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {each}" for name, each in value.items()) or "–"
    return (", ".join(map(str, value or ())) or "–") if value is None or isinstance(value, list) else str(value)


def renumbered(table: Detections, images: Sequence[str], classes: Sequence[str]) -> Detections:
    """Renumber images and classes of a table to other lists of names; boxes in images that are not listed go."""
    image, label = ({name: i for i, name in enumerate(names)} for names in (images, classes))
    image_number = np.array([image.get(name, NONE) for name in table.images], dtype=np.int64)
    label_number = np.array([label[name] for name in table.classes], dtype=np.int64)
    there = image_number[table.image] != NONE
    kept = table if there.all() else table.take(there)

    def pairs(given: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        if given is None:
            return None
        both: NDArray[np.int64] = np.stack([image_number[given[:, 0]], label_number[given[:, 1]]], axis=1)
        return both.compress(both[:, 0] != NONE, axis=0)

    return replace(
        kept,
        image=image_number[kept.image],
        label=label_number[kept.label],
        images=tuple(images),
        classes=tuple(classes),
        verified=pairs(table.verified),
        not_exhaustive=pairs(table.not_exhaustive),
    )
