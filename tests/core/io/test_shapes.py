"""Rotations and masks are said: nothing but the upright box is compared."""

import json
import warnings

import pytest

from hnm_core.cli import main
from hnm_core.io import read_coco, read_yolo

SQUARE = [[10, 10, 30, 10, 30, 30, 10, 30]]


def files(folder, of_truth=None, of_result=None):
    """Two images with a truth and a prediction on it each; the first of each side has more keys."""
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in range(2)]
    row = {"category_id": 1, "bbox": [10, 10, 20, 20]}
    annotations = [{"id": i, "image_id": i, **row, **((of_truth or {}) if i == 0 else {})} for i in range(2)]
    results = [{"image_id": i, "score": 0.9, **row, **((of_result or {}) if i == 0 else {})} for i in range(2)]
    truth = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "boat"}]}
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "dt.json").write_text(json.dumps(results))
    return folder / "gt.json", folder / "dt.json"


@pytest.mark.parametrize(
    ("sides", "said"),
    [
        ({"of_truth": {"rotation": 30}}, r"gt\.json: 1 of 2 boxes have a rotation: only their upright boxes"),
        ({"of_truth": {"attributes": {"rotation": "12.5"}}}, r"gt\.json: 1 of 2 boxes have a rotation"),  # CVAT
        ({"of_result": {"rotation": -4}}, r"dt\.json: 1 of 2 boxes have a rotation"),
        ({"of_result": {"segmentation": {"size": [9, 9], "counts": "a"}}}, r"dt\.json: 1 of 2 boxes have a mask"),
    ],
)
def test_a_shape_that_is_not_compared_is_said_with_its_number(tmp_path, sides, said):
    with pytest.warns(UserWarning, match=said):
        predictions, truth = read_coco(*files(tmp_path, **sides))
    assert predictions.xyxy.tolist() == truth.xyxy.tolist() == [[10, 10, 30, 30]] * 2


@pytest.mark.parametrize("sides", [{}, {"of_truth": {"rotation": 0, "attributes": {"rotation": 0.0}}}])
def test_upright_boxes_are_not_spoken_of(tmp_path, sides):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_coco(*files(tmp_path, **sides))


def test_masks_of_truths_are_said_below_the_report(tmp_path, capsys):
    gt, dt = files(tmp_path, {"segmentation": SQUARE})
    assert main(["mine", "--data", str(gt), "--predictions", str(dt), "--output", str(tmp_path / "m")]) == 0
    assert "gt.json: 1 of 2 boxes have a mask: only their upright boxes are compared" in capsys.readouterr().out


def test_polygons_of_yolo_are_said(tmp_path):
    pytest.importorskip("yaml")
    (tmp_path / "data.yaml").write_text("train: images\nnames: [boat]\n")
    for name in ("images", "labels", "found"):
        (tmp_path / name).mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    (tmp_path / "labels" / "a.txt").write_text("0 .1 .1 .3 .1 .3 .3 .1 .3\n0 .5 .5 .1 .1\n")
    (tmp_path / "found" / "a.txt").write_text("0 .2 .2 .2 .2 .9\n")
    with pytest.warns(UserWarning, match=r"data\.yaml: 1 of 2 labels are polygons: only the boxes around them are"):
        _, truth = read_yolo(tmp_path / "data.yaml", predictions=tmp_path / "found")
    assert truth.xyxy.round(6).tolist() == [[0.1, 0.1, 0.3, 0.3], [0.45, 0.45, 0.55, 0.55]]
