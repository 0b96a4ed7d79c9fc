"""Hand ignored regions of the ground truth to a training: label files have no place for them, the loss has."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hnm_core.columns import CROWD, GROUP_OF
from hnm_core.export.regions import is_region, named_regions

from ..store import box_tables

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

EVERY_CLASS = "*"
"""Class of a region that is about no class; the name of none."""


def save_regions(samples: SampleCollection, gt_field: str, rules: Collection[str], exported: Path, file: Path) -> int:
    """Write crowds and ignored regions of the exported train images, as ``hnm train --ignore-regions`` reads them.

    Args:
        samples: those that were exported.
        gt_field: field of the truth.
        rules: which of them are ignored, see :class:`~hnm_core.settings.MiningSettings`.
        exported: folder of the export.
        file: in that folder, since images are named relative to it.

    Returns:
        Their number; without any, there is no file.
    """
    with (exported / "weights.csv").open(newline="", encoding="utf-8") as table:
        file_of = {row["sample_id"]: row["filepath"] for row in csv.DictReader(table) if row["split"] == "train"}
    truth = named_regions(box_tables.read_truth(samples, gt_field), rules)
    kinds = truth.kinds()
    rows = np.flatnonzero(is_region(truth))
    entries = [
        {
            "image": file_of[image],
            "side": "truth",
            "class": truth.classes[truth.label[row]] if kinds[row] in (CROWD, GROUP_OF) else EVERY_CLASS,
            "bbox": truth.xyxy[row].tolist(),
            "state": "ignore",
        }
        for row in rows
        if (image := truth.images[truth.image[row]]) in file_of
    ]
    if entries:
        file.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    return len(entries)
