"""A disk that fills up while a command writes: one sentence, and nothing that looks finished.

The limit of a process on the size of its files stands for the disk: the same calls fail at the same places.
"""

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
pytest.importorskip("resource", reason="limits are those of Unix")

ROOT = Path(__file__).parents[3]
LIMITED = """
import json, resource, sys
from pathlib import Path
from hnm_core.cli import main
codes = []
for limit in json.loads(sys.argv[1]):
    for name, argv in json.loads(sys.argv[2]).items():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        output = f"{name}_{limit}"
        codes.append([name, limit, main([*argv, "--output", output]), Path(output).exists()])
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps(codes), file=sys.stderr)
"""
LIMITS = [0, 100, 1_000, 3_000, 10_000, 40_000, 10_000_000]


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    data, predictions, _ = write_yolo_files(tmp_path / "data")
    given = ["--data", str(data), "--predictions", str(predictions)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "YOLO_OFFLINE": "true"}

    def run(limits: list[int], calls: dict[str, list[str]]) -> list[tuple[str, int, int, bool]]:
        command = [sys.executable, "-c", LIMITED, json.dumps(limits), json.dumps(calls)]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=1200)
        assert "Traceback" not in done.stderr, done.stderr
        return [tuple(found) for found in json.loads(done.stderr.splitlines()[-1])]

    assert run([10_000_000], {"first": ["mine", *given]})[0][2:] == (0, True)
    calls = {"mined": ["mine", *given], "export": ["export", "first_10000000", "--layout", "coco"]}
    found = run(LIMITS, calls)
    assert {code for _, _, code, _ in found} == {0, 2}
    assert all(exists == (code == 0) for _, _, code, exists in found), found
    assert [code for _, limit, code, _ in found if limit in (LIMITS[0], LIMITS[-1])] == [2, 2, 0, 0]
    assert not list(tmp_path.glob(".*"))
    samples = run(LIMITS, {"kept": ["mine", *given, "--save-samples"]})
    assert samples[0][2] == 2
    assert samples[-1][2] == 0
    assert not list(tmp_path.rglob(".*"))
    for _, limit, code, exists in samples:
        listed = (tmp_path / f"kept_{limit}" / "samples").glob("*.json") if exists else ()
        assert all(json.loads(path.read_text()) for path in listed)  # what is there is whole
        assert exists or code == 2
