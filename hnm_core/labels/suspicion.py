"""Estimate how likely the label of each mistake is wrong, of mistakes that lie in one place or in many.

Nobody needs all mistakes at once: each part of them is asked for whole numbers and exact sums, which add up to the same
bits however the mistakes are split, and then applies the common :class:`Belief` to its own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..weighting.exact import as_floats, exact_units
from .belief import Belief
from .evidence_weights import bins_of, kinds_of, only_ranks, shift_of, weigh_evidence, weighted
from .grouped import NAMES, Grouped
from .joint_fit import fit_jointly, prior_weights
from .merging import merge_strata
from .mistakes import Mistakes
from .prior import prior_suspicion
from .reviews import HARD_NEGATIVE, IGNORE, LABEL_ERRORS, MISSING_LABEL, STATES, UNREVIEWED, state_codes, states_of
from .settled import Settled
from .stats import expit, logit
from .strata import Levels, Strata

__all__ = ["Suspicion", "SuspicionPart", "believe", "estimate_suspicion", "suspicion_of"]

Ask = Callable[..., Sequence[Any]]
"""Calls a method of every :class:`SuspicionPart`, by name, and returns the answers in a fixed order."""


@dataclass(frozen=True, eq=False)
class Suspicion:
    """How likely the label of each mistake is wrong.

    Attributes:
        value: ``(k,)`` float64 in ``[0, 1]``: 0 or 1 if reviewed, else the share of its stratum; 0 for lucky hits.
        answers: ``(k,)`` int8, see :data:`~hnm_core.labels.reviews.STATES`.
        stratum: ``(k,)`` int64, row in ``strata``; -1 for lucky hits.
        strata: counts and shares of each stratum.
        offset: ``(k,)`` change of the log odds by evidence.
        evidence: the weight of each kind of evidence, 1 before any review.
        settled: ``(s,)`` int8, answers on label errors that are put right, see :class:`~.settled.Settled`.
    """

    value: NDArray[np.float64]
    answers: NDArray[np.int8]
    stratum: NDArray[np.int64]
    strata: Strata
    offset: NDArray[np.float64]
    evidence: Mapping[str, float]
    settled: NDArray[np.int8]

    @property
    def state(self) -> NDArray[np.int8]:
        """``(k,)`` int8, review state, as index in :data:`~hnm_core.labels.reviews.STATES`."""
        return states_of(self.answers)

    @property
    def low(self) -> NDArray[np.float64]:
        """``(k,)`` lower end of the 90 % interval; the value itself for reviewed objects."""
        return self._end(self.strata.low)

    @property
    def high(self) -> NDArray[np.float64]:
        """``(k,)`` upper end of the 90 % interval; the value itself for reviewed objects."""
        return self._end(self.strata.high)

    def _end(self, of_stratum: NDArray[np.float64]) -> NDArray[np.float64]:
        open_rows = np.flatnonzero((self.stratum >= 0) & ~_is_reviewed(self.state))
        ends = self.value.copy()
        ends[open_rows] = _with_evidence(of_stratum[self.stratum[open_rows]], self.offset[open_rows])
        return ends

    def after(self, row: int, wrong: bool) -> Suspicion:
        """Return the suspicion if the next review were this one; the strata are not updated."""
        value, answers = self.value.copy(), self.answers.copy()
        open_rows = np.flatnonzero((self.stratum >= 0) & ~_is_reviewed(self.state))
        share = self.strata.levels.after(int(self.stratum[row]), wrong)
        value[open_rows] = _with_evidence(share[self.stratum[open_rows]], self.offset[open_rows])
        value[row], answers[row] = float(wrong), MISSING_LABEL if wrong else HARD_NEGATIVE
        return replace(self, value=value, answers=answers)

    @property
    def review_count(self) -> int:
        """Return the number of reviews, without ``ignore``."""
        return int(self.strata.review_count.sum())

    @property
    def reviewed(self) -> dict[str, int]:
        """Return the number of objects per review state, for states that occur, settled ones included."""
        counts = np.bincount(np.concatenate([self.state, self.settled]), minlength=len(STATES)).tolist()
        return {STATES[code]: counts[code] for code in range(1, len(STATES)) if counts[code]}


@dataclass(frozen=True, eq=False)
class SuspicionPart:
    """Some of the mistakes, with their reviews and their evidence.

    Attributes:
        grouped: the mistakes, mined lucky hits, and last what is settled.
        said: ``(k,)`` int8, answers.
    """

    grouped: Grouped
    said: NDArray[np.int8]

    @property
    def state(self) -> NDArray[np.int8]:
        """Return the review states."""
        return states_of(self.said)

    @classmethod
    def of(cls, grouped: Grouped, said: NDArray[np.int8]) -> SuspicionPart:
        """Return the part with these answers, and those on what is settled."""
        return cls(grouped, np.concatenate([said, grouped.settled]) if len(grouped.settled) else said)

    @cached_property
    def _answered(self) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        """Return the places, among the errors, of what somebody said something on, and what: few of many."""
        said = self.said[self.grouped.errors]
        at = np.flatnonzero(said)
        return at, said[at]

    def counts(self) -> tuple[Any, ...]:
        """Return the strata, six counts of each, the errors of each type, sums of their evidence, and the answers."""
        number, keys = self.grouped.strata
        at, said = self._answered
        state, mined, stratum = states_of(said), self.grouped.mined[at], number[at]
        label_error = np.isin(state, LABEL_ERRORS)
        which = (
            *(mined & (state != UNREVIEWED), mined & label_error, mined & (state == HARD_NEGATIVE)),
            *(_is_reviewed(state), label_error),
        )
        done, *counts = (np.bincount(stratum[some], minlength=len(keys[0])) for some in which)
        counted = self.grouped.mined_counts - done, *counts, self._pairs()
        return keys, np.stack(counted), self.grouped.type_counts, self.grouped.evidence_sums, self.answers()

    def answers(self) -> tuple[NDArray[Any], ...]:
        """Return stratum, whether the label is wrong, how much each answer counts, and its evidence.

        Of a sheet all answers count, those on its exceptions, too: else what fits least would never be learned from.
        """
        at, said = self._answered
        known = np.abs(said) != IGNORE
        at, said = at[known], said[known]
        counts = 1.0 / (1 + self.grouped.others(at))
        wrong = np.isin(said, (*LABEL_ERRORS, -HARD_NEGATIVE))
        return self.grouped.strata[0][at], wrong, counts, self.grouped.evidence[at]

    def offset_sums(self, belief: Belief) -> NDArray[np.object_]:
        """Return the sum of the changes of the log odds by error type."""
        return exact_units(self.grouped.code, self.grouped.offsets(belief), NAMES)

    def offset_bins(self, belief: Belief) -> NDArray[np.int64]:
        """Return the changes of the log odds by error type, counted in bins."""
        return bins_of(self.grouped.offsets(belief), self.grouped.code, NAMES)

    def is_moved(self, belief: Belief) -> bool:
        """Return whether evidence changes the suspicion of any of these mistakes."""
        return bool(self.grouped.offsets(belief).any())

    def expected_sums(self, belief: Belief, place: NDArray[np.int64]) -> NDArray[np.object_]:
        """Return the sum of the shares of the pending objects of each stratum; ``place`` numbers those of this part."""
        assert belief.levels is not None
        pending = self._pending()
        number = self._number(place)[pending]
        own = belief.shares(number, self.grouped.offsets(belief)[pending])
        return exact_units(number, own, len(belief.levels.own))

    def suspicion(self, belief: Belief, strata: Strata, place: NDArray[np.int64]) -> Suspicion:
        """Return the suspicion of these mistakes; ``place`` numbers the strata of this part among all."""
        errors, stratum, offset = self.grouped.errors, self._number(place), self.grouped.offsets(belief)
        value = belief.shares(stratum, offset)
        if not isinstance(errors, slice):
            n = len(self.said)
            every = np.zeros(n), np.full(n, -1), np.zeros(n)
            for column, of_errors in zip(every, (value, stratum, offset), strict=True):
                column[errors] = of_errors
            value, stratum, offset = every
        rows = np.flatnonzero(self.said)
        state = self.state[rows]
        value[rows[state == HARD_NEGATIVE]] = 0.0
        value[rows[np.isin(state, LABEL_ERRORS)]] = 1.0
        kinds = dict(zip(belief.names, belief.weights.tolist(), strict=True))
        end = len(self.said) - len(self.grouped.settled)
        return Suspicion(value[:end], self.said[:end], stratum[:end], strata, offset[:end], kinds, self.said[end:])

    def _number(self, place: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the stratum of every error, numbered among all strata."""
        number = self.grouped.strata[0]
        return number if np.array_equal(place, np.arange(len(place))) else place[number]

    def _pending(self) -> NDArray[np.int64]:
        """Return the places, among the errors, of mined ones without a review."""
        return np.flatnonzero(self.grouped.mined & (self.state[self.grouped.errors] == UNREVIEWED))

    def _pairs(self) -> NDArray[np.int64]:
        """Return the ordered pairs of pending twins by the stratum of the first."""
        number, keys = self.grouped.strata
        if self.grouped.twins is None:
            return np.zeros(len(keys[0]), dtype=np.int64)
        pending = self._pending()
        return np.bincount(number[pending], self.grouped.others(pending), len(keys[0])).astype(np.int64)


