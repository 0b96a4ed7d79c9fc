"""``hnm doctor`` on machines made for the purpose: each is a folder of real (small) packages first on the path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fiftyone_plugin.setup import doctor, probe
from fiftyone_plugin.setup.database import find_mongod
from fiftyone_plugin.setup.doctor import OK, OPTIONAL, WRONG, CheckResult

ROOT = Path(__file__).parents[3]
SHOW = (
    "import json, sys; from dataclasses import asdict; from fiftyone_plugin.setup import doctor\n"
    "checks = [getattr(doctor, name) for name in sys.argv[1:]] or doctor.CHECKS\n"
    "print(json.dumps([asdict(finding) for check in checks for finding in check()]))"
)


def examine(
    *checks: str, path: Path = ROOT, options: tuple[str, ...] = (), **environment: str
) -> dict[str, CheckResult]:
    """What the doctor finds in a process of its own, by name; all its checks, or those named."""
    done = subprocess.run(
        [sys.executable, *options, "-c", SHOW, *checks],
        env=os.environ | {"PYTHONPATH": f"{path}{os.pathsep}{ROOT}"} | environment,
        capture_output=True,
        text=True,
        cwd=path,
    )
    assert done.returncode == 0, done.stderr
    return {result["name"]: CheckResult(**result) for result in json.loads(done.stdout.splitlines()[-1])}


def installed(site: Path, name: str, version: str) -> Path:
    """Let ``site`` say that a distribution is installed there."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return site


def opencv(site: Path, *, live: str, **versions: str) -> Path:
    """A ``cv2`` and the distributions that claim it."""
    for name, version in versions.items():
        installed(site, name.replace("_", "-"), version)
    (site / "cv2.py").write_text(live if live.startswith("raise") else f"__version__ = {live!r}")
    return site


@pytest.mark.slow
@pytest.mark.skipif(find_mongod() is None, reason="FiftyOne has no mongod here; the database is the user's")
def test_this_machine_is_well() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hnm_core.cli", "doctor", "--json"], capture_output=True, text=True, cwd=ROOT
    )
    results = {entry["name"]: CheckResult(**entry) for entry in json.loads(done.stdout)}
    assert {name: result for name, result in results.items() if result.state == WRONG} == {}
    assert done.returncode == 0
    needed = {"python", "numpy", "fiftyone", "cv2", "mongod", "database", "operators", "plugin", "writing"}
    assert {name for name, result in results.items() if result.state == OK} >= needed


def test_a_machine_with_numpy_alone(tmp_path: Path) -> None:
    for entry in Path(np.__file__).parents[1].glob("numpy*"):
        (tmp_path / entry.name).symlink_to(entry)
    results = examine(path=tmp_path, options=("-S",), FIFTYONE_DATABASE_URI="")
    assert results["numpy"].state == OK
    assert results["fiftyone"] == CheckResult(
        "fiftyone", WRONG, "not installed", "pip install 'fiftyone-hard-negative-mining[app]'"
    )
    assert results["mongod"].state == WRONG
    assert results["ultralytics"] == CheckResult(
        "ultralytics",
        OPTIONAL,
        "not installed",
        "not needed unless you predict with YOLO or train it: pip install 'fiftyone-hard-negative-mining[yolo]'",
    )
    assert {"database", "operators", "plugin", "cv2"}.isdisjoint(results)


def test_a_version_we_do_not_know(tmp_path: Path) -> None:
    result = examine("check_packages", path=installed(tmp_path, "fiftyone", "0.25.2"))["fiftyone"]
    assert result.state == WRONG
    assert result.found == "0.25.2, tested with <2,>=1.22.1"
    assert result.advice == "pip install 'fiftyone<2,>=1.22.1'"


@pytest.mark.parametrize(
    ("live", "versions", "state", "found"),
    [
        (
            "4.14.0",
            ("4.14.0.94", "4.14.0.94"),
            OK,
            "4.14.0 (opencv-python 4.14.0.94, opencv-python-headless 4.14.0.94)",
        ),
        (
            "4.14.0",
            ("4.14.0.94", "4.12.0.88"),
            WRONG,
            "4.14.0 is imported, but two versions share its folder: opencv-python",
        ),
        ("5.0.0", ("5.0.0.93", "5.0.0.93"), WRONG, "5.0.0, FiftyOne needs a release below 5; opencv-python 5.0.0.93"),
    ],
)
def test_the_opencv_trap(tmp_path: Path, live: str, versions: tuple[str, str], state: str, found: str) -> None:
    site = opencv(tmp_path, live=live, opencv_python=versions[0], opencv_python_headless=versions[1])
    result = examine("check_opencv", path=site)["cv2"]
    assert result.state == state
    assert result.found.startswith(found)
    if state == WRONG:
        assert result.advice.startswith("pip install --force-reinstall --no-deps 'opencv-python-headless<5'")


def test_an_opencv_without_its_libraries(tmp_path: Path) -> None:
    site = opencv(tmp_path, live="raise ImportError('libGL.so.1: cannot open shared object file')", opencv_python="4.9")
    result = examine("check_opencv", path=site)["cv2"]
    assert result.state == WRONG
    assert result.found.startswith("does not load (libGL.so.1: cannot open shared object file); opencv-python 4.9")
    assert "apt install libgl1" in result.advice


