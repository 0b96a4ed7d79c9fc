"""Closing the loop: are frames that watching lists worth more to the next training than as many random ones?

Clips of digits on photographs, of two kinds of motion, are watched by the demo's detector, with a verifier of its
labelled images. The frames whose proposals are the most errors are labelled with the known truth, and beside them as
many random frames of the same clips. Each of the two goes the way of a user with the old images: ``hnm mine``, ``hnm
export``, a training; and is tested on fresh clips, whose handwriting and photographs nobody saw.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.live import FRAMES, MOTIONS, SIDE, Made, make
from benchmarks.retrained import average_precision, outcome_of, signed
from benchmarks.retraining_sets import TRAINING
from fiftyone_plugin.demo.digits import WEIGHTS, make_digits
from fiftyone_plugin.demo.scenes import CLASSES, deal_scans
from hnm_core import Detections, mine
from hnm_core.cli import main
from hnm_core.io import read_yolo
from hnm_core.io.yolo import read_yolo_truth
from hnm_core.live import Verifier
from hnm_core.live.pieces import pieces_of
from hnm_core.live.sources import find_clips, png_of
from hnm_core.live.watch import watch
from hnm_core.rounds.at_recall import Outcome, resampled_images
from hnm_core.settings import WatchSettings
from hnm_core.training.detecting import detect

CLIPS, OLD, NEW, EPOCHS = 80, 200, 60, 10
"""Clips of each motion, watched and fresh; old images; frames that are added; epochs of training."""

VAL = 16
"""Images that no training sees, since a training wants some to validate on."""

OF_A_CLIP = 1
"""Frames that are labelled of a clip, at most: many frames of one clip are much work for little news."""

EVERY, SEEN, SURE = 5, 0.3, 0.5
"""Every so many frames of a fresh clip are tested; share of an object in the picture from which it is labelled; the
confidence from which an error is confident."""

SEEDS = (1, 2, 3)
NAMES = list(CLASSES.values())


def table(
    seeds: Sequence[int] = SEEDS, clips: int = CLIPS, old: int = OLD, new: int = NEW, epochs: int = EPOCHS
) -> list[str]:
    """Return a Markdown table: before, with random frames, and with watched ones."""
    found: dict[str, list[tuple[Outcome, float]]] = {"before": [], "random frames": [], "watched frames": []}
    of_clip = np.zeros(0, dtype=np.int64)
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            for arm, outcome, points, of_clip in _seed(Path(folder), seed, clips, old, new, epochs):  # noqa: B007
                found[arm].append((outcome, points))
    return _lines(found, of_clip)  # of every seed the same: files are named alike


def _seed(
    root: Path, seed: int, clips: int, old: int, new: int, epochs: int
) -> Iterator[tuple[str, Outcome, float, NDArray[np.int64]]]:
    """Watch, label, mine, export, train and test with one seed; yields each arm, and the clip of each test image."""
    from ultralytics import YOLO

    model = YOLO(str(WEIGHTS))
    splits = ("train", old / (old + VAL)), ("val", VAL / (old + VAL))
    data = make_digits(root / "old", old + VAL, seed=40 + seed, withheld=0, splits=splits, scans="detector")
    verifier = _verifier(model, data, root)
    pools = deal_scans("demo", (("watched", 0.5), ("fresh", 0.5)))
    watched, fresh = list[Made](), list[Made]()
    for kind, motion in enumerate(MOTIONS):
        for half, (name, made) in enumerate((("watched", watched), ("fresh", fresh))):
            where = root / name / motion
            made += make(where, motion, pools[name], half, clips, FRAMES, [seed, kind, half], SEEN)
    shown = _listed(model, verifier, root, new)
    rng = np.random.default_rng(seed)
    every = [(made.file.stem, number) for made in watched for number in range(1, len(made.truth) + 1)]
    chance = [every[at] for at in rng.permutation(len(every))[: len(shown)]]
    test, clip = _tables(fresh, root / "test")
    yield "before", *_tested(model, test), clip
    for arm, frames in (("random frames", chance), ("watched frames", shown)):
        aside = root / arm.split()[0]
        for kind in ("images", "labels"):
            shutil.copytree(data.parent / kind, aside / kind)
        _write_frames(watched, set(frames), aside)
        (aside / "data.yaml").write_text(f"path: {aside}\ntrain: images/train\nval: images/val\nnames: {NAMES}\n")
        yield arm, *_tested(_trained(model, aside, seed, epochs), test), clip


def _verifier(model: Any, data: Path, root: Path) -> Verifier:
    """Return the verifier of the labelled images."""
    _predict(model, data.parent, root / "old_predictions")
    return Verifier.fit(mine(*read_yolo(data, "train", predictions=root / "old_predictions")), Path)


def _listed(model: Any, verifier: Verifier, root: Path, most: int) -> list[tuple[str, int]]:
    """Return the frames that show the most errors, as clip and number: the sum of what their proposals are likely."""
    value: dict[tuple[str, int], float] = {}
    for motion in MOTIONS:
        settings = WatchSettings(imgsz=SIDE)
        seen = watch(
            str(root / "watched" / motion), model, root / f"seen {motion}", settings=settings, verifier=verifier
        )
        for piece in pieces_of(seen.folder):
            for frame in piece["frames"]:
                value[piece["clip"], frame["number"]] = sum(each["difficulty"] for each in frame["proposals"])
    chosen, of_clip = list[tuple[str, int]](), Counter[str]()
    for clip, number in sorted(value, key=lambda at: (-value[at], at)):
        if of_clip[clip] < OF_A_CLIP and len(chosen) < most:
            of_clip[clip] += 1
            chosen.append((clip, number))
    return chosen


def _write_frames(clips: Sequence[Made], frames: set[tuple[str, int]], folder: Path) -> None:
    """Write frames with their labels, clipped to the picture, beside images that are there."""
    for made in clips:
        numbers = {number for clip, number in frames if clip == made.file.stem}
        for frame in find_clips(str(made.file))[0].frames() if numbers else ():
            if frame.number not in numbers:
                continue
            name = f"{made.file.stem}_{frame.number:03}"
            (folder / "images" / "train" / f"{name}.png").write_bytes(png_of(frame.pixels))
            lines = []
            for of_class, box in made.truth[frame.number - 1]:
                x0, y0, x1, y1 = np.clip(box, 0, SIDE) / SIDE
                lines.append(f"{NAMES.index(of_class)} {(x0 + x1) / 2} {(y0 + y1) / 2} {x1 - x0} {y1 - y0}\n")
            (folder / "labels" / "train" / f"{name}.txt").write_text("".join(lines))


def _tables(clips: Sequence[Made], folder: Path) -> tuple[Detections, NDArray[np.int64]]:
    """Write every few frames of clips, and return their truth, as fractions, and the clip of each."""
    for kind in ("images", "labels"):
        (folder / kind / "train").mkdir(parents=True)
    frames = [(made.file.stem, number) for made in clips for number in range(1, len(made.truth) + 1, EVERY)]
    _write_frames(clips, set(frames), folder)
    truth = read_yolo_truth(sorted((folder / "images" / "train").iterdir()), NAMES)
    of = [Path(name).stem.rsplit("_", 1)[0] for name in truth.images]
    return truth, np.unique(of, return_inverse=True)[1]


def _trained(model: Any, folder: Path, seed: int, epochs: int) -> Any:
    """Mine, export, and return the model after training on what was exported."""
    from ultralytics import YOLO

    _predict(model, folder, folder / "predictions")
    run, export = folder / "run", folder / "export"
    said = ["--data", str(folder / "data.yaml"), "--predictions", str(folder / "predictions")]
    for command in (["mine", *said, "--output", str(run)], ["export", str(run), "--output", str(export)]):
        if code := main([*command, "--no-progress"]):
            raise RuntimeError(f"hnm {command[0]} ended with {code}")
    further = YOLO(str(WEIGHTS))
    options = {**TRAINING, "seed": seed, "epochs": epochs, "imgsz": SIDE, "project": str(folder), "name": "trained"}
    further.train(data=str(export / "data.yaml"), **options)
    return YOLO(str(folder / "trained" / "weights" / "last.pt"))


def _predict(model: Any, folder: Path, into: Path) -> None:
    """Write what a model says of the training images of a folder, as YOLO text."""
    into.mkdir()
    files = sorted((folder / "images" / "train").iterdir())
    for file, boxes in zip(files, detect(model, files, conf=0.01, imgsz=SIDE, device="cpu"), strict=True):
        lines = [
            f"{int(c)} {(x0 + x1) / 2} {(y0 + y1) / 2} {x1 - x0} {y1 - y0} {score}\n"
            for x0, y0, x1, y1, score, c in ([] if boxes is None else boxes.astype(float).tolist())
        ]
        (into / f"{file.stem}.txt").write_text("".join(lines))


def _tested(model: Any, truth: Detections) -> tuple[Outcome, float]:
    """Return what a model's detections on the fresh frames are, and their AP at IoU .5 in per cent."""
    rows = list(detect(model, truth.images, conf=0.01, imgsz=SIDE, device="cpu"))
    found = np.concatenate([boxes for boxes in rows if boxes is not None]).astype(np.float64)
    image = np.repeat(np.arange(len(rows)), [0 if boxes is None else len(boxes) for boxes in rows])
    label = found[:, 5].astype(np.int64)
    predictions = Detections(image, found[:, :4], label, found[:, 4], truth.images, truth.classes)
    return outcome_of(predictions, truth), 100 * average_precision(predictions, truth)["AP50"]


