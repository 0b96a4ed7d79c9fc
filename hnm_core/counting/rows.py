"""Count the rows of mined tables for the report: by error type, class and box size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import SIZES, are_fractions, sizes_of
from ..columns import Detections, RowMasks
from ..matching.ignored import RULES
from ..matching.matches import Matches
from ..report import Counts, MiningReport
from ..report.rules import COPIES
from ..selection.mined import MinedTables
from ..taxonomy import (
    BELOW_THRESHOLD,
    CLASSIFICATION,
    ERROR_TYPES,
    IGNORED,
    LOCALIZATION,
    ROW_NAMES,
    TRUE_POSITIVE,
    Errors,
)
from ..weighting.exact import exact_sum

__all__ = ["Tally", "report_of", "report_of_tally"]

ROWS_AT_ONCE = 100_000
"""Rows per block, so that temporary arrays stay small."""

Labels = tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]


@dataclass(frozen=True, eq=False)
class Tally:
    """Whole numbers about the rows of two tables. Tallies of parts of the data add up to that of the whole.

    Attributes:
        by_class: ``(3, classes, names)`` int64, predictions, truths and mined rows by class and name of the row.
        by_size: ``(3, sizes, names)``, the same by box size.
        confused: classification errors by class of the truth and class of the prediction.
        rules: ``(rules + 1, 2)`` int64, truths and confident predictions that a rule ignores; last the copies among the
            predictions.
    """

    by_class: NDArray[np.int64]
    by_size: NDArray[np.int64]
    confused: Counter[tuple[int, int]]
    rules: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        predictions: Detections,
        truth: Detections,
        errors: Errors,
        matches: Matches,
        *,
        fractions: bool,
        hard: RowMasks | None = None,
    ) -> Tally:
        """Count the rows of two tables.

        Args:
            predictions: ``n`` rows.
            truth: ``m`` rows.
            errors: their names.
            matches: their matches.
            fractions: whether the boxes are fractions of the image, not pixels.
            hard: the mined rows; None: :meth:`of_mined` counts them.
        """
        hard = hard or (np.zeros(len(predictions), dtype=bool), np.zeros(len(truth), dtype=bool))
        by_class, by_size = _tables(predictions, truth, errors, hard, fractions)
        return cls(
            by_class, by_size, _confused(predictions, truth, errors, matches), _rules(predictions, errors, matches)
        )

    @classmethod
    def of_mined(
        cls,
        label: NDArray[np.int64],
        xyxy: NDArray[np.float64],
        code: NDArray[np.int8],
        *,
        classes: int,
        fractions: bool,
    ) -> Tally:
        """Count mined rows of either table, ``(k,)``, alone."""
        none = Counter[tuple[int, int]](), np.zeros((len(RULES) + 1, 2), dtype=np.int64)
        by_class = np.zeros((3, classes, len(ROW_NAMES)), dtype=np.int64)
        by_size = np.zeros((3, len(SIZES), len(ROW_NAMES)), dtype=np.int64)
        by_class[2] = _by_name(label, code, classes)
        by_size[2] = _by_name(sizes_of(xyxy, fractions=fractions), code, len(SIZES))
        return cls(by_class, by_size, *none)

    def __add__(self, other: Tally) -> Tally:
        """Return the sums of the counts."""
        by_class, by_size = self.by_class + other.by_class, self.by_size + other.by_size
        return Tally(by_class, by_size, self.confused + other.confused, self.rules + other.rules)


def report_of_tally(tally: Tally, classes: Sequence[str], **more: Any) -> MiningReport:
    """Return the report of counted rows, without expected label errors and weights.

    Args:
        tally: the counts.
        classes: class name per label.
        more: ``images``, ``candidates``, ``cap``, ``notes``, ``suspicion_used`` and whatever else a report holds.
    """
    confused = {(classes[t], classes[p]): count for (t, p), count in tally.confused.items()}
    return _report(tally.by_class, tally.by_size, classes, Counter(confused), [tally.rules], **more)


def report_of(tables: Sequence[MinedTables], before: MiningReport | None = None) -> MiningReport:
    """Return the report of several mined tables, added to an earlier report; without weights.

    The numbers are exactly the sums of the single reports, however the tables are grouped into calls.
    """
    report = before or MiningReport()
    for fractions, same_unit in groupby(
        tables, lambda f: are_fractions(f.predictions.xyxy, f.truth.xyxy)
    ):  # the size of boxes depends on the unit
        report = report + _counted(list(same_unit), fractions)
    expected = before.expected_label_errors if before else 0.0
    for one in tables:
        expected += exact_sum(one.mined_suspicion)
    return replace(report, expected_label_errors=expected)


def _counted(some: list[MinedTables], fractions: bool) -> MiningReport:
    """Return the report of tables whose boxes have the same unit, without expected label errors."""
    predictions, truth = _in_one([f.predictions for f in some]), _in_one([f.truth for f in some])
    errors = Errors(
        prediction=_joined([f.errors.prediction for f in some]),
        truth=_joined([f.errors.truth for f in some]),
        confident=_joined([f.errors.confident for f in some]),
    )
    hard = _joined([f.prediction_hard for f in some]), _joined([f.truth_hard for f in some])
    confused: Counter[tuple[str, str]] = Counter()
    for one in some:
        pairs = _confused(one.predictions, one.truth, one.errors, one.matches)
        for (t, p), count in pairs.items():
            confused[one.truth.classes[t], one.truth.classes[p]] += count
    return _report(
        *_tables(predictions, truth, errors, hard, fractions),
        truth.classes,
        confused,
        [_rules(f.predictions, f.errors, f.matches) for f in some],
        images=len(truth.images),
        candidates=sum(f.candidates for f in some),
        cap=sum(f.cap for f in some),
        suspicion_used=all(f.settings.use_suspicion for f in some),
        notes=tuple(dict.fromkeys(note for f in some for note in f.notes)),
    )


def _report(
    by_class: NDArray[np.int64],
    by_size: NDArray[np.int64],
    names: Sequence[str],
    confused: Counter[tuple[str, str]],
    rules: Iterable[NDArray[np.int64]],
    **more: Any,
) -> MiningReport:
    classes = _counts(by_class, names)
    confusions: dict[str, dict[str, int]] = {}
    for (true_class, predicted_class), count in sorted(confused.items(), key=lambda item: (-item[1], item[0])):
        confusions.setdefault(true_class, {})[predicted_class] = count
    found, missed, mined = by_class.sum(axis=1).tolist()
    columns = {"false_positives": found, "false_negatives": missed, "hard_negatives": mined}
    codes = {name: ROW_NAMES.index(name) for name in ERROR_TYPES}
    return MiningReport(
        counts=sum(classes.values(), Counts()),
        errors={name: {key: column[code] for key, column in columns.items()} for name, code in codes.items()},
        classes=classes,
        sizes=_counts(by_size, SIZES),
        confusions=confusions,
        rules=_rule_counts(rules),
        **more,
    )


def _confused(predictions: Detections, truth: Detections, errors: Errors, matches: Matches) -> Counter[tuple[int, int]]:
    """Count the classification errors by class of the truth and class of the prediction."""
    rows = np.flatnonzero(errors.prediction == CLASSIFICATION)
    true, predicted = truth.label[matches.other_row[rows]], predictions.label[rows]
    pairs, number = np.unique(np.stack([true, predicted], axis=1), axis=0, return_counts=True)
    return Counter({(t, p): count for (t, p), count in zip(pairs.tolist(), number.tolist(), strict=True)})


def _in_one(tables: list[Detections]) -> Detections:
    """Join tables for counting: classes are matched by name, images are renumbered, scores and ids are dropped."""
    if len(tables) == 1:
        return tables[0]
    number: dict[str, int] = {}
    labels = [np.array([number.setdefault(name, len(number)) for name in t.classes], dtype=np.int64) for t in tables]
    first = np.cumsum([0, *(len(t.images) for t in tables)]).tolist()
    return Detections(
        image=_joined([t.image + start for t, start in zip(tables, first[:-1], strict=True)]),
        xyxy=_joined([t.xyxy for t in tables]),
        label=_joined([of_class[t.label] for t, of_class in zip(tables, labels, strict=True)]),
        score=None,
        images=tuple(map(str, range(first[-1]))),
        classes=tuple(number),
    )


def _joined(columns: list[NDArray[Any]]) -> NDArray[Any]:
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


def _rules(predictions: Detections, errors: Errors, matches: Matches) -> NDArray[np.int64]:
    """Return how many truths and confident predictions each rule ignores, and the copies; see :class:`Tally`."""
    truths = np.bincount(matches.truth_reason, minlength=len(RULES) + 1)
    confident = np.bincount(matches.reason[errors.confident], minlength=len(RULES) + 1)
    copies = [[0, int(predictions.repeated().sum())]]
    return np.concatenate([np.stack([truths[1:], confident[1:]], axis=1), copies]).astype(np.int64)


def _rule_counts(counted: Iterable[NDArray[np.int64]]) -> dict[str, dict[str, int]]:
    """Return the counts by rule, for rules that were used, in the order of their first use."""
    used: dict[str, dict[str, int]] = {}
    for one in counted:
        for rule, (truths, predictions) in zip((*RULES, COPIES), one.tolist(), strict=True):
            if truths or predictions:
                before = used.get(rule, {"truths": 0, "predictions": 0})
                used[rule] = {
                    "truths": before["truths"] + truths,
                    "predictions": before["predictions"] + predictions,
                }
    return used


def _tables(
    predictions: Detections, truth: Detections, errors: Errors, hard: RowMasks, fractions: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows by class and by size, see :class:`Tally`."""
    sizes = _sizes(predictions, fractions=fractions), _sizes(truth, fractions=fractions)
    by_class = _table((predictions.label, truth.label), len(truth.classes), errors, hard)
    return by_class, _table(sizes, len(SIZES), errors, hard)


