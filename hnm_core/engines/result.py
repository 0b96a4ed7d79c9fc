"""The result of mining shards: weights and report in memory, the mined rows shard by shard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..counting import ScoreCells, ThresholdCounts
from ..labels.reviews import Reviews
from ..report import MiningReport
from ..selection.mined import MinedPart
from ..settings import MiningSettings
from .shard import Columns, Engine, whole

__all__ = ["MinedPart", "ShardedResult"]


@dataclass(frozen=True, eq=False)
class ShardedResult:
    """What mining found, in the order of the shards and of the images in them.

    Attributes:
        settings: the settings it was mined with.
        classes: class name per label.
        names: ``(images,)`` keys of the images, in UTF-8.
        image_scores: ``(images,)`` float64 in ``[0, 1]``, higher is harder.
        weights: ``(images,)`` float64 ≥ 1.
        repeats: ``(images,)`` int64 ≥ 1.
        hard_images: ``(images,)`` bool, images with a higher weight because of their mistakes.
        hard_counts: ``(images,)`` mined objects in each image.
        report: counts, rates and the effect of the weights.
        starts: ``(shards + 1,)`` number of the first image of every shard, and of all images.
        place: ``(images,)`` position of each image among all sorted by key.
        max_per_group: at most this many objects of a group are mined, 0 for no limit.
        reviews: the reviews that were given, or None.
        reviewed_rows: how many rows of both tables have a review.
        kinds: the kinds of evidence.
        unit: of the boxes, ``pixels`` or ``fractions``.
        engine: keeps the rows.
    """

    settings: MiningSettings
    classes: tuple[str, ...]
    names: NDArray[np.bytes_]
    image_scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    repeats: NDArray[np.int64]
    hard_images: NDArray[np.bool_]
    hard_counts: NDArray[np.int64]
    report: MiningReport
    starts: NDArray[np.int64]
    place: NDArray[np.int64]
    max_per_group: int
    reviews: Reviews | None
    reviewed_rows: int
    kinds: tuple[str, ...]
    unit: str
    engine: Engine

    def images(self) -> Iterator[str]:
        """Yield the keys of all images."""
        return (name.decode("utf-8", "surrogatepass") for name in self.names.tolist())

    def parts(self) -> Iterator[MinedPart]:
        """Yield the mined rows, shard by shard, as long as the engine keeps them."""
        return self.engine.ask(mined_part, each=self.starts[:-1].tolist())

    @cached_property
    def hardest(self) -> MinedPart:
        """Return all mined rows in the order in which they are mined; to be asked for as long as the engine is open."""
        return MinedPart.joined(self.parts()).hardest_first(self.place)

    @cached_property
    def thresholds(self) -> ThresholdCounts:
        """Return the counts at other thresholds; likewise."""
        found: Iterator[ThresholdCounts] = self.engine.ask(threshold_counts)
        return reduce(add, found)

    def ask_cells(self, name: str, *args: Any) -> list[Any]:
        """Call a method of the :class:`~hnm_core.counting.ScoreCells` of every shard; likewise."""
        return list(self.engine.ask(ask_cells, name, args))


def mined_part(columns: Columns, first: int) -> MinedPart:
    """Return the mined rows of a shard whose first image has this number."""
    mined = columns["alive"]
    same = ("of_truth", "code", "difficulty", "score", "xyxy", "iou", "near_xyxy", "suspicion", "state")
    numbers = {name: whole(columns, name)[mined] for name in ("row", "image", "label", "near")}
    numbers["image"] += first
    return MinedPart(**{name: columns[name][mined] for name in same}, **numbers)


def threshold_counts(columns: Columns) -> ThresholdCounts:
    """Return the counts of a shard at other thresholds."""
    return ThresholdCounts(columns["thresholds"], columns["threshold_truths"])


def ask_cells(columns: Columns, name: str, args: tuple[Any, ...]) -> Any:
    """Call a method of the cells of a shard."""
    return getattr(ScoreCells(columns["cell"], columns["cell_count"], columns["cell_sums"]), name)(*args)
