"""Hard-negative mining for object detectors: a thin engine over columns of boxes.

Start with :func:`mine` on tables of all images, or with :class:`HardNegativeMiner` on dicts, image by image.
"""

from . import io
from .columns import Detections
from .matching import match_detections
from .miner import HardNegativeMiner, calculate_sample_weights
from .pipeline import MiningResult, mine
from .pooling import pool_images
from .report import MiningReport
from .settings import MiningSettings
from .strategies import register_strategy, score_difficulty
from .taxonomy import classify_errors

__version__ = "0.1.0"

__all__ = [
    "Detections",
    "HardNegativeMiner",
    "MiningReport",
    "MiningResult",
    "MiningSettings",
    "calculate_sample_weights",
    "classify_errors",
    "io",
    "match_detections",
    "mine",
    "pool_images",
    "register_strategy",
    "score_difficulty",
]
