"""The engine and its commands open no socket: whatever is mined, reported or exported stays on the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.detector_files import write_yolo_files

pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
pytest.importorskip("PIL", reason="Pillow writes the images")

ROOT = Path(__file__).parents[3]
WATCHED = """
import json, socket, sys
opened = []
def watch(event, arguments):
    if event == "socket.getaddrinfo" or (event == "socket.__new__" and arguments[1] != socket.AF_UNIX):
        opened.append(f"{event} {arguments}")
        raise OSError("there is no network here")
sys.addaudithook(watch)
from hnm_core.cli import main
codes = [main(argv) for argv in json.loads(sys.argv[1])]
if sys.argv[2:]:
    try:
        socket.create_connection(("127.0.0.1", 9))
    except OSError:
        pass
print(json.dumps([codes, opened]), file=sys.stderr)
"""
"""Python's own audit hook sees every socket, also those of compiled libraries that use the module."""


def watched(folder: Path, calls: list[list[str]], *more: str) -> tuple[list[int], list[str]]:
    """Run commands in a fresh Python; return their exit codes and every socket that one asked for."""
    environ = {name: value for name, value in os.environ.items() if name != "YOLO_OFFLINE"}
    environ["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-c", WATCHED, json.dumps(calls), *more]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    codes, opened = json.loads(done.stderr.splitlines()[-1])
    return codes, opened


@pytest.mark.slow
def test_no_command_on_files_opens_a_socket(tmp_path: Path) -> None:
    data, predictions, _ = write_yolo_files(tmp_path / "data")
    given = ["--data", str(data), "--predictions", str(predictions)]
    calls = [
        ["mine", *given, "--output", "first", "--save-samples"],
        ["mine", *given, "--output", "second", "--strategy", "iou_based"],
        ["report", "first"],
        ["report", "first", "--format", "html"],
        ["compare", "first", "second"],
        ["export", "first", "--output", "subset"],
        ["verify-export", "subset", "--trainer", "ultralytics"],
    ]  # where Ultralytics is installed, the export is read back with its own loader
    codes, opened = watched(tmp_path, calls)
    assert codes == [0] * len(calls)
    assert opened == []


def test_a_socket_would_be_seen(tmp_path: Path) -> None:
    _, opened = watched(tmp_path, [], "open one")
    assert opened
