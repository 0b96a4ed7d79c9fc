"""``python -m tools.mutants posterior``: change the code in one place after the other, and count what the tests notice.

mutmut (``pip install mutmut``, version 3) makes the changes and runs, for each, only the tests that reach the changed
function. It works on a copy of the files that git knows, outside the checkout; with ``--folder`` the copy stays, and a
second run goes on where the first one ended. Functions with decorators, properties among them, are not changed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

NOTICED, SURVIVED, UNTESTED, LATE = "noticed", "survived", "no test reaches it", "too slow, so noticed"
ENDS = {0: SURVIVED, 1: NOTICED, 3: NOTICED, 5: UNTESTED, 33: UNTESTED}
ENDS |= dict.fromkeys((-24, 24, 36, 152, 255, -9), LATE)
"""Exit code of the tests → what it means of the change."""


@dataclass(frozen=True)
class Subject:
    """What is changed, and the tests that should notice.

    Attributes:
        files: the files that are changed.
        tests: files and folders of tests.
        without: slow tests, run for every change that survives the others: they start a Python of their own, measure
            time, or count over many draws.
    """

    files: tuple[str, ...]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()


SUBJECTS: Mapping[str, Subject] = {
    "posterior": Subject(
        tuple(f"hnm_core/labels/{name}.py" for name in ("estimate", "prior", "stats", "strata", "evidence_weights")),
        ("tests/core/labels",),
        (
            "tests/core/labels/test_next_reviews.py::test_its_looks_bring_the_weights_nearer_to_the_truth_than_looks_at_random",
            "tests/core/labels/test_next_reviews.py::test_it_is_quick_enough_to_follow_a_click",
            "tests/core/labels/test_reviews.py",
            "tests/core/labels/test_twins.py::test_where_each_is_alone_nothing_changes_to_the_bit",
            "tests/core/labels/test_twins.py::test_however_often_a_thing_is_seen_its_answer_counts_once",
            "tests/core/labels/test_twins.py::test_intervals_hold_what_they_say_where_things_are_seen_five_times",
        ),
    ),
    "protocol": Subject(
        tuple(
            f"fiftyone_plugin/store/{name}.py"
            for name in ("lock", "journal", "updates", "writeback", "reservations", "owners", "blocks")
        ),
        (
            "tests/plugin/faults/test_leases.py",
            "tests/plugin/store/test_blocks.py",
            "tests/plugin/store/test_writeback.py",
            "tests/plugin/store/test_lock.py",
        ),
        ("tests/plugin/faults/test_leases.py::test_the_lease_of_a_dead_process_is_taken_at_once",),
    ),
}


def prepare(folder: Path, subject: Subject) -> None:
    """Copy what git knows into a folder, and write mutmut's settings there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = [name for name in os.fsdecode(listed).split("\0") if name and (ROOT / name).is_file()]
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    package = subject.files[0].partition("/")[0]
    beside = {"hnm_core", "fiftyone_plugin"} - {package}
    settings = {
        "source_paths": [package],
        "only_mutate": subject.files,
        "also_copy": [*sorted(beside), "fiftyone.yml", "tests"],
        "pytest_add_cli_args": [
            *("-o", "addopts=--import-mode=importlib", "-W", "ignore", "-p", "no:cacheprovider"),
            *(f"--deselect={test}" for test in subject.without),
        ],
        "pytest_add_cli_args_test_selection": subject.tests,
        "use_git_change_detection": ["false"],
    }
    lines = ["[mutmut]"]
    for name, values in settings.items():
        lines += [f"{name}=", *(f"    {value}" for value in values)]
    (folder / "setup.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")


def mutmut(folder: Path, children: int, names: Sequence[str] = ()) -> None:
    """Run mutmut, on some changes or on all that have no end yet.

    Raises:
        RuntimeError: if it does not come to its end, as when a test fails without any change.
    """
    command = [sys.executable, "-c", "from mutmut.__main__ import cli; cli()", "run", "--max-children", str(children)]
    environ = {**os.environ, "FIFTYONE_DO_NOT_TRACK": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *names], cwd=folder, env=environ, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise RuntimeError(f"mutmut ended with code {done.returncode}:\n{(done.stdout + done.stderr)[-3_000:]}")


def ends_of(folder: Path) -> dict[str, int | None]:
    """Return the name of every change, and the exit code of the tests; None for a change that was not made yet."""
    found: dict[str, int | None] = {}
    for path in sorted((folder / "mutants").rglob("*.py.meta")):
        found |= json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
    return found


def lines_of(ends: Mapping[str, int | None], survivors: Iterable[str]) -> list[str]:
    """Return the lines of a report: a table by module, the score, and what survived."""
    modules: dict[str, Counter[str]] = {}
    for name, code in ends.items():
        if code is not None:
            modules.setdefault(name.rpartition(".")[0], Counter())[ENDS.get(code, NOTICED)] += 1
    lines = ["| module | changes | noticed | survived | share |", "|---|---|---|---|---|"]
    for module, count in [*sorted(modules.items()), ("all", sum(modules.values(), Counter[str]()))]:
        all_of, noticed = count.total(), count[NOTICED] + count[LATE]
        cells = f"{all_of:,} | {noticed:,} | {all_of - noticed:,} | {noticed / max(all_of, 1):.1%}"
        lines.append(f"| `{module}` | {cells} |")
    return [*lines, "", *survivors]


def diffs(folder: Path, names: Iterable[str]) -> list[str]:
    """Return what was changed, one text for each name."""
    command = [sys.executable, "-c", "from mutmut.__main__ import cli; cli()", "show"]
    shown = [subprocess.run([*command, name], cwd=folder, capture_output=True, text=True).stdout for name in names]
    return ["\n".join(line for line in text.splitlines() if line[:2] not in ("--", "++", "@@")) for text in shown]


def main() -> int:
    """Change, count and print; return 1 if the share that is noticed is below the least one."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.add_argument("subject", choices=SUBJECTS, help="what to change")
    parser.add_argument("--most", type=int, help="changes to make, drawn at random (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--children", type=int, default=1, help="processes that run tests (default: 1)")
    parser.add_argument("--folder", type=Path, help="where to keep the copy, to go on later")
    parser.add_argument("--least", type=float, default=0.9, help="share to notice (default: 0.9)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hnm_mutants_") as aside:
        folder = args.folder.absolute() if args.folder else Path(aside)
        if not (folder / "setup.cfg").exists():
            folder.mkdir(parents=True, exist_ok=True)
            prepare(folder, SUBJECTS[args.subject])
        if args.most is None:
            mutmut(folder, args.children)
            chosen = ends_of(folder)
        else:
            if not ends_of(folder):
                first = SUBJECTS[args.subject].files[0].removesuffix(".py").replace("/", ".")
                mutmut(folder, args.children, [f"{first}*__mutmut_1"])
            every = sorted(ends_of(folder))
            names = random.Random(args.seed).sample(every, min(args.most, len(every)))
            todo = [name for name in names if ends_of(folder)[name] is None]
            if todo:
                mutmut(folder, args.children, todo)
            after = ends_of(folder)
            chosen = {name: after[name] for name in names}
        left = [name for name, code in sorted(chosen.items()) if ENDS.get(code or 0, NOTICED) in (SURVIVED, UNTESTED)]
        print(f"{len(chosen):,} of {len(ends_of(folder)):,} changes")
        print("\n".join(lines_of(chosen, diffs(folder, left))))
        return int(len(left) > (1 - args.least) * len(chosen))


if __name__ == "__main__":
    sys.exit(main())
