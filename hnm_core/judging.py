"""From what people said to suspicion, scores and weights, without the tables: quick enough to follow every click."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .accounting import weighting
from .calibration import as_columns, weigh_evidence
from .imageset import Images
from .mistakes import Mistakes
from .odds import expit, logit
from .pooling import add_shares, object_shares
from .posterior import Levels, Strata, number_strata
from .report import MiningReport, Weighting
from .reviews import HARD_NEGATIVE, IGNORE, LABEL_IS_WRONG, MISSING_LABEL, STATES, UNREVIEWED, state_codes
from .settings import MiningSettings
from .taxonomy import LOCALIZATION

__all__ = [
    "Judgement",
    "Suspicion",
    "after_looks",
    "judge",
    "scores_of",
    "suspicions_of",
    "weights_of",
]


@dataclass(frozen=True, eq=False)
class Suspicion:
    """How likely the label of each mistake is wrong.

    Attributes:
        value: ``(k,)`` float64 in ``[0, 1]``: what a person said, else the share of its stratum; 0 for lucky hits.
        state: ``(k,)`` int8, what a person said, as place in :data:`~hnm_core.reviews.STATES`.
        stratum: ``(k,)`` int64, row in ``strata``; -1 for lucky hits.
        strata: what is known of each stratum.
        offset: ``(k,)`` what evidence adds to the log odds of the stratum's share.
        evidence: the weight of each kind of evidence, 1 before anybody looked.
    """

    value: NDArray[np.float64]
    state: NDArray[np.int8]
    stratum: NDArray[np.int64]
    strata: Strata
    offset: NDArray[np.float64]
    evidence: Mapping[str, float]

    @property
    def low(self) -> NDArray[np.float64]:
        """``(k,)`` lower end of the 90 % interval of the object's stratum; the answer where there is one."""
        return self._end(self.strata.low)

    @property
    def high(self) -> NDArray[np.float64]:
        """``(k,)`` upper end."""
        return self._end(self.strata.high)

    def _end(self, of_stratum: NDArray[np.float64]) -> NDArray[np.float64]:
        unsure = np.flatnonzero((self.stratum >= 0) & ~_judged(self.state))
        ends = self.value.copy()
        ends[unsure] = _with_evidence(of_stratum[self.stratum[unsure]], self.offset[unsure])
        return ends

    def after(self, row: int, wrong: bool) -> Suspicion:
        """What would be believed if this were the next answer; its strata stay as they are."""
        value, state = self.value.copy(), self.state.copy()
        unsure = np.flatnonzero((self.stratum >= 0) & ~_judged(self.state))
        share = self.strata.levels.after(int(self.stratum[row]), wrong)
        value[unsure] = _with_evidence(share[self.stratum[unsure]], self.offset[unsure])
        value[row], state[row] = float(wrong), MISSING_LABEL if wrong else HARD_NEGATIVE
        return replace(self, value=value, state=state)

    @property
    def looks(self) -> int:
        """Answers that say whose the mistake is."""
        return int(self.strata.looks.sum())

    @property
    def reviewed(self) -> dict[str, int]:
        """How many objects people put into each state, of the states that occur."""
        counts = np.bincount(self.state, minlength=len(STATES)).tolist()
        return {STATES[code]: counts[code] for code in range(1, len(STATES)) if counts[code]}


@dataclass(frozen=True, eq=False)
class Judgement:
    """What mining makes of the answers so far.

    Attributes:
        suspicions: of every mistake, with strata and intervals.
        image_scores: ``(images,)`` float64 in ``[0, 1]``, higher is harder.
        weights: ``(images,)`` float64 ≥ 1.
        repeats: ``(images,)`` int64 ≥ 1.
        hard_images: ``(images,)`` bool, the images that got extra weight for their mistakes.
        weighting: what the weights do.
        expected_label_errors: how many of the mined objects are expected to be label errors.
        expected_interval: its 90 % interval.
        notes: what bit on the way, in sentences.
    """

    suspicions: Suspicion
    image_scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    repeats: NDArray[np.int64]
    hard_images: NDArray[np.bool_]
    weighting: Weighting
    expected_label_errors: float
    expected_interval: tuple[float, float]
    notes: tuple[str, ...]

    @property
    def suspicion(self) -> NDArray[np.float64]:
        """``(k,)`` probability that the label is wrong rather than the model."""
        return self.suspicions.value


