"""Store the rounds of a training: mining folders with weights, and the rates of all rounds."""

from __future__ import annotations

import csv
import json
import os
import reprlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..io.cells import plain_cell
from ..io.mining_folder import load_mining, save_mining
from ..io.numbers import as_number
from ..io.write_aside import new_file
from ..reporting.html import report_pages
from ..result import MiningResult
from ..samples.folder import SampleFolder, save_samples
from .plan import TrainingPlan

__all__ = ["RATES", "Rounds", "read_weights", "truth_of", "with_predictions"]

RATES = ("false_alarm_rate", "precision", "recall", "fppi")
"""The rates that are recorded for every round."""

COLUMNS = ("round", "epoch", *RATES, "false_positives", "false_negatives", "hard_negatives", "mean_weight")


class Rounds:
    """The folder ``hard_negatives/`` of a training: ``round_001`` and on, ``rounds.csv``, ``rounds.png``.

    Args:
        folder: created with the first round.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def folders(self) -> dict[int, Path]:
        """Return the folder of every finished round, by the number of epochs trained before it, in order."""
        found = {}
        for folder in sorted(self.folder.glob("round_*")):
            if (folder / "mining.json").is_file():
                record = json.loads((folder / "mining.json").read_text(encoding="utf-8"))
                found[int(record["source"]["epoch"])] = folder
        return dict(sorted(found.items()))

    def add(self, epoch: int, result: MiningResult, plan: TrainingPlan, source: Mapping[str, Any]) -> Path:
        """Save a round; its folder appears only when it is complete.

        Args:
            epoch: epochs trained before it.
            result: the mining of the training images.
            plan: the plan of the training.
            source: where the tables came from.
        """
        folder = self.folder / f"round_{len(self.folders()) + 1:03d}"
        pages, _ = report_pages(result, f"{folder.name}, after epoch {epoch}")
        save_mining(folder, result, {**source, "epoch": epoch}, pages)
        self.finish(result, folder, plan)
        return folder

    def finish(self, result: MiningResult, folder: Path, plan: TrainingPlan) -> None:
        """Write the samples of a saved round, and the table and chart of all rounds."""
        if plan.save_samples:
            self._save_samples(result, folder / "samples")
        rows = self.rows()
        with new_file(self.folder / "rounds.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        try:
            from ..reporting.figures import training_rounds
        except ImportError:
            return
        training_rounds(rows).savefig(self.folder / "rounds.png", dpi=110)

    def _save_samples(self, result: MiningResult, folder: Path) -> None:
        """Save the hard images; warn about those that cannot be saved, so that the training continues."""
        failed: list[OSError] = []
        save_samples(result, SampleFolder(folder), on_error=failed.append)
        if failed:
            warnings.warn(f"{len(failed)} hard images are not saved in {folder}, first: {failed[0]}", stacklevel=3)

    def last(self) -> tuple[MiningResult, Path] | None:
        """Load the latest round and return it with its folder; None before the first."""
        folders = list(self.folders().values())
        return (load_mining(folders[-1])[0], folders[-1]) if folders else None

    def rows(self) -> list[dict[str, Any]]:
        """Return the numbers of every round, in order."""
        rows = []
        for number, (epoch, folder) in enumerate(self.folders().items(), 1):
            report = json.loads((folder / "mining.json").read_text(encoding="utf-8"))["report"]
            known = {**report["statistics"], **report["metrics"], **report["rates"], **(report["weights"] or {})}
            rows.append({name: known.get(name) for name in COLUMNS} | {"round": number, "epoch": epoch})
        return rows


def truth_of(labels: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> Detections:
    """Return the truths of the training images as Ultralytics reads them; every file once.

    Args:
        labels: of an Ultralytics dataset: ``im_file``, ``cls`` (n, 1) and ``bboxes`` (n, 4), centre, width and height
            as fractions.
        names: class names by number.
    """
    once = {label["im_file"]: label for label in labels}
    boxes = np.concatenate([np.zeros((0, 4)), *(label["bboxes"].reshape(-1, 4) for label in once.values())])
    classes = np.concatenate([np.zeros(0), *(label["cls"].reshape(-1) for label in once.values())])
    image = np.repeat(np.arange(len(once)), [len(label["cls"]) for label in once.values()])
    half = boxes[:, 2:] / 2
    xyxy = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return Detections(image, xyxy, classes.astype(np.int64), None, tuple(once), _in_order(names))


def with_predictions(found: Iterator[NDArray[np.float32] | None], truth: Detections) -> tuple[Detections, list[str]]:
    """Collect detections to a table over the images of the truths; return it with the images that were not read."""
    per_image = list(found)
    unread = [name for name, boxes in zip(truth.images, per_image, strict=True) if boxes is None]
    full = [np.zeros((0, 6), dtype=np.float32) if boxes is None else boxes for boxes in per_image]
    rows = np.concatenate([np.zeros((0, 6)), *full]).astype(np.float64)
    image = np.repeat(np.arange(len(full)), [len(boxes) for boxes in full])
    label = rows[:, 5].astype(np.int64)
    return Detections(image, rows[:, :4], label, rows[:, 4], truth.images, truth.classes), unread


def read_weights(file: Path, images: Sequence[str]) -> tuple[NDArray[np.float64], int]:
    """Read the weights of images from a ``weights.csv``; return them, and the number of images not in it (weight 1).

    Relative names are resolved beside the file, or else in the working directory.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is not a table of weights, has lines without one, or contains none of the images.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            rows = list(csv.DictReader(opened))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{file} is not a table of weights: {error}") from None
    key = next((name for name in ("image", "filepath") if rows and name in rows[0]), None)
    if key is None or "weight" not in rows[0]:
        raise ValueError(f"{file} is not a table of weights: expected the columns image (or filepath) and weight")
    weights = [as_number(row["weight"]) for row in rows]
    bad = [
        at
        for at, (row, weight) in enumerate(zip(rows, weights, strict=True))
        if not row[key] or "\0" in row[key] or weight is None or not 0 <= weight < np.inf
    ]
    if bad:
        raise ValueError(
            f"{file}: {len(bad)} of {len(rows)} lines have no image, or no weight of 0 or more, first line "
            f"{bad[0] + 2}: {reprlib.repr(rows[bad[0]][key])}, {reprlib.repr(rows[bad[0]]['weight'])}"
        )
    places = [os.path.realpath(image) for image in images]
    for start in (file.parent, Path()):
        known = {os.path.realpath(start / plain_cell(row[key])): w for row, w in zip(rows, weights, strict=True)}
        unknown = sum(place not in known for place in places)
        if unknown < len(images):
            return np.array([known.get(place, 1.0) for place in places]), unknown
    raise ValueError(
        f"{file} has none of the {len(images)} images to train on: its first image is {rows[0][key]}, the first one to "
        f"train on is {images[0]}"
    )


def _in_order(names: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(names[number] for number in sorted(names))
