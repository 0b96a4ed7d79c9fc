"""Label errors that were reviewed and put right since: no mistakes any more, but still answers to learn from.

Mended labels leave the mistakes, while what was found to be an error of the model stays. Learning from what is left
would take nearly every label for right as soon as some were mended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..taxonomy import BACKGROUND, CLASSIFICATION, LOCALIZATION, MISSED, TRUE_POSITIVE, Errors
from .evidence_weights import at_rows
from .inheritance import removed_labels
from .mistakes import Mistakes, two_sided
from .reviews import BOGUS_LABEL, MISSING_LABEL, WRONG_BOX, WRONG_LABEL, Reviews

__all__ = ["WAS", "Settled", "alarms_of"]

WAS = {MISSING_LABEL: BACKGROUND, WRONG_LABEL: CLASSIFICATION, WRONG_BOX: LOCALIZATION, BOGUS_LABEL: MISSED}
"""The error type that a box had, by the answer that its label is wrong."""

NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Settled:
    """Reviewed label errors that are put right.

    A prediction is one if it was reviewed as a label error and is right now. A label is one if its class or its box was
    reviewed as wrong and a prediction finds it now, or if it was reviewed as ``bogus_label`` and is gone.

    Attributes:
        mistakes: ``s`` rows, what they were; none is mined.
        answers: ``(s,)`` int8, their answers, see :data:`~.reviews.STATES`.
        rows: their rows in both tables, ascending; predictions come first, labels that are gone last. Empty where the
            tables are not there.
        evidence: per kind ``(s,)`` evidence on them.
    """

    mistakes: Mistakes
    answers: NDArray[np.int8]
    rows: tuple[NDArray[np.int64], NDArray[np.int64]] = field(default_factory=lambda: (NONE, NONE))
    evidence: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def none(cls) -> Settled:
        """Return nothing that is settled."""
        numbers, codes, flags = np.zeros(0), np.zeros(0, dtype=np.int8), np.zeros(0, dtype=bool)
        return cls(Mistakes(NONE, codes, NONE, numbers, numbers, flags, flags), codes)

    @classmethod
    def of(
        cls,
        predictions: Detections,
        truth: Detections,
        errors: Errors,
        answers: tuple[NDArray[np.int8], NDArray[np.int8]],
        reviews: Reviews,
    ) -> Settled:
        """Find what is settled.

        Args:
            predictions: ``n`` rows.
            truth: ``m`` rows.
            errors: their error types.
            answers: ``(n,)`` and ``(m,)``, see :func:`~.inheritance.inherit_answers`.
            reviews: what they were taken from.

        Example:
            >>> from hnm_core import mine
            >>> cat = dict(image="a", side="prediction", bbox=[0, 0, 9, 9], state="missing_label")
            >>> world = dict(images=["a"], classes=["cat"])
            >>> tables = Detections([0], [[0, 0, 9, 9]], [0], [0.9], **world), Detections.empty(**world)
            >>> reviews = Reviews.of([{**cat, "class": "cat"}])
            >>> accepted = Detections([0], [[0, 0, 9, 9]], [0], None, **world)
            >>> [mine(tables[0], truth, reviews=reviews).report.reviewed for truth in (tables[1], accepted)]
            [{'missing_label': 1}, {'missing_label': 1}]
        """
        right = np.isin(answers[0], list(WAS)) & (errors.prediction == TRUE_POSITIVE)
        found = np.isin(answers[1], (WRONG_LABEL, WRONG_BOX)) & (errors.truth == TRUE_POSITIVE)
        rows = np.flatnonzero(right), np.flatnonzero(found)
        gone = removed_labels(reviews, truth)
        said = [answers[0][rows[0]], answers[1][rows[1]], np.full(len(gone[0]), BOGUS_LABEL, dtype=np.int8)]
        code = np.array([WAS[answer] for answer in np.concatenate(said).tolist()], dtype=np.int8)
        assert predictions.score is not None  # checked by matching
        nothing = np.full(len(code), np.nan)
        return cls(
            Mistakes(
                image=np.concatenate([predictions.image[rows[0]], truth.image[rows[1]], gone[0]]),
                code=code,
                label=np.concatenate([predictions.label[rows[0]], truth.label[rows[1]], gone[1]]),
                score=np.concatenate([predictions.score[rows[0]], nothing[len(rows[0]) :]]),
                difficulty=nothing,
                of_truth=np.arange(len(code)) >= len(rows[0]),
                mined=np.zeros(len(code), dtype=bool),
            ),
            np.concatenate(said),
            rows,
        )

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self.mistakes)

    def take(self, some: NDArray[np.bool_]) -> Settled:
        """Return some of them, without their rows."""
        evidence = {kind: column[some] for kind, column in self.evidence.items()}
        return Settled(self.mistakes.take(some), self.answers[some], evidence=evidence)

    def with_evidence(self, evidence: Mapping[str, Any], lengths: tuple[int, int]) -> Settled:
        """Return them with evidence, as :func:`~.evidence_weights.at_rows` takes it; none on labels that are gone."""
        gone = np.full(len(self) - sum(map(len, self.rows)), np.nan)
        known = at_rows(evidence, lengths, self.rows)
        return replace(self, evidence={kind: np.concatenate([column, gone]) for kind, column in known.items()})

    def with_twins(self, twins: tuple[NDArray[np.int64], NDArray[np.int64]] | None) -> Settled:
        """Return them with numbers of twins, as :meth:`~.mistakes.Mistakes.of` takes them; labels gone are alone."""
        if twins is None:
            return self
        sides = two_sided(*twins)
        known = [side[at] for side, at in zip(sides, self.rows, strict=True)]
        last = max(int(side.max(initial=0)) for side in sides)
        gone = last + 1 + np.arange(len(self) - sum(map(len, self.rows)))
        return replace(self, mistakes=replace(self.mistakes, twins=np.concatenate([*known, gone])))


def alarms_of(errors: Errors, settled: Settled) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Return the rows of all false positives, and of those whose label was put right, with the error type of each."""
    code = np.where(errors.false_positive, errors.prediction, 0).astype(np.int8)
    code[settled.rows[0]] = settled.mistakes.code[: len(settled.rows[0])]
    rows = np.flatnonzero(code)
    return rows, code[rows]
