"""Compare two minings: what became of every error, and what corrected labels and a new model changed of them."""

from .at_recall import Outcome, fppi_at_recall
from .changes import CHANGES, KINDS, RoundChanges, compare_rounds
from .corrections import CorrectionGains, compare_corrections, find_corrections
from .labels import LabelChanges, compare_labels

__all__ = [
    "CHANGES",
    "KINDS",
    "CorrectionGains",
    "LabelChanges",
    "Outcome",
    "RoundChanges",
    "compare_corrections",
    "compare_labels",
    "compare_rounds",
    "find_corrections",
    "fppi_at_recall",
]
