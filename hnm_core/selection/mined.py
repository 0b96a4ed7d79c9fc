"""The mined rows of two tables, before counting and weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..labels.prior import prior_suspicion
from ..labels.settled import Settled
from ..matching.matches import Matches
from ..settings import MiningSettings
from ..taxonomy import LOCALIZATION, ROW_NAMES, Errors
from ..weighting.images import Images
from .choose import in_order
from .hardest import Candidates, HardestFirst

__all__ = ["MINED_KINDS", "MinedPart", "MinedRows", "MinedTables", "boxes_at"]

MINED_KINDS = ("false_positive", "false_negative", "lucky_hit")
"""What a mined row is, in the order in which they are mined."""


@dataclass(frozen=True, eq=False)
class MinedRows:
    """Matches, errors, difficulty and selection of every row; see :class:`~hnm_core.result.MiningResult`.

    Attributes:
        groups: ``(images,)`` int64, number of each image's group; None if no groups were given.
        max_per_group: quota of a group, 0 for none.
        second_predictions: another model's predictions; None if none were given.
    """

    predictions: Detections
    truth: Detections
    settings: MiningSettings
    matches: Matches
    errors: Errors
    prediction_difficulty: NDArray[np.float64]
    truth_difficulty: NDArray[np.float64]
    prediction_hard: NDArray[np.bool_]
    truth_hard: NDArray[np.bool_]
    groups: NDArray[np.int64] | None
    max_per_group: int
    second_predictions: Detections | None

    @property
    def prediction_error(self) -> NDArray[np.str_]:
        """``(n,)`` name of every prediction: an error type, or ``true_positive``, ``below_threshold``, ``ignored``."""
        return np.array(ROW_NAMES)[self.errors.prediction]

    @property
    def truth_error(self) -> NDArray[np.str_]:
        """``(m,)`` name of every truth: ``missed``, ``localization``, ``classification``, or no error."""
        return np.array(ROW_NAMES)[self.errors.truth]

    @property
    def prediction_type(self) -> NDArray[np.str_]:
        """``(n,)`` type of the mined rows, ``false_positive`` or ``lucky_hit``; empty for all others."""
        kind = np.where(self.errors.false_positive, "false_positive", "lucky_hit")
        return np.where(self.prediction_hard, kind, "")

    @property
    def truth_type(self) -> NDArray[np.str_]:
        """``(m,)`` type of the mined rows, ``false_negative``; empty for all others."""
        return np.where(self.truth_hard, "false_negative", "")

    @property
    def prediction_suspicion(self) -> NDArray[np.float64]:
        """``(n,)`` prior probability that the label is wrong; NaN where a row is not a mistake."""
        return prior_suspicion(self.errors.prediction)

    @property
    def truth_suspicion(self) -> NDArray[np.float64]:
        """``(m,)``, the same for truths."""
        return prior_suspicion(self.errors.truth)

    @property
    def prediction_iou(self) -> NDArray[np.float64]:
        """``(n,)`` best IoU of each prediction with any truth of its image, a = max(u, v)."""
        return self.matches.iou

    @property
    def prediction_near(self) -> NDArray[np.int32]:
        """``(n,)`` row of the truth with that IoU, of equals the one of its own class; -1 for none."""
        m = self.matches
        return np.where(m.same_iou >= m.other_iou, m.same_row, m.other_row)

    @property
    def truth_iou(self) -> NDArray[np.float64]:
        """``(m,)`` best IoU of each truth with a prediction of its class, whatever its score."""
        return self.matches.best_iou

    @property
    def truth_near(self) -> NDArray[np.int32]:
        """``(m,)`` row of that prediction, -1 for none."""
        return self.matches.best_row

    def part(self, rows: Sequence[NDArray[np.int64]], state: Sequence[NDArray[np.int8]]) -> MinedPart:
        """Return some rows of both tables as columns of one.

        Args:
            rows: of the predictions, and of the truths.
            state: their review states.
        """
        sides = []
        for of_truth, own, other, at in (
            (False, self.predictions, self.truth, rows[0]),
            (True, self.truth, self.predictions, rows[1]),
        ):
            side = "truth" if of_truth else "prediction"
            code, difficulty, iou, near, suspicion = (
                *(getattr(self.errors, side)[at], getattr(self, f"{side}_difficulty")[at]),
                *(getattr(self, f"{side}_{name}")[at] for name in ("iou", "near", "suspicion")),
            )
            score = np.zeros(len(at)) if own.score is None else own.score[at]
            facts = np.full(len(at), of_truth), at, own.image[at], own.label[at], code, difficulty, score, own.xyxy[at]
            beside = iou, near.astype(np.int64), boxes_at(other, near)
            sides.append(MinedPart(*facts, *beside, suspicion, state[of_truth]))
        return MinedPart.joined(sides, sum(map(len, rows)))

    @property
    def mined_difficulty(self) -> NDArray[np.float64]:
        """``(k,)`` difficulty of the mined rows, predictions first."""
        return np.concatenate(
            [self.prediction_difficulty[self.prediction_hard], self.truth_difficulty[self.truth_hard]]
        )

    @property
    def hard_counts(self) -> NDArray[np.int64]:
        """``(images,)`` mined objects in each image."""
        n = len(self.truth.images)
        found = np.bincount(self.predictions.image[self.prediction_hard], minlength=n)
        return found + np.bincount(self.truth.image[self.truth_hard], minlength=n)


@dataclass(frozen=True, eq=False)
class MinedTables(MinedRows):
    """The mined rows, with the numbers that the report needs.

    Attributes:
        mined: the mined objects.
        candidates: number of mistakes with a difficulty above 0.
        cap: how many of them may be mined.
        images: the images, for the weights.
        answers: ``(n,)`` and ``(m,)`` int8, what reviews say of the rows; None if none were given.
        settled: reviewed label errors that are put right.
        notes: limits that took effect, as sentences.
    """

    mined: Candidates
    candidates: int
    cap: int
    images: Images
    answers: tuple[NDArray[np.int8], NDArray[np.int8]] | None
    settled: Settled
    notes: tuple[str, ...]

    @property
    def mined_suspicion(self) -> NDArray[np.float64]:
        """Return the prior suspicion of the mined objects; 0 for lucky hits."""
        return np.nan_to_num(prior_suspicion(self.mined.code))


@dataclass(frozen=True, eq=False)
class MinedPart:
    """Mined rows of both tables as columns of one: those of a shard, or all of them; or all mistakes with them.

    Attributes:
        of_truth: ``(k,)`` bool, rows of the truth; the others are of the predictions.
        row: ``(k,)`` int64, row in its table, of its shard if there are shards.
        image: ``(k,)`` int64, number of its image among all.
        label: ``(k,)`` int64, number of its class.
        code: ``(k,)`` int8, its name, as index in :data:`~hnm_core.taxonomy.ROW_NAMES`.
        difficulty: ``(k,)`` float64.
        score: ``(k,)`` float64, confidence; 0 for truths.
        xyxy: ``(k, 4)`` float64.
        iou: ``(k,)`` float64, best IoU with the other side, see :class:`~hnm_core.result.MiningResult`.
        near: ``(k,)`` int64, row of the other table with that IoU; -1 for none.
        near_xyxy: ``(k, 4)`` float64, its box; NaN for none.
        suspicion: ``(k,)`` float64; NaN for lucky hits.
        state: ``(k,)`` int8, review state.
    """

    of_truth: NDArray[np.bool_]
    row: NDArray[np.int64]
    image: NDArray[np.int64]
    label: NDArray[np.int64]
    code: NDArray[np.int8]
    difficulty: NDArray[np.float64]
    score: NDArray[np.float64]
    xyxy: NDArray[np.float64]
    iou: NDArray[np.float64]
    near: NDArray[np.int64]
    near_xyxy: NDArray[np.float64]
    suspicion: NDArray[np.float64]
    state: NDArray[np.int8]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.row)

    @classmethod
    def joined(cls, parts: Iterable[MinedPart], rows: int) -> MinedPart:
        """Return the rows of all parts, one part after the other; memory holds one part beside them.

        Args:
            parts: at least one.
            rows: how many rows they have together.
        """
        room: dict[str, NDArray[Any]] = {}
        filled = 0
        for part in parts:
            for name, column in vars(part).items():
                if name not in room:
                    room[name] = np.empty((rows, *column.shape[1:]), dtype=column.dtype)
                room[name][filled : filled + len(part)] = column
            filled += len(part)
        return cls(**room)

    @property
    def kind(self) -> NDArray[np.int64]:
        """Return what each row is, as index in :data:`MINED_KINDS`."""
        return np.where(self.code >= LOCALIZATION, self.of_truth, len(MINED_KINDS) - 1)

    @classmethod
    def hardest_first(cls, parts: Iterable[MinedPart], rows: int, place: NDArray[np.int64]) -> MinedPart:
        """Return the rows of all parts in the order in which they are mined, which depends on no table.

        False positives come first, then misses, then lucky hits, each hardest first; ties by score, image key, box and
        class.

        Args:
            parts: at least one.
            rows: how many rows they have together.
            place: ``(images,)`` position of each image among all sorted by key.
        """
        found = cls.joined(parts, rows)
        order = in_order(HardestFirst(found, place, found.image))
        for column in vars(found).values():  # one after the other, in place: no second copy of all of them
            column[:] = column[order]
        return found

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> MinedPart:
        """Return some of the rows."""
        return MinedPart(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def boxes_at(table: Detections, rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return boxes of a table, NaN for row -1."""
    boxes = np.full((len(rows), 4), np.nan)
    there = rows >= 0
    boxes[there] = table.xyxy[rows[there]]
    return boxes
