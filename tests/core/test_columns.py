"""The table of boxes, and what it refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections
from hnm_core.columns import check_same_world
from tests.scenes import HERE, scene

GOOD: dict[str, Any] = {
    "image": [0, 2, 0],
    "xyxy": [[0, 0, 10, 10], [5, 5, 5, 5], [1, 2, 3, 4]],
    "label": [1, 0, 1],
    "score": [0.0, 0.5, 1.0],
    "images": ["a.jpg", "b.jpg", "c.jpg"],
    "classes": ["cat", "dog"],
    "ids": ["x", "y", "z"],
    "crowd": [False, False, True],
}


def table(**changed: Any) -> Detections:
    return Detections(**{**GOOD, **changed})


def test_columns_are_brought_to_their_types() -> None:
    made = table(image=np.array([0, 2, 0], dtype=np.uint8), classes=[1, 2.5])
    assert (made.image.dtype, made.label.dtype, made.xyxy.dtype) == (np.int64, np.int64, np.float64)
    assert made.score is not None
    assert (made.score.dtype, made.crowd.dtype) == (np.float64, bool)  # type: ignore[union-attr]
    assert (made.images, made.classes) == (("a.jpg", "b.jpg", "c.jpg"), ("1", "2.5"))
    assert len(made) == 3


def test_score_ids_and_crowd_are_optional() -> None:
    bare = table(score=None, ids=None, crowd=None)
    assert bare.is_crowd().tolist() == [False] * 3
    assert table().is_crowd().tolist() == [False, False, True]


def test_empty_is_an_ordinary_value() -> None:
    for made in (
        Detections.empty(["a"], ["cat"]),
        Detections.empty([], []),
        Detections([], [], [], None, ["a"], ["cat"]),
        Detections([], np.zeros((0, 4)), [], [], [], []),
    ):
        assert len(made) == 0
        assert made.xyxy.shape == (0, 4)
    assert Detections.empty(["a"], ["cat"], scored=True).score is not None
    assert Detections.empty(["a"], ["cat"]).score is None


@pytest.mark.parametrize("names", [["a/b.c.jpg", "ü/图像.jpg", " "], ["", "a\nb", "a,b:c;d"]])
def test_names_may_be_any_text(names: list[str]) -> None:
    assert table(images=names, classes=names).images == tuple(names)


def test_rows_are_taken_by_mask_or_number_and_no_image_is_forgotten() -> None:
    some = table().take(np.array([2, 0]))
    assert (some.ids.tolist(), some.crowd.tolist(), some.image.tolist()) == (["z", "x"], [True, False], [0, 0])  # type: ignore[union-attr]
    assert some.images == table().images
    assert table().take(np.array([False, True, False])).xyxy.tolist() == [[5, 5, 5, 5]]
    assert len(table().take(np.zeros(3, dtype=bool))) == 0
    assert table(score=None, ids=None, crowd=None).take(np.array([1])).score is None


def test_tables_cannot_be_changed_by_the_way() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        table().images = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": [0]}, r"label has shape (1,), expected (3,): one entry per row of image"),
        ({"score": [0.5]}, r"score has shape (1,), expected (3,): one entry per row of image"),
        ({"crowd": [True]}, r"crowd has shape (1,), expected (3,): one entry per row of image"),
        ({"ids": ["a"]}, r"ids has shape (1,), expected (3,): one entry per row of image"),
        ({"xyxy": [0, 0, 1]}, r"xyxy has shape (3,), expected (3, 4): one entry per row of image"),
        ({"xyxy": [[0, 0, 1]] * 3}, r"xyxy has shape (3, 3), expected (3, 4): one entry per row of image"),
        ({"image": [[0], [2], [0]]}, "image has shape (3, 1), expected one row number per box"),
        ({"image": 0}, "image has shape (), expected one row number per box"),
        ({"image": [[0], [1, 2]]}, "image holds rows of different length, expected one row number per box"),
        ({"image": ["a.jpg"] * 3}, "image holds <U5 values, expected row numbers (int)"),
        ({"label": [0.0, 1.0, 0.0]}, "label holds float64 values, expected row numbers (int)"),
        ({"label": [True, False, True]}, "label holds bool values, expected row numbers (int)"),
        ({"xyxy": [["a", "b", "c", "d"]] * 3}, "xyxy holds values that are not numbers: [['a', 'b', 'c', 'd'], ["),
        ({"score": ["high"] * 3}, "score holds values that are not numbers: ['high', 'high', 'high']"),
        (
            {"image": [0, 3, 7]},
            "2 of 3 image numbers are none of the 3 images (counted from 0), first at row 1: 3. Are they ids instead "
            "of row numbers?",
        ),
        (
            {"label": [0, -1, 0]},
            "1 of 3 label numbers are none of the 2 classes (counted from 0), first at row 1: -1. Are they ids instead "
            "of row numbers?",
        ),
        ({"images": ["a", "b", "a"]}, "images names 'a' more than once: each name must be unique"),
        ({"classes": ["cat", "cat"]}, "classes names 'cat' more than once: each name must be unique"),
        ({"classes": [1, "1"]}, "classes names '1' more than once: each name must be unique"),
        (
            {"xyxy": [[0, 0, 1, 1], [5, 5, 2, 2], [9, 9, 1, 1]]},  # xywh for xyxy
            "2 of 3 boxes have x1 < x0, y1 < y0, NaN, infinity or beyond 1e100, first at row 1 (image 'c.jpg'): "
            "[5.0, 5.0, 2.0, 2.0]. Are they xywh? Then convert them with hnm_core.boxes.xywh_to_xyxy",
        ),
        (
            {"xyxy": [[0, 0, 1, 1], [0, 0, np.nan, 1], [0, 0, 1, 1]]},
            "1 of 3 boxes have x1 < x0, y1 < y0, NaN, infinity",
        ),
        ({"xyxy": [[0, 0, 1, 1], [0, 0, 1e200, 1e200], [0, 0, 1, 1]]}, "1 of 3 boxes have x1 < x0, y1 < y0, NaN, inf"),
        (
            {"xyxy": [[0, 0, 1, 1], [0, 0, np.inf, 1], [0, 0, 1, 1]]},
            "1 of 3 boxes have x1 < x0, y1 < y0, NaN, infinity",
        ),
        (
            {"xyxy": [[0, 0, 1, 1], [0, 5, 1, 1], [0, 0, 1, 1]]},
            "1 of 3 boxes have x1 < x0, y1 < y0, NaN, infinity or beyond 1e100",
        ),
        (
            {"score": [0.5, 97, 1.01]},
            "2 of 3 scores lie outside [0, 1], first at row 1 (image 'c.jpg'): 97.0. Are they percentages or logits?",
        ),
        ({"score": [0.5, -0.1, 0.5]}, "1 of 3 scores lie outside [0, 1], first at row 1 (image 'c.jpg'): -0.1."),
        ({"score": [np.nan, 0.5, 0.5]}, "1 of 3 scores lie outside [0, 1], first at row 0 (image 'a.jpg'): nan"),
        ({"score": [None, 0.5, 0.5]}, "1 of 3 scores lie outside [0, 1], first at row 0 (image 'a.jpg'): nan"),
    ],
)
def test_what_cannot_be_a_table_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        table(**changed)
    assert str(error.value).startswith(message)


def test_a_label_without_any_class() -> None:
    with pytest.raises(ValueError, match=r"^1 of 1 label numbers are none of the 0 classes"):
        Detections([0], [HERE], [0], None, ["a"], [])


# The meeting of tables


@pytest.mark.parametrize(
    ("kind", "first", "second", "message"),
    [
        (
            "images",
            ["a", "b", "c"],
            ["a", "b"],
            "predictions have 3 images, ground truth has 2; only predictions: 'c'. Both tables must name the same "
            "images in the same order",
        ),
        (
            "classes",
            ["cat", "dog"],
            ["dog", "cat"],
            "predictions and ground truth differ in 2 of 2 classes, first at number 0: 'cat' against 'dog'. Both "
            "tables must name the same classes in the same order",
        ),
        (
            "images",
            ["a", "b", "c"],
            ["a", "x", "c"],
            "predictions and ground truth differ in 1 of 3 images, first at number 1: 'b' against 'x'. Both tables "
            "must name the same images in the same order",
        ),
        (
            "images",
            ["a", "b"],
            ["b", "c", "d"],
            "predictions have 2 images, ground truth has 3; only predictions: 'a'; only ground truth: 'c', 'd'. Both",
        ),
        (
            "classes",
            list("abcdefg"),
            [],
            "predictions have 7 classes, ground truth has 0; only predictions: 'a', 'b', 'c' …. Both tables must",
        ),
    ],
)
def test_tables_of_different_worlds_are_refused(kind: str, first: list[str], second: list[str], message: str) -> None:
    names = {"images": ["a"], "classes": ["cat"]}
    predictions = Detections.empty(**{**names, kind: first}, scored=True)
    truth = Detections.empty(**{**names, kind: second})
    with pytest.raises(ValueError, match=r"^") as error:
        check_same_world(predictions, truth)
    assert str(error.value).startswith(message)


def test_swapped_tables_are_refused() -> None:
    predictions, truth = scene([("a", "cat", 0.9, HERE)], [("a", "cat", HERE)])
    check_same_world(predictions, truth)
    hint = "column; are predictions and ground truth swapped\\?$"
    with pytest.raises(ValueError, match=f"^the predictions have no score {hint}"):
        check_same_world(truth, predictions)
    with pytest.raises(ValueError, match=f"^the ground truth has a score {hint}"):
        check_same_world(predictions, predictions)
