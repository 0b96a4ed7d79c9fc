"""Make a data set of handwritten digits on photographs, with the truth about each digit known.

Only 3 and 7 are labelled. All other digits are look-alikes, so an 8 that is detected as a 3 is a *genuine* hard
negative. A known share of the training labels is withheld, so there are also 3s without a label. ``answers.json``
records which is which, so that the claims of a miner about the set can be checked.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import numpy as np

from fiftyone_plugin.demo import photographs
from fiftyone_plugin.demo.scenes import CLASSES, PlacedDigit, Pool, Scans, compose, deal_scans

WEIGHTS = Path(__file__).with_name("digits.pt")
ARCHITECTURE = Path(__file__).with_name("digits.yaml")
"""The demo's detector, and the same untrained; ``tools/train_demo_detector.py`` made the weights."""

SPLITS = (("train", 0.7), ("val", 0.15), ("test", 0.15))
ANSWERS = "answers.json"
MADE_BY = "fiftyone_plugin.demo.digits"  # in answers.json: a folder that says so may be made anew


@dataclass
class Scene:
    """One image of the set: its file, its background and its digits."""

    split: str
    name: str
    photograph: str
    digits: list[PlacedDigit]


def make_digits(
    directory: str | Path,
    images: int = 500,
    *,
    seed: int = 0,
    withheld: float = 0.1,
    withhold_in: Sequence[str] = ("train",),
    splits: Sequence[tuple[str, float]] = SPLITS,
    scans: Scans = "demo",
    size: int = 192,
) -> Path:
    """Make a digit-spotting set in YOLO layout, with the answers beside it.

    The set is made aside and put in place when it is complete; a set made here before is replaced, any other
    folder with something in it is left alone. The same arguments give the same bytes, but for the path in
    ``data.yaml``.

    Args:
        directory: Folder of the set: ``data.yaml``, ``answers.json``, ``images/SPLIT/``, ``labels/SPLIT/``.
        images: Number of images in all.
        seed: Another seed, another set.
        withheld: Share in [0, 1] of the target labels of ``withhold_in`` left out, exact but for rounding.
        withhold_in: Splits that lose labels; the others keep all.
        splits: Names and shares of the splits; the shares sum to 1.
        scans: Whose handwriting: the demo's or the detector's.
        size: Side of the square images in pixels.

    Returns:
        The path of ``data.yaml``.

    Raises:
        ValueError: An argument is out of range.
        FileExistsError: ``directory`` holds something that was not made here.
    """
    _check(seed, withheld, scans, size)
    counts = _counts(images, splits)
    if withheld and (unknown := [name for name in withhold_in if name not in counts]):
        raise ValueError(f"withhold_in names {unknown}, but the splits are {list(counts)}.")
    directory = Path(directory).resolve()
    _check_free(directory)
    aside = directory.with_name(f".{directory.name}.{uuid4().hex[:8]}")
    try:
        scenes = _draw(aside, counts, deal_scans(scans, splits), [seed, get_args(Scans).index(scans)], size)
        open_to_loss = [digit for scene in scenes if scene.split in withhold_in for digit in scene.digits]
        _withhold(open_to_loss, withheld, np.random.default_rng([seed, len(scenes)]))
        _write_labels(aside, scenes, size)
        made = {"made_by": MADE_BY, "seed": seed, "withheld": withheld, "scans": scans, "size": size}
        _write_answers(aside, made, scenes)
        _write_yaml(aside, directory, counts)
        _put_in_place(aside, directory)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return directory / "data.yaml"


def _draw(root: Path, counts: dict[str, int], pools: dict[str, Pool], seed: list[int], size: int) -> list[Scene]:
    """Draw and write every image below ``root``."""
    scenes = []
    for s, (split, count) in enumerate(counts.items()):
        (root / "images" / split).mkdir(parents=True)
        rank = np.random.default_rng([*seed, s]).permutation(count) / count  # exact shares, in random order
        for i in range(count):
            rng = np.random.default_rng([*seed, s, i])  # its own: no image depends on those before it
            photograph, digits, pixels = compose(pools[split], rank[i], size, rng)
            scene = Scene(split, f"{split}_{i:05d}", photograph, digits)
            photographs.write(root / "images" / split / f"{scene.name}.jpg", pixels)
            scenes.append(scene)
    return scenes