def judge(
    mistakes: Mistakes,
    state: Iterable[str] | NDArray[Any] | None,
    images: Images,
    settings: MiningSettings,
    *,
    evidence: Mapping[str, Any] | None = None,
) -> Judgement:
    """Suspicion, scores and weights of a mining after what people said of its mistakes.

    It is what :func:`~hnm_core.pipeline.mine` does after finding the mistakes. Only what an ignored object leaves room
    for under the cap is found by the next mining.

    Args:
        mistakes: all mistakes, mined or not, and the mined lucky hits.
        state: ``(k,)`` what was said of each: names or places in :data:`~hnm_core.reviews.STATES`; None for nothing.
        images: the images, in the order that ``mistakes.image`` counts.
        settings: ``use_suspicion`` and what :func:`~hnm_core.weights.weigh_images` reads.
        evidence: per kind ``(k,)`` log-likelihood ratios, see :mod:`hnm_core.calibration`.

    Raises:
        ValueError: if a state does not exist, or there is not one per mistake.

    Example:
        >>> from hnm_core.taxonomy import BACKGROUND
        >>> alarms = [BACKGROUND] * 2, [0, 0], [0.9, 0.9], [0.9, 0.9], [False, False], [True, True]
        >>> mistakes = Mistakes([0, 1], *alarms)  # two, as sure and as hard as each other, in two images
        >>> images = Images(["a", "b", "c"], np.zeros(3, bool))
        >>> after = judge(mistakes, ["hard_negative", ""], images, MiningSettings())
        >>> after.suspicion.round(2).tolist(), after.suspicions.reviewed["hard_negative"]
        ([0.0, 0.24], 1)
    """
    suspicions = suspicions_of(mistakes, state, evidence)
    rows, shares, scores = scores_of(mistakes, suspicions, images, settings)
    weighed = images.weigh(scores, settings)
    expected, low, high = suspicions.strata.expected()
    return Judgement(
        suspicions=suspicions,
        image_scores=scores,
        weights=weighed.weights,
        repeats=weighed.repeats,
        hard_images=weighed.hard,
        weighting=weighting(images, mistakes.image[rows], mistakes.code[rows], shares, weighed),
        expected_label_errors=expected,
        expected_interval=(low, high),
        notes=weighed.notes,
    )


def after_looks(report: MiningReport, judged: Judgement) -> MiningReport:
    """The report after people looked, or evidence spoke."""
    return replace(
        report,
        expected_label_errors=judged.expected_label_errors,
        expected_interval=judged.expected_interval if judged.suspicions.looks else None,
        looks=judged.suspicions.looks,
        reviewed=judged.suspicions.reviewed,
        evidence=judged.suspicions.evidence,
    )


def weights_of(
    mistakes: Mistakes, suspicions: Suspicion, images: Images, settings: MiningSettings
) -> NDArray[np.float64]:
    """``(images,)`` the weights alone."""
    return images.weigh(scores_of(mistakes, suspicions, images, settings)[2], settings).weights


def suspicions_of(
    mistakes: Mistakes, state: Iterable[str] | NDArray[Any] | None, evidence: Mapping[str, Any] | None = None
) -> Suspicion:
    """How likely each label is wrong, from what was said of some of the mistakes; arguments as :func:`judge`."""
    states = _states_of(mistakes, state)
    columns = as_columns(evidence, len(mistakes))
    wrong_type = np.flatnonzero(mistakes.code >= LOCALIZATION)
    some, said, column = mistakes.take(wrong_type), states[wrong_type], columns[wrong_type]
    number, keys = number_strata(some.code, some.label, some.score, some.of_truth)
    label_error, answered = np.isin(said, LABEL_IS_WRONG), _judged(said)
    answers = number[answered], label_error[answered]
    weights = weigh_evidence(column[answered], answers[1], answers[0], *keys[:2])
    offset = column @ weights
    levels = Levels.of(*keys[:2], *answers, offset[answered])
    own = _with_evidence(levels.own[number], offset)

    def per_stratum(which: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(number[which], minlength=len(keys[0]))

    pending = some.mined & (said == UNREVIEWED)
    counts = per_stratum(pending)
    sums = np.bincount(number[pending], own[pending], len(counts))
    strata = Strata(
        *keys,
        pending=counts,
        confirmed=per_stratum(some.mined & label_error),
        cleared=per_stratum(some.mined & (said == HARD_NEGATIVE)),
        looks=per_stratum(answered),
        wrong=per_stratum(label_error),
        levels=levels,
        share=np.divide(sums, counts, out=levels.own.copy(), where=(counts > 0) & offset.any()),
    )
    value, stratum, offsets = np.zeros(len(mistakes)), np.full(len(mistakes), -1), np.zeros(len(mistakes))
    value[wrong_type], stratum[wrong_type], offsets[wrong_type] = own, number, offset
    value[states == HARD_NEGATIVE] = 0.0
    value[np.isin(states, LABEL_IS_WRONG)] = 1.0
    kinds = dict(zip(evidence or {}, weights.tolist(), strict=True))
    return Suspicion(value, states, stratum, strata, offsets, kinds)


def scores_of(
    mistakes: Mistakes, suspicions: Suspicion, images: Images, settings: MiningSettings
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The rows that count, ``(c,)``, what each adds to its image's score, ``(c,)``, and the scores, ``(images,)``."""
    rows = np.flatnonzero(mistakes.mined & (suspicions.state != IGNORE))
    rows = rows[np.argsort(mistakes.code[rows], kind="stable")]  # so that chance has no say in equal shares
    believed = 1.0 - suspicions.value[rows] * settings.use_suspicion
    shares = object_shares(mistakes.image[rows], mistakes.difficulty[rows] * believed)
    return rows, shares, add_shares(mistakes.image[rows], shares, len(images))


def _with_evidence(share: NDArray[np.float64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    return expit(logit(share) + offset) if offset.any() else share


def _judged(state: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Which states say whose the mistake is."""
    return np.isin(state, (UNREVIEWED, IGNORE), invert=True)


def _states_of(mistakes: Mistakes, state: Iterable[str] | NDArray[Any] | None) -> NDArray[np.int8]:
    codes = np.zeros(len(mistakes), dtype=np.int8) if state is None else state_codes(state)
    if len(codes) != len(mistakes):
        raise ValueError(f"{len(codes)} review states are given for {len(mistakes)} mistakes: give one for each")
    return codes
