"""Where our words meet the peers, numbers must be theirs: hotcoco's types, ObjectLab's overlooked boxes."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest

from hnm_core import mine
from hnm_core.io import read_coco, write_coco
from tests.scenes import Tables, random_scene

NAMES = {
    "Cls": "classification",
    "Loc": "localization",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
}


@pytest.fixture(params=["bccd", "cards", "random"])
def tables(request: pytest.FixtureRequest) -> Tables:
    if request.param == "random":
        return random_scene(7)
    data: Path = request.getfixturevalue("shared_data") / request.param
    return read_coco(data / "coco" / "instances_test.json", data / "preds" / "predictions_test.json")


def test_error_types_are_counted_as_hotcoco_counts_them(tables: Tables, tmp_path: Path) -> None:
    hotcoco = pytest.importorskip("hotcoco", reason="hotcoco is the oracle")
    predictions, truth = tables
    real = truth.take(~truth.is_crowd() & (truth.xyxy[:, 2:] > truth.xyxy[:, :2]).all(axis=1))  # empty boxes: ignored
    result = mine(predictions, real)
    write_coco(predictions.take(result.errors.confident), real, tmp_path / "gt.json", tmp_path / "dt.json")
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = hotcoco.COCO(str(tmp_path / "gt.json"))
        evaluation = hotcoco.COCOeval(ground_truth, ground_truth.load_res(str(tmp_path / "dt.json")), "bbox")
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [10_000]
        evaluation.evaluate()
    counts = evaluation.tide_errors()["counts"]
    ours = {**{k: v["false_positives"] for k, v in result.report.errors.items()}}
    ours["missed"] = result.report.errors["missed"]["false_negatives"]
    assert {NAMES[name]: count for name, count in counts.items()} == ours


def test_overlooked_boxes_are_the_background_errors_that_touch_nothing(tables: Tables) -> None:
    """ObjectLab scores the confident predictions that overlap no label at all; those and no others."""
    rank = pytest.importorskip("cleanlab.object_detection.rank", reason="cleanlab is the oracle")
    predictions, truth = tables
    real = truth.take(~truth.is_crowd())
    labels, boxes, rows = [], [], []
    for i in range(len(real.images)):
        here = real.image == i
        labels.append({"bboxes": real.xyxy[here], "labels": real.label[here]})
        of_class = [
            np.flatnonzero((predictions.image == i) & (predictions.label == c)) for c in range(len(real.classes))
        ]
        per_class = np.empty(len(of_class), dtype=object)
        per_class[:] = [np.column_stack([predictions.xyxy[r], predictions.score[r]]) for r in of_class]
        boxes.append(per_class)
        rows.append(np.concatenate(of_class))
    scores = rank.compute_overlooked_box_scores(labels=labels, predictions=boxes, high_probability_threshold=0.5)
    theirs = {int(row) for row, score in zip(rows, scores, strict=True) for row in row[~np.isnan(score)]}
    result = mine(predictions, real)
    touches_nothing = (result.prediction_error == "background") & (result.prediction_iou == 0)
    has_labels = np.bincount(real.image, minlength=len(real.images)) > 0
    ours = np.flatnonzero(touches_nothing & has_labels[predictions.image])
    assert theirs == set(ours.tolist())
