"""How well a verifier tells errors on images that neither it nor the detector has seen, beside lowest confidence.

On photographs with their own test splits: the verifier is fitted to the train split, and asked about the test split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from benchmarks.evidence import predicted
from benchmarks.retraining_sets import SHARED, TRAINING
from hnm_core import MiningResult, mine
from hnm_core.io import read_coco
from hnm_core.io.truth_files import read_truth_files
from hnm_core.live import Verifier
from hnm_core.live.examples import examples_of
from hnm_core.live.quality import LEAST_UNCERTAIN
from hnm_core.training.view_cache import cache_folder

DRAWS, SURE = 1_000, 0.5
"""Resamples of an interval; confidence from which a detection is confident."""

Locate = Callable[[str], "str | Path | None"]


@dataclass(frozen=True)
class Set:
    """A set of photographs and the detector whose errors are to be told.

    Attributes:
        name: of its folder.
        start: folder of the set whose shipped detector the training starts from; None to take its own predictions.
        size: longer side of the images that the detector sees, in pixels.
        epochs: of training.
    """

    name: str
    start: str | None = None
    size: int = 320
    epochs: int = 0


SETS = (Set("cards"), Set("txl", "bccd", 224, 2))


def table(sets: Path = SHARED) -> list[str]:
    """Return a Markdown table of the average precision of errors, with 95 % intervals by resampling images."""
    lines = [
        "| test images | errors of detections | verifier | lowest confidence | difference |",
        "|---|---|---|---|---|",
    ]
    for each in SETS:
        if not (sets / each.name).is_dir():
            raise FileNotFoundError(f"--data {sets} has no folder {each.name}: give the folder of the public sets")
        runs, locate = mined(each, sets)
        verifier = Verifier.fit(runs["train"], locate)
        lines += _rows(each.name, runs["test"], locate, verifier)
    return lines


def mined(each: Set, sets: Path) -> tuple[dict[str, MiningResult], Locate]:
    """Return a mining of the train and of the test split, and what finds the pictures."""
    folder = sets / each.name
    if each.start is None:
        files = {path.name: path for path in (folder / "images").rglob("*") if path.is_file()}
        names = {split: (f"instances_{split}.json", f"predictions_{split}.json") for split in ("train", "test")}
        tables = {split: read_coco(folder / "coco" / a, folder / "preds" / b) for split, (a, b) in names.items()}
        return {split: mine(*pair) for split, pair in tables.items()}, lambda key: files.get(Path(key).name)
    weights = _trained(each, sets)
    truths = {split: read_truth_files(folder / "data.yaml", split).table for split in ("train", "test")}
    return {split: mine(predicted(weights, truth, each.size), truth) for split, truth in truths.items()}, Path


def _trained(each: Set, sets: Path) -> Path:
    """Return the checkpoint of a detector trained on the train split; trains it where there is none."""
    from ultralytics import YOLO

    place = cache_folder() / "benchmarks" / f"{each.name}-plain"
    weights = place / "run" / "weights" / "last.pt"
    if not weights.is_file():
        place.mkdir(parents=True, exist_ok=True)
        data = yaml.safe_load((sets / each.name / "data.yaml").read_text())
        (place / "data.yaml").write_text(yaml.safe_dump({**data, "path": str((sets / each.name).resolve())}))
        model = YOLO(str(sets / str(each.start) / "preds" / f"yolo11n_{each.start}.pt"))
        options = TRAINING | {"fliplr": 0.5, "scale": 0.5, "workers": 0, "seed": 0}
        model.train(
            data=str(place / "data.yaml"),
            **{"epochs": each.epochs, "imgsz": each.size, "project": str(place), "name": "run", **options},
        )
    return weights


def _rows(name: str, result: MiningResult, locate: Locate, verifier: Verifier) -> list[str]:
    """Return a row for every list: all detections, confident ones, uncertain ones."""
    examples, predictions = examples_of(result), result.predictions
    assert predictions.score is not None
    score, image = predictions.score[examples.rows], predictions.image[examples.rows]
    said = verifier.of_rows(predictions, examples.rows, locate)
    masks = {"all": score >= 0, "confident": score >= SURE, "uncertain": (score >= LEAST_UNCERTAIN) & (score < SURE)}
    lines = []
    for which, mask in masks.items():
        wrong, ways = examples.wrong[mask], np.stack([said[mask], -score[mask]])
        cells = _cells(ways, wrong, image[mask])
        lines.append(f"| {name}, {which} | {int(wrong.sum())} of {len(wrong)} | {' | '.join(cells)} |")
    return lines


def _cells(ways: NDArray[np.float64], wrong: NDArray[np.bool_], image: NDArray[np.int64]) -> list[str]:
    """Return the average precision by both ways and their difference, each with an interval."""
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(image == each) for each in np.unique(image)]
    found = [_precision(ways, wrong)]
    for _ in range(DRAWS):
        drawn = np.concatenate([rows[at] for at in rng.integers(0, len(rows), len(rows))])
        if 0 < wrong[drawn].sum() < len(drawn):
            found.append(_precision(ways[:, drawn], wrong[drawn]))
    low, high = np.percentile(found[1:], (2.5, 97.5), axis=0)
    return [f"{a:.3f} ({b:.3f} to {c:.3f})" for a, b, c in zip(found[0], low, high, strict=True)]


def _precision(ways: NDArray[np.float64], wrong: NDArray[np.bool_]) -> list[float]:
    first, second = (float(average_precision_score(wrong, way)) for way in ways)
    return [first, second, first - second]
