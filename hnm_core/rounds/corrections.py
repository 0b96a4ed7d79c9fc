"""What corrected labels bought: how much of a change in errors is due to the labels, and how much to a new model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..pipeline import find_mistakes
from ..selection.mined import MinedRows
from .at_recall import RESAMPLES, Outcome
from .changes import KINDS, renumbered, same_errors
from .labels import LabelChanges, compare_labels

__all__ = ["CorrectionGains", "compare_corrections", "find_corrections"]

STEPS = ("labels", "model")
"""The two steps from the earlier round to the later one: other labels under the old model, then the new model."""

STAGES = ("before", "between", "after")
"""Old model on old labels; old model on new labels; new model on new labels."""

GROUPS = ("all", "affected", "unaffected")
"""All classes; those of which a label changed; the others."""

SHOWN = 10
"""Classes with changed labels that the text names."""

Masks = tuple[NDArray[np.bool_], NDArray[np.bool_]]
Tables = tuple[Detections, Detections]


@dataclass(frozen=True, eq=False)
class CorrectionGains:
    """The way from an old model on old labels to a new model on new labels, in two steps.

    Attributes:
        labels: what became of every label.
        stages: the errors of the old model on the old labels, of the old model on the new labels, and of the new model
            on the new labels, over the images that both rounds have.
        resamples: bootstrap resamples of the images behind every interval.
    """

    labels: LabelChanges
    stages: tuple[MinedRows, MinedRows, MinedRows]
    resamples: int = RESAMPLES

    def as_dict(self) -> dict[str, Any]:
        """Return every number, JSON-clean.

        Returns:
            ``images``; ``labels``: how many there are, and how many were added, removed, moved and relabelled;
            ``classes``: names of the ``affected`` and of the ``unaffected`` ones; ``errors`` per group of classes and
            kind: the errors at each stage, and how many each step (``labels``, ``model``) lets vanish and appear, so
            that ``before - vanished + appeared`` of a step is the next stage; ``at_recall`` per group of classes: see
            below.

            ``at_recall`` holds false positives at one recall, against the labels of each stage: that of the first stage
            at its confidence threshold, or the highest that all stages reach. ``change`` of a step is the difference of
            two counts, so that ``labels + model = both``; ``interval`` is its 95 % bootstrap interval over images. It
            is None where there are no truths.
        """
        return copy.deepcopy(self._found)

    @cached_property
    def _found(self) -> dict[str, Any]:
        affected = self.labels.affected()
        groups = dict(zip(GROUPS, (np.ones_like(affected), affected, ~affected), strict=True))
        names = np.array(self.labels.before.classes, dtype=object)
        return {
            "images": len(self.labels.before.images),
            "labels": self.labels.counts(),
            "classes": {group: names[groups[group]].tolist() for group in GROUPS[1:]},
            "errors": {
                group: {kind: self._errors(kind, classes) for kind in KINDS} for group, classes in groups.items()
            },
            "at_recall": {group: self._at_recall(classes) for group, classes in groups.items()},
        }

    def __str__(self) -> str:
        """Return the numbers as a table."""
        found = self._found
        labels, classes = found["labels"], found["classes"]["affected"]
        changed = ", ".join(f"{labels[name]:,} {name}" for name in ("added", "removed", "moved", "relabelled"))
        lines = ["What the corrections bought", f"  labels {labels['before']:,} → {labels['after']:,}: {changed}"]
        if classes:
            more = f" and {len(classes) - SHOWN} more" if len(classes) > SHOWN else ""
            lines.append(f"  affected classes: {', '.join(classes[:SHOWN])}{more}")
        head = f"  {'errors':<28}{'before':>9}{'by labels':>16}{'by model':>16}{'after':>9}"
        for group in GROUPS if len(classes) and found["classes"]["unaffected"] else GROUPS[:1]:
            lines += ["", f"{head}  {'' if group == 'all' else f'{group} classes'}".rstrip()]
            for kind in KINDS:
                row = found["errors"][group][kind]
                parts = [f"−{row[step]['vanished']:,} +{row[step]['appeared']:,}" for step in STEPS]
                name = kind.replace("_", " ")
                lines.append(f"  {name:<28}{row['before']:>9,}{parts[0]:>16}{parts[1]:>16}{row['after']:>9,}")
            lines += _at_recall_lines(found["at_recall"][group])
        return "\n".join(lines)

    @cached_property
    def _persists(self) -> dict[str, list[Masks]]:
        """Per kind and step, which errors of the stage before and of the stage after it are the same."""
        found: dict[str, list[Masks]] = {}
        for kind, side, wrong in (
            (KINDS[0], "predictions", "false_positive"),
            (KINDS[1], "truth", "false_negative"),
        ):
            errors = [(getattr(stage, side), getattr(stage.errors, wrong)) for stage in self.stages]
            found[kind] = [same_errors(errors[0], errors[1]), same_errors(errors[1], errors[2])]
        return found

    def _errors(self, kind: str, classes: NDArray[np.bool_]) -> dict[str, Any]:
        """Return the errors of one kind and some classes at each stage, and what each step changed."""
        wrong = []
        for stage in self.stages:
            table = stage.predictions if kind == KINDS[0] else stage.truth
            codes = stage.errors.false_positive if kind == KINDS[0] else stage.errors.false_negative
            wrong.append(codes & classes[table.label])
        steps = {
            step: {"vanished": int((wrong[n] & ~same[0]).sum()), "appeared": int((wrong[n + 1] & ~same[1]).sum())}
            for n, (step, same) in enumerate(zip(STEPS, self._persists[kind], strict=True))
        }
        return {**{stage: int(rows.sum()) for stage, rows in zip(STAGES, wrong, strict=True)}, **steps}

    def _at_recall(self, classes: NDArray[np.bool_]) -> dict[str, Any] | None:
        outcomes = [Outcome.of(s.predictions, s.truth, s.matches, classes) for s in self.stages]
        if not all(outcome.truths.sum() for outcome in outcomes):
            return None
        first = self.stages[0]
        of_classes = ~first.matches.truth_ignored & classes[first.truth.label]
        found = int((of_classes & ~first.errors.false_negative).sum())
        recall = min(found / int(of_classes.sum()), *(outcome.most for outcome in outcomes))
        drawn = [outcome.drawn_false_positives(recall, self.resamples) for outcome in outcomes]
        counts = np.vstack([[outcome.false_positives(recall) for outcome in outcomes], np.stack(drawn, axis=1)])
        changes = {"labels": (0, 1), "model": (1, 2), "both": (0, 2)}
        return {
            "recall": recall,
            "false_positives": dict(zip(STAGES, counts[0].tolist(), strict=True)),
            "fppi": dict(zip(STAGES, (counts[0] / len(first.truth.images)).tolist(), strict=True)),
            **{name: _change(counts[:, b] - counts[:, a]) for name, (a, b) in changes.items()},
        }


def compare_corrections(before: MinedRows, after: MinedRows, *, resamples: int = RESAMPLES) -> CorrectionGains:
    """Divide what changed between two rounds into the part of the labels and the part of the model.

    The predictions of the earlier round are matched with the labels of the later one, too: from the earlier round to
    that stage only the labels differ, from there to the later round only the model (and its settings, if these differ).

    Args:
        before: the earlier round, mined on the labels before they were corrected.
        after: the later round, mined on the corrected labels; images and classes are matched by name.
        resamples: bootstrap resamples of the images for the intervals.

    Raises:
        ValueError: if the rounds have no image in common.

    Example:
        >>> from hnm_core import Detections, mine
        >>> world = dict(images=["a"], classes=["cat"])
        >>> old = Detections([0, 0], [[0, 0, 9, 9], [20, 20, 30, 30]], [0, 0], [0.9, 0.8], **world)
        >>> new = Detections([0], [[0, 0, 9, 9]], [0], [0.9], **world)
        >>> corrected = Detections([0], [[0, 0, 9, 9]], [0], None, **world)
        >>> gains = compare_corrections(mine(old, Detections.empty(**world)), mine(new, corrected)).as_dict()
        >>> row = gains["errors"]["all"]["false_positives"]
        >>> row["before"], row["labels"]["vanished"], row["model"]["vanished"], row["after"]
        (2, 1, 1, 0)
    """
    old, new = _in_one_world(before, after)
    return _gains(before, after, old, new, compare_labels(old[1], new[1]), resamples)


def find_corrections(before: MinedRows, after: MinedRows, *, resamples: int = RESAMPLES) -> CorrectionGains | None:
    """Return :func:`compare_corrections`, or None if both rounds were mined on the same labels, or on other images."""
    if set(before.truth.images).isdisjoint(after.truth.images):
        return None
    old, new = _in_one_world(before, after)
    labels = compare_labels(old[1], new[1])
    return _gains(before, after, old, new, labels, resamples) if labels.affected().any() else None


def _gains(
    before: MinedRows, after: MinedRows, old: Tables, new: Tables, labels: LabelChanges, resamples: int
) -> CorrectionGains:
    plain = [replace(each.settings, strategy="confidence_based") for each in (before, after)]
    stages = (
        find_mistakes(old[0], old[1], plain[0]),
        find_mistakes(old[0], new[1], plain[0]),
        find_mistakes(new[0], new[1], plain[1]),
    )
    return CorrectionGains(labels, stages, resamples)


def _in_one_world(before: MinedRows, after: MinedRows) -> tuple[Tables, Tables]:
    """Return both tables of both rounds over the images that both have, and the classes that either has."""
    known = set(after.truth.images)
    images = sorted(name for name in before.truth.images if name in known)  # resamples follow the names, not the order
    if not images:
        raise ValueError(
            f"the two rounds have no image in common: the earlier one has {len(before.truth.images)}, the later one "
            f"{len(after.truth.images)}; if the same files were renamed, mine both again"
        )
    classes = tuple(dict.fromkeys([*before.truth.classes, *after.truth.classes]))
    old, new = (
        (renumbered(each.predictions, images, classes), renumbered(each.truth, images, classes))
        for each in (before, after)
    )
    return old, new


def _change(counts: NDArray[np.int64]) -> dict[str, Any]:
    """Return the first count, and the middle 95 % of the others."""
    return {"change": int(counts[0]), "interval": np.quantile(counts[1:], (0.025, 0.975)).tolist()}


def _at_recall_lines(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return ["  no truths, so no recall"]
    counts, fppi = found["false_positives"], " → ".join(f"{value:.3f}" for value in found["fppi"].values())
    lines = [f"  false positives per image at recall {found['recall']:.3f}: {fppi}"]
    for name in (*STEPS, "both"):
        change, (low, high) = found[name]["change"], found[name]["interval"]
        share = f", {_signed(100 * change / counts['before'])} %" if counts["before"] else ""
        title = "together" if name == "both" else f"by the {name}"
        lines.append(f"    {title:<14}{_signed(change)} ({_signed(low)} to {_signed(high)}){share}")
    return lines


def _signed(value: float) -> str:
    return f"{round(value):+,}".replace("-", "−") if round(value) else "0"
