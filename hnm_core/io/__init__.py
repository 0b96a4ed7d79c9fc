"""All reading and writing of files: COCO json, YOLO folders, the guide's dicts, weighted exports."""

from .coco import read_coco
from .records import read_records
from .yolo import read_yolo

__all__ = ["read_coco", "read_records", "read_yolo"]
