"""What an export promises: its ``weights.csv``, and which image a trainer's path means."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["COPY", "Promise", "image_key", "read_promises"]

COPY = re.compile(r"__r\d+$")
"""End of the name of an image's second, third, … copy, for trainers that read no image twice."""

COLUMNS = ("filepath", "split", "weight", "repeats")


@dataclass(frozen=True)
class Promise:
    """A row of ``weights.csv``.

    Attributes:
        filepath: relative to the export, or absolute where the original is referred to.
        split: ``train``, ``val`` or ``test``.
        weight: sample weight.
        repeats: draws in an epoch of a trainer that reads lists.
    """

    filepath: str
    split: str
    weight: float
    repeats: int


def read_promises(directory: Path) -> tuple[dict[str, Promise], list[str]]:
    """The promises by file path, and what is wrong with them."""
    path = directory / "weights.csv"
    if not path.is_file():
        return {}, ["weights.csv is not there: what the export promises is not known"]
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            return {}, [f"weights.csv has no column {', '.join(missing)}"]
        rows = list(reader)
    promises, broken, twice = {}, [], []
    for number, row in enumerate(rows, 2):
        try:
            promise = Promise(row["filepath"], row["split"], float(row["weight"]), int(row["repeats"]))
        except (TypeError, ValueError):
            broken.append(number)
            continue
        if promise.filepath in promises:
            twice.append(number)
        promises[promise.filepath] = promise
    problems = [] if rows else ["weights.csv has no rows: the export promises nothing"]
    if broken:
        problems.append(f"weights.csv: {len(broken)} of {len(rows)} lines cannot be read, first line {broken[0]}")
    if twice:
        problems.append(f"weights.csv names {len(twice)} images twice, first in line {twice[0]}")
    return promises, problems + _unfit(list(promises.values()))


def _unfit(promises: Sequence[Promise]) -> list[str]:
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
            f"weights.csv weights {len(held_out)} held-out images, first {first.filepath} ({first.split}): what is "
            f"measured with must never be weighted"
        )
    return problems


def image_key(path: Path, directory: Path, promises: dict[str, Promise]) -> str:
    """What ``weights.csv`` calls an image that a trainer draws: its relative path, of copies that of the first.

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
