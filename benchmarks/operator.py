"""The operator in FiftyOne: reading, writing, and the whole, against FiftyOne's public calls; and how it grows.

The slow public calls run on a share of the images, and the table says on how many; ratios are per image. Every figure
is taken on a database of its own, in a process of its own. Files of images are never opened, so there are none.
"""

from __future__ import annotations

import gc
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scaling import MEGABYTE, _peak, _reset_peak
from benchmarks.scenes import HEIGHT, WIDTH, coco_like
from fiftyone_plugin.runs import lifecycle
from fiftyone_plugin.setup.database import private_mongod
from hnm_core import Detections, mine
from hnm_core.boxes import xyxy_to_xywh

IMAGES, GROWN, ROUNDS = 5_000, 20_000, 3
SHARES = {"set_values": 500, "set_label_values": 5_000, "evaluate_detections": 200, "evaluate_detections with key": 50}
"""Images on which the slow public calls are timed."""

MUSTS = (6, 10, 100, 100, 500, 1 / 2.5)
"""How many times faster each row has to be; the last may take 2.5 times as long."""

FIELDS = {"pred_field": "predictions", "gt_field": "ground_truth"}
BASICS = ("id", "bounding_box", "label")


def table(images: int = IMAGES, grown: int = GROWN) -> list[str]:
    """Markdown lines."""
    small, large = _measured(images), _measured(grown, compare=False)
    lines = ["| work | seconds | against | seconds | ratio | must |", "|---|---|---|---|---|---|"]
    for (work, ours, against, theirs), must in zip(small["rows"], MUSTS, strict=True):
        ratio, least = (times(value) for value in (theirs / ours, must))
        missed = " (missed)" if theirs < must * ours else ""
        lines.append(f"| {work} | {ours:.2f} | {against} | {theirs:.2f} | {ratio} | {least}{missed} |")
    exponent = math.log(large["cpu"] / small["cpu"]) / math.log(large["boxes"] / small["boxes"])
    memory = " and ".join(f"{m['memory'] / MEGABYTE / (m['boxes'] / 1e6):.0f}" for m in (small, large))
    return [
        *lines,
        "",
        f"{images:,} images, {small['boxes']:,} boxes, {small['values']:,} values written; medians of {ROUNDS} runs. "
        f"From {images:,} to {grown:,} images the operator's CPU time (its own and MongoDB's) grows with exponent "
        f"{exponent:.2f}; its peak of memory above the imports is {memory} MB per million boxes.",
        *why_missed(small),
    ]


def times(ratio: float) -> str:
    """Return how many times faster, or as long, in words."""
    if ratio < 1:
        return f"{1 / ratio:.3g} × as long"
    return f"{ratio:.0f} × faster" if ratio >= 10 else f"{ratio:.2g} × faster"


def why_missed(found: dict[str, Any]) -> list[str]:
    """Say which goals are missed and where the time goes, as measured; no line where none is missed."""
    missed = [
        (ours, theirs / must)
        for (_, ours, _, theirs), must in zip(found["rows"], MUSTS, strict=True)
        if theirs < must * ours
    ]
    if not missed:
        return []
    costs, values = found["mongodb"], found["values"]
    count = "1 goal is" if len(missed) == 1 else f"{len(missed)} goals are"
    goals = "; ".join(f"{ours:.2f} s, goal {goal:.2f} s" for ours, goal in missed)
    return [
        "",
        f"{count} missed: {goals}. The remaining time is MongoDB's write time: {costs['ready']:.2f} CPU s for "
        f"{values:,} values, {1e6 * costs['ready'] / values:.1f} µs each. Writing only 5 % of the objects still costs "
        f"it {costs['few']:.2f} CPU s, since nearly every sample is looked up, compared by its box ids and stored "
        "again.",
    ]


def _measured(images: int, *, compare: bool = True) -> dict[str, Any]:
    return isolated("operator", f"_measure({images}, {compare})")


def isolated(module: str, call: str) -> dict[str, Any]:
    """Return what a call in a module beside this one returns in a fresh process with a database of its own.

    FiftyOne reads its environment when it is imported, and finds this plugin there.
    """
    with tempfile.TemporaryDirectory() as folder, private_mongod(Path(folder) / "mongo") as uri:
        Path(folder, "plugins").mkdir()
        Path(folder, "plugins", "hard-negative-mining").symlink_to(Path(__file__).parents[1])
        own = {"FIFTYONE_DATABASE_URI": uri, "FIFTYONE_DATABASE_NAME": "benchmark", "FIFTYONE_DO_NOT_TRACK": "true"}
        own |= {"FIFTYONE_SHOW_PROGRESS_BARS": "false", "FIFTYONE_PLUGINS_DIR": f"{folder}/plugins"}
        own |= {"PYTHONWARNINGS": "ignore"}
        into = Path(folder, "found.json")
        code = f"import json, pathlib, benchmarks.{module} as m; found = json.dumps(m.{call}); "
        code += f"pathlib.Path({str(into)!r}).write_text(found)"
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **own}, stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            raise RuntimeError(f"the benchmark {module}.{call} failed: see above")
        return dict(json.loads(into.read_text()))


