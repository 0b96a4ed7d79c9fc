"""The result of mining: rows, image scores, weights and report, aligned with the tables that were given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .boxes import unit_of
from .counting import CountedRows, RecallCurve, ThresholdCounts
from .labels.estimate import Estimate, estimate_labels, with_estimate
from .labels.evidence_weights import at_rows
from .labels.mistakes import Mistakes, mistake_rows
from .labels.reviews import STATES, UNREVIEWED, Reviews
from .labels.settled import Settled
from .report import MiningReport
from .selection.mined import MinedPart, MinedRows
from .settings import MiningSettings
from .strategies import Difficulty
from .weighting.images import Images

__all__ = ["MiningResult"]


class Mined(Protocol):
    """What reports and files need of a mining, whether its rows lie in one place or in many."""

    @property
    def settings(self) -> MiningSettings: ...
    @property
    def report(self) -> MiningReport: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def unit(self) -> str: ...
    @property
    def max_per_group(self) -> int: ...
    @property
    def reviews(self) -> Reviews | None: ...
    @property
    def kinds(self) -> tuple[str, ...]: ...
    @property
    def image_scores(self) -> NDArray[np.float64]: ...
    @property
    def weights(self) -> NDArray[np.float64]: ...
    @property
    def repeats(self) -> NDArray[np.int64]: ...
    @property
    def hard_counts(self) -> NDArray[np.int64]: ...
    @property
    def mined_difficulty(self) -> NDArray[np.float64]: ...
    @property
    def thresholds(self) -> ThresholdCounts: ...
    def images(self) -> Sequence[str]: ...
    def hardest_first(self, rows: int = ...) -> Iterator[MinedPart]: ...
    @property
    def hard_images(self) -> NDArray[np.bool_]: ...
    @property
    def recall_curve(self) -> RecallCurve: ...
    @property
    def label_digests(self) -> NDArray[np.uint64]: ...
    def counted(self, name: str) -> Iterator[NDArray[Any]]: ...
    def ask_cells(self, name: str, *args: Any) -> Sequence[Any]: ...


@dataclass(frozen=True, eq=False)
class MiningResult(CountedRows):
    """The result of mining, aligned with the rows of the two tables that were given.

    Attributes:
        predictions: the table of predictions, ``n`` rows.
        truth: the table of truths, ``m`` rows.
        settings: the settings it was mined with.
        matches: the match table.
        errors: the error type of every row, as a code.
        prediction_difficulty: ``(n,)`` float64 in ``[0, 1]``, NaN where a row is not a candidate.
        truth_difficulty: ``(m,)``, likewise.
        prediction_hard: ``(n,)`` bool, the mined rows: candidates of difficulty above 0, within the cap.
        truth_hard: ``(m,)``, likewise.
        groups: ``(images,)`` int64, number of each image's group; None if no groups were given.
        max_per_group: at most this many objects of a group are mined, 0 for no limit.
        second_predictions: another model's predictions; None if none were given.
        image_scores: ``(images,)`` float64 in ``[0, 1]``, higher is harder.
        weights: ``(images,)`` float64 ≥ 1.
        repeats: ``(images,)`` int64 ≥ 1.
        hard_images: ``(images,)`` bool, images with a higher weight because of their mistakes.
        estimate: the estimated label errors; its rows are those of :attr:`mistakes`.
        reviews: the reviews that were given, or None.
        evidence: the evidence that was given, by kind.
        twins: ``(n,)`` and ``(m,)`` int64, twins have the same number within their table; None if there are none.
        settled: reviewed label errors that are put right since.
        report: counts, rates and the effect of the weights.
    """

    image_scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    repeats: NDArray[np.int64]
    hard_images: NDArray[np.bool_]
    estimate: Estimate
    reviews: Reviews | None
    evidence: Mapping[str, Any]
    twins: tuple[NDArray[np.int64], NDArray[np.int64]] | None
    settled: Settled
    report: MiningReport

    @classmethod
    def of(
        cls,
        found: MinedRows,
        answers: NDArray[np.int8] | None,
        images: Images,
        counted: MiningReport,
        reviews: Reviews | None,
        evidence: Mapping[str, Any],
        twins: tuple[NDArray[np.int64], NDArray[np.int64]] | None,
        settled: Settled,
    ) -> MiningResult:
        """Estimate the label errors of mined rows, and weigh the images.

        Args:
            found: the mined rows.
            answers: ``(k,)`` on every mistake, rows of the predictions first; None without reviews.
            images: the images of ``found.truth``.
            counted: the report of ``found``, before any estimate.
            reviews: what ``answers`` were taken from.
            evidence: per kind, for the rows of both tables, see :func:`~hnm_core.pipeline.mine`.
            twins: likewise.
            settled: reviewed label errors that are put right.

        Raises:
            ValueError: if a kind of evidence, or the twins, do not have one number per row.
        """
        lengths = len(found.predictions), len(found.truth)
        if twins is not None and tuple(map(len, twins)) != lengths:
            got, (n, m) = " and ".join(str(len(side)) for side in twins), lengths
            raise ValueError(f"twins have {got} numbers, expected {n} and {m}: one number per row")
        mistakes = _mistakes_of(found, twins)
        rows = mistake_rows(found.errors, (found.prediction_hard, found.truth_hard))
        columns = at_rows(evidence, lengths, rows)
        settled = settled.with_evidence(evidence, lengths).with_twins(twins)
        estimate = estimate_labels(mistakes, answers, images, found.settings, evidence=columns, settled=settled)
        report = counted if reviews is None and not evidence else with_estimate(counted, estimate)
        return cls(
            **{f.name: getattr(found, f.name) for f in fields(MinedRows)},
            image_scores=estimate.image_scores,
            weights=estimate.weights,
            repeats=estimate.repeats,
            hard_images=estimate.hard_images,
            estimate=estimate,
            reviews=reviews,
            evidence=dict(evidence),
            twins=twins,
            settled=settled,
            report=replace(report, weighting=estimate.weighting, notes=report.notes + estimate.notes),
        )

    def with_evidence(
        self, evidence: Mapping[str, Any], twins: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    ) -> MiningResult:
        """Return the result that :func:`~hnm_core.pipeline.mine` gives with this evidence, without mining again.

        Evidence changes suspicion, scores, weights and report. It does not change which objects are mined.

        Args:
            evidence: per kind ``(n,)`` log-likelihood ratios of the predictions, or a pair of ``(n,)`` and ``(m,)``
                with those of the truths; NaN is no evidence. A kind that the result has already is replaced.
            twins: numbers of the rows, ``(n,)`` and ``(m,)``; None keeps those that the result has.

        Raises:
            ValueError: if a kind, or the twins, do not have one number per row.

        Example:
            >>> from hnm_core import Detections, mine
            >>> world = dict(images=["a"], classes=["cat"])
            >>> predictions = Detections([0], [[0, 0, 9, 9]], [0], [0.9], **world)
            >>> result = mine(predictions, Detections.empty(**world))
            >>> believed = result.with_evidence({"second_model": [2.0]})
            >>> result.prediction_suspicion.round(2).tolist(), believed.prediction_suspicion.round(2).tolist()
            ([0.8], [0.97])
        """
        notes = self.report.notes[: len(self.report.notes) - len(self.estimate.notes)]
        return MiningResult.of(
            self,
            None if self.reviews is None else self.estimate.suspicions.answers,
            Images.of(self.truth),
            replace(self.report, notes=notes),
            self.reviews,
            {**self.evidence, **evidence},
            self.twins if twins is None else twins,
            self.settled,
        )

    @property
    def mistakes(self) -> Mistakes:
        """Return all mistakes and mined lucky hits, predictions first: the rows of :attr:`estimate`."""
        return _mistakes_of(self, self.twins)

    @property
    def prediction_suspicion(self) -> NDArray[np.float64]:
        """``(n,)`` float64, estimated probability that the label is wrong; NaN where a row is not a mistake."""
        return self._suspicion()[0]

    @property
    def truth_suspicion(self) -> NDArray[np.float64]:
        """``(m,)``, the same for truths."""
        return self._suspicion()[1]

    @property
    def prediction_state(self) -> NDArray[np.str_]:
        """``(n,)`` review state of each mistake; ``unreviewed`` on mined rows without a review, empty elsewhere."""
        return self._states()[0]

    @property
    def truth_state(self) -> NDArray[np.str_]:
        """``(m,)``, the same for truths."""
        return self._states()[1]

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class name per label."""
        return self.truth.classes

    @property
    def unit(self) -> str:
        """Return the unit of the boxes, ``pixels`` or ``fractions``."""
        return unit_of(self.predictions.xyxy, self.truth.xyxy)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of evidence."""
        return tuple(self.evidence)

    def images(self) -> Sequence[str]:
        """Return the keys of all images."""
        return self.truth.images

    def hardest_first(self, rows: int = 0) -> Iterator[MinedPart]:
        """Yield the mined rows in the order in which they are mined: all of :attr:`hardest`, whatever ``rows`` is."""
        yield self.hardest

    @cached_property
    def hardest(self) -> MinedPart:
        """Return the mined rows in the order in which they are mined."""
        rows, states = self._split(self.estimate.suspicions.state)
        mined = [np.flatnonzero(hard) for hard in self._hard]
        of_mined = [state[np.searchsorted(of, at)] for state, of, at in zip(states, rows, mined, strict=True)]
        found = self.part(mined, of_mined)
        return MinedPart.hardest_first([found], len(found), Images.of(self.truth).place)

    def counted(self, name: str) -> Iterator[NDArray[Any]]:
        """Yield a column of the rows that count, in one piece: all mistakes and mined lucky hits, predictions first.

        Args:
            name: of a column of :class:`~hnm_core.selection.mined.MinedPart`, or ``mined``.
        """
        rows = mistake_rows(self.errors, self._hard)
        if name == "mined":
            yield np.concatenate([hard[at] for hard, at in zip(self._hard, rows, strict=True)])
        else:
            yield getattr(self._counted, name)

    @cached_property
    def _counted(self) -> MinedPart:
        return self.part(*self._split(self.estimate.suspicions.state))

    @property
    def _hard(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return self.prediction_hard, self.truth_hard

    def _suspicion(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        sides = np.full(len(self.predictions), np.nan), np.full(len(self.truth), np.nan)
        value = np.where(self.estimate.suspicions.stratum >= 0, self.estimate.suspicion, np.nan)
        for side, rows, values in zip(sides, *self._split(value), strict=True):
            side[rows] = values
        return sides

    def _states(self) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
        names = np.array(STATES)
        sides = np.zeros(len(self.predictions), names.dtype), np.zeros(len(self.truth), names.dtype)
        parts = self._split(self.estimate.suspicions.state)
        for side, mined, rows, state in zip(sides, self._hard, *parts, strict=True):
            side[rows] = np.where(mined[rows] | (state != UNREVIEWED), names[state], "")
        return sides

    def _split(self, column: NDArray[Any]) -> tuple[tuple[NDArray[np.int64], ...], list[NDArray[Any]]]:
        """Return the rows of the mistakes in both tables, and a column of the mistakes split into these two parts."""
        rows = mistake_rows(self.errors, self._hard)
        return rows, np.split(column, [len(rows[0])])


def _mistakes_of(found: MinedRows, twins: tuple[NDArray[np.int64], NDArray[np.int64]] | None) -> Mistakes:
    difficulty = Difficulty(found.prediction_difficulty, found.truth_difficulty)
    hard = found.prediction_hard, found.truth_hard
    return Mistakes.of(found.predictions, found.truth, found.errors, difficulty, hard, twins)
