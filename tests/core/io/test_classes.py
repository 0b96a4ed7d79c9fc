"""Two tables brought to the same classes."""

import json

import pytest

from hnm_core import Detections, mine
from hnm_core.io import read_coco
from hnm_core.io.classes import in_classes
from tests.scenes import HERE

FOUND = Detections([0, 0, 1], [HERE] * 3, [0, 1, 2], [0.9, 0.8, 0.7], ["a", "b"], ["person", "van", "car"])
TRUTH = Detections([0, 1], [HERE] * 2, [0, 1], None, ["a", "b"], ["pedestrian", "car"], ids=["p", "c"])


def names(table):
    return [table.classes[i] for i in table.label]


def test_the_union_of_names_truths_first():
    found, truth = in_classes(FOUND, TRUTH)
    assert found.classes == truth.classes == ("pedestrian", "car", "person", "van")
    assert names(found) == ["person", "van", "car"]
    assert names(truth) == ["pedestrian", "car"]


def test_names_are_translated_many_to_one():
    found, truth = in_classes(FOUND, TRUTH, {"person": "pedestrian", "van": "car"})
    assert found.classes == truth.classes == ("pedestrian", "car")
    assert names(found) == ["pedestrian", "car", "car"]
    assert mine(found, truth).report.counts.true_positives == 2


def test_chosen_classes_keep_their_order_and_their_boxes_alone():
    found, truth = in_classes(FOUND, TRUTH, classes=["car", "pedestrian"])
    assert found.classes == truth.classes == ("car", "pedestrian")
    assert names(found) == ["car"]
    assert truth.ids.tolist() == ["p", "c"]
    assert found.images == ("a", "b")  # images without a box left are not forgotten


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"class_map": {"man": "pedestrian"}},
            "class_map names 1 unknown classes, first 'man'; classes are 'person', 'v",
        ),
        (
            {"classes": ["car", "emu"]},
            "classes names 1 unknown classes, first 'emu'; classes are 'pedestrian', 'car', ",
        ),
    ],
)
def test_unknown_names_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        in_classes(FOUND, TRUTH, **options)


def test_read_coco_takes_both(tmp_path):
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "van"}]
    truth = {"images": [{"id": 1}], "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}]}
    (tmp_path / "gt.json").write_text(json.dumps({**truth, "categories": categories}))
    (tmp_path / "dt.json").write_text(
        json.dumps([{"image_id": 1, "category_id": 2, "bbox": [0, 0, 5, 5], "score": 0.9}])
    )
    found, _ = read_coco(tmp_path / "gt.json", tmp_path / "dt.json", class_map={"van": "car"}, classes=["car"])
    assert names(found) == ["car"]
