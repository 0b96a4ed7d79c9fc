"""Mine two tables: match, classify errors, score difficulty, select, estimate label errors, weigh images."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import SIZES, are_fractions, check_units, sizes_of
from .columns import Detections, check_same_world
from .counting import report_of
from .labels.inheritance import inherit_answers
from .labels.mistakes import mistake_rows
from .labels.reviews import IGNORE, Reviews
from .labels.settled import Settled
from .matching.class_roles import class_roles, named_labels
from .matching.greedy import match_detections
from .matching.matches import Matches
from .result import MiningResult
from .selection.hardest import Candidates, cap_of, number_groups, select_hardest
from .selection.mined import MinedTables
from .settings import MAX_PER_GROUP, MiningSettings
from .strategies import Difficulty, StrategyInput, find_strategy, score_difficulty
from .taxonomy import Errors, classify_errors
from .weighting.images import Images

__all__ = ["Examined", "World", "examine", "find_mistakes", "mine"]


def mine(
    predictions: Detections,
    truth: Detections,
    settings: MiningSettings | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
    max_per_group: int = 0,
    reviews: Reviews | None = None,
    evidence: Mapping[str, Any] | None = None,
    twins: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    matches: Matches | None = None,
    second_predictions: Detections | None = None,
) -> MiningResult:
    """Find the confident mistakes of a detector and compute sample weights from them.

    The steps: match, classify errors, score difficulty, select the hardest within the cap, pool them to image scores,
    compute weights. The result does not depend on the order of images nor, if all scores differ, of rows.

    Args:
        predictions: scored boxes, kept down to a low confidence if the detector allows (.01 is good).
        truth: ground truth over the same images and classes.
        settings: None for the defaults.
        groups: a key per image, such as its scene or video.
        max_per_group: mine at most this many objects of a group, the hardest; 0 is no limit.
        reviews: reviews of mistakes, of this run or of earlier ones. Reviewed boxes use the person's answer; similar
            boxes are re-estimated. Boxes reviewed as ``ignore`` are not mined, but still count as errors.
        evidence: per kind ``(n,)`` log-likelihood ratios of the predictions, or a pair of ``(n,)`` and ``(m,)`` with
            those of the truths; NaN is no evidence. See :mod:`hnm_core.labels.evidence_weights`, and
            :func:`hnm_core.evidence.appearance.appearance_evidence` for one that reads the images.
        twins: ``(n,)`` and ``(m,)`` numbers: rows of a table with the same one show the same object in several images,
            and their reviews count as one. See :func:`hnm_core.evidence.near_crops.twins_of`.
        matches: the match table of these tables with these settings, if it is known; see
            :func:`hnm_core.matching.again.match_again`.
        second_predictions: another model's predictions on the same images and classes, for strategies that compare
            with it, such as ``learnability_based``; the result keeps them.

    Raises:
        ValueError: if the tables differ in images or classes, or do not fit the settings.

    Example:
        >>> world = dict(images=["street", "field"], classes=["car"])
        >>> truth = Detections([0], [[0, 0, 10, 10]], [0], None, **world)
        >>> predictions = Detections([0, 1], [[0, 0, 10, 9], [5, 5, 9, 9]], [0, 0], [0.8, 0.9], **world)
        >>> result = mine(predictions, truth)
        >>> result.prediction_error.tolist(), result.prediction_difficulty.tolist()
        (['true_positive', 'background'], [nan, 0.9])
    """
    known: dict[str, Any] = {"groups": groups, "max_per_group": max_per_group, "reviews": reviews, "matches": matches}
    found = find_mistakes(predictions, truth, settings, **known, second_predictions=second_predictions)
    answers = None
    if found.answers is not None:
        rows = mistake_rows(found.errors, (found.prediction_hard, found.truth_hard))
        answers = np.concatenate([side[at] for side, at in zip(found.answers, rows, strict=True)])
    known_of = found.images, report_of([found]), reviews, evidence or {}, twins, found.settled
    return MiningResult.of(found, answers, *known_of)


def find_mistakes(
    predictions: Detections,
    truth: Detections,
    settings: MiningSettings | None = None,
    *,
    groups: Sequence[Hashable] | None = None,
    max_per_group: int = 0,
    reviews: Reviews | None = None,
    matches: Matches | None = None,
    second_predictions: Detections | None = None,
) -> MinedTables:
    """Do the first half of :func:`mine`: find the mined rows, without report, estimate and weights.

    For images that come one by one: weights compare images, and :func:`~hnm_core.counting.report_of` counts many
    images together faster than each alone.
    """
    settings = settings or MiningSettings()
    found = examine(predictions, truth, settings, reviews, matches=matches, second_predictions=second_predictions)
    if not found.overlap:
        check_units(predictions.xyxy, truth.xyxy)
    images = Images.of(truth)
    candidates = Candidates.of(predictions, truth, found.errors, found.difficulty)
    cap = cap_of(int(found.errors.counted.sum()), int(found.errors.false_negative.sum()), settings)
    max_per_group = MAX_PER_GROUP.check(max_per_group)
    group = None if groups is None else number_groups(groups, len(truth.images))
    mined, notes = select_hardest(candidates, cap, settings, images.place, group, max_per_group)
    hard = mined.masks(len(predictions), len(truth))
    return MinedTables(
        predictions=predictions,
        truth=truth,
        settings=settings,
        matches=found.matches,
        errors=found.errors,
        prediction_difficulty=found.difficulty.prediction,
        truth_difficulty=found.difficulty.truth,
        prediction_hard=hard[0],
        truth_hard=hard[1],
        groups=group,
        max_per_group=max_per_group,
        second_predictions=second_predictions,
        mined=mined,
        candidates=len(candidates),
        cap=cap,
        images=images,
        answers=found.answers,
        settled=found.settled,
        notes=notes,
    )


@dataclass(frozen=True)
class World:
    """What a part of the data must know of the whole.

    Attributes:
        fractions: whether all boxes are fractions of their image, not pixels.
        named: the neutral classes that any prediction names, as labels.
    """

    fractions: bool
    named: frozenset[int]

    @classmethod
    def of(cls, predictions: Detections, truth: Detections, settings: MiningSettings) -> World:
        """Return what two tables say of themselves."""
        named = named_labels(predictions, class_roles(truth.classes, settings.neutral))
        return cls(are_fractions(predictions.xyxy, truth.xyxy), frozenset(named))

    def plus(self, other: World) -> World:
        """Return what these and further tables say together."""
        return World(self.fractions and other.fractions, self.named | other.named)


@dataclass(frozen=True, eq=False)
class Examined:
    """Matches, errors and difficulty of the rows of some whole images: all that needs no other image.

    Attributes:
        matches: the match table.
        errors: the name of every row.
        difficulty: of every row, NaN for rows that are no candidates.
        answers: ``(n,)`` and ``(m,)`` int8, what reviews say of the rows; None if none were given.
        settled: reviewed label errors that are put right.
    """

    matches: Matches
    errors: Errors
    difficulty: Difficulty
    answers: tuple[NDArray[np.int8], NDArray[np.int8]] | None
    settled: Settled

    @property
    def overlap(self) -> bool:
        """Return whether any prediction overlaps a truth."""
        return bool(self.matches.best_iou.any() or self.matches.same_iou.any())


def examine(
    predictions: Detections,
    truth: Detections,
    settings: MiningSettings,
    reviews: Reviews | None = None,
    *,
    matches: Matches | None = None,
    world: World | None = None,
    second_predictions: Detections | None = None,
) -> Examined:
    """Match, classify errors and score difficulty of some whole images: the part of mining that is done per shard.

    Args:
        predictions: scored boxes.
        truth: ground truth over the same images and classes.
        settings: see :func:`mine`.
        reviews: see :func:`mine`.
        matches: the match table, if it is known.
        world: what the whole data say, if the tables are a part of them; None: what these tables say.
        second_predictions: see :func:`mine`.
    """
    find_strategy(settings.strategy)  # fail early
    if second_predictions is not None:
        _check_second_world(second_predictions, truth)
    named = None if world is None else world.named
    matches = matches or match_detections(predictions, truth, settings, named=named)
    errors = classify_errors(predictions, truth, matches, settings)
    difficulty = score_difficulty(StrategyInput(predictions, truth, matches, errors, settings, second_predictions))
    answers, settled = None, Settled.none()
    if reviews is not None:
        answers = inherit_answers(reviews, predictions, truth)
        settled = Settled.of(predictions, truth, errors, answers, reviews)
        difficulty = _without_ignored(difficulty, answers)
    if settings.sizes:
        fractions = are_fractions(predictions.xyxy, truth.xyxy) if world is None else world.fractions
        difficulty = _of_sizes(difficulty, predictions, truth, settings.sizes, fractions)
    return Examined(matches, errors, difficulty, answers, settled)


def _check_second_world(second: Detections, truth: Detections) -> None:
    try:
        check_same_world(second, truth)
    except ValueError as error:
        raise ValueError(f"second_predictions: {error}") from None


def _of_sizes(
    difficulty: Difficulty, predictions: Detections, truth: Detections, sizes: Sequence[str], fractions: bool
) -> Difficulty:
    """Set the difficulty of boxes of other sizes to NaN, so that they are no candidates; they still count as errors."""
    wanted = [SIZES.index(size) for size in sizes]

    def kept(values: NDArray[np.float64], table: Detections) -> NDArray[np.float64]:
        return np.where(np.isin(sizes_of(table.xyxy, fractions=fractions), wanted), values, np.nan)

    return Difficulty(kept(difficulty.prediction, predictions), kept(difficulty.truth, truth))


def _without_ignored(difficulty: Difficulty, answers: tuple[NDArray[np.int8], NDArray[np.int8]]) -> Difficulty:
    """Set the difficulty of rows reviewed as ``ignore`` to NaN, so that they are no candidates."""
    return Difficulty(
        np.where(answers[0] == IGNORE, np.nan, difficulty.prediction),
        np.where(answers[1] == IGNORE, np.nan, difficulty.truth),
    )