def _measure(images: int, compare: bool) -> dict[str, Any]:
    from fiftyone_plugin.actions import mine

    predictions, truth = coco_like(images)
    dataset = make_dataset(predictions, truth)
    boxes = len(predictions) + len(truth)
    del predictions, truth
    mine.mine_samples(dataset[:20], {**FIELDS, "run_key": "warm"})
    lifecycle.delete(dataset, "warm")
    whole, cpu, memory = [], [], []
    for _ in range(ROUNDS):
        gc.collect()
        held, before, start = _reset_peak(), _cpu(dataset), time.perf_counter()
        mine.mine_samples(dataset, {**FIELDS, "run_key": "run"})
        whole.append(time.perf_counter() - start)
        cpu.append(_cpu(dataset) - before)
        memory.append(_peak() - held)
        lifecycle.delete(dataset, "run")
    found = {"boxes": boxes, "cpu": statistics.median(cpu), "memory": max(memory)}
    if compare:
        found |= _compared(dataset, statistics.median(whole))
    return found


def _compared(dataset: Any, whole: float) -> dict[str, Any]:
    """Return the rows of the table, the number of values written, and the CPU seconds that MongoDB uses for them."""
    from fiftyone_plugin.store.lock import lease

    with lease(dataset, "benchmark", operator="benchmark") as held:
        return _rows(dataset, held, whole)


def _rows(dataset: Any, held: Any, whole: float) -> dict[str, Any]:
    from fiftyone_plugin.settings import RunSettings
    from fiftyone_plugin.store import blocks, box_tables, reading, schema, updates, writeback

    settings = RunSettings.from_params({**FIELDS, "run_key": "run"})
    fields = writeback.fields_of("run", settings)
    wanted = {"predictions": "score", "ground_truth": "kind"}
    paths = [f"predictions.detections.{name}" for name in (*BASICS, "confidence")]
    paths += [f"ground_truth.detections.{name}" for name in BASICS]
    read = _median(lambda: reading.read_columns(dataset, wanted))
    values = _median(lambda: dataset.values(["id", *paths]))

    tables = box_tables.read_tables(dataset, settings)
    result = mine(tables.predictions, tables.truth)
    few = box_tables.read_tables(dataset, settings)
    some = [np.random.default_rng(0).random(len(t)) < 0.05 for t in (few.predictions, few.truth)]
    object.__setattr__(few, "predictions", few.predictions.take(some[0]))
    object.__setattr__(few, "truth", few.truth.take(some[1]))
    few_result = mine(few.predictions, few.truth)

    def undo() -> None:
        blocks.erase(held, dataset, fields)

    def save(some: Any, found: Any) -> None:
        writeback.save(held, dataset, updates.Job(some, found, settings), settings, {})

    everything = _median(lambda: save(tables, result), undo)
    costs: dict[str, list[float]] = {"few": [], "ready": []}
    share = _median(_noting(dataset, costs["few"], lambda: save(few, few_result)), undo)
    job, chunk = updates.Job(tables, result, settings), range(0, len(tables.sample_ids), writeback.CHUNK)
    chunks = [range(a, min(a + writeback.CHUNK, len(tables.sample_ids))) for a in chunk]
    ready = [job.of(images, job.read(images)) for images in chunks]
    count = sum(len(change) for some in ready for update in some for change in update._doc.values())
    schema.declare(held, dataset, fields)
    write = _median(_noting(dataset, costs["ready"], lambda: _send(dataset._sample_collection, ready)), undo)
    n = len(dataset)
    slow = {name: work(dataset[:share_of]) * max(n / share_of, 1.0) for name, (work, share_of) in _public().items()}
    plain = f"`{'{}'}`, timed on {'{}'} images"
    of = {name: plain.format(name, share_of) for name, share_of in SHARES.items()}
    rows = [
        ("read both fields", read, "`values()`", values),
        (
            "write all objects, 3 values each",
            everything,
            f"{of['set_values']}, one float per object",
            slow["set_values"],
        ),
        (
            "write 5 % of the objects, 3 values each",
            share,
            f"{of['set_label_values']}, one float",
            slow["set_label_values"],
        ),
        ("the operator whole", whole, of["evaluate_detections"], slow["evaluate_detections"]),
        ("the operator whole", whole, of["evaluate_detections with key"], slow["evaluate_detections with key"]),
        ("the operator whole", whole, "reading, and sending the same updates ready made", read + write),
    ]
    return {"rows": rows, "values": count, "mongodb": {name: statistics.median(used) for name, used in costs.items()}}


