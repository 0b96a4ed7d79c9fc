"""The engine against its peers, on the same boxes in the same minute."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.scenes import coco_like, write_coco
from hnm_core import classify_errors, match_detections, mine

IMAGES, ROUNDS = 5_000, 3

Work = Callable[[], Any]


def table() -> list[str]:
    """Return a Markdown table, a row per comparison; medians over rounds, each of which times both sides."""
    lines = [f"{IMAGES:,} images shaped like COCO, medians of {ROUNDS} rounds", ""]
    lines += [
        "| work | against | ours, s | theirs, s | times faster | must | stretch |",
        "|---|---|---|---|---|---|---|",
    ]
    for work, against, ours, theirs, must, stretch in _rows():
        ours()  # warm
        times = [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]
        our_time, their_time = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(b / a for a, b in times)
        cells = (work, against, f"{our_time:.3f}", f"{their_time:.3f}", f"{ratio:.1f}", must or "–", stretch or "–")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def seconds(work: Work) -> float:
    """Wall time of one run."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _rows() -> list[tuple[str, str, Work, Work, float, float]]:
    """Our work, the peer, both as functions without arguments, and how many times faster we mean to be."""
    predictions, truth = coco_like(IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        files = write_coco(predictions, truth, Path(folder))
        coco, faster, rust = peers.pycocotools(*files), peers.faster_coco_eval(*files), peers.hotcoco(*files)
        rust_tide, tide = peers.hotcoco(*files, tide=True), peers.tidecv(predictions, truth)

    def matched() -> Any:
        return match_detections(predictions, truth)

    def classified() -> Any:
        return classify_errors(predictions, truth, matched())

    def mined() -> Any:
        return mine(predictions, truth)

    return [
        ("mine, whole", "hotcoco evaluate + TIDE (Rust)", mined, rust_tide, 3.3, 5),
        ("match", "hotcoco evaluate (Rust)", matched, rust, 0, 0),
        ("match", "faster-coco-eval evaluate (C++)", matched, faster, 18, 35),
        ("match", "pycocotools evaluate", matched, coco, 60, 120),
        ("match + error types", "tidecv", classified, tide, 45, 90),
    ]
