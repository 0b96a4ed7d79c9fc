"""What no review changes of mistakes: their strata, their evidence and their twins, found once for any reviews."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..taxonomy import LOCALIZATION, ROW_NAMES
from ..weighting.exact import exact_units
from .belief import Belief
from .evidence_weights import as_columns
from .mistakes import Mistakes
from .settled import Settled
from .strata import number_strata

__all__ = ["NAMES", "Grouped"]

NAMES = len(ROW_NAMES)


@dataclass(frozen=True, eq=False)
class Grouped:
    """Mistakes by stratum, with their evidence.

    Attributes:
        mistakes: the mistakes, mined lucky hits, and last what is settled, ``k`` of them.
        columns: ``(k, kinds)`` float64, evidence.
        settled: answers on what is settled, see :class:`~.settled.Settled`.
    """

    mistakes: Mistakes
    columns: NDArray[np.float64]
    settled: NDArray[np.int8]

    @classmethod
    def of(cls, mistakes: Mistakes, evidence: Mapping[str, Any] | None, settled: Settled | None) -> Grouped:
        """Group mistakes, with evidence by kind, and what is settled."""
        columns = as_columns(evidence, len(mistakes))
        if settled is None or not len(settled):
            return cls(mistakes, columns, np.zeros(0, dtype=np.int8))
        known = {kind: settled.evidence.get(kind, np.full(len(settled), np.nan)) for kind in evidence or {}}
        columns = np.concatenate([columns, as_columns(known, len(settled))])
        return cls(mistakes.and_more(settled.mistakes), columns, settled.answers)

    @cached_property
    def errors(self) -> NDArray[np.int64] | slice:
        """Return the rows that are mistakes, ``e`` of them: lucky hits have no suspicion. A slice copies nothing."""
        rows = np.flatnonzero(self.mistakes.code >= LOCALIZATION)
        return slice(None) if len(rows) == len(self.mistakes) else rows

    @property
    def code(self) -> NDArray[np.int8]:
        """Return the error type of each, ``(e,)``."""
        return self.mistakes.code[self.errors]

    @property
    def mined(self) -> NDArray[np.bool_]:
        """Return which of them are mined, ``(e,)``."""
        return self.mistakes.mined[self.errors]

    @property
    def evidence(self) -> NDArray[np.float64]:
        """Return their evidence, ``(e, kinds)``."""
        return self.columns[self.errors]

    @cached_property
    def strata(self) -> tuple[NDArray[np.int64], tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
        """Return the stratum of each, ``(e,)``, numbered among these mistakes, and the strata."""
        some = self.mistakes if isinstance(self.errors, slice) else self.mistakes.take(self.errors)
        number, keys = number_strata(some.code, some.label, some.score, some.of_truth)
        number.flags.writeable = False  # every estimate holds it
        return number, keys

    @cached_property
    def mined_counts(self) -> NDArray[np.int64]:
        """Return the number of mined ones in each stratum, ``(s,)``."""
        number, keys = self.strata
        return np.bincount(number[self.mined], minlength=len(keys[0]))

    @cached_property
    def type_counts(self) -> NDArray[np.int64]:
        """Return the number of each error type, ``(names,)``."""
        return np.bincount(self.code, minlength=NAMES)

    @cached_property
    def evidence_sums(self) -> list[NDArray[np.object_]]:
        """Return the sums of each kind of evidence by error type, as exact units."""
        return [exact_units(self.code, column, NAMES) for column in self.evidence.T]

    @cached_property
    def twins(self) -> NDArray[np.int64] | None:
        """Return the group of twins of each, ``(e,)``, numbered from 0; None if there are none."""
        if self.mistakes.twins is None:
            return None
        return np.unique(self.mistakes.twins[self.errors], return_inverse=True)[1]

    def others(self, some: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many twins each of some has among them, itself left out."""
        if self.twins is None:
            return np.zeros(len(some), dtype=np.int64)
        group = self.twins[some]
        return np.asarray(np.bincount(group)[group] - 1, dtype=np.int64)

    def offsets(self, belief: Belief) -> NDArray[np.float64]:
        """Return the change of the log odds of each by its evidence, ``(e,)``; the last ones are kept."""
        if not belief.names:
            return np.zeros(len(self.strata[0]))
        by = belief.weights, belief.means, belief.middle, belief.shift
        kept = self.__dict__.get("_kept")
        if kept is None or any(now is not then for now, then in zip(by, kept[0], strict=True)):
            found = belief.offsets(self.evidence, self.code)
            found.flags.writeable = False
            kept = self.__dict__["_kept"] = by, found
        return kept[1]
