"""Samples → tables: every value where it belongs, and one sentence for all that can't be a table."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId
from fiftyone import ViewField as F

from fiftyone_plugin.settings import RunSettings
from fiftyone_plugin.store import box_tables
from hnm_core import Detections, MiningSettings, mine
from tests.datasets import FIELDS, SIDE, by_name, dataset_of
from tests.scenes import FAR, HERE, everything_at_once, random_scene, scene


def settings(**more: object) -> RunSettings:
    return RunSettings.from_params({**FIELDS, "run_key": "run", **more})


def by_image(table: Detections) -> Detections:
    return table.take(np.argsort(table.image, kind="stable"))


def cats_and_dogs(**tags: list[str]) -> fo.Dataset:
    rows = [(name, "cat", 0.9, HERE) for name in "abc"], [(name, "cat", HERE) for name in "abc"]
    return dataset_of(scene(*rows), tags=tags)


@pytest.mark.parametrize("seed", range(4))
def test_tables_are_those_the_dataset_was_made_of(seed: int) -> None:
    predictions, truth = random_scene(seed)
    tables = box_tables.read_tables(dataset_of((predictions, truth)), settings(classes=list(truth.classes)))
    for read, made in ((tables.predictions, by_image(predictions)), (tables.truth, by_image(truth))):
        np.testing.assert_array_equal(read.image, made.image)
        np.testing.assert_array_equal(read.xyxy, made.xyxy / SIDE)
        np.testing.assert_array_equal(read.label, made.label)
        np.testing.assert_array_equal(read.is_crowd(), made.is_crowd())
    np.testing.assert_array_equal(tables.predictions.score, by_image(predictions).score)


def test_mining_what_was_read_is_mining_the_scene() -> None:
    predictions, truth = map(by_image, everything_at_once())
    tables = box_tables.read_tables(dataset_of((predictions, truth)), settings(classes=["cat", "dog"]))
    read, made = mine(tables.predictions, tables.truth), mine(predictions, truth, MiningSettings())
    assert read.report.counts == made.report.counts
    np.testing.assert_array_equal(read.prediction_error, made.prediction_error)
    np.testing.assert_array_equal(read.truth_error, made.truth_error)
    np.testing.assert_array_equal(read.prediction_difficulty, made.prediction_difficulty)


def test_ids_are_those_of_samples_and_labels() -> None:
    dataset = dataset_of()
    tables = box_tables.read_tables(dataset, settings())
    assert list(tables.truth.images) == dataset.values("id")
    for table, field in ((tables.predictions, "predictions"), (tables.truth, "ground_truth")):
        assert list(map(str, box_tables.ids_of(table))) == dataset.values(f"{field}.detections.id", unwind=True)


def test_samples_without_boxes_are_images_without_boxes() -> None:
    dataset = cats_and_dogs()
    first, second, _ = dataset
    first["predictions"] = None
    second["ground_truth"] = fo.Detections()
    first.save()
    second.save()
    tables = box_tables.read_tables(dataset, settings())
    assert tables.predictions.image.tolist() == [1, 2]
    assert tables.truth.image.tolist() == [0, 2]
    assert len(tables.truth.images) == 3
    assert "1 of 3 samples have no value in 'predictions': every truth in them counts as missed" in str(tables.warnings)


def test_unannotated_samples_are_warned_of() -> None:
    dataset = cats_and_dogs()
    dataset.first().ground_truth = None
    sample = dataset.first()
    sample["ground_truth"] = None
    sample.save()
    notes = box_tables.read_tables(dataset, settings()).warnings
    assert "1 of 3 samples has no ground truth (None) and is left out" in " ".join(notes)


def test_predictions_without_confidence_are_counted() -> None:
    dataset = cats_and_dogs()
    sample = dataset.last()
    sample.predictions.detections[0].confidence = None
    sample.save()
    sentence = f"1 of 3 boxes in field 'predictions' \\(first in sample {sample.id}\\) have no confidence, which mining"
    with pytest.raises(ValueError, match=sentence):
        box_tables.read_tables(dataset, settings())


def test_swapped_fields_are_told_from_the_missing_confidence() -> None:
    with pytest.raises(ValueError, match=r"'ground_truth' .* have no confidence.*is this field the ground truth\?"):
        box_tables.read_tables(cats_and_dogs(), settings(pred_field="ground_truth", gt_field="predictions"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"label": None}, "1 of 3 boxes in field 'ground_truth' .* have no label: give every box a class"),
        ({"bounding_box": None}, "have no bounding_box of four numbers"),
        ({"bounding_box": [0.1, 0.2, 0.3]}, "have no bounding_box of four numbers"),
        ({"bounding_box": [0.5, 0.5, -0.1, 0.1]}, "have a negative width or height, or NaN: boxes are \\[x, y, width"),
        ({"bounding_box": [0.5, 0.5, float("nan"), 0.1]}, "have a negative width or height, or NaN"),
        ({"bounding_box": ["0.1", "0.2", "0.3", "0.4"]}, "have no bounding_box of four numbers"),
        ({"bounding_box": [100, 200, 50, 50]}, "1 of 3 boxes .* have coordinates far outside the image.* pixels"),
        ({"bounding_box": [1e300, 1e300, 1e300, 1e300]}, "have coordinates far outside the image"),
        ({"tags": "hard_negative"}, "1 samples .*'ground_truth' no list of boxes, or tags that are no list"),
    ],
)
def test_broken_boxes_are_refused(change: dict[str, object], sentence: str) -> None:
    dataset = cats_and_dogs()
    values = {f"ground_truth.detections.0.{name}": value for name, value in change.items()}
    dataset._sample_collection.update_one({"_id": ObjectId(dataset.first().id)}, {"$set": values})
    with pytest.raises(ValueError, match=sentence):
        box_tables.read_tables(dataset, settings())


@pytest.mark.parametrize("field", ["predictions", "ground_truth"])
@pytest.mark.parametrize("place", ["another sample", "the same list"])
def test_boxes_that_share_an_id_are_refused_until_each_has_its_own(field: str, place: str) -> None:
    boxes = [("a", "cat", HERE), ("a", "dog", FAR), ("b", "cat", HERE), ("c", "cat", HERE)]
    dataset = dataset_of(scene([(image, name, 0.9, at) for image, name, at in boxes], boxes))
    first, _, third = dataset
    changed, at = (third, 0) if place == "another sample" else (first, 1)
    change = {"$set": {f"{field}.detections.{at}._id": ObjectId(first[field].detections[0].id)}}
    dataset._sample_collection.update_one({"_id": ObjectId(changed.id)}, change)
    dataset.reload()
    with pytest.raises(ValueError, match="have the id of another box of the field") as refused:
        box_tables.read_tables(dataset, settings())
    said = str(refused.value)
    assert said.startswith(f"2 of 4 boxes in field {field!r} (first in sample {first.id}) have the id of another box")
    for sample in dataset.iter_samples(autosave=True):  # as the sentence says
        sample[field].detections = [box.copy() for box in sample[field].detections]
    assert f"sample[{field!r}].detections = [box.copy() for box in sample[{field!r}].detections]" in said
    assert len(box_tables.read_tables(dataset, settings()).truth) == 4


def test_a_truth_may_have_the_id_of_the_prediction_it_was_copied_from() -> None:
    dataset = cats_and_dogs()
    for sample in dataset:
        change = {"$set": {"ground_truth.detections.0._id": ObjectId(sample.predictions.detections[0].id)}}
        dataset._sample_collection.update_one({"_id": ObjectId(sample.id)}, change)
    dataset.reload()
    tables = box_tables.read_tables(dataset, settings())
    assert box_tables.ids_of(tables.predictions) == box_tables.ids_of(tables.truth)


def test_text_is_no_confidence() -> None:
    dataset = cats_and_dogs()
    change = {"$set": {"predictions.detections.0.confidence": "0.9"}}
    dataset._sample_collection.update_one({"_id": ObjectId(dataset.first().id)}, change)
    with pytest.raises(ValueError, match="have no confidence, which mining needs"):
        box_tables.read_tables(dataset, settings())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("predictions.detections.0", None),
        ("predictions.detections", {"a": 1}),
        ("predictions", "text"),
        ("predictions", []),
        ("tags", "hard_negative"),
        ("tags", 5),
    ],
)
def test_what_fiftyone_cannot_load_is_refused_and_not_taken_for_none(path: str, value: Any) -> None:
    dataset = cats_and_dogs()
    first = dataset.first().id
    dataset._sample_collection.update_one({"_id": ObjectId(first)}, {"$set": {path: value}})
    with pytest.raises(ValueError, match=f"1 samples \\(first {first}\\) hold in field 'predictions' no list of boxes"):
        box_tables.read_tables(dataset, settings())
    others = dataset.exclude([first])
    assert len(box_tables.read_tables(others, settings()).sample_ids) == len(others)


@pytest.mark.parametrize("path", ["predictions.detections.0.tags", "tags", "predictions.detections"])
def test_null_is_what_fiftyone_writes_itself(path: str) -> None:
    dataset = cats_and_dogs()
    dataset._sample_collection.update_one({"_id": ObjectId(dataset.first().id)}, {"$set": {path: None}})
    assert len(box_tables.read_tables(dataset, settings()).sample_ids) == len(dataset)


def test_classes_of_one_side_only_are_warned_of() -> None:
    dataset = dataset_of(
        scene(
            [("a", "person", 0.9, HERE), ("a", "cat", 0.9, FAR)],
            [("a", "pedestrian", HERE), ("a", "cat", FAR)],
        )
    )
    notes = box_tables.read_tables(dataset, settings()).warnings
    assert any(n.startswith("1 classes occur in the predictions only (1 boxes), so all are false") for n in notes)
    assert any(n.startswith("1 classes occur in the ground truth only (1 boxes), so all are missed") for n in notes)
    mapped = box_tables.read_tables(dataset, settings(class_map={"person": "pedestrian"}))
    assert not [note for note in mapped.warnings if "classes" in note]
    assert mapped.truth.classes == ("cat", "pedestrian")
    assert mine(mapped.predictions, mapped.truth).report.counts.true_positives == 2


def test_a_subset_of_classes_leaves_out_boxes_and_no_images() -> None:
    tables = box_tables.read_tables(dataset_of(), settings(classes=["dog"]))
    assert tables.predictions.classes == ("dog",)
    assert len(tables.predictions) == 2
    assert len(tables.truth) == 0
    assert len(tables.truth.images) == 10


def test_names_that_nothing_has_are_warned_of() -> None:
    notes = box_tables.read_tables(cats_and_dogs(), settings(classes="cat, cow", class_map={"sheep": "cat"})).warnings
    assert "no box is of class 'cow', which the setting classes names" in notes
    assert "class_map names 'sheep', which no prediction has" in notes


def test_classes_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no box is of class 'cow': classes are 'cat'"):
        box_tables.read_tables(cats_and_dogs(), settings(classes=["cow"]))


def test_views_are_read_as_they_show_the_boxes() -> None:
    dataset = dataset_of()
    view = dataset.filter_labels("predictions", F("confidence") > 0.85).sort_by("filepath")
    tables = box_tables.read_tables(view, settings())
    assert list(tables.truth.images) == view.values("id")
    assert list(map(str, box_tables.ids_of(tables.predictions))) == view.values(
        "predictions.detections.id", unwind=True
    )
    assert tables.predictions.score.min() > 0.85


@pytest.mark.parametrize(
    ("split", "names"),
    [("train", ["a", "b"]), ("val", ["c", "d", "e"]), ("test", ["f"])],
)
def test_the_split_is_read_from_tags(split: str, names: list[str]) -> None:
    tags = {"b": ["train", "night"], "c": ["val"], "d": ["validation"], "e": ["train", "valid"], "f": ["test"]}
    dataset = dataset_of(
        scene([(n, "cat", 0.9, HERE) for n in "abcdef"], [(n, "cat", HERE) for n in "abcdef"]), tags=tags
    )
    tables = box_tables.read_tables(dataset, settings(mine_split=split))
    assert list(tables.truth.images) == [by_name(dataset)[name].id for name in names]


def test_what_the_split_leaves_out_is_said() -> None:
    notes = box_tables.read_tables(cats_and_dogs(b=["train"], c=["val"]), settings()).warnings
    assert notes == [
        "1 of 3 samples are not in split 'train' by sample tags and are left out: held-out images are never weighted",
        "1 of 2 samples have no split by sample tags: they count as train",
    ]


def test_the_split_is_read_from_a_field_strictly() -> None:
    dataset = cats_and_dogs()
    dataset.add_sample_field("part", fo.StringField)
    for sample, value in zip(dataset, ["train", "holdout", None], strict=True):
        sample["part"] = value
        sample.save()
    tables = box_tables.read_tables(dataset, settings(split_field="part"))
    assert [dataset[i].part for i in tables.truth.images] == ["train", None]
    with pytest.raises(ValueError, match="none of the 3 samples is in split 'val' by field 'part': choose another"):
        box_tables.read_tables(dataset, settings(split_field="part", mine_split="val"))


@pytest.mark.parametrize("field", ["missing", "tags", "predictions"])
def test_a_split_field_must_be_a_field_of_text(field: str) -> None:
    with pytest.raises(
        ValueError, match=f"split_field '{field}' .*, expected a text field; text fields in this dataset: none"
    ):
        box_tables.read_tables(cats_and_dogs(), settings(split_field=field))


def test_an_empty_view_is_refused() -> None:
    with pytest.raises(ValueError, match="the view has no samples: clear its filters"):
        box_tables.read_tables(cats_and_dogs().match(F("filepath") == "none"), settings())


@pytest.mark.parametrize(("field", "what"), [("predictions", "predictions"), ("ground_truth", "ground truth")])
def test_a_field_without_boxes_is_refused(field: str, what: str) -> None:
    dataset = cats_and_dogs()
    dataset.set_values(f"{field}.detections", [[]] * 3)
    with pytest.raises(ValueError, match=f"field '{field}' has no {what} in the 3 samples to mine"):
        box_tables.read_tables(dataset, settings())


def test_fields_of_another_type_are_named() -> None:
    dataset = cats_and_dogs()
    dataset.add_sample_field("weather", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
    with pytest.raises(
        ValueError,
        match="field 'weather' is of type Classification, but mining needs Detections; fields of Detections in this "
        "dataset: predictions, ",
    ):
        box_tables.read_tables(dataset, settings(pred_field="weather"))
    with pytest.raises(ValueError, match="field 'weath' does not exist, but mining needs Detections"):
        box_tables.read_tables(dataset, settings(gt_field="weath"))


def test_views_that_rename_classes_are_refused_where_they_are_mined() -> None:
    dataset = cats_and_dogs()
    renaming = dataset.map_labels("ground_truth", {"cat": "kitten"})
    with pytest.raises(ValueError, match=r"renames classes of 'ground_truth' \(MapLabels\), and .* use class_map"):
        box_tables.read_tables(renaming, settings())
    set_ = dataset.set_field("predictions.detections.label", "cat")
    with pytest.raises(ValueError, match=r"renames classes of 'predictions' \(SetField\)"):
        box_tables.read_tables(set_, settings())
    dataset.clone_sample_field("ground_truth", "other")
    assert box_tables.read_tables(dataset.map_labels("other", {"cat": "kitten"}), settings()).truth.classes


@pytest.mark.parametrize("attribute", ["bounding_box", "confidence"])
def test_views_that_show_other_boxes_than_are_stored_are_refused(attribute: str) -> None:
    path = f"predictions.detections.{attribute}"
    shown = cats_and_dogs().set_field(path, [0, 0, 1, 1] if attribute == "bounding_box" else 0.9)
    with pytest.raises(ValueError, match=rf"shows other values of '{path}' than are stored \(SetField\)"):
        box_tables.read_tables(shown, settings())
    assert box_tables.read_tables(cats_and_dogs().set_field("predictions.detections.index", 3), settings())


def test_views_that_show_a_sample_twice_or_in_groups_are_refused() -> None:
    dataset = cats_and_dogs()
    twice = dataset.limit(1).concat(dataset)
    with pytest.raises(ValueError, match=f"1 of {len(dataset)} samples occur more than once in this view"):
        box_tables.read_tables(twice, settings())
    with pytest.raises(ValueError, match="this view groups samples"):
        box_tables.read_tables(dataset.group_by("filepath"), settings())
    assert box_tables.read_tables(dataset.select(twice.values("id")), settings()).truth.images


def test_patches_groups_and_videos_are_refused() -> None:
    with pytest.raises(ValueError, match="this view shows patches, frames or clips: mine the dataset"):
        box_tables.read_tables(cats_and_dogs().to_patches("predictions"), settings())
    grouped = fo.Dataset()
    grouped.add_group_field("group", default="left")
    grouped.add_sample(fo.Sample(filepath="left.jpg", group=fo.Group().element("left")))
    with pytest.raises(ValueError, match="has media of type 'group': select one slice with select_group_slices"):
        box_tables.read_tables(grouped, settings())
    video = fo.Dataset()
    video.add_sample(fo.Sample(filepath="film.mp4"))
    with pytest.raises(ValueError, match="has media of type 'video': mine images"):
        box_tables.read_tables(video, settings())


def test_truth_for_export_keeps_the_order_of_classes_asked_for() -> None:
    dataset = dataset_of()
    truth = box_tables.read_truth(dataset, "ground_truth", ["dog", "cat"])
    assert truth.classes == ("dog", "cat")
    assert set(truth.label.tolist()) == {1}
    assert truth.is_crowd().sum() == 1
    assert list(truth.images) == dataset.values("id")