def test_a_mongod_that_does_not_start(tmp_path: Path) -> None:
    binaries = tmp_path / "fiftyone" / "db" / "bin"
    binaries.mkdir(parents=True)
    (tmp_path / "fiftyone" / "__init__.py").touch()
    (binaries / "mongod").write_text(
        "#!/bin/sh\necho 'error while loading shared libraries: libssl.so.3' >&2; exit 127"
    )
    (binaries / "mongod").chmod(0o755)
    result = examine("check_mongod", path=tmp_path, FIFTYONE_DATABASE_URI="")["mongod"]
    assert (result.state, result.found) == (WRONG, "does not start")
    assert "apt install libcurl4 libssl3" in result.advice


def test_no_mongod_at_all(tmp_path: Path) -> None:
    (tmp_path / "fiftyone").mkdir()
    (tmp_path / "fiftyone" / "__init__.py").touch()
    result = examine("check_mongod", path=tmp_path, FIFTYONE_DATABASE_URI="")["mongod"]
    assert (result.state, result.found) == (WRONG, "FiftyOne has none")
    assert result.advice == f"run {sys.executable} -m fiftyone_plugin.setup.database, or set FIFTYONE_DATABASE_URI"


def test_the_users_own_database_is_named_without_its_password() -> None:
    result = examine("check_mongod", FIFTYONE_DATABASE_URI="mongodb://me:secret@db:27017/")["mongod"]
    assert result == CheckResult("mongod", OK, "not used: FIFTYONE_DATABASE_URI is mongodb://db:27017/")


@pytest.mark.slow
def test_a_database_that_does_not_answer() -> None:
    nowhere = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200"
    result = examine("check_fiftyone", FIFTYONE_DATABASE_URI=nowhere)["database"]
    assert result.state == WRONG
    assert "Could not connect to `mongod`" in result.found
    assert result.advice == "check that the server of FIFTYONE_DATABASE_URI runs"


@pytest.mark.slow
@pytest.mark.skipif(find_mongod() is None, reason="FiftyOne has no mongod here; the database is the user's")
def test_operators_that_do_not_load(tmp_path: Path) -> None:
    for package in ("fiftyone_plugin", "hnm_core"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.pt"))
    shutil.copy(ROOT / "fiftyone.yml", tmp_path)
    (tmp_path / "fiftyone_plugin" / "operators" / "__init__.py").write_text("raise ImportError('no luck today')")
    results = examine("check_fiftyone", path=tmp_path, FIFTYONE_PLUGINS_DIR=str(tmp_path / "plugins"))
    assert results["database"].state == OK
    assert results["operators"].state == WRONG
    assert results["operators"].found == "do not load: ImportError: no luck today"
    assert results["plugin"].state == OPTIONAL
    assert f"ln -s {tmp_path} {tmp_path / 'plugins' / 'hard-negative-mining'}" in results["plugin"].advice


@pytest.mark.parametrize(
    ("probed", "state", "found"),
    [
        (probe.ProbeResult(name="p", declared=["a", "b"], registered=["a"]), WRONG, "not registered: b"),
        (probe.ProbeResult(name="p", declared=["a"], registered=["a"]), OK, "all 1 load"),
    ],
)
def test_the_result_of_loading_the_operators(probed: probe.ProbeResult, state: str, found: str) -> None:
    result = next(result for result in doctor.results_of(probed) if result.name == "operators")
    assert (result.state, result.found) == (state, found)


def test_a_plugin_without_its_manifest() -> None:
    results = {result.name: result for result in doctor.results_of(probe.ProbeResult(plugins_dir="/plugins"))}
    assert results["plugin"].state == OPTIONAL
    assert results["plugin"].found.startswith("not in /plugins, and no fiftyone.yml in ")


@pytest.mark.parametrize(("value", "state"), [("true", OK), ("", OPTIONAL), ("false", OPTIONAL)])
def test_scheduling(value: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS", value)
    assert [result.state for result in doctor.check_delegation()] == [state]


def test_chromium_is_optional(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (result,) = doctor.check_chromium()
    assert result.state == OPTIONAL
    assert result.advice == "not needed unless you run the browser tests: apt install chromium"


def test_a_folder_nobody_can_write_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIFTYONE_DATABASE_DIR", "/proc/hnm")  # not even root can
    (result,) = doctor.check_writing()
    assert result.state == WRONG
    assert result.found.startswith("/proc cannot be written to: ")
    assert result.advice == "make it writable, or set FIFTYONE_DATABASE_DIR to a folder that is"


def test_the_table_says_below_each_line_what_to_do() -> None:
    results = [CheckResult("python", OK, "3.12.1"), CheckResult("mongod", WRONG, "FiftyOne has none", "run this")]
    assert doctor.table(results, colour=False).splitlines() == [
        "ok        python  3.12.1",
        "wrong     mongod  FiftyOne has none",
        "                  → run this",
    ]
    assert "\033[31mwrong" in doctor.table(results, colour=True)
