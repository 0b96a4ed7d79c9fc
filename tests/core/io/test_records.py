"""The guide's dicts, to tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hnm_core.io import read_records

CAT = {"bbox": [0, 0, 10, 10], "confidence": 0.9, "class": "cat"}
DOG = {"bbox": [5, 5, 20, 20], "class": "dog"}


def test_row_by_row() -> None:
    predictions, truth = read_records([CAT, {**CAT, "confidence": 0.3, "class": 7}], [DOG], image="a/b.jpg")
    assert predictions.images == truth.images == ("a/b.jpg",)
    assert predictions.classes == truth.classes == ("cat", "7", "dog")
    assert predictions.xyxy.tolist() == [[0, 0, 10, 10]] * 2
    assert predictions.score is not None
    assert predictions.score.tolist() == [0.9, 0.3]
    assert (predictions.label.tolist(), truth.label.tolist()) == ([0, 1], [2])
    assert (predictions.image.tolist(), truth.image.tolist()) == ([0, 0], [0])
    assert truth.score is None


def test_classes_may_be_numbers_of_any_kind_and_names_of_any_script() -> None:
    _, truth = read_records([], [{**DOG, "class": name} for name in (1, "1", np.int64(1), "交通/灯.v2", "")])
    assert truth.classes == ("1", "交通/灯.v2", "")
    assert truth.label.tolist() == [0, 0, 0, 1, 2]


def test_numbers_may_be_of_any_kind() -> None:
    torch = pytest.importorskip("torch")
    for bbox in ((0, 0, 2, 2), np.array([0, 0, 2, 2], dtype=np.float32), torch.tensor([0.0, 0, 2, 2])):
        predictions, _ = read_records([{"bbox": bbox, "confidence": torch.tensor(0.5), "class": "cat"}], [])
        assert predictions.xyxy.tolist() == [[0, 0, 2, 2]]
        assert predictions.score.tolist() == [0.5]  # type: ignore[union-attr]


def test_crowds_and_further_keys() -> None:
    _, truth = read_records([], [{**DOG, "crowd": True, "colour": "brown"}, DOG])
    assert truth.is_crowd().tolist() == [True, False]


def test_classes_that_the_image_does_not_show() -> None:
    predictions, _ = read_records([CAT], [], classes=["cow", "cat"])
    assert predictions.classes == ("cow", "cat")
    assert predictions.label.tolist() == [1]


def test_nothing() -> None:
    predictions, truth = read_records([], [])
    assert (len(predictions), len(truth), predictions.images, predictions.classes) == (0, 0, ("image",), ())
    assert predictions.score is not None


@pytest.mark.parametrize(
    ("predictions", "truth", "message"),
    [
        (
            [CAT, {"bbox": [0, 0, 1, 1]}],
            [],
            "prediction 1 has no 'confidence' and no 'class'; expected 'bbox', 'confidence', 'class', got 'bbox'",
        ),
        ([], [{"box": 1, "class": 1}], "ground truth 0 has no 'bbox'; expected 'bbox', 'class', got 'box', 'class'"),
        (["cat"], [], "prediction 0 is a str, expected a dict with bbox, confidence, class"),
        ({"bbox": []}, [], "predictions are a dict, expected a list of dicts with bbox, confidence, class"),
        ([], [DOG, {**DOG, "bbox": [0, 0, 1]}], "ground truth 1 has bbox [0, 0, 1], expected four numbers [x1, y1,"),
        ([{**CAT, "bbox": None}], [], "prediction 0 has bbox None, expected four numbers [x1, y1, x2, y2]"),
        ([{**CAT, "bbox": "0 0 1 1"}], [], "prediction 0 has bbox '0 0 1 1', expected four numbers [x1, y1, x2, y2]"),
        ([{**CAT, "bbox": [0, 0, None, 1]}], [], "prediction 0 has bbox [0, 0, None, 1], expected four numbers"),
        ([CAT, {**CAT, "confidence": "high"}], [], "prediction 1 has confidence 'high', expected a number in [0, 1]"),
        ([{**CAT, "confidence": True}], [], "prediction 0 has confidence True, expected a number in [0, 1]"),
        (
            [{**CAT, "confidence": np.True_}],
            [],
            f"prediction 0 has confidence {np.True_!r}, expected a number in [0, 1]",
        ),
        ([{**CAT, "bbox": [0, 0, True, 1]}], [], "prediction 0 has bbox [0, 0, True, 1], expected four numbers"),
        ([{**CAT, "bbox": [0, 0, np.True_, 1]}], [], "prediction 0 has bbox "),
        ([{**CAT, "class": np.True_}], [], "prediction 0 has class "),
        ([], [{**DOG, "class": False}], "ground truth 0 has class False (bool), expected a name or a whole number"),
        ([{**CAT, "confidence": None}], [], "prediction 0 has confidence None, expected a number in [0, 1]"),
        ([{**CAT, "class": 0.0}], [], "prediction 0 has class 0.0 (float), expected a name or a whole number"),
        ([], [{**DOG, "class": None}], "ground truth 0 has class None (NoneType), expected a name or a whole number"),
        (
            [CAT, {**CAT, "bbox": [5, 5, 2, 2]}],  # xywh
            [],
            "1 of 2 boxes have x1 < x0, y1 < y0, NaN, infinity or beyond 1e100, first at row 1 (image 'image'): "
            "[5.0, 5.0, 2.0, 2.0]. Are they xywh?",
        ),
        ([{**CAT, "confidence": 90}], [], "1 of 1 scores lie outside [0, 1], first at row 0 (image 'image'): 90.0."),
        ([{**CAT, "confidence": float("nan")}], [], "1 of 1 scores lie outside [0, 1], first at row 0 "),
    ],
)
def test_what_is_no_such_dict_is_refused(predictions: Any, truth: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        read_records(predictions, truth)
    assert str(error.value).startswith(message)