def _lines(found: dict[str, list[tuple[Outcome, float]]], clip: NDArray[np.int64]) -> list[str]:
    """Return the table; intervals by bootstrap over seeds and clips."""
    control = [outcome for outcome, _ in found["random frames"]]
    target = [outcome.recall(SURE) for outcome in control]
    clips = int(clip.max()) + 1
    draws = list(resampled_images(clips))
    picked = np.random.default_rng(1).integers(len(control), size=(len(draws), len(control)))

    def drawn(outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
        values = np.array([[o.fppi(r, t[clip]) for t in draws] for o, r in zip(outcomes, target, strict=True)])
        return np.asarray([values[some, at].sum() for at, some in enumerate(picked)])

    against = drawn(control)
    lines = ["| trained on | fppi at equal recall | against random frames, % | false positives ≥ .5 | AP50 |"]
    lines.append("|---|---|---|---|---|")
    total = sum(o.fppi(r) for o, r in zip(control, target, strict=True))
    for arm, of_seeds in found.items():
        outcomes = [outcome for outcome, _ in of_seeds]
        ours = sum(o.fppi(r) for o, r in zip(outcomes, target, strict=True))
        low, high = np.quantile(100 * (drawn(outcomes) / against - 1), (0.025, 0.975))
        change = (
            "–" if arm == "random frames" else f"{signed(100 * (ours / total - 1))} ({signed(low)} to {signed(high)})"
        )
        sure = np.mean([outcome.confident_false_positives(SURE) for outcome in outcomes])
        points = np.mean([points for _, points in of_seeds])
        lines.append(f"| {arm} | {ours / len(outcomes):.4f} | {change} | {sure:.0f} | {points:.1f} |")
    said = f"{len(control)} seed{'s' * (len(control) > 1)}, {len(clip)} fresh frames of {clips} clips each"
    return [*lines, "", f"{said}, recall {np.mean(target):.3f}"]
