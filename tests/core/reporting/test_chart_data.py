"""What is drawn adds up to what was counted, and can be told apart by every eye."""

from __future__ import annotations

import dataclasses
import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import mine
from hnm_core.report import Counts, MiningReport
from hnm_core.reporting.chart_data import (
    BINS,
    COLORS,
    GRIDS,
    bin_range,
    cells,
    curve,
    histograms,
    worst_classes,
)
from hnm_core.reporting.headline import Fact, headline
from hnm_core.reporting.overview import overview
from hnm_core.taxonomy import ERROR_TYPES, ROW_NAMES
from tests.scenes import everything_at_once, patient, random_scene

names = st.sampled_from(ROW_NAMES)

# Machado, Oliveira & Fernandes (2009), severity 1: linear RGB as seen by these eyes.
EYES = {
    "all cones": np.eye(3),
    "no red cones": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green cones": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no blue cones": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def linear(color: str) -> np.ndarray:
    values = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB: a distance of 2 is just visible, one of 10 at a glance."""
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(matrix @ np.clip(rgb, 0.01, 1) / np.array([0.95047, 1.0, 1.08883]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(color: str, ground: str) -> float:
    """As WCAG 2 defines it; 3 is asked of parts of charts."""
    a, b = sorted(0.05 + linear(c) @ [0.2126, 0.7152, 0.0722] for c in (color, ground))
    return float(b / a)


def test_every_row_has_a_colour_of_its_own() -> None:
    assert set(COLORS) == set(ROW_NAMES)
    assert len(set(COLORS.values())) == len(COLORS)


@pytest.mark.parametrize("eye", EYES)
def test_colours_are_told_apart_by_all_eyes(eye: str) -> None:
    seen = {name: lab(np.array(EYES[eye]) @ linear(COLORS[name])) for name in (*ERROR_TYPES, "true_positive")}
    distance = {(a, b): float(np.linalg.norm(seen[a] - seen[b])) for a, b in combinations(seen, 2)}
    assert {pair: d for pair, d in distance.items() if d < 12} == {}


def test_colours_stand_out_from_the_page() -> None:
    shown = [COLORS[name] for name in (*ERROR_TYPES, "true_positive")]
    assert min(contrast(color, "#1a1a1a") for color in shown) >= 3  # the App's dark theme
    assert min(contrast(color, "#ffffff") for color in shown) >= 2  # on white orange and sky blue are pale for points


def test_bins_meet_without_gap_from_0_to_1() -> None:
    ranges = [bin_range(index) for index in range(BINS)]
    assert [low for low, _ in ranges[1:]] == [high for _, high in ranges[:-1]]
    assert (ranges[0][0], ranges[-1][1]) == (0.0, 1.0)
    assert {0.1, 0.5} <= {low for low, _ in ranges}, "TIDE's thresholds lie between two bars"


@pytest.mark.parametrize("index", [-1, BINS])
def test_there_is_no_other_bin(index: int) -> None:
    with pytest.raises(ValueError, match=f"bin must be one of 0 to 19, got {index}"):
        bin_range(index)


@patient
@given(st.lists(st.tuples(st.floats(0, 1) | st.sampled_from(np.arange(BINS + 1) / BINS), names)))
def test_every_value_is_in_the_bin_whose_range_holds_it(rows: list[tuple[float, str]]) -> None:
    counts = histograms([value for value, _ in rows], [name for _, name in rows])
    for name in ROW_NAMES:
        for index in range(BINS):
            low, high = bin_range(index)
            held = [v for v, n in rows if n == name and low <= v and (v < high or v == high == 1)]
            assert (counts[name][index] if name in counts else 0) == len(held)


def test_no_values_give_no_bars_and_no_points() -> None:
    assert histograms([], []) == {}
    assert cells([], [], [])[1] == {}


def test_the_order_of_names_is_always_the_same() -> None:
    jumbled = ["true_positive", "both", "background"]
    assert list(histograms([0.1, 0.2, 0.3], jumbled)) == ["background", "both", "true_positive"]
    assert list(cells([0.1] * 3, [0.2] * 3, jumbled)[1]) == ["background", "both", "true_positive"]


@pytest.mark.parametrize(
    ("values", "of", "message"),
    [
        ([0.5, 1.5, np.nan], ["both"] * 3, r"2 of 3 values are not in \[0, 1\], first at row 1: 1.5"),
        ([0.5], ["both"] * 2, r"values have shape \(1,\), expected \(2,\) as there are 2 names"),
        ([0.5], ["hopeless"], "unknown row name 'hopeless'; names are true_positive, below_threshold"),
    ],
)
def test_what_can_not_be_counted_is_refused(values: list[float], of: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        histograms(values, of)


def test_the_headline_says_what_the_report_says() -> None:
    report = mine(*everything_at_once()).report.as_dict()
    facts = {fact.name: fact for fact in headline(report)}
    assert len(facts) == 12
    assert facts["False positives"].value == f"{report['statistics']['false_positives']}"
    assert facts["Recall"].value == f"{100 * report['metrics']['recall']:.1f} %"
    assert facts["Label errors"].remark == "a prior: not reviewed yet"


def test_the_headline_knows_ratios_of_nothing_and_runs_without_weights() -> None:
    facts = headline(MiningReport(images=3).as_dict())
    assert len(facts) == 9, "no weights, nothing about them"
    assert Fact("Precision", "–") in facts


def test_the_headline_groups_thousands() -> None:
    facts = headline(MiningReport(counts=Counts(total_predictions=1234567)).as_dict())
    assert Fact("Predictions", "1,234,567", "0 confident") in facts


def test_a_prior_that_is_not_used_is_told_so() -> None:
    facts = headline(MiningReport(expected_label_errors=12.4, suspicion_used=False).as_dict())
    assert Fact("Label errors", "≈ 12", "a prior, not used for weights") in facts


def test_the_headline_says_how_many_reviews_stand_behind_the_label_errors() -> None:
    reviewed = MiningReport(expected_label_errors=12.4, expected_interval=(9.6, 15.0), review_count=20)
    assert Fact("Label errors", "≈ 12", "10 to 15, from 20 reviews") in headline(reviewed.as_dict())
    ignored = dataclasses.replace(reviewed, suspicion_used=False, review_count=1, expected_interval=None)
    assert Fact("Label errors", "≈ 12", "from 1 review, not used for weights") in headline(ignored.as_dict())


shares = st.floats(0, 1) | st.sampled_from(np.arange(21) / 20)


@patient
@given(st.lists(st.tuples(shares, shares, names)), st.sampled_from([1, 4, 1500]))
def test_a_scatter_plot_of_cells_leaves_no_point_out(rows: list[tuple[float, float, str]], most: int) -> None:
    x, y, of = ([row[column] for row in rows] for column in range(3))
    bins, marks = cells(x, y, of, most)
    drawn = {(name, column, row): points for name, held in marks.items() for column, row, points, *_ in held}
    for (name, column, row), points in drawn.items():
        inside = [
            all(low <= v and (v < high or v == high == 1) for v, (low, high) in zip(pair, edges, strict=True))
            for *pair, kind in rows
            if kind == name
            for edges in [(bin_range(int(column), bins), bin_range(int(row), bins))]
        ]
        assert sum(inside) == points
    assert sum(drawn.values()) == len(rows)
    assert len(drawn) <= most or bins == GRIDS[-1]
    for name, held in marks.items():
        for _, _, points, mean_x, mean_y in held:
            assert 0 <= min(mean_x, mean_y) <= max(mean_x, mean_y) <= 1, (name, points)


def test_a_hundred_thousand_points_are_as_many_marks_as_a_page_can_bear() -> None:
    random = np.random.default_rng(0)
    of = np.array(ROW_NAMES)[
        random.choice(len(ROW_NAMES), 100_000, p=[0.8, *[0.2 / (len(ROW_NAMES) - 1)] * (len(ROW_NAMES) - 1)])
    ]
    bins, marks = cells(0.5 + random.random(100_000) / 2, random.beta(5, 2, 100_000), of)
    assert bins in GRIDS
    assert sum(len(held) for held in marks.values()) < 3000
    assert sum(mark[2] for held in marks.values() for mark in held) == 100_000


@patient
@given(st.lists(st.floats(0, 1) | st.just(float("nan")) | st.sampled_from([0.25, 0.5])), st.integers(1, 30))
def test_a_curve_counts_what_is_at_least_as_high(values: list[float], most: int) -> None:
    points = curve(values, most)
    finite = [value for value in values if value == value]
    assert len(points) <= most
    assert all(count == sum(v >= value for v in finite) for count, value in points)
    assert points == sorted(points, key=lambda point: (point[0], -point[1]))
    if finite and most > 1:
        assert points[-1][0] == len(finite), "the lowest is there, and so stand for all"
        assert points[0][1] == max(finite)


def test_classes_without_mistakes_are_not_drawn_and_the_mildest_are_one() -> None:
    counts = {name: {"false_positives": fp, "false_negatives": 1} for fp, name in enumerate("abcde")}
    counts["right"] = {"false_positives": 0, "false_negatives": 0}
    shown, others = worst_classes(counts, most=2)
    assert (shown, others) == ([("e", 4, 1), ("d", 3, 1)], (3, 3, 3))
    assert worst_classes({}) == ([], (0, 0, 0))


def test_changes_are_read_without_colour_and_say_what_is_good() -> None:
    now, then = (
        MiningReport(images=10, counts=counts).as_dict()
        for counts in (Counts(20, 10, 8, 2, 2), Counts(20, 10, 5, 5, 2))
    )
    changes = {fact.name: (fact.change, fact.better) for fact in headline(now, then) if fact.change}
    assert changes["False-alarm rate"] == ("▼ 30.0 pts better", True)
    assert changes["False positives"] == ("▼ 0.30 better", True)
    assert changes["Precision"] == ("▲ 30.0 pts better", True)
    back = {fact.name: (fact.change, fact.better) for fact in headline(then, now) if fact.change}
    assert back["False-alarm rate"] == ("▲ 30.0 pts worse", False)
    assert {fact.change for fact in headline(now, now)} == {"as before", ""}


def test_a_share_of_nothing_has_not_become_better() -> None:
    silent, loud = (
        MiningReport(images=10, counts=counts).as_dict() for counts in (Counts(20, 0, 0, 0, 9), Counts(20, 10, 5, 5, 4))
    )
    for now, then in ((silent, loud), (loud, silent)):
        changes = {fact.name: fact.change for fact in headline(now, then) if fact.change}
        assert set(changes) == {"False positives", "False negatives", "Recall"}


def test_an_overview_is_small_and_clean_whatever_the_size() -> None:
    small, large = (overview(mine(*random_scene(3, images=images))) for images in (4, 200))
    assert len(json.dumps(large, allow_nan=False)) < 100_000
    assert (
        sum(mark[2] for held in large["cells"].values() for mark in held)
        == large["report"]["mining"]["counted_predictions"]
    )
    assert set(small) == set(large)
