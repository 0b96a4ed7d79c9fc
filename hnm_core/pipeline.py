"""The one staircase: tables in, everything that mining knows about them out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .accounting import are_fractions, count_classes, count_errors, count_sizes, weighting
from .columns import Detections
from .matching import Matches, match_detections
from .pooling import add_shares, object_shares
from .report import Counts, MiningReport
from .selection import Candidates, cap_of, number_groups, select_hardest
from .settings import MiningSettings
from .strategies import Evidence, find_strategy, score_difficulty
from .suspicion import prior_suspicion
from .taxonomy import ROW_NAMES, Errors, classify_errors
from .weights import SampleWeights, class_repeat_factors, weigh_images

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
        by_key: ``(images,)`` int64, the images in the order of their keys.
        notes: what bit on the way, in sentences.
    """

    mined: Candidates
    candidates: int
    cap: int
    by_key: NDArray[np.int64]
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
        report: counts, rates and what the weights do.
    """

    image_scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    repeats: NDArray[np.int64]
    hard_images: NDArray[np.bool_]
    report: MiningReport


def mine(
    predictions: Detections,
    truth: Detections,
    settings: MiningSettings | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
) -> MiningResult:
    """Find where a detector is confidently wrong, and weigh the images by it.

    Match, name every row, score its difficulty, take the hardest within the cap, pool them to image scores, weigh
    the images. The result does not depend on the order of images, nor (scores being distinct) of rows.

    Args:
        predictions: scored boxes, kept down to a low confidence if the detector allows (.01 is good).
        truth: ground truth over the same images and classes.
        settings: every knob; None for the defaults.
        groups: a key per image, such as its scene or video, for ``max_per_group``.

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
    found = find(predictions, truth, settings, groups=groups)
    mined = found.mined.take(np.argsort(found.mined.code, kind="stable"))  # chance has no say in whose share is larger
    found = replace(found, mined=mined)
    effective = mined.difficulty * (1.0 - found.mined_suspicion * found.settings.use_suspicion)
    shares = object_shares(mined.image, effective)
    scores = add_shares(mined.image, shares, len(truth.images))
    weighed = _weigh(scores, truth, found.by_key, found.settings)
    report = report_of([found])
    return MiningResult(
        **{f.name: getattr(found, f.name) for f in fields(MinedRows)},
        image_scores=scores,
        weights=weighed.weights,
        repeats=weighed.repeats,
        hard_images=weighed.hard,
        report=replace(report, weighting=weighting(truth, mined, shares, weighed), notes=report.notes + weighed.notes),
    )


def find(
    predictions: Detections,
    truth: Detections,
    settings: MiningSettings | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
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

    by_key = np.argsort(np.array(truth.images, dtype=str), kind="stable")
    candidates = Candidates.of(predictions, truth, errors, difficulty)
    cap = cap_of(errors, settings.hard_negative_ratio)
    group = None if groups is None else number_groups(groups, len(truth.images))
    mined, notes = select_hardest(candidates, cap, settings, _inverse(by_key), group)
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
        by_key=by_key,
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


def _weigh(
    scores: NDArray[np.float64], truth: Detections, by_key: NDArray[np.int64], settings: MiningSettings
) -> SampleWeights:
    """Weigh the images in the order of their keys, so that ties and rounding do not depend on the table's order."""
    factors = None
    if settings.repeat_threshold > 0:
        factors = class_repeat_factors(truth, settings.repeat_threshold)[by_key]
    background = np.bincount(truth.image, minlength=len(scores)) == 0
    done = weigh_images(scores[by_key], settings, background=background[by_key], class_factors=factors)
    back = _inverse(by_key)
    return SampleWeights(done.weights[back], done.repeats[back], done.hard[back], done.notes)


def _inverse(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each element went."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place
