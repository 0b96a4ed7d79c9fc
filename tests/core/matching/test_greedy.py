"""Who found whom: the rules by hand, one scene each; test_oracles.py holds them against others at large."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest

from hnm_core import Detections, MiningSettings, match_detections
from hnm_core.matching import chunks, greedy
from hnm_core.matching.greedy import per_class
from hnm_core.matching.matches import Matches
from tests.scenes import CROWD, FAR, HERE, Row, apart, high, random_scene, scene


@pytest.fixture(autouse=True, params=["few", "many"])
def boxes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to match: in plain Python, as single images of few boxes are, and in numpy."""
    if request.param == "many":
        monkeypatch.setattr(greedy, "FEW_PAIRS", -1)


def matched(predictions: list[Row], truth: list[Row], **chosen: object) -> list[int]:
    return match_detections(*scene(predictions, truth), MiningSettings(**chosen)).matched.tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("k", "iou_threshold", "found"),
    [
        (5, 0.5, True),  # at the threshold: matched
        (4.999, 0.5, False),
        (7.5, 0.75, True),
        (10, 1.0, True),  # an exact box passes at 1
        (10 - 1e-10, 1.0, True),  # and one that rounding has kept from being exact
        (9.999, 1.0, False),
        (1, 0.1, True),
    ],
)
def test_the_threshold_is_inclusive(k: float, iou_threshold: float, found: bool) -> None:
    assert matched([("a", "cat", 0.9, high(k))], [("a", "cat", HERE)], iou_threshold=iou_threshold) == [
        0 if found else -1
    ]


def test_the_surer_prediction_chooses_first() -> None:
    found = [("a", "cat", 0.5, HERE), ("a", "cat", 0.9, high(6)), ("a", "cat", 0.7, high(9))]
    assert matched(found, [("a", "cat", HERE)]) == [-1, 0, -1]


def test_of_equal_scores_the_earlier_row_chooses_first() -> None:
    assert matched([("a", "cat", 0.9, high(6)), ("a", "cat", 0.9, HERE)], [("a", "cat", HERE)]) == [0, -1]


def test_each_takes_the_best_truth_that_is_free() -> None:
    found = [("a", "cat", 0.9, HERE), ("a", "cat", 0.8, HERE), ("a", "cat", 0.7, HERE), ("a", "cat", 0.6, HERE)]
    assert matched(found, [("a", "cat", high(6)), ("a", "cat", high(8)), ("a", "cat", high(7))]) == [1, 2, 0, -1]


def test_of_equal_overlaps_the_later_truth_is_taken() -> None:
    """As pycocotools does."""
    truth = [("a", "cat", (0, 0, 10, 6)), ("a", "cat", (0, 4, 10, 10))]
    assert matched([("a", "cat", 0.9, HERE)], truth) == [1]
    assert matched([("a", "cat", 0.9, HERE)], truth[::-1]) == [1]


def test_a_chain_of_refusals_ends_as_taking_turns_would() -> None:
    """Each wants what the one before it has: the last one is left the worst."""
    n = 12
    truth = [("a", "cat", (0, 0, 10, 100 + k)) for k in range(n)]
    found = [("a", "cat", 0.9 - 0.01 * k, (0, 0, 10, 100 + n)) for k in range(n)]
    assert matched(found, truth) == list(range(n))[::-1]


def test_classes_and_images_do_not_meet() -> None:
    found = [("a", "dog", 0.9, HERE), ("b", "cat", 0.9, HERE)]
    assert matched(found, [("a", "cat", HERE)]) == [-1, -1]


def test_class_agnostic_matching_looks_at_overlap_only() -> None:
    found = [("a", "dog", 0.9, HERE), ("a", "cat", 0.8, HERE), ("b", "dog", 0.9, high(6))]
    truth = [("a", "cat", HERE), ("b", "dog", high(4)), ("b", "cat", high(7))]
    assert matched(found, truth, class_agnostic=True) == [0, -1, 2]
    assert matched(found, truth) == [-1, 0, 1]


