"""Does training on what was mined help? The same start, the same number of images drawn, a test split nobody touched.

``python -m benchmarks.retraining --work DIR`` trains every arm with every seed on every data set that is not in ``DIR``
yet, a few minutes an arm on one core, and keeps what the table is made of in ``retraining.json`` beside this file. With
``--device 0 --jobs 16`` sixteen arms at once train on a GPU.
``python -m benchmarks.retraining --quick`` trains four arms on a small set and prints their table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mended import SHOWN_FROM, reviews_of, with_mended
from benchmarks.retrained import CONTROL, STORED, lines_of, read_runs, summary, table, write_stored
from benchmarks.retraining_aids import LEAST, reviews_by_sheets, reviews_by_truth, with_accepted, with_backgrounds
from benchmarks.retraining_sets import SETS, TRAINING, Digits, Relabelled, TrainingSet

__all__ = ["ARMS", "Arm", "run", "table"]


@dataclass(frozen=True)
class Arm:
    """One way to draw the training images.

    Attributes:
        says: its name in the table.
        settings: of the mining, and what else the plan of the training has.
        shuffled: deal the weights to random images: the control.
        review_count: mistakes of the first round to review with the known truth; all rounds inherit the reviews.
        clicks: on sheets of false positives from confidence .25 on, before the first round; all rounds inherit them.
        accepted: before training, the most suspected false positives from a confidence on, so many of them, are
            compared with the known truth, and missing labels are added.
        pool: add background images of a pool, this share of the training images: the ``hard`` ones (with the most
            confident false positives) or ``random`` ones.
        mended: clicks on sheets of all mistakes from confidence .25 on, before training; what they say is put right in
            the labels, all kinds of errors; all rounds learn from them.
        true_labels: train on labels without the errors that were drawn in.
    """

    says: str
    settings: dict[str, Any] = field(default_factory=dict)
    shuffled: bool = False
    review_count: int = 0
    clicks: int = 0
    accepted: tuple[int, float] | None = None
    pool: tuple[str, float] | None = None
    mended: int = 0
    true_labels: bool = False

    def fits(self, shape: TrainingSet) -> bool:
        """Return whether it can be trained on a set: it has a pool, or labels with all kinds of errors, if needed."""
        if self.pool:
            return isinstance(shape, Digits) and shape.unlabelled_images > 0
        return not (self.mended or self.true_labels) or (isinstance(shape, Relabelled) and shape.noise is not None)


UNIFORM: dict[str, Any] = {"max_weight": 1.0}
LABELS = {"negative_gain": 3.0, "loss_gate": "drop", "gate_threshold": 0.5, "label_threshold": 0.9}
UNGATED: dict[str, Any] = {"negative_gain": 3.0, "loss_gate": "off"}

ARMS = {
    "random": Arm("random duplicates (control)", shuffled=True),
    "uniform": Arm("uniform", UNIFORM),
    "mined": Arm("mined, with suspicion (default)"),
    "unsuspecting": Arm("mined, without suspicion", {"use_suspicion": False}),
    "reviewed": Arm("mined, 20 reviewed", review_count=20),
    "accepted": Arm("mined, 40 reviewed, missing labels accepted", accepted=(40, 0.5)),
    "accepted more": Arm("mined, 100 reviewed from confidence .25, accepted", accepted=(100, 0.25)),
    "steep": Arm(
        "mined, no suspicion, weights to 4, floor .7",
        {"use_suspicion": False, "max_weight": 4.0, "effective_sample_floor": 0.7},
    ),
    "negatives": Arm("uniform, hard negatives × 3 in the loss", UNIFORM | UNGATED),
    "mined negatives": Arm("mined, hard negatives × 3 in the loss", UNGATED),
    "accepted negatives": Arm(
        "mined, 100 accepted, hard negatives × 3 in the loss",
        UNGATED,
        accepted=(100, 0.25),
    ),
    "gate alone": Arm("uniform, suspects × (1 − suspicion) in the loss", UNIFORM | {"loss_gate": "weigh"}),
    "gated": Arm("uniform, hard negatives × 3 × (1 − suspicion) in the loss", UNIFORM | {"negative_gain": 3.0}),
    "dropped": Arm(
        "uniform, hard negatives × 3 in the loss, suspects ≥ .7 left out",
        UNIFORM | {"negative_gain": 3.0, "loss_gate": "drop"},
    ),
    "mined gated": Arm("mined, hard negatives × 3 × (1 − suspicion) in the loss", {"negative_gain": 3.0}),
    "reviewed gated": Arm(
        "uniform, hard negatives × 3 in the loss, suspects ≥ .5 left out, ≥ .9 as labels, 150 clicks of review",
        UNIFORM | LABELS,
        clicks=150,
    ),
    "reviewed mined": Arm("mined, 150 clicks of review", clicks=150),
    "false positives alone": Arm("mined, extra weight for false positives alone", {"miss_share": 0.0}),
    "misses alone": Arm("mined, extra weight for misses alone", {"miss_share": 1.0}),
    "mended": Arm("random duplicates, labels mended with 150 clicks of review", shuffled=True, mended=150),
    "mended gated": Arm(
        "uniform, labels mended with 150 clicks, hard negatives × 3 × (1 − suspicion) in the loss",
        UNIFORM | {"negative_gain": 3.0},
        mended=150,
    ),
    "mended weighed": Arm(
        "uniform, labels mended with 150 clicks, suspects × (1 − suspicion) in the loss",
        UNIFORM | {"loss_gate": "weigh"},
        mended=150,
    ),
    "true labels": Arm("random duplicates, the true labels", shuffled=True, true_labels=True),
    "backgrounds": Arm("uniform, 15 % hardest backgrounds of a pool", {"max_weight": 1.0}, pool=("hard", 0.15)),
    "any backgrounds": Arm("uniform, 15 % random backgrounds of it", {"max_weight": 1.0}, pool=("random", 0.15)),
}

QUICK = "digits, 20 % of the labels withheld, short", [CONTROL, "negatives", "gated", "reviewed gated"], [1]
"""Data, arms and seeds of ``--quick``: what the gate of the loss changes, in minutes on two cores."""


def run(
    work: Path, data: Sequence[str], arms: Sequence[str], seeds: Sequence[int], device: str = "cpu", jobs: int = 1
) -> Iterator[str]:
    """Train what is not there yet, in so many processes at once; yields a line per training."""
    asked = [(work / _folder(name), name, arm, seed) for seed in seeds for name in data for arm in arms]
    missing = [one for one in asked if not (one[0] / f"{one[2]}-{one[3]}" / "record.json").is_file()]
    open_ones = [one for one in missing if ARMS[one[2]].fits(SETS[one[1]])]
    if jobs == 1:
        yield from (_kept(*one, SETS[one[1]], device) for one in open_ones)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        ready = {place: name for place, name, _, _ in open_ones}
        list(pool.map(start_of, ready, [SETS[name] for name in ready.values()], [device] * len(ready)))
        for done in as_completed([pool.submit(_kept, *one, SETS[one[1]], device) for one in open_ones]):
            yield done.result()


def _kept(place: Path, name: str, arm: str, seed: int, shape: TrainingSet, device: str) -> str:
    """Train, keep what came of it, and return a line on it."""
    began = time.perf_counter()
    record = _train(place, name, arm, seed, shape, device)
    record["seconds"] = round(time.perf_counter() - began, 1)
    _keep(place / f"{arm}-{seed}", record)
    return f"{name}, {arm}, seed {seed}: {record['seconds']:.0f} s"


def start_of(place: Path, shape: TrainingSet, device: str = "cpu") -> tuple[Path, Path, Path]:
    """Return the data, and the model that every arm starts from: that of the set, trained for its start_epochs."""
    from hnm_core.training import TrainingPlan, train

    ready = place / "start.pt"
    data, test = shape.data(place), shape.test_data(place)
    if not data.is_file() or not test.is_file():
        shape.make(place)
    if not ready.is_file():
        if not shape.start_epochs:
            shutil.copy(shape.model(place), ready)
            return data, test, ready
        plan = TrainingPlan(mine_every=0, warmup=shape.start_epochs)
        options = {**TRAINING, "epochs": shape.start_epochs, "imgsz": shape.size, "seed": 0, "device": device}
        done = train(data, shape.model(place), plan, project=str(place / "runs"), name="start", **options)
        shutil.copy(done.last, ready)
    return data, test, ready


def _train(place: Path, name: str, arm: str, seed: int, shape: TrainingSet, device: str) -> dict[str, Any]:
    import torch
    from ultralytics import YOLO

    from hnm_core import mine
    from hnm_core.labels.reviews import Reviews
    from hnm_core.training import HardNegativeTrainer, detect

    class Trainer(HardNegativeTrainer):
        """A trainer that shuffles weights over the images, or reviews mistakes, as the arm says."""

        reviews_so_far: list[dict[str, Any]] | None = None

        def _apply_weights(self, folder: Path | None) -> None:
            super()._apply_weights(folder)
            if chosen.shuffled:
                rng = np.random.default_rng([seed, len(self.mined)])
                self.image_weights = rng.permutation(self.image_weights)
                self.train_loader.sampler.set_weights(self.image_weights)

        def reviews(self, predictions: Any, truth: Any) -> Any:
            if chosen.mended:
                return Reviews.of(reviews_of(used))
            if not chosen.review_count and not chosen.clicks:
                return None
            if self.reviews_so_far is None and chosen.clicks:
                low = replace(self.plan.settings, confidence_threshold=SHOWN_FROM)
                self.reviews_so_far = reviews_by_sheets(mine(predictions, truth, low), place, shape, chosen.clicks)
            elif self.reviews_so_far is None:
                result = mine(predictions, truth, self.plan.settings)
                self.reviews_so_far = reviews_by_truth(result, place, shape, chosen.review_count, seed)
            return Reviews.of(self.reviews_so_far)

    chosen = ARMS[arm]
    torch.set_num_threads(1)
    data, test, start = start_of(place, shape, device)
    used, epochs = data, shape.epochs
    if chosen.pool:
        assert isinstance(shape, Digits)
        used = with_backgrounds(place, data, start, shape, *chosen.pool, seed)
        epochs = round(epochs / (1 + chosen.pool[1]))  # as many images drawn, of more
    if chosen.accepted:
        used = with_accepted(place, data, start, shape, *chosen.accepted)
    if chosen.mended:
        used = with_mended(place, start, shape.size, chosen.mended)
    if chosen.true_labels:
        used = test  # of the set as it is: its split train is not tested on
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
        **TRAINING | {"device": device},
    )
    folder = Path(yolo.trainer.save_dir)
    rounds, draws = yolo.trainer.rounds.rows(), epochs * len(yolo.trainer.train_loader.sampler)
    torch.set_num_threads(1)
    model = YOLO(str(folder / "weights" / "last.pt"))
    files = sorted((test.parent / "images" / "test").iterdir())
    found = list(detect(model, files, batch=32, conf=LEAST, imgsz=shape.size, device=device))
    shutil.rmtree(folder)
    return {"data": name, "arm": arm, "seed": seed, "draws": draws, "rounds": rounds, "found": found}


def print_quick(work: Path, arms: Sequence[str], seeds: Sequence[int]) -> None:
    """Train some arms on the small set, and print their table."""
    name = QUICK[0]
    for line in run(work, [name], list(dict.fromkeys([CONTROL, *arms])), seeds):
        print(line, flush=True)
    place = work / _folder(name)
    found = summary(read_runs(place, SETS[name].test_data(place)))
    print("\n".join(lines_of({"names": {arm: ARMS[arm].says for arm in ARMS}, "data": {name: found}})))


def _keep(place: Path, record: dict[str, Any]) -> None:
    """Predictions and record, whole or not at all."""
    place.mkdir(parents=True, exist_ok=True)
    found = record.pop("found")
    rows = np.concatenate([np.column_stack([np.full(len(boxes), i), boxes]) for i, boxes in enumerate(found)])
    np.savez_compressed(place / "found.npz", rows=rows.astype(np.float32))
    aside = place / ".record.json"
    aside.write_text(json.dumps(record, indent=1) + "\n")
    aside.replace(place / "record.json")


def _folder(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def main() -> None:
    """Train, and keep the numbers of the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retraining", description=__doc__)
    there = [name for name, shape in SETS.items() if shape.there and name != QUICK[0]]
    work = Path("build/retraining")
    parser.add_argument(
        "--work", type=Path, default=work, help="folder of data, runs and results; goes on in it (default: %(default)s)"
    )
    parser.add_argument("--data", nargs="+", choices=SETS, default=there, help="(default: all that are there)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="(default: all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="(default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, or the number of a GPU (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="arms trained at once (default: %(default)s)")
    parser.add_argument("--only-summary", action="store_true", help="train nothing, read what is there")
    parser.add_argument("--quick", action="store_true", help="four arms on a small set; prints the table, stores none")
    args = parser.parse_args()
    args.work = args.work.resolve()
    if args.quick:
        print_quick(args.work, args.arms if args.arms != list(ARMS) else QUICK[1], QUICK[2])
        return
    if not args.only_summary:
        for line in run(args.work, args.data, args.arms, args.seeds, args.device, args.jobs):
            print(line, flush=True)
    places = {
        name: (args.work / _folder(name), shape.test_data(args.work / _folder(name)))
        for name, shape in SETS.items()
        if name != QUICK[0]
    }
    write_stored(places, {name: arm.says for name, arm in ARMS.items()})
    print(f"{STORED}: python -m benchmarks --what retraining --write puts it into docs/tables/")


if __name__ == "__main__":
    main()
