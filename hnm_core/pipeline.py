"""The one staircase: tables in, everything that mining knows about them out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .accounting import report_of
from .calibration import at_rows
from .columns import Detections
from .findings import Finding, MinedRows
from .imageset import Images
from .judging import after_looks, judge
from .matching import match_detections
from .mistakes import Mistakes, mistake_rows
from .result import MiningResult
from .reviews import IGNORE, Reviews, inherit_reviews
from .selection import Candidates, cap_of, number_groups, select_hardest
from .settings import MiningSettings
from .strategies import Difficulty, Evidence, find_strategy, score_difficulty
from .taxonomy import classify_errors

__all__ = ["find", "mine"]


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
        said = np.concatenate([state[at] for state, at in zip(found.states, rows, strict=True)])
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
    with :func:`~hnm_core.accounting.report_of`, is quicker.
    """
    settings = settings or MiningSettings()
    find_strategy(settings.strategy)  # before the work, not after it
    matches = match_detections(predictions, truth, settings)
    errors = classify_errors(predictions, truth, matches, settings)
    difficulty = score_difficulty(Evidence(predictions, truth, matches, errors, settings))

    states = None if reviews is None else inherit_reviews(reviews, predictions, truth)
    if states is not None:
        difficulty = _without_ignored(difficulty, states)
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


def _without_ignored(difficulty: Difficulty, states: tuple[NDArray[np.int8], NDArray[np.int8]]) -> Difficulty:
    """The same without the rows that a person took out: no candidate has no difficulty."""
    return Difficulty(
        np.where(states[0] == IGNORE, np.nan, difficulty.prediction),
        np.where(states[1] == IGNORE, np.nan, difficulty.truth),
    )
