"""What watching costs: time beside that of inference, and memory over an hour of video."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.scaling import MEGABYTE, _peak
from hnm_core.live import Verifier
from hnm_core.live.sources import find_clips
from hnm_core.live.tracking import UltralyticsTracker, boxes_of
from hnm_core.live.watch import watch
from hnm_core.settings import WatchSettings

PLAIN, LARGE = "yolo11n.yaml", 640
"""The detector that tracking and the verifier are compared with, and the side of its images in pixels."""

CROPS, BOXES = (1, 20), ((40, 50), (128, 160))
"""Crops a frame whose cost is told, and width and height of their boxes in pixels."""

TIMED, ROUNDS = 10, 3
"""Frames that are timed, and how often, in turns: the shortest time counts."""

MINUTES = (1, 10, 60)
"""Lengths of the videos whose memory is compared."""

OF_VIDEO, RATE = 20, 5
"""Clips that the videos repeat, and their frames a second."""


def cost(model: Any, file: Path, verifier: Verifier) -> list[str]:
    """Return what tracking and the verifier cost beside inference at 640 pixels, as shares of its time.

    Args:
        model: the detector whose boxes are tracked.
        file: a video, which is scaled up.
        verifier: looks at small and at large boxes.
    """
    from ultralytics import YOLO

    frames = [
        cv2.resize(frame.pixels, (LARGE, LARGE)) for frame in itertools.islice(find_clips(str(file))[0].frames(), TIMED)
    ]
    colours = [np.ascontiguousarray(frame[:, :, ::-1]) for frame in frames]
    results = [model.predict([frame], conf=0.05, imgsz=LARGE, verbose=False)[0] for frame in frames]
    boxes = [result.boxes.cpu().numpy() for result in results]
    plain = YOLO(PLAIN)

    def infer() -> None:
        for frame in frames:
            plain.predict([frame], imgsz=LARGE, verbose=False)

    def track() -> None:
        tracker = UltralyticsTracker()
        for found, frame in zip(boxes, frames, strict=True):
            tracker.follow(found, frame)

    def verify(crops: int, width: float, height: float) -> None:
        corners = [(20.0 * at, 10.0 * at) for at in range(crops)]
        seen = [{"bbox": [x, y, x + width, y + height], "confidence": 0.6, "class": "three"} for x, y in corners]
        for frame in colours:
            verifier.score(frame, seen)

    parts = {
        "": infer,
        "ByteTrack": track,
        **{
            f"verifier, {n} {'crop' if n == 1 else 'crops'} of {width} × {height} pixels a frame": partial(
                verify, n, width, height
            )
            for width, height in BOXES
            for n in CROPS
        },
    }
    taken = _shortest(parts)
    whole = taken.pop("")
    return [
        f"| cost | share of the time of {PLAIN.partition('.')[0]} at {LARGE} pixels |",
        "|---|---|",
        *(f"| {name} | {seconds / whole:.1%} |" for name, seconds in taken.items()),
    ]


def _shortest(parts: Mapping[str, Callable[[], None]]) -> dict[str, float]:
    """Return the shortest time of each part, in seconds; they take turns, since the machine may be busy."""
    best = dict.fromkeys(parts, np.inf)
    for _ in range(ROUNDS):
        for name, do in parts.items():
            begun = time.perf_counter()
            do()
            best[name] = min(best[name], time.perf_counter() - begun)
    return best


def memory(
    model: Any, files: Sequence[Path], verifier: Verifier, folder: Path, minutes: Sequence[int] = MINUTES
) -> list[str]:
    """Return the peak of memory of watching videos of several lengths, each in a fresh process.

    What the detector says of the frames is known beforehand; all else is as in ``hnm watch``: decoding, ByteTrack,
    crops, the verifier, and writing frames. Look-alikes are kept, so that every minute writes as much as the first.

    Args:
        model: a detector.
        files: clips, which the videos repeat.
        verifier: ranks.
        folder: for the videos and what is written; it is made.
        minutes: lengths.
    """
    folder.mkdir()
    frames = [frame.pixels for file in files[:OF_VIDEO] for frame in find_clips(str(file))[0].frames()]
    results = [model.predict([frame], conf=0.05, imgsz=frame.shape[0], verbose=False)[0] for frame in frames]
    tables = [result.boxes.cpu().numpy().data for result in results]
    np.savez(folder / "said.npz", rows=np.concatenate(tables), ends=np.cumsum([len(table) for table in tables]))
    verifier.save(folder / "verifier.npz")
    lines = ["| video | frames | proposals | peak of the process, MB |", "|---|---|---|---|"]
    for length in minutes:
        write_video(folder / f"{length}.mkv", files[:OF_VIDEO], length)
        code = f"from benchmarks.live_cost import watched; print(*watched({str(folder)!r}, {length}, {model.names}))"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        seen, proposals, peak = map(int, done.stdout.split())
        said = f"{length} {'minute' if length == 1 else 'minutes'}"
        lines.append(f"| {said} | {seen:,} | {proposals:,} | {peak / MEGABYTE:.0f} |")
    return lines


def write_video(path: Path, files: Sequence[Path], minutes: int) -> None:
    """Write clips one after the other, over and over, slower and without encoding them again."""
    import av

    with av.open(str(files[0])) as first, av.open(str(path), "w") as out:
        like = first.streams.video[0]
        stream = out.add_stream_from_template(like)
        ticks, slower, frames = round(1 / (like.time_base * like.average_rate)), round(like.average_rate / RATE), 0
        for packets in _clips_of(files):
            begun = frames * ticks
            for packet in packets:
                packet.pts, packet.dts = (packet.pts + begun) * slower, (packet.dts + begun) * slower
                packet.stream = stream
                out.mux(packet)
            frames += len(packets)
            if frames >= minutes * 60 * RATE:
                return


def _clips_of(files: Sequence[Path]) -> Iterator[list[Any]]:
    """Yield the packets of each clip, over and over."""
    import av

    for file in itertools.cycle(files):
        with av.open(str(file)) as given:
            yield [packet for packet in given.demux(video=0) if packet.dts is not None]


def watched(folder: str, minutes: int, names: dict[int, str]) -> tuple[int, int, int]:
    """Watch a video that :func:`memory` has written; return frames, proposals and the peak of memory in bytes."""
    root = Path(folder)
    with np.load(root / "said.npz") as said:
        tables: list[NDArray[np.float64]] = np.split(said["rows"], said["ends"][:-1])

    def known(clip: Any, frame: Any) -> Any:
        return boxes_of(tables[(frame.number - 1) % len(tables)], frame.pixels.shape[:2])

    found = watch(
        *(str(root / f"{minutes}.mkv"), SimpleNamespace(names=names), root / f"watched {minutes}"),
        settings=WatchSettings(alike=0.0),
        verifier=Verifier.load(root / "verifier.npz"),
        known=known,
    )
    return found.frames, sum(each["proposals"] for each in found.lists.values()), _peak()
