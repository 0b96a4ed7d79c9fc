"""What a benchmark does not count: each rule alone, in both ways of matching, and switched off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections, MiningSettings, classify_errors, columns, match_detections, mine
from hnm_core.columns import CROWD, DIFFICULT, GROUP_OF, REGION
from hnm_core.matching import greedy
from hnm_core.matching.ignored import RULES
from hnm_core.matching.regions import share_in_regions
from hnm_core.taxonomy import ROW_NAMES
from tests.scenes import FAR, HERE, Tables, high, random_scene, scene

INSIDE = (1, 1, 4, 4)
"""Within ``HERE``, IoU .09 with it."""


@pytest.fixture(params=["few", "many"], autouse=True)
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single image is matched in plain Python where that is possible, here also with arrays."""
    if request.param == "many":
        monkeypatch.setattr(greedy, "FEW_PAIRS", -1)


def of_kind(tables: Tables, kinds: Sequence[int], **more: Any) -> Tables:
    return tables[0], replace(tables[1], kind=np.array(kinds), **more)


def names(tables: Tables, **settings: Any) -> tuple[list[str], list[str]]:
    """Names of the rows of both tables."""
    chosen = MiningSettings(**settings)
    errors = classify_errors(*tables, match_detections(*tables, chosen), chosen)
    return [ROW_NAMES[c] for c in errors.prediction], [ROW_NAMES[c] for c in errors.truth]


@pytest.mark.parametrize("kind", [CROWD, GROUP_OF])
def test_a_crowd_or_group_takes_many_of_its_class(kind: int) -> None:
    found = [("a", "cat", 0.9, INSIDE), ("a", "cat", 0.8, INSIDE), ("a", "dog", 0.9, INSIDE)]
    tables = of_kind(scene(found, [("a", "cat", HERE)]), [kind])
    assert names(tables) == (["ignored", "ignored", "background"], ["ignored"])
    off = [rule for rule in RULES if rule not in ("crowd", "group_of")]
    assert names(tables, ignored=off) == (["background"] * 3, ["missed"])


def test_what_matches_a_difficult_truth_is_ignored_many_times() -> None:
    found = [("a", "car", 0.9, HERE), ("a", "car", 0.8, high(9)), ("a", "car", 0.7, high(4)), ("a", "bus", 0.9, HERE)]
    tables = of_kind(scene(found, [("a", "car", HERE)]), [DIFFICULT])
    assert names(tables) == (["ignored", "ignored", "background", "background"], ["ignored"])
    off = names(tables, ignored=[rule for rule in RULES if rule != "difficult"])
    assert off == (["true_positive", "duplicate", "localization", "classification"], ["true_positive"])


def test_a_normal_truth_is_matched_before_a_difficult_one() -> None:
    tables = of_kind(scene([("a", "car", 0.9, HERE)], [("a", "car", high(6)), ("a", "car", HERE)]), [0, DIFFICULT])
    assert names(tables) == (["true_positive"], ["true_positive", "ignored"])


def test_kittis_regions_take_any_class_above_the_threshold_of_the_prediction() -> None:
    """More than the threshold of intersection / area of the prediction, not half of it."""
    found = [("a", name, 0.9, (0, 0, 10, bottom)) for name in ("Car", "Pedestrian") for bottom in (16, 13)]
    tables = scene(found, [("a", "DontCare", HERE), ("a", "Car", FAR)])
    expected = ["background", "ignored", "ignored", "ignored"]  # 10/16 and 10/13 against .7 and .5
    assert names(tables, class_iou={"Car": 0.7}) == (expected, ["ignored", "missed"])
    exactly = scene([("a", "Car", 0.9, (0, 0, 10, 20))], [("a", "DontCare", HERE), ("a", "Car", FAR)])
    assert names(exactly)[0] == ["background"]


