"""What is done with one shard, step by step: the formulas of the floors below, on the columns that are kept of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import UnitOfBoxes
from ..counting import ScoreCells, Tally, ThresholdCounts, label_digests
from ..counting.recall import counted_scores
from ..labels.belief import Belief
from ..labels.estimate import image_scores_of
from ..labels.evidence_weights import as_columns, at_rows
from ..labels.grouped import Grouped
from ..labels.mistakes import Mistakes
from ..labels.prior import prior_suspicion
from ..labels.reviews import STATES, Reviews, states_of
from ..labels.settled import Settled
from ..labels.strata import Strata
from ..labels.suspicion import SuspicionPart
from ..pipeline import World, examine
from ..selection.mined import boxes_at
from ..settings import MiningSettings
from ..taxonomy import LOCALIZATION
from ..weighting.class_factors import images_per_class, largest_factors
from ..weighting.effect import effect_sums
from ..weighting.exact import exact_units
from ..weighting.images import Images
from ..weighting.pooling import PooledScores
from ..weighting.weights import SampleWeights
from .fact import Fact
from .shard import Columns, Kept, Shard, whole

NUMBERS = ("row", "image", "label", "near", "truth_image", "truth_label")
"""Columns of whole numbers, which are kept in 32 bits."""

SETTLED = ("image", "code", "label", "score", "of_truth")
"""Columns that are kept of label errors that are put right."""


def start(
    shard: Shard, world: World | None, settings: MiningSettings, reviews: Reviews | None, compared: bool
) -> tuple[Kept, Fact]:
    """Match, classify, score and count a shard; keep its mistakes and the classes of its truths.

    ``compared`` keeps scores and digests of the labels, too, which comparing needs when the shard is gone.
    """
    predictions, truth = shard.predictions, shard.truth
    if shard.twins is not None:
        raise ValueError(
            "twins show one object in several images, which may lie in several shards: give them to mine()"
        )
    own = World.of(predictions, truth, settings)
    world = world or own
    found = examine(predictions, truth, settings, reviews, world=world)
    errors, difficulty, matches = found.errors, found.difficulty, found.matches
    assert predictions.score is not None  # checked by matching
    with np.errstate(invalid="ignore"):
        rows = (
            np.flatnonzero(errors.false_positive | (difficulty.prediction > 0)),
            np.flatnonzero(errors.false_negative | (difficulty.truth > 0)),
        )

    def both(prediction: NDArray[Any], true: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([prediction[rows[0]], true[rows[1]]])

    near = np.where(matches.same_iou >= matches.other_iou, matches.same_row, matches.other_row)
    near_box = [
        boxes_at(table, side[at])
        for table, side, at in zip((truth, predictions), (near, matches.best_row), rows, strict=True)
    ]
    none = np.zeros(len(predictions), dtype=np.int8), np.zeros(len(truth), dtype=np.int8)
    answers = found.answers or none
    thresholds, cells = (
        ThresholdCounts.of(predictions, truth, matches),
        ScoreCells.of_confident(predictions, errors, matches),
    )
    evidence = at_rows(shard.evidence, (len(predictions), len(truth)), rows)
    tally = Tally.of(predictions, truth, errors, matches, fractions=world.fractions)
    hard = both(difficulty.prediction, difficulty.truth)
    background = np.bincount(truth.image, minlength=len(truth.images)) == 0
    kept: Kept = {
        "of_truth": np.repeat([False, True], [len(rows[0]), len(rows[1])]),
        "row": np.concatenate(rows),
        "image": both(predictions.image, truth.image),
        "label": both(predictions.label, truth.label),
        "code": both(errors.prediction, errors.truth),
        "difficulty": hard,
        "score": np.concatenate([predictions.score[rows[0]], np.zeros(len(rows[1]))]),
        "xyxy": both(predictions.xyxy, truth.xyxy),
        "iou": both(matches.iou, matches.best_iou),
        "near": both(near, matches.best_row),
        "near_xyxy": np.concatenate(near_box),
        "said": (said := both(*answers)),
        "state": states_of(said),
        "alive": np.nan_to_num(hard) > 0,
        "evidence": as_columns(evidence, len(hard)),
        "background": background,
        "truth_image": truth.image,
        "truth_label": truth.label,
        "by_class": tally.by_class,
        "by_size": tally.by_size,
        "confused": np.array([(*key, n) for key, n in tally.confused.items()], dtype=np.int64).reshape(-1, 3),
        "rules": tally.rules,
        **{"thresholds": thresholds.counts, "threshold_truths": thresholds.truths},
        **_settled(found.settled, shard),
        **{"cell": cells.cell, "cell_count": cells.count, "cell_sums": cells.sums},
        "fractions": np.array(world.fractions),
    }
    if compared:
        right, wrong = counted_scores(predictions, matches)
        kept |= {"right_scores": right, "wrong_scores": wrong, "label_digests": label_digests(truth)}
    counted, missed = int(errors.counted.sum()), int(errors.false_negative.sum())
    reviewed = sum(int(np.count_nonzero(side > 0)) for side in answers)
    per_class = np.zeros(0, dtype=np.int64)
    if settings.repeat_threshold > 0:
        per_class = images_per_class(truth.image, truth.label, len(truth.classes))
    fact = Fact(
        names=np.array([name.encode("utf-8", "surrogatepass") for name in truth.images], dtype=np.bytes_),
        groups=shard.groups,
        background=background,
        classes=truth.classes,
        kinds=tuple(shard.evidence),
        own=own,
        world=world,
        numbers=np.array([len(predictions), counted, missed, int(kept["alive"].sum()), reviewed]),
        units=None if found.overlap else (UnitOfBoxes.of(predictions.xyxy), UnitOfBoxes.of(truth.xyxy)),
        class_images=per_class,
    )
    kept |= fact.columns()
    return {name: column.astype(np.int32) if name in NUMBERS else column for name, column in kept.items()}, fact


def part_of(columns: Columns) -> tuple[NDArray[np.int64], SuspicionPart]:
    """Return which rows are mistakes or mined lucky hits, and what they say on label errors."""
    mined, of_truth = columns["alive"], columns["of_truth"]
    rows = np.flatnonzero((columns["code"] >= LOCALIZATION) | mined)
    mistakes = Mistakes(
        image=columns["image"][rows],
        code=columns["code"][rows],
        label=columns["label"][rows],
        score=np.where(of_truth, np.nan, columns["score"])[rows],
        difficulty=columns["difficulty"][rows],
        of_truth=of_truth[rows],
        mined=mined[rows],
    )
    said, evidence, settled = columns["said"][rows], columns["evidence"][rows], columns["settled_said"]
    if len(settled):
        known = {name: columns[f"settled_{name}"] for name in SETTLED}
        nothing = np.zeros(len(settled), dtype=bool)
        mistakes = mistakes.and_more(Mistakes(**known, difficulty=np.full(len(settled), np.nan), mined=nothing))
        evidence = np.concatenate([evidence, columns["settled_evidence"]])
    return rows, SuspicionPart.of(Grouped(mistakes, evidence, settled), said)


def _settled(settled: Settled, shard: Shard) -> Kept:
    """Return the columns that are kept of reviewed label errors that are put right."""
    settled = settled.with_evidence(shard.evidence, (len(shard.predictions), len(shard.truth)))
    return {
        **{f"settled_{name}": getattr(settled.mistakes, name) for name in SETTLED},
        **{"settled_said": settled.answers, "settled_evidence": as_columns(settled.evidence, len(settled))},
    }


def ask_part(columns: Columns, own: NDArray[np.int64] | None, name: str, args: Sequence[Any]) -> Any:
    """Call a method of the mistakes, with the shard's own argument last if it has one."""
    return getattr(part_of(columns)[1], name)(*args, *(() if own is None else (own,)))


