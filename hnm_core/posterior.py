"""Suspicion after people looked: a share of label errors per stratum, each shrunk to what is above it.

A stratum is an error type × class × score band. Its share is shrunk to its class's, that to its error type's, that to
the prior: two pseudo-counts a level, so that twenty looks move everything and none of them moves it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .odds import beta_interval, expit, logit
from .suspicion import prior_suspicion
from .taxonomy import ERROR_TYPES, ROW_NAMES

__all__ = ["BANDS", "PSEUDO_COUNTS", "Levels", "Strata", "number_strata"]

PSEUDO_COUNTS = 2.0
"""How many looks what is above a level is worth at it (chosen)."""

BANDS = (0.6, 0.8)
"""Edges of the score bands (chosen: of blood cells' false positives 94 % are label errors at .5 to .6, all from .7)."""

NEWTON = 30
NO_BAND = -1


@dataclass(frozen=True, eq=False)
class Strata:
    """What is known of the mistakes of each stratum, as columns.

    Attributes:
        code: ``(s,)`` int64, error type, as place in :data:`~hnm_core.taxonomy.ROW_NAMES`.
        label: ``(s,)`` int64, number of the class.
        band: ``(s,)`` int64, score band, 0 the lowest; -1 for truths.
        pending: ``(s,)`` mined objects that nobody has judged.
        confirmed: ``(s,)`` mined objects that are label errors, as a person said.
        cleared: ``(s,)`` mined objects that are the model's, as a person said.
        looks: ``(s,)`` answers, those on objects that are not mined too.
        wrong: ``(s,)`` answers that the label is wrong.
        levels: the shares of label errors, of which :attr:`mean` is the last.
        share: ``(s,)`` expected share among the pending ones: the mean, but for what evidence says of each.
    """

    code: NDArray[np.int64]
    label: NDArray[np.int64]
    band: NDArray[np.int64]
    pending: NDArray[np.int64]
    confirmed: NDArray[np.int64]
    cleared: NDArray[np.int64]
    looks: NDArray[np.int64]
    wrong: NDArray[np.int64]
    levels: Levels
    share: NDArray[np.float64]

    def __len__(self) -> int:
        """The number of strata."""
        return len(self.code)

    @property
    def objects(self) -> NDArray[np.int64]:
        """``(s,)`` mined objects."""
        return self.pending + self.confirmed + self.cleared

    @property
    def mean(self) -> NDArray[np.float64]:
        """``(s,)`` expected share of label errors where no evidence speaks."""
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
        """How many of the mined objects of all, or some, strata are label errors: mean and 90 % interval.

        Those that a person has judged are certain; the strata of one class and error type err together.
        """
        some = np.ones(len(self), dtype=bool) if some is None else some
        certain, pending = float(self.confirmed[some].sum()), np.where(some, self.pending, 0)
        n = float(pending.sum())
        if not n:
            return certain, certain, certain
        mean = float(pending @ self.share) / n
        variance = self.levels.variance_of_sum(pending, self.share) / n**2
        low, high = beta_interval(np.array([mean]), np.array([variance]))
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
    def _interval(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return beta_interval(self.mean, self.levels.variance)


@dataclass(frozen=True, eq=False)
class Levels:
    """The shares of label errors of every stratum, of its class in its error type, and of its error type.

    Attributes:
        own: ``(s,)`` share of the stratum.
        of_class: ``(s,)`` share of its class.
        of_type: ``(s,)`` share of its error type.
        n: answers in the stratum, its class and its type, ``(s,)`` each.
        to_class: ``(s,)`` number of its class in its type.
        to_type: ``(s,)`` number of its error type.
    """

    own: NDArray[np.float64]
    of_class: NDArray[np.float64]
    of_type: NDArray[np.float64]
    n: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
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
    ) -> Levels:
        """The levels after some answers.

        Args:
            code: ``(s,)`` error type of every stratum.
            label: ``(s,)`` its class.
            stratum: ``(r,)`` stratum of every answer.
            wrong: ``(r,)`` bool, the answer: whether the label is wrong.
            offset: ``(r,)`` what evidence adds to the logit there.
        """
        among = int(label.max(initial=0)) + 1
        classes, to_class = np.unique(code * among + label, return_inverse=True)
        prior = np.nan_to_num(prior_suspicion(np.arange(len(ROW_NAMES), dtype=np.int8)))
        of_type = _shrunk(code[stratum], wrong, offset, prior)
        of_class = _shrunk(to_class[stratum], wrong, offset, of_type[classes // among])

        def answers(to: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.bincount(to[stratum], minlength=int(to.max(initial=0)) + 1)[to]

        return cls(
            own=_shrunk(stratum, wrong, offset, of_class[to_class]),
            of_class=of_class[to_class],
            of_type=of_type[code],
            n=(answers(np.arange(len(code))), answers(to_class), answers(code)),
            to_class=to_class,
            to_type=code,
        )

    @property
    def variance(self) -> NDArray[np.float64]:
        """``(s,)`` of every stratum's share."""
        own, of_class, of_type = self._spread
        above = of_class + self._follow(1) ** 2 * of_type
        return np.asarray(own + self._follow(0) ** 2 * above, dtype=np.float64)

    def variance_of_sum(self, objects: NDArray[np.int64], share: NDArray[np.float64]) -> float:
        """Of the number of label errors among that many objects of each stratum, of which each is one or not."""
        own, of_class, of_type = self._spread
        by_class, by_type = objects * self._follow(0), objects * self._follow(0) * self._follow(1)
        sums = _sums(self.to_class, by_class)[self.to_class], _sums(self.to_type, by_type)[self.to_type]
        together = (objects**2 * own).sum() + by_class @ (sums[0] * of_class) + by_type @ (sums[1] * of_type)
        return float(together + (objects * share * (1.0 - share)).sum())

    def after(self, at: int, wrong: bool) -> NDArray[np.float64]:
        """``(s,)`` shares after one more answer in stratum ``at``."""
        d_own, d_class, d_type = (d[at] for d in self._steps(wrong))
        in_class, in_type = self.to_class == self.to_class[at], self.to_type == self.to_type[at]
        moved = np.where(in_class, self._follow(0) * d_class, self._follow(0) * self._follow(1) * d_type * in_type)
        moved[at] = d_own
        return np.asarray(np.clip(self.own + moved, 0.0, 1.0), dtype=np.float64)

    def influence(self, mass: NDArray[np.float64]) -> NDArray[np.float64]:
        """``(s,)`` expected sum of mass × change of share over all strata, if the next answer comes in each stratum."""
        follow, further = self._follow(0), self._follow(0) * self._follow(1)
        in_class, in_type = _sums(self.to_class, mass * follow)[self.to_class], _sums(self.to_type, mass * further)
        others = in_class - mass * follow, in_type[self.to_type] - in_class * self._follow(1)
        total = np.zeros(len(mass))
        for wrong, chance in ((True, self.own), (False, 1.0 - self.own)):
            d_own, d_class, d_type = map(np.abs, self._steps(wrong))
            total += chance * (d_own * mass + d_class * others[0] + d_type * others[1])
        return total

    def _steps(self, wrong: bool) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """How far the share of each stratum, its class and its type moves with one more answer there."""
        answer, (n, n_class, n_type) = float(wrong), self.n
        d_type = (answer - self.of_type) / (n_type + PSEUDO_COUNTS + 1.0)
        d_class = (answer - self.of_class + PSEUDO_COUNTS * d_type) / (n_class + PSEUDO_COUNTS + 1.0)
        return (answer - self.own + PSEUDO_COUNTS * d_class) / (n + PSEUDO_COUNTS + 1.0), d_class, d_type

    def _follow(self, level: int) -> NDArray[np.float64]:
        """How much the share of a stratum (0), of a class (1), follows the one above."""
        return np.asarray(PSEUDO_COUNTS / (self.n[level] + PSEUDO_COUNTS), dtype=np.float64)

    @property
    def _spread(self) -> tuple[NDArray[np.float64], ...]:
        """The variance that each level adds, given the one above."""
        shares = zip((self.own, self.of_class, self.of_type), self.n, strict=True)
        return tuple(share * (1.0 - share) / (n + PSEUDO_COUNTS + 1.0) for share, n in shares)


def _shrunk(
    group: NDArray[np.int64], wrong: NDArray[np.bool_], offset: NDArray[np.float64] | None, above: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The share of wrong answers of each group, shrunk to the one above by as many looks as pseudo-counts.

    With evidence it is the share where none speaks: the root of Σ (answer - expit(logit share + offset)), the
    pseudo-counts being answers without evidence; by Newton's method.
    """
    n, k = _sums(group, np.ones(len(group)), len(above)), _sums(group, wrong, len(above))
    share = np.asarray((k + PSEUDO_COUNTS * above) / (n + PSEUDO_COUNTS), dtype=np.float64)
    if offset is None or not offset.any():
        return share
    at = logit(share)
    for _ in range(NEWTON):
        own, seen = expit(at), expit(at[group] + offset)
        slope = PSEUDO_COUNTS * own * (1.0 - own) + _sums(group, seen * (1.0 - seen), len(above))
        off = PSEUDO_COUNTS * (above - own) + k - _sums(group, seen, len(above))
        at = at + np.clip(off / np.maximum(slope, 1e-9), -1.0, 1.0)
    return expit(at)


def _sums(group: NDArray[np.int64], value: NDArray[Any], groups: int = 0) -> NDArray[np.float64]:
    return np.bincount(group, value, groups).astype(np.float64)


def number_strata(
    code: NDArray[np.int8], label: NDArray[np.int64], score: NDArray[np.float64], of_truth: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
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
