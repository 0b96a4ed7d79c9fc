"""What some arms are helped with: somebody who knows the truth, labels that were missing, backgrounds of a pool."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.retraining_sets import Digits, TrainingSet
from hnm_core import MiningSettings, mine
from hnm_core.imageset import Images
from hnm_core.io.data_yaml import class_names, read_data_yaml
from hnm_core.io.yolo import label_file, read_yolo_truth
from hnm_core.looks import next_looks
from hnm_core.mistakes import mistake_rows
from hnm_core.taxonomy import DUPLICATE

__all__ = ["LEAST", "judged", "with_accepted", "with_backgrounds"]

LEAST = 0.01
"""Lowest confidence of the predictions."""


def judged(result: Any, place: Path, shape: TrainingSet, looks: int, seed: int) -> list[dict[str, Any]]:
    """What somebody who knows the truth says of the mistakes that are shown first."""
    of_side = mistake_rows(result.errors, (result.prediction_hard, result.truth_hard))
    sides = (("prediction", result.predictions), ("truth", result.truth))
    rows = [(side, table, int(row)) for (side, table), some in zip(sides, of_side, strict=True) for row in some]
    images = Images.of(result.truth)
    state = np.full(len(rows), "unreviewed", dtype=object)
    said: list[dict[str, Any]] = []
    for look in range(looks):
        shown = next_looks(result.mistakes, state, images, result.settings, seed=1000 * seed + look)
        if not len(shown):
            break
        side, table, row = rows[int(shown[0])]
        image, box = Path(table.images[table.image[row]]), table.xyxy[row]
        alarm = side == "prediction" and result.errors.prediction[row] != DUPLICATE
        missing = alarm and shape.unlabelled(place, image, box)
        state[shown[0]] = "missing_label" if missing else "hard_negative"
        entry = {"side": side, "class": table.classes[table.label[row]], "bbox": box.tolist()}
        said.append({**entry, "image": str(image), "state": str(state[shown[0]])})
    return said


def with_accepted(place: Path, data: Path, start: Path, shape: TrainingSet, looks: int, confidence: float) -> Path:
    """``data.yaml`` of a copy in which those of the most suspected false positives that deserve a label have it.

    Args:
        place: folder of the set.
        data: its ``data.yaml``.
        start: the model whose false positives are looked at.
        shape: the set.
        looks: at so many.
        confidence: from which on they count as false positives.
    """
    from ultralytics import YOLO

    from hnm_core.training import detect
    from hnm_core.training.mining import with_predictions

    aside = place / f"accepted-{looks}"
    if aside.is_dir():
        return aside / "data.yaml"
    made = aside.with_name(f".{aside.name}")
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(data.parent, made)
    images = sorted((data.parent / "images" / "train").iterdir())
    truth = read_yolo_truth(images, class_names(data, read_data_yaml(data)))
    found = detect(YOLO(str(start)), images, batch=32, conf=LEAST, imgsz=shape.size, device="cpu")
    result = mine(with_predictions(found, truth)[0], truth, MiningSettings(confidence_threshold=confidence))
    alarms, p = np.flatnonzero(result.errors.false_positive), result.predictions
    assert p.score is not None
    for row in alarms[np.lexsort([-p.score[alarms], -result.prediction_suspicion[alarms]])][:looks]:
        image, (x0, y0, x1, y1) = images[p.image[row]], p.xyxy[row]
        if shape.unlabelled(place, image, p.xyxy[row]):
            with label_file(made / image.relative_to(data.parent)).open("a") as file:
                file.write(f"{p.label[row]} {(x0 + x1) / 2:.6f} {(y0 + y1) / 2:.6f} {x1 - x0:.6f} {y1 - y0:.6f}\n")
    for cache in made.rglob("*.cache"):
        cache.unlink()
    text = (made / "data.yaml").read_text()
    (made / "data.yaml").write_text(text.replace(json.dumps(str(data.parent)), json.dumps(str(aside))))
    made.rename(aside)
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
