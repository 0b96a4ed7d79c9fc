"""Say what can hardly be meant: predictions of other images, classes in another order, rows that stand twice."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..boxes import overlapping
from ..columns import OBJECT, Detections
from ..matching.greedy import NONE, match_detections
from ..settings import MiningSettings

__all__ = ["ENOUGH", "HOPELESS", "TRUSTED", "fitting_names", "overlapping_rows", "place_doubts", "say_doubts"]

HOPELESS, TRUSTED = 0.2, 0.5
"""Labels of overlapping boxes that agree on less than the first share are doubted; another reading must reach the
second (chosen)."""

CLEAR = 0.8
"""Share of the boxes of exchanged classes that agree in the other order, before that order is named (chosen)."""

ENOUGH, FEW = 20, 10
"""Overlapping boxes from which files are refused, and from which a doubt is said (chosen)."""

FAR_OFF, SURE = 0.05, 0.5
"""Share of the predictions of at least the second score that lie on a truth: below the first no trained detector of
these images is (chosen)."""

PART = 0.1
"""Share of the images with truths that may be without predictions before it is said, and one image (chosen)."""

MOST_ROWS = 50_000
"""Rows that are looked at, from evenly spread images (chosen)."""

Rows = NDArray[np.int64]


def overlapping_rows(predictions: Detections, truth: Detections) -> tuple[Rows, Rows]:
    """Return predictions and the truths that they lie on (IoU ≥ .5, one to one), regardless of class."""
    crowdless = np.flatnonzero(truth.kinds() == OBJECT)
    targets = Detections(
        *(truth.image[crowdless], truth.xyxy[crowdless], np.zeros(len(crowdless), dtype=np.int64)),
        *(None, truth.images, ("any",)),
    )
    boxes = Detections(
        *(predictions.image, predictions.xyxy, np.zeros(len(predictions), dtype=np.int64)),
        *(predictions.score, truth.images, ("any",)),
    )
    matched = match_detections(boxes, targets, MiningSettings(ignored=())).matched
    p = np.flatnonzero(matched != NONE)
    return p, crowdless[matched[p]]


def say_doubts(
    predictions: Detections, truth: Detections, listed: Sequence[str], source: Path, truth_source: Path
) -> None:
    """Warn in one sentence each of copies, of images without predictions, of other images, and of other classes.

    Args:
        predictions: as they are mined.
        truth: as it is mined.
        listed: the classes that the truth's files list.
        source: of the predictions, for messages.
        truth_source: of the truth, for messages.
    """
    names = set(listed)
    foreign = [i for i, name in enumerate(predictions.classes) if name not in names]
    found = [_copies(predictions, source), _part(predictions, truth, source)]
    found.append(_foreign(predictions, foreign, source, truth_source))
    few, some = _sample(predictions, truth)
    if len(few) and len(some):
        p, t = overlapping_rows(few, some)
        known = ~np.isin(few.label[p], foreign)
        found.append(_far_off(few, some, p, source, truth_source))
        found.append(_other_order(few, some, p[known], t[known], source, truth_source))
    for sentence in found:
        if sentence:
            warnings.warn(sentence, stacklevel=3)


def place_doubts(predictions: Detections, truth: Detections, source: str, truth_source: str) -> list[str]:
    """Return doubts on where predictions lie, as sentences: that they are copies, or of other images.

    Args:
        predictions: as they are mined.
        truth: as it is mined.
        source: what the predictions are, for the sentences.
        truth_source: what the truth is.
    """
    few, some = _sample(predictions, truth)
    found = [_copies(predictions, source)]
    if len(few) and len(some):
        found.append(_far_off(few, some, overlapping_rows(few, some)[0], source, truth_source))
    return [sentence for sentence in found if sentence]


def fitting_names(
    predictions: NDArray[np.int64], truths: NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, str] | None:
    """Return which class each class of the predictions should be read as, if that makes overlapping boxes agree.

    Args:
        predictions: ``(k,)`` labels of predictions.
        truths: ``(k,)`` labels of the truths that they lie on.
        names: of both.

    Returns:
        The classes that change, one to one; None if they agree as they are, or in no other order. One class that is
        often taken for another is no other order.

    Example:
        >>> fitting_names(np.arange(10) % 2, 1 - np.arange(10) % 2, ("cat", "dog"))
        {'cat': 'dog', 'dog': 'cat'}
    """
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (predictions, truths), 1)
    seen = np.flatnonzero(counts.sum(axis=1))
    best = counts[seen].argmax(axis=1)
    if not seen.size or len(set(best.tolist())) < len(best):
        return None
    moved = seen != best
    changes = {names[a]: names[b] for a, b in zip(seen[moved].tolist(), best[moved].tolist(), strict=True)}
    on_moved = counts[seen[moved]].sum()
    stay, move = (int(counts[seen[moved], to].sum()) for to in (seen[moved], best[moved]))
    hopeless = np.diagonal(counts).sum() < HOPELESS * len(predictions)
    exchanged = set(changes) == set(changes.values()) and on_moved >= FEW and move >= CLEAR * on_moved
    if not changes or stay >= HOPELESS * on_moved or not (exchanged or (hopeless and move >= TRUSTED * on_moved)):
        return None
    return changes


def _copies(predictions: Detections, source: str | Path) -> str:
    if len(predictions) < 2 or predictions.score is None:
        return ""
    count = int(predictions.repeated().sum())
    if not count:
        return ""
    return (
        f"{source}: {count} of {len(predictions)} predictions are exact copies of another one (same image, class, box "
        f"and score), and count as duplicates; was the detector run twice into one place? Remove them and predict again"
    )


def _part(predictions: Detections, truth: Detections, source: Path) -> str:
    full = np.bincount(truth.image, minlength=len(truth.images)) > 0
    bare = full & (np.bincount(predictions.image, minlength=len(truth.images)) == 0)
    without, labelled = int(bare.sum()), int(full.sum())
    if not labelled or without < max(PART * labelled, 2):
        return ""
    if not len(predictions):
        return (
            f"{source} holds no predictions: all objects of the {labelled} images with objects count as missed; does "
            f"the detector write to another place, or only above a high confidence?"
        )
    first = truth.images[int(bare.argmax())]
    return (
        f"{source}: {without} of the {labelled} images with objects have no predictions, first {first}: all their "
        f"objects count as missed; were only a part of the images predicted?"
    )


def _foreign(predictions: Detections, foreign: Sequence[int], source: Path, truth_source: Path) -> str:
    counts = np.bincount(predictions.label, minlength=len(predictions.classes))
    names = [predictions.classes[i] for i in foreign if counts[i]]
    if not names:
        return ""
    return (
        f"{source}: {counts[foreign].sum()} of {len(predictions)} predictions are of classes that {truth_source} does "
        f"not have ({len(names)}, first {names[0]!r}), and count as false positives; to translate a class, give "
        f"--class-map {names[0]}=CLASS"
    )


def _sample(predictions: Detections, truth: Detections) -> tuple[Detections, Detections]:
    """Return the rows of evenly spread images, so that large tables take no time."""
    step = -(-max(len(predictions), len(truth)) // MOST_ROWS)
    if step <= 1:
        return predictions, truth
    return predictions.take(predictions.image % step == 0), truth.take(truth.image % step == 0)


def _far_off(
    predictions: Detections, truth: Detections, on_truth: Rows, source: str | Path, truth_source: str | Path
) -> str:
    if predictions.score is None:
        return ""
    labelled = np.isin(predictions.image, truth.image)
    sure = labelled & (predictions.score >= SURE)
    if sure.sum() < FEW:
        sure = labelled
    count, right = int(sure.sum()), int(sure[on_truth].sum())
    if count < FEW or right >= FAR_OFF * count:
        return ""
    if count < ENOUGH and _touching(predictions.take(sure), truth):
        return ""
    return (
        f"only {right} of {count} predictions of {source} lie on an object of {truth_source} (IoU ≥ .5, whatever the "
        f"class): no trained detector is that far off; are they of other images, of another split, or in another unit?"
    )


def _touching(predictions: Detections, truth: Detections) -> bool:
    """Return whether any prediction overlaps any truth of its image."""
    for image in np.unique(predictions.image).tolist():
        p, t = np.flatnonzero(predictions.image == image), np.flatnonzero(truth.image == image)
        if len(overlapping(predictions.xyxy, truth.xyxy, np.repeat(p, len(t)), np.tile(t, len(p)))[0]):
            return True
    return False


def _other_order(predictions: Detections, truth: Detections, p: Rows, t: Rows, source: Path, truth_source: Path) -> str:
    if len(p) < FEW:
        return ""
    of_p, of_t = predictions.label[p], truth.label[t]
    agree = float((of_p == of_t).mean())
    better = fitting_names(of_p, of_t, truth.classes)
    if agree >= HOPELESS and not better:
        return ""
    text = (
        f"labels of {source} agree with {truth_source} on {agree:.0%} of {len(p)} overlapping boxes: the model seems "
        f"to have its classes in another order"
    )
    if better:
        pairs = list(better.items())
        text += f"; this order would fit: {', '.join(f'{a!r} as {b!r}' for a, b in pairs[:8])}"
        text += " …" if len(pairs) > 8 else ""
    return f"{text}. Give the names that the model was trained with: --prediction-names"
