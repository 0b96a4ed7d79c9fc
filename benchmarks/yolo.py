"""``hnm mine`` on a folder of YOLO texts against opening and reading its files: CPU time, as ratios of one round."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

import numpy as np

from benchmarks.scaling import used
from benchmarks.scenes import HEIGHT, WIDTH, coco_like
from hnm_core import Detections

IMAGES, ROUNDS = 20_000, 3
MUST, STRETCH = 8, 4

PICTURE = b"\xff\xd8\xff\xd9"
"""The start and the end of a JPEG: the pictures of a YOLO set are found by name, and none of these is opened."""

OPEN_ALL = """
for name in names:
    with open(name, "rb") as file:
        file.read()
"""

READ = """
read_yolo({data!r}, "val", predictions={found!r})
"""


def table(images: int = IMAGES, rounds: int = ROUNDS) -> list[str]:
    """Return a Markdown table, a row per work: CPU seconds, and how many times as long as opening and reading."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        boxes = write_yolo(*coco_like(images), folder)
        data, found = str(folder / "data.yaml"), str(folder / "found")
        asked = ["--data", data, "--split", "val", "--predictions", found]
        # As installed: Python finds what it compiled the time before.
        compiled = ["env", "-u", "PYTHONDONTWRITEBYTECODE", f"PYTHONPYCACHEPREFIX={folder / 'compiled'}"]
        command = [*compiled, sys.executable, "-c", "from hnm_core.cli import main; main()", "mine"]
        whole = [*command, *asked, "--output"]
        used([*whole, str(folder / "warm")])
        listed = f"import pathlib; names = [str(p) for p in pathlib.Path({name!r}).rglob('*.txt')]"
        reading = "from hnm_core.io import read_yolo"
        turns = [
            (
                _seconds(listed, OPEN_ALL),
                _seconds(reading, READ.format(data=data, found=found)),
                used([*whole, str(folder / f"mined {turn}")])[0],
            )
            for turn in range(rounds)
        ]
    lines = [f"{images:,} images, {2 * images:,} files, {boxes:,} boxes; medians of {rounds} rounds", ""]
    lines += ["| work | CPU, s | times as long | must | stretch |", "|---|---|---|---|---|"]
    works = ("opening and reading the files", "`read_yolo`", "`hnm mine`, start, report and output included")
    for place, work in enumerate(works):
        seconds = statistics.median(turn[place] for turn in turns)
        ratio = statistics.median(turn[place] / turn[0] for turn in turns)
        goals = (f"≤ {MUST}", f"≤ {STRETCH}") if place == len(works) - 1 else ("–", "–")
        lines.append(f"| {work} | {seconds:.2f} | {ratio:.1f} | {goals[0]} | {goals[1]} |")
    return lines


def write_yolo(predictions: Detections, truth: Detections, folder: Path) -> int:
    """Write both tables as YOLO texts, a file per image and side, with ``data.yaml``; return the number of boxes."""
    names = ", ".join(truth.classes)
    (folder / "data.yaml").write_text(f"path: {folder}\ntrain: images\nval: images\nnames: [{names}]\n")
    for part in ("images", "labels", "found"):
        (folder / part).mkdir()
    for image in truth.images:
        (folder / "images" / f"{image}.jpg").write_bytes(PICTURE)
    for part, side in (("labels", truth), ("found", predictions)):
        texts = dict.fromkeys(range(len(side.images)), "")
        rows = zip(side.image.tolist(), _lines(side), strict=True)
        texts |= {
            image: "\n".join(line for _, line in some) + "\n" for image, some in groupby(rows, lambda row: row[0])
        }
        for image, text in texts.items():
            (folder / part / f"{side.images[image]}.txt").write_text(text)
    return len(predictions) + len(truth)


def _lines(table: Detections) -> list[str]:
    """Return the rows as Ultralytics writes them, six digits a number."""
    corners = table.xyxy / np.array([WIDTH, HEIGHT] * 2)
    box = np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1)
    last = [] if table.score is None else [table.score[:, None]]
    rows = np.concatenate([box, *last], axis=1).tolist()
    return [f"{label} {' '.join(f'{v:g}' for v in row)}" for label, row in zip(table.label.tolist(), rows, strict=True)]


def _seconds(first: str, work: str) -> float:
    """Return the CPU time of some work in a fresh process, without what comes first."""
    code = f"import time, warnings; warnings.simplefilter('ignore'); {first}; start = time.process_time()"
    code += f"\n{work}\nprint(time.process_time() - start)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)
