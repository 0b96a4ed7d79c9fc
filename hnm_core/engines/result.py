"""The result of mining shards: weights and report in memory, the mined rows shard by shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, reduce
from itertools import pairwise
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..counting import RecallCurve, ScoreCells, ThresholdCounts
from ..counting.recall import wrong_between
from ..labels.reviews import Reviews
from ..report import MiningReport
from ..selection.choose import in_order
from ..selection.hardest import HardestFirst
from ..selection.mined import MinedPart
from ..settings import MiningSettings
from ..taxonomy import LOCALIZATION
from .shard import Columns, Engine, Kept, whole

__all__ = ["MinedPart", "ShardedResult"]

ROWS_AT_ONCE = 200_000
"""Mined rows that are put in their order at once: 26 MB (chosen)."""

SAMPLED = 64
"""Every so manieth mined row of a shard tells where the rows are cut that are put in their order at once (chosen)."""

LEADING = 3
"""Keys of the order that tell it: rows that are equal in kind, difficulty, score and image are never cut apart."""

FIRST, LAST = b"", b"\xff" * 8 * LEADING
"""Before and after all of these keys, as bytes that compare as the keys do."""

UTF8 = "utf-8", "surrogatepass"


class Keys(Sequence[str]):
    """Keys of images, ``(images,)`` in UTF-8, each of which is made a text when it is asked for."""

    def __init__(self, names: NDArray[np.bytes_]) -> None:
        self._names = names

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._names)

    def __getitem__(self, at: Any) -> Any:
        """Return a key, or a list of those in a slice."""
        return list(Keys(self._names[at])) if isinstance(at, slice) else self._names[at].decode(*UTF8)

    def __iter__(self) -> Iterator[str]:
        """Yield the keys."""
        return (name.decode(*UTF8) for name in self._names)


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

    def images(self) -> Sequence[str]:
        """Return the keys of all images."""
        return Keys(self.names)

    def parts(self) -> Iterator[MinedPart]:
        """Yield the mined rows, shard by shard, as long as the engine keeps them."""
        return self.engine.ask(mined_part, each=self.starts[:-1].tolist())

    @property
    def mined_difficulty(self) -> NDArray[np.float64]:
        """Return the difficulty of the mined rows; to be asked for as long as the engine is open."""
        return np.concatenate(list(self.engine.ask(mined_difficulty)))

    def hardest_first(self, rows: int = ROWS_AT_ONCE) -> Iterator[MinedPart]:
        """Yield the mined rows in the order in which they are mined, at least so many at a time; likewise.

        This is a sample sort: memory holds some tens of thousands more than that.
        """
        step = -(-rows // SAMPLED)
        for edges in pairwise([FIRST, *self._sample[step - 1 :: step].tolist(), LAST]):
            parts = list(self.engine.ask(hardest_part, *edges))
            yield MinedPart.hardest_first(parts, sum(map(len, parts)), self.place)

    @cached_property
    def _sample(self) -> NDArray[np.bytes_]:
        """Let the engine keep the mined rows of each shard in their order; return the keys of some, rising."""
        return np.sort(np.concatenate(list(self.engine.tell(keep_hardest, each=self.starts[:-1].tolist()))))

    @cached_property
    def thresholds(self) -> ThresholdCounts:
        """Return the counts at other thresholds; likewise."""
        found: Iterator[ThresholdCounts] = self.engine.ask(threshold_counts)
        return reduce(add, found)

    @cached_property
    def recall_curve(self) -> RecallCurve:
        """Return the false positives by recall, if the mining was told that it will be compared; likewise."""
        right = np.sort(np.concatenate(list(self.engine.ask(right_scores))))
        counts = reduce(add, self.engine.ask(wrong_of, right))
        return RecallCurve.of_counts(counts, int(self.thresholds.truths.sum()), len(self.names))

    @cached_property
    def label_digests(self) -> NDArray[np.uint64]:
        """Return a digest of the labels of each image; likewise."""
        return np.concatenate(list(self.engine.ask(digests)))

    def counted(self, name: str) -> Iterator[NDArray[Any]]:
        """Yield a column of the rows that count, shard by shard: all mistakes and mined lucky hits, predictions first.

        Args:
            name: of a column of :class:`~hnm_core.selection.mined.MinedPart`, or ``mined``; rows are numbered through
                all shards.
        """
        rows = [(0, 0), *np.cumsum(list(self.engine.ask(number_of_rows)), axis=0).tolist()]
        first = list(zip(self.starts[:-1].tolist(), rows[:-1], strict=True))
        for of_truth in (False, True):
            yield from self.engine.ask(counted_column, name, of_truth, each=first)

    def ask_cells(self, name: str, *args: Any) -> list[Any]:
        """Call a method of the :class:`~hnm_core.counting.ScoreCells` of every shard; likewise."""
        return list(self.engine.ask(ask_cells, name, args))


def mined_difficulty(columns: Columns) -> NDArray[np.float64]:
    """Return the difficulty of the mined rows of a shard."""
    difficulty: NDArray[np.float64] = columns["difficulty"][columns["alive"]]
    return difficulty


def keep_hardest(columns: Columns, first: int) -> tuple[Kept, NDArray[np.bytes_]]:
    """Keep the mined rows of a shard in their order, and their leading keys as bytes; return every 64th of these."""
    found = mined_part(columns, 0)
    rows = HardestFirst(found, columns["place"], found.image)
    order = in_order(rows)
    keys = np.stack([rows.key(part, order) for part in range(LEADING)], axis=1)
    as_bytes = keys.astype(">u8").view(f"S{8 * LEADING}").ravel()
    found.image[:] += first
    kept = {f"hardest_{name}": column for name, column in vars(found.take(order)).items()}
    return {**kept, "hardest_key": as_bytes}, as_bytes[SAMPLED - 1 :: SAMPLED]


def hardest_part(columns: Columns, after: bytes, last: bytes) -> MinedPart:
    """Return those of the rows that :func:`keep_hardest` kept whose keys are after one key, up to another."""
    rows = slice(*np.searchsorted(columns["hardest_key"], [after, last], side="right").tolist())
    return MinedPart(**{field.name: columns.some(f"hardest_{field.name}", rows) for field in fields(MinedPart)})


def mined_part(columns: Columns, first: int) -> MinedPart:
    """Return the mined rows of a shard whose first image has this number."""
    mined = columns["alive"]
    same = ("of_truth", "code", "difficulty", "score", "xyxy", "iou", "near_xyxy", "suspicion", "state")
    numbers = {name: whole(columns, name)[mined] for name in ("row", "image", "label", "near")}
    numbers["image"] += first
    return MinedPart(**{name: columns[name][mined] for name in same}, **numbers)


def number_of_rows(columns: Columns) -> tuple[int, int]:
    """Return how many predictions and truths a shard has."""
    return int(columns["numbers"][0]), len(columns["truth_image"])


def counted_column(columns: Columns, first: tuple[int, tuple[int, int]], name: str, of_truth: bool) -> NDArray[Any]:
    """Return a column of the rows of a shard that count, of the predictions or of the truths.

    Args:
        columns: of the shard.
        first: numbers of its first image, and of its first rows.
        name: of the column.
        of_truth: whether of the truths.
    """
    mined = columns["alive"]
    wanted = np.flatnonzero(((columns["code"] >= LOCALIZATION) | mined) & (columns["of_truth"] == of_truth))
    if name == "mined":
        return mined[wanted]
    image, rows = first
    start = {"image": image, "label": 0, "row": rows[of_truth], "near": rows[not of_truth]}.get(name)
    if start is None:
        return columns[name][wanted]
    column = whole(columns, name)[wanted]
    return np.where(column >= 0, column + start, column)


def right_scores(columns: Columns) -> NDArray[np.float64]:
    """Return the scores of the right predictions of a shard."""
    return columns["right_scores"]


def wrong_of(columns: Columns, right: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many wrong predictions of a shard are between the scores of all right ones."""
    return wrong_between(columns["wrong_scores"], right)


def digests(columns: Columns) -> NDArray[np.uint64]:
    """Return a digest of the labels of each image of a shard."""
    return columns["label_digests"]


def threshold_counts(columns: Columns) -> ThresholdCounts:
    """Return the counts of a shard at other thresholds."""
    return ThresholdCounts(columns["thresholds"], columns["threshold_truths"])


def ask_cells(columns: Columns, name: str, args: tuple[Any, ...]) -> Any:
    """Call a method of the cells of a shard."""
    return getattr(ScoreCells(columns["cell"], columns["cell_count"], columns["cell_sums"]), name)(*args)
