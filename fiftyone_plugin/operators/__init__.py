"""The operators that FiftyOne gets to know, one a file."""

from .accept import AcceptMissingLabels
from .apply import ApplyReviews
from .compare import CompareMiningRuns
from .delete import DeleteMiningRun
from .export import ExportWeightedSubset
from .metrics import FalseAlarmRate, FalsePositivesPerImage
from .mine import MineHardNegatives
from .predict import PredictWithYolo
from .rename import RenameMiningRun
from .similar import FindSimilarImages
from .train import TrainOnHardNegatives
from .triage import TriageHardNegatives
from .view import ViewHardNegatives

OPERATORS = [
    PredictWithYolo,
    MineHardNegatives,
    ViewHardNegatives,
    TriageHardNegatives,
    ApplyReviews,
    AcceptMissingLabels,
    CompareMiningRuns,
    ExportWeightedSubset,
    TrainOnHardNegatives,
    FindSimilarImages,
    RenameMiningRun,
    DeleteMiningRun,
    FalseAlarmRate,
    FalsePositivesPerImage,
]
