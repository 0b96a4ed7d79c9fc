"""The hardest mistakes as pictures for a report, wherever the pictures of a mining lie."""

from __future__ import annotations

from pathlib import Path

from ..io.shard_heads import open_shards
from ..io.shard_walk import pictures_of
from ..io.truth_files import SHARDS, YOLO, TruthFiles, kind_of, read_truth_files
from ..reporting.html import CloseUp
from ..result import Mined

__all__ = ["MOST_CLOSE_UPS", "close_ups_of"]

MOST_CLOSE_UPS = 20
"""Pictures of a report."""


def close_ups_of(
    result: Mined, data: Path, split: str, images: Path | None, files: TruthFiles | None = None
) -> tuple[list[CloseUp], list[str]]:
    """Return pictures of the hardest mistakes for the report, and sentences on those that cannot be shown.

    The ground truth says where the pictures are and how large they were at labelling; ``files`` if it is read already.
    """
    try:
        from ..samples.close_ups import hardest_close_ups
    except ImportError:
        return [], ["report.html has no pictures of mistakes: they need Pillow (pip install pillow)"]
    if not result.hard_counts.any():
        return [], []
    try:
        if files is None and kind_of(data) == YOLO:
            return hardest_close_ups(result)  # images are named by their path
        if files is None and kind_of(data) == SHARDS:
            shown = next(result.hardest_first(MOST_CLOSE_UPS)).image[:MOST_CLOSE_UPS]
            found, sizes = pictures_of(open_shards(data), shown.tolist(), images)
            return hardest_close_ups(result, found.get, sizes, MOST_CLOSE_UPS)
        files = files or read_truth_files(data, split, images)
    except (OSError, ValueError) as error:
        return [], [f"report.html has no pictures of mistakes: {error}"]
    known = [] if files.sizes is None else zip(files.table.images, files.sizes.tolist(), strict=True)
    return hardest_close_ups(result, files.locate(), {name: (width, height) for name, (width, height) in known})