def test_class_agnostic_matching_asks_for_the_overlap_of_the_truths_class() -> None:
    chosen = {"class_agnostic": True, "class_iou": {"cat": 0.9}}
    assert matched([("a", "dog", 0.9, high(7))], [("a", "cat", HERE)], **chosen) == [-1]
    assert matched([("a", "cat", 0.9, high(7))], [("a", "dog", HERE)], **chosen) == [0]


def test_a_threshold_per_class() -> None:
    found = [("a", "cat", 0.9, high(6)), ("b", "dog", 0.9, high(6))]
    truth = [("a", "cat", HERE), ("b", "dog", HERE)]
    assert matched(found, truth, class_iou={"dog": 0.75}) == [0, -1]
    assert matched(found, truth, iou_threshold=0.75, class_iou={"dog": 0.6}) == [-1, 1]


def test_predictions_of_any_score_take_part() -> None:
    assert matched([("a", "cat", 0.0, HERE)], [("a", "cat", HERE)], confidence_threshold=1) == [0]


# Crowds


def test_crowds_take_what_no_normal_truth_takes_as_often_as_it_comes() -> None:
    found = [("a", "cat", 0.9 - i / 10, (1, 1, 3, 3)) for i in range(3)]
    truth = [("a", "cat", HERE, CROWD), ("a", "cat", (1, 1, 3, 3))]
    matches = match_detections(*scene(found, truth))
    assert matches.matched.tolist() == [1, -1, -1]
    assert matches.ignored.tolist() == [False, True, True]
    assert matches.found_by.tolist() == [-1, 0]


def test_a_normal_truth_goes_before_a_crowd_that_fits_better() -> None:
    matches = match_detections(*scene([("a", "cat", 0.9, high(6))], [("a", "cat", HERE, CROWD), ("a", "cat", HERE)]))
    assert (matches.matched.tolist(), matches.ignored.tolist()) == ([1], [False])


def test_a_crowd_of_another_class_excuses_nothing() -> None:
    matches = match_detections(*scene([("a", "dog", 0.9, (1, 1, 3, 3))], [("a", "cat", HERE, CROWD)]))
    assert matches.ignored.tolist() == [False]


def test_the_overlap_with_a_crowd_is_the_predictions_share_of_itself() -> None:
    found = [("a", "cat", 0.9, (5, 0, 15, 10)), ("a", "cat", 0.9, (6, 0, 16, 10))]  # half, and four tenths
    assert match_detections(*scene(found, [("a", "cat", HERE, CROWD)])).ignored.tolist() == [True, False]


# What every row keeps


def test_every_row_keeps_its_nearest() -> None:
    found = [("a", "cat", 0.3, high(4)), ("a", "cat", 0.2, high(6)), ("a", "dog", 0.9, high(9)), ("a", "cat", 0.9, FAR)]
    truth = [("a", "cat", HERE), ("a", "dog", (0, 0, 10, 5)), ("a", "bird", HERE), ("b", "cat", HERE)]
    matches = match_detections(*scene(found, truth))
    assert matches.same_iou.tolist() == pytest.approx([0.4, 0.6, 5 / 9, 0])
    assert matches.same_row.tolist() == [0, 0, 1, -1]
    assert matches.other_iou.tolist() == pytest.approx([0.8, 5 / 6, 0.9, 0])
    assert matches.other_row.tolist() == [1, 1, 0, -1]
    assert matches.iou.tolist() == pytest.approx([0.8, 5 / 6, 0.9, 0])
    assert matches.best_iou.tolist() == pytest.approx([0.6, 5 / 9, 0, 0])
    assert matches.best_row.tolist() == [1, 2, -1, -1]
    assert matches.best_score.tolist() == [0.2, 0.9, 0, 0]  # only the second lies at IoU ≥ .5 of the cat
    assert matches.loose_score.tolist() == [0.3, 0.9, 0, 0]


