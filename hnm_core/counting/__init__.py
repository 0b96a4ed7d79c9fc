"""Count what was found: rows for the report, and scores for thresholds, charts and recall. Counts of parts add up."""

from .counted import CountedRows
from .label_digests import counted_labels, label_digests
from .recall import RecallCurve
from .rows import Tally, report_of, report_of_tally
from .scores import ScoreCells, ThresholdCounts

__all__ = [
    "CountedRows",
    "RecallCurve",
    "ScoreCells",
    "Tally",
    "ThresholdCounts",
    "counted_labels",
    "label_digests",
    "report_of",
    "report_of_tally",
]
