"""The one staircase: tables in, everything that mining knows about them out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .accounting import are_fractions, count_classes, count_errors, count_sizes
from .calibration import at_rows
from .columns import Detections
from .imageset import Images
from .judging import Judgement, Mistakes, judge, mistake_rows, without_ignored
from .matching import Matches, match_detections
from .report import Counts, MiningReport
from .reviews import STATES, UNREVIEWED, Reviews, inherit_reviews
from .selection import Candidates, cap_of, number_groups, select_hardest
from .settings import MiningSettings
from .strategies import Difficulty, Evidence, find_strategy, score_difficulty
from .suspicion import prior_suspicion
from .taxonomy import ROW_NAMES, Errors, classify_errors

__all__ = ["Finding", "MinedRows", "MiningResult", "find", "mine", "report_of"]


@dataclass(frozen=True, eq=False)
class MinedRows:
    """What is known of every row of the two tables that were mined; see :class:`MiningResult`."""

    predictions: Detections
    truth: Detections
    settings: MiningSettings
    matches: Matches
    errors: Errors
    prediction_difficulty: NDArray[np.float64]
    truth_difficulty: NDArray[np.float64]
    prediction_hard: NDArray[np.bool_]
    truth_hard: NDArray[np.bool_]

    @property
    def prediction_error(self) -> NDArray[np.str_]:
        """``(n,)`` name of every prediction: an error type, or ``true_positive``, ``below_threshold``, ``ignored``."""
        return np.array(ROW_NAMES)[self.errors.prediction]

    @property
    def truth_error(self) -> NDArray[np.str_]:
        """``(m,)`` name of every truth: ``missed``, ``localization``, ``classification``, or what is no error."""
        return np.array(ROW_NAMES)[self.errors.truth]

    @property
    def prediction_type(self) -> NDArray[np.str_]:
        """``(n,)`` the mined rows' type, ``false_positive`` or ``lucky_hit``; empty for all others."""
        kind = np.where(self.errors.false_positive, "false_positive", "lucky_hit")
        return np.where(self.prediction_hard, kind, "")

    @property
    def truth_type(self) -> NDArray[np.str_]:
        """``(m,)`` the mined rows' type, ``false_negative``; empty for all others."""
        return np.where(self.truth_hard, "false_negative", "")

    @property
    def prediction_suspicion(self) -> NDArray[np.float64]:
        """``(n,)`` probability that the label is wrong rather than the model; NaN where a row is no mistake."""
        return prior_suspicion(self.errors.prediction)

    @property
    def truth_suspicion(self) -> NDArray[np.float64]:
        """``(m,)``, likewise."""
        return prior_suspicion(self.errors.truth)

    @property
    def prediction_iou(self) -> NDArray[np.float64]:
        """``(n,)`` best IoU of each prediction with any truth of its image, a = max(u, v)."""
        return self.matches.iou

    @property
    def prediction_near(self) -> NDArray[np.int32]:
        """``(n,)`` row of the truth with that IoU; its own class first, -1 for none."""
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

    @property
    def hard_counts(self) -> NDArray[np.int64]:
        """``(images,)`` mined objects in each image."""
        n = len(self.truth.images)
        found = np.bincount(self.predictions.image[self.prediction_hard], minlength=n)
        return found + np.bincount(self.truth.image[self.truth_hard], minlength=n)


@dataclass(frozen=True, eq=False)
class Finding(MinedRows):
    """The rows, and what a report needs to count them; what the images are worth is not asked yet.

    Attributes:
        mined: the mined objects.
        candidates: number of mistakes with a difficulty above 0.
        cap: how many of them may be mined.
        images: what weighing needs to know of the images.
        states: ``(n,)`` and ``(m,)`` int8, what people said of every row; None where nobody was asked.
        notes: what bit on the way, in sentences.
    """

    mined: Candidates
    candidates: int
    cap: int
    images: Images
    states: tuple[NDArray[np.int8], NDArray[np.int8]] | None
    notes: tuple[str, ...]

    @property
    def mined_suspicion(self) -> NDArray[np.float64]:
        """Suspicion of the mined objects; 0 for lucky hits."""
        return np.nan_to_num(prior_suspicion(self.mined.code))


