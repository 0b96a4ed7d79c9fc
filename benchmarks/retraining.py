"""Does training on what was mined help? The same start, the same number of images drawn, a test split nobody touched.

``python -m benchmarks.retraining --work DIR`` trains every arm with every seed on every data set that is not in ``DIR``
yet, a few minutes an arm on one core, and keeps what the table is made of in ``retraining.json`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.retrained import STORED, table, write_stored
from benchmarks.retraining_aids import LEAST, judged, with_accepted, with_backgrounds
from benchmarks.retraining_sets import SETS, TRAINING, Digits, TrainingSet

__all__ = ["ARMS", "Arm", "run", "table"]


@dataclass(frozen=True)
class Arm:
    """One way to draw.

    Attributes:
        says: what the table calls it.
        settings: of the mining, and what else the plan of the training has.
        shuffled: deal the weights to random images: the control.
        looks: mistakes of the first round that somebody who knows the truth judges; all rounds inherit it.
        accepted: before training, somebody who knows looks at so many false positives from a confidence on, the most
            suspected first, and labels what was not labelled.
        pool: add images of a pool in which there is nothing to find, this share of those trained on: the ``hard`` ones
            (of the surest false alarms) or ``random`` ones.
    """

    says: str
    settings: dict[str, Any] = field(default_factory=dict)
    shuffled: bool = False
    looks: int = 0
    accepted: tuple[int, float] | None = None
    pool: tuple[str, float] | None = None


ARMS = {
    "random": Arm("random duplicates (control)", shuffled=True),
    "uniform": Arm("uniform", {"max_weight": 1.0}),
    "mined": Arm("mined, with suspicion (default)"),
    "unsuspecting": Arm("mined, without suspicion", {"use_suspicion": False}),
    "reviewed": Arm("mined, 20 reviewed", looks=20),
    "accepted": Arm("mined, 40 reviewed, missing labels accepted", accepted=(40, 0.5)),
    "accepted more": Arm("mined, 100 reviewed from confidence .25, accepted", accepted=(100, 0.25)),
    "steep": Arm(
        "mined, no suspicion, weights to 4, floor .7",
        {"use_suspicion": False, "max_weight": 4.0, "effective_sample_floor": 0.7},
    ),
    "negatives": Arm("uniform, hard negatives × 3 in the loss", {"max_weight": 1.0, "negative_gain": 3.0}),
    "mined negatives": Arm("mined, hard negatives × 3 in the loss", {"negative_gain": 3.0}),
    "accepted negatives": Arm(
        "mined, 100 accepted, hard negatives × 3 in the loss",
        {"negative_gain": 3.0},
        accepted=(100, 0.25),
    ),
    "backgrounds": Arm("uniform, 15 % hardest backgrounds of a pool", {"max_weight": 1.0}, pool=("hard", 0.15)),
    "any backgrounds": Arm("uniform, 15 % random backgrounds of it", {"max_weight": 1.0}, pool=("random", 0.15)),
}


def run(work: Path, data: Sequence[str], arms: Sequence[str], seeds: Sequence[int]) -> Iterator[str]:
    """Train what is not there yet; yields a line per training."""
    for seed in seeds:
        for name in data:
            for arm in arms:
                place = work / _folder(name) / f"{arm}-{seed}"
                poolless = ARMS[arm].pool and not _pool_of(SETS[name])
                if poolless or (place / "record.json").is_file():
                    continue
                began = time.perf_counter()
                record = _train(work / _folder(name), name, arm, seed)
                record["seconds"] = round(time.perf_counter() - began, 1)
                _keep(place, record)
                yield f"{name}, {arm}, seed {seed}: {record['seconds']:.0f} s"


def start_of(place: Path, shape: TrainingSet) -> tuple[Path, Path, Path]:
    """The data, and the model that every arm starts from: the set's, trained a little on it where it says so."""
    from hnm_core.training import TrainingPlan, train

    ready = place / "start.pt"
    data, test = shape.data(place), shape.test_data(place)
    if not ready.is_file():
        shape.make(place)
        if not shape.start_epochs:
            shutil.copy(shape.weights, ready)
            return data, test, ready
        plan = TrainingPlan(mine_every=0, warmup=shape.start_epochs)
        options = {**TRAINING, "epochs": shape.start_epochs, "imgsz": shape.size, "seed": 0}
        done = train(data, shape.weights, plan, project=str(place / "runs"), name="start", **options)
        shutil.copy(done.last, ready)
    return data, test, ready


