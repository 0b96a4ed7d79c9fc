"""Hard-negative mining for object detectors: a thin engine over columns of boxes.

Start with :func:`mine` on tables of all images, or with :class:`HardNegativeMiner` on dicts, image by image.

Names are imported on first use, so importing this package takes no longer than importing numpy.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as _numpy  # noqa: F401 - nothing here works without numpy: fail on import, not later

if TYPE_CHECKING:
    from . import io
    from .columns import Detections
    from .matching import match_detections
    from .miner import HardNegativeMiner, calculate_sample_weights
    from .pipeline import mine
    from .report import MiningReport
    from .result import MiningResult
    from .settings import MiningSettings
    from .strategies import register_strategy, score_difficulty
    from .taxonomy import classify_errors
    from .weighting.pooling import pool_images

__version__ = "0.2.0"

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


Loader = tuple[Callable[[str], Any], Callable[[], list[str]]]


def lazy_names(package: str, modules: Mapping[str, tuple[str, ...]]) -> Loader:
    """Return ``__getattr__`` and ``__dir__`` of a package that imports its names on first use.

    Args:
        package: name of the package, its ``__name__``.
        modules: the public names by the module below the package that defines them. All modules directly below the
            package can be asked for by name, too.
    """

    def get(name: str) -> Any:
        module = next((module for module, names in modules.items() if name in names), None)
        if module is not None:
            value = getattr(import_module(f".{module}", package), name)
            setattr(sys.modules[package], name, value)  # so that the next use does not come here
            return value
        if name.startswith("_") or find_spec(f"{package}.{name}") is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return import_module(f".{name}", package)

    names = {*modules, *(name for names in modules.values() for name in names)}
    return get, lambda: sorted({*names, *vars(sys.modules[package])})


__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "columns": ("Detections",),
        "matching": ("match_detections",),
        "miner": ("HardNegativeMiner", "calculate_sample_weights"),
        "pipeline": ("mine",),
        "weighting.pooling": ("pool_images",),
        "report": ("MiningReport",),
        "result": ("MiningResult",),
        "settings": ("MiningSettings",),
        "strategies": ("register_strategy", "score_difficulty"),
        "taxonomy": ("classify_errors",),
    },
)
