"""The demo's command, beside what `tests/docs/test_readme.py` sees of it when it runs it whole."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fiftyone_plugin.demo import command

ROOT = Path(__file__).parents[2]


def run_demo(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FIFTYONE_")}
    return subprocess.run(
        [sys.executable, "-m", "hnm_core.cli", "demo", "--headless", "--json", "--folder", str(folder), *more],
        **{"env": environment, "cwd": ROOT, "capture_output": True, "text": True, "timeout": 300},
    )


def last_json(text: str) -> dict:
    return json.loads([line for line in text.splitlines() if line.startswith("{")][-1])


@pytest.mark.slow
def test_the_demo_tells_what_it_did_as_json_and_is_quicker_the_second_time(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics", reason="the bundled detector needs it")
    first, second = (run_demo(tmp_path / "demo", "--images", "40") for _ in range(2))
    for done in (first, second):
        assert done.returncode == 0, done.stderr
    assert "Predicting" in first.stderr
    assert "made before" in second.stderr
    one, two = last_json(first.stdout), last_json(second.stdout)
    assert one["report"]["report"] == two["report"]["report"]
    assert one["answered"]
    assert Path(one["export"]["data"]).is_file()
    (train,) = [line.split() for line in first.stderr.splitlines() if "yolo detect train" in line]
    assert train == ["yolo", "detect", "train", f"data={one['export']['data']}", "model=..."]


@pytest.mark.slow
def test_what_is_no_export_of_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo" / "export").mkdir(parents=True)
    (tmp_path / "demo" / "export" / "thesis.txt").write_text("years of work")
    done = run_demo(tmp_path / "demo", "--images", "20")
    assert done.returncode == 2
    assert "exists and is not empty" in done.stderr
    assert (tmp_path / "demo" / "export" / "thesis.txt").read_text() == "years of work"


@pytest.mark.slow
def test_a_terminated_demo_leaves_no_database_behind(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics", reason="the bundled detector needs it")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FIFTYONE_")} | {"TMPDIR": str(tmp_path)}
    demo = [sys.executable, "-m", "hnm_core.cli", "demo", "--images", "20", "--folder", str(tmp_path / "demo")]
    running = subprocess.Popen(
        demo, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert running.stdout
    for line in running.stdout:  # by its first word the database runs
        if "Making" in line:
            break
    assert list(tmp_path.glob("hnm_demo_*"))
    running.send_signal(signal.SIGTERM)
    rest, _ = running.communicate(timeout=300)
    assert running.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in rest
    assert list(tmp_path.glob("hnm_demo_*")) == []


def test_a_server_that_is_slow_to_start_is_waited_for_and_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from fiftyone.core.service import ServerService

    class Slow(ServerService):
        """A server without a process, so without a port."""

        def __init__(self) -> None:
            self.child = os.getpid()

        def __del__(self) -> None:
            """There is nothing to stop."""

    monkeypatch.setattr("fiftyone.service.util.normalize_wrapper_process", lambda child: Childless())
    monkeypatch.setattr(command, "APP_TIMEOUT", 0.6)
    said: list[str] = []
    begun = time.monotonic()
    assert command.launched(lambda port: Slow()._wait_for_child_port(port=port), 5151, said.append) is None
    assert 0.4 < time.monotonic() - begun < 30, "FiftyOne's own minute is not in force"
    assert said == ["App:    its server did not start within 1 s: this machine is busy, try again later"]
    assert command.launched(lambda port: port >= 5151, 5151, said.append)


class Childless:
    def children(self, recursive: bool) -> list[object]:
        return []


def test_a_taken_port_is_stepped_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert command.free_port(port) > port


def test_an_app_that_answers_late_and_one_that_never_does() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    port = command.free_port(5400)
    assert not command.answers(f"http://127.0.0.1:{port}/", timeout=0.6)
    server = HTTPServer(("127.0.0.1", port), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        assert command.answers(f"http://127.0.0.1:{port}/", timeout=30)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_quickstart_comes_from_the_zoo_and_is_taken_as_training_images(tmp_path: Path, monkeypatch) -> None:
    """A tiny set where the zoo would have put the download: the loading code is the real one."""
    import fiftyone as fo
    import numpy as np
    from PIL import Image

    from fiftyone_plugin.demo.dataset import load_quickstart

    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    box = fo.Detection(label="cat", bounding_box=[0.1, 0.1, 0.2, 0.2], confidence=0.9)
    made = fo.Dataset()
    made.add_sample(
        fo.Sample(str(tmp_path / "a.png"), tags=["validation"], predictions=fo.Detections(detections=[box]))
    )
    zoo = tmp_path / "zoo"
    made.export(str(zoo / "quickstart"), dataset_type=fo.types.FiftyOneDataset, progress=False)
    from fiftyone.zoo.datasets import ZooDatasetInfo
    from fiftyone.zoo.datasets.base import QuickstartDataset

    info = ZooDatasetInfo(QuickstartDataset(), fo.types.FiftyOneDataset, 1)
    info.write_json(str(zoo / "quickstart" / "info.json"))
    monkeypatch.setattr(fo.config, "dataset_zoo_dir", str(zoo))
    loaded = load_quickstart("hnm-quickstart")
    assert loaded.count() == 1
    assert loaded.first().tags == []
    assert loaded.first().predictions.detections[0].label == "cat"
