"""The first rows of every group, wherever the rows lie: against sorting them all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core.selection import choose as room
from hnm_core.selection.choose import Ranked, ascending, choose, in_order
from tests.scenes import patient


@dataclass(frozen=True, eq=False)
class Rows:
    group: np.ndarray
    columns: list[np.ndarray]

    @property
    def depth(self) -> int:
        return len(self.columns)

    def key(self, part: int, rows: np.ndarray) -> np.ndarray:
        return ascending(self.columns[part][rows])


@patient
@pytest.mark.parametrize("few", [1, 4, 2_000])
@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(0, 60),
    quota=st.integers(0, 9),
    groups=st.integers(1, 4),
    places=st.integers(1, 4),
)
def test_the_choice_is_that_of_sorting_all_rows(
    few: int, seed: int, rows: int, quota: int, groups: int, places: int
) -> None:
    rng = np.random.default_rng(seed)
    values = np.array([0.25, 0.25 + 2**-50, 0.0, -0.0, -3.5, 1e-300, 7e9])
    columns = [values[rng.integers(0, len(values), rows)], rng.integers(-2, 2, rows), values[rng.integers(0, 3, rows)]]
    group, where = rng.integers(0, groups, rows), np.sort(rng.integers(0, places, rows))
    order = np.lexsort((*columns[::-1], group))
    rank = np.arange(rows) - np.searchsorted(group[order], group[order])
    expected = np.zeros(rows, dtype=bool)
    expected[order] = rank < quota

    parts = [Ranked(Rows(group[where == p], [c[where == p] for c in columns])) for p in range(places)]
    before, room.FEW = room.FEW, few
    try:
        found = choose(lambda ask, *args: [getattr(part, ask)(*args) for part in parts], quota, groups, len(columns))
    finally:
        room.FEW = before
    if found is None:
        assert expected.all()
        return
    kept = [part.kept(found[0], chosen) for part, chosen in zip(parts, found[1], strict=True)]
    np.testing.assert_array_equal(np.concatenate(kept), expected)


@patient
@given(seed=st.integers(0, 10_000), rows=st.integers(0, 60), keys=st.integers(1, 5), values=st.integers(1, 40))
def test_the_order_is_that_of_sorting_by_all_keys_at_once(seed: int, rows: int, keys: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    columns = [rng.integers(-values, values, rows) / 3 for _ in range(keys)]
    order = in_order(Rows(np.zeros(rows, dtype=np.int64), columns))
    np.testing.assert_array_equal(order, np.lexsort(columns[::-1]))


def test_keys_stand_in_the_order_of_their_values() -> None:
    values = np.array([-np.inf, -2.0, -1e-310, 0.0, 1e-310, 0.5, 1.0, np.inf])
    assert (np.diff(ascending(values).astype(object)) > 0).all()
    whole = np.array([-(2**62), -1, 0, 1, 2**62])
    assert (np.diff(ascending(whole).astype(object)) > 0).all()
