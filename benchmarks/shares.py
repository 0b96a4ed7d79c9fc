"""Which errors get the extra weight, and how many false positives are mined: before and after they came first.

*Before* is how it was in 0.2.0, by its formula: all candidates in one ranking by difficulty, and one image score.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import labels
from benchmarks.out_of_fold import as_predictions, data_yaml
from benchmarks.retraining_sets import TRAINING, half_width
from hnm_core import Detections, MiningResult, MiningSettings, mine
from hnm_core.io import read_coco
from hnm_core.io.yolo import read_yolo_truth
from hnm_core.labels.estimate import estimate_suspicion, image_scores_of
from hnm_core.labels.next_reviews import next_reviews
from hnm_core.labels.reviews import HARD_NEGATIVE
from hnm_core.report import Weighting
from hnm_core.selection.hardest import Candidates
from hnm_core.strategies import Difficulty
from hnm_core.weighting.effect import describe_weighting
from hnm_core.weighting.images import Images

SHARES = (0.0, 0.5, 1.0)
HIGH = 0.7
"""A second confidence threshold for ``train``: the higher, the fewer false positives and the more misses."""

REVIEWS = 20
ERRORS = ("background", "localization", "classification", "duplicate", "both", "missed")

WITH_PREDICTIONS = (("bccd", ("train", "val", "test")), ("cards", ("train", "test")))
"""Sets that have COCO files of truth and of a detector's predictions, and their splits."""

GENUINE = ("cards",)
"""Sets whose errors are the model's, as people who looked at them say: a review always says ``hard_negative``."""

SIDE, EPOCHS, BATCH, TRAINED_ON, LEAST = 224, 10, 8, 400, 0.01
"""The detector of ``txl``: image side in pixels, epochs, images a step and in all, lowest confidence of predictions."""


@dataclass(frozen=True)
class Mined:
    """A mining for the table.

    Attributes:
        name: of the set and its split.
        result: the mining, with default settings but for the confidence threshold.
        reviewed: number of reviews, all of which say that the model is wrong.
    """

    name: str
    result: MiningResult
    reviewed: int = 0


