"""All reading and writing of files: COCO json, YOLO folders, Parquet, the guide's dicts.

Each is loaded when it is first asked for, so that ``import hnm_core`` waits for none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .coco import read_coco, write_coco
    from .found import to_records
    from .labels import write_yolo
    from .parquet import read_parquet, write_parquet
    from .records import read_records
    from .yolo import read_yolo

__all__ = [
    "read_coco",
    "read_parquet",
    "read_records",
    "read_yolo",
    "to_records",
    "write_coco",
    "write_parquet",
    "write_yolo",
]

_HOMES = {
    "coco": ("read_coco", "write_coco"),
    "found": ("to_records",),
    "labels": ("write_yolo",),
    "parquet": ("read_parquet", "write_parquet"),
    "records": ("read_records",),
    "yolo": ("read_yolo",),
}


def __getattr__(name: str) -> Any:
    """What is asked for by name, or one of the modules, loaded now."""
    if name in _HOMES:
        return import_module(f".{name}", __name__)
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f".{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_HOMES})
