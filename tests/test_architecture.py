"""The law of the house: what each file may import, and how large it may grow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE, PLUGIN = ROOT / "hnm_core", ROOT / "fiftyone_plugin"
STAIR = """
    columns boxes settings few matching thresholds taxonomy strategies selection reviews suspicion odds posterior
    calibration likeness pooling weights imageset report findings accounting mistakes judging looks charts result
    pipeline agreement overview rounds
""".split()
DOORS = "appearance miner io plots pages realtime training distributed verify export cli commands".split()
APP = {"fiftyone", "fiftyone_plugin", "eta"}
BEHIND_A_DOOR = {
    "argparse": {"cli", "commands"},
    "matplotlib": {"plots"},
    "pyarrow": {"export", "io"},
    "ray": {"distributed"},
    "skimage": {"appearance"},
    "torch": {"training"},
    "ultralytics": {"training", "verify"},
}
PURE = STAIR[: STAIR.index("pipeline")]  # arrays in, new arrays out
NOT_FOR_PURE_ROOMS = {"datetime", "os", "pathlib", "random", "subprocess", "sys", "time", "open", "print"}
NOT_FOR_OPERATORS = {"numpy", "pymongo", "torch"}
LINES = 400


def imports(source: str) -> Iterator[tuple[str, str | None]]:
    """Every import of a file of the engine: (top-level package, None), or ("", room of the engine)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (_absolute(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [alias.name for alias in node.names] if node.module == "hnm_core" else [""]
            yield from (_absolute(f"{node.module}.{name}") for name in names)
        elif isinstance(node, ast.ImportFrom):
            rooms = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (("", room.partition(".")[0]) for room in rooms)


def _absolute(name: str) -> tuple[str, str | None]:
    package, _, rest = name.partition(".")
    return ("", rest.partition(".")[0]) if package == "hnm_core" else (package, None)


def offences(source: str, path: Path) -> list[str]:
    """What a file of the engine, at ``path`` below ``hnm_core``, does against the law."""
    rooms = set(path.with_suffix("").parts)
    here = path.with_suffix("").parts[0]
    found = []
    for package, room in imports(source):
        if package in APP:
            found.append(f"{path} imports the App: {package}")
        if package in BEHIND_A_DOOR and not BEHIND_A_DOOR[package] & rooms:
            found.append(f"{path} imports {package}, which wakes only behind {sorted(BEHIND_A_DOOR[package])}")
        if here in STAIR and room in DOORS:
            found.append(f"{path} looks out through the door {room}")
        if here in STAIR and room in STAIR and STAIR.index(room) > STAIR.index(here):
            found.append(f"{path} climbs down to {room}")
    return found


def calls(source: str) -> set[str]:
    """Plain names that a file calls, like ``open``."""
    nodes = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def below(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*.py"))


@pytest.mark.parametrize("path", below(CORE), ids=str)
def test_the_stair_of_the_engine_goes_one_way(path: Path) -> None:
    assert offences((CORE / path).read_text(), path) == []


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("import fiftyone.core", "pipeline.py"),  # the App
        ("from fiftyone_plugin.bridge import read_tables", "io/coco.py"),  # the App, from a door
        ("import torch", "weights.py"),  # torch outside its door
        ("def f():\n    import matplotlib.pyplot", "report.py"),  # inside a function, too
        ("from .report import MiningReport", "matching.py"),  # a later room
        ("from . import report", "matching.py"),  # the same, other words
        ("from hnm_core import report", "matching.py"),
        ("import hnm_core.report", "matching.py"),
        ("from .miner import HardNegativeMiner", "pipeline.py"),  # out through a door
    ],
)
def test_the_law_finds_an_offender(source: str, file: str) -> None:
    assert offences(source, Path(file))


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("import numpy as np\nfrom .boxes import iou", "matching.py"),
        ("import torch\nfrom .pipeline import mine", "training.py"),
        ("import pyarrow.parquet", "io/parquet.py"),
        ("from hnm_core.columns import Detections", "io/coco.py"),
    ],
)
def test_the_law_lets_the_innocent_go(source: str, file: str) -> None:
    assert offences(source, Path(file)) == []


def test_every_file_of_the_engine_has_a_place() -> None:
    places = {path.with_suffix("").parts[0] for path in below(CORE)} - {"__init__", "__main__"}
    assert places <= {*STAIR, *DOORS}, f"on no stair and no door: {sorted(places - {*STAIR, *DOORS})}"


@pytest.mark.parametrize("path", [path for path in below(CORE) if path.stem in PURE], ids=str)
def test_a_pure_room_touches_no_file_no_clock_no_screen(path: Path) -> None:
    source = (CORE / path).read_text()
    assert NOT_FOR_PURE_ROOMS & ({package for package, _ in imports(source)} | calls(source)) == set()


@pytest.mark.parametrize("path", below(PLUGIN / "operators"), ids=str)
def test_operators_hold_no_arithmetic_and_no_loop_over_samples(path: Path) -> None:
    source = (PLUGIN / "operators" / path).read_text()
    assert NOT_FOR_OPERATORS & {package for package, _ in imports(source)} == set()
    assert "iter_samples" not in source


@pytest.mark.parametrize(
    "path", [path for path in below(ROOT) if path.parts[0] in {"hnm_core", "fiftyone_plugin"}], ids=str
)
def test_a_file_is_one_room(path: Path) -> None:
    lines = (ROOT / path).read_text().count("\n")
    assert lines < LINES, f"{path} has {lines} lines: is it one room?"