def believe(ask: Ask, names: Sequence[str]) -> tuple[Belief, Strata, list[NDArray[np.int64]]]:
    """Learn from all reviews and all evidence, wherever the mistakes lie.

    Args:
        ask: asks every :class:`SuspicionPart`.
        names: the kinds of evidence.

    Returns:
        The belief, the strata of all mistakes, and for every part the numbers of its strata among them.
    """
    keys, counted, per_type, sums, answers = zip(*ask("counts"), strict=True)
    strata, places = merge_strata(keys)
    counts = np.zeros((len(counted[0]), len(strata[0])), dtype=np.int64)
    for place, part in zip(places, counted, strict=True):
        counts[:, place] += part  # a part names each stratum once
    among, ranks = np.maximum(_added(per_type), 1), only_ranks(names)
    means = np.zeros((NAMES, len(names)))
    if ranks:
        means = np.stack([as_floats(_added(part)) / among for part in zip(*sums, strict=True)], axis=1)
    stratum, wrong, count, columns = _joined_answers(answers, places)
    columns = columns - means[strata[0][stratum]]
    order = np.lexsort((*columns.T, count, wrong, stratum))  # so that no sum depends on the order of rows
    stratum, wrong, count, columns = stratum[order], wrong[order], count[order], columns[order]
    answered = columns, wrong, stratum, *strata[:2], kinds_of(names), count
    belief = Belief(tuple(names), prior_weights(kinds_of(names)), means, *np.zeros((2, NAMES)))
    if ranks:
        belief = replace(belief, middle=as_floats(_added(ask("offset_sums", belief))) / among)
        prior = np.nan_to_num(prior_suspicion(np.arange(NAMES, dtype=np.int8)), nan=0.5)
        belief = replace(belief, shift=shift_of(_added(ask("offset_bins", belief)), prior))
        weights, levels = fit_jointly(*answered, belief.middle + belief.shift)
    else:
        weights = weigh_evidence(*answered)
        levels = Levels.of(*strata[:2], stratum, wrong, weighted(columns, weights), count)
    belief = replace(belief, weights=weights, levels=levels)
    belief = replace(belief, moved=bool(names) and any(ask("is_moved", belief)))
    pending, confirmed, cleared, review_count, wrong_count, pairs = counts
    share = levels.own.copy()
    if belief.moved:
        expected = _added(ask("expected_sums", belief, each=places))
        share = np.divide(as_floats(expected), pending, out=share, where=pending > 0)
    return belief, Strata(*strata, pending, confirmed, cleared, review_count, wrong_count, levels, share, pairs), places


