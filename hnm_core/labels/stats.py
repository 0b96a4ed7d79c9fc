"""Log odds of shares, and intervals of Beta distributions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["COVERAGE", "beta_interval", "expit", "logit"]

COVERAGE = 0.9
"""Probability mass of the intervals that are shown."""

GRID = 1024
TAILS = np.array([(1.0 - COVERAGE) / 2.0, (1.0 + COVERAGE) / 2.0])


def logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log odds of a share, finite also at 0 and 1."""
    inside = np.clip(share, 1e-9, 1.0 - 1e-9)
    return np.asarray(np.log(inside) - np.log1p(-inside), dtype=np.float64)


def expit(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of given log odds, the inverse of :func:`logit`."""
    return np.exp(-np.logaddexp(0.0, -log_odds))


def beta_interval(
    mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the central 90 % interval of Beta distributions of given means and variances, ``(n,)`` each.

    Trapezoidal rule over the logit of the share, where the density has one smooth peak and two exponential tails; the
    tails are added in closed form.

    Example:
        >>> low, high = beta_interval(np.array([0.5]), np.array([1 / 12]))  # of the uniform distribution
        >>> low.round(3).tolist(), high.round(3).tolist()
        ([0.05], [0.95])
    """
    size = np.maximum(mean * (1.0 - mean) / np.maximum(variance, 1e-300) - 1.0, 1e-6)
    a, b = (mean * size)[:, None], ((1.0 - mean) * size)[:, None]
    with np.errstate(divide="ignore"):
        mode, width = np.log(a) - np.log(b), 9.0 * np.sqrt(1.0 / a + 1.0 / b)
    flat = np.log(a + b) + 8.0  # beyond this logit, on both sides, the density is practically exponential
    first = np.where(a >= 5.0, mode - width, np.minimum(-flat, mode - 1.0))
    last = np.where(b >= 5.0, mode + width, np.maximum(flat, mode + 1.0))
    t = first + (last - first) * np.linspace(0.0, 1.0, GRID)
    log_density = a * t - (a + b) * np.logaddexp(0.0, t)
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    step = (density[:, 1:] + density[:, :-1]) / 2.0 * np.diff(t, axis=1)
    mass = np.concatenate([density[:, :1] / a, step], axis=1).cumsum(axis=1)
    share = mass / (mass[:, -1:] + density[:, -1:] / b)
    ends = np.empty((2, len(mean)))
    for i in range(len(mean)):
        ends[:, i] = np.interp(TAILS, share[i], t[i])
        if share[i, 0] > TAILS[0]:
            ends[0, i] = t[i, 0] + np.log(TAILS[0] / share[i, 0]) / a[i, 0]
        if share[i, -1] < TAILS[1]:
            ends[1, i] = t[i, -1] - np.log((1.0 - TAILS[1]) / (1.0 - share[i, -1])) / b[i, 0]
    low, high = expit(ends)
    return low, high
