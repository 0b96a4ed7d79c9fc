"""False positives by recall, without scores: what sorting all scores gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import MiningSettings
from hnm_core.counting import RecallCurve
from hnm_core.counting.recall import counted_scores, wrong_between
from hnm_core.matching import match_detections
from hnm_core.rounds import Outcome
from tests.scenes import FAR, HERE, Tables, apart, patient, scene, scenes


def curve_of(tables: Tables) -> RecallCurve:
    return RecallCurve.of(*tables, match_detections(*tables, MiningSettings()))


def test_by_hand() -> None:
    found = [("a", "cat", 0.9, FAR), ("a", "cat", 0.8, HERE), ("b", "cat", 0.8, FAR), ("b", "cat", 0.3, HERE)]
    real = [("a", "cat", HERE), ("b", "cat", HERE), ("b", "cat", apart(3)), ("b", "cat", apart(4))]
    curve = curve_of(scene([*found, ("b", "cat", 0.1, apart(1))], real))
    assert curve.wrong.tolist() == [2, 2, 3]  # the second wrong one is as sure as the first right one
    assert [curve.fppi(recall) for recall in (0.0, 0.25, 0.5, 0.51)] == [0.0, 1.0, 1.0, None]
    assert curve_of(scene(found)).fppi(0.0) is None  # no truths


@patient
@given(scenes(), st.floats(0.001, 1.0), st.integers(1, 3))
def test_it_is_what_all_scores_give_and_parts_add_up(tables: Tables, recall: float, parts: int) -> None:
    matches = match_detections(*tables, MiningSettings())
    outcome, curve = Outcome.of(*tables, matches), RecallCurve.of(*tables, matches)
    truths = int(outcome.truths.sum())
    for some in (recall, *(k / max(truths, 1) for k in range(truths + 1))):
        reached = bool(truths) and some <= outcome.most
        assert curve.fppi(some) == (outcome.fppi(some) if reached else None)
    right, wrong = counted_scores(tables[0], matches)
    counts = sum(wrong_between(wrong[part::parts], right) for part in range(parts))
    np.testing.assert_array_equal(np.cumsum(np.asarray(counts)[::-1]), curve.wrong)
