"""The share of label errors per stratum after reviews, shrunk towards the levels above.

A stratum is an error type × class × score band. Its share is shrunk towards that of its class, this towards that of the
error type, and this towards the prior, with two pseudo-counts per level. So about twenty reviews can change the
estimate, and no single review dominates it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..taxonomy import LOCALIZATION, ROW_NAMES
from .prior import prior_suspicion
from .stats import beta_interval, expit, logit

__all__ = ["BANDS", "PSEUDO_COUNTS", "Levels", "Strata", "number_strata"]

PSEUDO_COUNTS = 2.0
"""Number of reviews that the level above counts as (chosen)."""

BANDS = (0.6, 0.8)
"""Edges of the score bands (chosen: of blood cells' false positives 94 % are label errors at .5 to .6, all from .7)."""

NEWTON = 30
NO_BAND = -1


@dataclass(frozen=True, eq=False)
class Strata:
    """Counts and shares of the mistakes per stratum, as columns.

    Attributes:
        code: ``(s,)`` int64, error type, as index in :data:`~hnm_core.taxonomy.ROW_NAMES`.
        label: ``(s,)`` int64, number of the class.
        band: ``(s,)`` int64, score band, 0 the lowest; -1 for truths.
        pending: ``(s,)`` mined objects without a review.
        confirmed: ``(s,)`` mined objects reviewed as label errors.
        cleared: ``(s,)`` mined objects reviewed as errors of the model.
        review_count: ``(s,)`` reviews, also those of objects that are not mined.
        wrong: ``(s,)`` reviews that say the label is wrong.
        levels: the shares of label errors per level; :attr:`mean` is the lowest level.
        share: ``(s,)`` expected share among the pending objects: the mean, changed by evidence on single objects.
        pairs: ``(s,)`` ordered pairs of pending objects that are twins; each pair in the stratum of one of its group.
    """

    code: NDArray[np.int64]
    label: NDArray[np.int64]
    band: NDArray[np.int64]
    pending: NDArray[np.int64]
    confirmed: NDArray[np.int64]
    cleared: NDArray[np.int64]
    review_count: NDArray[np.int64]
    wrong: NDArray[np.int64]
    levels: Levels
    share: NDArray[np.float64]
    pairs: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of strata."""
        return len(self.code)

    @property
    def objects(self) -> NDArray[np.int64]:
        """``(s,)`` mined objects."""
        return self.pending + self.confirmed + self.cleared

    @property
    def mean(self) -> NDArray[np.float64]:
        """``(s,)`` expected share of label errors without evidence."""
        return self.levels.own

    @property
    def low(self) -> NDArray[np.float64]:
        """``(s,)`` lower end of the 90 % interval of that share."""
        return self._interval[0]

    @property
    def high(self) -> NDArray[np.float64]:
        """``(s,)`` upper end."""
        return self._interval[1]

    def expected(self, some: NDArray[np.bool_] | None = None) -> tuple[float, float, float]:
        """Return the expected number of label errors among the mined objects of some strata, and its 90 % interval.

        Reviewed objects are certain. Strata of the same class or error type are correlated; twins err together.

        Args:
            some: ``(s,)`` bool; None for all strata.
        """
        some = np.ones(len(self), dtype=bool) if some is None else some
        certain, pending = float(self.confirmed[some].sum()), np.where(some, self.pending, 0)
        pairs = np.where(some, self.pairs, 0)
        n = float(pending.sum())
        if not n:
            return certain, certain, certain
        mean = float(pending @ self.share) / n
        variance = self.levels.variance_of_sum(pending, self.share, pairs) / n**2
        low, high = beta_interval(np.array([mean]), np.array([variance]))
        return certain + n * mean, certain + n * float(low[0]), certain + n * float(high[0])

    def by_error(self) -> dict[str, dict[str, float]]:
        """Return per error type ``objects``, ``review_count``, ``wrong``, and the share ``mean``, ``low``, ``high``."""
        out: dict[str, dict[str, float]] = {}
        for code, name in enumerate(ROW_NAMES[LOCALIZATION:], start=LOCALIZATION):
            some = self.code == code
            objects = int(self.objects[some].sum())
            if objects:
                shares = (number / objects for number in self.expected(some))
                counts = {"review_count": int(self.review_count[some].sum()), "wrong": int(self.wrong[some].sum())}
                out[name] = {"objects": objects, **counts, **dict(zip(("mean", "low", "high"), shares, strict=True))}
        return out

    @cached_property
    def _interval(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return beta_interval(self.mean, self.levels.variance)


@dataclass(frozen=True, eq=False)
class Levels:
    """The shares of label errors of every stratum, of its class in its error type, and of its error type.

    Attributes:
        own: ``(s,)`` share of the stratum.
        of_class: ``(s,)`` share of its class.
        of_type: ``(s,)`` share of its error type.
        n: reviews in the stratum, its class and its type, ``(s,)`` float64 each; those of twins add up to one.
        to_class: ``(s,)`` number of its class in its type.
        to_type: ``(s,)`` number of its error type.
    """

    own: NDArray[np.float64]
    of_class: NDArray[np.float64]
    of_type: NDArray[np.float64]
    n: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    to_class: NDArray[np.int64]
    to_type: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        code: NDArray[np.int64],
        label: NDArray[np.int64],
        stratum: NDArray[np.int64],
        wrong: NDArray[np.bool_],
        offset: NDArray[np.float64] | None = None,
        counts: NDArray[np.float64] | None = None,
    ) -> Levels:
        """Return the levels after some reviews.

        Args:
            code: ``(s,)`` error type of every stratum.
            label: ``(s,)`` its class.
            stratum: ``(r,)`` stratum of every review.
            wrong: ``(r,)`` bool, the review: whether the label is wrong.
            offset: ``(r,)`` change of the logit by evidence.
            counts: ``(r,)`` how many reviews each counts as; None: each is one.
        """
        counts = np.ones(len(stratum)) if counts is None else counts
        among = int(label.max(initial=0)) + 1
        classes, to_class = np.unique(code * among + label, return_inverse=True)
        prior = np.nan_to_num(prior_suspicion(np.arange(len(ROW_NAMES), dtype=np.int8)))
        of_type = _shrunk(code[stratum], wrong, counts, offset, prior)
        of_class = _shrunk(to_class[stratum], wrong, counts, offset, of_type[classes // among])

        def answers(to: NDArray[np.int64]) -> NDArray[np.float64]:
            return _sums(to[stratum], counts, int(to.max(initial=0)) + 1)[to]

        return cls(
            own=_shrunk(stratum, wrong, counts, offset, of_class[to_class]),
            of_class=of_class[to_class],
            of_type=of_type[code],
            n=(answers(np.arange(len(code))), answers(to_class), answers(code)),
            to_class=to_class,
            to_type=code,
        )

    @property
    def variance(self) -> NDArray[np.float64]:
        """``(s,)`` variance of the share of every stratum."""
        own, of_class, of_type = self._spread
        above = of_class + self._follow(1) ** 2 * of_type
        return np.asarray(own + self._follow(0) ** 2 * above, dtype=np.float64)

    def variance_of_sum(
        self, objects: NDArray[np.int64], share: NDArray[np.float64], pairs: NDArray[np.int64] | int = 0
    ) -> float:
        """Return the variance of the number of label errors among so many objects of each stratum.

        Of ``m`` twins either all or none are label errors: their variance is ``m²`` times that of one.

        Args:
            objects: ``(s,)`` objects.
            share: ``(s,)`` share of label errors among them.
            pairs: ``(s,)`` ordered pairs of twins among them, ``m (m - 1)`` for ``m`` twins.
        """
        own, of_class, of_type = self._spread
        by_class, by_type = objects * self._follow(0), objects * self._follow(0) * self._follow(1)
        sums = _sums(self.to_class, by_class)[self.to_class], _sums(self.to_type, by_type)[self.to_type]
        together = (objects**2 * own).sum() + by_class @ (sums[0] * of_class) + by_type @ (sums[1] * of_type)
        return float(together + ((objects + pairs) * share * (1.0 - share)).sum())

    def after(self, at: int, wrong: bool) -> NDArray[np.float64]:
        """Return the shares, ``(s,)``, after one more review in stratum ``at``."""
        d_own, d_class, d_type = (d[at] for d in self._steps(wrong))
        in_class, in_type = self.to_class == self.to_class[at], self.to_type == self.to_type[at]
        moved = np.where(in_class, self._follow(0) * d_class, self._follow(0) * self._follow(1) * d_type * in_type)
        moved[at] = d_own
        return np.asarray(np.clip(self.own + moved, 0.0, 1.0), dtype=np.float64)

    def influence(self, mass: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return per stratum, ``(s,)``, the expected sum of mass × change of share if the next review is in it."""
        follow, further = self._follow(0), self._follow(0) * self._follow(1)
        in_class, in_type = _sums(self.to_class, mass * follow)[self.to_class], _sums(self.to_type, mass * further)
        others = in_class - mass * follow, in_type[self.to_type] - in_class * self._follow(1)
        total = np.zeros(len(mass))
        for wrong, chance in ((True, self.own), (False, 1.0 - self.own)):
            d_own, d_class, d_type = map(np.abs, self._steps(wrong))
            total += chance * (d_own * mass + d_class * others[0] + d_type * others[1])
        return total

    def _steps(self, wrong: bool) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the change of the share of each stratum, its class and its type by one more review there."""
        answer, (n, n_class, n_type) = float(wrong), self.n
        d_type = (answer - self.of_type) / (n_type + PSEUDO_COUNTS + 1.0)
        d_class = (answer - self.of_class + PSEUDO_COUNTS * d_type) / (n_class + PSEUDO_COUNTS + 1.0)
        return (answer - self.own + PSEUDO_COUNTS * d_class) / (n + PSEUDO_COUNTS + 1.0), d_class, d_type

    def _follow(self, level: int) -> NDArray[np.float64]:
        """Return how much a change of the level above changes the share of a stratum (0) or a class (1)."""
        return np.asarray(PSEUDO_COUNTS / (self.n[level] + PSEUDO_COUNTS), dtype=np.float64)

    @property
    def _spread(self) -> tuple[NDArray[np.float64], ...]:
        """Return the variance of each level given the level above."""
        shares = zip((self.own, self.of_class, self.of_type), self.n, strict=True)
        return tuple(share * (1.0 - share) / (n + PSEUDO_COUNTS + 1.0) for share, n in shares)


def _shrunk(
    group: NDArray[np.int64],
    wrong: NDArray[np.bool_],
    counts: NDArray[np.float64],
    offset: NDArray[np.float64] | None,
    above: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the share of label errors of each group, shrunk towards the level above by the pseudo-counts.

    With evidence it is the share at evidence 0: the root of Σ count · (review - expit(logit share + offset)) by
    Newton's method, with the pseudo-counts as reviews without evidence.
    """
    n, k = _sums(group, counts, len(above)), _sums(group, counts * wrong, len(above))
    share = np.asarray((k + PSEUDO_COUNTS * above) / (n + PSEUDO_COUNTS), dtype=np.float64)
    if offset is None or not offset.any():
        return share
    at = logit(share)
    for _ in range(NEWTON):
        own, seen = expit(at), expit(at[group] + offset)
        slope = PSEUDO_COUNTS * own * (1.0 - own) + _sums(group, counts * seen * (1.0 - seen), len(above))
        off = PSEUDO_COUNTS * (above - own) + k - _sums(group, counts * seen, len(above))
        at = at + np.clip(off / np.maximum(slope, 1e-9), -1.0, 1.0)
    return expit(at)


def _sums(group: NDArray[np.int64], value: NDArray[Any], groups: int = 0) -> NDArray[np.float64]:
    return np.bincount(group, value, groups).astype(np.float64)


def number_strata(
    code: NDArray[np.int8], label: NDArray[np.int64], score: NDArray[np.float64], of_truth: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Number the strata that occur, and return the stratum of every object.

    Args:
        code: ``(k,)`` error types.
        label: ``(k,)`` class numbers.
        score: ``(k,)`` confidences, read for predictions only.
        of_truth: ``(k,)`` bool.

    Returns:
        ``(k,)`` stratum numbers, and ``code``, ``label`` and ``band`` of every stratum.
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
