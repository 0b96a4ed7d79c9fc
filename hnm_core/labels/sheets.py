"""Choose the sheet to review next: objects of one kind that one answer fits, all but some exceptions.

A sheet costs one click for its answer and one for every exception, so what it is worth is the expected gain over the
expected clicks. A kind is an error type, a class and a side: what looks alike is judged fast, and has one answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..settings import SheetSettings
from ..settings.sheets import LARGEST_ANSWER
from ..taxonomy import (
    BACKGROUND,
    BOTH,
    CLASSIFICATION,
    CONFIDENT,
    DUPLICATE,
    GAP,
    LOCALIZATION,
    MISSED,
    TRUE_POSITIVE,
    UNCERTAIN,
)
from .mistakes import Mistakes
from .reviews import BOGUS_LABEL, HARD_NEGATIVE, MISSING_LABEL, STATES, UNREVIEWED, WRONG_BOX, WRONG_LABEL

__all__ = ["Sheet", "label_error_of", "next_sheet"]

_OF_PREDICTION = {
    LOCALIZATION: WRONG_BOX,
    CLASSIFICATION: WRONG_LABEL,
    DUPLICATE: MISSING_LABEL,
    BACKGROUND: MISSING_LABEL,
    BOTH: MISSING_LABEL,
    CONFIDENT: MISSING_LABEL,
    UNCERTAIN: MISSING_LABEL,
}
_OF_TRUTH = {LOCALIZATION: WRONG_BOX, CLASSIFICATION: WRONG_LABEL, MISSED: BOGUS_LABEL, GAP: BOGUS_LABEL}
"""Which label error a mistake hides, if its label is wrong: a second box on one truth may be a second object."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """Objects of one kind that are judged together.

    Attributes:
        rows: ``(n,)`` int64, rows of the mistakes in the order in which they are shown; of twins the one that is shown.
        seen: ``(n,)`` int64, how many objects each picture stands for, itself included.
        code: error type, as index in :data:`~hnm_core.taxonomy.ROW_NAMES`.
        label: number of the class.
        of_truth: whether they are truths.
        answer: the review state that the sheet looks for; of doubtful objects fewer than half may have it.
        fitting: expected number of objects that the answer fits.
        gain: expected gain: label errors found, or change of effective difficulty.
        clicks: expected clicks: one for the answer and one for each exception.
    """

    rows: NDArray[np.int64]
    seen: NDArray[np.int64]
    code: int
    label: int
    of_truth: bool
    answer: str
    fitting: float
    gain: float
    clicks: float


def label_error_of(code: int, *, of_truth: bool) -> str:
    """Return the review state of a mistake of this error type whose label is wrong.

    Example:
        >>> label_error_of(BACKGROUND, of_truth=False), label_error_of(MISSED, of_truth=True)
        ('missing_label', 'bogus_label')
    """
    return STATES[(_OF_TRUTH if of_truth else _OF_PREDICTION)[code]]


def next_sheet(
    mistakes: Mistakes,
    state: NDArray[Any],
    suspicion: NDArray[np.float64],
    settings: SheetSettings | None = None,
    *,
    skip: Iterable[int] = (),
    twin_of: NDArray[np.int64] | None = None,
) -> Sheet | None:
    """Return the sheet with the largest expected gain per click, or None if nothing is left.

    Its objects are the first ``sheet_size`` of their kind, or fewer: the sheet ends where one more would lower the gain
    per click. Gain ``labels`` counts the label errors that an answer "the label is wrong" finds; gain ``weights`` the
    expected change of difficulty × (1 - suspicion), for both answers. Exceptions get no answer and gain nothing. Twins
    are one picture: their gains add up, and an exception among them is one click.

    Args:
        mistakes: the mistakes, ``k`` of them.
        state: ``(k,)`` answer on each, see :data:`~hnm_core.labels.reviews.STATES`.
        suspicion: ``(k,)`` probability that the label is wrong.
        settings: size, order and gain; None for the defaults.
        skip: rows that no sheet may show: exceptions of earlier ones, or what somebody else is looking at. Nor their
            twins.
        twin_of: ``(k,)`` row on whose picture each is shown, see :func:`~hnm_core.evidence.near_crops.find_twins`; None
            if each has its own.

    Example:
        >>> errors = [BACKGROUND] * 4, [0] * 4, [0.9] * 4, [0.9] * 4, [False] * 4, [True] * 4
        >>> sheet = next_sheet(Mistakes(range(4), *errors), np.zeros(4), np.array([0.9, 0.2, 0.95, 0.8]))
        >>> sheet.rows.tolist(), sheet.answer, round(sheet.gain, 2), round(sheet.clicks, 2)
        ([2, 0, 3], 'missing_label', 2.65, 1.35)
    """
    settings = settings or SheetSettings()
    free = mistakes.mined & (np.asarray(state) <= UNREVIEWED) & (mistakes.code != TRUE_POSITIVE)
    twin_of = np.arange(len(mistakes)) if twin_of is None else twin_of
    free &= ~np.isin(twin_of, twin_of[np.fromiter(skip, dtype=np.int64)])
    rows = np.flatnonzero(free)
    if not len(rows):
        return None
    picture, first, number, seen = np.unique(twin_of[rows], return_index=True, return_inverse=True, return_counts=True)
    pictures = np.where(free[picture], picture, rows[first])  # where that one is answered, the first twin that is not
    size = settings.sheet_size

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(number, values, len(pictures)), dtype=np.float64)

    p, kind = total(suspicion[rows]) / seen, _kinds(mistakes, pictures)
    if settings.sheet_gain == "labels":
        found = [_best(kind, _order(p, seen, settings), p, p * seen, seen, size, wrong=True)]
    else:
        moved = total(suspicion[rows] * (1.0 - suspicion[rows]) * np.nan_to_num(mistakes.difficulty[rows]))
        answers = ((True, p), (False, 1.0 - p))
        found = [_best(kind, _order(fits, seen, settings), fits, moved, seen, size, wrong=w) for w, fits in answers]
    best = max(found, key=lambda each: each.gain / each.clicks)
    shown = pictures[best.places]
    code, of_truth = int(mistakes.code[shown[0]]), bool(mistakes.of_truth[shown[0]])
    answer = label_error_of(code, of_truth=of_truth) if best.wrong else STATES[HARD_NEGATIVE]
    kind_of = code, int(mistakes.label[shown[0]]), of_truth
    return Sheet(shown, seen[best.places], *kind_of, answer, best.fitting, best.gain, best.clicks)


class _Candidate(NamedTuple):
    """The best sheet of one answer: places among the pictures, and what is expected of it."""

    places: NDArray[np.int64]
    fitting: float
    gain: float
    clicks: float
    wrong: bool


def _kinds(mistakes: Mistakes, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the kind of every row, numbered by error type, class and side."""
    among = int(mistakes.label[rows].max(initial=0)) + 1
    number = mistakes.code[rows].astype(np.int64) * among + mistakes.label[rows]
    return np.asarray(number * 2 + mistakes.of_truth[rows], dtype=np.int64)