def score_images(
    columns: Columns, place: NDArray[np.int64], belief: Belief, strata: Strata, settings: MiningSettings
) -> tuple[Kept, tuple[NDArray[Any], ...]]:
    """Pool the mined rows to image scores.

    Returns:
        Columns to keep; and per image both scores, the part of misses in the score, and the number of mined rows; the
        number of mistakes by review state, and the sum of the priors of the mined rows.
    """
    at, part = part_of(columns)
    images = Images(np.zeros(len(columns["background"]), dtype=np.bytes_), columns["background"])
    found = part.suspicion(belief, strata, place)
    rows, pooled = image_scores_of(part.grouped.mistakes, found, images, settings)
    suspicion = np.full(len(columns["code"]), np.nan)
    suspicion[at] = np.where(found.stratum >= 0, found.value, np.nan)
    mined = columns["alive"]
    prior = np.nan_to_num(prior_suspicion(columns["code"][mined]))
    counts = np.bincount(columns["image"][mined], minlength=len(images))
    kept = {
        **{"suspicion": suspicion, "pooled": at[rows], "parts": pooled.parts, "alarm_parts": pooled.alarm_parts},
        **{"scores": pooled.scores, "alarm_scores": pooled.alarm_scores},
    }
    states = np.bincount(part.state, minlength=len(STATES))
    expected = exact_units(np.zeros(len(prior), dtype=np.int64), prior, 1)
    return kept, (pooled.scores, pooled.alarm_scores, pooled.missed_scores, counts, states, expected)


def class_factors(columns: Columns, factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the repeat factor of every image of the shard."""
    image, label = whole(columns, "truth_image"), whole(columns, "truth_label")
    return largest_factors(image, label, len(columns["background"]), factor)


def count(
    columns: Columns, own: tuple[NDArray[np.float64], ...], classes: Sequence[str]
) -> tuple[Tally, tuple[NDArray[Any], ...]]:
    """Count the rows of the shard, and what the weights of its images do."""
    rows, mined = columns["pooled"], columns["alive"]
    missed = columns["of_truth"][rows]
    parts = columns["parts"], columns["alarm_parts"], missed, columns["scores"], columns["alarm_scores"]
    pooled = PooledScores(whole(columns, "image")[rows], *parts, missed_scores=np.zeros(0))
    weights, alarm_extra, score_extra = own
    none = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool), ()
    weighed = SampleWeights(weights, *none, alarm_extra, score_extra, 0.0)
    truths = whole(columns, "truth_image"), whole(columns, "truth_label")
    images = Images((), columns["background"], *truths, classes)
    confused = Counter({(t, p): n for t, p, n in columns["confused"].tolist()})
    found = Tally(columns["by_class"], columns["by_size"], confused, columns["rules"])
    hard = Tally.of_mined(
        whole(columns, "label")[mined],
        columns["xyxy"][mined],
        columns["code"][mined],
        classes=len(classes),
        fractions=bool(columns["fractions"]),
    )
    return found + hard, effect_sums(images, pooled, columns["code"][rows], weighed)
