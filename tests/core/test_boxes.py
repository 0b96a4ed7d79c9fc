"""Conversions and overlaps of plain arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core.boxes import area, overlapping, xywh_to_xyxy, xyxy_to_xywh
from tests.scenes import patient


def iou(first: list[float], second: list[float], *, crowd: bool = False) -> float:
    """Of one pair of corner boxes; 0 where :func:`overlapping` leaves the pair out."""
    zero = np.array([0])
    found = overlapping(np.array([first], float), np.array([second], float), zero, zero, np.array([crowd]))
    assert found[0].tolist() == found[1].tolist() == [0] * len(found[2])
    return float(found[2][0]) if len(found[2]) else 0.0


def test_conversions_are_inverse_and_leave_their_input_alone() -> None:
    boxes = np.array([[1.0, 2, 3, 4], [0, 0, 0, 0]])
    assert xywh_to_xyxy(boxes).tolist() == [[1, 2, 4, 6], [0, 0, 0, 0]]
    assert xyxy_to_xywh(xywh_to_xyxy(boxes)).tolist() == boxes.tolist() == [[1, 2, 3, 4], [0, 0, 0, 0]]
    assert xywh_to_xyxy([]).shape == xyxy_to_xywh([]).shape == (0, 4)


def test_area() -> None:
    assert area(np.array([[1.0, 2, 4, 6], [1, 1, 1, 9]])).tolist() == [12, 0]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([0, 0, 10, 10], [0, 0, 10, 10], 1),
        ([0, 0, 10, 10], [0, 0, 10, 5], 0.5),
        ([0, 0, 10, 10], [5, 0, 15, 10], 1 / 3),
        ([0, 0, 10, 10], [5, 5, 15, 15], 25 / 175),
        ([0, 0, 10, 10], [10, 0, 20, 10], 0),  # they share an edge only
        ([0, 0, 10, 10], [10, 10, 20, 20], 0),  # a corner only
        ([0, 0, 10, 10], [0, 50, 10, 60], 0),  # apart in y only
        ([0, 0, 10, 10], [5, 5, 5, 5], 0),  # a point inside
        ([0, 0, 10, 10], [5, 0, 5, 10], 0),  # a line inside
        ([5, 5, 5, 5], [5, 5, 5, 5], 0),  # never 0/0
        ([-10, -10, 0, 0], [-5, -10, 0, 0], 0.5),
    ],
)
def test_intersection_over_union(first: list[float], second: list[float], expected: float) -> None:
    assert iou(first, second) == pytest.approx(expected)
    assert iou(second, first) == iou(first, second)


def test_a_crowd_is_overlapped_by_what_lies_in_it() -> None:
    assert iou([2, 2, 4, 4], [0, 0, 10, 10], crowd=True) == 1
    assert iou([5, 0, 15, 10], [0, 0, 10, 10], crowd=True) == 0.5
    assert iou([20, 0, 30, 10], [0, 0, 10, 10], crowd=True) == 0


def test_only_pairs_that_overlap_come_back_in_the_order_given() -> None:
    first = np.array([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    second = np.array([[0.0, 0, 10, 5], [90, 90, 99, 99], [50, 50, 60, 60]])
    rows, others = np.array([1, 0, 0, 1]), np.array([2, 1, 0, 0])
    found = overlapping(first, second, rows, others)
    assert [column.tolist() for column in found] == [[1, 0], [2, 0], [1.0, 0.5]]
    empty = np.zeros(0, dtype=int)
    assert [column.tolist() for column in overlapping(first, second, empty, empty)] == [[], [], []]


side = st.integers(0, 1000)
boxes = st.tuples(side, side, side, side).map(lambda b: [b[0] / 8, b[1] / 8, (b[0] + b[2]) / 8, (b[1] + b[3]) / 8])


@patient
@given(first=boxes, second=boxes, scale=st.integers(-8, 8), scale_y=st.integers(-8, 8))
def test_overlap_is_symmetric_bounded_and_blind_to_the_unit_of_each_axis(
    first: list[float], second: list[float], scale: int, scale_y: int
) -> None:
    overlap = iou(first, second)
    assert 0 <= overlap <= 1
    assert overlap == iou(second, first)
    unit = np.array([2.0**scale, 2.0**scale_y] * 2)  # powers of two: not one bit may change
    assert iou((first * unit).tolist(), (second * unit).tolist()) == overlap
    assert iou(first, first) == (1 if area(np.array([first]))[0] else 0)


@pytest.mark.parametrize("size", [(640, 427), (500, 375), (1920, 1080), (1242, 375)])
def test_an_overlap_is_the_same_in_pixels_and_in_fractions(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    corner, sides = rng.integers(0, 200, (500, 2)), rng.integers(1, 90, (500, 2))
    first = np.concatenate([corner, corner + sides], axis=1).astype(float)
    second = first + rng.integers(-9, 1, (500, 1)) * np.array([1, 1, 0, 0])
    scale, rows = np.array([*size, *size], dtype=float), np.arange(500)
    in_pixels = overlapping(first, second, rows, rows)[2]
    in_fractions = overlapping(first / scale, second / scale, rows, rows)[2]
    assert in_pixels.tolist() == in_fractions.tolist()


def test_a_touch_that_rounds_to_nothing_is_no_overlap() -> None:
    rows = np.array([0])
    first, second = np.array([[0.0, 0, 1, 1]]), np.array([[1 - 1e-12, 0.0, 2, 1]])
    assert [len(column) for column in overlapping(first, second, rows, rows)] == [0, 0, 0]
