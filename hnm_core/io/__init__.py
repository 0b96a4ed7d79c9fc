"""All reading and writing of files: COCO json, YOLO folders, Parquet, the guide's dicts, weighted exports."""

from .coco import read_coco, write_coco
from .export import ExportImage, ExportSummary, export_yolo
from .found import to_records
from .labels import write_yolo
from .parquet import read_parquet, write_parquet
from .records import read_records
from .yolo import read_yolo

__all__ = [
    "ExportImage",
    "ExportSummary",
    "export_yolo",
    "read_coco",
    "read_parquet",
    "read_records",
    "read_yolo",
    "to_records",
    "write_coco",
    "write_parquet",
    "write_yolo",
]
