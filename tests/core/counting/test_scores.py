"""Counts of scores add up to the same bits however predictions are split, and means do not depend on the order."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import mine
from hnm_core.counting import ScoreCells, ThresholdCounts
from hnm_core.counting.scores import FINEST, mean_of, places_of
from hnm_core.reporting.chart_data import GRIDS, bars_of, bin_range, cells, cells_of, histograms
from hnm_core.taxonomy import ROW_NAMES
from tests.scenes import patient, random_scene

shares = st.floats(0, 1) | st.sampled_from(np.arange(FINEST + 1) / FINEST)
rows = st.lists(st.tuples(shares, shares, st.integers(0, len(ROW_NAMES) - 1)))


def columns(some: list[tuple[float, float, int]]) -> tuple[Any, ...]:
    kinds = (np.float64, np.float64, np.int64)
    return tuple(np.array([row[at] for row in some], dtype=kind) for at, kind in enumerate(kinds))


@patient
@given(rows, st.randoms(use_true_random=False), st.sampled_from([1, 4, 1500]))
def test_any_split_and_any_order_draw_the_same(some: list[tuple[float, float, int]], order: Any, most: int) -> None:
    score, iou, code = columns(some)
    names = [ROW_NAMES[at] for at in code]
    whole = cells(score, iou, names, most)
    order.shuffle(some)
    cut = order.randrange(len(some) + 1)
    parts = [ScoreCells.of(*columns(part)) for part in (some[:cut], some[cut:])]

    def ask(name: str, *args: Any) -> list[Any]:
        return [getattr(part, name)(*args) for part in parts]

    assert cells_of(ask, most) == whole
    assert bars_of(ask) == (histograms(score, names), histograms(iou, names))


@patient
@given(shares)
def test_the_cells_of_every_grid_are_made_of_whole_cells_of_the_finest(value: float) -> None:
    fine = int(places_of(np.array([value]), FINEST)[0])
    for bins in GRIDS:
        low, high = bin_range(fine // (FINEST // bins), bins)
        assert low <= value < high or value == high == 1


@patient
@given(st.lists(st.floats(2**-7, 1), min_size=1))
def test_a_mean_is_the_float_next_to_the_true_one(values: list[float]) -> None:
    column = np.array(values)
    place = places_of(column, FINEST)
    found = ScoreCells.of(column, column, np.zeros(len(column), dtype=np.int64))
    means = mean_of(found.sums, found.count)
    assert len(means) == len(set(place.tolist()))
    for cell, (mean, of_iou) in zip(sorted(set(place.tolist())), means, strict=True):
        held = [Fraction(value) for value, at in zip(values, place.tolist(), strict=True) if at == cell]
        assert mean == of_iou == float(sum(held) / len(held))


@pytest.mark.parametrize("seed", range(3))
def test_counts_at_other_thresholds_add_up(seed: int) -> None:
    one, other = (mine(*random_scene(at, images=6, classes=3)) for at in (seed, seed + 50))
    found = one.thresholds + other.thresholds
    assert isinstance(found, ThresholdCounts)
    assert found.counts.sum() == len(one.predictions) + len(other.predictions)
    assert (found.counts - one.thresholds.counts == other.thresholds.counts).all()
    assert (found.truths - one.thresholds.truths == other.thresholds.truths).all()
