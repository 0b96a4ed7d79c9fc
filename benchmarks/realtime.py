"""What mining adds to inference: the demo's small detector on this machine's processor, the hardest case there is."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from fiftyone_plugin.demo.dataset import WEIGHTS
from fiftyone_plugin.demo.digits import make_digits
from hnm_core import HardNegativeMiner
from hnm_core.io import read_yolo, to_records
from hnm_core.realtime import real_time_mining

IMAGES, SIDE, MOST = 100, 192, 5.0
CASES = (
    ("one image, 192 px", 1, {"imgsz": 192}),
    ("one image, 640 px", 1, {"imgsz": 640}),
    ("one image, 640 px, predictions kept down to .01", 1, {"imgsz": 640, "conf": 0.01}),
    ("batch of 8, 640 px", 8, {"imgsz": 640}),
)


def table() -> list[str]:
    """Return a Markdown table: milliseconds an image, and what mining adds to them; medians."""
    lines = [
        *(f"{IMAGES} images through `real_time_mining` with the demo's detector, 1.4 MB of weights, no GPU", ""),
        *("| predicting on | inference, ms | mining, ms | added, % | must |", "|---|---|---|---|---|"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        data = make_digits(Path(folder) / "set", IMAGES, splits=(("train", 1.0),), size=SIDE)
        labels = data.parent / "labels" / "train"
        (labels / "none").mkdir()
        (labels / "none" / f"{min(labels.glob('*.txt')).stem}.txt").touch()
        truths = to_records(read_yolo(data, predictions=labels / "none")[1], size=(SIDE, SIDE))
        missed = []
        for name, batch, options in CASES:
            inference, mining = _milliseconds(truths, batch, options)
            added = 100 * mining / inference
            missed += [mining] if added >= MOST else []
            lines.append(f"| {name} | {inference:.1f} | {mining:.2f} | {added:.1f} | < {MOST:g} |")
    return [*lines, *_why(missed)]


def _why(missed: list[float]) -> list[str]:
    """Why the must is missed, where it is: mining takes what it takes, however small the model."""
    if not missed:
        return []
    return [
        "",
        f"Mining an image alone takes up to {max(missed):.1f} ms however small the model, a few dozen calls of numpy: "
        f"below {MOST:g} % from {max(missed) / MOST * 100:.0f} ms of inference on.",
    ]


def _milliseconds(truths: dict[str, list[Any]], batch: int, options: dict[str, Any]) -> tuple[float, float]:
    """Median time an image takes to predict, and what the same calls take beyond that."""
    model, miner, paths = _Timed(), HardNegativeMiner(), list(truths)
    times = []
    for start in range(0, len(paths) - batch + 1, batch):
        of_batch = paths[start : start + batch]
        began = time.perf_counter()
        real_time_mining(model, of_batch, [truths[path] for path in of_batch], miner, device="cpu", **options)
        whole = time.perf_counter() - began
        times.append((model.seconds / batch, (whole - model.seconds) / batch))
    inference, mining = zip(*times[2:], strict=True)  # the first are warming up
    return 1e3 * statistics.median(inference), 1e3 * statistics.median(mining)


class _Timed:
    """The detector, with the time that its last prediction took."""

    def __init__(self) -> None:
        from ultralytics import YOLO

        self.model = YOLO(str(WEIGHTS))
        self.seconds = 0.0

    def predict(self, *args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        results = self.model.predict(*args, **options)
        self.seconds = time.perf_counter() - began
        return results
