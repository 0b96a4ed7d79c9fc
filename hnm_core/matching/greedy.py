"""Match predictions with truths by COCO's greedy matching, all images at once.

Error types, difficulty and counts are all computed from the columns made here.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..boxes import overlapping
from ..columns import Detections, check_same_world
from ..settings import MiningSettings
from .chunks import Chunk, chunks_of
from .ignored import NOTHING, Pairs, Standing, ignored_by_class, on_ignored
from .matches import Matches
from .one_image import NONE as NONE
from .one_image import match_few

__all__ = ["match_detections", "per_class"]

LOOSE_IOU = 0.3
"""IoU from which a prediction counts for the loss of a missed truth (chosen)."""

FEW_PAIRS = 500
"""Pairs of boxes up to which a single image is matched faster in plain Python, see :mod:`.one_image`."""

Rows = NDArray[np.int64]


def match_detections(
    predictions: Detections,
    truth: Detections,
    settings: MiningSettings | None = None,
    *,
    named: Collection[int] | None = None,
) -> Matches:
    """Match predictions with truths as COCO does (Lin et al., ECCV 2014; pycocotools ``evaluateImg``).

    Per image and class, predictions in the order of their scores (stable) each take the still free truth of highest
    IoU ≥ the IoU threshold; of equal IoUs the later truth. Predictions that match nothing may be ignored, see
    :mod:`.ignored`. All predictions take part, whatever their score: the confidence threshold can change later without
    matching again.

    Args:
        predictions: scored boxes.
        truth: boxes without score, same ``images`` and ``classes``.
        settings: ``iou_threshold``, ``class_iou``, ``class_agnostic``, ``ignored`` and ``neutral`` are read.
        named: labels that predictions name anywhere, where the tables are a part of the data; None: of these tables.

    Returns:
        One row per prediction and per truth, in the order of the tables given.

    Raises:
        ValueError: if the tables name different images or classes.

    Example:
        >>> world = dict(images=["a"], classes=["cat"])
        >>> truth = Detections([0], [[0, 0, 10, 10]], [0], None, **world)
        >>> predictions = Detections([0, 0], [[0, 0, 10, 9], [0, 0, 9, 9]], [0, 0], [0.8, 0.9], **world)
        >>> match_detections(predictions, truth).matched.tolist()  # the more confident one matches
        [-1, 0]
    """
    settings = settings or MiningSettings()
    check_same_world(predictions, truth)
    threshold = np.minimum(
        per_class(settings.iou_threshold, settings.class_iou, truth.classes), 1 - 1e-10
    )  # pycocotools' guard: an exact match passes at 1.0
    standing = Standing.of(predictions, truth, settings, named)
    if len(truth.images) == 1 and len(predictions) * len(truth) <= FEW_PAIRS and standing.plain:
        few = match_few(predictions, truth, standing, threshold, LOOSE_IOU, settings.class_agnostic)
        return _with_classes(Matches(**few), predictions, truth, standing)
    matches = Matches.none(len(predictions), len(truth))
    matches.truth_reason[:] = standing.truth_reason
    for chunk in chunks_of(predictions, truth, np.flatnonzero(standing.role != NOTHING)):
        p, t, iou = _overlap_chunk(predictions, truth, standing, chunk, threshold, settings.class_agnostic, matches)
        rows, others = chunk.rows, chunk.others
        if chunk.by_score:
            _match_in_turn(rows[p], others[t], iou, matches)
        else:
            taker, taken = _greedy(p, t, iou, predictions.score[rows], len(others))  # type: ignore[index]
            taker, taken = rows[taker], others[taken]
            matches.matched[taker], matches.found_by[taken], matches.reason[taker] = taken, taker, 0
    no_part = np.flatnonzero(standing.reason)
    matches.reason[no_part] = standing.reason[no_part]
    return _with_classes(matches, predictions, truth, standing)


def _with_classes(matches: Matches, predictions: Detections, truth: Detections, standing: Standing) -> Matches:
    """Fill in why unmatched predictions are ignored by their class; earlier reasons stay."""
    if truth.verified is not None or truth.not_exhaustive is not None:
        for reason, rows in ignored_by_class(predictions, truth, matches.matched == NONE, standing.rules):
            matches.reason[rows & (matches.reason == 0)] = reason
    return matches


def per_class(default: float, exceptions: object, classes: tuple[str, ...]) -> NDArray[np.float64]:
    """Return a threshold per class, ``(classes,)`` float64: the value of the class, or the default.

    Raises:
        ValueError: if an exception names a class that does not exist.
    """
    values = np.full(len(classes), float(default))
    position = {name: i for i, name in enumerate(classes)}
    unknown = [name for name in dict(exceptions) if name not in position]  # type: ignore[call-overload]
    if unknown:
        raise ValueError(
            f"thresholds are given for {len(unknown)} unknown classes, first {unknown[0]!r}; classes are "
            f"{', '.join(map(repr, classes[:10]))}{' …' if len(classes) > 10 else ''}"
        )
    for name, value in dict(exceptions).items():  # type: ignore[call-overload]
        values[position[name]] = value
    return values


def _overlap_chunk(
    predictions: Detections,
    truth: Detections,
    standing: Standing,
    chunk: Chunk,
    threshold: NDArray[np.float64],
    class_agnostic: bool,
    matches: Matches,
) -> tuple[Rows, Rows, NDArray[np.float64]]:
    """Fill in all columns of ``matches`` for one chunk, except for the matched rows.

    Returns:
        The pairs that may match, as indices into ``chunk.rows`` and ``chunk.others``, and their IoU; no ignored ones.
    """
    rows, others = chunk.rows, chunk.others
    n, m = len(rows), len(others)
    boxes = chunk.boxes(predictions, truth)
    score, label, truth_label = predictions.score.take(rows), predictions.label.take(rows), truth.label.take(others)  # type: ignore[union-attr]
    normal, by_area, tau = standing.takes_part[others], standing.by_area[others], threshold[truth_label]
    p, t, iou = overlapping(*boxes, *chunk.pairs(*boxes), by_area if by_area.any() else None)
    if not standing.all_take_part:
        counts = np.flatnonzero(standing.reason[rows[p]] == 0)
        p, t, iou = p[counts], t[counts], iou[counts]
    if not chunk.sorted:  # ties are broken by row order
        order = np.lexsort((others[t], p))
        p, t, iou = p[order], t[order], iou[order]
    same = label.take(p) == truth_label.take(t)

    side = p + n * same  # of each prediction, truths of other classes and of its own
    counted = slice(None) if normal.all() else np.flatnonzero(normal[t])
    best_iou, best = _best(side[counted], t[counted], iou[counted], 2 * n)
    best_row = np.append(others, NONE)[best]
    matches.other_iou[rows], matches.same_iou[rows] = best_iou[:n], best_iou[n:]
    matches.other_row[rows], matches.same_row[rows] = best_row[:n], best_row[n:]

    own = np.flatnonzero(same & normal[t])
    q, u, near = p.take(own), t.take(own), iou.take(own)
    sure = score.take(q)
    best_iou, best = _best(u, q, near, m, sure)
    best_row = np.append(rows, NONE)[best]
    held = matches.best_iou[others], matches.best_row[others]  # from an earlier part of the same image, if any
    more_confident = predictions.score[best_row] > predictions.score[held[1]]  # type: ignore[index]
    better = (best_iou > held[0]) | ((best_iou == held[0]) & (best_row != NONE) & ((held[1] == NONE) | more_confident))
    matches.best_iou[others[better]], matches.best_row[others[better]] = best_iou[better], best_row[better]
    close = np.flatnonzero(near >= tau[u])
    _raise(matches.best_score, others, u[close], sure[close])
    loose = np.flatnonzero(near >= LOOSE_IOU)
    _raise(matches.loose_score, others, u[loose], sure[loose])

    if not (normal.all() and standing.plain):
        may_match = (iou >= tau[t]) & (same | class_agnostic)
        crowds = np.flatnonzero(may_match & same & by_area[t])
        _raise(matches.best_score, others, t[crowds], score[p[crowds]])
        met = Pairs(label[p], truth_label[t], standing.role[others][t], iou, threshold[label[p]], may_match)
        for reason, claimed in on_ignored(met, standing):
            matches.reason[rows[p[claimed]]] = reason
    if class_agnostic:
        q, u, near, close = p, t, iou, np.flatnonzero((iou >= tau[t]) & normal[t])
    return q[close], u[close], near[close]


def _raise(best: NDArray[np.float64], others: Rows, t: Rows, score: NDArray[np.float64]) -> None:
    """Raise the best scores of truths, ``others[t]``, to those given."""
    best[others] = np.maximum(best[others], _highest(t, score, len(others)))


def _highest(row: NDArray[np.int64], value: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the highest value per row, ``(n,)``; 0 for rows without values."""
    highest = np.zeros(n)
    np.maximum.at(highest, row, value)
    return highest


