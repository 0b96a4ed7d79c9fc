"""The record of a run: what it tells, how it is found again, replaced, renamed, and undone even after a crash."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from pymongo.errors import AutoReconnect

from fiftyone_plugin.runs import lifecycle, records, save
from fiftyone_plugin.settings import RunSettings
from fiftyone_plugin.store import box_tables, schema, writeback
from hnm_core import __version__, mine
from tests.datasets import DELETE, FIELDS, MINE, VIEW, dataset_of, stored
from tests.scenes import FAR, HERE, scene

ROOT = Path(__file__).parents[3]


def mine_run(dataset: fo.Dataset, run_key: str = "run", **more: object) -> RunSettings:
    settings = RunSettings.from_params({**FIELDS, "run_key": run_key, **more})
    tables = box_tables.read_tables(dataset, settings)
    result = mine(tables.predictions, tables.truth, settings.engine)
    save.record(dataset, tables, result, settings, overwrite=bool(more.get("overwrite")))
    return settings


def failing(error: BaseException) -> Any:
    """A function that does nothing but fail."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def other_object(dataset: fo.Dataset) -> fo.Dataset:
    """The dataset as another process holds it: read from the database now, and nothing shared with ``dataset``."""
    own = fo.Dataset._instances.pop(dataset.name)
    try:
        return fo.load_dataset(dataset.name)
    finally:
        fo.Dataset._instances[dataset.name] = own


def test_a_run_tells_what_was_asked() -> None:
    dataset = dataset_of(scene([("a", "a.b", 0.9, FAR)], [("a", "a.b", HERE)]))
    asked = mine_run(dataset, class_confidence={"a.b": 0.3}, class_map={"$x": "a.b"}, strategy="iou_based")
    settings, _ = records.load(dataset, "run")
    config = dataset.get_run_info("run").config
    assert settings == asked
    assert config.engine_version == __version__
    assert (config.method, config.finished, config.pred_field) == ("hard_negative_mining", True, "predictions")
    assert dataset.list_runs(method=records.METHOD, gt_field="ground_truth") == ["run"]


def test_results_hold_what_counts_in_the_report() -> None:
    dataset = dataset_of()
    mine_run(dataset)
    _, results = records.load(dataset, "run")
    assert results.report["statistics"]["total_predictions"] == 9
    assert "Hard-negative mining" in results.summary
    assert "10 of 10 samples have no split by sample tags: they count as train" in results.warnings
    objects = results.objects
    assert len({len(column) for column in objects.values()}) == 1
    assert Counter(objects["side"]) == {"prediction": 8, "truth": 6}
    false = [e for e, side in zip(objects["error"], objects["side"], strict=True) if side == "prediction"]
    assert Counter(false) == {
        **{"true_positive": 2, "localization": 1, "classification": 1, "duplicate": 1, "background": 1, "both": 1},
        "ignored": 1,
    }
    mined = [(t, h) for t, h in zip(objects["type"], objects["hard"], strict=True)]
    assert all(bool(kind) == hard for kind, hard in mined)
    rows = zip(objects["label_id"], objects["iou"], objects["sample_id"], strict=True)
    labels = {
        label.id: (label.run_iou, s.id)
        for s in dataset
        for f in FIELDS.values()
        for label in s[f].detections
        if "run_iou" in label  # predictions below the threshold have no field
    }
    assert all(labels[label_id] == (iou, sample_id) for label_id, iou, sample_id in rows)


