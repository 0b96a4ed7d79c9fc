"""How ``hnm mine`` of shards grows to a million images: CPU time and memory, as the operating system counts them."""

from __future__ import annotations

import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.scaling import MEGABYTE, used
from benchmarks.scenes import CLASSES, HEIGHT, WIDTH, coco_like
from hnm_core.engines import Shard
from hnm_core.io.shards import IMAGES_PER_SHARD, ShardColumns

SIZES = (118_000, 1_000_000)
MUST = "must: ≤ 1.0 µs a box, ≤ 700 MB, ≤ 300 bytes an image, exponent ≤ 1.0"


def table(sizes: tuple[int, ...] = SIZES) -> list[str]:
    """Return a Markdown table, a row per size, each mined by a fresh process.

    Boxes are made and written shard by shard: a million images take about 1 GB of disk for shards and results.
    """
    lines = ["| images | boxes | `hnm mine` of the shards, CPU s | µs a box | peak of the process, MB |"]
    lines.append("|---|---|---|---|---|")
    found = []
    for images in sizes:
        with tempfile.TemporaryDirectory(prefix="hnm-bench-") as name:
            boxes = make_shards(images, Path(name) / "shards")
            seconds, peak = mined(Path(name) / "shards", Path(name) / "mined")
        lines.append(row(images, boxes, seconds, peak))
        found.append((images, boxes, seconds, peak))
    return [*lines, "", growth(found)]


def row(images: int, boxes: int, seconds: float, peak: int) -> str:
    """Return a row of the table."""
    return f"| {images:,} | {boxes:,} | {seconds:.1f} | {1e6 * seconds / boxes:.2f} | {peak / MEGABYTE:.0f} |"


def growth(found: list[tuple[int, int, float, int]]) -> str:
    """Return the sentence on how CPU time and memory grow from the first size to the last."""
    (few, boxes, short, low), (many, more, long, high) = found[0], found[-1]
    exponent = math.log(long / short) / math.log(more / boxes)
    return (
        f"From {few:,} to {many:,} images CPU time grows with exponent {exponent:.2f}, the peak of memory by "
        f"{(high - low) / (many - few):.0f} bytes an image ({MUST})."
    )


def mined(shards: Path, output: Path) -> tuple[float, int]:
    """Return the CPU time in seconds and the peak of memory in bytes of mining some shards."""
    code = "from hnm_core.cli import main; main()"
    return used([sys.executable, "-c", code, "mine", "--data", str(shards), "--output", str(output)])


def make_shards(images: int, folder: Path, per_shard: int = IMAGES_PER_SHARD) -> int:
    """Write the shards of so many images, one at a time; return the number of boxes."""
    folder.mkdir()
    starts, boxes = range(0, images, per_shard), 0
    classes = [f"class {c}" for c in range(CLASSES)]
    common = {"shards": len(starts), "images": images, "classes": classes, "source": {}, "unit": "pixels"}
    for number, start in enumerate(starts):
        names = tuple(f"{i:07d}" for i in range(start, min(start + per_shard, images)))
        predictions, truth = (replace(one, images=names) for one in coco_like(len(names), seed=start))
        sides = np.full((len(names), 2), (WIDTH, HEIGHT))
        content = Shard(predictions, truth, sizes=sides)
        ShardColumns.of(content).write(folder, number, 0, len(names), common)
        boxes += len(predictions) + len(truth)
    return boxes
