"""Suspicion after people looked: a share of label errors per stratum, each shrunk to what is above it.

A stratum is an error type × class × score band. Its share is shrunk to its class's, that to its error type's, that to
the prior: two pseudo-counts a level, so that twenty looks move everything and none of them moves it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .suspicion import prior_suspicion
from .taxonomy import ERROR_TYPES, ROW_NAMES

__all__ = ["BANDS", "COVERAGE", "PSEUDO_COUNTS", "Strata", "beta_interval", "number_strata"]

PSEUDO_COUNTS = 2.0
"""How many looks what is above a level is worth at it (chosen)."""

BANDS = (0.6, 0.8)
"""Edges of the score bands (chosen: of blood cells' false positives 94 % are label errors below, all above .7)."""

COVERAGE = 0.9
"""Probability that an interval shown holds the share."""

GRID = 1024
TAILS = np.array([(1.0 - COVERAGE) / 2.0, (1.0 + COVERAGE) / 2.0])
NO_BAND = -1


@dataclass(frozen=True, eq=False)
class Strata:
    """What is known of the mistakes of each stratum, as columns.

    Attributes:
        code: ``(s,)`` int64, error type, as place in :data:`~hnm_core.taxonomy.ROW_NAMES`.
        label: ``(s,)`` int64, number of the class.
        band: ``(s,)`` int64, score band, 0 the lowest; -1 for truths.
        pending: ``(s,)`` mined objects that nobody has looked at.
        confirmed: ``(s,)`` mined objects that are label errors, as a person said.
        cleared: ``(s,)`` mined objects that are the model's, as a person said.
        looks: ``(s,)`` answers, those on objects that are not mined too.
        wrong: ``(s,)`` answers that the label is wrong.
    """

    code: NDArray[np.int64]
    label: NDArray[np.int64]
    band: NDArray[np.int64]
    pending: NDArray[np.int64]
    confirmed: NDArray[np.int64]
    cleared: NDArray[np.int64]
    looks: NDArray[np.int64]
    wrong: NDArray[np.int64]

    def __len__(self) -> int:
        """The number of strata."""
        return len(self.code)

    @property
    def objects(self) -> NDArray[np.int64]:
        """``(s,)`` mined objects."""
        return self.pending + self.confirmed + self.cleared

    @property
    def mean(self) -> NDArray[np.float64]:
        """``(s,)`` expected share of label errors among what nobody has looked at."""
        return self._levels.mean

    @property
    def low(self) -> NDArray[np.float64]:
        """``(s,)`` lower end of the 90 % interval of that share."""
        return self._interval[0]

    @property
    def high(self) -> NDArray[np.float64]:
        """``(s,)`` upper end."""
        return self._interval[1]

    def expected(self, some: NDArray[np.bool_] | None = None) -> tuple[float, float, float]:
        """How many of the mined objects of all, or some, strata are label errors: mean and 90 % interval.

        Those that a person has judged are certain; the strata of one class and error type err together.
        """
        some = np.ones(len(self), dtype=bool) if some is None else some
        certain, pending = float(self.confirmed[some].sum()), np.where(some, self.pending, 0)
        n = float(pending.sum())
        if not n:
            return certain, certain, certain
        mean = float(pending @ self.mean) / n
        low, high = beta_interval(np.array([mean]), np.array([self._levels.variance_of_sum(pending) / n**2]))
        return certain + n * mean, certain + n * float(low[0]), certain + n * float(high[0])

    def by_error(self) -> dict[str, dict[str, float]]:
        """Per error type: ``objects``, ``looks``, ``wrong``; of label errors the share ``mean``, ``low``, ``high``."""
        out: dict[str, dict[str, float]] = {}
        for name in ERROR_TYPES:
            some = self.code == ROW_NAMES.index(name)
            objects = int(self.objects[some].sum())
            if objects:
                shares = (number / objects for number in self.expected(some))
                counts = {"looks": int(self.looks[some].sum()), "wrong": int(self.wrong[some].sum())}
                out[name] = {"objects": objects, **counts, **dict(zip(("mean", "low", "high"), shares, strict=True))}
        return out

    @cached_property
    def _levels(self) -> _Levels:
        return _Levels.of(self)

    @cached_property
    def _interval(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return beta_interval(self.mean, self._levels.variance)


@dataclass(frozen=True, eq=False)
class _Levels:
    """The shares of the three levels; ``v`` is the variance a level adds, ``g`` how much it follows the one above."""

    mean: NDArray[np.float64]
    v: tuple[NDArray[np.float64], ...]
    g: tuple[NDArray[np.float64], ...]
    to_type: NDArray[np.int64]
    to_class: NDArray[np.int64]

    @classmethod
    def of(cls, strata: Strata) -> _Levels:
        n, k = strata.looks.astype(np.float64), strata.wrong.astype(np.float64)
        among = int(strata.label.max(initial=0)) + 1
        of_class, to_class = np.unique(strata.code * among + strata.label, return_inverse=True)
        class_type, types = of_class // among, len(ROW_NAMES)

        def level(
            n: NDArray[np.float64], k: NDArray[np.float64], above: NDArray[np.float64]
        ) -> list[NDArray[np.float64]]:
            mean = (k + PSEUDO_COUNTS * above) / (n + PSEUDO_COUNTS)
            return [mean, mean * (1.0 - mean) / (n + PSEUDO_COUNTS + 1.0), PSEUDO_COUNTS / (n + PSEUDO_COUNTS)]

        prior = np.nan_to_num(prior_suspicion(np.arange(types)))
        kind = level(np.bincount(strata.code, n, types), np.bincount(strata.code, k, types), prior)
        size = len(of_class)
        klass = level(np.bincount(to_class, n, size), np.bincount(to_class, k, size), kind[0][class_type])
        own = level(n, k, klass[0][to_class])
        v, g = (kind[1], klass[1][to_class], own[1]), (klass[2][to_class], own[2])
        return cls(own[0], v, g, strata.code, to_class)

    @property
    def variance(self) -> NDArray[np.float64]:
        """Of every stratum's share."""
        above = self.v[1] + self.g[0] ** 2 * self.v[0][self.to_type]
        return np.asarray(self.v[2] + self.g[1] ** 2 * above, dtype=np.float64)

    def variance_of_sum(self, objects: NDArray[np.int64]) -> float:
        """Of the number of label errors among that many objects of each stratum, and of which each is one or not."""
        by_class = np.bincount(self.to_class, objects * self.g[1])
        by_type = np.bincount(self.to_type, objects * self.g[1] * self.g[0], len(self.v[0]))
        of_class = np.zeros(len(by_class))
        of_class[self.to_class] = self.v[1]
        drawn = (objects * self.mean * (1.0 - self.mean)).sum()
        return float((objects**2 * self.v[2]).sum() + by_class**2 @ of_class + by_type**2 @ self.v[0] + drawn)


def number_strata(
    code: NDArray[np.int8], label: NDArray[np.int64], score: NDArray[np.float64], of_truth: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], ...]]:
    """The stratum of every object, and the strata there are.

    Args:
        code: ``(k,)`` error types.
        label: ``(k,)`` class numbers.
        score: ``(k,)`` confidences, read for predictions only.
        of_truth: ``(k,)`` bool.

    Returns:
        ``(k,)`` numbers, and ``code``, ``label`` and ``band`` of every stratum.
    """
    bands = len(BANDS) + 2
    band = np.where(of_truth, 0, np.searchsorted(BANDS, score, side="right") + 1)
    among = int(label.max(initial=0)) + 1
    key = (code.astype(np.int64) * among + label) * bands + band
    present = np.flatnonzero(np.bincount(key))
    number = np.zeros(int(key.max(initial=0)) + 1, dtype=np.int64)
    number[present] = np.arange(len(present))
    kind, band_of = np.divmod(present, bands)
    return number[key], (kind // among, kind % among, band_of + NO_BAND)


def beta_interval(
    mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The middle 90 % of the Beta distributions of these means and variances, ``(n,)`` each.

    By the trapezoidal rule over the logit of the share, where the density has one smooth hump and two exponential
    tails, which are added in closed form.

    Example:
        >>> low, high = beta_interval(np.array([0.5]), np.array([1 / 12]))  # of the uniform distribution
        >>> low.round(3).tolist(), high.round(3).tolist()
        ([0.05], [0.95])
    """
    size = np.maximum(mean * (1.0 - mean) / np.maximum(variance, 1e-300) - 1.0, 1e-6)
    a, b = (mean * size)[:, None], ((1.0 - mean) * size)[:, None]
    with np.errstate(divide="ignore"):
        mode, width = np.log(a) - np.log(b), 9.0 * np.sqrt(1.0 / a + 1.0 / b)
    flat = np.log(a + b) + 8.0  # beyond this logit, either way, the density is as good as exponential
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
    low, high = np.exp(-np.logaddexp(0.0, -ends))
    return low, high
