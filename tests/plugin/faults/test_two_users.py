"""Two people at once on one dataset: both are done, one is refused in words, or the later one waits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.actions import export
from fiftyone_plugin.review import states
from fiftyone_plugin.review.ledger import Ledger
from fiftyone_plugin.runs import lifecycle, records, save
from fiftyone_plugin.store import blocks, journal, writeback
from tests.datasets import ACCEPT, APPLY, FIELDS, MINE, RENAME, TRIAGE, dataset_of, stored
from tests.scenes import random_scene


def mine(dataset: fo.Dataset, key: str, **more: Any) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key=key, **{"hard_negative_ratio": 1.0, **more})


def reviewable(dataset: fo.Dataset, key: str = "run") -> list[str]:
    objects = records.load(dataset, key)[1].objects
    rows = zip(objects["side"], objects["label_id"], objects["hard"], objects["error"], strict=True)
    return [f"{side}:{i}" for side, i, hard, error in rows if hard and error == "background"]


@pytest.fixture
def dataset() -> fo.Dataset:
    made = dataset_of(random_scene(7, images=8))
    mine(made, "run")
    return made


def meanwhile(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, what: Callable[[], Any]) -> list[Any]:
    """Let somebody else, a thread of their own, do something just before a step, once; return what it came to."""
    step, came_to, begun = getattr(where, name), [], []

    def other() -> None:
        try:
            came_to.append(what())
        except Exception as error:
            came_to.append(error)

    def first(*args: Any, **more: Any) -> Any:
        if not begun:
            begun.append(name)
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        return step(*args, **more)

    monkeypatch.setattr(where, name, first)
    return came_to


def unlike_the_ledger(dataset: fo.Dataset, key: str) -> int:
    ids = dataset.values("id")
    boxes = states.boxes_of(dataset, records.settings_of(dataset, key), ids)
    now = states.inherited_states(boxes, Ledger(dataset).entries(ids))
    return sum(box.stored_state not in (None, now[box.key]) for box in boxes)


@pytest.mark.parametrize(
    "second",
    [
        lambda dataset: mine(dataset, "new", strategy="iou_based"),
        lambda dataset: mine(dataset, "new", overwrite=True),
        lambda dataset: lifecycle.delete(dataset, "new"),
        lambda dataset: lifecycle.rename(dataset, "run", "new"),
    ],
    ids=["mine", "overwrite", "delete", "rename"],
)
@pytest.mark.parametrize("step", ["declare", "_write_all"])
def test_a_key_that_is_being_mined_is_refused(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch, second: Any, step: str
) -> None:
    where = writeback.schema if step == "declare" else writeback
    came_to = meanwhile(monkeypatch, where, step, lambda: second(dataset))
    mine(dataset, "new")
    assert isinstance(came_to[0], ValueError)
    assert "run 'new' is being written (mine_hard_negatives, by" in str(came_to[0])
    assert sorted(records.keys(dataset)) == ["new", "run"]
    assert not [record.problem for record in records.listed(dataset) if record.problem]


@pytest.mark.parametrize(
    "second",
    [
        lambda dataset: lifecycle.rename(dataset, "run", "new"),
        lambda dataset: lifecycle.delete(dataset, "run"),
        lambda dataset: foo.get_operator(APPLY)(dataset, "run"),
        lambda dataset: mine(dataset, "run", overwrite=True),
    ],
    ids=["rename", "delete", "apply", "overwrite"],
)
def test_a_run_whose_reviews_are_being_applied_is_refused(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch, second: Any
) -> None:
    came_to = meanwhile(monkeypatch, blocks, "write", lambda: second(dataset))
    foo.get_operator(APPLY)(dataset, "run")
    assert "run 'run' is being written (apply_reviews, by" in str(came_to[0])
    assert [record.problem for record in records.listed(dataset)] == [""]


def test_different_keys_are_mined_side_by_side(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    lifecycle.delete(dataset, "run")
    before = stored(dataset)
    came_to = meanwhile(monkeypatch, writeback, "_write_all", lambda: mine(dataset, "other", hard_negative_ratio=0.2))
    mine(dataset, "new")
    assert came_to == [None]
    for key in ("new", "other"):
        assert len(records.load(dataset, key)[1].images["sample_id"]) == len(dataset)
        lifecycle.delete(dataset, key)
    dataset.reload()
    assert stored(dataset) == before


def test_another_run_can_be_deleted_while_one_is_mined(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    came_to = meanwhile(monkeypatch, writeback, "_write_all", lambda: lifecycle.delete(dataset, "run"))
    mine(dataset, "new")
    assert isinstance(came_to[0], lifecycle.Gone)
    assert records.keys(dataset) == ["new"]
    alone = dataset_of(random_scene(7, images=8))
    mine(alone, "new")
    assert dataset.values("tags") == alone.values("tags")
    assert dataset.count_label_tags() == alone.count_label_tags()
    assert not [path for path in dataset.get_field_schema(flat=True) if "run_" in path]


def test_what_is_reviewed_while_a_run_is_mined_is_in_it(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = reviewable(dataset)
    assert len(wanted) > 1
    triage = foo.get_operator(TRIAGE)
    came_to = meanwhile(monkeypatch, save.stored_results, "put", lambda: triage(dataset, "run", "wrong_label", wanted))
    mine(dataset, "new")
    assert came_to[0]["runs"] == ["run"]
    assert [unlike_the_ledger(dataset, key) for key in ("run", "new")] == [0, 0]
    assert "wrong_label" in {s for some in dataset.values("predictions.detections.new_state") for s in some or ()}


def test_what_is_reviewed_while_reviews_are_applied_counts(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = reviewable(dataset)[:1]
    triage = foo.get_operator(TRIAGE)
    came_to = meanwhile(monkeypatch, blocks, "write", lambda: triage(dataset, "run", "missing_label", wanted))
    foo.get_operator(APPLY)(dataset, "run")
    assert came_to[0]["count"] == 1
    assert unlike_the_ledger(dataset, "run") == 0


def test_two_reviewers_at_once_are_both_heard(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    mine(dataset, "other", hard_negative_ratio=0.5)
    first, second, *_ = reviewable(dataset)
    triage = foo.get_operator(TRIAGE)
    came_to = meanwhile(monkeypatch, blocks, "write", lambda: triage(dataset, "other", "wrong_label", [second]))
    assert triage(dataset, "run", "missing_label", [first])["count"] == came_to[0]["count"] == 1
    assert [unlike_the_ledger(dataset, key) for key in ("run", "other")] == [0, 0]
    assert sorted(Counter(entry["state"] for entry in Ledger(dataset).entries()).items()) == [
        ("missing_label", 1),
        ("wrong_label", 1),
    ]


def test_samples_deleted_while_a_run_is_written_are_in_nobodys_way(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = dataset.values("id")[:2]
    came_to = meanwhile(monkeypatch, writeback, "_write_all", lambda: dataset.delete_samples(gone))
    mine(dataset, "new")
    assert came_to == [None]
    dataset.reload()
    assert not records.find(dataset, "new").problem
    assert len(dataset.exists("new_score")) == len(dataset) == 6
    lifecycle.delete(dataset, "new")
    assert not [path for path in dataset.get_field_schema(flat=True) if "new_" in path]


@pytest.mark.parametrize(
    ("step", "refused"), [("_images", "dataset .* has no mining run 'run'"), ("export_weighted", "")]
)
def test_a_run_deleted_while_it_is_exported_is_refused_or_whole(
    step: str, refused: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    dataset = dataset_of(random_scene(7, images=8), tmp_path / "images")
    mine(dataset, "run")
    came_to = meanwhile(monkeypatch, export, step, lambda: lifecycle.delete(dataset, "run"))
    out = tmp_path / "out"
    if refused:
        with pytest.raises(ValueError, match=refused):
            export.export(dataset, "run", out, layout="torch")
        assert not out.exists()
    else:
        assert export.export(dataset, "run", out, layout="torch")["images"] == {"train": 8}
    assert isinstance(came_to[0], lifecycle.Gone)
    assert not list(tmp_path.glob(".*"))


def test_of_two_copies_of_one_name_one_is_refused(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    found = reviewable(dataset)
    foo.get_operator(TRIAGE)(dataset, "run", "missing_label", found)
    accept = foo.get_operator(ACCEPT)
    came_to = meanwhile(monkeypatch, blocks, "copy", lambda: accept(dataset, "run", "copied"))
    accept(dataset, "run", "copied")
    assert "field 'copied' is being written (accept_missing_labels, by" in str(came_to[0])
    added = dataset.count("copied.detections") - dataset.count("ground_truth.detections")
    assert added == len(found)


def test_a_copy_that_is_being_written_is_no_truth(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    foo.get_operator(TRIAGE)(dataset, "run", "missing_label", reviewable(dataset))
    asked = {"pred_field": "predictions", "gt_field": "copied", "run_key": "new"}

    def mine_it() -> None:
        dataset.reload()  # as another process sees it
        foo.get_operator(MINE)(dataset, **asked)

    came_to = meanwhile(monkeypatch, blocks, "copy", mine_it)
    foo.get_operator(ACCEPT)(dataset, "run", "copied")
    assert "field 'copied' is being copied (accept_missing_labels, by" in str(came_to[0])
    foo.get_operator(MINE)(dataset, **asked)


def test_boxes_edited_all_the_time_leave_nothing(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored(dataset)
    monkeypatch.setattr(writeback, "ATTEMPTS", 0)
    with pytest.raises(RuntimeError, match="samples are being edited while they are written"):
        mine(dataset, "new")
    assert stored(dataset) == before
    assert [note.key for note in journal.runs(dataset)] == ["run"]


def test_renaming_touches_no_sample_without_boxes(dataset: fo.Dataset) -> None:
    ids = [found["_id"] for found in dataset._sample_collection.find({}, ["_id"])]
    dataset._sample_collection.update_one({"_id": ids[0]}, {"$set": {"ground_truth": None}})
    dataset._sample_collection.update_one({"_id": ids[1]}, {"$unset": {"predictions": ""}})
    foo.get_operator(RENAME)(dataset, "run", "new")
    first, second = (dataset._sample_collection.find_one({"_id": i}) for i in ids[:2])
    assert first["ground_truth"] is None
    assert "predictions" not in second
    assert first["new_score"] is not None
    assert "run_score" not in first


def test_an_attribute_that_nobody_declared_is_in_the_way() -> None:
    made = dataset_of(random_scene(7, images=8))
    boxes = {"predictions.detections.0": {"$exists": True}}
    made._sample_collection.update_many(boxes, {"$set": {"predictions.detections.0.track_state": "lost"}})
    before = stored(made)
    with pytest.raises(
        ValueError, match=r"'predictions.detections.track_state' is stored in sample .*: choose another"
    ):
        mine(made, "track")
    mine(made, "run")
    with pytest.raises(
        ValueError, match=r"'predictions.detections.track_state' is stored in sample .*: choose another"
    ):
        lifecycle.rename(made, "run", "track")
    lifecycle.delete(made, "run")
    assert stored(made) == before
