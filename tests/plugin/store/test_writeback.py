"""Columns → fields and back to nothing: the right box gets the value, whatever happened meanwhile."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import bson
import fiftyone as fo
import pytest
from bson import ObjectId
from fiftyone import ViewField as F
from pymongo.errors import BulkWriteError

from fiftyone_plugin.runs import lifecycle, records, save
from fiftyone_plugin.settings import RunSettings
from fiftyone_plugin.store import box_tables, updates, writeback
from fiftyone_plugin.store.box_tables import Tables
from hnm_core import MiningResult, mine
from tests.datasets import FIELDS, by_name, dataset_of, stored
from tests.scenes import FAR, HERE, apart, scene

OBJECT = ("error", "difficulty", "iou", "suspicion")


def settings(run_key: str = "run", **more: object) -> RunSettings:
    return RunSettings.from_params({**FIELDS, "run_key": run_key, **more})


def mined(samples: Any, asked: RunSettings) -> tuple[Tables, MiningResult]:
    tables = box_tables.read_tables(samples, asked)
    return tables, mine(tables.predictions, tables.truth, asked.engine)


def run(samples: Any, asked: RunSettings | None = None) -> tuple[Tables, MiningResult]:
    asked = asked or settings()
    tables, result = mined(samples, asked)
    save.record(samples, tables, result, asked)
    return tables, result


def check_objects(dataset: fo.Dataset, tables: Tables, result: MiningResult, gone: Collection[str] = ()) -> None:
    """Every box of the tables carries what was mined for it."""
    for side, table, field in (
        ("prediction", tables.predictions, "predictions"),
        ("truth", tables.truth, "ground_truth"),
    ):
        labels = {label.id: label for s in dataset for label in (s[field].detections if s[field] else ())}
        for row, label_id in enumerate(map(str, box_tables.ids_of(table))):
            if label_id in gone:
                assert label_id not in labels
                continue
            for name in OBJECT:
                value = getattr(result, f"{side}_{name}")[row]
                absent = isinstance(value, float) and math.isnan(value)
                absent |= side == "prediction" and not result.errors.confident[row]
                assert labels[label_id].get_attribute_value(f"run_{name}", None) == (None if absent else value), name
            hard = bool(getattr(result, f"{side}_hard")[row])
            assert labels[label_id].get_attribute_value("run_state", None) == ("unreviewed" if hard else None)
            assert ("hard_negative" in labels[label_id].tags) == hard


def test_every_object_and_sample_gets_its_values() -> None:
    dataset = dataset_of()
    tables, result = run(dataset)
    check_objects(dataset, tables, result)
    assert dataset.values("run_score") == result.image_scores.tolist()
    assert dataset.values("run_weight") == result.weights.tolist()
    assert dataset.values("run_count") == result.hard_counts.tolist()
    assert [("hard_negative" in tags) for tags in dataset.values("tags")] == result.hard_images.tolist()
    assert result.hard_images.any()


def test_near_ids_name_the_box_with_the_overlap() -> None:
    dataset = dataset_of()
    run(dataset)
    sample = by_name(dataset)["localization"]
    (prediction,), (truth,) = sample.predictions.detections, sample.ground_truth.detections
    assert (prediction.run_near_id, truth.run_near_id) == (truth.id, prediction.id)
    assert prediction.run_iou == truth.run_iou == 0.4


def test_fields_are_declared_with_type_and_meaning() -> None:
    dataset = dataset_of()
    run(dataset)
    for path, (kind, description) in writeback.fields_of("run", settings()).items():
        assert isinstance(dataset.get_field(path), kind)
        assert dataset.get_field(path).description == description
    assert len(writeback.fields_of("run", settings())) == 15
    assert "run_score" in dataset.list_indexes()


def test_samples_in_memory_see_what_was_written() -> None:
    dataset = dataset_of()
    sample = by_name(dataset)["background"]
    run(dataset)
    assert sample.run_count > 0
    assert sample.predictions.detections[0].run_error == "background"
    lifecycle.delete(dataset, "run")
    assert "run_count" not in sample.field_names


def test_deleting_a_run_leaves_exactly_what_was_there() -> None:
    dataset = dataset_of()
    before = stored(dataset)
    run(dataset)
    assert stored(dataset) != before
    lifecycle.delete(dataset, "run")
    assert stored(dataset) == before


def test_many_chunks_are_written_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writeback, "CHUNK", 3)
    dataset = dataset_of()
    check_objects(dataset, *run(dataset))


def test_a_view_that_hides_boxes_writes_to_the_boxes_it_shows() -> None:
    dataset = dataset_of()
    view = dataset.filter_labels("predictions", F("confidence") > 0.85, only_matches=False).sort_by(
        "filepath", reverse=True
    )
    tables, result = run(view)
    assert len(tables.predictions) < dataset.count("predictions.detections")
    check_objects(dataset, tables, result)
    written = dataset.count("predictions.detections.run_error")
    assert written == len(tables.predictions)


def test_predictions_below_the_threshold_get_no_field() -> None:
    dataset = dataset_of()
    run(dataset)
    documents = [box for d in dataset._sample_collection.find() for box in d["predictions"]["detections"]]
    below = [box for box in documents if box["confidence"] < 0.5]
    assert below
    assert not [name for box in below for name in box if name.startswith("run_")]
    assert all("run_error" in box and "run_iou" in box for box in documents if box["confidence"] >= 0.5)


def test_edits_made_between_reading_and_writing_stand() -> None:
    rows = [(name, "cat", 0.9, apart(i)) for name in "abcde" for i in range(3)]
    dataset = dataset_of(scene(rows, [(name, "cat", HERE) for name in "abcde"]))
    tables, result = mined(dataset, settings())
    samples = by_name(dataset)
    new = fo.Detection(label="cat", bounding_box=[0, 0, 1, 1], confidence=0.1)
    dropped = {samples["a"].predictions.detections[0].id}
    dropped |= {label.id for label in samples["b"].predictions.detections} | {
        samples["e"].ground_truth.detections[0].id
    }
    samples["a"].predictions.detections = [new, *samples["a"].predictions.detections[1:]]
    samples["b"].predictions = None
    samples["c"].predictions.detections = samples["c"].predictions.detections[::-1]
    samples["e"].ground_truth.detections = []
    for name in "abce":
        samples[name].save()
    dropped |= {label.id for field in FIELDS.values() for label in samples["d"][field].detections}
    dataset.delete_samples(samples["d"])
    save.record(dataset, tables, result, settings())
    check_objects(dataset, tables, result, gone=dropped)
    assert by_name(dataset)["a"].predictions.detections[0].get_attribute_value("run_error", None) is None
    assert by_name(dataset)["b"].predictions is None
    assert dataset.values("run_score") == [
        s for s, name in zip(result.image_scores, "abcde", strict=True) if name != "d"
    ]


@pytest.mark.parametrize("boxes", [1, 11, 101])  # positions of one, two and three digits
def test_the_guard_is_the_expression_of_pymongo_byte_for_byte(boxes: int) -> None:
    ids = [ObjectId() for _ in range(boxes)]
    expected = bson.encode({"$eq": ["$of.detections._id", ids]})
    assert updates._is_list("of.detections", [i.binary for i in ids]).raw == expected


@pytest.mark.parametrize("edited", [True, False])
def test_few_of_many_boxes_are_guarded_each_at_its_place(edited: bool) -> None:
    rows = [("a", "dog", 0.9, apart(i)) for i in range(9)]
    dataset = dataset_of(scene([*rows, ("a", "cat", 0.9, FAR)], [("a", "cat", HERE)]))
    tables, result = mined(dataset, settings(classes=["cat"]))
    job = writeback.Job(tables, result, settings())
    (update,) = job.of(range(1), job.read(range(1)))
    assert "predictions.detections.9._id" in str(update._filter)
    if edited:
        sample = dataset.first()
        sample.predictions.detections = [fo.Detection(label="cow", bounding_box=[0, 0, 1, 1], confidence=0.1)] + [
            box for box in sample.predictions.detections if box.label == "cat"
        ]
        sample.save()
    save.record(dataset, tables, result, settings(classes=["cat"]))
    check_objects(dataset, tables, result)
    assert dataset.count("predictions.detections.run_error") == 1


def test_samples_that_never_rest_end_in_a_sentence_and_a_clean_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writeback, "ATTEMPTS", 0)
    dataset = dataset_of()
    before = stored(dataset)
    with pytest.raises(RuntimeError, match=r"samples are being edited while they are written, between .*: mine again"):
        run(dataset)
    assert stored(dataset) == before


def test_a_write_the_database_refuses_leaves_a_clean_dataset() -> None:
    dataset = dataset_of()
    before = stored(dataset)
    database, name = dataset._sample_collection.database, dataset._sample_collection_name
    refuse = {"$or": [{"run_score": {"$exists": False}}, {"run_score": 0}]}  # some samples get through, some don't
    database.command("collMod", name, validator=refuse)
    with pytest.raises(BulkWriteError):
        run(dataset)
    assert stored(dataset) == before
    database.command("collMod", name, validator={})
    run(dataset)


def test_a_field_that_exists_is_never_touched() -> None:
    dataset = dataset_of()
    dataset.add_sample_field("predictions.detections.run_iou", fo.FloatField)  # as evaluate_detections writes it
    before = stored(dataset)
    with pytest.raises(
        ValueError, match=r"field 'predictions.detections.run_iou' exists and belongs to no mining run: choose another"
    ):
        run(dataset)
    assert stored(dataset) == before


class TestTags:
    """Who tagged what, and who may take it away."""

    def test_own_tags_of_the_user_stay(self) -> None:
        dataset = dataset_of()
        sample = by_name(dataset)["background"]
        sample.tags = ["hard_negative", "night"]
        sample.predictions.detections[0].tags = ["hard_negative"]
        sample.save()
        before = stored(dataset)
        run(dataset)
        lifecycle.delete(dataset, "run")
        assert stored(dataset) == before

    @pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
    def test_a_tag_goes_with_the_last_run_that_holds_it(self, order: tuple[str, str]) -> None:
        dataset = dataset_of()
        before = stored(dataset)
        run(dataset, settings("first"))
        tagged = dataset.match_tags("hard_negative").values("id")
        labels = dataset.count_label_tags()["hard_negative"]
        run(dataset, settings("second"))
        lifecycle.delete(dataset, order[0])
        assert dataset.match_tags("hard_negative").values("id") == tagged
        assert dataset.count_label_tags()["hard_negative"] == labels
        lifecycle.delete(dataset, order[1])
        assert stored(dataset) == before

    def test_runs_untag_only_what_they_alone_hold(self) -> None:
        dataset = dataset_of()
        run(dataset, settings("few", hard_negative_ratio=0.1, hard_image_share=0.1))
        few = set(dataset.match_tags("hard_negative").values("id"))
        run(dataset, settings("many", hard_negative_ratio=1.0, hard_image_share=1.0))
        assert set(dataset.match_tags("hard_negative").values("id")) > few
        lifecycle.delete(dataset, "many")
        assert set(dataset.match_tags("hard_negative").values("id")) == few

    def test_a_run_that_recorded_ids_alone_untags_both_its_fields(self) -> None:
        dataset = dataset_of()
        before = stored(dataset)
        run(dataset)
        _, results = records.load(dataset, "run")
        results.tagged_labels = [label_id for _, label_id in results.tagged_labels]
        dataset.save_run_results("run", results, cache=False)
        lifecycle.delete(dataset, "run")
        assert stored(dataset) == before

    def test_tags_that_are_null_can_be_added_to(self) -> None:
        dataset = dataset_of()
        null = {"tags": None, "predictions.detections.$[].tags": None, "ground_truth.detections.$[].tags": None}
        dataset._sample_collection.update_many({"predictions.detections.0": {"$exists": True}}, {"$set": null})
        _, result = run(dataset)
        assert len(dataset.match_tags("hard_negative")) == result.hard_images.sum()
        hard = result.prediction_hard.sum() + result.truth_hard.sum()
        assert dataset.count_label_tags()["hard_negative"] == hard

    @pytest.mark.parametrize("split", ["val", "test"])
    def test_held_out_splits_get_neither_weights_nor_sample_tags(self, split: str) -> None:
        dataset = dataset_of(scene([("a", "cat", 0.9, FAR)], [("a", "cat", HERE)]), tags={"a": [split]})
        run(dataset, settings(mine_split=split))
        assert not dataset.has_field("run_weight")
        assert dataset.first().tags == [split]
        assert dataset.first().run_count == 1
        lifecycle.delete(dataset, "run")

    def test_held_out_samples_are_left_alone_when_train_is_mined(self) -> None:
        rows = [("a", "cat", 0.9, FAR), ("b", "cat", 0.9, FAR)], [("a", "cat", HERE), ("b", "cat", HERE)]
        dataset = dataset_of(scene(*rows), tags={"b": ["val"]})
        before = dataset._sample_collection.find_one({"_id": ObjectId(dataset.last().id)})
        run(dataset)
        assert dataset._sample_collection.find_one({"_id": ObjectId(dataset.last().id)}) == before
        assert dataset.first().run_weight is not None
