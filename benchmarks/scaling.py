"""How mining grows from 500 to 118,000 images: CPU time and memory, all images at once and shard by shard."""

from __future__ import annotations

import gc
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.scenes import coco_like, write_coco
from hnm_core import mine
from hnm_core.engines import Local, Shard, mine_shards

SIZES = (500, 5_000, 50_000, 118_000)
ROUNDS = 3
PER_SHARD = 2_000
MEGABYTE = 2**20
ENOUGH = 1_000_000
"""Boxes from which on memory is told: below, it is that of one chunk, which the heap may have had already."""


def table(sizes: tuple[int, ...] = SIZES, before: Path | None = None) -> list[str]:
    """Return a Markdown table, a row per size; the exponent is that of CPU time over boxes, from the second size.

    Args:
        sizes: how many images.
        before: the checkout of an earlier commit with its own ``.venv``, which the command is compared with.
    """
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
        *("", *shards_table(sizes[-1])),
        *("", *command_table(sizes[-1], before)),
    ]


def shards_table(images: int, per_shard: int = PER_SHARD) -> list[str]:
    """Return a Markdown table of one mining by both ways, each in a fresh process that makes its boxes itself."""
    lines = ["| images | how | CPU, µs a box | peak of the process, MB |", "|---|---|---|---|"]
    for how, size in (
        ("`mine()`, its input in memory", 0),
        (f"`mine_shards`, {per_shard:,} images a shard", per_shard),
    ):
        code = f"from benchmarks.scaling import alone; print(*alone({images}, {size}))"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        boxes, seconds, peak = map(float, done.stdout.split())
        lines.append(f"| {images:,} | {how} | {1e6 * seconds / boxes:.2f} | {peak / MEGABYTE:.0f} |")
    return [
        *lines,
        "",
        "The time to make the boxes is left out; so is the memory that making all of them at once takes.",
    ]


def command_table(images: int, before: Path | None = None) -> list[str]:
    """Return a Markdown table of ``hnm mine`` on the same boxes as COCO json and as shards, each in a fresh process.

    CPU time and peak of memory are those that the operating system counts of the process and of those it starts.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        making = f"from benchmarks.scaling import make_files; print(make_files({images}, {name!r}))"
        done = subprocess.run([sys.executable, "-c", making], check=True, capture_output=True, text=True)
        boxes = int(done.stdout)
        json = ["--data", str(folder / "gt.json"), "--predictions", str(folder / "dt.json")]
        shards = ["--data", str(folder / "shards")]
        mine, here = ["mine", "--output"], [sys.executable, "-c", "from hnm_core.cli import main; main()"]
        measured = [
            ("`hnm convert` of the json", used([*here, "convert", *json, "--output", shards[1]])),
            ("`hnm mine` of the json", used([*here, *mine, str(folder / "of_json"), *json])),
            ("`hnm mine` of the shards", used([*here, *mine, str(folder / "of_shards"), *shards])),
            (
                "`hnm mine` of the shards, `--processes 2`",
                used([*here, *mine, str(folder / "of_two"), *shards, "--processes", "2"]),
            ),
        ]
        if before is not None:
            then = [str(before / ".venv" / "bin" / "hnm"), *mine, str(folder / "before"), *json]
            measured.insert(0, (f"`hnm mine` of the json, commit {_commit(before)}", used(then)))
    lines = ["| images | boxes | how | CPU, s | peak of the process, MB | times less CPU | times less memory |"]
    lines.append("|---|---|---|---|---|---|---|")
    first = measured[0][1] if before is not None else None
    for how, (seconds, peak) in measured:
        less = ["–", "–"] if first is None else [f"{first[0] / seconds:.1f}", f"{first[1] / peak:.1f}"]
        cells = (f"{images:,}", f"{boxes:,}", how, f"{seconds:.1f}", f"{peak / MEGABYTE:.0f}", *less)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def make_files(images: int, folder: str) -> int:
    """Write boxes as COCO json into a folder; return their number."""
    predictions, truth = coco_like(images)
    write_coco(predictions, truth, Path(folder))
    return len(predictions) + len(truth)


def used(command: list[str]) -> tuple[float, int]:
    """Run a command; return its CPU time in seconds and the peak of its memory in bytes.

    Raises:
        RuntimeError: if it fails.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed: {said.read().decode(errors='replace')[-2000:]}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def _commit(folder: Path) -> str:
    command = ["git", "-C", str(folder), "rev-parse", "--short=7", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def alone(images: int, per_shard: int) -> tuple[int, float, int]:
    """Mine once; return boxes, CPU time in seconds, and the peak of memory in bytes. 0 images a shard: all at once."""
    if not per_shard:
        predictions, truth = coco_like(images)
        _reset_peak()
        start = time.process_time()
        mine(predictions, truth)
        return len(predictions) + len(truth), time.process_time() - start, _peak()
    boxes, making = 0, 0.0

    def load(first: int) -> Shard:
        nonlocal boxes, making
        start, names = time.process_time(), [f"{i:07d}" for i in range(first, min(first + per_shard, images))]
        tables = (replace(table, images=tuple(names)) for table in coco_like(len(names), seed=first))
        predictions, truth = tables
        shard = Shard(predictions, truth)
        boxes, making = boxes + len(shard.predictions) + len(shard.truth), making + time.process_time() - start
        return shard

    start = time.process_time()
    with Local([partial(load, first) for first in range(0, images, per_shard)]) as engine:
        mine_shards(engine)
        return boxes, time.process_time() - start - making, _peak()


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
