"""Category ids of results are read as the boxes say."""

import json
import warnings

import numpy as np
import pytest

from hnm_core.io import read_coco, write_coco

NAMES = ("cat", "dog", "emu")


def files(folder, truth_ids, result_ids, *, labels=None, image_ids=None, overlap=True):
    """30 images with one truth each and one prediction on it; ids of class ``c`` as the mappings say."""
    labels = list(range(3)) * 10 if labels is None else labels
    images = [{"id": i, "file_name": f"pic/{i:03d}.jpg"} for i in range(30)]
    box = [10, 10, 20, 20]
    annotations = [
        {"id": i, "image_id": i, "category_id": truth_ids[i % 3], "bbox": box if overlap else [500, 500, 9, 9]}
        for i in range(30)
    ]
    results = [
        {"image_id": i if image_ids is None else image_ids[i], "category_id": result_ids[c], "bbox": box, "score": 0.9}
        for i, c in enumerate(labels)
    ]
    categories = [{"id": truth_ids[c], "name": NAMES[c]} for c in range(3)]
    gt, dt = folder / "gt.json", folder / "dt.json"
    gt.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    dt.write_text(json.dumps(results))
    return gt, dt


def names(table):
    return [table.classes[i] for i in table.label]


@pytest.mark.parametrize("ids", [(1, 2, 3), (0, 1, 2), (7, 9, 8)])
def test_ids_that_fit_are_read_as_given(tmp_path, ids):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictions, truth = read_coco(*files(tmp_path, ids, ids))
    assert names(predictions) == names(truth)


@pytest.mark.parametrize(
    ("truth_ids", "result_ids", "labels", "said"),
    [
        ((0, 1, 2), (1, 2, 3), None, "as class index \\+ 1.* and not all ids are known as given"),  # 3 is unknown
        ((0, 1, 2), (1, 2, 3), [0, 1, 0] * 10, "as class index \\+ 1.* on 67% of 30 .* as given on 0%"),  # never an emu
        ((1, 2, 3), (0, 1, 2), None, "as class index, .* and not all ids are known as given"),
        ((11, 12, 13), (1, 2, 3), None, "as class index \\+ 1.* on 100% of 30 overlapping boxes"),
    ],
)
def test_a_shift_is_found_and_said(tmp_path, truth_ids, result_ids, labels, said):
    with pytest.warns(UserWarning, match=said):
        predictions, _ = read_coco(*files(tmp_path, truth_ids, result_ids, labels=labels))
    assert names(predictions) == [NAMES[c] for c in (labels or list(range(3)) * 10)]


def test_unknown_ids_without_overlap_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"10 of 30 boxes have a category_id that .*gt\.json does not list .* first 3; "
    ):
        read_coco(*files(tmp_path, (0, 1, 2), (1, 2, 3), overlap=False))


def test_labels_that_agree_nowhere_are_refused(tmp_path):
    gt, dt = files(tmp_path, (1, 2, 3), (1, 1, 1))  # 1 is a cat as given, a dog as class index
    truth = json.loads(gt.read_text())
    for row in truth["annotations"]:
        row["category_id"] = 3
    gt.write_text(json.dumps(truth))
    with pytest.raises(
        ValueError, match=r"labels agree with .* on 0% of 30 overlapping boxes, for every interpretation"
    ):
        read_coco(gt, dt)


def test_images_may_be_named_by_stem(tmp_path):
    stems = [f"{i:03d}" for i in range(30)]
    predictions, truth = read_coco(*files(tmp_path, (1, 2, 3), (1, 2, 3), image_ids=stems))
    assert predictions.image.tolist() == truth.image.tolist()


def test_what_is_written_is_read_back(tmp_path):
    predictions, truth = read_coco(*files(tmp_path, (1, 2, 3), (1, 2, 3)))
    write_coco(predictions, truth, tmp_path / "a.json", tmp_path / "b.json")
    again = read_coco(tmp_path / "a.json", tmp_path / "b.json")
    for before, after in zip((predictions, truth), again, strict=True):
        assert before.images == after.images
        assert before.classes == after.classes
        for name in ("image", "xyxy", "label"):
            assert np.array_equal(getattr(before, name), getattr(after, name))
    assert np.array_equal(predictions.score, again[0].score)


COCO_80 = tuple(f"class {i}" for i in range(80))
COCO_OF = {0: 1, 11: 13, 12: 14, 55: 61, 79: 90}
"""Class index of five of COCO's 80 classes → their category id (instances_val2017.json)."""


@pytest.mark.parametrize("given", ["names", "categories from 1"])
def test_ids_of_coco_are_understood_for_its_80_classes(tmp_path, given):
    used = [list(COCO_OF)[i % 5] for i in range(30)]
    gt, dt = files(tmp_path, (1, 2, 3), (1, 2, 3))
    content, rows = json.loads(gt.read_text()), json.loads(dt.read_text())
    content["categories"] = [{"id": i + 1, "name": name} for i, name in enumerate(COCO_80)]
    for index, annotation, row in zip(used, content["annotations"], rows, strict=True):
        annotation["category_id"], row["category_id"] = index + 1, COCO_OF[index]
    gt.write_text(json.dumps(content))
    dt.write_text(json.dumps(rows))
    names_given = COCO_80 if given == "names" else None
    if names_given:  # 90 is no number of 80 classes: only one reading is left
        predictions, truth = read_coco(gt, dt, prediction_names=names_given)
    else:
        with pytest.warns(UserWarning, match="as the ids of COCO's 80 classes, .* on 100% of 30 overlapping boxes"):
            predictions, truth = read_coco(gt, dt)
    assert names(predictions) == names(truth)


def test_ids_of_coco_are_told_from_numbers_by_the_boxes(tmp_path):
    gt, dt = files(tmp_path, (1, 2, 3), (1, 2, 3))
    content, rows = json.loads(gt.read_text()), json.loads(dt.read_text())
    content["categories"] = [{"id": i + 1, "name": name} for i, name in enumerate(COCO_80)]
    for annotation, row in zip(content["annotations"], rows, strict=True):
        annotation["category_id"], row["category_id"] = 12, 13  # class 11; 13 is also the number of class 12
    gt.write_text(json.dumps(content))
    dt.write_text(json.dumps(rows))
    with pytest.warns(UserWarning, match=r"as the ids of COCO.* as given on 0%"):
        predictions, truth = read_coco(gt, dt, prediction_names=COCO_80)
    assert names(predictions) == names(truth)


def test_ids_with_gaps_mean_nothing_for_other_numbers_of_classes(tmp_path):
    gt, dt = files(tmp_path, (1, 2, 3), (1, 2, 90))
    with pytest.raises(ValueError, match=r"have a category_id that .* does not list among its categories, first 90"):
        read_coco(gt, dt)
