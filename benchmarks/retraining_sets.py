"""What the evidence is gathered on: the digit demo in its varieties, and small sets of photographs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.label_noise import Noise, add_label_noise, read_noisy
from fiftyone_plugin.demo.digits import WEIGHTS, make_digits
from hnm_core.boxes import overlapping
from hnm_core.io.data_yaml import class_names, label_file, read_data_yaml

__all__ = ["SETS", "SHARED", "TRAINING", "Digits", "Photographs", "Relabelled", "TrainingSet", "half_width"]

SHARED = Path(__file__).parents[2] / "shared" / "data"
"""Where sets of photographs lie; what needs them is left out where they are not."""

TRAINING: dict[str, Any] = {
    "batch": 16,
    "nbs": 16,  # the batch: a larger one would make the optimiser skip steps, and a small set has few
    "optimizer": "AdamW",
    "lr0": 0.001,
    "warmup_epochs": 0.5,
    "warmup_bias_lr": 0.0,  # Ultralytics' own choice with AdamW; its default of .1 undoes what the model knows
    "mosaic": 0.0,  # scenes are composed at random already, and a seam cuts an 8 into a 3
    "fliplr": 0.0,  # a mirrored 3 is no 3
    "scale": 0.2,
    "translate": 0.1,
    "cache": "ram",
    "amp": False,
    "patience": 0,
    "val": False,
    "plots": False,
    "verbose": False,
    "device": "cpu",
    "workers": 0,
    "exist_ok": True,
}
"""How all are trained."""


class TrainingSet(Protocol):
    """Images to train on, images to test on, and where every arm starts.

    Attributes:
        size: side of the images that the model sees, in pixels.
        start_epochs: how long :meth:`model` trains on these images before the arms part.
        epochs: how long every arm trains.
        mine_every: epochs from one mining to the next; the first is before training.
    """

    size: int
    start_epochs: int
    epochs: int
    mine_every: int

    @property
    def there(self) -> bool:
        """Return whether the set can be made: its photographs are there, if it has any."""

    def model(self, place: Path) -> Path:
        """Return the model that is there at first, trained or not."""

    def make(self, place: Path) -> None:
        """Make the images, and the labels."""

    def data(self, place: Path) -> Path:
        """``data.yaml`` to train on."""

    def test_data(self, place: Path) -> Path:
        """``data.yaml`` to test on: its split ``test``."""

    def unlabelled(self, place: Path, image: Path, box: NDArray[np.float64]) -> bool:
        """Return whether a false positive shows an object that nobody labelled; corners as fractions of the image."""


@dataclass(frozen=True)
class Digits:
    """The digit demo: all truth known, a test split in handwriting that no training saw.

    Attributes:
        withheld: share of the training labels left out.
        train: images to train on.
        test: images to test on.
        size: side of the images in pixels.
        start_epochs: how long the demo's detector trains on these images before the arms part.
        epochs: how long every arm trains.
        mine_every: epochs from one mining to the next; the first is before training.
        unlabelled_images: of a pool, in handwriting that is neither that of the training images nor of the test's.
    """

    withheld: float
    train: int = 400
    test: int = 1500
    size: int = 128
    start_epochs: int = 8
    epochs: int = 24
    mine_every: int = 6
    unlabelled_images: int = 0

    @property
    def there(self) -> bool:
        """Return True: digits are drawn here."""
        return True

    def model(self, place: Path) -> Path:
        """Return the demo's detector."""
        return WEIGHTS

    def make(self, place: Path) -> None:
        """Make the images, and the labels."""
        count, splits = self.train + 16, _splits(train=self.train, val=16)
        like = {"seed": 21, "withheld": self.withheld, "scans": "detector", "size": self.size}
        make_digits(place / "train", count, splits=splits, **like)
        count, counts = self.test, {"test": self.test}
        if self.unlabelled_images:
            count, counts = count + self.unlabelled_images, {**counts, "pool": self.unlabelled_images}
        make_digits(place / "test", count, seed=22, withheld=0, splits=_splits(**counts), size=self.size)

    def backgrounds(self, place: Path) -> list[Path]:
        """Return the images of the pool without objects: a quarter of it."""
        files = sorted(place.glob("test/images/pool/*"))
        return [file for file in files if not label_file(file).read_text()]

    def data(self, place: Path) -> Path:
        """``data.yaml`` to train on."""
        return place / "train" / "data.yaml"

    def test_data(self, place: Path) -> Path:
        """``data.yaml`` to test on."""
        return place / "test" / "data.yaml"

    def unlabelled(self, place: Path, image: Path, box: NDArray[np.float64]) -> bool:
        """Return whether a label was withheld there."""
        answers = json.loads((place / "train" / "answers.json").read_text())["images"]
        digits = answers[f"images/{image.parent.name}/{image.name}"]["digits"]
        boxes = [digit["xyxy"] for digit in digits if digit["withheld"]]
        withheld = np.array(boxes, dtype=np.float64).reshape(-1, 4) / self.size
        pairs = np.zeros(len(withheld), dtype=np.int64), np.arange(len(withheld))
        return bool((overlapping(box[None], withheld, *pairs)[2] >= 0.5).any())


