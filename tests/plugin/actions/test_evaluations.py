"""FiftyOne's own evaluation counts what we count: on what is confident, matched class by class, without crowds."""

from __future__ import annotations

import pytest
from fiftyone import ViewField as F

from fiftyone_plugin.actions import evaluations
from hnm_core import MiningSettings, mine
from tests.datasets import dataset_of
from tests.scenes import random_scene


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("iou", [0.5, 0.75])
def test_counts_are_those_of_evaluate_detections(seed: int, iou: float) -> None:
    predictions, truth = random_scene(seed, crowds=0.0)
    result = mine(predictions, truth, MiningSettings(confidence_threshold=0.4, iou_threshold=iou, ignored=()))
    confident = dataset_of((predictions, truth)).filter_labels(
        "predictions", F("confidence") >= 0.4, only_matches=False
    )
    confident.evaluate_detections("predictions", gt_field="ground_truth", eval_key="eval", iou=iou, progress=False)
    ours = result.report.counts
    assert confident.sum("eval_tp") == ours.true_positives
    assert confident.sum("eval_fp") == ours.false_positives
    assert confident.sum("eval_fn") == ours.false_negatives


class TestMetrics:
    """Our rates in FiftyOne's own evaluation."""

    RATES = ("@hnm/hard-negative-mining/false_alarm_rate", "@hnm/hard-negative-mining/fppi")

    @pytest.mark.parametrize("threshold", [0.5, 0.2])
    def test_they_are_those_of_mining(self, threshold: float) -> None:
        predictions, truth = random_scene(1, crowds=0.0)
        dataset = dataset_of((predictions, truth))
        asked = dict.fromkeys(self.RATES, None if threshold == 0.5 else {"confidence_threshold": threshold})
        found = dataset.evaluate_detections(
            "predictions", gt_field="ground_truth", eval_key="eval", iou=0.5, custom_metrics=asked, progress=False
        )
        rates = mine(predictions, truth, MiningSettings(confidence_threshold=threshold)).report.as_dict()["rates"]
        shown = found.metrics()
        assert shown["false_alarm_rate"] == pytest.approx(rates["false_alarm_rate"])
        assert shown["fppi"] == pytest.approx(rates["fppi"]) == pytest.approx(dataset.mean("eval_fppi"))
        assert rates["fppi"] > 0
        stored = dataset.load_evaluation_results("eval").custom_metrics
        assert [metric["label"] for metric in stored.values()] == [
            "False-alarm rate, confident",
            "False positives per image, confident",
        ]
        assert all(metric["lower_is_better"] for metric in stored.values())

    def test_their_field_goes_with_the_evaluation(self) -> None:
        dataset = dataset_of()
        dataset.evaluate_detections(
            "predictions", gt_field="ground_truth", eval_key="eval", custom_metrics=list(self.RATES), progress=False
        )
        assert dataset.has_field("eval_fppi")
        dataset.rename_evaluation("eval", "again")
        assert dataset.has_field("again_fppi")
        assert not dataset.has_field("eval_fppi")
        dataset.delete_evaluation("again")
        assert not [path for path in dataset.get_field_schema(flat=True) if "again" in path or "eval" in path]

    def test_without_a_key_nothing_is_written(self) -> None:
        dataset = dataset_of()
        found = dataset.evaluate_detections(
            "predictions", gt_field="ground_truth", custom_metrics=list(self.RATES), progress=False
        )
        assert set(found.custom_metrics) == set(self.RATES)
        assert not dataset.has_field("None_fppi")

    def test_a_threshold_that_is_none_is_named(self) -> None:
        dataset = dataset_of()
        found = dataset.evaluate_detections("predictions", gt_field="ground_truth", progress=False)
        with pytest.raises(ValueError, match=r"confidence_threshold must lie in \[0, 1\], got 50"):
            evaluations.rate("fppi", dataset, found, 50)
