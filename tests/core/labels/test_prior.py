"""Is it the model or the label: the prior, before anyone looked."""

from __future__ import annotations

import numpy as np
import pytest

from hnm_core import MiningSettings, mine
from hnm_core.labels.prior import PRIOR, prior_suspicion
from hnm_core.taxonomy import ERROR_TYPES, PROPOSALS, ROW_NAMES
from tests.scenes import FAR, HERE, everything_at_once, scene


def test_the_prior_is_that_of_the_definitions() -> None:
    assert dict(PRIOR) == {
        "background": 0.8,
        "localization": 0.5,
        "duplicate": 0.1,
        "classification": 0.2,
        "both": 0.2,
        "missed": 0.2,
    }
    assert set(PRIOR) == set(ERROR_TYPES)
    with pytest.raises(TypeError):
        PRIOR["missed"] = 0.0  # type: ignore[index]


def test_every_mistake_has_its_types_prior_and_nothing_else_has_any() -> None:
    codes = np.arange(len(ROW_NAMES), dtype=np.int8)
    expected = [PRIOR.get(name, 0.5 if name in PROPOSALS else np.nan) for name in ROW_NAMES]
    assert prior_suspicion(codes).tolist() == pytest.approx(expected, nan_ok=True)
    assert prior_suspicion(codes[:0]).shape == (0,)


def test_a_result_carries_it_at_its_rows() -> None:
    result = mine(*everything_at_once())
    for names, suspicion in (
        (result.prediction_error, result.prediction_suspicion),
        (result.truth_error, result.truth_suspicion),
    ):
        assert suspicion.tolist() == pytest.approx([PRIOR.get(name, np.nan) for name in names.tolist()], nan_ok=True)


def test_expected_label_errors_are_the_sum_over_what_was_mined() -> None:
    tables = scene([("a", "cat", 0.9, FAR), ("a", "dog", 0.8, HERE)], [("a", "cat", HERE)])
    report = mine(*tables, MiningSettings(hard_negative_ratio=1)).report
    assert report.expected_label_errors == pytest.approx(0.8 + 0.2 + 0.2)
    assert mine(*tables, MiningSettings(hard_negative_ratio=0.2)).report.expected_label_errors == pytest.approx(0.8)


def test_suspicion_lowers_what_weights_are_made_of_but_not_what_is_shown() -> None:
    tables = scene([("a", "cat", 0.9, FAR)])
    with_it, without = mine(*tables), mine(*tables, MiningSettings(use_suspicion=False))
    assert with_it.prediction_difficulty.tolist() == without.prediction_difficulty.tolist() == [0.9]
    assert with_it.image_scores.tolist() == pytest.approx([4 / 7 * 0.9 * 0.2])
    assert without.image_scores.tolist() == pytest.approx([4 / 7 * 0.9])
