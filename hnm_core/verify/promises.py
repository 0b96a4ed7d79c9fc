"""The promised repeats of an export: read ``weights.csv``, and find the image of a path that a trainer reads."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..io.cells import plain_cell

__all__ = ["COPY", "Promise", "image_key", "read_promises"]

COPY = re.compile(r"__r\d+$")
"""Suffix in the names of further copies of an image, for trainers that drop repeated images."""

COLUMNS = ("filepath", "split", "weight", "repeats")


@dataclass(frozen=True)
class Promise:
    """A row of ``weights.csv``.

    Attributes:
        filepath: relative to the export, or absolute for a reference to the original.
        split: ``train``, ``val`` or ``test``.
        weight: sample weight.
        repeats: draws per epoch for trainers that read lists.
    """

    filepath: str
    split: str
    weight: float
    repeats: int


def read_promises(directory: Path) -> tuple[dict[str, Promise], list[str]]:
    """Read the promises by file path, and return them with the problems found."""
    path = directory / "weights.csv"
    if not path.is_file():
        return {}, ["weights.csv does not exist: the repeats cannot be compared"]
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        return {}, [f"weights.csv cannot be read: {error}"]
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        return {}, [f"weights.csv has no column {', '.join(missing)}"]
    promises, broken, twice = {}, [], []
    for number, row in enumerate(rows, 2):
        try:
            promise = Promise(plain_cell(row["filepath"]), row["split"], float(row["weight"]), int(row["repeats"]))
        except (AttributeError, TypeError, ValueError):  # a line that is too short has None
            broken.append(number)
            continue
        if promise.filepath in promises:
            twice.append(number)
        promises[promise.filepath] = promise
    problems = [] if rows else ["weights.csv has no rows"]
    if broken:
        problems.append(f"weights.csv: {len(broken)} of {len(rows)} lines cannot be read, first line {broken[0]}")
    if twice:
        problems.append(f"weights.csv lists {len(twice)} images twice, first in line {twice[0]}")
    return promises, problems + _invalid(list(promises.values()))


def _invalid(promises: Sequence[Promise]) -> list[str]:
    problems = []
    light = [p for p in promises if not (math.isfinite(p.weight) and p.weight >= 1) or p.repeats < 1]
    if light:
        problems.append(
            f"weights.csv: {len(light)} images have a weight or repeats below 1, first {light[0].filepath}: "
            f"every image must still be drawn"
        )
    held_out = [p for p in promises if p.split != "train" and (p.weight != 1 or p.repeats != 1)]
    if held_out:
        first = held_out[0]
        problems.append(
            f"weights.csv has weights for {len(held_out)} val or test images, first {first.filepath} ({first.split}): "
            f"weighting them would bias the evaluation"
        )
    return problems


def image_key(path: Path, directory: Path, promises: dict[str, Promise]) -> str:
    """Return the key in ``weights.csv`` of a path that a trainer reads: the relative path, for copies the first one's.

    Example:
        >>> known = {"images/train/a.jpg": Promise("images/train/a.jpg", "train", 2.0, 2)}
        >>> image_key(Path("/out/images/train/a__r1.jpg"), Path("/out"), known)
        'images/train/a.jpg'
    """
    key = path.relative_to(directory).as_posix() if path.is_relative_to(directory) else path.as_posix()
    if key not in promises:
        first = path.with_name(f"{COPY.sub('', path.stem)}{path.suffix}")
        original = first.relative_to(directory).as_posix() if first.is_relative_to(directory) else first.as_posix()
        return original if original in promises else key
    return key
