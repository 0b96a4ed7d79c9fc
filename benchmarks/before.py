"""This tree against an older one: ``python -m benchmarks --what before --before TREE``, with an environment in TREE.

Make both once: ``git worktree add ../before COMMIT``, then ``make install`` in it. Each measure runs in a fresh process
of its tree's own Python, the two trees by turns, so that a busy machine slows down both.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.scenes import coco_like, write_coco

HERE = Path(__file__).parents[1]
MEGABYTE = 2**20
ROUNDS = 3
SIZES = {"mine": (5_000, 50_000), "files": 20_000, "operator": 5_000}

MINE = """
import benchmarks.scaling as scaling
boxes, cpu, memory = scaling.measure({images})
print(json.dumps([cpu, memory]))
"""

OPERATOR = """
import benchmarks.operator as operator
found = operator.isolated("operator", "_measure({images}, False)")
print(json.dumps([found["cpu"], found["memory"]]))
"""

FILES = """
import resource, shutil, subprocess, sys
shutil.rmtree({output!r}, ignore_errors=True)
subprocess.run(
    [str(pathlib.Path(sys.executable).parent / "hnm"), "mine", "--data", {truth!r}, "--predictions", {found!r},
     "--output", {output!r}],
    check=True, stdout=subprocess.DEVNULL,
)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]))
"""
"""``ru_maxrss`` is the largest process's own peak; the small one here does not count among its children."""


def table(before: Path, rounds: int = ROUNDS, sizes: dict[str, Any] = SIZES) -> list[str]:
    """Return a Markdown table: what is measured, CPU seconds and peak memory there and here, and the ratios."""
    lines = [
        "| work | CPU before, s | now, s | ratio | memory before, MB | now, MB | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        truth, found = write_coco(*coco_like(sizes["files"]), Path(folder))
        works = {f"`mine()`, {images:,} images": MINE.format(images=images) for images in sizes["mine"]}
        works[f"`hnm mine` on COCO json, {sizes['files']:,} images"] = FILES.format(
            truth=str(truth), found=str(found), output=f"{folder}/mined"
        )
        works[f"the operator, {sizes['operator']:,} samples"] = OPERATOR.format(images=sizes["operator"])
        for name, code in works.items():
            turns = [(_run(before, code), _run(HERE, code)) for _ in range(rounds)]
            cells = []
            for column, unit in ((0, 1), (1, MEGABYTE)):
                old, new = ([turn[side][column] / unit for turn in turns] for side in (0, 1))
                tiny = column == 1 and max(old) < 1.0  # noise: no ratio
                ratio = statistics.median(n / o for o, n in zip(old, new, strict=True)) if not tiny else None
                said = "–" if ratio is None else f"{ratio:.2f}"
                cells += [f"{statistics.median(old):.3g}", f"{statistics.median(new):.3g}", said]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=before, capture_output=True, text=True)
    return [
        *lines,
        "",
        f"Before: commit {commit.stdout.strip()}. The two by turns, {rounds} times each, in processes of their own; "
        "the ratios are medians over the turns, now over before. Memory is that of the whole process for `hnm "
        "mine`, that beyond the input for `mine()`, and that beyond the imports for the operator, whose CPU time holds "
        "MongoDB's (its memory does not).",
    ]


def _run(tree: Path, code: str) -> tuple[float, float]:
    """Return CPU seconds and bytes, as the code prints them with a tree's own Python in that tree."""
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [tree / ".venv/bin/python", "-c", f"import json, pathlib{code}"],
        cwd=tree,
        env=own,
        check=True,
        capture_output=True,
        text=True,
    )
    cpu, memory = json.loads(done.stdout.splitlines()[-1])
    return cpu, memory
