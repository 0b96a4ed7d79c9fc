"""Whole or not at all, and nothing for ever: what a killed process leaves, the next one says and removes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hnm_core.io import processes, write_aside
from hnm_core.io.processes import has_ended, this_process
from hnm_core.io.write_aside import clear_unfinished, new_file, new_folder, say_unfinished

ROOT = Path(__file__).parents[3]
WRITING = """
import sys, time
from pathlib import Path
from hnm_core.io.write_aside import new_file, new_folder
target = Path(sys.argv[2])
writing = new_folder(target, "") if sys.argv[1] == "folder" else new_file(target)
with writing as aside:
    (aside / "half" if sys.argv[1] == "folder" else aside).write_text("half")
    print("ready", flush=True)
    time.sleep(600)
"""


def writer(what: str, target: Path) -> subprocess.Popen[str]:
    """A process in the middle of writing."""
    command = [sys.executable, "-c", WRITING, what, str(target)]
    started = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=-1, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process was started")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_a_killed_process_left_is_said_and_removed(what: str, tmp_path: Path) -> None:
    with writer(what, tmp_path / "out") as process:
        assert clear_unfinished(tmp_path) == []  # it is still being written
        (left,) = tmp_path.iterdir()
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert left.exists()
    with pytest.warns(UserWarning, match=f"{left} was left by a process that was interrupted and is removed"):
        say_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "ended"),
    [
        ({}, False),
        ({"pid": 2**22 + 5}, True),  # more than Linux gives
        ({"started": "1"}, True),  # its number belongs to another process now
        ({"started": ""}, False),
        ({"boot": "another"}, True),  # this machine was started again
        ({"boot": ""}, False),
        ({"host": "another", "pid": 2**22 + 5}, False),
        ({"machine": "another", "pid": 2**22 + 5}, False),
        ({"space": "pid:[1]", "pid": 2**22 + 5}, False),  # another container
        ({"pid": "x"}, False),
        ({"pid": None}, False),
    ],
)
def test_who_has_ended_is_known_on_this_machine_only(
    changes: dict[str, Any], ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {**this_process(), "machine": "m", "boot": "b"}
    monkeypatch.setattr(processes, "this_process", lambda: here)
    assert has_ended({**here, **changes}) is ended


def test_what_nobody_owns_is_said_and_stays(tmp_path: Path) -> None:
    left = tmp_path / ".out-abcdefgh.unfinished"
    (left / "new").mkdir(parents=True)
    (said,) = clear_unfinished(tmp_path)
    assert said == f"{left} does not say who writes it: remove it if nothing is being written there"
    (left / "owner.json").write_text(json.dumps({**this_process(), "host": "another"}))
    assert clear_unfinished(tmp_path) == []  # somebody on another machine may be writing it
    assert (left / "new").is_dir()


def test_what_never_got_an_owner_goes_when_it_is_old(tmp_path: Path) -> None:
    left = tmp_path / ".out-abcdefgh.unfinished"
    left.mkdir()
    assert "does not say who writes it" in clear_unfinished(tmp_path)[0]
    long_ago = time.time() - 2 * write_aside.YOUNG
    os.utime(left, (long_ago, long_ago))
    assert "was left by a process that was interrupted" in clear_unfinished(tmp_path)[0]
    assert not left.exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(error: type[BaseException], tmp_path: Path) -> None:
    def interrupted(aside: Path) -> None:
        aside.write_text("half")
        raise error

    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(error), new_file(tmp_path / "a.txt") as aside:
        interrupted(aside)
    with pytest.raises(error), new_folder(tmp_path / "folder", "") as aside:
        interrupted(aside / "half")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


def test_of_two_that_write_the_same_folder_the_later_is_refused(tmp_path: Path) -> None:
    def write_both() -> None:
        with new_folder(tmp_path / "out", "export into a new folder") as first:
            (first / "first").touch()
            with new_folder(tmp_path / "out", "") as second:
                (second / "second").touch()

    with pytest.raises(FileExistsError, match="exists and is not empty; export into a new folder"):
        write_both()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "second"]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    name = "x" * 251 + ".txt"
    with new_file(tmp_path / name) as aside:
        aside.write_text("all of it")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "all of it")]


def test_an_export_and_a_mining_say_what_they_found(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow reads the images")
    pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
    from hnm_core import MiningSettings, mine
    from hnm_core.export import export_weighted
    from hnm_core.io.mining_folder import save_mining
    from hnm_core.samples.folder import SampleFolder
    from tests.exports import TRUTH, entries, photographs
    from tests.scenes import scene

    def left_by_a_killed_process() -> None:
        (tmp_path / ".old-abcdefgh.unfinished").mkdir()
        owner = json.dumps({**this_process(), "started": "1"})
        (tmp_path / ".old-abcdefgh.unfinished" / "owner.json").write_text(owner)

    if not this_process()["started"]:
        pytest.skip("only Linux tells when a process was started")
    images = entries(photographs(tmp_path / "originals"))
    left_by_a_killed_process()
    done = export_weighted(tmp_path / "out", images, TRUTH, report={}, run_key="run")
    assert "is removed" in done.warnings[0]
    for write in (
        lambda: save_mining(
            tmp_path / "run", mine(*scene([("a", "cat", 0.9, (0, 0, 9, 9))]), MiningSettings()), {}, {}
        ),
        lambda: SampleFolder(tmp_path),
    ):
        left_by_a_killed_process()
        with pytest.warns(UserWarning, match="is removed"):
            write()
    assert not list(tmp_path.glob(".*"))


def test_a_folder_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match=f"^{tmp_path} is a folder, but"), new_file(tmp_path):
        raise AssertionError("nothing is written")


def fail(write: Any, to: Path, error: OSError) -> None:
    """Write a file in what is written, where another part fails."""
    with write(to), new_file(to.with_name("one of several")):
        raise error


@pytest.mark.parametrize("write", [new_file, lambda path: new_folder(path, "")])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_with_what_is_not_written(write: Any, number: int, tmp_path: Path) -> None:
    sentence = rf"^the disk of {tmp_path} is full: out is not written\. Make room and try again$"
    with pytest.raises(OSError, match=sentence) as caught:
        fail(write, tmp_path / "out", OSError(number, os.strerror(number), "a file that was read"))
    assert caught.value.errno == number
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [new_file, lambda path: new_folder(path, "")])
@pytest.mark.parametrize(("named", "said"), [(None, "one of several"), ("gone.jpg", "gone.jpg")])
def test_an_error_of_the_system_names_a_file(write: Any, named: str | None, said: str, tmp_path: Path) -> None:
    error = OSError(errno.EFBIG, os.strerror(errno.EFBIG), *([] if named is None else [named]))
    with pytest.raises(OSError, match="File too large") as caught:  # that of a file which is open has no name
        fail(write, tmp_path / "out", error)
    assert Path(caught.value.filename).name == said


@pytest.mark.parametrize("write", [new_file, lambda path: new_folder(path, "")])
def test_where_nothing_may_be_written_is_named(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**place: Any) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "a hidden folder")

    monkeypatch.setattr(write_aside.tempfile, "mkdtemp", refuse)
    with pytest.raises(PermissionError) as closed:
        fail(write, tmp_path / "out", OSError())
    assert closed.value.filename == str(tmp_path / "out")
