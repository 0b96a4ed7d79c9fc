"""The rules of the house: what each room may import, how large it may grow, and who talks to the database."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE, PLUGIN = ROOT / "hnm_core", ROOT / "fiftyone_plugin"
STAIRS = {
    "hnm_core": """
        boxes columns settings matching taxonomy strategies thresholds report weighting labels selection counting result
        pipeline engines rounds reporting io evidence samples live miner realtime verify export training commands
        cli
    """.split(),
    "fiftyone_plugin": "settings store runs review actions app forms operators panel setup demo".split(),
}
"""The rooms of each package from the ground up: a room imports from itself and from rooms before it."""

MOST_ENTRIES = {"hnm_core": 28, "fiftyone_plugin": 12}
APP = {"fiftyone", "fiftyone_plugin", "eta"}
BEHIND_A_DOOR = {
    "argparse": {"cli", "commands"},
    "cv2": {"sources"},
    "matplotlib": {"figures"},
    "msgspec": {"io"},
    "PIL": {"evidence", "export", "io", "samples", "verify"},
    "pyarrow": {"arrow_folder", "export", "io"},
    "ray": {"ray_start"},
    "sklearn": {"crop_classifier", "fitting"},
    "torch": {"training"},
    "ultralytics": {"tracking", "training", "verify"},
}
"""Packages that only some rooms of the engine import, so that the engine runs on numpy alone."""

PURE = STAIRS["hnm_core"][: STAIRS["hnm_core"].index("pipeline")]  # arrays in, new arrays out
NOT_FOR_PURE_ROOMS = {"datetime", "os", "pathlib", "random", "subprocess", "sys", "time", "open", "print"}
NOT_FOR_OPERATORS = {"numpy", "pymongo", "torch"}
DATABASE = {"pymongo", "bson", "mongoengine", "gridfs"}
PRIVATE_MODULES = {"fiftyone.core.odm", "fiftyone.core.sample", "fiftyone.factory"}
MAY_ASK_THE_DATABASE = {"store", "setup"}
LINES = 300
WRITES = set(
    """
    bulk_write update_many update_one replace_one insert_one insert_many delete_one delete_many find_one_and_update
    find_one_and_delete find_one_and_replace create_index drop_index set_values set_field clone_sample_field
    clone_sample_fields add_sample_field add_dynamic_sample_fields rename_sample_field rename_sample_fields
    clear_sample_field clear_sample_fields delete_sample_field delete_sample_fields remove_dynamic_sample_field
    remove_dynamic_sample_fields register_run save_run_results update_run_config delete_run rename_run tag_samples
    tag_labels untag_samples untag_labels merge_field_schema run_update
    """.split()
)
"""Calls that change what is stored of samples, schema and runs."""

MAY_WRITE = {
    *("store/access.py", "store/blocks.py", "store/journal.py", "store/lock.py", "store/saved_views.py"),
    *("store/schema.py", "store/tags.py", "store/writeback.py", "runs/lifecycle.py", "runs/results.py"),
    "demo/dataset.py",
}
"""Files of the write protocol: they ask the lease before they write. The demo writes into datasets that it makes."""

OUTSIDE_THE_MIRROR = {Path("faults")}
"""Folders of tests about many rooms."""


def imports(source: str, module: str) -> Iterator[str]:
    """Every module that a file imports, as an absolute name; ``from x import y`` gives ``x`` or ``x.y``."""
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{name}.{alias.name}" for alias in node.names)


def name_of(path: Path) -> str:
    """The dotted name of a file, ``__init__`` included: relative imports count from there."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def room_of(module: str) -> tuple[str, str]:
    """The package of a module and its room."""
    package, _, rest = module.partition(".")
    return package, rest.partition(".")[0]


