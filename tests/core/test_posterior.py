"""Shares of label errors per stratum, shrunk level by level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hnm_core.posterior import BANDS, PSEUDO_COUNTS, Levels, Strata, number_strata
from hnm_core.suspicion import PRIOR
from hnm_core.taxonomy import BACKGROUND, CLASSIFICATION, MISSED


def strata(*rows: tuple[int, int, int, int, int], band: Any = 0) -> Strata:
    """From rows of (code, label, pending, looks, wrong)."""
    code, label, pending, looks, wrong = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    answer = np.concatenate([np.arange(n) < k for n, k in zip(looks, wrong, strict=True)]) if len(rows) else wrong > 0
    levels = Levels.of(code, label, np.repeat(np.arange(len(rows)), looks), answer)
    bands = np.broadcast_to(band, len(rows))
    return Strata(code, label, bands, pending, wrong, looks - wrong, looks, wrong, levels, levels.own)


def test_before_anybody_looked_it_is_the_prior() -> None:
    untouched = strata((BACKGROUND, 0, 5, 0, 0), (MISSED, 1, 3, 0, 0))
    assert untouched.mean.tolist() == pytest.approx([PRIOR["background"], PRIOR["missed"]])
    assert untouched.expected()[0] == pytest.approx(5 * 0.8 + 3 * 0.2)
    assert strata().expected() == (0, 0, 0)
    assert strata().by_error() == {}


def test_a_look_moves_its_stratum_most_then_its_class_then_its_type_and_no_other() -> None:
    looked_at, untouched = (BACKGROUND, 0, 1, 4, 0), (BACKGROUND, 0, 1, 0, 0)
    other_class, other_type = (BACKGROUND, 1, 1, 0, 0), (CLASSIFICATION, 0, 1, 0, 0)
    table = strata(looked_at, untouched, other_class, other_type, band=[0, 1, 0, 0])
    of_type = 2 * 0.8 / 6
    of_class = 2 * of_type / 6
    assert table.mean.tolist() == pytest.approx([2 * of_class / 6, of_class, of_type, 0.2])
    assert PSEUDO_COUNTS == 2


def test_twenty_looks_at_one_stratum_move_its_error_type() -> None:
    table = strata((BACKGROUND, 0, 80, 20, 20), (BACKGROUND, 1, 80, 0, 0))
    assert table.mean.min() > 0.97
    assert (table.high - table.low)[0] < 0.1
    assert (table.high - table.low)[1] > (table.high - table.low)[0]  # nobody looked at that class


def test_intervals_hold_what_they_say_in_a_world_made_as_the_levels_say() -> None:
    """The share of a class is drawn around its type's, that of a stratum around its class's: 90 % lie inside."""
    rng = np.random.default_rng(1)
    inside, total_inside, runs = 0, 0, 400

    def near(mean: float) -> float:
        return float(np.clip(rng.beta(PSEUDO_COUNTS * mean + 1e-9, PSEUDO_COUNTS * (1 - mean) + 1e-9), 1e-6, 1 - 1e-6))

    for _ in range(runs):
        of_type = near(0.8)
        classes = [near(of_type) for _ in range(3)]
        shares = np.array([near(c) for c in classes for _ in range(2)])
        looks = np.array([8, 0, 3, 3, 0, 0])
        wrong = rng.binomial(looks, shares)
        pending = np.full(6, 50)
        rows = zip([BACKGROUND] * 6, np.repeat([0, 1, 2], 2), pending, looks, wrong, strict=True)
        table = strata(*rows)
        inside += int(((table.low <= shares) & (shares <= table.high)).sum())
        _, low, high = table.expected()
        total_inside += low <= rng.binomial(pending, shares).sum() + wrong.sum() <= high
    assert 0.82 < inside / (6 * runs) < 0.97
    assert 0.75 < total_inside / runs < 0.97


def test_what_a_person_judged_is_certain() -> None:
    table = strata((BACKGROUND, 0, 0, 10, 7))
    assert table.expected() == (7, 7, 7)
    assert table.by_error() == {
        "background": {"objects": 10, "looks": 10, "wrong": 7, "mean": 0.7, "low": 0.7, "high": 0.7}
    }


def test_bands_are_of_predictions_and_hold_their_lower_edge() -> None:
    score = np.array([0.5, BANDS[0], BANDS[1], 1.0, np.nan])
    code, of_truth = np.array([6, 6, 6, 6, 8], dtype=np.int8), np.array([False] * 4 + [True])
    number, (kind, label, band) = number_strata(code, np.array([3, 3, 3, 3, 1]), score, of_truth)
    assert band[number].tolist() == [0, 1, 2, 2, -1]
    assert (kind[number].tolist(), label[number].tolist()) == (code.tolist(), [3, 3, 3, 3, 1])
    assert len(number_strata(code[:0], np.zeros(0, int), score[:0], of_truth[:0])[0]) == 0