def test_of_equally_near_ones_the_first_is_kept() -> None:
    """TIDE's choice, of the truth that a localization error points at; of predictions the surer one."""
    found = [("a", "cat", 0.1, high(4)), ("a", "cat", 0.3, high(4)), ("a", "cat", 0.3, high(4))]
    twins = [("a", "cat", HERE), ("a", "cat", HERE)]
    matches = match_detections(*scene(found, twins), MiningSettings(ignored=()))
    assert matches.same_row.tolist() == [0, 0, 0]
    assert matches.best_row.tolist() == [1, 1]


def test_boxes_of_zero_size_touch_nothing() -> None:
    flat, point = (0, 5, 10, 5), (3, 3, 3, 3)
    found = [("a", "cat", 0.9, flat), ("a", "cat", 0.9, point), ("a", "cat", 0.8, HERE)]
    matches = match_detections(*scene(found, [("a", "cat", HERE), ("a", "cat", flat), ("a", "cat", point, CROWD)]))
    assert matches.matched.tolist() == [-1, -1, 0]
    assert matches.same_iou.tolist() == [0, 0, 1]
    assert not matches.ignored.any()


# Size and order


def test_the_size_of_chunks_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = random_scene(11, images=30, classes=3)
    whole = match_detections(*tables)
    for pairs, few in ((1, 1), (7, 3), (100, 1), (100, 10**9), (10**9, 1), (10**9, 20)):
        monkeypatch.setattr(chunks, "PAIRS_AT_ONCE", pairs)
        monkeypatch.setattr(chunks, "FEW_ROWS", few)
        for name in (field.name for field in dataclasses.fields(Matches)):
            assert np.array_equal(getattr(match_detections(*tables), name), getattr(whole, name)), name


@pytest.mark.parametrize("unit", [1e-52, 1.0, 1e92])  # float32 holds the first as 0 or as denormal, the last not at all
def test_boxes_that_float32_cannot_tell_apart_meet_as_others_do(unit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)

    def boxes(k: int) -> np.ndarray:
        corner = rng.integers(0, 4, (k, 2))
        return (2.0**25 + np.hstack([corner, corner + rng.integers(1, 5, (k, 2))])) * unit

    world = {"images": ["a", "b", "c"], "classes": ["cat"]}
    sides = [(np.sort(rng.integers(0, 3, k)), boxes(k), np.zeros(k, int)) for k in (300, 60)]
    tables = Detections(*sides[0], rng.random(300), **world), Detections(*sides[1], None, **world)
    whole = match_detections(*tables)
    assert np.count_nonzero(whole.matched >= 0) > 30
    monkeypatch.setattr(chunks, "FEW_ROWS", 1)
    for name in (field.name for field in dataclasses.fields(Matches)):
        assert np.array_equal(getattr(match_detections(*tables), name), getattr(whole, name)), name


