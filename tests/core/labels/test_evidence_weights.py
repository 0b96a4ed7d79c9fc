"""What only ranks keeps the level; what reviews say moves each weight as far as its kind allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from hnm_core.labels.estimate import estimate_suspicion
from hnm_core.labels.evidence_weights import (
    KINDS,
    LARGEST,
    Kind,
    as_columns,
    at_rows,
    keep_mean,
    kinds_of,
    only_ranks,
    weigh_evidence,
)
from hnm_core.labels.joint_fit import PULL, fit_jointly, prior_weights
from hnm_core.labels.mistakes import Mistakes
from hnm_core.labels.stats import expit, logit
from hnm_core.labels.strata import Levels
from hnm_core.taxonomy import BACKGROUND, CLASSIFICATION, MISSED


def alarms(n: int, code: int = BACKGROUND) -> Mistakes:
    """So many equal false positives, one an image."""
    column = np.zeros(n)
    return Mistakes(np.arange(n), np.full(n, code), column, column + 0.9, column + 0.9, column > 0, column == 0)


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_share_of_every_group_stays_what_it_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group, share = rng.integers(0, 3, 500), np.array([0.1, 0.5, 0.9])
    offset = rng.normal(rng.normal(0, 3), 2, 500)
    moved = keep_mean(offset, group, share)
    for each in range(3):
        rows = group == each
        assert expit(logit(share[each]) + moved[rows]).mean() == pytest.approx(share[each], abs=0.002)
        assert np.ptp((moved - offset)[rows]) == pytest.approx(0, abs=1e-9), "equal up to one number"
    some = rng.permutation(500)
    assert keep_mean(offset[some], group[some], share) == pytest.approx(moved[some], abs=1e-9)


def test_one_mistake_and_none_keep_their_share() -> None:
    assert keep_mean(np.array([7.0]), np.array([0]), np.array([0.8])).tolist() == pytest.approx([0.0], abs=1e-6)
    assert keep_mean(np.zeros(0), np.zeros(0, np.int8), np.array([0.8])).tolist() == []


def test_views_weigh_one_and_a_half_and_appearance_half_beside_them() -> None:
    assert only_ranks(["appearance", "views"])
    assert not only_ranks(["appearance", "agreement"])
    kinds, strata = kinds_of(["views", "appearance"]), (np.array([BACKGROUND]), np.array([0]))
    assert prior_weights(kinds_of(["appearance", "agreement"])).tolist() == [1.0, 1.0]
    assert prior_weights(kinds).tolist() == [1.5, 0.5]
    nobody = np.zeros((0, 2)), np.zeros(0, bool), np.zeros(0, np.int64), *strata, kinds, np.zeros(0), np.zeros(20)
    assert fit_jointly(*nobody)[0].tolist() == [1.5, 0.5]
    one = np.ones((1, 2)), np.array([True]), np.array([0]), *strata, kinds, np.ones(1), np.zeros(20)
    moved = fit_jointly(*one)[0]
    assert moved[1] - 0.5 > moved[0] - 1.5 > 0, "the tighter prior moves less"


def test_before_any_review_the_log_odds_are_those_of_the_prior_and_the_weighted_evidence() -> None:
    rng = np.random.default_rng(0)
    views, looks = rng.normal(size=400), np.clip(rng.normal(size=400), -4, 4)
    mistakes = alarms(400)
    value = estimate_suspicion(mistakes, None, {"views": views, "appearance": looks}).value
    off = logit(value) - 1.5 * np.clip(views, -4, 4) - 0.5 * looks
    assert np.ptp(off) == pytest.approx(0, abs=1e-9)
    assert value.mean() == pytest.approx(0.8, abs=0.002)


def test_each_error_type_keeps_its_own_mean() -> None:
    first, second = alarms(50), alarms(50, CLASSIFICATION)
    names = ("image", "code", "label", "score", "difficulty", "of_truth", "mined")
    both = Mistakes(*(np.concatenate([getattr(m, name) for m in (first, second)]) for name in names))
    views = np.concatenate([np.linspace(-3, -1, 50), np.linspace(1, 3, 50)])
    value = estimate_suspicion(both, None, {"views": views}).value
    assert value[:50].mean() == pytest.approx(0.8, abs=0.005)
    assert value[50:].mean() == pytest.approx(0.2, abs=0.005)
    assert (np.diff(value[:50]) > 0).all()


def test_answers_move_the_level_and_the_weights() -> None:
    views = np.tile([2.0, -2.0], 100)
    state = np.zeros(200, dtype=np.int8)
    state[:20] = np.tile([2, 1], 10)  # what stands high is a missing label, what stands low the model's
    right = estimate_suspicion(alarms(200), state, {"views": views})
    assert right.evidence["views"] > 1.5
    assert right.value[100] > 0.9 > 0.3 > right.value[101]
    state[:20] = np.tile([1, 2], 10)
    against = estimate_suspicion(alarms(200), state, {"views": views})
    assert 0 <= against.evidence["views"] < 1.0


def test_a_signed_kind_may_turn_round_and_others_may_not() -> None:
    values, strata = np.array([[2.0], [-2.0]] * 20), (np.zeros(40, int), np.array([BACKGROUND]), np.array([0]))
    against = values[:, 0] < 0
    assert weigh_evidence(values, against, *strata, [Kind(0.0, 1.0, 0.0, signed=True)])[0] < -0.5
    assert weigh_evidence(values, against, *strata, [Kind()])[0] == 0.0
    assert all(kind.ranks for kind in KINDS.values())


def test_the_mean_is_kept_however_far_the_evidence_reaches() -> None:
    """Beyond the bins too: what is counted at their ends has a share of 0 or 1 anyway."""
    offset, group = np.array([-100.0, 100.0, 0.0, 60.0, 61.0, 59.0, 300.0]), np.array([0, 0, 0, 2, 2, 2, 3])
    share = np.array([0.5, 0.3, 0.8, 0.2])
    moved = keep_mean(offset, group, share)
    for each in (0, 2, 3):
        rows = group == each
        assert expit(logit(share[each]) + moved[rows]).mean() == pytest.approx(share[each], abs=0.005)
    assert moved[6] == pytest.approx(0, abs=1e-6), "one alone"
    assert keep_mean(offset[:3], group[:3], share[:1]) == pytest.approx(moved[:3]), "another group changes nothing"


def test_evidence_is_bounded_and_none_where_it_is_missing() -> None:
    given = {"a": [np.nan, np.inf, -np.inf, 5, -5, 1.5], "b": np.arange(6)}
    columns = as_columns(given, 6)
    assert columns[:, 0].tolist() == [0, LARGEST, -LARGEST, LARGEST, -LARGEST, 1.5]
    assert columns[:, 1].tolist() == [0, 1, 2, 3, 4, 4]
    assert columns.dtype == np.float64
    assert as_columns(None, 3).shape == (3, 0)
    with pytest.raises(ValueError, match=r"^evidence 'a' has shape \(6,\), expected \(5,\): one number per mistake$"):
        as_columns(given, 5)


def test_evidence_is_taken_at_the_rows_of_both_tables() -> None:
    rows = np.array([2, 0]), np.array([1])
    given = {"both": ([1, 2, 3], np.array([4.0, 5.0])), "one": [6, 7, 8]}
    found = at_rows(given, (3, 2), rows)
    assert found["both"].tolist() == [3, 1, 5]
    assert found["one"][:2].tolist() == [8, 6]
    assert np.isnan(found["one"][2])
    assert [column.dtype for column in at_rows({**given, "whole": ([1, 2, 3], [4, 5])}, (3, 2), rows).values()] == [
        np.float64
    ] * 3
    said = r"^evidence 'both' has shapes \(3,\) and \(2,\), expected \(3,\) and \(4,\): one number per row$"
    with pytest.raises(ValueError, match=said):
        at_rows(given, (3, 4), rows)


def test_what_ranks_is_the_same_from_another_zero_in_every_error_type() -> None:
    """One type has a single mistake, which was reviewed: its evidence tells nothing about the weight."""
    codes = np.array([BACKGROUND] * 8 + [CLASSIFICATION] * 7 + [MISSED])
    column = np.zeros(16)
    mistakes = Mistakes(np.arange(16), codes, column, column + 0.9, column + 0.9, codes == MISSED, column == 0)
    state = np.array([1, 2, 1, 2, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 2], dtype=np.int8)
    views = np.random.default_rng(2).normal(size=16) / 4
    first = estimate_suspicion(mistakes, state, {"views": views})
    moved = views + np.select([codes == BACKGROUND, codes == CLASSIFICATION], [1.0, -1.5], 2.0)
    second = estimate_suspicion(mistakes, state, {"views": moved})
    assert second.evidence["views"] == pytest.approx(first.evidence["views"])
    assert second.value == pytest.approx(first.value, abs=1e-6)
    assert first.evidence["views"] != pytest.approx(1.5, abs=1e-3)


def objective(weights: np.ndarray, columns: np.ndarray, wrong: np.ndarray, at: np.ndarray, kinds: list[Kind]) -> float:
    """Minus the log of the posterior of weights, with the levels given."""
    odds = at + columns @ weights
    prior = sum((w - kind.weight) ** 2 / kind.spread**2 for w, kind in zip(weights, kinds, strict=True)) / 2
    return float(np.logaddexp(0, np.where(wrong, -odds, odds)).sum() + prior)


def test_the_weights_are_the_mode_of_their_posterior() -> None:
    rng = np.random.default_rng(4)
    kinds = [Kind(1.0, 0.7), Kind(0.5, 1.0, signed=True)]
    columns = rng.normal(size=(60, 2))
    wrong = rng.random(60) < expit(columns @ [1.2, -0.8])
    stratum, code, label = np.arange(60) % 2, np.array([BACKGROUND, CLASSIFICATION]), np.array([0, 0])
    weights = weigh_evidence(columns, wrong, stratum, code, label, kinds)
    at = logit(Levels.of(code, label, stratum, wrong, columns @ weights).of_type)[stratum]
    best = objective(weights, columns, wrong, at, kinds)
    for step in ([0.05, 0], [-0.05, 0], [0, 0.05], [0, -0.05]):
        assert objective(weights + step, columns, wrong, at, kinds) > best
    assert weights[1] < 0


def answers_of(seed: int, wanted: tuple[float, float]) -> tuple[tuple[Any, ...], tuple[np.ndarray, np.ndarray]]:
    """Return reviews of five strata in three classes of two error types, one stratum without any, and their shift."""
    rng = np.random.default_rng(seed)
    code, label = np.array([BACKGROUND, BACKGROUND, BACKGROUND, CLASSIFICATION, CLASSIFICATION]), [0, 0, 1, 0, 0]
    columns, stratum = rng.normal(size=(40, 2)), rng.integers(0, 4, 40)
    wrong = rng.random(40) < expit(columns @ wanted + (stratum == 1) - (stratum == 3))
    counts, shift = rng.choice([1.0, 0.5], 40), np.linspace(-0.5, 0.5, 20)
    return (columns, wrong, stratum, code, np.array(label)), (counts, shift)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("wanted", [(1.5, -0.7), (-3.0, 1.0), (9.0, 0.0)])
def test_levels_and_weights_are_the_mode_of_one_posterior(seed: int, wanted: tuple[float, float]) -> None:
    """Against a solver that knows nothing of the levels' order, and of the bounds only that they are there."""
    answers, (counts, shift) = answers_of(seed, wanted)
    columns, wrong, stratum, code, _ = answers
    kinds = [Kind(1.0, 0.7, beside=1.5, ranks=True), Kind(0.5, 2.0, beside=0.5, signed=True)]
    weights, levels = fit_jointly(*answers, kinds, counts, shift)
    start = logit(np.where(code == BACKGROUND, 0.8, 0.2)) - shift[code]
    class_of, type_of = np.array([0, 0, 1, 2, 2]), (code == CLASSIFICATION).astype(int)

    def lost(at: np.ndarray) -> float:
        own = start + at[2:7] + at[7:10][class_of] + at[10:12][type_of]
        odds = own[stratum] + columns @ at[:2]
        prior = ((at[:2] - [1.5, 0.5]) / [0.7, 2.0]) ** 2
        return float(
            counts @ np.logaddexp(0, np.where(wrong, -odds, odds)) + prior.sum() / 2 + PULL * at[2:] @ at[2:] / 2
        )

    best = minimize(lost, np.r_[1.5, 0.5, np.zeros(10)], bounds=[(0, 3), (-3, 3), *[(None, None)] * 10], tol=1e-12).x
    assert weights == pytest.approx(best[:2], abs=1e-3)
    of_type = best[10:12][type_of] + logit(np.where(code == BACKGROUND, 0.8, 0.2))
    of_class = of_type + best[7:10][class_of]
    for found, odds in ((levels.of_type, of_type), (levels.of_class, of_class), (levels.own, of_class + best[2:7])):
        assert logit(found) == pytest.approx(odds, abs=2e-3)
    assert levels.own[4] == levels.of_class[4], "nobody looked at the last stratum"
    assert (levels.n[0] == np.bincount(stratum, counts, 5)).all()


def test_one_review_moves_a_stratum_once() -> None:
    """Three levels of two pseudo-counts each: their log odds move alike, together by one root."""
    shape = np.zeros((1, 1)), np.array([True]), np.array([0]), np.array([CLASSIFICATION]), np.array([0])
    levels = fit_jointly(*shape, kinds_of(["views"]), np.ones(1), np.zeros(20))[1]
    steps = np.diff(logit(np.array([0.2, levels.of_type[0], levels.of_class[0], levels.own[0]])))
    assert steps == pytest.approx([steps[0]] * 3)
    assert PULL * steps[0] == pytest.approx(1.0 - levels.own[0]), "the pull of the prior is that of the review"
