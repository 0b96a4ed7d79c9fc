"""The files around the code agree with each other and with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import hnm_core

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
MANIFEST = yaml.safe_load((ROOT / "fiftyone.yml").read_text())
NAME = PROJECT["name"]
OF_THE_PRODUCT = ("app", "yolo", "io", "plots", "appearance", "demo")
OF_TRAINERS = ("rfdetr", "dfine", "transformers", "lightly", "libreyolo", "lightning", "accelerate")
"""Loaders of others, too heavy for every checkout; tests that need one skip without it."""
TARGETS_OF_CI = ("check", "docs", "test-engine", "coverage", "test-oldest", "test", "test-slow")


def test_there_is_one_version() -> None:
    assert str(MANIFEST["version"]) == hnm_core.__version__ == version(NAME)


def test_the_manifest_and_the_package_ask_for_the_same_fiftyone() -> None:
    assert EXTRAS["app"] == [f"fiftyone{MANIFEST['fiftyone']['version']}"]


def test_the_manifest_points_at_what_is_there() -> None:
    assert MANIFEST["name"] == "@hnm/hard-negative-mining"
    assert MANIFEST["license"] == PROJECT["license"] == "Apache-2.0"
    assert (ROOT / MANIFEST["py_entry"]).is_file()


def test_the_plugins_requirements_are_those_of_the_package() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = {line for line in lines if line and not line.startswith("#")}
    assert wanted == {*PROJECT["dependencies"], *EXTRAS["io"]}


def test_the_engine_depends_on_numpy_alone() -> None:
    assert [re.match(r"[\w-]+", wish)[0] for wish in PROJECT["dependencies"]] == ["numpy"]


def test_every_lower_bound_is_one_that_can_be_tested() -> None:
    """``make test-oldest`` installs the lowest release allowed: without a bound that is the first there ever was."""
    of_the_product = [*PROJECT["dependencies"], *(wish for name in OF_THE_PRODUCT for wish in EXTRAS[name])]
    loose = [wish for wish in of_the_product if not re.search(r"\[|>=", wish)]
    assert loose == []


def test_development_has_everything() -> None:
    (everything,) = (wish for wish in EXTRAS["dev"] if wish.startswith(NAME))
    (demo,) = (wish for wish in EXTRAS["demo"] if wish.startswith(NAME))
    named = set(re.findall(r"\w+", everything.partition("[")[2] + demo.partition("[")[2]))
    assert named.isdisjoint(OF_TRAINERS)
    assert named | {"dev", *OF_TRAINERS} == set(EXTRAS)


@pytest.mark.parametrize("value", PROJECT["entry-points"]["hnm.commands"].values())
def test_a_command_lies_where_its_entry_point_says(value: str) -> None:
    module, _, attribute = value.partition(":")
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    assert re.search(rf"^{attribute}\b.* = ", source, re.MULTILINE)


def test_the_hooks_are_local() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    for hook in repositories[0]["hooks"]:
        program = Path(hook["entry"].split()[0])
        assert shutil.which(program.name, path=Path(sys.executable).parent), f"{program} comes with no package of dev"


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=clean | environment, capture_output=True, text=True, check=False
    )


def test_make_alone_lists_its_targets() -> None:
    listed = make(ROOT).stdout
    for target in (*TARGETS_OF_CI, "install", "demo", "docs-reference", "bench"):
        assert f"make {target} " in listed


def test_ci_runs_every_check() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line.removeprefix("make ") for line in lines if line.startswith("make ")] == list(TARGETS_OF_CI)


def test_what_make_runs_keeps_its_bytecode() -> None:
    given = {"PYTHONDONTWRITEBYTECODE": "1", "KEPT": "1"}
    environment = make(ROOT, "--eval=show: ; @env", "show", **given).stdout.splitlines()
    assert "KEPT=1" in environment
    assert "PYTHONDONTWRITEBYTECODE=1" not in environment


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """What ``make install`` looks at, where nothing is installed yet."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_a_python_without_venv_is_told_what_to_install(fresh: Path) -> None:
    (fresh / "ensurepip.py").write_text("raise ImportError('Debian keeps it apart')")
    done = make(fresh, "install", f"PYTHON={sys.executable}", PYTHONPATH=str(fresh))
    assert done.returncode == 2
    assert "cannot make a virtual environment: install its venv package (Debian, Ubuntu: apt install python3-venv)" in (
        done.stdout
    )
    assert not (fresh / ".venv").exists()


def test_a_python_that_is_too_old_is_named(fresh: Path) -> None:
    old = fresh / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.18" || exit 1\n')
    old.chmod(0o755)
    done = make(fresh, "install", f"PYTHON={old}")
    assert done.returncode == 2
    assert f"Python 3.10 or newer is needed, {old} is Python 3.9.18: make install PYTHON=python3.11" in done.stdout


def test_an_installation_that_is_up_to_date_is_left_alone(fresh: Path) -> None:
    (fresh / ".venv").mkdir()
    (fresh / ".venv" / ".installed").touch()
    assert make(fresh, "--question", "install").returncode == 0
    os.utime(fresh / "pyproject.toml", (4e9, 4e9))
    assert make(fresh, "--question", "install").returncode == 1


def test_fiftyone_finds_the_plugins_requirements_met() -> None:
    import fiftyone.plugins as fop

    assert fop.load_plugin_requirements(MANIFEST["name"]) == [*PROJECT["dependencies"], *EXTRAS["io"]]
    fop.ensure_plugin_compatibility(MANIFEST["name"], error_level=0)
    fop.ensure_plugin_requirements(MANIFEST["name"], error_level=0)
