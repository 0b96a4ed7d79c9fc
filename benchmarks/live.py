"""Watching without ground truth, measured where the truth is known: clips of handwritten digits on photographs.

Two kinds of motion, a camera that moves over a picture and objects that move in one; noise, things that pass in front,
and H.264. Clips to fit the verifier to and clips to test share neither handwriting nor photographs. Only 3 and 7 are
objects; the detector takes other digits for them, as in the demo.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from benchmarks.live_cost import MINUTES, cost, memory
from fiftyone_plugin.demo import ink, photographs
from fiftyone_plugin.demo.digits import WEIGHTS
from fiftyone_plugin.demo.scenes import CLASSES, HEIGHTS, Pool, deal_scans, handwriting
from hnm_core import Detections, mine
from hnm_core.boxes import overlapping
from hnm_core.live import Verifier
from hnm_core.live.pieces import pieces_of
from hnm_core.live.sources import find_clips, png_of
from hnm_core.live.tracks import GAP, LISTS
from hnm_core.live.watch import watch
from hnm_core.settings import WatchSettings

MOTIONS = ("camera", "objects")
SIDE, FRAMES, RATE = 192, 45, 15
"""Pixels of a side, frames of a clip, frames a second."""

CLIPS, TRAIN_CLIPS = 80, 40
"""Clips of each kind of motion, for the test and for the verifier."""

LEAST_SEEN = 0.6
"""Share of an object in the picture from which it is labelled."""

EVERY = 5
"""Every so many frames of a clip are pictures to fit the verifier to: neighbours are nearly the same."""

DRAWS, FIRST = 1_000, 100
"""Resamples of an interval; what is counted at the head of a list."""

KEEP_ALL = {"frames_per_track": 10**6, "frames_per_minute": 10**6, "alike": 0.0}
BASELINE = "lowest confidence"
"""What every order is compared with."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Thing:
    """A digit in a clip: its stroke, where it is in the first frame, how far it moves a frame, and what it is."""

    alpha: ink.Alpha
    at: NDArray[np.float64]
    step: NDArray[np.float64]
    digit: int
    seed: int


@dataclass(frozen=True)
class Made:
    """A clip: its file, and per frame the boxes of 3s and 7s with their class."""

    file: Path
    truth: list[list[tuple[str, Box]]]


