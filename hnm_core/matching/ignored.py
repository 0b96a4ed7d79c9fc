"""What a benchmark does not count: truths that cannot be missed, and predictions that are neither right nor wrong.

Truths come in this order: those that count are matched first; what stays unmatched may lie on a crowd or a group, on a
difficult truth, on an object of a neighbouring class, or in an ignored region. Last come classes that nobody checked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..columns import CROWD, DIFFICULT, GROUP_OF, OBJECT, REGION, REGION_BEFORE, Detections
from ..settings import MiningSettings
from ..settings.mining import IGNORE_RULES
from .class_roles import RULE_OF_KIND, ClassRoles, class_roles, named_labels, neutral_labels
from .regions import share_in_regions

__all__ = ["RULES", "Pairs", "Standing", "ignored_by_class", "on_ignored"]

Mask = NDArray[np.bool_]

RULES = tuple(IGNORE_RULES)
"""The rules; the reason of an ignored row is the index here, plus 1."""

REASON = {name: i + 1 for i, name in enumerate(RULES)}

NEIGHBOUR, NOTHING = 6, 7
"""Roles of truths beside their kinds: counts only as a neighbour; takes part in nothing."""

IN_REGION = 0.5
"""Share of a box within ignored regions from which it is ignored (``dropObjectsInIgr.m`` of VisDrone2018-DET-toolkit;
CityPersons)."""


@dataclass(frozen=True, eq=False)
class Standing:
    """Which rows of both tables take part in matching, and as what.

    Attributes:
        role: ``(m,)`` uint8: the kind of a truth (0 takes part in greedy matching), or a role of this module.
        truth_reason: ``(m,)`` int8, why a truth does not count: index in :data:`RULES` plus 1, or 0.
        reason: ``(n,)`` int8, the same for predictions that take no part.
        roles: what the class names say.
        rules: the rules that are applied.
    """

    role: NDArray[np.uint8]
    truth_reason: NDArray[np.int8]
    reason: NDArray[np.int8]
    roles: ClassRoles
    rules: frozenset[str]

    @classmethod
    def of(
        cls,
        predictions: Detections,
        truth: Detections,
        settings: MiningSettings,
        named: Collection[int] | None = None,
    ) -> Standing:
        """Find out what counts, before anything is matched; arguments as for matching."""
        rules = frozenset(settings.ignored)
        roles = class_roles(truth.classes, settings.neutral)
        role, reason = _roles_of_truths(truth, roles, rules)
        unnamed = _unnamed_neighbours(predictions, truth, roles, named) if "neutral" in rules else None
        if unnamed is not None:
            rows = (role == OBJECT) & unnamed
            role[rows], reason[rows] = NEIGHBOUR, REASON["neutral"]
        predicted = np.zeros(len(predictions), dtype=np.int8)
        for label, rule in roles.unevaluated.items():
            if rule in rules:
                predicted[predictions.label == label] = REASON[rule]
                role[(truth.label == label) & (role == OBJECT)] = NOTHING
                reason[(truth.label == label) & (reason == 0)] = REASON[rule]
        if (role == REGION_BEFORE).any():
            regions = truth.take(role == REGION_BEFORE)
            for table, why in ((truth, reason), (predictions, predicted)):
                inside = share_in_regions(table, regions) >= IN_REGION
                why[inside & (why == 0)] = REASON["region_before"]
            role[reason == REASON["region_before"]] = NOTHING
        return cls(role, reason, predicted, roles, rules)

    @cached_property
    def plain(self) -> bool:
        """Return whether all truths are objects, crowds or nothing, and every prediction takes part."""
        neutral = "neutral" in self.rules and bool(self.roles.neutral)
        odd = ~np.isin(self.role, (OBJECT, CROWD, GROUP_OF, NOTHING))
        return self.all_take_part and not (neutral or odd.any())

    @cached_property
    def all_take_part(self) -> bool:
        """Return whether every prediction takes part."""
        return not self.reason.any()

    @cached_property
    def takes_part(self) -> NDArray[np.bool_]:
        """``(m,)`` bool, truths that are matched and can be missed."""
        counted: NDArray[np.bool_] = self.role == OBJECT
        return counted

    @cached_property
    def by_area(self) -> NDArray[np.bool_]:
        """``(m,)`` bool, truths whose overlap is intersection / area of the prediction: crowds, groups, regions."""
        return np.isin(self.role, (CROWD, GROUP_OF, REGION))


def _roles_of_truths(
    truth: Detections, roles: ClassRoles, rules: frozenset[str]
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    kind = truth.kinds().copy()
    for label, of_class in roles.kind.items():
        kind[truth.label == label] = of_class
    reason = np.zeros(len(truth), dtype=np.int8)
    for each, rule in RULE_OF_KIND.items():
        rows = kind == each
        if rule in rules:
            reason[rows] = REASON[rule]
        else:
            kind[rows] = OBJECT
    if "duplicate" in rules:
        again = truth.repeated()
        kind[again], reason[again] = NOTHING, REASON["duplicate"]
    if "no_size" in rules:
        flat = (truth.xyxy[:, 2:] <= truth.xyxy[:, :2]).any(axis=1)
        kind[flat], reason[flat] = NOTHING, REASON["no_size"]
    return kind, reason


def _unnamed_neighbours(
    predictions: Detections, truth: Detections, roles: ClassRoles, named: Collection[int] | None
) -> NDArray[np.bool_] | None:
    """Return ``(m,)`` bool, truths of neutral classes that no prediction names: these are never missed."""
    unnamed = neutral_labels(roles) - set(named if named is not None else named_labels(predictions, roles))
    return np.isin(truth.label, list(unnamed)) if unnamed else None


@dataclass(frozen=True, eq=False)
class Pairs:
    """Overlapping boxes of both tables, ``(k,)`` each, for the rules that look at one pair at a time.

    Attributes:
        label: class of the prediction.
        truth_label: class of the truth.
        role: of the truth, see :class:`Standing`.
        overlap: IoU, or intersection / area of the prediction for crowds, groups and regions.
        tau: IoU threshold of the prediction's class.
        close: whether the two could match: comparable classes, overlap at the threshold or above.
    """

    label: NDArray[np.int64]
    truth_label: NDArray[np.int64]
    role: NDArray[np.uint8]
    overlap: NDArray[np.float64]
    tau: NDArray[np.float64]
    close: NDArray[np.bool_]


def on_crowd(pairs: Pairs, kind: int) -> NDArray[np.bool_]:
    """Return pairs of a prediction with a crowd or a group of its class: intersection / area ≥ τ (pycocotools)."""
    found: Mask = (pairs.role == kind) & pairs.close
    return found


def on_difficult(pairs: Pairs) -> NDArray[np.bool_]:
    """Return pairs of a prediction with a difficult truth of its class at IoU ≥ τ (VOCdevkit, ``VOCevaldet.m``)."""
    return on_crowd(pairs, DIFFICULT)


def on_neighbour(pairs: Pairs, neutral: Mapping[int, tuple[int, ...]]) -> NDArray[np.bool_]:
    """Return pairs of a prediction with a truth of a neighbour class at IoU ≥ τ (KITTI devkit, BDD100K)."""
    found = np.zeros(len(pairs.label), dtype=bool)
    for label, neighbours in neutral.items():
        found |= (pairs.label == label) & np.isin(pairs.truth_label, neighbours)
    may_be = (pairs.role == OBJECT) | (pairs.role == NEIGHBOUR)
    found &= may_be & (pairs.overlap >= pairs.tau)
    return found


def on_region(pairs: Pairs, strict: frozenset[int]) -> NDArray[np.bool_]:
    """Return pairs of a prediction of any class with a region: intersection / area > τ (KITTI), else ≥ .5."""
    kitti = np.isin(pairs.truth_label, list(strict))
    found: Mask = (pairs.role == REGION) & np.where(kitti, pairs.overlap > pairs.tau, pairs.overlap >= IN_REGION)
    return found


def on_ignored(pairs: Pairs, standing: Standing) -> list[tuple[int, NDArray[np.bool_]]]:
    """Return for each rule on pairs its reason and its pairs; of several rules the last one in the list wins."""
    crowds = [(REASON["group_of"], on_crowd(pairs, GROUP_OF)), (REASON["crowd"], on_crowd(pairs, CROWD))]
    if standing.plain:
        return crowds
    found = [(REASON["region"], on_region(pairs, standing.roles.strict))]
    if "neutral" in standing.rules:
        found.append((REASON["neutral"], on_neighbour(pairs, standing.roles.neutral)))
    return [*found, (REASON["difficult"], on_difficult(pairs)), *crowds]


def ignored_by_class(
    predictions: Detections, truth: Detections, unmatched: NDArray[np.bool_], rules: frozenset[str]
) -> list[tuple[int, NDArray[np.bool_]]]:
    """Return for each rule on classes of an image its reason and the unmatched predictions it ignores.

    Of a class that nobody checked in an image every prediction; of one that is not labelled exhaustively there what
    is unmatched (lvis 0.5.3, ``eval.py``; Open Images challenge, image-level labels).
    """
    found = []
    key = predictions.image * len(truth.classes) + predictions.label
    for rule, pairs, ignored_if in (
        ("not_exhaustive", truth.not_exhaustive, True),
        ("verified", truth.verified, False),
    ):
        if pairs is not None and rule in rules:
            listed = np.isin(key, pairs[:, 0] * len(truth.classes) + pairs[:, 1])
            found.append((REASON[rule], unmatched & (listed == ignored_if)))
    return found
