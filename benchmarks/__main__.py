"""``python -m benchmarks``: time the engine against its peers, and print the table the README quotes."""

from __future__ import annotations

import argparse
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

Work = Callable[[], Any]


def rows(images: int) -> list[tuple[str, str, Work, Work]]:
    """What is compared: our work, the peer, and both as functions without arguments."""
    predictions, truth = coco_like(images)
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
        ("match", "hotcoco evaluate (Rust)", matched, rust),
        ("mine, whole", "hotcoco evaluate + TIDE (Rust)", mined, rust_tide),
        ("match", "faster-coco-eval evaluate (C++)", matched, faster),
        ("match", "pycocotools evaluate", matched, coco),
        ("match + error types", "tidecv", classified, tide),
    ]


def seconds(work: Work) -> float:
    """Wall time of one run."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--images", type=int, default=5000, help="images, about 65 boxes each (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, both sides in each (default: %(default)s)")
    args = parser.parse_args()
    print(f"{args.images} images shaped like COCO, medians of {args.rounds} rounds\n")
    print("| work | against | ours, s | theirs, s | times faster |\n|---|---|---|---|---|")
    for work, against, ours, theirs in rows(args.images):
        ours()  # warm
        times = [(seconds(ours), seconds(theirs)) for _ in range(args.rounds)]
        mine_s, theirs_s = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(b / a for a, b in times)
        print(f"| {work} | {against} | {mine_s:.3f} | {theirs_s:.3f} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