def _public() -> dict[str, tuple[Callable[[Any], float], int]]:
    """FiftyOne's own calls, each with the number of images to time it on."""

    def evaluate(view: Any, key: str | None) -> float:
        start = time.perf_counter()
        view.evaluate_detections("predictions", gt_field="ground_truth", iou=0.5, eval_key=key, progress=False)
        return time.perf_counter() - start

    def set_values(view: Any) -> float:
        numbers = {f: [[0.5] * len(ids) for ids in view.values(f"{f}.detections.id")] for f in FIELDS.values()}
        start = time.perf_counter()
        for field, listed in numbers.items():
            view.set_values(f"{field}.detections.all_of_them", listed)
        return time.perf_counter() - start

    def set_label_values(view: Any) -> float:
        ids = {f: view.values(f"{f}.detections.id", unwind=True)[::20] for f in FIELDS.values()}
        start = time.perf_counter()
        for field, chosen in ids.items():
            view.set_label_values(f"{field}.detections.some_of_them", dict.fromkeys(chosen, 0.5))
        return time.perf_counter() - start

    works: dict[str, Callable[[Any], float]] = {
        "set_values": set_values,
        "set_label_values": set_label_values,
        "evaluate_detections": lambda view: evaluate(view, None),
        "evaluate_detections with key": lambda view: evaluate(view, "peer"),
    }
    return {name: (work, SHARES[name]) for name, work in works.items()}


def make_dataset(predictions: Detections, truth: Detections) -> Any:
    """Make a dataset of these tables, written to the database as FiftyOne stores samples: its own way takes minutes."""
    import fiftyone as fo
    from bson import ObjectId

    dataset = fo.Dataset("benchmark", persistent=True)
    pattern = fo.Sample(filepath="nowhere/pattern.jpg")
    for field, scored in (("predictions", {"confidence": 0.5}), ("ground_truth", {})):
        box = fo.Detection(label="pattern", bounding_box=[0.0, 0.0, 0.1, 0.1], **scored)
        pattern[field] = fo.Detections(detections=[box])
    dataset.add_sample(pattern)
    collection = dataset._sample_collection
    stored = collection.find_one()
    collection.delete_many({})

    def boxes(field: str, made: Detections, rows: slice) -> dict[str, Any]:
        like = stored[field]["detections"][0]
        xywh = (xyxy_to_xywh(made.xyxy[rows]) / [WIDTH, HEIGHT, WIDTH, HEIGHT]).tolist()
        score = [{}] * len(xywh) if made.score is None else [{"confidence": s} for s in made.score[rows].tolist()]
        label = [{"label": made.classes[code]} for code in made.label[rows].tolist()]
        listed = [
            like | {"_id": ObjectId(), "bounding_box": b} | c | s for b, c, s in zip(xywh, label, score, strict=True)
        ]
        return stored[field] | {"detections": listed}

    tables = {"predictions": predictions, "ground_truth": truth}
    starts = {f: np.searchsorted(t.image, np.arange(len(truth.images) + 1)) for f, t in tables.items()}
    for first in range(0, len(truth.images), 500):
        collection.insert_many(
            stored
            | {"_id": ObjectId(), "filepath": f"nowhere/{truth.images[i]}.jpg"}
            | {f: boxes(f, t, slice(*starts[f][i : i + 2])) for f, t in tables.items()}
            for i in range(first, min(first + 500, len(truth.images)))
        )
    return dataset


def _send(collection: Any, ready: list[list[Any]]) -> None:
    """Nothing is made any more, and nobody looks at the answer."""
    from fiftyone_plugin.store import writeback

    with ThreadPoolExecutor(writeback.WRITERS) as pool:
        list(pool.map(lambda some: collection.bulk_write(some, ordered=False), ready))


def _median(work: Callable[[], Any], undo: Callable[[], Any] = lambda: None) -> float:
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
        undo()
    return statistics.median(times)


def _cpu(dataset: Any) -> float:
    """CPU seconds that this process and MongoDB have used."""
    return time.process_time() + _mongodb_cpu(dataset)


def _mongodb_cpu(dataset: Any) -> float:
    used = dataset._sample_collection.database.client.admin.command("serverStatus")["extra_info"]
    return (used["user_time_us"] + used["system_time_us"]) / 1e6


def _noting(dataset: Any, costs: list[float], work: Callable[[], Any]) -> Callable[[], None]:
    """Return the work, with MongoDB's CPU seconds noted every time."""

    def noted() -> None:
        before = _mongodb_cpu(dataset)
        work()
        costs.append(_mongodb_cpu(dataset) - before)

    return noted
