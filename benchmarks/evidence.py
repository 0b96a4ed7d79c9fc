"""What tells a label error from a model's error: the detector asked again, the crops, and both with answers.

On sets whose answers are known: the demo's digits, and photographs with drawn-in label errors. Their detector was
trained on the noisy labels and is asked about its own training images, as a user's is.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.label_noise import KINDS, Noise, NoisyLabels, add_label_noise, read_noisy
from benchmarks.retraining import start_of
from benchmarks.retraining_sets import SETS as RETRAINING_SETS
from benchmarks.retraining_sets import SHARED, TRAINING, Relabelled
from hnm_core import Detections, MiningResult, MiningSettings, mine
from hnm_core.evidence.appearance import appearance_evidence
from hnm_core.evidence.views import ViewEvidence, views_evidence
from hnm_core.labels.estimate import estimate_suspicion
from hnm_core.labels.evidence_weights import at_rows
from hnm_core.labels.mistakes import mistake_rows
from hnm_core.labels.next_reviews import next_reviews
from hnm_core.labels.reviews import HARD_NEGATIVE, WRONG_LABEL
from hnm_core.taxonomy import ERROR_TYPES, LOCALIZATION, ROW_NAMES
from hnm_core.training.asking import ask_again
from hnm_core.training.detecting import detect
from hnm_core.training.view_cache import cache_folder
from hnm_core.weighting.images import Images

ANSWERS = (0, 20, 100)
LEAST, DRAWS, BINS = 30, 500, 10
"""Fewest of the rarer kind for a number; resamples of an interval; bins of equal count of a calibration error."""

ALL = MiningSettings(hard_negative_ratio=1.0, confidence_threshold=0.25)
"""Everything that a detector says at a confidence that people look at, and every miss."""

WAYS = {"class": "wrong_label", "box": "wrong_box", "bogus": "bogus_label"}


@dataclass(frozen=True)
class NoisySet:
    """A set of photographs, its drawn-in label errors, and how its shipped detector is trained further on them.

    Attributes:
        folder: of the set.
        size: longer side of the images that the detector sees, in pixels.
        epochs: of training on the noisy labels.
        noise: shares of label errors.
        seed: of the errors and of training.
        splits: of the set, whose images are used.
    """

    folder: str
    size: int
    epochs: int
    noise: Noise
    seed: int
    splits: tuple[str, ...]


PROVING = RETRAINING_SETS["txl, label errors drawn in"]
assert isinstance(PROVING, Relabelled)
"""Photographs whose detector learned from nothing but labels with errors: that of the benchmark of retraining."""

FURTHER = NoisySet("cards", 320, 3, Noise(0.2, 0.15, 0.15, 0.15), 1, ("train", "val", "test"))


@dataclass(frozen=True, eq=False)
class Known:
    """A mining of which it is known which mistakes are the label's.

    Attributes:
        name: for the table.
        result: the mining.
        wrong: ``(k,)`` bool over ``result.mistakes``.
        told: what the views say.
        evidence: per kind a column of the mistakes.
        labels: what was drawn into the labels; None if nothing was.
    """

    name: str
    result: MiningResult
    wrong: NDArray[np.bool_]
    told: ViewEvidence
    evidence: dict[str, NDArray[np.float64]]
    labels: NoisyLabels | None = None


def table(sets: Path = SHARED) -> list[str]:
    """Return three Markdown tables: mistakes before any review, labels, and mistakes after answers."""
    known = list(_known(sets))
    return [*_mistakes(known), "", *_labels(known), "", *_answers(known)]


def _known(sets: Path) -> Iterator[Known]:
    from benchmarks import labels

    case = labels.digits(cache_folder() / "benchmarks" / "digits", 500, seed=0)
    yield known_of(f"{case.name}, from .5", case.result, case.weights, case.wrong)
    for name in (PROVING.name, FURTHER.folder):
        _folder_of(sets, name)
    yield proving(sets)
    weights = trained(FURTHER, sets)
    noisy = read_noisy(cache_folder() / "benchmarks" / f"{FURTHER.folder}-{FURTHER.seed}")
    yield noisy_of(FURTHER.folder, predicted(weights, noisy.table, FURTHER.size), noisy, weights)


def proving(sets: Path) -> Known:
    """Return what is known of the mistakes on the proving ground; trains its detector where there is none.

    Raises:
        FileNotFoundError: where the photographs are not there.
    """
    _folder_of(sets, PROVING.name)
    data, _, weights = start_of(cache_folder() / "benchmarks" / "txl-noisy", replace(PROVING, root=sets))
    noisy = read_noisy(data.parent)
    return noisy_of(PROVING.name, predicted(weights, noisy.table, PROVING.size), noisy, weights)


def _folder_of(sets: Path, name: str) -> Path:
    if not (sets / name).is_dir():
        raise FileNotFoundError(f"--data {sets} has no folder {name}: give the folder of the public sets")
    return sets / name


def noisy_of(name: str, predictions: Detections, noisy: NoisyLabels, weights: Path) -> Known:
    """Return what is known of a detector's mistakes against labels with drawn-in errors.

    A false positive is the label's if it is none against the true labels; a miss if its label was drawn.
    """
    result, true = mine(predictions, noisy.table, ALL), mine(predictions, noisy.truth, ALL)
    rows = mistake_rows(result.errors, (result.prediction_hard, result.truth_hard))
    wrong = [~true.errors.false_positive[rows[0]], np.isin(noisy.kind[rows[1]], [KINDS.index(way) for way in WAYS])]
    return known_of(name, result, weights, np.concatenate(wrong), noisy)


def known_of(
    name: str, result: MiningResult, weights: Path, wrong: NDArray[np.bool_], labels: NoisyLabels | None = None
) -> Known:
    """Ask the detector again, look at the crops, and return both at the mistakes."""
    from ultralytics import YOLO

    asked = ask_again(YOLO(str(weights)), weights, result, device="cpu")
    told = views_evidence(result, dict(zip(asked.names, asked.tables, strict=True)))
    rows = mistake_rows(result.errors, (result.prediction_hard, result.truth_hard))
    given: dict[str, Any] = {**told.kinds, "appearance": appearance_evidence(result)}
    evidence = at_rows(given, (len(result.predictions), len(result.truth)), rows)
    return Known(name, result, wrong, told, evidence, labels)


def trained(each: NoisySet, sets: Path) -> Path:
    """Return the checkpoint of a detector trained on the noisy labels; trains it where there is none."""
    from ultralytics import YOLO

    folder = cache_folder() / "benchmarks" / f"{each.folder}-{each.seed}"
    weights = folder / "run" / "weights" / "last.pt"
    if not weights.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        data = sets / each.folder / "data.yaml"
        noisy = add_label_noise(data, folder, each.noise, each.seed, splits=each.splits)
        model = YOLO(str(sets / each.folder / "preds" / f"yolo11n_{each.folder}.pt"))
        options = TRAINING | {"fliplr": 0.5, "scale": 0.5, "workers": 0, "seed": each.seed}
        model.train(data=str(noisy), epochs=each.epochs, imgsz=each.size, project=str(folder), name="run", **options)
    return weights


def predicted(weights: Path, truth: Detections, size: int) -> Detections:
    """Return a detector's predictions, down to confidence .01, on the images of a table of labels."""
    from ultralytics import YOLO

    rows = [boxes for boxes in detect(YOLO(str(weights)), truth.images, conf=0.01, imgsz=size, device="cpu")]
    found = np.concatenate([boxes for boxes in rows if boxes is not None]).astype(np.float64)
    image = np.repeat(np.arange(len(rows)), [0 if boxes is None else len(boxes) for boxes in rows])
    label = found[:, 5].astype(np.int64)
    return Detections(image, found[:, :4], label, found[:, 4], truth.images, truth.classes)


