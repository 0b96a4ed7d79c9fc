"""One of several machines on one MongoDB: ``python -m tests.plugin.faults.worker`` does what each line of stdin asks.

A line is a list in JSON, the name of one of :data:`WHAT` and what it takes; the answer is a line of JSON after
:data:`ANSWER`: what came of it, or the error in words.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo

from fiftyone_plugin.runs import lifecycle, records
from fiftyone_plugin.store import blocks, writeback
from tests.datasets import APPLY, FIELDS, MINE, TRIAGE, dataset_of
from tests.plugin.faults.victim import digest
from tests.scenes import random_scene

ANSWER = "answer: "


def make(name: str, images: int) -> None:
    """Make a dataset that outlives its maker."""
    dataset = dataset_of(random_scene(7, images=images))
    dataset.name, dataset.persistent = name, True


def mine(name: str, key: str, overwrite: bool = False) -> None:
    """Mine, all the objects there are."""
    foo.get_operator(MINE)(
        fo.load_dataset(name), **FIELDS, run_key=key, hard_negative_ratio=1.0, overwrite=overwrite, delegate=False
    )


def queue(name: str, key: str) -> None:
    """Leave a mining to whoever works off the queue."""
    asked = {**FIELDS, "run_key": key, "hard_negative_ratio": 1.0}
    foo.execute_operator(MINE, {"dataset": fo.load_dataset(name)}, params=asked, request_delegation=True)


def reviewable(name: str, key: str) -> list[str]:
    """Return the false positives of a run, as a review names them."""
    found = records.load(fo.load_dataset(name), key)[1].objects
    rows = zip(found["side"], found["label_id"], found["hard"], found["error"], strict=True)
    return [f"{side}:{i}" for side, i, hard, error in rows if hard and error == "background"]


def triage(name: str, key: str, which: str) -> int:
    """Call an object a missing label; return how many objects that changed."""
    return int(foo.get_operator(TRIAGE)(fo.load_dataset(name), key, "missing_label", [which])["count"])


def look(name: str) -> dict[str, Any]:
    """Return what each run says of itself, how many samples have its scores, and a digest of everything."""
    dataset = fo.load_dataset(name)
    problems = {record.key: record.problem for record in records.listed(dataset)}
    dataset.reload()
    written = {key: len(dataset.exists(f"{key}_score")) for key in problems}
    return {"problems": problems, "written": written, "samples": len(dataset), "digest": digest(dataset)}


def pause(at: str, here: str) -> None:
    """Stop before the next write of samples until the file is gone; the file tells when that is."""
    where = {"mine": (writeback, "_write_all"), "apply": (blocks, "write")}[at]
    step, begun = getattr(*where), []

    def first(*args: Any, **more: Any) -> Any:
        if not begun:
            begun.append(at)
            Path(here).touch()
            while Path(here).exists():
                time.sleep(0.05)
        return step(*args, **more)

    setattr(*where, first)


WHAT: dict[str, Any] = {
    "make": make,
    "mine": mine,
    "queue": queue,
    "reviewable": reviewable,
    "triage": triage,
    "look": look,
    "pause": pause,
    "apply": lambda name, key: foo.get_operator(APPLY)(fo.load_dataset(name), key) and None,
    "delete": lambda name, key: lifecycle.delete(fo.load_dataset(name), key) and None,
    "rename": lambda name, key, new: lifecycle.rename(fo.load_dataset(name), key, new) and None,
    "database": lambda: fo.config.database_uri,
}

if __name__ == "__main__":
    for line in sys.stdin:
        what, *given = json.loads(line)
        try:
            came_to = {"done": WHAT[what](*given)}
        except ValueError as error:
            came_to = {"refused": str(error)}
        print(f"{ANSWER}{json.dumps(came_to)}", flush=True)