def test_an_ignored_region_takes_any_class_from_half_on() -> None:
    found = [("a", "rider", 0.9, (0, 0, 10, 20)), ("a", "rider", 0.9, (0, 0, 10, 21))]
    tables = of_kind(scene(found, [("a", "person", HERE)]), [REGION])
    assert names(tables, iou_threshold=0.75) == (["ignored", "background"], ["ignored"])


def test_what_matches_outside_is_right_though_it_lies_in_a_region() -> None:
    tables = scene([("a", "Car", 0.9, HERE)], [("a", "DontCare", (0, 0, 50, 50)), ("a", "Car", HERE)])
    assert names(tables) == (["true_positive"], ["ignored", "true_positive"])


def test_visdrones_regions_take_predictions_and_truths_before_matching() -> None:
    """By half of their area in the union of the regions, which may overlap; the class others is not evaluated."""
    found = [("a", "van", 0.9, HERE), ("a", "van", 0.9, FAR), ("a", "others", 0.9, FAR)]
    regions = [("a", "ignored regions", (0, 0, 4, 10)), ("a", "ignored regions", (2, 0, 5, 10))]
    tables = scene(found, [*regions, ("a", "van", HERE), ("a", "others", FAR), ("a", "van", (300, 0, 310, 9))])
    assert names(tables) == (["ignored", "background", "ignored"], ["ignored"] * 4 + ["missed"])
    none = scene([("a", "others", 0.9, FAR)], [("a", "others", FAR)])
    assert names(none) == (["true_positive"], ["true_positive"])


def test_a_share_in_regions_is_that_of_a_grid_of_points() -> None:
    tables = random_scene(3, images=4)
    boxes = tables[0].take((tables[0].xyxy[:, 2:] > tables[0].xyxy[:, :2]).all(axis=1))
    share = share_in_regions(boxes, tables[1])
    for row, (x0, y0, x1, y1) in enumerate(boxes.xyxy):
        x, y = (low + 0.5 for low in np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)))
        inside = np.zeros(x.shape, dtype=bool)
        for a, b, c, d in tables[1].xyxy[tables[1].image == boxes.image[row]]:
            inside |= (a < x) & (x < c) & (b < y) & (y < d)
        assert share[row] == pytest.approx(inside.mean(), abs=1e-9)
    assert 0 < share.mean() < 1


NEIGHBOURS: dict[str, tuple[Mapping[str, Any], list[str], str]] = {
    "kitti": ({}, ["DontCare"], "Van"),
    "bdd100k": ({}, [], "other vehicle"),
    "given": ({"neutral": {"Car": ["tram"], "car": ["tram"]}}, [], "tram"),
}


@pytest.mark.parametrize("case", NEIGHBOURS)
def test_a_neighbouring_class_is_neither_right_nor_wrong(case: str) -> None:
    settings, more, other = NEIGHBOURS[case]
    for_class = "Car" if case == "kitti" else "car"
    found = [("a", for_class, 0.9, HERE), ("a", "Cyclist", 0.9, HERE)]
    tables = scene(found, [("a", other, HERE)], classes=[*more, "Car", "car"])
    assert names(tables, **settings) == (["ignored", "background"], ["ignored"])
    off = [rule for rule in RULES if rule != "neutral"]
    assert names(tables, **settings, ignored=off) == (["classification"] * 2, ["classification"])


def test_a_neighbouring_class_that_predictions_name_is_found_and_missed() -> None:
    found = [("a", "Car", 0.9, HERE), ("a", "Van", 0.8, HERE)]
    tables = scene(found, [("a", "Van", HERE), ("a", "Van", FAR)], classes=["DontCare"])
    assert names(tables) == (["ignored", "true_positive"], ["true_positive", "missed"])


def test_a_trailer_is_an_object_where_the_data_is_not_bdd100k() -> None:
    assert names(scene([("a", "truck", 0.9, HERE)], [("a", "trailer", HERE)]))[0] == ["classification"]