def table(sets: Path | None = None) -> list[str]:
    """Two Markdown tables: the places under the cap, and the shares of the extra weight.

    Args:
        sets: folder of public sets: ``bccd``, ``cards``, ``voc100``, ``txl``; those that are there are measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = list(_digits(Path(folder))) if sets is None else list(_public(sets, Path(folder)))
    if not found:
        raise FileNotFoundError(f"{sets} has none of the folders bccd, cards, voc100 and txl")
    return [*_places(found), "", *_shares(found)]


def _digits(folder: Path) -> Iterator[Mined]:
    result = labels.digits(folder / "demo", 500, seed=0).result
    yield from _minings("digits, train", result.predictions, result.truth)


def _public(sets: Path, folder: Path) -> Iterator[Mined]:
    for name, splits in WITH_PREDICTIONS:
        for split in splits if (sets / name).is_dir() else ():
            files = (
                sets / name / "coco" / f"instances_{split}.json",
                sets / name / "preds" / f"predictions_{split}.json",
            )
            yield from _minings(f"{name}, {split}", *read_coco(*files), reviews=REVIEWS * (name in GENUINE))
    if (sets / "voc100").is_dir():
        yield from _minings("voc100", *read_coco(sets / "voc100" / "gt.json", sets / "voc100" / "results.json"))
    if (sets / "txl").is_dir():
        for split, predictions, truth in _txl(sets / "txl", folder):
            yield from _minings(f"txl, {split}", predictions, truth)


def _minings(name: str, predictions: Detections, truth: Detections, reviews: int = 0) -> Iterator[Mined]:
    """Return the mining, the mining after reviews, and for ``train`` the mining from a higher confidence on."""
    result = mine(predictions, truth)
    yield Mined(name, result)
    if reviews:
        yield Mined(f"{name}, after {reviews} reviews", result, reviews)
    if name.endswith("train"):
        yield Mined(
            f"{name}, from confidence {HIGH}", mine(predictions, truth, MiningSettings(confidence_threshold=HIGH))
        )


def _txl(source: Path, folder: Path) -> Iterator[tuple[str, Detections, Detections]]:
    """Predictions and truth of each split, by a half-width yolo11n trained on the first images of ``train``."""
    from ultralytics import YOLO

    from hnm_core.io.data_yaml import class_names, label_file, read_data_yaml
    from hnm_core.training import detect

    classes = class_names(source / "data.yaml", read_data_yaml(source / "data.yaml"))
    for file in sorted((source / "images" / "train").iterdir())[:TRAINED_ON]:  # Ultralytics writes beside the labels
        for original in (file, label_file(file)):
            copy = folder / original.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(original, copy)
    train = read_yolo_truth(sorted((folder / "images" / "train").iterdir()), classes)
    run = {"project": str(folder), "name": "run", "epochs": EPOCHS, "imgsz": SIDE, "seed": 0}
    steps = {**TRAINING, "batch": BATCH, "nbs": BATCH}
    model = YOLO(str(half_width(folder)), task="detect")
    model.train(data=str(data_yaml(folder, train, range(len(train.images)), "train")), **run, **steps)
    model = YOLO(str(folder / "run" / "weights" / "last.pt"))
    for split in ("train", "val", "test"):
        truth = train if split == "train" else read_yolo_truth(sorted((source / "images" / split).iterdir()), classes)
        rows = list(detect(model, truth.images, conf=LEAST, imgsz=SIDE, device="cpu"))
        yield split, as_predictions(rows, truth), truth


def before(result: MiningResult) -> MiningResult:
    """Return the mining with the objects that 0.2.0 mined: the hardest, of equals false positives first."""
    difficulty = Difficulty(result.prediction_difficulty, result.truth_difficulty)
    candidates = Candidates.of(result.predictions, result.truth, result.errors, difficulty)
    c = candidates
    x0, y0, x1, y1 = c.xyxy.T
    place = Images.of(result.truth).place[c.image]
    order = np.lexsort((c.label, y1, x1, y0, x0, place, -c.score, c.kind > 0, -c.difficulty))
    hard = candidates.take(order[: result.report.cap]).masks(len(result.predictions), len(result.truth))
    return replace(result, prediction_hard=hard[0], truth_hard=hard[1])


def reviewed_states(result: MiningResult, reviews: int) -> np.ndarray:
    """``(k,)`` state of every mistake after so many proposed reviews that all say: the model is wrong."""
    mistakes, images = result.mistakes, Images.of(result.truth)
    state = np.zeros(len(mistakes), dtype=np.int8)
    for number in range(reviews):
        rows = next_reviews(mistakes, state, images, result.settings, seed=number)
        state[rows[:1]] = HARD_NEGATIVE
    return state


def effect(result: MiningResult, state: np.ndarray, miss_share: float | None) -> Weighting:
    """Return the effect of the weights with a ``miss_share``; None for one image score, as before."""
    images, mistakes = Images.of(result.truth), result.mistakes
    settings = result.settings if miss_share is None else replace(result.settings, miss_share=miss_share)
    rows, pooled = image_scores_of(mistakes, estimate_suspicion(mistakes, state), images, settings)
    if miss_share is None:
        none = np.zeros_like(pooled.alarm_parts), np.zeros_like(pooled.alarm_scores)
        pooled = replace(pooled, alarm_parts=none[0], alarm_scores=none[1])
    return describe_weighting(images, pooled, mistakes.code[rows], images.weigh(pooled, settings))


def _places(found: list[Mined]) -> list[str]:
    heads = "false positives", "misses", "cap", "false positives mined, before → now", "misses mined, before → now"
    lines = [f"| places under the cap | images | {' | '.join(heads)} |", f"|---|{'---|' * (len(heads) + 1)}"]
    for one in found:
        if one.reviewed:  # the same mining
            continue
        result, old, c = one.result, before(one.result), one.result.report.counts
        mined = [f"{of.prediction_hard.sum()} → {now.sum()}" for of, now in ((old, result.prediction_hard),)]
        mined.append(f"{old.truth_hard.sum()} → {result.truth_hard.sum()}")
        numbers = len(result.truth.images), c.false_positives, c.false_negatives, result.report.cap
        lines.append(f"| {' | '.join(map(str, (one.name, *numbers, *mined)))} |")
    return lines


def _shares(found: list[Mined]) -> list[str]:
    """Shares of the extra weight by error type of what it is owed to."""
    lines = [f"| share of the extra weight | `miss_share` | {' | '.join(ERRORS)} |", f"|---|---|{'---|' * len(ERRORS)}"]
    for one in found:
        state = reviewed_states(one.result, one.reviewed)
        arms: list[tuple[str, Any]] = [("before", effect(before(one.result), state, None))]
        arms += [(f"{share:g}", effect(one.result, state, share)) for share in SHARES]
        for name, weighting in arms:
            of = weighting.extra_by_error
            cells = (f"{of.get(error, 0.0):.0%}" for error in ERRORS)
            lines.append(f"| {one.name} | {name} | {' | '.join(cells)} |")
    return lines
