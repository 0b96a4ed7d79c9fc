"""Operators killed after each of their writes and at random moments, and the user's documents before and after them.

The table is what ``tests/plugin/faults/test_kills.py`` prints, on more samples than in CI. A kill that leaves anything
but the old state, the new one or a refusal in words fails the test, and then there is no table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KILLS = "tests/plugin/faults/test_kills.py"
PRINTED = "fault: "
"""What a line begins with that those tests print for this table."""

SIZES = {120: 1_000, 2_000: 12}
"""Samples → most writes per operator after which it is killed, spread evenly, first and last included: a kill at 2,000
samples takes seconds on a quiet machine."""

SPREAD = (
    "Where there are fewer kills than writes, they were spread evenly over the writes, the first and the last included."
)

DOCUMENTS = 300
"""Samples whose documents are compared."""

STRIKES = 10
"""Random moments at which each operator is stopped by each signal, at 120 samples."""


def table(sizes: Mapping[int, int] | None = None, documents: int = DOCUMENTS, strikes: int = STRIKES) -> list[str]:
    """Markdown lines.

    Raises:
        RuntimeError: if a kill left something else, or a document of the user's differs.
    """
    rows = [row for images, points in (sizes or SIZES).items() for row in measured("after_any_write", images, points)]
    (compared,) = measured("documents_of_the_user", documents)
    stopped = measured("random_moment", 120, strikes=strikes)
    return page(rows, compared, stopped)


def measured(which: str, images: int, points: int = 1_000, strikes: int | None = None) -> list[dict[str, Any]]:
    """Run the tests whose names contain a text, and return what they print."""
    environ = {**os.environ, "HNM_FAULT_IMAGES": str(images), "HNM_FAULT_POINTS": str(points)}
    if strikes is not None:
        environ["HNM_FAULT_STRIKES"] = str(strikes)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-s",
        "-x",
        "--timeout=0",
        "-p",
        "no:cacheprovider",
        KILLS,
        "-k",
        which,
    ]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{KILLS} failed with {images} samples:\n{done.stdout[-3_000:]}")
    return [json.loads(line.removeprefix(PRINTED)) for line in done.stdout.splitlines() if line.startswith(PRINTED)]


def page(
    rows: Iterable[Mapping[str, Any]], compared: Mapping[str, Any], stopped: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Return the lines of the page from what the tests print."""
    return [*lines_of(rows), "", SPREAD, "", sentence(compared), "", *stopped_lines_of(stopped)]


def lines_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each operator and number of samples."""
    lines = ["| operator | samples | writes | kills | old | new | refused in words | each part old or new | else |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        ends = [int(row.get(end, 0)) for end in ("old", "new", "refused", "both")]
        cells = [row["operator"], *(row[name] for name in ("samples", "writes", "killed")), *ends]
        lines.append(
            f"| {' | '.join(f'{c:,}' if isinstance(c, int) else c for c in cells)} | {row['killed'] - sum(ends)} |"
        )
    return lines


def stopped_lines_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each operator and signal."""
    lines = ["| operator | samples | signal | stopped | old | new | refused in words | each part old or new | else |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        ends = [int(row.get(end, 0)) for end in ("old", "new", "refused", "both")]
        cells = [row["operator"], row["samples"], row["signal"], row["stopped"], *ends, row["stopped"] - sum(ends)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def sentence(compared: Mapping[str, Any]) -> str:
    """Return what the comparison of documents found."""
    return (
        f"{compared['differ']} of {compared['samples']:,} documents of the user differ, in type, value or order of "
        f"keys, in {compared['compared']} comparisons: after each of the operators above, and after deleting all runs."
    )