def test_neighbours_of_unknown_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="neutral names 1 unknown classes, first 'Vann'; classes are 'Car'"):
        match_detections(*scene([("a", "Car", 0.9, HERE)]), MiningSettings(neutral={"Car": ["Vann"]}))


def test_classes_that_nobody_checked_are_ignored_and_others_only_if_exhaustive() -> None:
    """The federated labels of LVIS: checked are cup, dog and pen, of which not all pens are labelled."""
    found = [
        *(("a", name, 0.9, FAR) for name in ("cup", "dog", "hat", "pen")),
        *(("a", name, 0.8, HERE) for name in ("cup", "pen")),
    ]
    predictions, truth = scene(found, [("a", "cup", HERE), ("a", "pen", HERE)], classes=["cup", "dog", "hat", "pen"])
    checked = replace(truth, verified=np.array([[0, 0], [0, 1], [0, 3]]), not_exhaustive=np.array([[0, 3]]))
    expected = ["background", "background", "ignored", "ignored", "true_positive", "true_positive"]
    assert names((predictions, checked))[0] == expected
    assert names((predictions, checked), ignored=["verified"])[0] == [*expected[:3], "background", *expected[4:]]
    none = replace(truth, verified=np.zeros((0, 2), int))
    assert names((predictions, none))[0] == ["ignored"] * 4 + ["true_positive"] * 2


def test_repeated_truths_and_truths_without_size_do_not_count() -> None:
    truth = [("a", "cat", HERE), ("a", "cat", HERE), ("a", "dog", HERE), ("a", "cat", (5, 5, 5, 9))]
    tables = scene([("a", "cat", 0.9, HERE), ("a", "cat", 0.8, HERE)], truth)
    named = names(tables)
    assert named == (["true_positive", "classification"], ["true_positive", "ignored", "classification", "ignored"])
    assert names(tables, ignored=[])[1] == ["true_positive", "true_positive", "missed", "missed"]


def test_a_report_says_what_does_not_count_and_its_rates_leave_it_out() -> None:
    found = [("a", "cat", 0.9, HERE), ("a", "cat", 0.9, FAR), ("a", "cat", 0.9, FAR), ("a", "cat", 0.4, INSIDE)]
    tables = of_kind(scene(found, [("a", "cat", HERE), ("a", "cat", HERE)]), [DIFFICULT, DIFFICULT])
    report = mine(*tables).report
    assert (report.counts.counted_predictions, report.counts.ignored, report.counts.false_positives) == (2, 1, 2)
    assert report.cap == 1  # ⌈.3 · 2⌉
    assert report.as_dict()["notes"][:3] == [
        "1 prediction is an exact copy of another: it is counted as given",
        "1 truth is difficult: predictions that match it are ignored (1 confident prediction)",
        "1 truth repeats another row exactly: each object counts once",
    ]
    twice = report + report
    assert twice.rules["difficult"] == {"truths": 2, "predictions": 2}
    assert type(report).from_dict(twice.as_dict()) == twice
    assert "2 truths are difficult" in " ".join(str(twice).split())


@pytest.mark.parametrize("by_image", [False, True])
@pytest.mark.parametrize("rows", [20, 400])
def test_repeated_rows_are_those_of_a_set(rows: int, by_image: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "ROWS_AT_ONCE", 70)
    rng = np.random.default_rng(rows)
    boxes = rng.integers(0, 3, (rows, 4)) + np.array([0, 0, 3, 3])
    image = rng.integers(0, max(rows // 50, 2), rows)
    if by_image:
        image.sort()
    table = Detections(image, boxes, rng.integers(0, 2, rows), None, "abcdefgh", ("cat", "dog"))
    seen: set[Any] = set()
    expected = []
    for row in zip(table.image.tolist(), map(tuple, boxes.tolist()), table.label.tolist(), strict=True):
        expected.append(row in seen)
        seen.add(row)
    assert table.repeated().tolist() == expected
    assert any(expected)
    assert not table.take(~table.repeated()).repeated().any()
