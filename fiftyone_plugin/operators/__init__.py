"""The operators that the plugin registers, one per file."""

from .accept import AcceptMissingLabels
from .apply import ApplyReviews
from .compare import CompareMiningRuns
from .delete import DeleteMiningRun
from .export import ExportWeightedSubset
from .fit import FitVerifier
from .mend import MendLabels
from .metrics import FalseAlarmRate, FalsePositivesPerImage
from .mine import MineHardNegatives
from .predict import PredictWithYolo
from .rename import RenameMiningRun
from .sheet import ReviewSheet
from .similar import FindSimilarImages
from .train import TrainOnHardNegatives
from .triage import TriageHardNegatives
from .view import ViewHardNegatives
from .without_truth import MineWithoutTruth

OPERATORS = [
    PredictWithYolo,
    MineHardNegatives,
    MineWithoutTruth,
    ViewHardNegatives,
    TriageHardNegatives,
    ReviewSheet,
    ApplyReviews,
    AcceptMissingLabels,
    MendLabels,
    CompareMiningRuns,
    ExportWeightedSubset,
    TrainOnHardNegatives,
    FindSimilarImages,
    FitVerifier,
    RenameMiningRun,
    DeleteMiningRun,
    FalseAlarmRate,
    FalsePositivesPerImage,
]
