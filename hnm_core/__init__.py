"""Hard-negative mining for object detectors: a thin engine over columns of boxes.

Start with :func:`mine` on tables of all images, or with :class:`HardNegativeMiner` on dicts, image by image.

All names are loaded when they are first asked for, so that importing this takes no longer than importing numpy.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as _numpy  # noqa: F401 - nothing here runs without it: who lacks it shall hear of it now

if TYPE_CHECKING:
    from . import io
    from .columns import Detections
    from .matching import match_detections
    from .miner import HardNegativeMiner, calculate_sample_weights
    from .pipeline import mine
    from .pooling import pool_images
    from .report import MiningReport
    from .result import MiningResult
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

_HOMES = {
    "columns": ("Detections",),
    "matching": ("match_detections",),
    "miner": ("HardNegativeMiner", "calculate_sample_weights"),
    "pipeline": ("mine",),
    "pooling": ("pool_images",),
    "report": ("MiningReport",),
    "result": ("MiningResult",),
    "settings": ("MiningSettings",),
    "strategies": ("register_strategy", "score_difficulty"),
    "taxonomy": ("classify_errors",),
}


def __getattr__(name: str) -> Any:
    """What is asked for by name, or one of the modules, loaded now."""
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is not None:
        globals()[name] = value = getattr(import_module(f".{home}", __name__), name)
        return value
    if name.startswith("_") or find_spec(f"{__name__}.{name}") is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_HOMES})