def _withhold(digits: list[PlacedDigit], share: float, rng: np.random.Generator) -> None:
    """Mark a share of the targets as withheld, in place."""
    targets = [digit for digit in digits if digit.target]
    for index in rng.permutation(len(targets))[: round(share * len(targets))]:
        targets[index].withheld = True


def _write_labels(root: Path, scenes: list[Scene], size: int) -> None:
    """Write one label file per image, empty if nothing is labelled: class x y w h, relative to the image."""
    index_of = {digit: index for index, digit in enumerate(CLASSES)}
    for scene in scenes:
        lines = []
        for placed in scene.digits:
            if placed.target and not placed.withheld:
                x1, y1, x2, y2 = (edge / size for edge in placed.xyxy)
                box = f"{(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}"
                lines.append(f"{index_of[placed.digit]} {box}\n")
        file = root / "labels" / scene.split / f"{scene.name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(lines))


def _write_answers(root: Path, made: dict[str, Any], scenes: list[Scene]) -> None:
    """Write ``answers.json``: how the set was made and, by the image's path in it, all digits in each image."""
    images = {
        f"images/{scene.split}/{scene.name}.jpg": {
            "photograph": scene.photograph,
            "digits": [asdict(placed) for placed in scene.digits],
        }
        for scene in scenes
    }
    (root / ANSWERS).write_text(json.dumps({**made, "images": images}))


def _write_yaml(root: Path, final: Path, counts: dict[str, int]) -> None:
    """Write ``data.yaml`` as Ultralytics needs it: an absolute path, and train and val entries, even if empty."""
    folders = {"train": "", "val": "", **{split: f"images/{split}" for split in counts}}
    lines = [f"path: {json.dumps(str(final))}"]
    lines += [f"{split}: {folder}".rstrip() for split, folder in folders.items()]
    lines += ["names:", *(f"  {index}: {name}" for index, name in enumerate(CLASSES.values()))]
    (root / "data.yaml").write_text("\n".join(lines) + "\n")


def _put_in_place(aside: Path, directory: Path) -> None:
    """Rename the finished set to its place; an existing set is removed only then."""
    old = aside.with_name(aside.name + ".old")
    if directory.exists():
        directory.rename(old)
    aside.rename(directory)
    shutil.rmtree(old, ignore_errors=True)


def _check_free(directory: Path) -> None:
    """Refuse a folder with files that were not made here."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    try:
        made_by = json.loads((directory / ANSWERS).read_text())["made_by"]
    except (OSError, ValueError, KeyError, TypeError):
        made_by = None
    if made_by != MADE_BY:
        raise FileExistsError(
            f"{directory} is not empty and was not made by the digit demo (no {ANSWERS} of its own), so it "
            "is not replaced: choose another folder or empty this one."
        )


def _check(seed: int, withheld: float, scans: str, size: int) -> None:
    """Refuse values out of range, in one sentence."""
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}.")
    if not 0 <= withheld <= 1:
        raise ValueError(f"withheld must be a share in [0, 1] of the target labels, got {withheld}.")
    if scans not in get_args(Scans):
        raise ValueError(f"scans must be one of {list(get_args(Scans))}, got {scans!r}.")
    if size < 64:
        raise ValueError(f"size must be 64 pixels or more, or digits cannot be read, got {size}.")


def _counts(images: int, splits: Sequence[tuple[str, float]]) -> dict[str, int]:
    """Return the number of images per split, rounded so that they sum to ``images``."""
    names, shares = [name for name, _ in splits], [share for _, share in splits]
    if len(set(names)) < len(names) or not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"splits must have different names and positive shares that sum to 1, got {list(splits)}.")
    ends = np.round(np.cumsum(shares) * images).astype(int)
    counts = dict(zip(names, np.diff(ends, prepend=0).tolist(), strict=True))
    if empty := [name for name, count in counts.items() if count < 1]:
        raise ValueError(f"images={images} leaves split {empty[0]!r} without an image: ask for more images.")
    return counts
