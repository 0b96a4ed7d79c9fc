"""Every operator that writes, killed after each of its writes: what is left is old, new, or refused in words.

Each test prints its row of the table in ``docs/trust.md`` (``python -m benchmarks --what trust``). ``HNM_FAULT_IMAGES``
sets the number of samples, ``HNM_FAULT_POINTS`` limits the writes after which an operator is killed,
``HNM_FAULT_STRIKES`` sets how often each operator is stopped at a random moment by each signal.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fiftyone as fo
import fiftyone.core.odm.database as database
import fiftyone.operators as foo
import numpy as np
import pytest
from bson import ObjectId
from fiftyone.factory import repo_factory

from fiftyone_plugin.actions import predict, similar, train
from fiftyone_plugin.runs import compare, lifecycle, records
from fiftyone_plugin.store import checks, journal
from tests.datasets import ACCEPT, APPLY, FIELDS, MEND, MINE, PROPOSE, RENAME, TRIAGE, VIEW, dataset_of, stored
from tests.plugin.faults.killing import COPIES, Snapshot, guillotine, of_run, users_part
from tests.scenes import random_scene

PRINTED = "fault: "
PREDICTED = "new_predictions"
IMAGES = int(os.environ.get("HNM_FAULT_IMAGES", "12"))
POINTS = int(os.environ.get("HNM_FAULT_POINTS", "1000"))
STRIKES = int(os.environ.get("HNM_FAULT_STRIKES", "1"))


def mine(dataset: fo.Dataset, key: str, **more: Any) -> None:
    labelled = dataset.exists("ground_truth")
    foo.get_operator(MINE)(labelled, **FIELDS, run_key=key, **{"hard_negative_ratio": 1.0, **more})


def alarms(dataset: fo.Dataset) -> list[str]:
    """Keys of the false alarms of the run, in order."""
    objects = records.load(dataset, "run")[1].objects
    rows = zip(objects["side"], objects["label_id"], objects["error"], objects["hard"], strict=True)
    return [f"{side}:{label_id}" for side, label_id, error, hard in rows if hard and error == "background"]


@contextmanager
def detector(folder: Path) -> Iterator[None]:
    """Stands for Ultralytics: a checkpoint, its training, and two boxes in every image; what is written is our own."""
    (folder / "data.yaml").write_text("names: [class 0, class 1]\n")
    made = {"data": str(folder / "data.yaml"), "images": {"val": 1}, "reviews": 0, "warnings": []}
    trained = SimpleNamespace(best=folder / "best.pt", rounds=[])
    known = {"model": "best.pt", "sha256": "0" * 64, "confidence": 0.01, "imgsz": 64}
    model = SimpleNamespace(names={0: "class 0", 1: "class 1"}, ckpt={})

    numbers = count()

    def detect(_: Any, files: Sequence[str], **__: Any) -> Iterator[np.ndarray]:
        nonlocal numbers
        numbers = count()  # the same boxes get the same ids again, so that two outcomes can be compared
        for number in range(len(files)):
            at = 0.1 + 0.5 * number / len(files)
            yield np.array([[at, 0.1, at + 0.2, 0.4, 0.9, 0], [0.5, at, 0.7, at + 0.2, 0.6, 1]], dtype=np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict.checkpoints, "find_model", lambda path, **_: Path(path))
        patch.setattr(predict.checkpoints, "load", lambda _: model)
        patch.setattr(predict, "detect", detect)
        patch.setattr(predict, "ObjectId", lambda: ObjectId(f"{next(numbers):024x}"))
        patch.setattr(predict.model_record, "record_of", lambda *_: known)
        patch.setattr(train.export, "export", lambda *_, **__: made)
        patch.setattr(train.ignored, "save_regions", lambda *_: 0)  # of images that are not exported here
        patch.setattr("hnm_core.training.start.check_options", lambda _: None)
        patch.setattr("hnm_core.training.start.train", lambda *_, **__: trained)
        yield


OPERATIONS: dict[str, Callable[[fo.Dataset], Any]] = {
    "mine": lambda dataset: mine(dataset, "new"),
    "propose": lambda dataset: foo.get_operator(PROPOSE)(dataset, "predictions", "new"),
    "propose over": lambda dataset: foo.get_operator(PROPOSE)(dataset, "predictions", "run", overwrite=True),
    "overwrite": lambda dataset: mine(dataset, "run", overwrite=True, hard_negative_ratio=0.2),
    "delete": lambda dataset: lifecycle.delete(dataset, "run"),
    "rename": lambda dataset: foo.get_operator(RENAME)(dataset, "run", "new"),
    "apply": lambda dataset: foo.get_operator(APPLY)(dataset, "run"),
    "accept": lambda dataset: foo.get_operator(ACCEPT)(dataset, "run", "accepted"),
    "mend": lambda dataset: foo.get_operator(MEND)(dataset, "run"),
    "compare": lambda dataset: compare.compare(dataset, "other", "run"),
    "similar": lambda dataset: similar.find_similar(dataset, "run", embeddings_field="vector", k=2),
    "predict": lambda dataset: predict.predict(dataset, "best.pt", PREDICTED),
    "train": lambda dataset: train.train(
        dataset, "run", "best.pt", Path(dataset.info["folder"]) / "out", new_run_key="new", pred_field=PREDICTED
    ),
    "triage": lambda dataset: foo.get_operator(TRIAGE)(dataset, "run", "wrong_label", alarms(dataset)[:2]),
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[fo.Dataset, dict[str, Any], Snapshot]]:
    """A dataset with two runs and reviews, what it was before them, and everything the database holds of it.

    Some tags are null or missing, some samples have no boxes at all, some boxes have attributes that nobody declared.
    """
    dataset = dataset_of(random_scene(7, images=IMAGES))
    folder = tmp_path_factory.mktemp("training")
    dataset.info["folder"] = str(folder)
    dataset.save()
    samples = dataset._sample_collection
    ids = [found["_id"] for found in samples.find({}, ["_id"])]
    for number, sample in enumerate(dataset.iter_samples(autosave=True)):
        sample["vector"] = np.array([1.0, number, 2.0])
    samples.update_one({"_id": ids[0]}, {"$set": {"tags": None}})
    samples.update_one({"_id": ids[1]}, {"$unset": {"tags": ""}})
    samples.update_many({"_id": {"$in": ids[2:5]}}, {"$set": {"predictions.detections.$[].tags": None}})
    samples.update_many({"_id": {"$in": ids[5:7]}}, {"$unset": {"ground_truth.detections.$[].tags": ""}})
    samples.update_many(
        {"_id": {"$in": ids[2:9]}}, {"$set": {"predictions.detections.$[].track": {"b": 1, "a": [None]}}}
    )
    samples.update_many({"_id": {"$in": ids[-3:-1]}}, {"$set": {"ground_truth": None, "predictions": None}})
    samples.update_one({"_id": ids[-1]}, {"$unset": {"ground_truth": "", "predictions": ""}})
    dataset.reload()
    dataset.limit(3).tag_samples("mine_too")
    before = {**stored(dataset), "user": users_part(dataset, strict=True)}
    mine(dataset, "run")
    mine(dataset, "other", hard_negative_ratio=0.5)
    found = alarms(dataset)
    foo.get_operator(TRIAGE)(dataset, "run", "missing_label", found[::2])
    with detector(folder):
        yield dataset, before, Snapshot(dataset)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_kill_after_any_write_leaves_old_new_or_a_refusal(name: str, odd: Any) -> None:
    dataset, _, snapshot = odd
    snapshot.restore()
    user, old = users_part(dataset), state(dataset)
    writes = guillotine.run(lambda: OPERATIONS[name](dataset))
    new = state(dataset)
    assert writes > 2
    assert users_part(dataset) == user
    outcomes: Counter[str] = Counter()
    points = sorted(set(np.linspace(1, writes, min(writes, POINTS)).round().astype(int).tolist()))
    for after in points:
        snapshot.restore()
        guillotine.run(lambda: OPERATIONS[name](dataset), after)
        where = f"{name} killed after write {after} of {writes} ({guillotine.writes[-1]})"
        outcomes[outcome(name, odd, user, old, new, where)] += 1
    row = {"operator": name, "samples": IMAGES, "writes": writes, "killed": len(points), **outcomes}
    print(f"\n{PRINTED}{json.dumps(row)}")
    assert outcomes.total() == len(points)
    # of two runs one may show the review and the other not yet; what was predicted may wait for its run
    assert not outcomes["both"] or name in ("triage", "train")


@pytest.mark.slow
def test_a_run_with_a_field_of_its_own_is_renamed_to_the_end_after_any_kill() -> None:
    dataset = dataset_of(random_scene(7, images=3))
    foo.get_operator(PROPOSE)(dataset, "predictions", "run")
    gap = {**fo.Detection(label="class 0", bounding_box=[0, 0, 0.5, 0.5]).to_dict(), "run_error": "gap"}
    gaps = {"_cls": "Detections", "detections": [gap]}
    dataset._sample_collection.update_one({}, {"$set": {"run_missed": gaps}})
    dataset.reload()
    snapshot, rename = Snapshot(dataset), foo.get_operator(RENAME)
    writes = guillotine.run(lambda: rename(dataset, "run", "new"))
    dataset.reload()
    whole = {**stored(dataset), "runs": records.keys(dataset)}
    assert "run_" not in str(whole["documents"])
    assert whole["documents"][0]["new_missed"]["detections"][0]["new_error"] == "gap"
    for after in range(1, writes + 1):
        snapshot.restore()
        guillotine.run(lambda: rename(dataset, "run", "new"), after)
        dataset.reload()
        if "run" in records.keys(dataset):
            rename(dataset, "run", "new")
            dataset.reload()
        assert {**stored(dataset), "runs": records.keys(dataset)} == whole, f"killed after write {after} of {writes}"
    lifecycle.delete(dataset, "new")
    dataset.reload()
    assert "new_" not in str([*stored(dataset)["documents"], *stored(dataset)["schema"]])


@pytest.mark.slow
def test_the_documents_of_the_user_are_the_same_after_every_operation(odd: Any) -> None:
    dataset, before, snapshot = odd
    differ: dict[str, int] = {}
    for name, operation in OPERATIONS.items():
        snapshot.restore()
        user = users_part(dataset)
        operation(dataset)
        dataset.reload()
        differ[name] = sum(ours != theirs for ours, theirs in zip(users_part(dataset), user, strict=True))
        while found := records.listed(dataset):
            lifecycle.delete(dataset, found[0].key)
        for field in filter(dataset.has_field, (*COPIES, PREDICTED)):
            dataset.delete_sample_field(field)
        now = users_part(dataset, strict=True)
        differ[f"{name}, all runs deleted"] = sum(a != b for a, b in zip(now, before["user"], strict=True))
    print(f"\n{PRINTED}{json.dumps({'samples': IMAGES, 'compared': len(differ), 'differ': sum(differ.values())})}")
    assert not any(differ.values()), differ


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS if "HNM_FAULT_STRIKES" in os.environ else ("mine", "delete"))
def test_a_process_stopped_at_a_random_moment_leaves_old_new_or_a_refusal(name: str, odd: Any) -> None:
    """A process of its own and real signals: between two writes, and while one is on its way, too."""
    dataset, _, snapshot = odd
    snapshot.restore()
    user, old = users_part(dataset), state(dataset)
    lasts = stopped(name, dataset)
    dataset.reload()
    new = state(dataset)
    assert new != old
    rng = random.Random(f"{name} {IMAGES}")
    for kind in (signal.SIGKILL, signal.SIGINT):
        outcomes: Counter[str] = Counter()
        for _ in range(STRIKES):
            after = rng.uniform(0, lasts)
            snapshot.restore()
            stopped(name, dataset, kind, after)
            where = f"{name} stopped by {kind.name} after {after:.3f} of {lasts:.3f} s"
            outcomes[outcome(name, odd, user, old, new, where)] += 1
        row = {"operator": name, "signal": kind.name, "samples": IMAGES, "stopped": STRIKES, **outcomes}
        print(f"\n{PRINTED}{json.dumps(row)}")
        assert not outcomes["both"] or name in ("triage", "train")


def stopped(name: str, dataset: fo.Dataset, kind: signal.Signals | None = None, after: float = 0.0) -> float:
    """Do it in another process, and send that a signal after so many seconds; return how long it took."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads
        child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            database._disconnect()  # a connection cannot be shared
            repo_factory._db = None  # nor may the one that FiftyOne's stores keep
            repo_factory.RepositoryFactory.repos.clear()
            OPERATIONS[name](fo.load_dataset(dataset.name))
            os._exit(0)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(1)
    begun = time.monotonic()
    if kind is not None:
        time.sleep(after)
        os.kill(child, kind)
    _, status = os.waitpid(child, 0)
    assert kind is not None or status == 0, f"{name} failed in a process of its own"
    return time.monotonic() - begun