@dataclass(frozen=True, eq=False)
class MiningResult(MinedRows):
    """Everything mining found, aligned with the rows of the two tables it was given.

    Attributes:
        predictions: the table of predictions, ``n`` rows.
        truth: the table of truths, ``m`` rows.
        settings: what was asked for.
        matches: who found whom.
        errors: a code per row.
        prediction_difficulty: ``(n,)`` float64 in ``[0, 1]``, NaN where a row is no candidate.
        truth_difficulty: ``(m,)``, likewise.
        prediction_hard: ``(n,)`` bool, the mined rows: candidates of difficulty above 0, within the cap.
        truth_hard: ``(m,)``, likewise.
        image_scores: ``(images,)`` float64 in ``[0, 1]``, higher is harder.
        weights: ``(images,)`` float64 ≥ 1.
        repeats: ``(images,)`` int64 ≥ 1.
        hard_images: ``(images,)`` bool, the images that got extra weight for their mistakes.
        judgement: whose each mistake is, after what people said, and what follows from it; its rows are those of
            :attr:`mistakes`.
        reviews: what people had said.
        evidence: what was given to narrow suspicion.
        report: counts, rates and what the weights do.
    """

    image_scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    repeats: NDArray[np.int64]
    hard_images: NDArray[np.bool_]
    judgement: Judgement
    reviews: Reviews | None
    evidence: Mapping[str, Any]
    report: MiningReport

    @property
    def mistakes(self) -> Mistakes:
        """Every mistake and every mined lucky hit, rows of the predictions first; what the judgement is of."""
        difficulty = Difficulty(self.prediction_difficulty, self.truth_difficulty)
        return Mistakes.of(self.predictions, self.truth, self.errors, difficulty, self._hard)

    @property
    def prediction_suspicion(self) -> NDArray[np.float64]:
        """``(n,)`` probability that the label is wrong rather than the model; NaN where a row is no mistake."""
        return self._suspicion()[0]

    @property
    def truth_suspicion(self) -> NDArray[np.float64]:
        """``(m,)``, likewise."""
        return self._suspicion()[1]

    @property
    def prediction_state(self) -> NDArray[np.str_]:
        """``(n,)`` what a person said of each mistake; ``unreviewed`` on mined rows nobody judged, empty elsewhere."""
        return self._states()[0]

    @property
    def truth_state(self) -> NDArray[np.str_]:
        """``(m,)``, likewise."""
        return self._states()[1]

    @property
    def _hard(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return self.prediction_hard, self.truth_hard

    def _suspicion(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        sides = np.full(len(self.predictions), np.nan), np.full(len(self.truth), np.nan)
        value = np.where(self.judgement.suspicions.stratum >= 0, self.judgement.suspicion, np.nan)
        for side, rows, values in zip(sides, *self._split(value), strict=True):
            side[rows] = values
        return sides

    def _states(self) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
        names = np.array(STATES)
        sides = np.zeros(len(self.predictions), names.dtype), np.zeros(len(self.truth), names.dtype)
        said = self._split(self.judgement.suspicions.state)
        for side, mined, rows, state in zip(sides, self._hard, *said, strict=True):
            side[rows] = np.where(mined[rows] | (state != UNREVIEWED), names[state], "")
        return sides

    def _split(self, column: NDArray[Any]) -> tuple[tuple[NDArray[np.int64], ...], list[NDArray[Any]]]:
        """The rows of the mistakes in both tables, and the two parts of a column of the mistakes."""
        rows = mistake_rows(self.errors, self._hard)
        return rows, np.split(column, [len(rows[0])])


def mine(
    predictions: Detections,
    truth: Detections,
    settings: MiningSettings | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
    reviews: Reviews | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> MiningResult:
    """Find where a detector is confidently wrong, and weigh the images by it.

    Match, name every row, score its difficulty, take the hardest within the cap, pool them to image scores, weigh
    the images. The result does not depend on the order of images, nor (scores being distinct) of rows.

    Args:
        predictions: scored boxes, kept down to a low confidence if the detector allows (.01 is good).
        truth: ground truth over the same images and classes.
        settings: every knob; None for the defaults.
        groups: a key per image, such as its scene or video, for ``max_per_group``.
        reviews: what people said of mistakes, of this run or of earlier ones. It takes the place of suspicion there
            and moves that of their like. What they said to ``ignore`` is no candidate; as a false positive or a miss
            it counts all the same.
        evidence: per kind what narrows suspicion: ``(n,)`` log-likelihood ratios of the predictions, or a pair of
            ``(n,)`` and ``(m,)`` with the truths'; NaN says nothing. See :mod:`hnm_core.calibration`, and
            :func:`hnm_core.appearance.appearance_evidence` for one that looks at the images.

    Raises:
        ValueError: if the tables do not fit each other or the settings.

    Example:
        >>> world = dict(images=["street", "field"], classes=["car"])
        >>> truth = Detections([0], [[0, 0, 10, 10]], [0], None, **world)
        >>> predictions = Detections([0, 1], [[0, 0, 10, 9], [5, 5, 9, 9]], [0, 0], [0.8, 0.9], **world)
        >>> result = mine(predictions, truth)
        >>> result.prediction_error.tolist(), result.prediction_difficulty.tolist()
        (['true_positive', 'background'], [nan, 0.9])
    """
    found = find(predictions, truth, settings, groups=groups, reviews=reviews)
    hard = found.prediction_hard, found.truth_hard
    difficulty = Difficulty(found.prediction_difficulty, found.truth_difficulty)
    mistakes = Mistakes.of(predictions, truth, found.errors, difficulty, hard)
    said = None
    rows = mistake_rows(found.errors, hard)
    if found.states is not None:
        said = _joined([state[at] for state, at in zip(found.states, rows, strict=True)])
    of_mistakes = at_rows(evidence or {}, (len(predictions), len(truth)), rows)
    judged = judge(mistakes, said, found.images, found.settings, evidence=of_mistakes)
    report = report_of([found])
    return MiningResult(
        **{f.name: getattr(found, f.name) for f in fields(MinedRows)},
        image_scores=judged.image_scores,
        weights=judged.weights,
        repeats=judged.repeats,
        hard_images=judged.hard_images,
        judgement=judged,
        reviews=reviews,
        evidence=dict(evidence or {}),
        report=replace(
            report if said is None and not evidence else after_looks(report, judged),
            weighting=judged.weighting,
            notes=report.notes + judged.notes,
        ),
    )


def after_looks(report: MiningReport, judged: Judgement) -> MiningReport:
    """The report after people looked, or evidence spoke."""
    return replace(
        report,
        expected_label_errors=judged.expected_label_errors,
        expected_interval=judged.expected_interval if judged.suspicions.looks else None,
        looks=judged.suspicions.looks,
        reviewed=judged.suspicions.reviewed,
        evidence=judged.suspicions.evidence,
    )


def find(
    predictions: Detections,
    truth: Detections,
    settings: MiningSettings | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
    reviews: Reviews | None = None,
) -> Finding:
    """The first half of :func:`mine`, with its arguments: the rows and which are mined, nothing counted or weighed.

    For images that come one by one: a weight says how an image stands among the others, and counting many at once,
    with :func:`report_of`, is quicker.
    """
    settings = settings or MiningSettings()
    find_strategy(settings.strategy)  # before the work, not after it
    matches = match_detections(predictions, truth, settings)
    errors = classify_errors(predictions, truth, matches, settings)
    difficulty = score_difficulty(Evidence(predictions, truth, matches, errors, settings))

    states = None if reviews is None else inherit_reviews(reviews, predictions, truth)
    if states is not None:
        difficulty = without_ignored(difficulty, states)
    images = Images.of(truth)
    candidates = Candidates.of(predictions, truth, errors, difficulty)
    cap = cap_of(errors, settings.hard_negative_ratio)
    group = None if groups is None else number_groups(groups, len(truth.images))
    mined, notes = select_hardest(candidates, cap, settings, images.place, group)
    hard = mined.masks(len(predictions), len(truth))
    return Finding(
        predictions=predictions,
        truth=truth,
        settings=settings,
        matches=matches,
        errors=errors,
        prediction_difficulty=difficulty.prediction,
        truth_difficulty=difficulty.truth,
        prediction_hard=hard[0],
        truth_hard=hard[1],
        mined=mined,
        candidates=len(candidates),
        cap=cap,
        images=images,
        states=states,
        notes=notes,
    )


def report_of(findings: Sequence[Finding], before: MiningReport | None = None) -> MiningReport:
    """The report of some findings, counted together and added to that of earlier ones; without weights.

    The numbers are the sums of those of each finding alone, to the last bit: in whatever portions they are counted.
    """
    report = before or MiningReport()
    for _, alike in groupby(findings, lambda f: are_fractions(f.predictions, f.truth)):  # what is small, depends on it
        report = report + _counted(list(alike))
    expected = before.expected_label_errors if before else 0.0
    for finding in findings:
        expected += float(np.sort(finding.mined_suspicion).sum())  # sorted: in whatever order they were mined
    return replace(report, expected_label_errors=expected)


def _counted(some: list[Finding]) -> MiningReport:
    """The report of findings whose boxes are in one unit, without expected label errors."""
    predictions, truth = _in_one([f.predictions for f in some]), _in_one([f.truth for f in some])
    errors = Errors(
        prediction=_joined([f.errors.prediction for f in some]),
        truth=_joined([f.errors.truth for f in some]),
        confident=_joined([f.errors.confident for f in some]),
    )
    hard = _joined([f.prediction_hard for f in some]), _joined([f.truth_hard for f in some])
    classes = count_classes(predictions, truth, errors, hard)
    return MiningReport(
        images=len(truth.images),
        counts=sum(classes.values(), Counts()),
        errors=count_errors(errors, hard),
        classes=classes,
        sizes=count_sizes(predictions, truth, errors, hard),
        candidates=sum(f.candidates for f in some),
        cap=sum(f.cap for f in some),
        suspicion_used=all(f.settings.use_suspicion for f in some),
        notes=tuple(dict.fromkeys(note for f in some for note in f.notes)),
    )


def _in_one(tables: list[Detections]) -> Detections:
    """The boxes of some tables, classes by name, images numbered anew: what can be counted, and no more."""
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