@dataclass(frozen=True)
class Photographs:
    """A small set of photographs with a detector trained on it, from ``../shared/data``; tested on val and test.

    Attributes:
        name: of its folder there.
        mislabelled: whether its false positives are objects that nobody labelled, nearly all; or nearly none.
        size: side of the images that the model sees, in pixels.
        epochs: how long every arm trains.
        mine_every: epochs from one mining to the next; the first is before training.
    """

    name: str
    mislabelled: bool
    size: int = 320
    start_epochs: int = 0
    epochs: int = 8
    mine_every: int = 4

    @property
    def there(self) -> bool:
        """Return whether its detector is there."""
        return self.model(SHARED).is_file()

    def model(self, place: Path) -> Path:
        """Return the detector that was trained on it."""
        return SHARED / self.name / "preds" / f"yolo11n_{self.name}.pt"

    def make(self, place: Path) -> None:
        """Copy it: Ultralytics writes beside the labels."""
        _copy(SHARED / self.name, place / "train", {"train": "train", "val": "test", "test": "test"})

    def data(self, place: Path) -> Path:
        """``data.yaml`` to train on."""
        return place / "train" / "data.yaml"

    def test_data(self, place: Path) -> Path:
        """``data.yaml`` to test on."""
        return self.data(place)

    def unlabelled(self, place: Path, image: Path, box: NDArray[np.float64]) -> bool:
        """Return the same answer for every box: what is known of the set as a whole."""
        return self.mislabelled


@dataclass(frozen=True)
class Relabelled:
    """Photographs with whole labels, and errors drawn into the labels to train on; tested on val and test as they are.

    Their detector is a half-width yolo11n, trained on the labels with errors from nothing.

    Attributes:
        name: of its folder among the public sets.
        noise: the errors that are drawn; None leaves all labels right.
        size: side of the images that the model sees, in pixels.
        start_epochs: how long the detector trains before the arms part.
        epochs: how long every arm trains.
        mine_every: epochs from one mining to the next; the first is before training.
        root: folder of the public sets.
    """

    name: str
    noise: Noise | None
    size: int = 256
    start_epochs: int = 30
    epochs: int = 12
    mine_every: int = 4
    root: Path = SHARED

    @property
    def there(self) -> bool:
        """Return whether the photographs are there."""
        return (self.root / self.name / "data.yaml").is_file()

    def model(self, place: Path) -> Path:
        """Return the architecture."""
        return half_width(place)

    def make(self, place: Path) -> None:
        """Copy the photographs, and draw the errors."""
        whole = place / "whole"
        _copy(self.root / self.name, whole, {"train": "train", "val": "test", "test": "test"})
        if self.noise is not None:
            add_label_noise(whole / "data.yaml", place / "train", self.noise, seed=1)

    def data(self, place: Path) -> Path:
        """``data.yaml`` to train on."""
        return place / ("whole" if self.noise is None else "train") / "data.yaml"

    def test_data(self, place: Path) -> Path:
        """``data.yaml`` to test on."""
        return place / "whole" / "data.yaml"

    def unlabelled(self, place: Path, image: Path, box: NDArray[np.float64]) -> bool:
        """Return whether a label was lost there: a true box that no label was made from."""
        if self.noise is None:
            return False
        boxes = _lost(place / "train").get(image.name, np.zeros((0, 4)))
        pairs = np.zeros(len(boxes), dtype=np.int64), np.arange(len(boxes))
        return bool((overlapping(box[None], boxes, *pairs)[2] >= 0.5).any())


@lru_cache(maxsize=4)
def _lost(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Return the true boxes that no label was made from, by name of the image."""
    noisy = read_noisy(folder)
    lost = noisy.truth.take(np.setdiff1d(np.arange(len(noisy.truth)), noisy.of))
    images = np.unique(lost.image)
    return {Path(lost.images[image]).name: lost.xyxy[lost.image == image] for image in images.tolist()}


def _copy(source: Path, root: Path, splits: dict[str, str]) -> None:
    """Copy splits of a YOLO set under new names."""
    for kind in ("images", "labels"):
        for split, name in splits.items():
            shutil.copytree(source / kind / split, root / kind / name, dirs_exist_ok=True)
    names = class_names(source / "data.yaml", read_data_yaml(source / "data.yaml"))
    lines = [f"path: {json.dumps(str(root))}", "train: images/train", "val: images/test", "test: images/test"]
    (root / "data.yaml").write_text("\n".join([*lines, f"names: {json.dumps(list(names))}", ""]))


def half_width(folder: Path) -> Path:
    """Write a file of yolo11n with half of its channels, and return its path."""
    import ultralytics
    import yaml

    file = Path(ultralytics.__file__).parent / "cfg" / "models" / "11" / "yolo11.yaml"
    architecture = yaml.safe_load(file.read_text(encoding="utf-8"))
    depth, width, most = architecture["scales"]["n"]
    architecture["scales"] = {"n": [depth, width / 2, most]}
    written = folder / "yolo11n-half.yaml"
    written.write_text(yaml.safe_dump(architecture), encoding="utf-8")
    return written


def _splits(**counts: int) -> tuple[tuple[str, float], ...]:
    return tuple((name, count / sum(counts.values())) for name, count in counts.items())


SETS: dict[str, TrainingSet] = {
    "digits": Digits(withheld=0.0),
    "digits, 20 % of the labels withheld": Digits(withheld=0.2),
    "digits, 20 % of the labels withheld, short": Digits(withheld=0.2, start_epochs=6, epochs=12),
    "digits, with a pool": Digits(withheld=0.0, test=3000, unlabelled_images=3000),
    "cards": Photographs("cards", mislabelled=False),
    "bccd": Photographs("bccd", mislabelled=True),
    "txl": Relabelled("txl", noise=None),
    "txl, label errors drawn in": Relabelled("txl", noise=Noise()),
}