def _best(
    row: NDArray[np.int64],
    other: NDArray[np.int64],
    iou: NDArray[np.float64],
    n: int,
    score: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the highest IoU per row and its other row, or 0 and -1; ties: most confident, then first, as in TIDE."""
    best, other_row = _highest(row, iou, n), np.full(n, NONE, dtype=np.int64)
    top = np.flatnonzero(iou == best.take(row))
    if score is not None:
        top = top[score[top] == _highest(row[top], score[top], n)[row[top]]]
    top = top[::-1]  # of several writes to a row the last one stays
    other_row[row[top]] = other[top]
    return best, other_row


def _match_in_turn(p: Rows, t: Rows, iou: NDArray[np.float64], matches: Matches) -> None:
    """Match predictions that come by falling score, each with its best free truth; of equals the later one.

    Args:
        p: ``(k,)`` prediction of each pair that may match; the pairs of a prediction are adjacent.
        t: ``(k,)`` truth of each pair, in rising order for each prediction.
        iou: ``(k,)`` its overlap.
        matches: ``matched``, ``found_by`` and ``reason`` are read and filled in.
    """
    free = np.flatnonzero(matches.found_by[t] == NONE)
    p, t, iou = p[free], t[free], iou[free]
    bounds = [*np.flatnonzero(np.diff(p, prepend=-1)).tolist(), len(p)]
    for start, end in pairwise(bounds):
        options = np.flatnonzero(matches.found_by[t[start:end]] == NONE) + start
        if len(options):
            best = options[::-1][np.argmax(iou[options[::-1]])]
            matches.matched[p[best]], matches.found_by[t[best]], matches.reason[p[best]] = t[best], p[best], 0


def _greedy(p: Rows, t: Rows, iou: NDArray[np.float64], score: NDArray[np.float64], m: int) -> tuple[Rows, Rows]:
    """Match each prediction, by falling score, with the best free truth; all images at once, in a few rounds.

    This is deferred acceptance (Gale and Shapley, 1962): predictions propose to truths by falling IoU, and every truth
    prefers the prediction of higher score. Its only stable outcome is that of COCO's greedy matching. In a round every
    unmatched prediction proposes to its best truth that has not refused it; each truth keeps the best proposal.

    Args:
        p: ``(k,)`` prediction of each pair that may match.
        t: ``(k,)`` truth of each pair.
        iou: ``(k,)`` its overlap.
        score: confidence of every prediction; of equal scores the earlier one comes first.
        m: number of truths.

    Returns:
        The matched predictions, and their truths.
    """
    n, options = len(score), np.bincount(p, minlength=len(score))
    several = options[p] > 1  # most have one, and need no sorting
    some = np.flatnonzero(several)
    some = some[np.lexsort((-t[some], -iou[some], p[some]))]  # of equals the later truth, as pycocotools
    order = np.concatenate([np.flatnonzero(~several), some])
    p, t = p[order], t[order]
    option = np.zeros(n, dtype=np.int64)
    option[p[::-1]] = np.arange(len(p))[::-1]  # the first of each: of several writes the last one stays
    end = option + options

    held, highest = np.full(m, n), np.full(m, -1.0)  # the prediction that each truth keeps, and its score
    score = np.append(score, -1.0)
    proposing = np.flatnonzero(options)
    while len(proposing):
        target = t[option[proposing]]
        before = held[target]
        np.maximum.at(highest, target, score[proposing])
        best = np.flatnonzero(score[proposing] == highest[target])
        wanted = target[best]
        held[wanted[score[before[best]] < highest[wanted]]] = n
        np.minimum.at(held, wanted, proposing[best])  # of equal scores the earlier one
        keeps = held[target]
        dropped = np.unique(before[(before != n) & (before != keeps)])
        proposing = np.concatenate([proposing[keeps != proposing], dropped])
        option[proposing] += 1
        proposing = proposing[option[proposing] < end[proposing]]
    taken = np.flatnonzero(held != n)
    return held[taken], taken
