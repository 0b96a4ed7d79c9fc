"""Real processes: killed, interrupted, and without their database in the middle of a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.delegated import DelegatedOperationService

from fiftyone_plugin.runs import lifecycle, records
from fiftyone_plugin.setup.database import private_mongod
from tests.datasets import FIELDS, MINE, VIEW, dataset_of, stored
from tests.plugin.faults.victim import KEY, SAID, mine
from tests.scenes import random_scene

ROOT = Path(__file__).parents[3]
INTERRUPTED = "run 'new' was interrupted while it was being written"


def victim(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.plugin.faults.victim", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, timeout=1200
    )


def said(done: subprocess.CompletedProcess[str]) -> Any:
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(SAID))
    return json.loads(line.removeprefix(SAID))


@pytest.fixture
def dataset() -> fo.Dataset:
    made = dataset_of(random_scene(7, images=8))
    made.persistent = True  # another process that ends would take it along
    return made


@pytest.mark.slow
def test_a_run_killed_in_the_queue_is_refused_and_deleted(dataset: fo.Dataset) -> None:
    before = stored(dataset)
    params = {**FIELDS, "run_key": KEY, "hard_negative_ratio": 1.0}
    foo.execute_operator(MINE, {"dataset": dataset}, params=params, request_delegation=True)
    done = victim("queue", dataset.name, str(int(signal.SIGKILL)))
    assert done.returncode == -signal.SIGKILL, done.stderr
    dataset.reload()
    assert len(list(dataset)) == 8
    with pytest.raises(ValueError, match=INTERRUPTED):
        foo.get_operator(VIEW)(dataset, KEY)
    lifecycle.delete(dataset, KEY)
    dataset.reload()
    assert stored(dataset) == before
    mine(dataset)  # nothing of the dead process is in the way
    assert not records.find(dataset, KEY).problem
    (queued,) = DelegatedOperationService().list_operations(operator=MINE, dataset_name=dataset.name)
    assert queued.run_state == "running"  # as FiftyOne leaves it: `fiftyone delegated fail` ends it


@pytest.mark.slow
def test_an_interrupted_run_leaves_nothing(dataset: fo.Dataset) -> None:
    before = stored(dataset)
    done = victim("mine", dataset.name, str(int(signal.SIGINT)))
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr
    dataset.reload()
    assert records.keys(dataset) == []
    assert stored(dataset) == before


@pytest.mark.slow
def test_a_killed_database_still_knows_what_was_being_written(tmp_path: Path) -> None:
    folder = tmp_path / "mongo"
    own: dict[str, Any] = {"FIFTYONE_DATABASE_NAME": "killed"}
    with private_mongod(folder, wait=60) as uri:
        done = victim("lose", "left", str(folder), FIFTYONE_DATABASE_URI=uri, **own)
    assert done.returncode == 9, done.stderr
    before = said(done)
    with private_mongod(folder, wait=60) as uri:
        done = victim("look", "left", "", FIFTYONE_DATABASE_URI=uri, **own)
    assert done.returncode == 0, done.stderr
    found = said(done)
    assert found["problems"]["run"] == ""
    assert found["problems"][KEY].startswith(INTERRUPTED)
    assert found["loaded"] == 8
    assert found["digest"] == before