def _mistakes(known: list[Known]) -> list[str]:
    """How well the label errors stand above the model's errors before any review, per set and error type."""
    ways: dict[str, Callable[[Known], NDArray[np.float64]]] = {
        "score": lambda each: np.nan_to_num(each.result.mistakes.score, nan=0.0),
        "appearance": lambda each: _suspicion(each, ("appearance",)),
        "views": lambda each: _suspicion(each, ("views",)),
        "views and appearance": lambda each: _suspicion(each, ("views", "appearance")),
    }
    lines = [f"| before any review | mistakes | label errors | AUROC by {' | '.join(ways)} | coverage: views, crops |"]
    lines.append(f"|---|---|---|{'---|' * len(ways)}---|")
    for each in known:
        values = {name: of(each) for name, of in ways.items()}
        for name, rows in _kinds(each):
            wrong = each.wrong[rows]
            if min(wrong.sum(), (~wrong).sum()) < LEAST:
                continue
            cells = [interval(value[rows], wrong) for value in values.values()]
            covered = [f"{np.isfinite(each.evidence[kind][rows]).mean():.0%}" for kind in ("views", "appearance")]
            head = [f"{each.name}, {name}", str(len(wrong)), str(wrong.sum())]
            lines.append(f"| {' | '.join([*head, *cells, ', '.join(covered)])} |")
    return lines


