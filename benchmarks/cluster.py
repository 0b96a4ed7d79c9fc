"""Shards on one machine and on a Ray cluster of one and two workers: time, memory, and what reaches the driver."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

from benchmarks.scenes import coco_like
from hnm_core.engines import Shard
from hnm_core.engines.shard import Engine
from hnm_core.io import mine_to_folder, ray_engine, shard_files, write_shards

IMAGES, PER_SHARD, ROUNDS = 500_000, 5_000, 3
MEGABYTE = 2**20
PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
HOW = {"local": "one process, without Ray", "1": "Ray, one worker", "2": "Ray, two workers"}


def table(images: int = IMAGES, rounds: int = ROUNDS) -> list[str]:
    """Return a Markdown table, a row for each way; each in fresh processes, by turns, of all rounds the medians."""
    with tempfile.TemporaryDirectory(prefix="hnm-bench-") as name:
        folder = Path(name)
        predictions, truth = coco_like(images)
        boxes = len(predictions) + len(truth)
        shards = write_shards(folder / "shards", Shard(predictions, truth), images_per_shard=PER_SHARD)
        del predictions, truth
        size = sum(path.stat().st_size for path in shards.iterdir())
        found: dict[str, list[dict[str, Any]]] = {how: [] for how in HOW}
        for _ in range(rounds):
            for how in HOW:
                code = f"from benchmarks.cluster import alone; alone({how!r}, {str(folder)!r})"
                done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
                found[how].append(json.loads(done.stdout.splitlines()[-1]))
        digests = {run["digest"] for runs in found.values() for run in runs}
    middle = {how: {name: _median(runs, name) for name in runs[0] if name != "digest"} for how, runs in found.items()}
    lines = ["| how | seconds | CPU, µs a box | a shard's task, MB | leading task, MB | to the driver, bytes | load |"]
    lines.append("|---|---|---|---|---|---|---|")
    for how, of in middle.items():
        tasks = (f"{of[name] / MEGABYTE:.0f}" if of[name] else "–" for name in ("shard", "leads"))
        said = f"{of['answer']:,.0f}" if how != "local" else "–"
        cells = (HOW[how], f"{of['seconds']:.0f}", f"{1e6 * of['cpu'] / boxes:.2f}", *tasks, said, f"{of['load']:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    ratios = [one["seconds"] / two["seconds"] for one, two in zip(found["1"], found["2"], strict=True)]
    return [
        *lines,
        "",
        f"{images:,} images, {boxes:,} boxes, {size / MEGABYTE:,.0f} MB of shards of {PER_SHARD:,} images; medians of "
        f"{rounds} rounds, in turns. What is kept of the shards: {middle['2']['kept'] / MEGABYTE:,.0f} MB; what is "
        f"written: {middle['2']['written'] / MEGABYTE:,.0f} MB. Two workers against one: "
        f"{statistics.median(ratios):.2f} × (of the rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)}); the load "
        f"of the machine's {os.cpu_count()} processors is what it was before each. "
        f"{'All files are equal' if len(digests) == 1 else f'{len(digests)} different results'}.",
    ]


def _median(runs: list[dict[str, Any]], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def alone(how: str, folder: str) -> None:
    """Mine once, and print what it took as JSON."""
    root, load = Path(folder), os.getloadavg()[0]
    kept, mined = root / f"kept-{how}", root / f"mined-{how}"
    with _engine(how, root / "shards", kept) as engine, _watched() as peaks:
        before, start = _cpu(), time.perf_counter()
        report = mine_to_folder(engine, mined)
        seconds, cpu = time.perf_counter() - start, _cpu() - before
        held = sum(path.stat().st_size for path in kept.iterdir()) if kept.exists() else 0
    found = {
        **{"seconds": seconds, "cpu": cpu, "load": load, "kept": held, "answer": len(pickle.dumps(report))},
        "shard": peaks.get("ray::_work", 0) if how != "local" else peaks.get("self", 0),
        "leads": peaks.get("ray::_once", 0),
        "written": sum(path.stat().st_size for path in mined.iterdir()),
        "digest": _digest(mined),
    }
    shutil.rmtree(mined)
    print(json.dumps(found))


@contextmanager
def _engine(how: str, shards: Path, kept: Path) -> Iterator[Engine]:
    if how == "local":
        from hnm_core.engines import Local

        with Local(shard_files(shards)) as local:
            yield local
        return
    from tests.clusters import cluster

    with cluster(int(how)) as started, ray_engine(shards, folder=kept, address=started.address) as engine:
        few = range(min(4 * int(how), len(engine)))
        list(engine.start(_nothing, each=[None] * len(few), only=few))  # workers are there and have imported all
        yield engine


def _nothing(shard: Shard, own: None) -> tuple[dict[str, Any], None]:
    return {}, None


def _digest(folder: Path) -> str:
    from hashlib import sha256

    found = sha256()
    for path in sorted(folder.iterdir()):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


def _family() -> dict[int, list[str]]:
    """This process and all that it has started, by number: the fields of their stat files after their names."""
    stats = {}
    for place in PROC.glob("[0-9]*"):
        try:
            stats[int(place.name)] = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
    family = {os.getpid()}
    while more := {pid for pid, stat in stats.items() if int(stat[1]) in family} - family:
        family |= more
    return {pid: stats[pid] for pid in family if pid in stats}


def _cpu() -> float:
    """CPU seconds of this process and all that it has started."""
    return sum(int(stat[11]) + int(stat[12]) for stat in _family().values()) / TICKS


@contextmanager
def _watched() -> Iterator[dict[str, float]]:
    """Note the highest resident memory of the processes that it has started, by what they do, every second."""
    peaks: dict[str, float] = {}
    ended = Event()

    def look() -> None:
        while not ended.wait(1.0):
            for pid in _family():
                try:
                    what = (PROC / str(pid) / "cmdline").read_text().partition("\0")[0].strip()
                    status = (PROC / str(pid) / "status").read_text()
                except OSError:
                    continue
                lines = [line for line in status.splitlines() if line.startswith("VmRSS")]
                name = "self" if pid == os.getpid() else what
                if lines:
                    peaks[name] = max(peaks.get(name, 0), int(lines[0].split()[1]) * 1024)

    watcher = Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peaks
    finally:
        ended.set()
        watcher.join()
