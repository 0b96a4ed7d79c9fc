"""The operators that FiftyOne gets to know, one a file."""

from .compare import CompareMiningRuns
from .delete import DeleteMiningRun
from .export import ExportWeightedSubset
from .metrics import FalseAlarmRate, FalsePositivesPerImage
from .mine import MineHardNegatives
from .predict import PredictWithYolo
from .rename import RenameMiningRun
from .similar import FindSimilarImages
from .view import ViewHardNegatives

OPERATORS = [
    PredictWithYolo,
    MineHardNegatives,
    ViewHardNegatives,
    CompareMiningRuns,
    ExportWeightedSubset,
    FindSimilarImages,
    RenameMiningRun,
    DeleteMiningRun,
    FalseAlarmRate,
    FalsePositivesPerImage,
]
