"""Propose detections for review where there is no ground truth, as a mining result that whatever takes one can take.

Nothing is matched and nothing is weighed: nobody knows which detections are errors.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..counting import report_of
from ..labels.inheritance import inherit_reviews
from ..labels.mistakes import mistake_rows
from ..labels.reviews import IGNORE, LABEL_ERRORS, Reviews
from ..labels.settled import Settled
from ..matching.greedy import per_class
from ..matching.matches import Matches
from ..report.lines import row, wrapped
from ..result import MiningResult
from ..selection.hardest import Candidates
from ..selection.mined import MinedTables
from ..settings import MiningSettings
from ..strategies import Difficulty
from ..taxonomy import BELOW_THRESHOLD, CONFIDENT, GAP, PROPOSALS, ROW_NAMES, UNCERTAIN, Errors
from ..weighting.images import Images
from .quality import LEAST_UNCERTAIN
from .tracks import LISTS
from .unlabelled import RANKED_BY, SAID

__all__ = ["codes_of", "propose", "summary_of"]


def codes_of(predictions: Detections, settings: MiningSettings) -> NDArray[np.int8]:
    """Return the list of every detection, ``(n,)`` int8: ``confident``, ``uncertain`` from .25, or below.

    The codes are indices in :data:`~hnm_core.taxonomy.ROW_NAMES`.

    Raises:
        ValueError: if the table has no scores, or a class has a threshold that no detection is of.

    Example:
        >>> boxes = [[0, 0, 9, 9]] * 3
        >>> table = Detections([0, 0, 0], boxes, [0, 0, 0], [0.9, 0.3, 0.1], images=["a"], classes=["cat"])
        >>> [ROW_NAMES[code] for code in codes_of(table, MiningSettings())]
        ['confident', 'uncertain', 'below_threshold']
    """
    if predictions.score is None:
        raise ValueError("the table has no score column: is this the ground truth?")
    sure = per_class(settings.confidence_threshold, settings.class_confidence, predictions.classes)[predictions.label]
    code = np.where(predictions.score >= LEAST_UNCERTAIN, UNCERTAIN, BELOW_THRESHOLD)
    return np.where(predictions.score >= sure, CONFIDENT, code).astype(np.int8)


def propose(
    predictions: Detections,
    difficulty: NDArray[np.float64],
    settings: MiningSettings | None = None,
    *,
    gaps: Detections | None = None,
    gap_difficulty: NDArray[np.float64] | None = None,
    code: NDArray[np.int8] | None = None,
    reviews: Reviews | None = None,
) -> MiningResult:
    """Return detections to review as a mining result: three lists, likeliest errors first, no suspicion, no weight.

    Args:
        predictions: scored boxes.
        difficulty: ``(n,)`` in [0, 1], how likely each is an error; read where it is listed, see :func:`codes_of`.
        settings: the confidence thresholds; None for the defaults.
        gaps: objects that were lost for a few frames of a video, over the same images and classes; None for none.
        gap_difficulty: ``(m,)`` in [0, 1], how likely each was missed.
        code: ``(n,)`` the list of each, where tracks were judged as a whole; None for that of its confidence.
        reviews: what was reviewed before; boxes reviewed as ``ignore`` are not listed, and those at which somebody saw
            an object have difficulty 0.

    Returns:
        A result in which ``prediction_error`` is ``confident``, ``uncertain`` or ``below_threshold`` and
        ``truth_error`` is ``gap``; what is listed counts as mined. The rows of its truth are the gaps.

    Raises:
        ValueError: if the columns differ in length, or the table has no scores.

    Example:
        >>> boxes, world = [[0, 0, 9, 9]] * 3, dict(images=["a"], classes=["cat"])
        >>> table = Detections([0, 0, 0], boxes, [0, 0, 0], [0.9, 0.3, 0.1], **world)
        >>> found = propose(table, 1.0 - table.score)
        >>> found.prediction_error.tolist(), found.prediction_hard.tolist()
        (['confident', 'uncertain', 'below_threshold'], [True, True, False])
    """
    settings = replace(settings or MiningSettings(), use_suspicion=False)
    gaps = Detections.empty(predictions.images, predictions.classes) if gaps is None else gaps
    missed = np.zeros(0) if gap_difficulty is None else np.asarray(gap_difficulty, dtype=np.float64)
    if len(difficulty) != len(predictions) or len(missed) != len(gaps):
        raise ValueError(
            f"difficulty has {len(difficulty)} and {len(missed)} numbers, expected {len(predictions)} and {len(gaps)}: "
            f"one per detection and gap"
        )
    code = codes_of(predictions, settings) if code is None else np.asarray(code, dtype=np.int8)
    errors = Errors(code, np.full(len(gaps), GAP, dtype=np.int8), code == CONFIDENT)
    states = None if reviews is None else inherit_reviews(reviews, predictions, gaps)
    ignored = (np.zeros(len(code), bool), np.zeros(len(gaps), bool)) if states is None else _ignored(states)
    listed = (code != BELOW_THRESHOLD) & ~ignored[0], ~ignored[1]
    right = ignored if states is None else tuple(np.isin(state, LABEL_ERRORS) for state in states)
    both = zip(listed, right, (difficulty, missed), strict=True)
    likely = Difficulty(*(np.where(of, np.where(fine, 0.0, values), np.nan) for of, fine, values in both))
    found = MinedTables(
        predictions=predictions,
        truth=gaps,
        settings=settings,
        matches=Matches.none(len(predictions), len(gaps)),
        errors=errors,
        prediction_difficulty=likely.prediction,
        truth_difficulty=likely.truth,
        prediction_hard=listed[0],
        truth_hard=listed[1],
        groups=None,
        max_per_group=0,
        second_predictions=None,
        mined=Candidates.of(predictions, gaps, errors, likely),
        candidates=int(listed[0].sum() + listed[1].sum()),
        cap=int(listed[0].sum() + listed[1].sum()),
        images=Images.of(gaps),
        answers=states,
        settled=Settled.none(),
        notes=(),
    )
    of_rows = None
    if states is not None:
        rows = mistake_rows(errors, listed)
        of_rows = np.concatenate([state[at] for state, at in zip(states, rows, strict=True)])
    counted = replace(report_of([found]), errors=_counts(found))
    result = MiningResult.of(found, of_rows, found.images, counted, reviews, {}, None, found.settled)
    return replace(result, report=replace(result.report, notes=()))  # they speak of weights


def summary_of(result: MiningResult, ranked_by: str) -> str:
    """Return in words what :func:`propose` lists, and what the lists are ordered by."""
    by = "the verifier" if ranked_by == RANKED_BY[0] else "lowest confidence, without a verifier"
    lines = [
        row("images", len(result.predictions.images)),
        row("detections", len(result.predictions), f"{int(result.errors.confident.sum()):,} confident"),
        *(row(of, result.report.errors[error]["hard_negatives"]) for of, error in LISTS.items()),
    ]
    return "\n".join(["Proposals for review", *lines, "", *wrapped(f"ranked by {by}; {SAID}")])


def _ignored(states: tuple[NDArray[np.int8], NDArray[np.int8]]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return states[0] == IGNORE, states[1] == IGNORE


def _counts(found: MinedTables) -> dict[str, dict[str, int]]:
    """Return how many detections and gaps each list has, and how many of them are not ignored."""
    codes = {name: ROW_NAMES.index(name) for name in PROPOSALS}
    sides = ((found.errors.prediction, found.prediction_hard), (found.errors.truth, found.truth_hard))
    return {
        name: {
            "false_positives": int((sides[0][0] == code).sum()),
            "false_negatives": int((sides[1][0] == code).sum()),
            "hard_negatives": int(sum((of == code)[hard].sum() for of, hard in sides)),
        }
        for name, code in codes.items()
    }
