"""What is learned from all reviews and all evidence, in numbers that every part of the mistakes can apply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evidence_weights import weighted
from .stats import expit, logit
from .strata import Levels

__all__ = ["Belief"]


@dataclass(frozen=True, eq=False)
class Belief:
    """What all reviews and all evidence say about a single mistake.

    Attributes:
        names: the kinds of evidence.
        weights: ``(kinds,)`` the weight of each.
        means: ``(names, kinds)`` mean evidence on the mistakes of an error type, where one of the kinds only ranks.
        middle: ``(names,)`` mean change of the log odds by error type, and
        shift: ``(names,)`` how far it moves, so that the mean share stays what it is; 0 where no kind only ranks.
        levels: the shares of label errors of every stratum; None as long as they are not known.
        moved: whether evidence changes anything.
    """

    names: tuple[str, ...]
    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    middle: NDArray[np.float64]
    shift: NDArray[np.float64]
    levels: Levels | None = None
    moved: bool = False

    def offsets(self, columns: NDArray[np.float64], code: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Return the change of the log odds, ``(k,)``, by the evidence ``(k, kinds)`` on errors of some types."""
        change = weighted(columns - self.means[code], self.weights)
        return np.asarray(change - self.middle[code] - self.shift[code], dtype=np.float64)

    def shares(self, stratum: NDArray[np.int64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability that each label is wrong, ``(k,)``, before any review of that very mistake."""
        assert self.levels is not None  # asked last
        share = self.levels.own[stratum]
        return expit(logit(share) + offset) if self.moved else share
