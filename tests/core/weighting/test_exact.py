"""Sums that no order of rows changes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core.weighting import exact
from hnm_core.weighting.exact import exact_sum, exact_sums
from tests.scenes import patient

UNIT = Fraction(1, 2**32)


def by_fractions(values: list[float]) -> float:
    return float(sum((round(Fraction(value) / UNIT) * UNIT for value in values), Fraction(0)))


@patient
@given(values=st.lists(st.floats(-1e5, 1e5), max_size=40), seed=st.integers(0, 9))
def test_the_sum_is_that_of_whole_units_in_any_order(values: list[float], seed: int) -> None:
    column = np.array(values, dtype=np.float64)
    assert exact_sum(column) == by_fractions(values)
    assert exact_sum(np.random.default_rng(seed).permutation(column)) == exact_sum(column)


def test_each_group_is_summed_alone_and_an_empty_one_is_zero() -> None:
    assert exact_sums(np.array([2, 0, 2]), np.array([0.25, -1.5, 0.5]), 4).tolist() == [-1.5, 0.0, 0.75, 0.0]
    assert exact_sums(np.zeros(0, dtype=np.int64), np.zeros(0), 2).tolist() == [0.0, 0.0]


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    index, values = rng.integers(0, 5, 1000), rng.normal(0, 1e4, 1000)
    whole = exact_sums(index, values, 5)
    monkeypatch.setattr(exact, "ROWS_AT_ONCE", 7)
    assert exact_sums(index, values, 5).tolist() == whole.tolist()


def test_large_sums_are_exact_too() -> None:
    """A hundred thousand terms near the largest: the halves must not overflow what float64 adds exactly."""
    values = np.full(100_000, 2.0**20 - UNIT.numerator / 2**32)
    assert exact_sum(values) == 100_000 * (2.0**20 - 2.0**-32)
