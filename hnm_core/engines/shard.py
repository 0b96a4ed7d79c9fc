"""A shard: some whole images, as the engines read them, and the columns that are kept of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections, check_same_world

__all__ = ["Answer", "Columns", "Engine", "Kept", "Shard", "Step", "sides_of", "whole"]


@dataclass(frozen=True, eq=False)
class Shard:
    """Images with both sides of their boxes, and what is known of them: one shard, or all of them together.

    An image is in one shard alone. All shards name the same classes in the same order, and have the same kinds of
    evidence.

    Attributes:
        predictions: scored boxes.
        truth: ground truth over the same images and classes.
        groups: key of every image's group, such as its scene or video; None without groups.
        evidence: per kind ``(n,)`` numbers of the predictions, or these and ``(m,)`` of the truths; NaN is none.
        twins: ``(n,)`` and ``(m,)`` numbers, equal for boxes that show the same object; None without.
        sizes: ``(images, 2)`` width and height in pixels, NaN where not known; None if boxes are fractions.
        files: picture of every image, None where there is none.
        source: where the boxes came from, such as ``{"data": "gt.json", "predictions": "dt.json"}``.

    Raises:
        ValueError: if something does not belong to the same images or rows.
    """

    predictions: Detections
    truth: Detections
    groups: Sequence[Any] | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    twins: tuple[NDArray[Any], NDArray[Any]] | None = None
    sizes: NDArray[np.float64] | None = None
    files: Sequence[str | None] | None = None
    source: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that everything belongs to the same images and rows."""
        check_same_world(self.predictions, self.truth)
        images, rows = len(self.truth.images), (len(self.predictions), len(self.truth))
        for name in ("groups", "sizes", "files"):
            given = getattr(self, name)
            if given is not None and len(given) != images:
                raise ValueError(f"{name} has {len(given)} entries, expected one for each of the {images} images")
        for name, sides in (
            *((f"evidence {kind!r}", sides_of(each)) for kind, each in self.evidence.items()),
            *((("twins", self.twins),) if self.twins is not None else ()),
        ):
            got = tuple(map(len, sides))
            if got != rows[: len(got)]:
                raise ValueError(f"{name} has {' and '.join(map(str, got))} numbers, expected {rows[: len(got)]}")


def sides_of(given: Any) -> tuple[NDArray[Any], ...]:
    """Return evidence of one side or of both as a tuple of columns."""
    return given if isinstance(given, tuple) else (given,)


class Columns(Protocol):
    """What is kept of a shard: arrays by name, read when they are asked for."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column."""

    def some(self, name: str, rows: slice) -> NDArray[Any]:
        """Return some rows of a column; where the engine can, without reading the others."""


Kept = dict[str, NDArray[Any]]
"""Columns to keep of a shard."""

Answer = TypeVar("Answer")

Step = Callable[..., Any]
"""A function of this package: ``step(columns, *args)``, with the shard's own argument first where there is one."""


class Engine(Protocol):
    """What walks the shards. Answers come in the order of the shards; each shard's own argument is in ``each``."""

    def __len__(self) -> int:
        """Return the number of shards."""

    def start(self, step: Step, *args: Any, each: Sequence[Any], only: Sequence[int] | None = None) -> Iterator[Any]:
        """Load the shards and call ``step(shard, own, *args)``, which returns columns to keep, and an answer.

        Args:
            step: the step.
            args: its further arguments.
            each: the own argument of each of these shards.
            only: numbers of the shards; None for all. What was kept of them is forgotten.
        """

    def ask(self, step: Step, *args: Any, each: Sequence[Any] | None = None) -> Iterator[Any]:
        """Call ``step(columns, own, *args)`` for every shard, without ``own`` if there is no ``each``."""

    def tell(self, step: Step, *args: Any, each: Sequence[Any] | None = None) -> Iterator[Any]:
        """Do the same with steps that return further columns to keep, and an answer."""

    def once(self, work: Callable[..., Answer], *args: Any) -> Answer:
        """Call ``work(engine, *args)`` where the answers of all shards come together, and return what it returns."""


def whole(columns: Columns, name: str) -> NDArray[np.int64]:
    """Return a column of whole numbers, which is kept in a smaller type."""
    return columns[name].astype(np.int64)
