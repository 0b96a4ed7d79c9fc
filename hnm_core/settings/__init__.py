"""Every setting of the engine, declared once; forms, flags, Python and documents read the declaration."""

from .mining import CANDIDATES, MAX_PER_GROUP, MiningSettings
from .options import Option, Options, check_switch, inner, option, options
from .sheets import LARGEST_SHEET, SheetSettings
from .watching import WatchSettings

__all__ = [
    "CANDIDATES",
    "LARGEST_SHEET",
    "MAX_PER_GROUP",
    "MiningSettings",
    "Option",
    "Options",
    "SheetSettings",
    "WatchSettings",
    "check_switch",
    "inner",
    "option",
    "options",
]
