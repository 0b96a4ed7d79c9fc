"""What is drawn adds up to what was counted, and can be told apart by every eye."""

from __future__ import annotations

import dataclasses
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import mine
from hnm_core.charts import BINS, COLORS, Fact, bin_range, headline, histograms, points_to_draw
from hnm_core.report import Counts, MiningReport
from hnm_core.taxonomy import ERROR_TYPES, ROW_NAMES
from tests.scenes import everything_at_once, patient

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
    assert points_to_draw([], most=10) == {}


def test_the_order_of_names_is_always_the_same() -> None:
    jumbled = ["true_positive", "both", "background"]
    assert list(histograms([0.1, 0.2, 0.3], jumbled)) == ["background", "both", "true_positive"]
    assert list(points_to_draw(jumbled, most=10)) == ["background", "both", "true_positive"]


@pytest.mark.parametrize(
    ("values", "of", "message"),
    [
        ([0.5, 1.5, np.nan], ["both"] * 3, r"2 of 3 values are not in \[0, 1\], first at row 1: 1.5"),
        ([0.5], ["both"] * 2, r"values have shape \(1,\), expected \(2,\) as there are 2 names"),
        ([0.5], ["hopeless"], "no row is called 'hopeless': names are true_positive, below_threshold"),
    ],
)
def test_what_can_not_be_counted_is_refused(values: list[float], of: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        histograms(values, of)


@patient
@given(st.lists(names, max_size=60), st.integers(0, 80))
def test_points_are_thinned_where_they_are_many(of: list[str], most: int) -> None:
    drawn = points_to_draw(of, most)
    rows = [row for kept in drawn.values() for row in kept]
    assert len(rows) == min(most, len(of)), "no place is left free"
    assert all(of[row] == name for name, kept in drawn.items() for row in kept)
    assert all(kept == sorted(set(kept)) for kept in drawn.values())
    thinned = [len(kept) for name, kept in drawn.items() if len(kept) < of.count(name)]
    whole = [len(kept) for name, kept in drawn.items() if len(kept) == of.count(name)]
    assert max(whole, default=0) <= min(thinned, default=most) + 1, "only the frequent are thinned"
    assert drawn == points_to_draw(of, most), "the draw is seeded"


def test_the_headline_says_what_the_report_says() -> None:
    report = mine(*everything_at_once()).report.as_dict()
    facts = {fact.name: fact for fact in headline(report)}
    assert len(facts) == 12
    assert facts["False positives"].value == f"{report['statistics']['false_positives']}"
    assert facts["Recall"].value == f"{100 * report['metrics']['recall']:.1f} %"
    assert facts["Label errors"].remark == "a prior: nobody has looked yet"


def test_the_headline_knows_ratios_of_nothing_and_runs_without_weights() -> None:
    facts = headline(MiningReport(images=3).as_dict())
    assert len(facts) == 9, "no weights, nothing about them"
    assert Fact("Precision", "–") in facts


def test_the_headline_groups_thousands() -> None:
    facts = headline(MiningReport(counts=Counts(total_predictions=1234567)).as_dict())
    assert Fact("Predictions", "1,234,567", "0 confident") in facts


def test_a_prior_that_is_not_used_is_told_so() -> None:
    facts = headline(MiningReport(expected_label_errors=12.4, suspicion_used=False).as_dict())
    assert Fact("Label errors", "≈ 12", "a prior that weights ignore") in facts


def test_the_headline_says_how_many_looks_stand_behind_the_label_errors() -> None:
    judged = MiningReport(expected_label_errors=12.4, expected_interval=(9.6, 15.0), looks=20)
    assert Fact("Label errors", "≈ 12", "10 to 15, by 20 looks") in headline(judged.as_dict())
    ignored = dataclasses.replace(judged, suspicion_used=False, looks=1, expected_interval=None)
    assert Fact("Label errors", "≈ 12", "by 1 look, and weights ignore it") in headline(ignored.as_dict())
