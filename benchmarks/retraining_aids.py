"""What some arms are helped with: somebody who knows the truth, labels that were missing, backgrounds of a pool."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.retraining_sets import Digits, TrainingSet
from hnm_core import MiningResult, MiningSettings, mine
from hnm_core.io.data_yaml import class_names, label_file, read_data_yaml
from hnm_core.io.yolo import read_yolo_truth
from hnm_core.labels.estimate import estimate_suspicion
from hnm_core.labels.mistakes import mistake_rows
from hnm_core.labels.next_reviews import next_reviews
from hnm_core.labels.reviews import STATES, UNREVIEWED
from hnm_core.labels.sheets import next_sheet
from hnm_core.taxonomy import DUPLICATE
from hnm_core.weighting.images import Images

__all__ = [
    *("LEAST", "entries_by_truth", "put_in_place", "reviews_by_sheets", "reviews_by_truth", "with_accepted"),
    "with_backgrounds",
]

LEAST = 0.01
"""Lowest confidence of the predictions."""


def reviews_by_truth(
    result: MiningResult, place: Path, shape: TrainingSet, review_count: int, seed: int
) -> list[dict[str, Any]]:
    """Review the mistakes that are shown first with the known truth; return the entries of the reviews."""
    images, state = Images.of(result.truth), np.zeros(len(result.mistakes), dtype=np.int8)
    entries: list[dict[str, Any]] = []
    for number in range(review_count):
        shown = next_reviews(result.mistakes, state, images, result.settings, seed=1000 * seed + number)
        if not len(shown):
            break
        (entry,) = entries_by_truth(result, place, shape, shown[:1])
        state[shown[0]] = STATES.index(entry["state"])
        entries.append(entry)
    return entries


def reviews_by_sheets(result: MiningResult, place: Path, shape: TrainingSet, clicks: int) -> list[dict[str, Any]]:
    """Answer sheets of false positives with the known truth, for so many clicks; return the entries of the reviews.

    A sheet costs a click for the answer that fits most of it, and one for each exception, which stays open: of it is
    known that the answer does not fit.
    """
    mistakes, state = result.mistakes, np.zeros(len(result.mistakes), dtype=np.int8)
    seen, entries, spent = set(np.flatnonzero(mistakes.of_truth).tolist()), list[dict[str, Any]](), 0
    while True:
        suspicion = estimate_suspicion(mistakes, state).value
        sheet = next_sheet(mistakes, state, suspicion, skip=seen)
        if sheet is None:
            return entries
        answered = entries_by_truth(result, place, shape, sheet.rows)
        given = np.array([STATES.index(entry["state"]) for entry in answered])
        answer = np.bincount(given).argmax()
        spent += 1 + int((given != answer).sum())
        if spent > clicks:
            return entries
        state[sheet.rows] = np.where(given == answer, answer, -answer)
        seen |= set(sheet.rows[given != answer].tolist())
        refused = {"state": STATES[UNREVIEWED], "refused": STATES[answer]}
        entries += [
            {**entry, **({} if code == answer else refused)} for entry, code in zip(answered, given, strict=True)
        ]


def entries_by_truth(
    result: MiningResult, place: Path, shape: TrainingSet, mistakes: Iterable[int]
) -> list[dict[str, Any]]:
    """Return the entries of a ledger for some rows of the mistakes, answered with the known truth."""
    of_side = mistake_rows(result.errors, (result.prediction_hard, result.truth_hard))
    entries: list[dict[str, Any]] = []
    for number in map(int, mistakes):
        of_truth = number >= len(of_side[0])
        side, table = ("truth", result.truth) if of_truth else ("prediction", result.predictions)
        row = int(of_side[of_truth][number - of_truth * len(of_side[0])])
        image, box = Path(table.images[table.image[row]]), table.xyxy[row]
        false_positive = not of_truth and result.errors.prediction[row] != DUPLICATE
        missing = false_positive and shape.unlabelled(place, image, box)
        entry = {"side": side, "class": table.classes[table.label[row]], "bbox": box.tolist(), "image": str(image)}
        entries.append({**entry, "state": "missing_label" if missing else "hard_negative"})
    return entries


def with_accepted(
    place: Path, data: Path, start: Path, shape: TrainingSet, review_count: int, confidence: float
) -> Path:
    """``data.yaml`` of a copy in which those of the most suspected false positives that deserve a label have it.

    Args:
        place: folder of the set.
        data: its ``data.yaml``.
        start: the model whose false positives are looked at.
        shape: the set.
        review_count: number of false positives that are reviewed.
        confidence: from which on they count as false positives.
    """
    from ultralytics import YOLO

    from hnm_core.training import detect
    from hnm_core.training.mining import with_predictions

    aside = place / f"accepted-{review_count}"
    if aside.is_dir():
        return aside / "data.yaml"
    made = aside.with_name(f".{aside.name}-{os.getpid()}")  # arms may train side by side
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(data.parent, made)
    images = sorted((data.parent / "images" / "train").iterdir())
    truth = read_yolo_truth(images, class_names(data, read_data_yaml(data)))
    found = detect(YOLO(str(start)), images, batch=32, conf=LEAST, imgsz=shape.size, device="cpu")
    result = mine(with_predictions(found, truth)[0], truth, MiningSettings(confidence_threshold=confidence))
    wrong, p = np.flatnonzero(result.errors.false_positive), result.predictions
    assert p.score is not None
    for row in wrong[np.lexsort([-p.score[wrong], -result.prediction_suspicion[wrong]])][:review_count]:
        image, (x0, y0, x1, y1) = images[p.image[row]], p.xyxy[row]
        if shape.unlabelled(place, image, p.xyxy[row]):
            with label_file(made / image.relative_to(data.parent)).open("a") as file:
                file.write(f"{p.label[row]} {(x0 + x1) / 2:.6f} {(y0 + y1) / 2:.6f} {x1 - x0:.6f} {y1 - y0:.6f}\n")
    for cache in made.rglob("*.cache"):
        cache.unlink()
    return put_in_place(made, aside, data)


def put_in_place(made: Path, aside: Path, data: Path) -> Path:
    """Give a set that was made beside its place its ``data.yaml`` and its name, and return the former.

    Args:
        made: the folder that was made; removed if another process was first.
        aside: its place.
        data: ``data.yaml`` of the set that it was made of.
    """
    text = data.read_text()
    (made / "data.yaml").write_text(text.replace(json.dumps(str(data.parent)), json.dumps(str(aside))))
    try:
        made.rename(aside)
    except OSError:
        if not aside.is_dir():
            raise
        shutil.rmtree(made)  # another process was first
    return aside / "data.yaml"


def with_backgrounds(place: Path, data: Path, start: Path, shape: Digits, which: str, share: float, seed: int) -> Path:
    """``data.yaml`` with some images of a pool added in which there is nothing to find."""
    files = shape.backgrounds(place)
    if which == "hard":
        order = np.argsort(-_surest(place / "surest.npy", start, files, shape.size), kind="stable")
    else:
        order = np.random.default_rng(seed).permutation(len(files))
    named = place / f"{which}-{seed}"
    named.with_suffix(".txt").write_text("".join(f"{files[i]}\n" for i in order[: round(share * shape.train)]))
    train = [str(data.parent / "images" / "train"), str(named.with_suffix(".txt"))]
    text = f"train: {json.dumps(train)}\nval: {data.parent / 'images' / 'val'}\nnames: [three, seven]\n"
    named.with_suffix(".yaml").write_text(text)
    return named.with_suffix(".yaml")


def _surest(kept: Path, start: Path, files: Sequence[Path], size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Confidence of the surest prediction of each file by the model that every arm starts from; asked once."""
    from ultralytics import YOLO

    from hnm_core.training import detect

    if not kept.is_file():
        found = detect(YOLO(str(start)), files, batch=32, conf=LEAST, imgsz=size, device="cpu")
        np.save(kept, [0.0 if boxes is None or not len(boxes) else float(boxes[:, 4].max()) for boxes in found])
    return np.asarray(np.load(kept), dtype=np.float64)