def _sizes(table: Detections, *, fractions: bool) -> NDArray[np.int8]:
    """Return the size of every box, block by block."""
    sizes = np.empty(len(table), dtype=np.int8)
    for rows in _blocks(len(table)):
        sizes[rows] = sizes_of(table.xyxy[rows], fractions=fractions)
    return sizes


def _table(groups: Labels, n_groups: int, errors: Errors, hard: RowMasks) -> NDArray[np.int64]:
    """Return predictions, truths and mined rows of each group by name, ``(3, n_groups, names)`` int64."""
    mined = _by_name(groups[0][hard[0]], errors.prediction[hard[0]], n_groups)
    mined += _by_name(groups[1][hard[1]], errors.truth[hard[1]], n_groups)
    found, missed = _by_name(groups[0], errors.prediction, n_groups), _by_name(groups[1], errors.truth, n_groups)
    return np.stack([found, missed, mined])


def _counts(table: NDArray[np.int64], names: Sequence[str]) -> dict[str, Counts]:
    """Return the counts per group."""
    found, missed, mined = table
    columns = (
        found.sum(axis=1),
        found.sum(axis=1) - found[:, BELOW_THRESHOLD] - found[:, IGNORED],
        found[:, TRUE_POSITIVE],
        found[:, LOCALIZATION:].sum(axis=1),
        missed[:, LOCALIZATION:].sum(axis=1),
        found[:, IGNORED],
        mined[:, LOCALIZATION:].sum(axis=1),
        mined[:, TRUE_POSITIVE],
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {name: Counts(*row) for name, row in zip(names, rows, strict=True)}


def _by_name(group: NDArray[np.integer[Any]], code: NDArray[np.int8], n_groups: int) -> NDArray[np.int64]:
    """Return how many rows of each group have each name of ``ROW_NAMES``, ``(n_groups, names)`` int64."""
    k = len(ROW_NAMES)
    counts = np.zeros(n_groups * k, dtype=np.int64)
    for rows in _blocks(len(code)):
        counts += np.bincount(group[rows].astype(np.int64) * k + code[rows], minlength=len(counts))
    return counts.reshape(n_groups, k)


def _blocks(n: int) -> list[slice]:
    return [slice(start, start + ROWS_AT_ONCE) for start in range(0, n, ROWS_AT_ONCE)]