def _kinds(each: Known) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield which mistakes are false positives of each error type, and which are misses, by name."""
    mistakes = each.result.mistakes
    for name in ERROR_TYPES:
        yield name, (mistakes.code == ROW_NAMES.index(name)) & ~mistakes.of_truth
    yield "misses", mistakes.of_truth & (mistakes.code >= LOCALIZATION)


def _labels(known: list[Known]) -> list[str]:
    """How well drawn-in errors stand above right labels, matched or not."""
    lines = ["| labels | right | wrong | AUROC | coverage |", "|---|---|---|---|---|"]
    for each in known:
        for way, column in WAYS.items() if each.labels is not None else ():
            assert each.labels is not None
            value = getattr(each.told.suspects, column)
            of_kind = each.labels.kind == KINDS.index(way)
            rows = (of_kind | (each.labels.kind == 0)) & np.isfinite(value)
            cells = [str((each.labels.kind == 0).sum()), str(of_kind.sum()), interval(value[rows], of_kind[rows])]
            covered = np.isfinite(value[of_kind | (each.labels.kind == 0)]).mean()
            lines.append(f"| {each.name}, {way} | {' | '.join(cells)} | {covered:.0%} |")
    return lines


def _answers(known: list[Known]) -> list[str]:
    """Return how good suspicion is after so many answers with the known truth, in the order of the review."""
    heads = [f"{name} after {' / '.join(map(str, ANSWERS))}" for name in ("AUROC", "Brier", "ECE")]
    lines = [f"| after answers | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for each in known:
        for kinds in ((), ("appearance",), ("views", "steady"), ("views", "steady", "appearance")):
            for side, cells in answered(each, kinds).items():
                lines.append(
                    f"| {each.name}, {side}: {' and '.join(kinds) or 'the prior alone'} | {' | '.join(cells)} |"
                )
    return lines


def answered(each: Known, kinds: tuple[str, ...]) -> dict[str, list[str]]:
    """Return AUROC, Brier score and calibration error, each after every number of :data:`ANSWERS`, per side."""
    mistakes, images = each.result.mistakes, Images.of(each.result.truth)
    evidence = {kind: each.evidence[kind] for kind in kinds}
    answer = np.where(each.wrong, WRONG_LABEL, HARD_NEGATIVE).astype(np.int8)
    sides = {"false positives": ~mistakes.of_truth, "misses": mistakes.of_truth}
    state, found = np.zeros(len(mistakes), dtype=np.int8), {side: [] for side in sides}
    for number in range(max(ANSWERS) + 1):
        if number in ANSWERS:
            value = estimate_suspicion(mistakes, state, evidence).value
            for side, rows in sides.items():
                left = rows & (state == 0) & (mistakes.code >= LOCALIZATION)
                found[side].append(_judged(value[left], each.wrong[left]))
        rows = next_reviews(mistakes, state, images, each.result.settings, seed=number, evidence=evidence)
        state[rows[:1]] = answer[rows[:1]]
    return {side: [" / ".join(cells) for cells in zip(*of, strict=True)] for side, of in found.items()}


def _judged(value: NDArray[np.float64], wrong: NDArray[np.bool_]) -> tuple[str, str, str]:
    parts = np.array_split(np.argsort(value, kind="stable"), BINS)
    error = sum(len(rows) * abs(value[rows].mean() - wrong[rows].mean()) for rows in parts if len(rows)) / len(value)
    return auroc(value, wrong), f"{((value - wrong) ** 2).mean():.3f}", f"{error:.3f}"


def _suspicion(each: Known, kinds: tuple[str, ...]) -> NDArray[np.float64]:
    return estimate_suspicion(each.result.mistakes, None, {kind: each.evidence[kind] for kind in kinds}).value


def interval(value: NDArray[np.float64], wrong: NDArray[np.bool_], seed: int = 0) -> str:
    """Return the area under the ROC curve with its 95 % bootstrap interval; a dash with too few of the rarer kind."""
    if min(wrong.sum(), (~wrong).sum()) < LEAST:
        return "–"
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(value), len(value)) for _ in range(DRAWS)]
    low, high = np.percentile([_area(value[rows], wrong[rows]) for rows in drawn], (2.5, 97.5))
    return f"{_area(value, wrong):.3f} ({low:.3f} to {high:.3f})"


def auroc(value: NDArray[np.float64], wrong: NDArray[np.bool_]) -> str:
    """Return the area under the ROC curve; a dash if all are of one kind."""
    return "–" if wrong.all() or not wrong.any() else f"{_area(value, wrong):.3f}"


def _area(value: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    n, m = int(wrong.sum()), int((~wrong).sum())
    if not n or not m:
        return 0.5
    return float((rankdata(value)[wrong].sum() - n * (n + 1) / 2) / (n * m))
