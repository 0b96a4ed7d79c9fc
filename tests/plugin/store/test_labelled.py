"""What FiftyOne's importers store of what does not count, and samples that nobody labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from PIL import Image

from fiftyone_plugin.settings import RunSettings
from fiftyone_plugin.store import box_tables
from hnm_core import mine
from hnm_core.columns import KINDS
from tests.datasets import EXPORT, FIELDS, MINE, SIDE, by_name, dataset_of
from tests.scenes import FAR, HERE, high, scene

CALM = {"ignored", "true_positive", None}


def settings(**more: Any) -> RunSettings:
    return RunSettings.from_params({**FIELDS, "run_key": "run", **more})


def box(label: str, corners: tuple[float, ...], score: float | None = None, **more: Any) -> fo.Detection:
    x0, y0, x1, y1 = corners
    sides = [x0 / SIDE, y0 / SIDE, (x1 - x0) / SIDE, (y1 - y0) / SIDE]
    return fo.Detection(label=label, bounding_box=sides, confidence=score, **more)


def of_boxes(truth: list[fo.Detection], predictions: list[fo.Detection], **more: Any) -> fo.Dataset:
    dataset = fo.Dataset()
    fields = {"ground_truth": fo.Detections(detections=truth), "predictions": fo.Detections(detections=predictions)}
    dataset.add_sample(fo.Sample(filepath="a.jpg", **fields, **more))
    return dataset


def errors_of(dataset: fo.Dataset, field: str, **more: Any) -> list[str | None]:
    """Names that a run gives to the boxes of a field."""
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", overwrite=True, hard_negative_ratio=1.0, **more)
    return dataset.values(f"{field}.detections.run_error", unwind=True)


def of_classes(*names: str) -> fo.Classifications:
    return fo.Classifications(classifications=[fo.Classification(label=name) for name in names])


@pytest.mark.parametrize(
    ("flag", "kind"),
    [
        ({"iscrowd": 1}, "crowd"),
        ({"iscrowd": "0"}, "object"),
        ({"crowd": True}, "crowd"),
        ({"IsGroupOf": True}, "group_of"),
        ({"difficult": "1"}, "difficult"),
        ({"difficult": 0}, "object"),
        ({"ignore": 1.0}, "region"),
    ],
)
def test_attributes_say_what_a_truth_is_declared_or_not(flag: dict[str, Any], kind: str) -> None:
    dataset = of_boxes([box("cat", HERE, **flag)], [box("cat", FAR, 0.9)])
    for declare in (False, True):
        if declare:
            dataset.add_dynamic_sample_fields()
        truth = box_tables.read_tables(dataset, settings()).truth
        assert [KINDS[k] for k in truth.kinds()] == [kind]


def test_a_flag_that_is_none_is_refused_with_number_place_and_value() -> None:
    dataset = of_boxes([box("cat", HERE), box("cat", FAR, iscrowd="perhaps")], [box("cat", FAR, 0.9)])
    place = rf"field 'ground_truth' \(first in sample {dataset.first().id}\)"
    expected = rf"1 of 2 boxes in {place} have a value that is not a flag, first iscrowd='perhaps'"
    with pytest.raises(ValueError, match=expected):
        box_tables.read_tables(dataset, settings())


def test_classes_of_kitti_as_its_importer_gives_them() -> None:
    truth = [box("Car", HERE), box("Van", FAR), box("DontCare", (200, 0, 300, 100))]
    found = [box("Car", HERE, 0.9), box("Car", FAR, 0.8), box("Cyclist", (210, 10, 240, 40), 0.9)]
    dataset = of_boxes(truth, found)
    assert set(errors_of(dataset, "predictions")) <= CALM
    assert set(errors_of(dataset, "ground_truth")) <= CALM
    tables = box_tables.read_tables(dataset, settings(classes=["Car"]))
    assert tables.truth.classes == ("Car", "DontCare", "Van")
    assert len(tables.predictions) == 2
    assert mine(tables.predictions, tables.truth).prediction_error.tolist() == ["true_positive", "ignored"]
    assert not any("ground truth only" in note for note in tables.warnings)


# ------------------------------------------------------------------------------------------------ Open Images


def open_images(**fields: Any) -> fo.Dataset:
    truth = [box("Person", (0, 0, 200, 80), IsGroupOf=True), box("Dog", HERE), box("Dog", FAR)]
    found = [
        *(box("Person", (20 * i, 10, 20 * i + 15, 60), 0.9 - i / 10) for i in range(3)),
        *(box("Cat", (300, 0, 340, 40), 0.7), box("Car", (400, 0, 440, 40), 0.95)),
        *(box("Dog", HERE, 0.9), box("Dog", high(8), 0.6)),
    ]
    return of_boxes(truth, found, **fields)


def test_errors_are_those_of_fiftyones_open_images_evaluation() -> None:
    """But for the group: it counts as one right answer there, here what lies on it is ignored."""
    dataset = open_images(positive_labels=of_classes("Person", "Dog"), negative_labels=of_classes("Cat"))
    names = {"pos_label_field": "positive_labels", "neg_label_field": "negative_labels"}
    dataset.evaluate_detections("predictions", eval_key="oi", method="open-images", **names)
    theirs, ours = dataset.values("predictions.detections.oi")[0], errors_of(dataset, "predictions")
    wrong = [name not in CALM for name in ours]
    assert wrong == [name == "fp" for name in theirs]
    assert [name for name, other in zip(ours, theirs, strict=True) if other is None] == ["ignored"]
    assert ours[:3] == ["ignored"] * 3
    missed = [name not in CALM for name in errors_of(dataset, "ground_truth")]
    assert missed == [name == "fn" for name in dataset.values("ground_truth.detections.oi")[0]]


def test_image_level_labels_are_found_by_name_or_named() -> None:
    dataset = open_images(seen=of_classes("Person", "Dog"))
    assert errors_of(dataset, "predictions")[3:5] == ["background", "background"]
    assert errors_of(dataset, "predictions", pos_label_field="seen")[3:5] == ["ignored", "ignored"]
    assert errors_of(dataset, "predictions", neg_label_field="seen")[3:5] == ["ignored", "ignored"]
    with pytest.raises(ValueError, match="field 'predictions' is of another type, but image-level labels are Class"):
        box_tables.read_tables(dataset, settings(pos_label_field="predictions"))
    with pytest.raises(ValueError, match="field 'nowhere' does not exist, but image-level labels are Classifications"):
        box_tables.read_tables(dataset, settings(neg_label_field="nowhere"))


def test_an_image_without_image_level_labels_was_checked_for_everything() -> None:
    dataset = open_images()
    dataset.add_sample(fo.Sample(filepath="b.jpg", positive_labels=of_classes("Cat"), ground_truth=fo.Detections()))
    assert errors_of(dataset, "predictions")[3:5] == ["background", "background"]


# ---------------------------------------------------------------------------------------------- unlabelled


def unlabelled(folder: Path) -> fo.Dataset:
    """Two labelled images, one that was checked and is empty, one that nobody has labelled."""
    rows = [(name, "cat", 0.9, FAR) for name in ("full", "found", "checked", "unknown")]
    dataset = dataset_of(
        scene(rows, [("full", "cat", HERE), ("found", "cat", FAR)], images="full found".split()), folder
    )
    sample = by_name(dataset)["unknown"]
    sample["ground_truth"] = None
    sample.save()
    return dataset


def test_unlabelled_is_not_empty(tmp_path: Path) -> None:
    dataset = unlabelled(tmp_path)
    most = {"hard_negative_ratio": 1.0, "hard_image_share": 1.0}
    outcome = foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", **most)
    said = "1 of 4 samples has no ground truth (None) and is left out. Importers also write None for images without "
    assert any(note.startswith(said) and "unlabelled='background'" in note for note in outcome["warnings"])
    assert outcome["report"]["mining"]["images"] == 3
    sample = by_name(dataset)["unknown"]
    assert sample["run_weight"] is None
    assert sample["run_score"] is None
    assert sample.tags == []
    assert sample.predictions.detections[0].get_attribute_value("run_error", None) is None
    assert by_name(dataset)["checked"]["run_weight"] > 1
    foo.get_operator(EXPORT)(dataset, run_key="run", output_dir=str(tmp_path / "out"), layout="ultralytics")
    written = {line.split("/")[-1] for line in (tmp_path / "out" / "train.txt").read_text().split()}
    assert not any("unknown" in name for name in written)
    assert any("checked" in name for name in written)


def test_unlabelled_can_be_said_to_be_background(tmp_path: Path) -> None:
    dataset = unlabelled(tmp_path)
    tables = box_tables.read_tables(dataset, settings(unlabelled="background"))
    assert len(tables.truth.images) == 4
    assert "1 of 4 samples has no ground truth (None): counted as images without objects" in " ".join(tables.warnings)
    outcome = foo.get_operator(MINE)(
        dataset, **FIELDS, run_key="run", unlabelled="background", hard_negative_ratio=1.0, hard_image_share=1.0
    )
    assert outcome["report"]["mining"]["images"] == 4
    assert by_name(dataset)["unknown"]["run_weight"] > 1


def test_predictions_that_are_absent_are_counted_and_doubted(tmp_path: Path) -> None:
    dataset = unlabelled(tmp_path)
    for name in ("full", "found"):
        sample = by_name(dataset)[name]
        sample["predictions"] = None
        sample.save()
    notes = " ".join(box_tables.read_tables(dataset, settings()).warnings)
    assert "2 of 3 samples have no value in 'predictions'" in notes
    assert "Are these predictions of these images?" in notes


# -------------------------------------------------------------------------------------------------- shapes


def test_rotations_and_masks_are_said_with_their_number() -> None:
    truth = [box("cat", HERE, rotation=30.0), box("cat", FAR, rotation=0.0), box("cat", (300, 0, 340, 40))]
    dataset = of_boxes(truth, [box("cat", HERE, 0.9, mask=np.ones((4, 4), dtype=bool)), box("cat", FAR, 0.9)])
    notes = [note for note in box_tables.read_tables(dataset, settings()).warnings if "upright" in note]
    assert notes == [
        "1 boxes in field 'predictions' have a mask: only their upright boxes are compared",
        "1 boxes in field 'ground_truth' have a rotation: only their upright boxes are compared",
    ]
    plain = of_boxes([box("cat", HERE)], [box("cat", HERE, 0.9)])
    assert not any("upright" in note for note in box_tables.read_tables(plain, settings()).warnings)


def test_fractions_match_at_the_threshold_as_pixels_do(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dataset = fo.Dataset()
    path = tmp_path / "a.png"
    Image.new("RGB", (640, 427)).save(path)
    for _ in range(60):
        x, y, w, half = (int(rng.integers(low, 100)) for low in (0, 0, 5, 3))
        whole, upper = ([x / 640, y / 427, w / 640, height / 427] for height in (2 * half, half))
        truth = fo.Detections(detections=[fo.Detection(label="a", bounding_box=whole)])
        found = fo.Detections(detections=[fo.Detection(label="a", bounding_box=upper, confidence=0.9)])
        dataset.add_sample(fo.Sample(filepath=str(path), ground_truth=truth, predictions=found))
    assert set(errors_of(dataset, "predictions")) == {"true_positive"}
