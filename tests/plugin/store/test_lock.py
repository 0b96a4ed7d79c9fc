"""The protocol step by step: what a lease and its journal hold after each of them, as the database has it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import fiftyone as fo
import pytest
from pymongo.errors import AutoReconnect

from fiftyone_plugin.store import access, journal, lock, owners, reservations
from fiftyone_plugin.store.journal import Journal
from fiftyone_plugin.store.lock import Busy, Lease, LeaseLost, lease
from hnm_core.io.processes import this_process
from tests.datasets import dataset_of
from tests.scenes import HERE, scene

RUN = "run:run"


@pytest.fixture
def dataset() -> Iterator[fo.Dataset]:
    made = dataset_of(scene([("a", "cat", 0.9, HERE)], [("a", "cat", HERE)]))
    yield made
    fo.delete_dataset(made.name)


@pytest.fixture
def followers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What brings runs in line with reviews: nothing yet."""
    found: list[Any] = []
    monkeypatch.setattr(lock, "_followers", found)
    return found


def note(dataset: fo.Dataset, name: str = RUN) -> Journal:
    found = journal.read(dataset, name)
    assert found is not None
    return found


def document(dataset: fo.Dataset, name: str = RUN) -> dict[str, Any]:
    found = access.notes().find_one(journal.named(dataset, name))
    assert found is not None
    return dict(found)


def ask_again(held: Lease) -> None:
    """Make a lease so old that the next check asks the database."""
    held._confirmed -= 2.0


def test_a_lease_says_who_holds_it_since_when_and_with_a_number_that_grows(dataset: fo.Dataset) -> None:
    before = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(seconds=5)
    with lease(dataset, RUN, operator="mine_hard_negatives", who="ana") as held:
        found = note(dataset)
        assert found.owner is not None
        assert (found.owner["who"], found.owner["operator"]) == ("ana", "mine_hard_negatives")
        assert found.owner["token"] in owners.living
        assert found.number == held.numbers[RUN] > 1_600_000_000_000, "no number is given twice, after a deletion too"
        assert found.since is not None
        assert before < found.since <= found.now
        assert found.since == found.beat
        assert found.state is None
        assert not found.begun_by_owner
        assert owners.is_held(found)
        held.begin(RUN, "writing", {"fields": ["a", "b"], "runs": [1], "lists": [{"x": 1}], "files": [2]}, peer="new")
        begun = note(dataset)
        assert (begun.state, begun.peer, begun.fields, begun.runs) == ("writing", "new", ("a", "b"), (1,))
        assert (begun.lists, begun.files) == (({"x": 1},), (2,))
        assert begun.by == {"who": "ana", "operator": "mine_hard_negatives", "since": begun.by["since"]}
        assert begun.begun_by_owner
        held.begin(RUN, "replacing", {"fields": ["b", "c"]})
        assert note(dataset).fields == ("a", "b", "c"), "what may exist is added to, never forgotten"
        assert note(dataset).peer is None
        held.finish(RUN, {"fields": ["c"], "runs": [3]})
        done = note(dataset)
        assert (done.state, done.fields, done.runs, done.files) == ("done", ("c",), (3,), (2,))
        assert done.written == held.numbers[RUN]
        assert done.peer is None
        token = found.owner["token"]
    left = note(dataset)
    assert left.owner is None
    assert token not in owners.living
    assert not owners.is_held(left)
    assert [each.name for each in journal.runs(dataset)] == [RUN]
    with lease(dataset, RUN, operator="delete_mining_run") as again:
        assert again.numbers[RUN] > found.number
        assert not note(dataset).begun_by_owner, "somebody before began what the state says"
        again.finish(RUN, {}, keep=False)
        gone = note(dataset)
        assert (gone.state, gone.fields, gone.lists, gone.runs, gone.files) == (None, (), (), (), ())
    assert journal.read(dataset, RUN) is None
    assert journal.runs(dataset) == []