def estimate_suspicion(
    mistakes: Mistakes,
    state: Iterable[str] | NDArray[Any] | None,
    evidence: Mapping[str, Any] | None = None,
    settled: Settled | None = None,
) -> Suspicion:
    """Estimate the probability that each label is wrong; arguments as for :func:`~.estimate.estimate_labels`."""
    return suspicion_of(Grouped.of(mistakes, evidence, settled), state, list(evidence or {}))


def suspicion_of(grouped: Grouped, state: Iterable[str] | NDArray[Any] | None, kinds: Sequence[str] = ()) -> Suspicion:
    """Estimate the same of mistakes that were grouped before, with the kinds of their evidence by name."""
    part = SuspicionPart.of(grouped, _states_of(len(grouped.mistakes) - len(grouped.settled), state))

    def ask(name: str, *args: Any, each: Sequence[Any] | None = None) -> list[Any]:
        return [getattr(part, name)(*args, *(each or ()))]

    belief, strata, (place,) = believe(ask, kinds)
    return part.suspicion(belief, strata, place)


def _added(parts: Sequence[Any]) -> Any:
    return np.sum(np.stack(parts), axis=0)  # of whole numbers


def _joined_answers(answers: Sequence[Any], places: Sequence[NDArray[np.int64]]) -> list[NDArray[Any]]:
    stratum = np.concatenate([place[answer[0]] for place, answer in zip(places, answers, strict=True)])
    return [stratum, *(np.concatenate([answer[i] for answer in answers]) for i in (1, 2, 3))]


def _with_evidence(share: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    return expit(logit(share) + offset) if offset.any() else share


def _is_reviewed(state: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Return which states are reviews, ``(k,)`` bool: all but ``unreviewed`` and ``ignore``."""
    return np.isin(state, (UNREVIEWED, IGNORE), invert=True)


def _states_of(n: int, state: Iterable[str] | NDArray[Any] | None) -> NDArray[np.int8]:
    codes = np.zeros(n, dtype=np.int8) if state is None else state_codes(state)
    if len(codes) != n:
        raise ValueError(f"{len(codes)} review states are given for {n} mistakes: give one for each")
    return codes
