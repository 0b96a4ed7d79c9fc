"""The interval of a share, held against scipy's Beta distribution."""

from __future__ import annotations

import numpy as np
import pytest

from hnm_core.labels.stats import beta_interval, expit, logit

stats = pytest.importorskip("scipy.stats")


def test_the_interval_is_that_of_scipys_beta() -> None:
    rng = np.random.default_rng(0)
    a, b = np.exp(rng.uniform(np.log(0.02), np.log(1e5), (2, 2000)))
    mean = a / (a + b)
    low, high = beta_interval(mean, mean * (1 - mean) / (a + b + 1))
    assert low == pytest.approx(stats.beta.ppf(0.05, a, b), abs=5e-4)
    assert high == pytest.approx(stats.beta.ppf(0.95, a, b), abs=5e-4)


@pytest.mark.parametrize("share", [0.0, 1e-12, 0.25, 0.5, 1 - 1e-12, 1.0])
def test_log_odds_are_finite_at_both_ends_and_their_inverse_is_the_share(share: float) -> None:
    (odds,) = logit(np.array([share]))
    inside = min(max(share, 1e-9), 1 - 1e-9)
    assert odds == pytest.approx(np.log(inside / (1 - inside)), rel=1e-6)
    assert expit(np.array([odds]))[0] == pytest.approx(share, abs=1.1e-9)


def test_shares_of_large_log_odds_do_not_overflow() -> None:
    with np.errstate(over="raise", divide="raise"):
        assert expit(np.array([-800.0, -30.0, 0.0, 30.0, 800.0])) == pytest.approx([0, 9.4e-14, 0.5, 1, 1], rel=0.01)


@pytest.mark.parametrize("mean", [0.0, 0.3, 1.0])
def test_an_interval_without_variance_is_the_mean(mean: float) -> None:
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = beta_interval(np.array([mean]), np.array([0.0]))
    if 0 < mean < 1:
        assert (low[0], high[0]) == (pytest.approx(mean), pytest.approx(mean))


def test_each_interval_is_that_of_its_own_distribution() -> None:
    mean, variance = np.array([0.02, 0.5, 0.98]), np.array([0.01, 0.2, 0.01])
    low, high = beta_interval(mean, variance)
    for i in range(3):
        one = beta_interval(mean[i : i + 1], variance[i : i + 1])
        assert (low[i], high[i]) == (one[0][0], one[1][0])
    mirrored = beta_interval(1 - mean, variance)
    assert 1 - mirrored[0] == pytest.approx(high, abs=1e-9)
    assert 1 - mirrored[1] == pytest.approx(low, abs=1e-9)
