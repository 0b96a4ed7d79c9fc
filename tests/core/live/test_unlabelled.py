"""Detections without ground truth, ranked: alone, and while a model predicts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hnm_core import HardNegativeMiner, MiningSettings
from hnm_core.live.unlabelled import rank_detections
from hnm_core.realtime import real_time_mining

BOX = [0, 0, 9, 9]


def cat(score: float, name: str = "cat") -> dict[str, Any]:
    return {"bbox": BOX, "confidence": score, "class": name}


SEEN = [cat(0.9), cat(0.24), cat(0.3), cat(0.5), cat(0.7), cat(0.45)]


class Oracle:
    """A verifier that likes confident detections least, and keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    def score(self, image: Any, predictions: Any) -> Any:
        self.shown.append(image)
        return np.array([each["confidence"] / 2 for each in predictions])


def listed(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(each["error"], each["confidence"], each["ranked_by"]) for each in found]


def test_two_lists_each_by_falling_difficulty() -> None:
    by_confidence = [
        ("confident", 0.5),
        ("confident", 0.7),
        ("confident", 0.9),
        ("uncertain", 0.3),
        ("uncertain", 0.45),
    ]
    assert listed(rank_detections(SEEN)) == [(*each, "confidence") for each in by_confidence]
    found = rank_detections(SEEN, None, Oracle())  # type: ignore[arg-type]
    other = [("confident", 0.9), ("confident", 0.7), ("confident", 0.5), ("uncertain", 0.45), ("uncertain", 0.3)]
    assert listed(found) == [(*each, "verifier") for each in other]
    assert [each["difficulty"] for each in found] == [0.45, 0.35, 0.25, 0.225, 0.15]


def test_difficulty_without_a_verifier_is_what_confidence_leaves() -> None:
    assert [each["difficulty"] for each in rank_detections([cat(0.75), cat(0.25)])] == [0.25, 0.75]


def test_what_is_found_is_a_proposal_that_knows_no_truth() -> None:
    found = rank_detections([cat(0.8)], image_path="a.jpg")[0]
    assert found["prediction"] == cat(0.8)
    assert (found["type"], found["image_path"]) == ("proposal", "a.jpg")
    assert [found[name] for name in ("ground_truth", "iou", "suspicion")] == [None, None, None]


def test_thresholds_per_class_say_what_is_confident() -> None:
    settings = MiningSettings(confidence_threshold=0.6, class_confidence={"dog": 0.2, "horse": 0.9})
    found = rank_detections([cat(0.59), cat(0.21, "dog"), cat(0.6)], settings)
    assert listed(found) == [
        ("confident", 0.21, "confidence"),
        ("confident", 0.6, "confidence"),
        ("uncertain", 0.59, "confidence"),
    ]


def test_equal_difficulties_keep_their_order_and_nothing_is_nothing() -> None:
    same = [{**cat(0.8), "bbox": [i, 0, 9, 9]} for i in range(5)]
    assert [each["prediction"]["bbox"][0] for each in rank_detections(same)] == [0, 1, 2, 3, 4]
    assert rank_detections([]) == []
    assert rank_detections([cat(0.1)]) == []


def test_a_prediction_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="prediction 0"):
        rank_detections([{"bbox": BOX, "class": "cat"}])


# While a model predicts


def model(_: Any) -> list[dict[str, Any]]:
    return SEEN


def test_an_image_without_truth_is_ranked_and_no_report_counts_it() -> None:
    predictions, found = real_time_mining(model, "street.jpg")
    assert predictions == SEEN
    assert found == rank_detections(SEEN, image_path="street.jpg")
    miner = HardNegativeMiner(confidence_threshold=0.8)
    assert listed(real_time_mining(model, "street.jpg", None, miner)[1])[:2] == [
        ("confident", 0.9, "confidence"),
        ("uncertain", 0.3, "confidence"),
    ]
    assert miner.generate_report()["statistics"]["total_predictions"] == 0


def test_an_empty_truth_is_a_truth() -> None:
    miner = HardNegativeMiner()
    assert real_time_mining(model, "a.jpg", [], miner)[1] == HardNegativeMiner().find_hard_negatives(SEEN, [], "a.jpg")
    assert miner.generate_report()["statistics"]["false_positives"] == 3


def test_with_truth_the_answer_is_the_default_miners_whatever_the_verifier() -> None:
    truth = [{"bbox": BOX, "class": "cat"}]
    expected = HardNegativeMiner().find_hard_negatives(SEEN, truth, "a.jpg")
    oracle = Oracle()
    assert real_time_mining(model, "a.jpg", truth, verifier=oracle)[1] == expected  # type: ignore[arg-type]
    assert oracle.shown == []


def test_a_batch_may_know_some_truths() -> None:
    miner, oracle = HardNegativeMiner(), Oracle()
    images = ["a.jpg", "b.jpg", "c.jpg"]
    _, found = real_time_mining(model, images, [[], None, []], miner, verifier=oracle)  # type: ignore[arg-type]
    assert [each[0]["type"] for each in found] == ["false_positive", "proposal", "false_positive"]
    assert oracle.shown == ["b.jpg"]
    assert miner.generate_report()["statistics"]["false_positives"] == 6
    _, found = real_time_mining(model, images)
    assert [each[0]["image_path"] for each in found] == images
    assert real_time_mining(model, []) == ([], [])


def test_the_verifier_looks_at_what_the_model_saw() -> None:
    seen = np.zeros((9, 9, 3), np.uint8)
    boxes = SimpleNamespace(xyxy=np.array([BOX]), conf=np.array([0.9]), cls=np.array([0]))
    result = SimpleNamespace(boxes=boxes, names={0: "cat"}, orig_img=seen)
    asked: list[dict[str, Any]] = []

    class Detector:
        def predict(self, images: list[Any], **options: Any) -> list[Any]:
            asked.append(options)
            return [result for _ in images]

    for detector in (Detector(), lambda image: [result], lambda image: result):
        oracle = Oracle()
        real_time_mining(detector, "a.jpg", verifier=oracle, **({"imgsz": 64} if len(asked) == 0 else {}))
        assert oracle.shown[0] is seen
    assert asked == [{"verbose": False, "conf": 0.05, "imgsz": 64}]
    real_time_mining(Detector(), "a.jpg", [])
    real_time_mining(Detector(), "a.jpg", conf=0.4)
    assert asked[1:] == [{"verbose": False}, {"verbose": False, "conf": 0.4}]


def test_a_path_is_no_verifier() -> None:
    with pytest.raises(TypeError, match=r"verifier is a str, expected a Verifier: load a file with Verifier.load"):
        real_time_mining(model, "a.jpg", verifier="verifier.npz")  # type: ignore[arg-type]


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="the batch has 2 images, ground_truth is for 1"):
        real_time_mining(model, ["a.jpg", "b.jpg"], [None])
