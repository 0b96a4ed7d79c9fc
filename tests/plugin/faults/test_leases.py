"""Who may write: one at a time, found dead when dead, and never again once somebody else has taken over."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from fiftyone_plugin.store import access, blocks, journal, lock, owners, schema
from fiftyone_plugin.store.lock import Busy, LeaseLost, lease
from hnm_core.io import processes
from hnm_core.io.processes import this_process
from tests.datasets import dataset_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def dataset() -> Iterator[fo.Dataset]:
    made = dataset_of()
    yield made
    fo.delete_dataset(made.name)


def note(dataset: fo.Dataset) -> journal.Journal | None:
    return journal.read(dataset, "run:run")


def test_the_dead_are_told_from_the_living(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {**this_process(), "token": "a"}
    monkeypatch.setattr(owners, "living", {"a"})
    assert not owners.is_dead(here), "this process, and it goes on"
    assert owners.is_dead({**here, "token": "b"}), "this process, and the thread has ended"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        there = {**here, "pid": other.pid, "started": processes._started(other.pid), "token": "b"}
        assert not owners.is_dead(there), "another process of this machine"
        for known in ({"host": "w2"}, {"machine": "x"}, {"space": "pid:[2]"}, {"started": None}):
            assert not owners.is_dead({**there, "pid": 2**22 + 1, **known}), "of another machine nothing is known"
        assert owners.is_dead({**there, "started": "1"}), "its number belongs to another one now"
        assert not owners.is_dead({**there, "boot": "another"}), "this machine earlier, or another of the same image"
    assert owners.is_dead(there), "it is gone"


def test_of_sixteen_threads_one_holds_a_run_and_nothing_is_left(dataset: fo.Dataset) -> None:
    start, done, held, refused = threading.Barrier(16), threading.Barrier(16), [], []

    def take() -> None:
        start.wait()
        try:
            with lease(dataset, "run:run", operator="mine_hard_negatives", who="ana") as ours:
                held.append(ours)
                done.wait()
        except Busy as error:
            refused.append(str(error))
            done.wait()

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 15)
    assert {words.partition(", process")[0] for words in refused} == {
        "run 'run' is being written (mine_hard_negatives, by ana"
    }
    assert note(dataset) is None


def test_different_runs_are_held_side_by_side(dataset: fo.Dataset) -> None:
    with (
        lease(dataset, "run:one", "field:f", operator="mine_hard_negatives") as one,
        lease(dataset, "run:two", operator="mine_hard_negatives") as two,
    ):
        one.check()
        two.check()
        with pytest.raises(Busy), lease(dataset, "run:three", "run:two", operator="rename_mining_run"):
            raise AssertionError
        with lease(dataset, "run:three", operator="rename_mining_run") as three:
            three.check()


def test_a_waiting_one_gets_it_when_it_is_let_go(dataset: fo.Dataset) -> None:
    with lease(dataset, "tags", operator="first") as held:
        threading.Timer(0.3, held.release).start()
        with lease(dataset, "tags", operator="second", wait=10.0) as then:
            then.check()


def test_the_lease_of_a_dead_process_is_taken_at_once(dataset: fo.Dataset) -> None:
    dataset.persistent = True
    script = (
        "import os, fiftyone as fo\n"
        "from fiftyone_plugin.store.lock import lease\n"
        f"d = fo.load_dataset({dataset.name!r})\n"
        "with lease(d, 'run:run', operator='mine_hard_negatives', who='ana') as held:\n"
        "    held.begin('run:run', 'writing', {'fields': ['run_score'], 'runs': [held.numbers['run:run']]})\n"
        "    os._exit(9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == 9, killed.stderr
    left = note(dataset)
    assert left is not None
    assert (left.owner or {})["who"] == "ana"
    assert not owners.is_held(left)
    with lease(dataset, "run:run", operator="delete_mining_run") as held:
        assert held.numbers["run:run"] > left.number
        assert held.journal("run:run").fields == ("run_score",)
        held.finish("run:run", {}, keep=False)
    assert note(dataset) is None
    dataset.persistent = False


def test_a_silent_owner_on_another_machine_is_gone_after_its_time(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "EXPIRY", 0.5)
    monkeypatch.setattr(lock, "this_process", lambda: {**this_process(), "host": "w1"})
    with lease(dataset, "run:run", operator="mine_hard_negatives") as silent:
        monkeypatch.undo()
        monkeypatch.setattr(owners, "EXPIRY", 0.5)
        with pytest.raises(Busy, match=r"process .* on w1"), lease(dataset, "run:run", operator="delete_mining_run"):
            raise AssertionError
        time.sleep(0.8)
        silent._confirmed -= 2.0  # as long ago that it asks the database again
        words = "somebody took over run:run; nothing more was written"
        with lease(dataset, "run:run", operator="delete_mining_run"), pytest.raises(LeaseLost, match=words):
            silent.check()


def test_who_lost_the_lease_writes_no_further_block(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = dataset.values("id")
    monkeypatch.setattr(blocks, "UPDATES", 2)
    with lease(dataset, "run:run", operator="mine_hard_negatives") as slow:
        schema.declare(slow, dataset, {"run_score": (fo.FloatField, "")})
        blocks.set_column(slow, dataset, "run_score", dict.fromkeys(ids[:2], 1.0))
        access.notes().update_one(journal.named(dataset, "run:run"), {"$set": {"value.owner.token": "another"}})
        slow._confirmed -= 2.0  # as long ago that it asks the database again
        with pytest.raises(LeaseLost):
            blocks.set_column(slow, dataset, "run_score", dict.fromkeys(ids[2:], 1.0))
        with pytest.raises(LeaseLost):
            slow.begin("run:run", "writing", {})
    assert dataset._sample_collection.count_documents({"run_score": 1.0}) == 2


def test_a_lease_outlives_its_time_while_its_owner_works(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "EXPIRY", 2.0)
    monkeypatch.setattr(lock, "BEAT", 0.2)
    with lease(dataset, "run:run", operator="train_on_hard_negatives") as held:
        time.sleep(3.0)
        with pytest.raises(Busy), lease(dataset, "run:run", operator="delete_mining_run"):
            raise AssertionError
        held.check()


def test_declaring_and_removing_at_once_loses_and_revives_nothing(dataset: fo.Dataset) -> None:
    def work(key: str) -> None:
        with lease(dataset, f"run:{key}", operator="mine_hard_negatives") as held:
            for number in range(20):
                kinds: Any = {
                    f"{key}_{number}": (fo.FloatField, ""),
                    f"predictions.detections.{key}_{number}": (fo.StringField, "text"),
                }
                schema.declare(held, dataset, kinds)
                if number % 2:
                    schema.undeclare(held, dataset, kinds)

    threads = [threading.Thread(target=work, args=(key,)) for key in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    declared = [path for path in schema.stored(dataset) if path.rpartition(".")[2].startswith(("one", "two", "three"))]
    wanted = {
        f"{at}{key}_{n}"
        for key in ("one", "two", "three")
        for n in range(0, 20, 2)
        for at in ("", "predictions.detections.")
    }
    assert sorted(declared) == sorted(wanted)
    dataset.reload()
    assert wanted <= set(dataset.get_field_schema(flat=True))