def offences(source: str, path: Path) -> list[str]:
    """What a file, at ``path`` below the checkout, does against the rules."""
    module = ".".join(path.with_suffix("").parts)
    package, here = room_of(module)
    stair, found = STAIRS[package], []
    for name in imports(source, module):
        top, room = room_of(name)
        if package == "hnm_core" and top in APP:
            found.append(f"{path} imports the App: {name}")
        if package == "hnm_core" and top in BEHIND_A_DOOR and not BEHIND_A_DOOR[top] & set(module.split(".")):
            found.append(f"{path} imports {top}, which only {sorted(BEHIND_A_DOOR[top])} may")
        private = top in DATABASE or any(name.startswith(private) for private in PRIVATE_MODULES)
        if package == "fiftyone_plugin" and private and here not in MAY_ASK_THE_DATABASE:
            found.append(f"{path} imports {name}: ask fiftyone_plugin.store.access")
        if top == package and here in stair and room in stair and stair.index(room) > stair.index(here):
            found.append(f"{path} imports from the later room {room}")
    return found


def private_attributes(source: str) -> list[str]:
    """Underscored attributes of anything but ``self`` and ``cls``, which are FiftyOne's or another class's own."""
    return [
        f"{ast.unparse(node)} in line {node.lineno}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        if not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
    ]


