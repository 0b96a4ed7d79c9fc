"""How ``mine`` grows from 500 to 118,000 images: CPU time, and memory beyond its input."""

from __future__ import annotations

import gc
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.scenes import coco_like
from hnm_core import mine

SIZES = (500, 5_000, 50_000, 118_000)
ROUNDS = 3
MEGABYTE = 2**20
ENOUGH = 1_000_000
"""Boxes from which on memory is told: below, it is that of one chunk, which the heap may have had already."""


def table(sizes: tuple[int, ...] = SIZES) -> list[str]:
    """A Markdown table, a row per size; the exponent is that of CPU time against boxes, from the second size on."""
    lines = ["| images | boxes | `mine()`, CPU s | µs a box | memory beyond the input, MB per million boxes |"]
    lines.append("|---|---|---|---|---|")
    found = []
    for images in sizes:
        boxes, seconds, extra = measure(images)
        memory = f"{extra / MEGABYTE / (boxes / 1e6):.0f}" if boxes >= ENOUGH else "–"
        lines.append(f"| {images:,} | {boxes:,} | {seconds:.3f} | {1e6 * seconds / boxes:.2f} | {memory} |")
        found.append((boxes, seconds))
    (few, short), (many, long) = found[min(1, len(found) - 1)], found[-1]
    exponent = math.log(long / short) / math.log(many / few) if many > few else math.nan
    return [
        *(*lines, ""),
        f"From {sizes[min(1, len(sizes) - 1)]:,} to {sizes[-1]:,} images CPU time grows with exponent {exponent:.2f} "
        f"(must: ≤ 1.05); memory must be ≤ 50 MB. `import hnm_core` takes {import_time():.2f} times as long as `import "
        f"numpy` (must: ≤ 1.5).",
    ]


def measure(images: int) -> tuple[int, float, int]:
    """Boxes, the median CPU time of some runs in seconds, and the peak of memory above the tables in bytes."""
    predictions, truth = coco_like(images)
    mine(*coco_like(50))  # warm
    gc.collect()
    held = _reset_peak()
    mine(predictions, truth)
    extra = _peak() - held
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        mine(predictions, truth)
        times.append(time.process_time() - start)
    return len(predictions) + len(truth), statistics.median(times), extra


def import_time(rounds: int = 9) -> float:
    """``import hnm_core`` over ``import numpy``, in fresh processes by turns: the median of their ratios."""

    def seconds(what: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {what}"], check=True)
        return time.perf_counter() - start

    return statistics.median(seconds("hnm_core") / seconds("numpy") for _ in range(rounds))


def _reset_peak() -> int:
    """Ask the kernel to forget the peak of this process's memory; what it holds now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
