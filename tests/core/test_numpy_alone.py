"""The engine on numpy alone, wherever these tests run: every other library is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

NEEDS = {
    "PIL": {"drawing", "close_ups"},
    "matplotlib": {"figures"},
    "msgspec": {"json_structs"},
    "torch": {"training"},
}
"""Libraries that a module may need to be imported at all, and the modules or folders that may."""

IMPORT_ALL = """
import importlib, json, pkgutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names | {"numpy", "hnm_core"} and not top.startswith("_"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
import hnm_core

lacking = {}
for module in pkgutil.walk_packages(hnm_core.__path__, "hnm_core."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        lacking[module.name] = error.name.partition(".")[0]
public = [getattr(hnm_core, name).__name__ for name in hnm_core.__all__]
from hnm_core.cli import build_parser
from hnm_core.io import *
print(json.dumps({"lacking": lacking, "public": len(public)}))
"""


def test_only_modules_behind_a_door_need_another_library() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["public"] >= 10
    wrong = {name: library for name, library in told["lacking"].items() if not _may(name, library)}
    assert wrong == {}, "the engine runs on numpy alone"


def _may(module: str, library: str) -> bool:
    return bool(NEEDS.get(library, set()) & set(module.split(".")))
