"""A column that grows is all its parts, whatever its blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core.io import grown
from hnm_core.io.coded import Coded
from hnm_core.io.grown import Grown
from tests.scenes import patient


@patient
@given(st.lists(st.lists(st.integers(-9, 9), max_size=12)), st.sampled_from([0, 2]), st.integers(1, 7))
def test_parts_are_one_column_in_their_order(parts: list[list[int]], width: int, rows: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grown, "BLOCK", rows * 8 * max(width, 1))
        column = Grown(np.int64, width)
        for part in parts:
            column.add(np.array(part, dtype=np.int64) if not width else np.array(part).reshape(-1, 1).repeat(width, 1))
        flat = [value for part in parts for value in part]
        assert len(column) == len(flat)
        for keep in (True, False):
            whole = column.whole(keep=keep)
            assert whole.shape == ((len(flat), width) if width else (len(flat),))
            assert whole.reshape(len(flat), -1)[:, 0].tolist() == flat if flat else not whole.size
        assert len(column) == 0


@patient
@given(st.lists(st.sampled_from(["a", "b", None, 3])), st.data())
def test_some_rows_of_a_column_have_the_same_values(values: list[object], data: st.DataObject) -> None:
    rows = np.array(data.draw(st.lists(st.integers(0, len(values) - 1))) if values else [], dtype=np.int64)
    taken = Coded.of(values).take(rows)
    assert list(taken) == [values[i] for i in rows.tolist()]
    assert set(taken.values) == set(list(taken))