def test_a_run_is_found_again_by_another_process() -> None:
    dataset = dataset_of()
    dataset.persistent = True
    mine_run(dataset)
    script = (
        "import fiftyone as fo, fiftyone_plugin.runs.records as r\n"
        f"d = fo.load_dataset({dataset.name!r})\n"
        "settings, results = r.load(d, 'run')\n"
        "print(type(d.get_run_info('run').config).__name__, type(results).__name__, len(results.objects['iou']))\n"
        "d.delete_run('run')\n"
        "print(d.has_field('run_score'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[-3:] == ["MiningRunConfig MiningRunResults 14", "False", ""]
    dataset.persistent = False


def test_what_another_process_saves_later_leaves_a_run_alone() -> None:
    dataset = dataset_of()
    before = other_object(dataset)  # as a process holds it that loaded the dataset before there was a run
    mine_run(dataset)
    before.info["note"] = "unlike"
    before.save()
    before.add_sample_field("note", fo.StringField)
    before.save_view("one", before.limit(1))
    before.register_run("theirs", before.init_run())
    before.delete_run("theirs")
    now = other_object(dataset)
    assert records.keys(now) == ["run"]
    assert records.load(now, "run")[0].run_key == "run"
    fields = now.get_field_schema(flat=True)
    assert {"note", *writeback.fields_of("run", records.settings_of(now, "run"))} <= set(fields)


def test_fiftyones_own_delete_run_undoes_it_too() -> None:
    dataset = dataset_of()
    before = stored(dataset)
    mine_run(dataset)
    dataset.delete_run("run")
    assert stored(dataset) == before


def test_an_existing_key_is_refused_and_left_alone() -> None:
    dataset = dataset_of()
    mine_run(dataset)
    before = stored(dataset)
    with pytest.raises(ValueError, match="run 'run' exists: choose another run_key, such as 'hard_negatives', or set"):
        mine_run(dataset, strategy="loss_based")
    assert stored(dataset) == before


def test_overwriting_replaces_a_run_entirely() -> None:
    dataset = dataset_of()
    mine_run(dataset, hard_negative_ratio=1.0, hard_image_share=1.0)
    mine_run(dataset, overwrite=True, hard_negative_ratio=0.1)
    fresh = dataset_of()
    mine_run(fresh, hard_negative_ratio=0.1)
    for path in ("run_count", "tags", "predictions.detections.run_state", "predictions.detections.tags"):
        assert dataset.values(path) == fresh.values(path), path
    lifecycle.delete(dataset, "run")
    assert not [path for path in dataset.get_field_schema(flat=True) if "run_" in path]


def test_a_mining_that_fails_keeps_the_run_it_would_have_replaced() -> None:
    dataset = dataset_of()
    mine_run(dataset)
    before = stored(dataset)
    with pytest.raises(ValueError, match=r"strategy must be one of confidence_based, .*, got 'best'"):
        foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", overwrite=True, strategy="best")
    assert stored(dataset) == before


@pytest.mark.parametrize("step", ["overview", "_objects"])
def test_nothing_is_taken_away_before_everything_is_worked_out(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    dataset = dataset_of()
    mine_run(dataset)
    before = stored(dataset)
    monkeypatch.setattr(save, step, failing(TypeError("no number")))
    with pytest.raises(TypeError, match="no number"):
        mine_run(dataset, overwrite=True)
    assert stored(dataset) == before


STEPS = ((writeback, "_write"), (schema, "declare"), (lifecycle, "clear"))


@pytest.mark.parametrize("error", [AutoReconnect("connection closed"), KeyboardInterrupt()], ids=["error", "ctrl_c"])
@pytest.mark.parametrize(("where", "step"), STEPS)
def test_a_run_that_was_being_replaced_is_refused_in_words(
    monkeypatch: pytest.MonkeyPatch, where: Any, step: str, error: BaseException
) -> None:
    dataset = dataset_of()
    before = stored(dataset)
    mine_run(dataset)
    mined = stored(dataset)["documents"]
    with monkeypatch.context() as broken:
        broken.setattr(where, step, failing(error))
        words = (
            r"run 'run' is neither what it was nor new: it was being replaced when writing failed \(AutoReconnect: "
            r"connection closed\); mine again under its key with overwrite, or delete it"
        )
        told = isinstance(error, Exception)
        with pytest.raises(RuntimeError if told else KeyboardInterrupt, match=words if told else None):
            mine_run(dataset, overwrite=True)
    with pytest.raises(ValueError, match=r"run 'run' was interrupted while it was being replaced .*: delete it"):
        foo.get_operator(VIEW)(dataset, run_key="run")
    mine_run(dataset, overwrite=True)
    assert stored(dataset)["documents"] == mined
    lifecycle.delete(dataset, "run")
    assert stored(dataset) == before


@pytest.mark.parametrize("error", [AutoReconnect("connection closed"), KeyboardInterrupt()], ids=["error", "ctrl_c"])
def test_a_run_that_was_not_begun_to_be_replaced_stays(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    dataset = dataset_of()
    mine_run(dataset)
    before = stored(dataset)
    with monkeypatch.context() as broken:
        broken.setattr(lifecycle, "begin", failing(error))
        with pytest.raises(type(error)):
            mine_run(dataset, overwrite=True)
    assert stored(dataset) == before


def test_a_first_run_that_cannot_be_written_says_only_why(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dataset_of()
    before = stored(dataset)
    monkeypatch.setattr(writeback, "_write", failing(AutoReconnect("connection closed")))
    with pytest.raises(AutoReconnect, match=r"^connection closed"):
        mine_run(dataset)
    assert stored(dataset) == before


def test_replacing_a_run_leaves_the_users_tags_theirs() -> None:
    dataset = dataset_of()
    dataset.limit(5).tag_samples("hard_negative")
    dataset.limit(5).tag_labels("hard_negative", ["predictions"])
    before = stored(dataset)
    mine_run(dataset, hard_negative_ratio=1.0)
    mine_run(dataset, "other")
    mine_run(dataset, overwrite=True, hard_negative_ratio=1.0)
    for key in ("other", "run"):
        lifecycle.delete(dataset, key)
    assert stored(dataset) == before


def test_runs_of_others_are_never_touched() -> None:
    dataset = dataset_of()
    dataset.register_run("theirs", dataset.init_run(method="theirs"))
    with pytest.raises(ValueError, match="run 'theirs' exists and was not made by this plugin: choose another run_key"):
        mine_run(dataset, "theirs", overwrite=True)
    with pytest.raises(ValueError, match="has no mining run 'theirs': there is none yet, mine first"):
        lifecycle.delete(dataset, "theirs")
    assert records.keys(dataset) == []
    assert dataset.list_runs() == ["theirs"]


def test_a_key_that_no_run_has_is_answered_with_those_there_are() -> None:
    dataset = dataset_of()
    mine_run(dataset, "one")
    mine_run(dataset, "two")
    with pytest.raises(ValueError, match="has no mining run 'three': runs are 'one', 'two'"):
        records.load(dataset, "three")


def test_free_keys_count_on() -> None:
    dataset = dataset_of(scene([("a", "cat", 0.9, FAR)], [("a", "cat", HERE)]))
    assert records.free_key(dataset) == "hard_negatives"
    mine_run(dataset, "hard_negatives")
    assert records.free_key(dataset) == "hard_negatives_2"


def test_renaming_takes_the_fields_along() -> None:
    dataset = dataset_of()
    before = stored(dataset)
    mine_run(dataset, "old")
    values = dataset.values(["old_score", "predictions.detections.old_error"])
    dataset.rename_run("old", "new")
    assert dataset.values(["new_score", "predictions.detections.new_error"]) == values
    assert not [path for path in dataset.get_field_schema(flat=True) if "old_" in path]
    settings, results = records.load(dataset, "new")
    assert settings.run_key == "new"
    assert results.report["mining"]["images"] == 10
    lifecycle.delete(dataset, "new")
    assert stored(dataset) == before


@pytest.mark.slow
def test_what_a_killed_writer_leaves_can_be_undone() -> None:
    dataset = dataset_of()
    dataset.persistent = True
    before = stored(dataset)
    script = (
        "import os, fiftyone as fo, fiftyone.operators as foo\n"
        f"d = fo.load_dataset({dataset.name!r})\n"
        "import fiftyone_plugin.store.writeback as w\n"
        "w._write_all = lambda *a, then=w._write_all: (then(*a), os._exit(9))\n"
        f"foo.get_operator({MINE!r})(d, 'predictions', 'ground_truth', 'run')\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == 9, killed.stderr
    dataset.reload()
    assert dataset.count("predictions.detections.run_error")
    words = r"run 'run' was interrupted while it was being written \(mine_hard_negatives, by .*\): delete it"
    with pytest.raises(ValueError, match=words):
        records.load(dataset, "run")
    assert foo.get_operator(DELETE)(dataset, "run")["run_key"] == "run"
    assert stored(dataset) == before
    dataset.persistent = False


def test_a_record_without_anything_written_can_be_undone() -> None:
    dataset = dataset_of()
    before = stored(dataset)
    dataset.register_run("run", records.MiningRunConfig.of(RunSettings.from_params({**FIELDS, "run_key": "run"})))
    with pytest.raises(ValueError, match="run 'run' was interrupted"):
        records.load(dataset, "run")
    mine_run(dataset, "other")  # whose tags must not depend on what the first one would have held
    lifecycle.delete(dataset, "other")
    lifecycle.delete(dataset, "run")
    assert stored(dataset) == before


def test_a_failed_undo_keeps_the_record_to_try_again() -> None:
    dataset = dataset_of()
    before = stored(dataset)
    mine_run(dataset)
    dataset.get_field("run_score").read_only = True
    dataset.get_field("run_score").save()
    with pytest.raises(ValueError, match="read-only"):
        lifecycle.delete(dataset, "run")
    assert records.keys(dataset) == ["run"]
    dataset.get_field("run_score").read_only = False
    dataset.get_field("run_score").save()
    lifecycle.delete(dataset, "run")
    assert stored(dataset) == before