def _train(place: Path, name: str, arm: str, seed: int) -> dict[str, Any]:
    import torch
    from ultralytics import YOLO

    from hnm_core import mine
    from hnm_core.reviews import Reviews
    from hnm_core.training import HardNegativeTrainer, detect

    class Trainer(HardNegativeTrainer):
        """Weights dealt to images at random, or mistakes judged, where the arm asks for it."""

        said: list[dict[str, Any]] | None = None

        def _draw_by(self, folder: Path | None) -> None:
            super()._draw_by(folder)
            if chosen.shuffled:
                rng = np.random.default_rng([seed, len(self.mined)])
                self.image_weights = rng.permutation(self.image_weights)
                self.train_loader.sampler.set_weights(self.image_weights)

        def reviews(self, predictions: Any, truth: Any) -> Any:
            if not chosen.looks:
                return None
            if self.said is None:
                result = mine(predictions, truth, self.plan.settings)
                self.said = judged(result, place, shape, chosen.looks, seed)
            return Reviews.of(self.said)

    shape, chosen = SETS[name], ARMS[arm]
    torch.set_num_threads(1)
    data, test, start = start_of(place, shape)
    used, epochs = data, shape.epochs
    if chosen.pool:
        assert isinstance(shape, Digits)
        used = with_backgrounds(place, data, start, shape, *chosen.pool, seed)
        epochs = round(epochs / (1 + chosen.pool[1]))  # as many images drawn, of more
    if chosen.accepted:
        used = with_accepted(place, data, start, shape, *chosen.accepted)
    plan = {"mine_every": shape.mine_every, "warmup": 0, **chosen.settings}
    yolo = YOLO(str(start))
    yolo.add_callback("on_train_epoch_start", lambda trainer: torch.set_num_threads(1))
    yolo.train(
        data=str(used),
        trainer=Trainer,
        mining=plan,
        epochs=epochs,
        imgsz=shape.size,
        project=str(place / "runs"),
        name=f"{arm}-{seed}",
        seed=seed,
        **TRAINING,
    )
    folder = Path(yolo.trainer.save_dir)
    rounds, draws = yolo.trainer.rounds.rows(), epochs * len(yolo.trainer.train_loader.sampler)
    torch.set_num_threads(1)
    model = YOLO(str(folder / "weights" / "last.pt"))
    files = sorted((test.parent / "images" / "test").iterdir())
    found = list(detect(model, files, batch=32, conf=LEAST, imgsz=shape.size, device="cpu"))
    shutil.rmtree(folder)
    return {"data": name, "arm": arm, "seed": seed, "draws": draws, "rounds": rounds, "found": found}


def _keep(place: Path, record: dict[str, Any]) -> None:
    """Predictions and record, whole or not at all."""
    place.mkdir(parents=True, exist_ok=True)
    found = record.pop("found")
    rows = np.concatenate([np.column_stack([np.full(len(boxes), i), boxes]) for i, boxes in enumerate(found)])
    np.savez_compressed(place / "found.npz", rows=rows.astype(np.float32))
    aside = place / ".record.json"
    aside.write_text(json.dumps(record, indent=1) + "\n")
    aside.replace(place / "record.json")


def _pool_of(shape: TrainingSet) -> int:
    """How many images the pool of a set has."""
    return shape.unlabelled_images if isinstance(shape, Digits) else 0


def _folder(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def main() -> None:
    """Train, and keep the numbers of the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retraining", description=__doc__)
    there = [name for name, shape in SETS.items() if shape.weights.is_file()]
    parser.add_argument("--work", type=Path, required=True, help="folder of data, runs and results; goes on in it")
    parser.add_argument("--data", nargs="+", choices=SETS, default=there, help="(default: all that are there)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="(default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="(default: %(default)s)")
    parser.add_argument("--only-summary", action="store_true", help="train nothing, read what is there")
    args = parser.parse_args()
    if not args.only_summary:
        for line in run(args.work, args.data, args.arms, args.seeds):
            print(line, flush=True)
    places = {
        name: (args.work / _folder(name), shape.test_data(args.work / _folder(name))) for name, shape in SETS.items()
    }
    write_stored(places, {name: arm.says for name, arm in ARMS.items()})
    print(f"{STORED}: python -m benchmarks --what retraining --write puts it into the READMEs")


if __name__ == "__main__":
    main()