def test_the_user_of_the_process_writes_where_nobody_is_named(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError("uid not found")

    for user, known in ((lambda: "ben", "ben"), (nameless, "somebody")):
        monkeypatch.setattr(lock.getpass, "getuser", user)
        with lease(dataset, RUN, operator="mine_hard_negatives"):
            assert (note(dataset).owner or {})["who"] == known


def test_a_lease_is_renewed_by_the_clock_of_the_database(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.05)
    with lease(dataset, RUN, operator="mine_hard_negatives") as held:
        (thread,) = (each for each in threading.enumerate() if each.name == "lease")
        first, until = note(dataset), time.monotonic() + 20
        while note(dataset).beat == first.beat and time.monotonic() < until:
            time.sleep(0.05)
        assert first.beat < note(dataset).beat
        assert first.since == note(dataset).since
        assert thread.daemon
        held.check()
    thread.join(20)
    assert not thread.is_alive()


def test_a_database_that_was_away_is_asked_again(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.05)
    beats, true_beat = [], Lease._beat

    def beat(held: Lease) -> None:
        beats.append(1)
        if len(beats) == 1:
            raise AutoReconnect("gone")
        true_beat(held)

    monkeypatch.setattr(Lease, "_beat", beat)
    with lease(dataset, RUN, operator="mine_hard_negatives") as held:
        until = time.monotonic() + 20
        while len(beats) < 3 and time.monotonic() < until:
            time.sleep(0.02)
        held.check()
    assert len(beats) >= 3


def test_a_database_that_stays_silent_ends_the_right_to_write(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lease(dataset, RUN, operator="mine_hard_negatives") as held:
        held.check()
        monkeypatch.setattr(Lease, "_beat", lambda _: None)
        held._confirmed = time.monotonic() - lock.TRUSTED + 5
        held.check()
        held._confirmed = time.monotonic() - lock.TRUSTED - 0.1
        with pytest.raises(LeaseLost, match=r"the database was silent for 30 s; nothing more was written: start again"):
            held.check()
        with pytest.raises(LeaseLost):
            held.begin(RUN, "writing", {})
    assert journal.read(dataset, RUN) is None


@pytest.mark.parametrize("step", ["begin", "finish", "move", "journal", "check"])
def test_who_lost_the_lease_changes_nothing_of_the_journal(dataset: fo.Dataset, step: str) -> None:
    steps = {
        "begin": lambda held: held.begin(RUN, "writing", {"fields": ["mine"]}),
        "finish": lambda held: held.finish(RUN, {"fields": ["mine"]}),
        "move": lambda held: held.move(RUN, "run:new", {}),
        "journal": lambda held: held.journal(RUN),
        "check": lambda held: held.check(),
    }
    with lease(dataset, RUN, "run:new", operator="mine_hard_negatives") as held:
        if step == "journal":
            access.notes().delete_one(journal.named(dataset, RUN))
        else:
            access.notes().update_one(journal.named(dataset, RUN), {"$inc": {"value.number": 1}})
            before = document(dataset)
        if step == "check":
            ask_again(held)
        with pytest.raises(LeaseLost, match=f"somebody took over {RUN}"):
            steps[step](held)
        if step != "journal":
            assert document(dataset) == before
    if step != "journal":
        assert document(dataset) == before, "the lease of another one is not given back"


def test_a_renamed_run_takes_its_journal_along(dataset: fo.Dataset) -> None:
    with lease(dataset, RUN, "run:new", operator="rename_mining_run") as held:
        held.begin(RUN, "renaming", {"fields": ["run_score", "new_score"], "runs": [1]}, peer="new")
        number = held.numbers[RUN]
        held.move(RUN, "run:new", {"fields": ["new_score"]})
        moved = note(dataset, "run:new")
        assert (moved.state, moved.fields, moved.runs, moved.peer) == ("done", ("new_score",), (1,), None)
        assert moved.written == moved.number == number == held.numbers["run:new"]
        assert RUN not in held.numbers
        assert journal.read(dataset, RUN) is None
        assert held.journal("run:new").key == "new"
    assert note(dataset, "run:new").owner is None


def test_all_or_none_is_taken(dataset: fo.Dataset) -> None:
    with lease(dataset, "run:b", operator="first", who="ana"):
        with pytest.raises(Busy) as refused, lease(dataset, "run:c", "run:b", "run:a", operator="second"):
            raise AssertionError
        assert journal.read(dataset, "run:a") is None
        assert journal.read(dataset, "run:c") is None
    here = this_process()
    where = f"process {here['pid']} on {here['host']}"
    assert str(refused.value) == (
        f"run 'b' is being written (first, by ana, {where}): wait until it is done, or stop that process and try again "
        f"in a minute"
    )
    with lease(dataset, "run:a", "run:b", operator="third") as held:
        assert set(held.numbers) == {"run:a", "run:b"}


def test_nobody_waits_unless_asked_and_no_longer_than_asked(dataset: fo.Dataset) -> None:
    with lease(dataset, RUN, operator="first"):
        for wait, least, most in ((0.0, 0.0, 5.0), (0.4, 0.4, 10.0)):
            begun = time.monotonic()
            with pytest.raises(Busy), lease(dataset, RUN, operator="second", wait=wait):
                raise AssertionError
            assert least <= time.monotonic() - begun < most


def test_a_lease_that_is_held_takes_more_and_gives_only_that_back(dataset: fo.Dataset) -> None:
    with lease(dataset, RUN, operator="train_on_hard_negatives") as outer:
        with lease(dataset, RUN, "field:f", operator="predict_with_yolo", held=outer) as inner:
            assert inner is outer
            assert set(outer.numbers) == {RUN, "field:f"}
            assert len([each for each in threading.enumerate() if each.name == "lease"]) == 1
            outer.begin("field:f", "predicting", {"fields": ["f"]})
        assert set(outer.numbers) == {RUN}
        assert note(dataset, "field:f").owner is None
        assert note(dataset, "field:f").state == "predicting", "it was begun, and nobody has finished it"
        outer.check()
        assert note(dataset).owner is not None


def test_reviews_made_meanwhile_are_copied_before_a_run_is_let_go(dataset: fo.Dataset, followers: list[Any]) -> None:
    seen: list[Any] = []

    def follow(held: Lease, key: str) -> None:
        seen.append((key, note(dataset, f"run:{key}").owner is not None, note(dataset, f"run:{key}").dirty))
        if len(seen) == 1:
            assert journal.mark_dirty(dataset, key), "one more while they are copied"

    lock.on_release(follow)
    lock.on_release(follow)
    assert followers == [follow]
    with lease(dataset, RUN, operator="mine_hard_negatives") as held:
        held.begin(RUN, "writing", {"runs": [1]})
        assert journal.mark_dirty(dataset, "run")
        assert not journal.mark_dirty(dataset, "other")
        held.finish(RUN, {"runs": [1]})
    assert seen == [("run", True, False), ("run", True, False)]
    assert (note(dataset).owner, note(dataset).dirty) == (None, False)
    assert not journal.mark_dirty(dataset), "nobody is at work"
    with lease(dataset, RUN, operator="mine_hard_negatives") as held:
        held.begin(RUN, "writing", {})
        assert journal.mark_dirty(dataset), "any run"
    assert len(seen) == 2, "a run that is not finished follows nothing"
    assert note(dataset).dirty
    assert journal.mark_dirty(dataset, "run"), "left unfinished"


def test_reviews_that_cannot_be_copied_stay_noted(
    dataset: fo.Dataset, followers: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(held: Lease, key: str) -> None:
        raise ValueError("no ledger")

    lock.on_release(broken)
    with lease(dataset, RUN, operator="mine_hard_negatives") as held:
        held.begin(RUN, "writing", {"runs": [1]})
        journal.mark_dirty(dataset)
        held.finish(RUN, {"runs": [1]})
    assert (note(dataset).owner, note(dataset).dirty) == (None, True)
    assert "reviews made while run:run was written are not copied into it yet" in caplog.text


def test_a_journal_is_made_once_and_read_by_the_clock_of_the_database(dataset: fo.Dataset) -> None:
    assert journal.read(dataset, RUN) is None
    journal.make(dataset, RUN)
    first = document(dataset)
    assert first["value"] == dict(journal.EMPTY)
    assert first["policy"] == "persist"
    journal.make(dataset, RUN)
    assert document(dataset) == first
    found = note(dataset)
    assert abs(found.now.replace(tzinfo=timezone.utc) - datetime.now(timezone.utc)) < timedelta(seconds=60)
    assert (found.name, found.key, found.state, found.owner) == (RUN, "run", None, None)
    assert journal.runs(dataset) == []
    for name, state in (("run:b", "done"), ("run:a", "writing"), ("field:c", "copying")):
        journal.make(dataset, name)
        access.notes().update_one(journal.named(dataset, name), {"$set": {"value.state": state}})
    assert [each.name for each in journal.runs(dataset)] == ["run:a", "run:b"]
    access.notes().update_one(journal.named(dataset, RUN), {"$set": {"value": None}})
    emptied = note(dataset)
    assert emptied == replace(Journal(RUN), now=emptied.now, by={})


def test_an_owner_expires_when_it_gives_no_sign_of_life() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5)
    alive = Journal(RUN, beat=now - timedelta(seconds=10), now=now)
    assert not alive.expired(10)
    assert alive.expired(9.9)
    assert replace(alive, beat=None).expired(1e6)
    assert replace(alive, now=None).expired(1e6)
    owner = {**this_process(), "token": "t"}
    begun = replace(alive, owner=owner, since=now, by={"since": now})
    assert begun.begun_by_owner
    assert not replace(begun, owner=None).begun_by_owner
    assert not replace(begun, since=None).begun_by_owner
    assert not replace(begun, by={"since": now - timedelta(seconds=1)}).begun_by_owner
    assert not replace(begun, by=None).begun_by_owner


@pytest.mark.parametrize(
    ("change", "held", "said"),
    [
        (
            {"state": "writing"},
            False,
            "run 'run' was interrupted while it was being written (mine, by ana, since 2026-01-02 03:04:05 UTC): "
            "delete it (delete_mining_run), or mine again under its key and overwrite it",
        ),
        (
            {"state": "renaming", "peer": "new"},
            True,
            "run 'run' is being renamed to 'new' (mine, by ana, since 2026-01-02 03:04:05 UTC): wait until it is done",
        ),
        (
            {"name": "field:gta", "state": "copying", "by": {}},
            False,
            "field 'gta' was interrupted while it was being copied (an operator, by somebody, since an unknown time): "
            "accept again with this output_field (accept_missing_labels), or delete the field",
        ),
        (
            {"state": None, "by": None},
            False,
            "run 'run' was interrupted while it was being written (an operator, by somebody, since an unknown time): "
            "delete it (delete_mining_run), or mine again under its key and overwrite it",
        ),
    ],
)
def test_what_is_not_finished_is_said(change: dict[str, Any], held: bool, said: str) -> None:
    by = {"operator": "mine", "who": "ana", "since": datetime(2026, 1, 2, 3, 4, 5)}
    assert journal.unfinished(replace(Journal(RUN, by=by), **change), held=held) == said


def test_what_is_being_written_is_said() -> None:
    owner = {"operator": "mine", "who": "ana", "pid": 7, "host": "w1"}
    ends = "wait until it is done, or stop that process and try again in a minute"
    where = "(mine, by ana, process 7 on w1)"
    assert journal.busy("field:f", Journal("field:f", owner=owner)) == f"field 'f' is being written {where}: {ends}"
    assert journal.busy("tags", Journal("tags", owner=owner)) == (
        f"the tags of this dataset are being written {where}: {ends}"
    )
    for nobody in (None, Journal(RUN)):
        assert journal.busy(RUN, nobody) == "run 'run' is being written by somebody else: try again"


def test_what_a_reader_looks_at_is_reserved_until_it_is_given_back(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    reservations.take(dataset, "run", "ana", ["a", "b"])
    reservations.take(dataset, "run", "ben", iter(["c"]))
    reservations.take(dataset, "other", "eve", ["d"])
    assert reservations.of_others(dataset, "run", "ben") == {"a", "b"}
    assert reservations.of_others(dataset, "run", "eve") == {"a", "b", "c"}
    assert reservations.of_others(dataset, "other", "ana") == {"d"}
    reservations.take(dataset, "run", "ana", ["e"])
    assert reservations.of_others(dataset, "run", "ben") == {"e"}, "instead of those before"
    reservations.give_back(dataset, "ana")
    reservations.give_back(dataset, "ana")
    assert reservations.of_others(dataset, "run", "ben") == set()
    about = {"store_name": reservations.STORE, "key": "ben", "dataset_id": access.dataset_id(dataset)}
    lasts = access.notes().find_one(about)
    assert 590 < (lasts["expires_at"] - lasts["updated_at"]).total_seconds() < 610
    access.notes().update_one(about, {"$set": {"expires_at": datetime.now(timezone.utc) - timedelta(seconds=1)}})
    assert reservations.of_others(dataset, "run", "ana") == set(), "MongoDB removes it only once a minute"
