"""How well a verifier tells errors from right detections, beside the plainest way: lowest confidence first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fitting import rank_quality

__all__ = ["LEAST_UNCERTAIN", "LISTS", "Quality", "quality_of"]

LEAST_UNCERTAIN = 0.25
"""Confidence from which a detection below the confidence threshold is listed as uncertain (the pilot's)."""

LISTS = ("all", "confident", "uncertain")
"""What is counted: all detections from .05, those from the confidence threshold, and from .25 up to it."""


@dataclass(frozen=True)
class Quality:
    """How well errors stand above right detections, of images that a fit did not see.

    Attributes:
        lists: per name of :data:`LISTS` the numbers ``detections`` and ``errors``, and ``verifier`` and
            ``lowest_confidence`` with ``average_precision`` of the errors and ``roc_auc`` each; these two are None
            if there are no errors or nothing else.
        images: number of images.
        own_fit: share of the detections whose class has a fit of its own.
        notes: sentences on what was counted.
    """

    lists: Mapping[str, Mapping[str, Any]]
    images: int
    own_fit: float
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers, JSON-clean."""
        return {**asdict(self), "notes": list(self.notes)}

    def __str__(self) -> str:
        """Return the numbers as a table."""
        lines = [
            f"errors above right detections, by cross-validation over {self.images:,} images",
            f"{'':12}{'errors':>8}{'of':>8}   {'AP':>10}{'ROC AUC':>9}   {'AP by':>10}{'ROC AUC':>9}",
            f"{'':12}{'':8}{'':8}   {'verifier':>10}{'':9}   {'confidence':>10}",
        ]
        for name, each in self.lists.items():
            cells = [_cells(each[way]) for way in ("verifier", "lowest_confidence")]
            lines.append(f"{name:12}{each['errors']:>8,}{each['detections']:>8,}   {cells[0]}   {cells[1]}")
        at = f"confident: from the confidence threshold; uncertain: from {LEAST_UNCERTAIN:g} to there"
        return "\n".join([*lines, at, *self.notes])


def quality_of(
    held_out: NDArray[np.float64],
    wrong: NDArray[np.bool_],
    score: NDArray[np.float64],
    threshold: NDArray[np.float64],
    image: NDArray[np.int64],
    own: NDArray[np.bool_],
    notes: tuple[str, ...] = (),
) -> Quality:
    """Measure the quality from what fits say of images that they did not see.

    Args:
        held_out: ``(n,)`` log odds that a detection is an error.
        wrong: ``(n,)`` bool, whether it is one.
        score: ``(n,)`` its confidence.
        threshold: ``(n,)`` confidence from which a detection of its class is confident.
        image: ``(n,)`` its image.
        own: ``(n,)`` bool, whether its class has a fit of its own.
        notes: sentences to keep.
    """
    confident = score >= threshold
    masks = (np.ones(len(wrong), dtype=bool), confident, ~confident & (score >= LEAST_UNCERTAIN))
    lists = {
        name: {
            "detections": int(rows.sum()),
            "errors": int(wrong[rows].sum()),
            "verifier": rank_quality(held_out[rows], wrong[rows]),
            "lowest_confidence": rank_quality(-score[rows], wrong[rows]),
        }
        for name, rows in zip(LISTS, masks, strict=True)
    }
    return Quality(lists, len(np.unique(image)), float(own.mean()), notes)


def _cells(numbers: Mapping[str, float] | None) -> str:
    if numbers is None:
        return f"{'–':>10}{'–':>9}"
    return f"{numbers['average_precision']:>10.3f}{numbers['roc_auc']:>9.3f}"