def outcome(name: str, odd: Any, user: Any, old: Any, new: Any, where: str) -> str:
    """Return what an interrupted operator has left, after holding it against before and after, and delete all of it."""
    dataset, before, _ = odd
    dataset.reload()
    assert len(list(dataset)) == IMAGES, where
    assert users_part(dataset) == user, where
    now = state(dataset)
    for key in now.keys() | old.keys() | new.keys():
        assert now.get(key) in (old.get(key), new.get(key)) or is_refusal(now[key]), f"{where}: {key} {now[key]}"
    assert name == "triage" or now["other"] == old["other"], where
    assert "Error" not in again(name, dataset), where
    while found := records.listed(dataset):
        lifecycle.delete(dataset, found[0].key)
    for field in filter(dataset.has_field, (*COPIES, PREDICTED)):
        dataset.delete_sample_field(field)
    assert {**stored(dataset), "user": users_part(dataset, strict=True)} == before, where
    assert not journal.runs(dataset), where
    return "refused" if any(map(is_refusal, now.values())) else "old" if now == old else "new" if now == new else "both"


def again(name: str, dataset: fo.Dataset) -> str:
    """Do it again; return the sentence by which it is refused, or "" if it works."""
    try:
        OPERATIONS[name](dataset)
    except ValueError as error:
        return str(error)
    return ""


def state(dataset: fo.Dataset) -> dict[str, Any]:
    """Return what each run holds, or the sentence by which it is refused; and the accepted copy."""
    found: dict[str, Any] = {}
    for record in records.listed(dataset):
        try:
            view = foo.get_operator(VIEW)(dataset, record.key)
            settings, results = records.load(dataset, record.key)
            found[record.key] = (of_run(dataset, record.key), len(view), settings, results.images)
        except ValueError as error:
            found[record.key] = str(error)
    for field in filter(dataset.has_field, (*COPIES, PREDICTED)):
        try:
            checks.check_finished(dataset, field)
            found[field] = [boxes and list(map(box_of, boxes.detections)) for boxes in dataset.values(field)]
        except ValueError as error:
            found[field] = str(error)
    return found


def box_of(box: fo.Detection) -> tuple[Any, ...]:
    """Return what is written of a box, but for its id."""
    source = box.get_field("proposed_from") if box.has_field("proposed_from") else None
    return box.label, box.bounding_box, box.confidence, source


def is_refusal(found: Any) -> bool:
    return isinstance(found, str) and "was interrupted while it was being" in found
