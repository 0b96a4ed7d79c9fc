"""Read and write files: COCO JSON, YOLO folders, Pascal VOC, box texts, CSV, Parquet; and convert dicts.

Modules are imported on first use, so ``import hnm_core`` does not wait for them.
"""

from typing import TYPE_CHECKING

from .. import lazy_names

if TYPE_CHECKING:
    from .cluster import mine_to_folder, ray_engine, shard_files
    from .coco import read_coco, read_lvis, write_coco
    from .parquet import read_parquet, write_parquet
    from .records import read_records, to_records
    from .shard_reading import read_shards
    from .shards import Shard, write_shards
    from .sources import read_any
    from .yolo import read_yolo
    from .yolo_writer import write_yolo

__all__ = [
    "Shard",
    "mine_to_folder",
    "ray_engine",
    "read_any",
    "read_coco",
    "read_lvis",
    "read_parquet",
    "read_records",
    "read_shards",
    "read_yolo",
    "shard_files",
    "to_records",
    "write_coco",
    "write_parquet",
    "write_shards",
    "write_yolo",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "cluster": ("mine_to_folder", "ray_engine", "shard_files"),
        "coco": ("read_coco", "read_lvis", "write_coco"),
        "parquet": ("read_parquet", "write_parquet"),
        "records": ("read_records", "to_records"),
        "shard_reading": ("read_shards",),
        "shards": ("Shard", "write_shards"),
        "sources": ("read_any",),
        "yolo": ("read_yolo",),
        "yolo_writer": ("write_yolo",),
    },
)
