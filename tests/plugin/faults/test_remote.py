"""Two workers on one MongoDB that neither of them started, as on two machines: each has its own FiftyOne, by TCP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from fiftyone_plugin.setup.database import find_mongod
from tests.plugin.faults.worker import ANSWER

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PATIENCE = 300
"""Seconds for what takes a few on an idle machine."""


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """FiftyOne's own ``mongod`` on a TCP port, started by nobody who works on it."""
    mongod = find_mongod()
    if mongod is None:
        pytest.skip("FiftyOne has no mongod here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir()
    options = {"dbpath": folder, "bind_ip": "127.0.0.1", "port": port, "logpath": folder / "log"}
    command = [str(mongod), "--nounixsocket", *(f"--{name}={value}" for name, value in options.items())]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    uri = f"mongodb://127.0.0.1:{port}"
    try:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with MongoClient(uri, serverSelectionTimeoutMS=500) as client:
                    client.admin.command("ping")
                break
            except PyMongoError:
                assert process.poll() is None
                assert time.monotonic() < until
        yield uri
    finally:
        process.terminate()
        process.wait()


def machine(folder: Path, uri: str) -> dict[str, str]:
    """The environment of a machine: nothing but the address of the database is shared."""
    (folder / "plugins").mkdir(parents=True)
    (folder / "plugins" / "hard-negative-mining").symlink_to(ROOT)
    own = {
        "FIFTYONE_CONFIG_PATH": folder / "fiftyone.json",
        "FIFTYONE_DATABASE_DIR": folder / "mongo",
        "FIFTYONE_DATABASE_NAME": "shared",
        "FIFTYONE_DATABASE_URI": uri,
        "FIFTYONE_DEFAULT_DATASET_DIR": folder / "datasets",
        "FIFTYONE_PLUGINS_DIR": folder / "plugins",
    }
    return {**os.environ, **{name: str(value) for name, value in own.items()}}


class Worker:
    """A process on such a machine that does what it is asked, one thing after the other."""

    def __init__(self, environ: dict[str, str]) -> None:
        command = [sys.executable, "-m", "tests.plugin.faults.worker"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=ROOT, env=environ, **pipes)

    def ask(self, *what: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(what)}\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(ANSWER):
                return dict(json.loads(line.removeprefix(ANSWER)))
        raise AssertionError("the worker has ended")

    def do(self, *what: Any) -> Any:
        self.ask(*what)
        came_to = self.answer()
        assert "done" in came_to, came_to
        return came_to["done"]

    def refused(self, *what: Any) -> str:
        self.ask(*what)
        return str(self.answer()["refused"])

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Worker, Worker, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("remote")
    with ExitStack() as stack:
        uri = stack.enter_context(server(folder / "server"))
        ana, ben = (Worker(machine(folder / name, uri)) for name in ("ana", "ben"))
        for worker in (ana, ben):
            stack.callback(worker.close)
        assert ana.do("database") == ben.do("database") == uri
        yield ana, ben, machine(folder / "cleo", uri)
        assert not [name for name in ("ana", "ben", "cleo") if (folder / name / "mongo").exists()]


def wait_for(file: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not file.exists():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_one_writes_the_other_is_refused_in_words(
    place: tuple[Worker, Worker, dict[str, str]], tmp_path: Path
) -> None:
    ana, ben, _ = place
    ana.do("make", "refused", 12)
    ana.do("mine", "refused", "run")
    before = ben.do("look", "refused")["digest"]

    ana.do("pause", "mine", str(tmp_path / "mining"))
    ana.ask("mine", "refused", "new")
    wait_for(tmp_path / "mining")
    for what in (["mine", "refused", "new"], ["delete", "refused", "new"], ["rename", "refused", "run", "new"]):
        assert "run 'new' is being written (mine_hard_negatives, by" in ben.refused(*what)
    ben.do("mine", "refused", "other")  # another run is nobody's business
    (tmp_path / "mining").unlink()
    assert "done" in ana.answer()

    first, second, *_ = ben.do("reviewable", "refused", "run")
    assert ben.do("triage", "refused", "run", first) == 1
    ana.do("pause", "apply", str(tmp_path / "applying"))
    ana.ask("apply", "refused", "run")
    wait_for(tmp_path / "applying")
    for what in (["mine", "refused", "run", True], ["delete", "refused", "run"], ["apply", "refused", "run"]):
        assert "run 'run' is being written (apply_reviews, by" in ben.refused(*what)
    assert ben.do("triage", "refused", "run", second) == 1  # a review is never refused
    (tmp_path / "applying").unlink()
    assert "done" in ana.answer()

    found = ben.do("look", "refused")
    assert found == ana.do("look", "refused")
    assert found["problems"] == {"run": "", "new": "", "other": ""}
    assert set(found["written"].values()) == {found["samples"]}
    for worker, key in ((ana, "other"), (ben, "new"), (ana, "run")):
        worker.do("delete", "refused", key)
    ana.do("mine", "refused", "run")
    left = ben.do("look", "refused")
    assert left["problems"] == {"run": ""}
    assert left["digest"] != before  # the reviews are still there


def test_a_race_leaves_nothing_half_written(place: tuple[Worker, Worker, dict[str, str]]) -> None:
    ana, ben, _ = place
    ana.do("make", "race", 12)
    before = ben.do("look", "race")
    words = ("is being written (", "already exists", "has no mining run", "was interrupted")
    done = 0
    for at in range(9):
        ana.do("mine", "race", "run", True)
        first = [["mine", "race", "run", True], ["apply", "race", "run"], ["delete", "race", "run"]][at % 3]
        second = [["mine", "race", "run", True], ["delete", "race", "run"], ["mine", "race", "own"]][at // 3]
        ana.ask(*first)
        ben.ask(*second)
        for came_to in (ana.answer(), ben.answer()):
            done += "done" in came_to
            assert "done" in came_to or any(part in came_to["refused"] for part in words), came_to
        found = ana.do("look", "race")
        assert found == ben.do("look", "race")
        assert not any(found["problems"].values()), (first, second, found)
        assert all(count == found["samples"] for count in found["written"].values()), (first, second, found)
        for key in found["problems"]:
            ben.do("delete", "race", key)
        assert ana.do("look", "race") == before
    assert done >= 9


def test_what_one_queues_another_machine_does(place: tuple[Worker, Worker, dict[str, str]], tmp_path: Path) -> None:
    ana, ben, third = place
    ana.do("make", "queued", 12)
    ana.do("queue", "queued", "run")
    assert ben.do("look", "queued")["problems"] == {}
    command = [str(Path(sys.executable).with_name("fiftyone")), "delegated", "launch"]
    log = tmp_path / "launch.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=third, start_new_session=True)
        try:
            until = time.monotonic() + PATIENCE
            while (found := ben.do("look", "queued"))["problems"] != {"run": ""}:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, (found, log.read_text())
                time.sleep(0.5)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert found["written"] == {"run": found["samples"]}
    assert found == ana.do("look", "queued")
    assert ana.do("triage", "queued", "run", ana.do("reviewable", "queued", "run")[0]) == 1
