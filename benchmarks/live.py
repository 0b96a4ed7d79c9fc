"""Watching without ground truth, measured where the truth is known: clips of handwritten digits on photographs.

Two kinds of motion, a camera that moves over a picture and objects that move in one; noise, things that pass in front,
and H.264. Clips to fit the verifier to and clips to test share neither handwriting nor photographs. Only 3 and 7 are
objects; the detector takes other digits for them, as in the demo.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from fiftyone_plugin.demo import ink, photographs
from fiftyone_plugin.demo.digits import WEIGHTS
from fiftyone_plugin.demo.scenes import CLASSES, HEIGHTS, Pool, deal_scans, handwriting
from hnm_core import Detections, mine
from hnm_core.boxes import overlapping
from hnm_core.live import Verifier
from hnm_core.live.sources import Clip, find_clips, png_of
from hnm_core.live.tracking import UltralyticsTracker
from hnm_core.live.tracks import CONFIDENT, UNCERTAIN
from hnm_core.live.watch import watch
from hnm_core.live.watch_folder import pieces_of
from hnm_core.settings import WatchSettings

MOTIONS = ("camera", "objects")
SIDE, FRAMES, RATE = 192, 45, 15
"""Pixels of a side, frames of a clip, frames a second."""

CLIPS, TRAIN_CLIPS = 12, 12
"""Clips of each kind of motion, for the test and for the verifier (small: the table says how many)."""

EVERY = 5
"""Every so many frames of a clip are pictures to fit the verifier to: neighbours are nearly the same."""

DRAWS, FIRST, LARGE = 1_000, 100, 640
"""Resamples of an interval; what is counted at the head of a list; side at which cost is compared."""

KEEP_ALL = {"frames_per_track": 10**6, "frames_per_minute": 10**6, "alike": 0.0, "longest_gap": 0}
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


def table(clips: int = CLIPS, train_clips: int = TRAIN_CLIPS, frames: int = FRAMES) -> list[str]:
    """Return a Markdown table of how well errors stand at the head of a list, by what orders it, and of the cost."""
    from ultralytics import YOLO

    model, lines = YOLO(str(WEIGHTS)), list(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pools = deal_scans("demo", (("train", 0.5), ("test", 0.5)))
        verifier = fitted(model, root, pools["train"], train_clips, frames)
        for kind, motion in enumerate(MOTIONS):
            made = list(make(root / motion, motion, pools["test"], 1, clips, frames, [1, kind]))
            lines += _rows(motion, model, made, root, verifier)
        lines += ["", *_cost(model, made[0].file, verifier)]
    return lines


HEAD = (
    "| clips, list | errors of detections | order | average precision | of the first 100 wrong |",
    "|---|---|---|---|---|",
)


def make(
    folder: Path, motion: str, pool: Pool, half: int, clips: int, frames: int, seed: Sequence[int]
) -> Iterator[Made]:
    """Write clips, and yield each with its truth; ``half`` of the photographs, 0 or 1, are its grounds."""
    folder.mkdir(parents=True)
    grounds = photographs.PHOTOGRAPHS[half::2]
    for number in range(clips):
        rng = np.random.default_rng([*seed, number])
        pixels, truth = _clip(motion, pool, photographs.load(grounds[number % len(grounds)]), frames, rng)
        file = folder / f"{motion}_{number:03}.mp4"
        encode(file, pixels)
        yield Made(file, truth)


def _clip(
    motion: str, pool: Pool, photograph: photographs.Image, frames: int, rng: np.random.Generator
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
            if thing.digit in CLASSES and _seen(box) > 0.6:
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
    """Return the rows of a kind of motion: both lists, by the verifier, the track, the detection, and chance."""
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
                    key = piece["clip"], frame["number"], *each["prediction"]["bbox"], each["prediction"]["class"]
                    ways[name][key] = each["difficulty"]
                    found[key] = each
    truth = {clip.file.stem: clip.truth for clip in made}
    lines = []
    for error in (CONFIDENT, UNCERTAIN):
        keys = [
            key for key, each in found.items() if each["error"] == error and all(key in way for way in ways.values())
        ]
        if not keys:
            continue
        wrong = np.array([_is_wrong(key, truth[key[0]][key[1] - 1]) for key in keys], dtype=bool)
        clip = np.array([key[0] for key in keys])
        score = {name: np.array([way[key] for key in keys]) for name, way in ways.items()}
        score["lowest confidence"] = -np.array([found[key]["confidence"] for key in keys])
        score["random"] = np.random.default_rng(0).random(len(keys))
        what = f"{len(made)} × {motion}, {error}"
        for name, values in score.items():
            lines.append(
                f"| {what} | {int(wrong.sum())} of {len(wrong)} | {name} | {' | '.join(_cells(values, wrong, clip))} |"
            )
    return lines


def _is_wrong(key: tuple[Any, ...], truth: Sequence[tuple[str, Box]]) -> bool:
    """Return whether a detection lies on no object of its class (IoU below .5)."""
    boxes = np.array([box for name, box in truth if name == key[-1]], dtype=np.float64).reshape(-1, 4)
    place = np.zeros(len(boxes), dtype=np.int64), np.arange(len(boxes))
    return not bool((overlapping(np.array([key[2:6]]), boxes, *place)[2] >= 0.5).any())


def _cells(values: NDArray[np.float64], wrong: NDArray[np.bool_], clip: NDArray[np.str_]) -> list[str]:
    """Return average precision and precision at 100, each with a 95 % interval by resampling clips."""
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(clip == each) for each in np.unique(clip)]
    found = [_quality(values, wrong)]
    for _ in range(DRAWS):
        drawn = np.concatenate([rows[at] for at in rng.integers(0, len(rows), len(rows))])
        if 0 < wrong[drawn].sum() < len(drawn):
            found.append(_quality(values[drawn], wrong[drawn]))
    low, high = np.percentile(found, (2.5, 97.5), axis=0)
    return [f"{a:.3f} ({b:.3f} to {c:.3f})" for a, b, c in zip(found[0], low, high, strict=True)]


def _quality(values: NDArray[np.float64], wrong: NDArray[np.bool_]) -> list[float]:
    order = np.argsort(-values, kind="stable")[:FIRST]
    return [float(average_precision_score(wrong, values)) if wrong.any() else 0.0, float(wrong[order].mean())]


def _cost(model: Any, file: Path, verifier: Verifier) -> list[str]:
    """Return what tracking and the verifier cost beside inference at 640 pixels, as shares of its time."""
    frames = [frame.pixels for frame in Clip("clip", str(file), "video").frames()]
    seen: list[Any] = []

    def predict() -> None:
        seen.clear()
        for frame in frames:
            (result,) = model.predict([frame], conf=0.05, imgsz=LARGE, verbose=False)
            seen.append(result.boxes.cpu().numpy())

    def track() -> None:
        tracker = UltralyticsTracker()
        for boxes, frame in zip(seen, frames, strict=True):
            tracker.follow(boxes, frame)

    def verify() -> None:
        for boxes, frame in zip(seen, frames, strict=True):
            rows = boxes.data.tolist()[:1]
            verifier.score(frame[:, :, ::-1], [{"bbox": r[:4], "confidence": r[4], "class": "three"} for r in rows])

    predict()
    spent = {name: _best(each) for name, each in (("predict", predict), ("track", track), ("verify", verify))}
    share = {name: spent[name] / spent["predict"] for name in ("track", "verify")}
    return [
        f"| cost, the demo's detector | share of the time of inference at {LARGE} pixels |",
        "|---|---|",
        f"| ByteTrack | {share['track']:.1%} |",
        f"| verifier, one crop a frame | {share['verify']:.1%} |",
    ]


def _best(do: Callable[[], None], times: int = 3) -> float:
    """Return the shortest of some times, in seconds."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        do()
        found.append(time.perf_counter() - begun)
    return min(found)