def table(
    clips: int = CLIPS, train_clips: int = TRAIN_CLIPS, frames: int = FRAMES, minutes: Sequence[int] = MINUTES
) -> list[str]:
    """Return Markdown tables: how well errors stand at the head of a list, by what orders it; time; and memory."""
    from ultralytics import YOLO

    model, lines = YOLO(str(WEIGHTS)), list(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pools = deal_scans("demo", (("train", 0.5), ("test", 0.5)))
        verifier = fitted(model, root, pools["train"], train_clips, frames)
        for kind, motion in enumerate(MOTIONS):
            made = list(make(root / motion, motion, pools["test"], 1, clips, frames, [1, kind]))
            lines += _rows(motion, model, made, root, verifier)
        lines += ["", *cost(model, made[0].file, verifier)]
        lines += ["", *memory(model, [clip.file for clip in made], verifier, root / "memory", minutes)]
    return lines


HEAD = (
    "| clips, list | right of listed | order | average precision | times lowest confidence | right of the first 100 |"
    " of the first 100 tracks |",
    "|---|---|---|---|---|---|---|",
)
"""What is listed as an error is right where it lies on no object; a missed object, where there is one. A track has the
place of its first detection."""


def make(
    folder: Path,
    motion: str,
    pool: Pool,
    half: int,
    clips: int,
    frames: int,
    seed: Sequence[int],
    least_seen: float = LEAST_SEEN,
) -> Iterator[Made]:
    """Write clips, and yield each with its truth; ``half`` of the photographs, 0 or 1, are its grounds."""
    folder.mkdir(parents=True)
    grounds = photographs.PHOTOGRAPHS[half::2]
    for number in range(clips):
        rng = np.random.default_rng([*seed, number])
        pixels, truth = _clip(motion, pool, photographs.load(grounds[number % len(grounds)]), frames, rng, least_seen)
        file = folder / f"{motion}_{number:03}.mp4"
        encode(file, pixels)
        yield Made(file, truth)


def _clip(
    motion: str, pool: Pool, photograph: photographs.Image, frames: int, rng: np.random.Generator, least_seen: float
) -> tuple[list[photographs.Image], list[list[tuple[str, Box]]]]:
    """Return the frames of a clip and the truth of each."""
    wide = SIDE * 2 if motion == "camera" else SIDE
    ground = photographs.crop(photograph, wide, rng)
    things = [_thing(pool, wide, motion, rng) for _ in range(int(rng.integers(4, 8) * wide / SIDE))]
    if motion == "camera":
        for thing in things:
            _paint(ground, thing, thing.at)
    path = _path(wide - SIDE, frames, rng)
    bar = rng.uniform(-1.0, 1.0), rng.uniform(0.06, 0.12) * SIDE  # something that passes in front
    pixels, truth = [], []
    for number in range(frames):
        frame, left, top = ground.copy(), 0, 0
        if motion == "camera":
            left, top = path[number]
            frame = ground[top : top + SIDE, left : left + SIDE].copy()
        boxes = []
        for thing in things:
            at = thing.at if motion == "camera" else _bounced(thing, number, wide)
            if motion == "objects":
                _paint(frame, thing, at)
            x, y = int(at[0]) - left, int(at[1]) - top
            box = (float(x), float(y), float(x + thing.alpha.shape[1]), float(y + thing.alpha.shape[0]))
            if thing.digit in CLASSES and _seen(box) > least_seen:
                boxes.append((CLASSES[thing.digit], box))
        at = int((bar[0] + 2.0 * number / frames) * SIDE)
        frame[:, max(at, 0) : max(at + int(bar[1]), 0)] = 60
        noise = rng.normal(0.0, 4.0, frame.shape)
        pixels.append(np.clip(frame + noise, 0, 255).astype(np.uint8))
        truth.append(boxes)
    return pixels, truth


def _thing(pool: Pool, wide: int, motion: str, rng: np.random.Generator) -> Thing:
    digit = int(rng.choice(list(CLASSES))) if rng.random() < 0.4 else int(rng.integers(10))
    height = SIDE * float(np.exp(rng.uniform(*np.log(HEIGHTS))))
    alpha = ink.stroke(handwriting()[0][int(rng.choice(pool[digit]))], height, rng.uniform(-14, 14), 0.0)
    room = np.array([wide - alpha.shape[1], wide - alpha.shape[0]], dtype=np.float64)
    step = rng.uniform(-2.5, 2.5, 2) if motion == "objects" else np.zeros(2)
    return Thing(alpha, rng.uniform(0.0, 1.0, 2) * room, step, digit, int(rng.integers(2**31)))


def _paint(canvas: photographs.Image, thing: Thing, at: NDArray[np.float64]) -> None:
    ink.paint(canvas, thing.alpha, int(at[0]), int(at[1]), np.random.default_rng(thing.seed))


def _bounced(thing: Thing, number: int, wide: int) -> NDArray[np.float64]:
    """Return where a thing is, turned back at the borders."""
    room = np.array([wide - thing.alpha.shape[1], wide - thing.alpha.shape[0]], dtype=np.float64)
    far = np.mod(thing.at + thing.step * number, 2 * room)
    return np.asarray(np.where(far > room, 2 * room - far, far), dtype=np.float64)


def _path(room: int, frames: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return where the camera looks in every frame: from one place to another, with a shaking hand."""
    ends = rng.uniform(0.0, room, (2, 2))
    share = np.linspace(0.0, 1.0, frames)[:, None]
    places = ends[0] * (1.0 - share) + ends[1] * share + rng.normal(0.0, 0.7, (frames, 2))
    return [(int(x), int(y)) for x, y in np.clip(places, 0, room)]


def _seen(box: Box) -> float:
    """Return the share of a box that lies in the picture."""
    x0, y0, x1, y1 = box
    width, height = min(x1, SIDE) - max(x0, 0.0), min(y1, SIDE) - max(y0, 0.0)
    return max(width, 0.0) * max(height, 0.0) / ((x1 - x0) * (y1 - y0))


def encode(file: Path, pixels: Sequence[photographs.Image]) -> None:
    """Write frames as H.264."""
    import av

    with av.open(str(file), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = pixels[0].shape[1], pixels[0].shape[0], "yuv420p"
        for frame in pixels:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        out.mux(stream.encode())


def fitted(model: Any, root: Path, pool: Pool, clips: int, frames: int) -> Verifier:
    """Fit a verifier to frames of training clips of both kinds."""
    files: dict[str, Path] = {}
    rows: list[tuple[int, Box, int, float]] = []
    true: list[tuple[int, Box, int]] = []
    number = {str(name): label for label, name in model.names.items()}
    for kind, motion in enumerate(MOTIONS):
        for made in make(root / "train" / motion, motion, pool, 0, clips, frames, [0, kind]):
            for frame in list(find_clips(str(made.file))[0].frames())[::EVERY]:
                name = f"{made.file.stem}_{frame.number}"
                files[name] = root / f"{name}.png"
                files[name].write_bytes(png_of(frame.pixels))
                at = len(files) - 1
                (result,) = model.predict([frame.pixels], conf=0.05, imgsz=SIDE, verbose=False)
                rows += [(at, tuple(r[:4]), int(r[5]), r[4]) for r in result.boxes.cpu().numpy().data.tolist()]
                true += [(at, box, number[name]) for name, box in made.truth[frame.number - 1]]
    world = {"images": list(files), "classes": list(number)}
    image, xyxy, label, score = zip(*rows, strict=True)
    truth = [np.array(column) for column in zip(*true, strict=True)]
    predictions = Detections(np.array(image), np.array(xyxy), np.array(label), np.array(score), **world)
    return Verifier.fit(mine(predictions, Detections(*truth, None, **world)), lambda name: files[name])


def _rows(motion: str, model: Any, made: Sequence[Made], root: Path, verifier: Verifier) -> list[str]:
    """Return the rows of a kind of motion: each list, by the verifier, the track, the detection, and chance."""
    ways: dict[str, dict[tuple[Any, ...], float]] = {}
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    settings = WatchSettings(**KEEP_ALL, imgsz=SIDE)
    for name, judge in (("verifier", verifier), ("lowest confidence of the track", None)):
        folder = watch(
            str(made[0].file.parent), model, root / f"{motion} {name}", settings=settings, verifier=judge
        ).folder
        ways[name] = {}
        for piece in pieces_of(folder):
            for frame in piece["frames"]:
                for each in frame["proposals"]:
                    box = each["prediction"]
                    key = piece["clip"], frame["number"], *box["bbox"], box["class"]
                    ways[name][key] = each["difficulty"]
                    found[key] = each
    truth = {clip.file.stem: clip.truth for clip in made}
    lines = []
    for name_of_list, error in LISTS.items():
        keys = [
            key for key, each in found.items() if each["error"] == error and all(key in way for way in ways.values())
        ]
        if not keys:
            continue
        free = np.array([lies_on_none(key, truth[key[0]][key[1] - 1]) for key in keys], dtype=bool)
        right = ~free if error == GAP else free
        clip = np.array([key[0] for key in keys])
        score = {name: np.array([way[key] for key in keys]) for name, way in ways.items()}
        if error == GAP:  # nothing was detected there: its likelihood is that of its track, the other way round
            score["highest confidence of the track"] = score.pop("lowest confidence of the track")
        else:
            score[BASELINE] = -np.array([found[key]["confidence"] for key in keys])
        score["random"] = np.random.default_rng(0).random(len(keys))
        what = f"{len(made)} × {motion}, {name_of_list}"
        track = np.unique([f"{key[0]} {found[key]['track']}" for key in keys], return_inverse=True)[1]
        for name, cells in _measured(score, right, clip, track).items():
            lines.append(f"| {what} | {int(right.sum())} of {len(right)} | {name} | {' | '.join(cells)} |")
    return lines


def lies_on_none(key: tuple[Any, ...], truth: Sequence[tuple[str, Box]]) -> bool:
    """Return whether a box lies on no object of its class (IoU below .5)."""
    boxes = np.array([box for name, box in truth if name == key[-1]], dtype=np.float64).reshape(-1, 4)
    place = np.zeros(len(boxes), dtype=np.int64), np.arange(len(boxes))
    return not bool((overlapping(np.array([key[2:6]]), boxes, *place)[2] >= 0.5).any())


def _measured(
    score: Mapping[str, NDArray[np.float64]],
    right: NDArray[np.bool_],
    clip: NDArray[np.str_],
    track: NDArray[np.int64],
) -> dict[str, list[str]]:
    """Return, per order, its cells: each with a 95 % interval by resampling clips, the same ones for every order."""
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(clip == each) for each in np.unique(clip)]
    drawn = [rng.integers(0, len(rows), len(rows)) for _ in range(DRAWS)]
    draws = [[np.arange(len(right))], *([rows[at] for at in places] for places in drawn)]
    draws = [parts for parts in draws if right[np.concatenate(parts)].any()]  # else there is nothing to find
    if not draws:
        return {name: ["–"] * 4 for name in score}
    found = {name: [quality(values, right, track, parts) for parts in draws] for name, values in score.items()}
    cells = {}
    for name, of_draws in found.items():
        precision, first, first_tracks = np.array(of_draws).T
        compared = BASELINE in found and name != BASELINE
        times = precision / np.array(found[BASELINE])[:, 0] if compared else None
        cells[name] = [
            "–" if each is None else _with_interval(each) for each in (precision, times, first, first_tracks)
        ]
    return cells


def _with_interval(values: NDArray[np.float64]) -> str:
    """Return the first value with the interval of the others."""
    low, high = np.percentile(values[1:], (2.5, 97.5)) if len(values) > 1 else (values[0], values[0])
    return f"{values[0]:.2f} ({low:.2f} to {high:.2f})"


def quality(
    values: NDArray[np.float64],
    right: NDArray[np.bool_],
    track: NDArray[np.int64],
    parts: Sequence[NDArray[np.int64]],
) -> tuple[float, float, float]:
    """Return average precision, and precision at 100 of detections and of tracks, of rows that are drawn in parts.

    A track of a clip that is drawn twice counts twice.
    """
    rows = np.concatenate(parts)
    order = np.argsort(-values[rows], kind="stable")
    part = np.repeat(np.arange(len(parts)), [len(each) for each in parts])
    thing = part[order] * (int(track.max()) + 1) + track[rows][order]
    first = np.sort(np.unique(thing, return_index=True)[1])[:FIRST]
    ranked = right[rows][order]
    precision = float(average_precision_score(right[rows], values[rows]))
    return precision, float(ranked[:FIRST].mean()), float(ranked[first].mean())
