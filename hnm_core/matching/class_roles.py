"""What the names of the classes say: regions that do not count, and neighbouring classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..columns import CROWD, DIFFICULT, GROUP_OF, REGION, REGION_BEFORE, Detections

__all__ = ["RULE_OF_KIND", "ClassRoles", "beside_classes", "class_roles", "named_labels", "neutral_labels"]

RULE_OF_KIND = {
    CROWD: "crowd",
    GROUP_OF: "group_of",
    DIFFICULT: "difficult",
    REGION: "region",
    REGION_BEFORE: "region_before",
}

KITTI = {"Car": ("Van",), "Pedestrian": ("Person_sitting",)}
"""Neighbouring classes of the KITTI object devkit (``evaluate_object.cpp``)."""

BDD100K = {"car": ("other vehicle",), "pedestrian": ("other person",), "truck": ("trailer",)}
"""Classes of uncertain regions in BDD100K (``bdd100k/label/to_coco.py``), by the class that is evaluated."""

BDD100K_SIGNS = {"other vehicle", "other person"}
"""BDD100K is known by these: ``trailer`` beside ``truck`` is an object in other data sets."""


@dataclass(frozen=True)
class ClassRoles:
    """What the names of the classes say.

    Attributes:
        kind: kind of the truths of a class, by label, where it is not an object: regions.
        strict: labels of regions whose limit is the class's IoU threshold (KITTI ``DontCare``), not one half.
        unevaluated: labels that are no objects in predictions either.
        neutral: label → labels of its neighbour classes.
    """

    kind: Mapping[int, int]
    strict: frozenset[int]
    unevaluated: Mapping[int, str]
    neutral: Mapping[int, tuple[int, ...]]


def class_roles(classes: Sequence[str], neutral: Mapping[str, Sequence[str]]) -> ClassRoles:
    """Return what the class names say; ``neutral`` replaces the neighbours that are found by name.

    Raises:
        ValueError: if ``neutral`` names a class that does not exist.
    """
    return _class_roles(tuple(classes), tuple((of, tuple(names)) for of, names in neutral.items()))


def beside_classes(
    chosen: Sequence[str], known: Sequence[str], neutral: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return further classes whose truths must be kept where only some classes are mined: regions and neighbours.

    Example:
        >>> beside_classes(["Car"], ["Car", "Van", "Tram", "Person_sitting", "DontCare"], {})
        ('Van', 'DontCare')
    """
    given = {of: names for of, names in neutral.items() if of in known}
    roles = class_roles(known, {of: [name for name in names if name in known] for of, names in given.items()})
    near = {known[label] for of, labels in roles.neutral.items() if known[of] in chosen for label in labels}
    near |= {known[label] for label in roles.unevaluated}
    return tuple(name for name in known if name in near and name not in chosen)


@lru_cache(maxsize=64)  # image after image has the same classes
def _class_roles(classes: tuple[str, ...], given: tuple[tuple[str, tuple[str, ...]], ...]) -> ClassRoles:
    number = {name: i for i, name in enumerate(classes)}
    simple = ["".join(name.casefold().replace("_", " ").replace("-", " ").split()) for name in classes]
    of_name = {"dontcare": REGION, "ignore": REGION, "ignoredregions": REGION_BEFORE}
    kind = {i: of_name[name] for i, name in enumerate(simple) if name in of_name}
    unevaluated = {i: RULE_OF_KIND[k] for i, k in kind.items()}
    if "ignoredregions" in simple:
        unevaluated |= {i: "region_before" for i, name in enumerate(simple) if name == "others"}
    unknown = [name for of, names in given for name in (of, *names) if name not in number]
    if unknown:
        raise ValueError(
            f"neutral names {len(unknown)} unknown classes, first {unknown[0]!r}; classes are "
            f"{', '.join(map(repr, classes[:10]))}{' …' if len(classes) > 10 else ''}"
        )
    neighbours: dict[str, tuple[str, ...]] = dict(given)
    if not given:
        neighbours |= KITTI if "DontCare" in number else {}
        neighbours |= BDD100K if number.keys() & BDD100K_SIGNS else {}
    neutral = {
        number[of]: tuple(number[name] for name in names if name in number)
        for of, names in neighbours.items()
        if of in number
    }
    strict = frozenset(i for i, name in enumerate(simple) if name == "dontcare")
    return ClassRoles(kind, strict, unevaluated, {of: names for of, names in neutral.items() if names})


def neutral_labels(roles: ClassRoles) -> set[int]:
    """Return the labels that are neighbours of another class."""
    return {label for labels in roles.neutral.values() for label in labels}


def named_labels(predictions: Detections, roles: ClassRoles) -> set[int]:
    """Return which of the neutral labels predictions name."""
    neutral = neutral_labels(roles)
    return neutral & set(np.unique(predictions.label).tolist()) if neutral else neutral
