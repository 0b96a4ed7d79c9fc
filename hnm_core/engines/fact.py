"""What a shard says of itself when it is examined, as numbers and as columns that are kept with the others."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import UnitOfBoxes
from ..pipeline import World
from .shard import Columns, Kept

__all__ = ["Fact", "fact_of"]


@dataclass(frozen=True, eq=False)
class Fact:
    """What a shard says of itself when it is examined; a few numbers, and the keys of its images.

    Attributes:
        names: ``(images,)`` keys of the images, in UTF-8.
        groups: their groups, or None.
        background: ``(images,)`` bool, images without any truth.
        classes: the class names.
        kinds: the kinds of evidence.
        own: what the shard says of the world, and
        world: what it was examined with.
        numbers: predictions, counted predictions, false negatives, candidates, and rows that have a review.
        units: the units of both sides; None if any box overlaps another.
        class_images: ``(classes,)`` in how many images each class is; empty if nobody asks.
    """

    names: NDArray[np.bytes_]
    groups: Sequence[Hashable] | None
    background: NDArray[np.bool_]
    classes: tuple[str, ...]
    kinds: tuple[str, ...]
    own: World
    world: World
    numbers: NDArray[np.int64]
    units: tuple[UnitOfBoxes, UnitOfBoxes] | None
    class_images: NDArray[np.int64]

    def columns(self) -> Kept:
        """Return the columns from which :func:`fact_of` makes the same again."""
        units = None if self.units is None else [list(unit) for unit in self.units]
        worlds = [[world.fractions, sorted(world.named)] for world in (self.own, self.world)]
        try:
            text = json.dumps([self.groups, self.classes, self.kinds, worlds, units])
        except TypeError:  # keys of groups that no file can hold
            text = ""
        return {
            "fact": np.frombuffer(text.encode(), dtype=np.uint8),
            **{"names": self.names, "numbers": self.numbers, "class_images": self.class_images},
        }


def fact_of(columns: Columns) -> Fact | None:
    """Return what a shard said when it was examined, from what is kept of it; None if nothing is."""
    try:
        text = columns["fact"].tobytes().decode()
    except KeyError:
        return None
    if not text:
        return None
    groups, classes, kinds, worlds, units = json.loads(text)
    own, world = (World(fractions, frozenset(named)) for fractions, named in worlds)
    sides: Any = None
    if units is not None:
        sides = tuple(UnitOfBoxes(boxes, fractions, whole, tuple(first)) for boxes, fractions, whole, first in units)
    return Fact(
        names=columns["names"],
        groups=groups,
        background=columns["background"],
        classes=tuple(classes),
        kinds=tuple(kinds),
        own=own,
        world=world,
        numbers=columns["numbers"],
        units=sides,
        class_images=columns["class_images"],
    )
