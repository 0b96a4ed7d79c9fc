"""The one staircase: tables in, everything that mining knows about them out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .columns import Detections
from .matching import Matches, match_detections
from .pooling import add_shares, object_shares
from .report import Counts, MiningReport, Weighting, ratio
from .settings import MiningSettings
from .strategies import Difficulty, Evidence, score_difficulty
from .suspicion import prior_suspicion
from .taxonomy import ERROR_TYPES, IGNORED, ROW_NAMES, TRUE_POSITIVE, Errors, classify_errors
from .weights import SampleWeights, class_repeat_factors, effective_sample_size, weigh_images

__all__ = ["MiningResult", "mine"]


@dataclass(frozen=True, eq=False)
class MiningResult:
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
        prediction_suspicion: ``(n,)`` float64, probability that the label is wrong; NaN where a row is no mistake.
        truth_suspicion: ``(m,)``, likewise.
        image_scores: ``(images,)`` float64 in ``[0, 1]``, higher is harder.
        weights: ``(images,)`` float64 ≥ 1.
        repeats: ``(images,)`` int64 ≥ 1.
        hard_images: ``(images,)`` bool, the images that got extra weight for their mistakes.
        report: counts, rates and what the weights do.
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
    prediction_suspicion: NDArray[np.float64]
    truth_suspicion: NDArray[np.float64]
    image_scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    repeats: NDArray[np.int64]
    hard_images: NDArray[np.bool_]
    report: MiningReport

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


def mine(predictions: Detections, truth: Detections, settings: MiningSettings | None = None) -> MiningResult:
    """Find where a detector is confidently wrong, and weigh the images by it.

    Match, name every row, score its difficulty, take the hardest within the cap, pool them to image scores, weigh
    the images. The result does not depend on the order of images, nor (scores being distinct) of rows.

    Args:
        predictions: scored boxes, kept down to a low confidence if the detector allows (.01 is good).
        truth: ground truth over the same images and classes.
        settings: every knob; None for the defaults.

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
    settings = settings or MiningSettings()
    matches = match_detections(predictions, truth, settings)
    errors = classify_errors(predictions, truth, matches, settings)
    difficulty = score_difficulty(Evidence(predictions, truth, matches, errors, settings))
    by_key = np.argsort(np.array(truth.images, dtype=str), kind="stable")
    cap = _cap(errors, settings.hard_negative_ratio)
    hard = _take_hardest(predictions, truth, errors, difficulty, by_key, cap)
    suspicion = prior_suspicion(errors)

    objects = _Objects.of(predictions, truth, errors, difficulty, hard, suspicion, settings.use_suspicion)
    scores = add_shares(objects.image, objects.share, len(truth.images))
    weighed = _weigh(scores, truth, by_key, settings)
    return MiningResult(
        predictions=predictions,
        truth=truth,
        settings=settings,
        matches=matches,
        errors=errors,
        prediction_difficulty=difficulty.prediction,
        truth_difficulty=difficulty.truth,
        prediction_hard=hard[0],
        truth_hard=hard[1],
        prediction_suspicion=suspicion[0],
        truth_suspicion=suspicion[1],
        image_scores=scores,
        weights=weighed.weights,
        repeats=weighed.repeats,
        hard_images=weighed.hard,
        report=_report(predictions, truth, errors, difficulty, hard, cap, objects, weighed, settings),
    )


@dataclass(frozen=True, eq=False)
class _Objects:
    """The mined rows of both tables; by error, so that of equally hard ones it is not chance whose share is larger."""

    image: NDArray[np.int64]
    code: NDArray[np.int8]
    suspicion: NDArray[np.float64]
    share: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        predictions: Detections,
        truth: Detections,
        errors: Errors,
        difficulty: Difficulty,
        hard: tuple[NDArray[np.bool_], NDArray[np.bool_]],
        suspicion: tuple[NDArray[np.float64], NDArray[np.float64]],
        use_suspicion: bool,
    ) -> _Objects:
        image = np.concatenate([predictions.image[hard[0]], truth.image[hard[1]]])
        suspected = np.nan_to_num(np.concatenate([suspicion[0][hard[0]], suspicion[1][hard[1]]]))  # lucky hits: 0
        effective = np.concatenate([difficulty.prediction[hard[0]], difficulty.truth[hard[1]]])
        if use_suspicion:
            effective = effective * (1.0 - suspected)
        code = np.concatenate([errors.prediction[hard[0]], errors.truth[hard[1]]])
        order = np.argsort(code, kind="stable")
        image, code, suspected = image[order], code[order], suspected[order]
        return cls(image, code, suspected, object_shares(image, effective[order]))


def _cap(errors: Errors, share: float) -> int:
    """How many objects may be mined: max(1, ⌈ρ · (confident predictions + false negatives)⌉)."""
    among = int(errors.confident.sum()) + int(errors.false_negative.sum())
    return max(1, math.ceil(round(share * among, 9)))


