"""The interval of a share, held against scipy's Beta distribution."""

from __future__ import annotations

import numpy as np
import pytest

from hnm_core.odds import beta_interval

stats = pytest.importorskip("scipy.stats")


def test_the_interval_is_that_of_scipys_beta() -> None:
    rng = np.random.default_rng(0)
    a, b = np.exp(rng.uniform(np.log(0.02), np.log(1e5), (2, 2000)))
    mean = a / (a + b)
    low, high = beta_interval(mean, mean * (1 - mean) / (a + b + 1))
    assert low == pytest.approx(stats.beta.ppf(0.05, a, b), abs=5e-4)
    assert high == pytest.approx(stats.beta.ppf(0.95, a, b), abs=5e-4)
