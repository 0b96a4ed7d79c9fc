"""Mining again after corrections, against mining the same from scratch.

Every figure is taken in one process on a database of its own, as for :mod:`benchmarks.operator`.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.operator import FIELDS, isolated, make_dataset
from benchmarks.scenes import coco_like

IMAGES, ROUNDS = 5_000, 3
SHARES = (0.0, 0.01, 0.1, 1.0)
"""Shares of the samples of which a label is moved before mining again."""


def table(images: int = IMAGES) -> list[str]:
    """Markdown lines."""
    found = isolated("incremental", f"_measure({images})")
    scratch = found["scratch"]
    lines = [
        "| samples with a corrected label | samples written | seconds | times faster than from scratch |",
        "|---|---|---|---|",
        f"| from scratch, a new run | {found['images']:,} | {found['first']:.2f} | |",
        f"| from scratch, replacing the run | {found['images']:,} | {scratch:.2f} | |",
    ]
    for row in found["rows"]:
        ratio = f"{scratch / row['seconds']:.1f}"
        lines.append(f"| {row['changed']:,} | {row['written']:,} | {row['seconds']:.2f} | {ratio} |")
    return [
        *lines,
        "",
        f"{found['images']:,} samples, {found['boxes']:,} boxes; medians of {ROUNDS} runs in one process. What a run "
        f"remembers takes {found['memory'] / 1e6:.0f} MB in the database.",
    ]


def _measure(images: int) -> dict[str, Any]:
    from fiftyone_plugin.actions import mine
    from fiftyone_plugin.runs import lifecycle, memory, records
    from fiftyone_plugin.store import access

    predictions, truth = coco_like(images)
    dataset = make_dataset(predictions, truth)
    mine.mine_samples(dataset[:20], {**FIELDS, "run_key": "warm"})
    lifecycle.delete(dataset, "warm")
    ids = dataset.values("_id")
    written: list[int] = []

    def again() -> None:
        done = mine.mine_samples(dataset, {**FIELDS, "run_key": "run", "overwrite": True})
        written.append(done["written"])

    def forget() -> None:
        memory.remove([records.find(dataset, "run").run_id])

    def correct(share: float) -> Callable[[], None]:
        return lambda: _nudge(dataset, ids[:: round(1 / share)] if share else [])

    first = _median(again, lambda: lifecycle.delete(dataset, "run") if records.keys(dataset) else None)
    scratch = _median(again, forget)
    again()  # a run that replaced another one from scratch does not know who modified a sample meanwhile
    rows = []
    for share in SHARES:
        seconds = _median(again, correct(share))
        changed = len(range(0, images, round(1 / share))) if share else 0
        rows.append({"changed": changed, "written": written[-1], "seconds": seconds})
    run_id = records.find(dataset, "run").run_id
    size = next(iter(access.files().find({memory.OWNER: run_id}))).length
    found = {"images": images, "boxes": len(predictions) + len(truth), "first": first, "scratch": scratch}
    return {**found, "rows": rows, "memory": size}


def _nudge(dataset: Any, sample_ids: list[Any]) -> None:
    """Make the first label of samples narrower, and note that they were modified, as FiftyOne does."""
    first = "ground_truth.detections.0"
    where = {"_id": {"$in": sample_ids}, first: {"$exists": True}}
    collection = dataset._sample_collection
    collection.update_many(
        where, {"$mul": {f"{first}.bounding_box.2": 0.99}, "$currentDate": {"last_modified_at": True}}
    )


def _median(work: Callable[[], Any], before: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        before()
        gc.collect()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
