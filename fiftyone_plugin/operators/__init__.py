"""The operators that FiftyOne gets to know, one a file."""

from .delete import DeleteMiningRun
from .export import ExportWeightedSubset
from .mine import MineHardNegatives
from .view import ViewHardNegatives

OPERATORS = [MineHardNegatives, ViewHardNegatives, ExportWeightedSubset, DeleteMiningRun]
