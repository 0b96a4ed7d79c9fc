"""Reviews applied to a stored run: the same as mining anew, and exports follow at once."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.review import reweigh
from fiftyone_plugin.runs import records
from tests.datasets import APPLY, DELETE, EXPORT, FIELDS, MINE, TRIAGE, being, dataset_of, stored
from tests.scenes import FAR, HERE, high, random_scene, scene

OBJECTS = ("error", "difficulty", "suspicion", "state")


def mined(key: str = "run", dataset: fo.Dataset | None = None, **settings: Any) -> fo.Dataset:
    dataset = dataset or dataset_of(random_scene(5, images=30))
    foo.get_operator(MINE)(dataset, **FIELDS, run_key=key, **settings)
    return dataset


def written(dataset: fo.Dataset, key: str) -> list[Any]:
    objects = [f"{field}.detections.{key}_{name}" for field in FIELDS.values() for name in OBJECTS]
    return dataset.values([*objects, *(f"{key}_{name}" for name in ("score", "weight", "count"))])


def tags(dataset: fo.Dataset) -> list[Any]:
    return dataset.values(["tags", *(f"{field}.detections.tags" for field in FIELDS.values())])


def results(dataset: fo.Dataset, key: str) -> dict[str, Any]:
    _, found = records.load(dataset, key)
    names = ("report", "summary", "weight_notes", "objects", "images", "classes", "tagged_samples", "tagged_labels")
    return {name: getattr(found, name) for name in names}


def review(dataset: fo.Dataset, reviews: dict[str, slice]) -> None:
    """Review the mined false positives, by their place in the stored run."""
    objects = records.load(dataset, "run")[1].objects
    mistakes = [i for i, kind in zip(objects["label_id"], objects["type"], strict=True) if kind == "false_positive"]
    for state, some in reviews.items():
        foo.get_operator(TRIAGE)(dataset, run_key="run", state=state, label_ids=mistakes[some])


def test_it_is_what_mining_again_gives() -> None:
    dataset = mined()
    before = dataset.values("run_weight")
    review(dataset, {"missing_label": slice(0, 12), "hard_negative": slice(12, 20), "wrong_label": slice(20, 22)})
    assert dataset.values("run_weight") == before
    done = foo.get_operator(APPLY)(dataset, run_key="run")
    assert done["review_count"] == 22
    assert dataset.values("run_weight") != before
    applied, carried, found = written(dataset, "run"), tags(dataset), results(dataset, "run")
    mined("run", dataset, overwrite=True)
    again = results(dataset, "run")
    assert written(dataset, "run") == applied
    assert tags(dataset) == carried
    assert {name: sorted(found[name]) for name in ("tagged_samples", "tagged_labels")} == {
        name: sorted(again[name]) for name in ("tagged_samples", "tagged_labels")
    }
    for name in ("report", "summary", "weight_notes", "objects", "images", "classes"):
        assert found[name] == again[name], name


def test_lists_that_were_cleared_since_are_passed_over() -> None:
    dataset = mined()
    review(dataset, {"missing_label": slice(0, 12)})
    cleared = dataset.match_tags("hard_negative").first()
    cleared.predictions = None
    cleared.save()
    foo.get_operator(APPLY)(dataset, run_key="run")
    assert dataset.get_run_info("run").config.finished
    assert dataset[cleared.id].predictions is None
    assert len(dataset.exists("run_weight")) == len(dataset)


def test_the_panel_reads_the_new_numbers() -> None:
    dataset = mined()
    review(dataset, {"missing_label": slice(0, 12)})
    foo.get_operator(APPLY)(dataset, run_key="run")
    applied = dataset.get_run_info("run").config
    mined("run", dataset, overwrite=True)
    assert json.loads(applied.overview) == json.loads(dataset.get_run_info("run").config.overview)
    assert applied.reviews_applied
    assert applied.finished


def test_what_is_ignored_loses_tag_and_count_and_gets_them_back() -> None:
    dataset = dataset_of(scene([("a", "cat", 0.9, FAR), ("b", "cat", 0.8, high(4))], [("b", "cat", HERE)]))
    mined("run", dataset, hard_image_share=1.0, effective_sample_floor=0.0)
    before, fields = tags(dataset), written(dataset, "run")
    first = dataset.first().predictions.detections[0].id
    foo.get_operator(TRIAGE)(dataset, run_key="run", state="ignore", label_ids=[first])
    foo.get_operator(APPLY)(dataset, run_key="run")
    assert dataset.values("run_count")[0] == 0
    assert dataset.values("run_score")[0] == 0
    assert dataset.values("run_weight")[0] == 1
    assert dataset.first().tags == []
    assert dataset.first().predictions.detections[0].tags == []
    assert ["predictions", first] not in results(dataset, "run")["tagged_labels"]
    foo.get_operator(TRIAGE)(dataset, undo=True)
    foo.get_operator(APPLY)(dataset, run_key="run")
    assert tags(dataset) == before
    assert written(dataset, "run") == fields


def test_tags_of_the_user_and_of_other_runs_stay() -> None:
    dataset = dataset_of(
        scene([("a", "cat", 0.9, FAR), ("b", "cat", 0.9, FAR), ("c", "cat", 0.9, HERE)], [("c", "cat", HERE)])
    )
    theirs = dataset.first()
    theirs.tags = ["hard_negative"]
    theirs.save()
    mined("run", dataset, hard_image_share=1.0, hard_negative_ratio=1.0)
    mined("other", dataset, hard_image_share=1.0, hard_negative_ratio=1.0)
    labels = [sample.predictions.detections[0].id for sample in dataset.limit(2)]
    foo.get_operator(TRIAGE)(dataset, run_key="run", state="ignore", label_ids=labels)
    foo.get_operator(APPLY)(dataset, run_key="run")
    assert dataset.values("tags") == [["hard_negative"], ["hard_negative"], []]  # other holds both still
    foo.get_operator(APPLY)(dataset, run_key="other")
    assert dataset.values("tags") == [["hard_negative"], [], []]
    foo.get_operator(DELETE)(dataset, run_key="other")
    foo.get_operator(DELETE)(dataset, run_key="run")
    assert dataset.values("tags") == [["hard_negative"], [], []]


def test_what_is_ignored_loses_the_tag_though_a_run_on_a_copy_has_it() -> None:
    dataset = dataset_of(scene([("a", "cat", 0.9, FAR)], [("b", "cat", HERE)]))
    dataset.clone_sample_field("ground_truth", "copy")
    before = tags(dataset)
    mined("run", dataset, hard_negative_ratio=1.0)
    foo.get_operator(MINE)(dataset, "predictions", "copy", "other", hard_negative_ratio=1.0)
    missed = dataset.last().ground_truth.detections[0]
    assert missed.tags == dataset.last()["copy"].detections[0].tags == ["hard_negative"]
    foo.get_operator(TRIAGE)(dataset, run_key="run", state="ignore", label_ids=[missed.id])
    foo.get_operator(APPLY)(dataset, run_key="run")
    assert dataset.last().ground_truth.detections[0].tags == []
    assert dataset.last()["copy"].detections[0].tags == ["hard_negative"]
    foo.get_operator(TRIAGE)(dataset, undo=True)
    foo.get_operator(APPLY)(dataset, run_key="run")
    assert dataset.last().ground_truth.detections[0].tags == ["hard_negative"]
    for key in ("run", "other"):
        foo.get_operator(DELETE)(dataset, run_key=key)
    assert tags(dataset) == before


def test_deleting_afterwards_leaves_the_dataset_as_it_was() -> None:
    dataset = dataset_of(random_scene(5, images=30))
    before = stored(dataset)
    mined("run", dataset)
    review(dataset, {"ignore": slice(0, 5), "missing_label": slice(5, 9)})
    foo.get_operator(APPLY)(dataset, run_key="run")
    foo.get_operator(DELETE)(dataset, run_key="run")
    assert stored(dataset) == before


def test_an_export_right_after_it_has_the_new_weights(tmp_path: Path) -> None:
    rows = [(name, "cat", 0.9, FAR) for name in "abcd"]
    dataset = dataset_of(scene(rows, [(name, "cat", HERE) for name in "abcdef"]), folder=tmp_path)
    mined("run", dataset, hard_image_share=1.0, effective_sample_floor=0.0, hard_negative_ratio=1.0)
    ids = [sample.predictions.detections[0].id for sample in dataset.limit(4)]
    foo.get_operator(TRIAGE)(dataset, run_key="run", state="missing_label", label_ids=ids[:2])
    foo.get_operator(TRIAGE)(dataset, run_key="run", state="hard_negative", label_ids=ids[2:])
    foo.get_operator(APPLY)(dataset, run_key="run")
    foo.get_operator(EXPORT)(dataset, run_key="run", output_dir=str(tmp_path / "out"))
    with (tmp_path / "out" / "weights.csv").open() as file:
        weight = {Path(row["filepath"]).stem[0]: float(row["weight"]) for row in csv.DictReader(file)}
    assert weight["c"] == weight["d"] > weight["a"] == weight["b"]


def test_a_monitoring_run_gets_no_weights() -> None:
    dataset = dataset_of(scene([("a", "cat", 0.9, FAR)], [("b", "cat", HERE)]), tags={"a": ["val"], "b": ["val"]})
    mined("run", dataset, mine_split="val")
    foo.get_operator(TRIAGE)(
        dataset, run_key="run", state="missing_label", label_ids=[dataset.first().predictions.detections[0].id]
    )
    foo.get_operator(APPLY)(dataset, run_key="run")
    assert dataset.get_field("run_weight") is None
    assert dataset.values("tags") == [["val"], ["val"]]
    assert dataset.first().run_score == 0


def test_class_repeats_are_asked_of_the_truth() -> None:
    dataset = mined(repeat_threshold=0.5)
    review(dataset, {"missing_label": slice(0, 12)})
    foo.get_operator(APPLY)(dataset, run_key="run")
    applied = written(dataset, "run")
    mined("run", dataset, overwrite=True, repeat_threshold=0.5)
    assert written(dataset, "run") == applied


def test_what_cannot_be_weighed_is_said() -> None:
    dataset = mined()
    with pytest.raises(ValueError, match="has no mining run 'gone'"):
        foo.get_operator(APPLY)(dataset, run_key="gone")
    with being(dataset, "run"):
        pass
    with pytest.raises(ValueError, match="interrupted while it was being written"):
        reweigh.apply_reviews(dataset, "run")