@pytest.mark.parametrize("side", [40, 4000])  # boxes that meet few others, and boxes that nearly all meet
def test_memory_does_not_grow_with_predictions_times_truths(side: int) -> None:
    n, m = (40_000, 1_000) if side == 40 else (4_000, 1_000)
    rng = np.random.default_rng(0)

    def boxes(k: int) -> np.ndarray:
        corner = rng.integers(0, 4000, (k, 2)).astype(float)
        return np.hstack([corner, corner + rng.integers(1, side, (k, 2))])

    world = {"images": ["a"], "classes": ["cat"]}
    truth = Detections(np.zeros(m, int), boxes(m), np.zeros(m, int), None, **world)
    predictions = Detections(np.zeros(n, int), boxes(n), np.zeros(n, int), rng.random(n), **world)
    tracemalloc.start()
    try:
        match_detections(predictions, truth)
        assert tracemalloc.get_traced_memory()[1] < 10 * n * m  # bytes; columns of all pairs take 40 a pair
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("levels", [None, 3])  # of scores: all different, or many equal
def test_an_image_in_parts_is_matched_as_one(levels: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes that nearly all meet: a part keeps no pairs, so what it matches must hold for the parts after it."""
    rng = np.random.default_rng(3)

    def boxes(k: int) -> np.ndarray:
        return np.hstack([rng.integers(0, 4, (k, 2)), 10 + rng.integers(0, 4, (k, 2))]).astype(float)

    n, m, world = 90, 70, {"images": ["a"], "classes": ["cat", "dog"]}
    score = rng.random(n) if levels is None else rng.integers(1, levels + 1, n) / levels
    tables = (
        Detections(np.zeros(n, int), boxes(n), rng.integers(0, 2, n), score, **world),
        Detections(np.zeros(m, int), boxes(m) + 0.01 * np.arange(m)[:, None], rng.integers(0, 2, m), None, **world),
    )
    whole = match_detections(*tables)
    assert np.count_nonzero(whole.matched >= 0) > 50
    monkeypatch.setattr(chunks, "PAIRS_AT_ONCE", 500)
    for name in (field.name for field in dataclasses.fields(Matches)):
        assert np.array_equal(getattr(match_detections(*tables), name), getattr(whole, name)), name


@pytest.mark.parametrize(
    ("found", "truth"),
    [
        ([], []),
        ([], [("a", "cat", HERE)]),
        ([("a", "cat", 0.9, HERE)], []),
        ([("a", "cat", 0.9, HERE)], [("b", "cat", HERE)]),  # never both in one image
        ([("a", "cat", 0.9, HERE)], [("a", "cat", FAR)]),
        ([("a", "cat", 0.9, HERE)], [("a", "cat", HERE, CROWD)]),
    ],
)
def test_where_nothing_can_match(found: list[Row], truth: list[Row]) -> None:
    matches = match_detections(*scene(found, truth, images="abc"))
    assert matches.matched.tolist() == [-1] * len(found)
    assert matches.found_by.tolist() == [-1] * len(truth)
    assert matches.same_iou.tolist() == [0] * len(found)
    assert matches.best_iou.tolist() == [0] * len(truth)


def test_columns_have_the_length_of_their_table() -> None:
    predictions, truth = random_scene(5)
    matches = match_detections(predictions, truth)
    lengths = {field.name: len(getattr(matches, field.name)) for field in dataclasses.fields(Matches)}
    of_truth = {"found_by", "best_iou", "best_row", "best_score", "loose_score", "truth_reason"}
    assert lengths == {name: len(truth) if name in of_truth else len(predictions) for name in lengths}


def test_many_boxes_of_one_place() -> None:
    """500 predictions wanting 500 equal truths: everyone is served, the later truths first."""
    n = 500
    here = np.tile(np.array([HERE], dtype=float), (n, 1))
    zeros = np.zeros(n, dtype=int)
    predictions = Detections(zeros, here, zeros, np.linspace(1, 0, n), ["a"], ["cat"])
    truth = Detections(zeros, here, zeros, None, ["a"], ["cat"])
    matches = match_detections(predictions, truth, MiningSettings(ignored=()))
    assert matches.matched.tolist() == list(range(n))[::-1]


# Thresholds per class


def test_thresholds_per_class() -> None:
    assert per_class(0.5, {"b": 0.7}, ("a", "b", "a.b/ü")).tolist() == [0.5, 0.7, 0.5]
    assert per_class(0.5, {}, ()).tolist() == []


def test_a_threshold_for_an_unknown_class_is_refused() -> None:
    tables = scene([("a", "cat", 0.9, HERE)], [("a", "dog", apart(0))])
    with pytest.raises(
        ValueError, match=r"^thresholds are given for 2 unknown classes, first 'Cat'; classes are 'cat', 'dog'$"
    ):
        match_detections(*tables, MiningSettings(class_iou={"Cat": 0.5, "cow": 0.5, "dog": 0.7}))
    many = tuple(f"class {i}" for i in range(12))
    with pytest.raises(ValueError, match=r"; classes are 'class 0', .*'class 9' …$"):
        per_class(0.5, {"cat": 0.5}, many)