def writing(source: str, file: str) -> list[str]:
    """Return the calls of a file that change the database without being part of the write protocol."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    found = [(node.func, node.lineno) for node in nodes if isinstance(node.func, ast.Attribute)]
    return [
        f"{file} calls {ast.unparse(name)} in line {line}: write through fiftyone_plugin.store"
        for name, line in found
        if name.attr in WRITES and file not in MAY_WRITE and ast.unparse(name.value) not in ("tags", "super()")
    ]


def calls(source: str) -> set[str]:
    """Plain names that a file calls, like ``open``."""
    nodes = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def below(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*.py"))


FILES = [Path(name) / path for name in STAIRS for path in below(ROOT / name)]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_one_way_and_through_the_doors(path: Path) -> None:
    assert offences((ROOT / path).read_text(), path) == []


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("import fiftyone.core", "hnm_core/pipeline.py"),  # the App
        ("from fiftyone_plugin.store.box_tables import read_tables", "hnm_core/io/coco.py"),  # the App, from a door
        ("import torch", "hnm_core/weighting/weights.py"),  # torch outside its door
        ("def f():\n    import matplotlib.pyplot", "hnm_core/report.py"),  # inside a function, too
        ("from .report import MiningReport", "hnm_core/columns.py"),  # a later room
        ("from . import report", "hnm_core/columns.py"),  # the same, other words
        ("from hnm_core import report", "hnm_core/columns.py"),
        ("import hnm_core.report", "hnm_core/columns.py"),
        ("from ..report import MiningReport", "hnm_core/matching/greedy.py"),  # from within a folder
        ("from ..export import export_weighted", "hnm_core/io/coco.py"),  # doors have an order too
        ("from ..operators import OPERATORS", "fiftyone_plugin/runs/records.py"),
        ("from pymongo import UpdateOne", "fiftyone_plugin/runs/records.py"),  # around the gateway
        ("import fiftyone.core.odm as odm", "fiftyone_plugin/review/ledger.py"),
    ],
)
def test_the_rules_find_an_offender(source: str, file: str) -> None:
    assert offences(source, Path(file))


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("import numpy as np\nfrom ..boxes import iou", "hnm_core/matching/greedy.py"),
        ("import torch\nfrom ..pipeline import mine", "hnm_core/training/trainer.py"),
        ("import pyarrow.parquet", "hnm_core/io/parquet.py"),
        ("from hnm_core.columns import Detections", "hnm_core/io/coco.py"),
        ("import fiftyone as fo\nfrom ..store import access", "fiftyone_plugin/runs/records.py"),
    ],
)
def test_the_rules_let_the_innocent_go(source: str, file: str) -> None:
    assert offences(source, Path(file)) == []


@pytest.mark.parametrize("package", STAIRS)
def test_every_entry_of_a_package_is_a_room_on_its_stair(package: str) -> None:
    entries = {path.stem for path in (ROOT / package).iterdir() if path.suffix in ("", ".py")}
    assert entries - {"__init__", "__pycache__"} == set(STAIRS[package])
    assert len(STAIRS[package]) <= MOST_ENTRIES[package]


@pytest.mark.parametrize("package", STAIRS)
def test_no_two_files_import_each_other_in_a_circle(package: str) -> None:
    known = {name_of(ROOT / path): path for path in FILES if path.parts[0] == package and path.stem != "__init__"}
    graph = {}
    for module, path in known.items():
        found = set(imports((ROOT / path).read_text(), module))
        graph[module] = {m for m in known if m != module and (m in found or any(f.startswith(f"{m}.") for f in found))}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] == "fiftyone_plugin"], ids=str)
def test_private_attributes_are_asked_for_in_the_store_alone(path: Path) -> None:
    if path.parts[1] != "store":
        assert private_attributes((ROOT / path).read_text()) == []


@pytest.mark.parametrize("path", below(PLUGIN), ids=str)
def test_only_the_write_protocol_writes(path: Path) -> None:
    assert writing((PLUGIN / path).read_text(), path.as_posix()) == []


@pytest.mark.parametrize(
    "line",
    [
        "access.collection(dataset).update_many({}, {})",
        "dataset.set_values('field', values)",
        "records.MiningRun.update_run_config(dataset, key, config)",
        "view.tag_samples('mine')",
    ],
)
def test_writing_past_the_protocol_is_found(line: str) -> None:
    assert writing(line, "review/reweigh.py")
    assert not writing(line, "store/blocks.py")


@pytest.mark.parametrize("path", [path for path in FILES if path.stem == "__init__"], ids=str)
def test_a_folder_says_what_lives_there(path: Path) -> None:
    text = ast.get_docstring(ast.parse((ROOT / path).read_text())) or ""
    assert text.splitlines()[:1], f"{path} has no docstring"
    assert text.splitlines()[0].endswith("."), f"the first line of {path} is no sentence"


@pytest.mark.parametrize("path", [path for path in below(CORE) if path.parts[0].removesuffix(".py") in PURE], ids=str)
def test_a_pure_room_touches_no_file_no_clock_no_screen(path: Path) -> None:
    source = (CORE / path).read_text()
    packages = {name.partition(".")[0] for name in imports(source, name_of(CORE / path))}
    assert NOT_FOR_PURE_ROOMS & (packages | calls(source)) == set()


@pytest.mark.parametrize("path", below(PLUGIN / "operators"), ids=str)
def test_operators_hold_no_arithmetic_and_no_loop_over_samples(path: Path) -> None:
    source = (PLUGIN / "operators" / path).read_text()
    packages = {name.partition(".")[0] for name in imports(source, name_of(PLUGIN / "operators" / path))}
    assert NOT_FOR_OPERATORS & packages == set()
    assert "iter_samples" not in source


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_is_one_room(path: Path) -> None:
    lines = (ROOT / path).read_text().count("\n")
    assert lines <= LINES, f"{path} has {lines} lines: is it one room?"


def test_the_picture_for_contributors_names_every_room_and_no_other() -> None:
    picture = (ROOT / "CONTRIBUTING.md").read_text().split("```text\n")[1].split("```")[0]
    for package, box in zip(STAIRS, reversed(picture.split("hnm_core  ")), strict=True):
        assert set(STAIRS[package]) <= set(re.findall(r"\w+", box)), f"rooms of {package} are missing"
        folders = set(re.findall(r"(\w+)/", box))
        assert folders == {room for room in STAIRS[package] if (ROOT / package / room).is_dir()}


@pytest.mark.parametrize(("tests", "package"), [("core", CORE), ("plugin", PLUGIN)])
def test_tests_mirror_the_rooms(tests: str, package: Path) -> None:
    folders = {path.relative_to(ROOT / "tests" / tests).parent for path in (ROOT / "tests" / tests).rglob("test_*.py")}
    homeless = {folder for folder in folders if not (package / folder).is_dir()}
    assert homeless - OUTSIDE_THE_MIRROR == set()
