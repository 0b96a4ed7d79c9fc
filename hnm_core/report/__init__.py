"""The report of a mining in numbers: statistics, metrics, rates and the effect of the weights."""

from .counts import Counts, Weighting, percent, ratio
from .mining_report import MiningReport, expected_label_errors
from .rules import SUSPECTS

__all__ = ["SUSPECTS", "Counts", "MiningReport", "Weighting", "expected_label_errors", "percent", "ratio"]
