"""FiftyOne's own evaluation counts what we count: on what is confident, matched class by class, without crowds."""

from __future__ import annotations

import pytest
from fiftyone import ViewField as F

from hnm_core import MiningSettings, mine
from tests.datasets import dataset_of
from tests.scenes import random_scene


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("iou", [0.5, 0.75])
def test_counts_are_those_of_evaluate_detections(seed: int, iou: float) -> None:
    predictions, truth = random_scene(seed, crowds=0.0)
    result = mine(predictions, truth, MiningSettings(confidence_threshold=0.4, iou_threshold=iou))
    confident = dataset_of((predictions, truth)).filter_labels(
        "predictions", F("confidence") >= 0.4, only_matches=False
    )
    confident.evaluate_detections("predictions", gt_field="ground_truth", eval_key="eval", iou=iou, progress=False)
    ours = result.report.counts
    assert confident.sum("eval_tp") == ours.true_positives
    assert confident.sum("eval_fp") == ours.false_positives
    assert confident.sum("eval_fn") == ours.false_negatives
