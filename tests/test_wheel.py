"""What is in the wheel, and that FiftyOne takes the installed package for the plugin."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCES = ("fiftyone_plugin", "hnm_core", "assets", "skills")
FILES = ("fiftyone.yml", "LICENSE", "MANIFEST.in", "pyproject.toml", "README.md", "requirements.txt", "setup.py")
MANIFEST = yaml.safe_load((ROOT / "fiftyone.yml").read_text(encoding="utf-8"))

LOAD = """
import json, sys
sys.path += json.loads(sys.argv[1])
import fiftyone.plugins as fop, fiftyone.plugins.context as fopc
(context,) = [c for c in fopc.build_plugin_contexts() if c.name == "@hnm/hard-negative-mining"]
import fiftyone_plugin
print(json.dumps({
    "errors": context.errors, "names": [operator.name for operator in context.instances],
    "icons": [operator.config.to_json().get("icon") for operator in context.instances],
    "skills": [skill.name for skill in fop.list_skills(plugin=context.name)], "file": fiftyone_plugin.__file__,
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: what an earlier build left in ``build/`` would get into it."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / "from" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / "from")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", folder, folder / "from"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (built,) = folder.glob("*.whl")
    return built


def test_everything_is_in_the_wheel_once_and_nothing_else(wheel: Path) -> None:
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert len(names) == len(set(names))
    ours = {
        path.relative_to(ROOT).as_posix()
        for name in ("hnm_core", "fiftyone_plugin")
        for path in (ROOT / name).rglob("*")
    }
    code = {name for name in ours if name.endswith((".py", "py.typed", ".pt", ".yaml", ".svg"))}
    plugin = {f"fiftyone_plugin/{name}" for name in ("fiftyone.yml", "requirements.txt")}
    for folder in ("assets", "skills"):
        found = (path for path in (ROOT / folder).rglob("*") if path.is_file())
        plugin |= {f"fiftyone_plugin/{path.relative_to(ROOT).as_posix()}" for path in found}
    assert set(names) == code | plugin
    assert {"hnm_core/py.typed", "fiftyone_plugin/py.typed"} <= set(names)
    assert len([name for name in names if name.endswith(".pt")]) == 1
    assert wheel.stat().st_size < 2_500_000


def test_the_manifest_in_the_wheel_is_ours_but_for_the_entry(wheel: Path) -> None:
    with zipfile.ZipFile(wheel).open("fiftyone_plugin/fiftyone.yml") as file:
        manifest = yaml.safe_load(file)
    assert manifest == {**MANIFEST, "py_entry": "__init__.py"}


def test_fiftyone_loads_the_installed_package_as_the_plugin(wheel: Path, tmp_path: Path) -> None:
    pytest.importorskip("fiftyone", reason="FiftyOne loads the plugin")
    packages, plugins = tmp_path / "site-packages", tmp_path / "plugins"
    zipfile.ZipFile(wheel).extractall(packages)
    plugins.mkdir()
    (plugins / "hard-negative-mining").symlink_to(packages / "fiftyone_plugin")
    libraries = sorted({sysconfig.get_paths()[name] for name in ("purelib", "platlib")})
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOAD, json.dumps(libraries)],  # without site: no editable install is found
        cwd=tmp_path,
        env={**os.environ, "FIFTYONE_PLUGINS_DIR": str(plugins)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["errors"] == []
    assert set(told["names"]) == {*MANIFEST["operators"], *MANIFEST["panels"]}
    assert Path(told["file"]).is_relative_to(packages)
    assert told["skills"] == MANIFEST["skills"]
    drawn = [icon for icon in told["icons"] if icon and icon.startswith("/")]
    assert len(drawn) >= len(MANIFEST["operators"])
    assert [icon for icon in drawn if not (packages / "fiftyone_plugin" / icon.lstrip("/")).is_file()] == []
