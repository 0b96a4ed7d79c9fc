"""Count what was found: rows for the report, and scores for thresholds and charts. Counts of parts add up."""

from .rows import Tally, report_of, report_of_tally
from .scores import ScoreCells, ThresholdCounts

__all__ = ["ScoreCells", "Tally", "ThresholdCounts", "report_of", "report_of_tally"]