def _take_hardest(
    predictions: Detections,
    truth: Detections,
    errors: Errors,
    difficulty: Difficulty,
    by_key: NDArray[np.int64],
    cap: int,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The hardest candidates within the cap; of equals false positives first, then score, image key, box."""
    d = np.concatenate([difficulty.prediction, difficulty.truth])
    with np.errstate(invalid="ignore"):
        hard = d > 0
    n = len(predictions)
    if np.count_nonzero(hard) > cap:
        edge = -np.partition(-d[hard], cap - 1)[cap - 1]
        tied = np.flatnonzero(d == edge)
        with np.errstate(invalid="ignore"):
            hard = d > edge
        order = _tie_order(predictions, truth, errors, by_key, tied)
        hard[tied[order][: cap - np.count_nonzero(hard)]] = True
    return hard[:n], hard[n:]


def _tie_order(
    predictions: Detections,
    truth: Detections,
    errors: Errors,
    by_key: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Order of rows (predictions, then truths, numbered on) that are equally hard; only twins are left to chance."""
    assert predictions.score is not None  # matching saw to it
    place = np.empty(len(by_key), dtype=np.int64)
    place[by_key] = np.arange(len(by_key))
    mine, theirs = rows[rows < len(predictions)], rows[rows >= len(predictions)] - len(predictions)
    other = np.concatenate([~errors.false_positive[mine], np.ones(len(theirs), dtype=bool)])
    score = np.concatenate([predictions.score[mine], np.zeros(len(theirs))])
    image = np.concatenate([predictions.image[mine], truth.image[theirs]])
    label = np.concatenate([predictions.label[mine], truth.label[theirs]])
    x0, y0, x1, y1 = np.concatenate([predictions.xyxy[mine], truth.xyxy[theirs]]).T
    return np.lexsort((label, y1, x1, y0, x0, place[image], -score, other))


def _weigh(
    scores: NDArray[np.float64], truth: Detections, by_key: NDArray[np.int64], settings: MiningSettings
) -> SampleWeights:
    """Weigh the images in the order of their keys, so that ties and rounding do not depend on the table's order."""
    factors = None
    if settings.repeat_threshold > 0:
        factors = class_repeat_factors(truth, settings.repeat_threshold)[by_key]
    background = np.bincount(truth.image, minlength=len(scores)) == 0
    done = weigh_images(scores[by_key], settings, background=background[by_key], class_factors=factors)
    back = np.empty(len(by_key), dtype=np.int64)
    back[by_key] = np.arange(len(by_key))
    return SampleWeights(done.weights[back], done.repeats[back], done.hard[back], done.notes)


def _report(
    predictions: Detections,
    truth: Detections,
    errors: Errors,
    difficulty: Difficulty,
    hard: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    cap: int,
    objects: _Objects,
    weighed: SampleWeights,
    settings: MiningSettings,
) -> MiningReport:
    classes = _count_classes(predictions, truth, errors, hard)
    with np.errstate(invalid="ignore"):
        candidates = np.count_nonzero(difficulty.prediction > 0) + np.count_nonzero(difficulty.truth > 0)
    return MiningReport(
        images=len(truth.images),
        counts=sum(classes.values(), Counts()),
        errors=_count_errors(errors, objects),
        classes=classes,
        candidates=int(candidates),
        cap=cap,
        expected_label_errors=float(objects.suspicion.sum()),
        suspicion_used=settings.use_suspicion,
        weighting=_weighting(truth, objects, weighed),
        notes=weighed.notes,
    )


def _count_classes(
    predictions: Detections,
    truth: Detections,
    errors: Errors,
    hard: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> dict[str, Counts]:
    def per_class(table: Detections, rows: NDArray[np.bool_]) -> list[int]:
        counts: list[int] = np.bincount(table.label[rows], minlength=len(table.classes)).tolist()
        return counts

    columns = (
        per_class(predictions, np.ones(len(predictions), dtype=bool)),
        per_class(predictions, errors.confident),
        per_class(predictions, errors.prediction == TRUE_POSITIVE),
        per_class(predictions, errors.false_positive),
        per_class(truth, errors.false_negative),
        per_class(predictions, errors.prediction == IGNORED),
        np.add(per_class(predictions, hard[0] & errors.false_positive), per_class(truth, hard[1])).tolist(),
        per_class(predictions, hard[0] & ~errors.false_positive),
    )
    return {name: Counts(*row) for name, row in zip(truth.classes, zip(*columns, strict=True), strict=True)}


def _count_errors(errors: Errors, objects: _Objects) -> dict[str, dict[str, int]]:
    n = len(ROW_NAMES)
    columns = zip(
        np.bincount(errors.prediction, minlength=n).tolist(),
        np.bincount(errors.truth, minlength=n).tolist(),
        np.bincount(objects.code, minlength=n).tolist(),
        strict=True,
    )
    rows = dict(zip(ROW_NAMES, columns, strict=True))
    keys = ("false_positives", "false_negatives", "hard_negatives")
    return {name: dict(zip(keys, rows[name], strict=True)) for name in ERROR_TYPES}


def _weighting(truth: Detections, objects: _Objects, weighed: SampleWeights) -> Weighting:
    w = weighed.weights
    n, total = len(w), float(w.sum())
    owed = np.bincount(objects.image, objects.share, minlength=n)[objects.image]
    extra = np.divide((w[objects.image] - 1.0) * objects.share, owed, out=np.zeros(len(owed)), where=owed > 0)
    by_code = np.bincount(objects.code, extra, minlength=len(ROW_NAMES))
    names = ["lucky_hit" if name == "true_positive" else name for name in ROW_NAMES]
    empty = np.bincount(truth.image, minlength=n) == 0
    before = np.bincount(truth.label, minlength=len(truth.classes))
    after = np.bincount(truth.label, w[truth.image], minlength=len(truth.classes))
    return Weighting(
        hard_images=int(weighed.hard.sum()),
        mean_weight=ratio(total, n) or 1.0,
        effective_sample_size=effective_sample_size(w),
        effective_sample_size_of_repeats=effective_sample_size(weighed.repeats),
        background_share=ratio(float(w[empty].sum()), total),
        extra_by_error={
            name: float(share)
            for name, share in zip(names, by_code / max(by_code.sum(), 1e-12), strict=True)
            if share > 0
        },
        class_exposure={
            name: float(a / b * n / total) for name, a, b in zip(truth.classes, after, before, strict=True) if b
        },
    )
