"""A process of its own that is stopped in the middle of its work: ``python -m tests.plugin.faults.victim DO NAME HOW``.

What it has to say is a line of JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.core.odm.database as database
import fiftyone.operators as foo
from fiftyone.operators.delegated import DelegatedOperationService
from pymongo import monitoring

from fiftyone_plugin.runs import lifecycle, records
from tests.datasets import FIELDS, MINE, dataset_of, stored
from tests.scenes import random_scene

KEY = "new"
SAID = "victim: "
"""How the line begins that the test reads; FiftyOne prints, too."""


class Trap(monitoring.CommandListener):
    """Stops the process, or its database, as soon as the database has acknowledged that samples were written."""

    def __init__(self, how: str) -> None:
        self.how = how
        self._samples: set[int] = set()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Remember what writes samples."""
        if event.command_name == "update" and str(event.command["update"]).startswith("samples."):
            self._samples.add(event.request_id)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Stop after the first of them."""
        if event.request_id in self._samples and self.how:
            how, self.how = self.how, ""
            if how.isdigit():
                os.kill(os.getpid(), int(how))
            else:  # the folder of a server, which writes its number into its lock
                os.kill(int((Path(how) / "mongod.lock").read_text()), signal.SIGKILL)
                os._exit(9)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing was written."""


def set_trap(how: str) -> None:
    """Stop at the next write of samples: by a signal, or with the server of a folder."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
    monitoring.register(Trap(how))
    database._disconnect()  # a client listens to what was registered before it was made


def mine(dataset: fo.Dataset, key: str = KEY) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key=key, hard_negative_ratio=1.0)


def digest(dataset: fo.Dataset) -> str:
    """Return what tells two states of a dataset apart."""
    dataset.reload()
    return hashlib.sha256(repr(stored(dataset)).encode()).hexdigest()


def make_and_lose_the_server(name: str, folder: str) -> None:
    """Make a dataset with a run, print what it is, and lose the server while a second run is written."""
    dataset = dataset_of(random_scene(7, images=8))
    dataset.name, dataset.persistent = name, True
    mine(dataset, "run")
    print(f"{SAID}{json.dumps(digest(dataset))}", flush=True)
    set_trap(folder)
    mine(fo.load_dataset(name))


def look(name: str, _: str) -> None:
    """Print what every run says of itself, and what is left when the unfinished ones are deleted."""
    dataset = fo.load_dataset(name)
    problems = {record.key: record.problem for record in records.listed(dataset)}
    loaded = len(list(dataset))
    for key, problem in problems.items():
        if problem:
            lifecycle.delete(dataset, key)
    found = {"problems": problems, "loaded": loaded, "digest": digest(dataset)}
    print(f"{SAID}{json.dumps(found)}", flush=True)


def mine_in(name: str, how: str) -> None:
    """Mine a dataset, and stop on the way."""
    set_trap(how)
    mine(fo.load_dataset(name))


def work_off(name: str, how: str) -> None:
    """Do what is queued for a dataset, and stop on the way."""
    set_trap(how)
    DelegatedOperationService().execute_queued_operations(dataset_name=name)


WHAT: dict[str, Any] = {"lose": make_and_lose_the_server, "look": look, "mine": mine_in, "queue": work_off}

if __name__ == "__main__":
    WHAT[sys.argv[1]](*sys.argv[2:])