def _order(fits: NDArray[np.float64], seen: NDArray[np.int64], settings: SheetSettings) -> NDArray[np.float64]:
    """Return a number per picture, the smaller the earlier it is shown.

    That is the expected number of objects that the answer fits, per expected exception: among pictures of one object
    the order is that of the probability itself.
    """
    if settings.sheet_order == "uncertain":
        return np.abs(fits - 0.5)
    return -seen * fits / np.maximum(1.0 - fits, 1e-9)


def _best(
    kind: NDArray[np.int64],
    first: NDArray[np.float64],
    chance: NDArray[np.float64],
    worth: NDArray[np.float64],
    seen: NDArray[np.int64],
    size: int,
    *,
    wrong: bool,
) -> _Candidate:
    """Return the sheet of one answer with the largest gain per click.

    Args:
        kind: ``(m,)`` kind of every picture.
        first: ``(m,)`` order within the kind.
        chance: ``(m,)`` probability that the answer fits.
        worth: ``(m,)`` expected gain by showing it.
        seen: ``(m,)`` objects that it stands for.
        size: pictures on a sheet, at most.
        wrong: whether the answer is a label error.
    """
    order = np.lexsort((-seen, first, kind))
    kinds, start, count = np.unique(kind[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(start, count)
    objects = seen[order].cumsum()
    objects -= np.repeat(objects[start] - seen[order][start], count)
    shown = (rank < size) & ((objects <= LARGEST_ANSWER) | (rank == 0))
    row, column = np.repeat(np.arange(len(kinds)), count)[shown], rank[shown]
    gain, miss, fit = (np.zeros((len(kinds), min(size, int(count.max())))) for _ in range(3))
    places = order[shown]
    fit[row, column] = (chance * seen)[places]
    gain[row, column] = worth[places]
    miss[row, column] = 1.0 - chance[places]
    gain, clicks, fit = gain.cumsum(axis=1), 1.0 + miss.cumsum(axis=1), fit.cumsum(axis=1)
    at, last = np.unravel_index(np.argmax(np.round(gain / clicks, 10)), gain.shape)
    some = order[start[at] : start[at] + min(int(last) + 1, int(count[at]))]
    return _Candidate(some, float(fit[at, last]), float(gain[at, last]), float(clicks[at, last]), wrong)
