"""A digest per image of everything that a run writes on it, to find the images on which the next mining differs."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnm_core.labels.reviews import STATES
from hnm_core.taxonomy import BELOW_THRESHOLD

from .rawbson import ID
from .updates import Job, Side

DIGEST = np.dtype("V16")

ROW = np.dtype(
    [
        *(("id", ID), ("near", ID), ("error", "i1"), ("state", "i1"), ("hard", "?")),
        *(
            (name, kind)
            for number in ("difficulty", "iou", "suspicion")
            for name, kind in ((number, "f8"), (f"no_{number}", "?"))
        ),
    ]
)
"""What is written on a box; where there is no number, it is 0 and ``no_…`` says so."""

_CODE = {name: code for code, name in enumerate(("", *STATES))}


def digests_of(job: Job) -> NDArray[Any]:
    """Return ``(images,)`` 16 bytes for each image: equal if the same is written on the same boxes of it, in order."""
    sides = [_rows(side) for side in job.sides]
    parts = [(memoryview(table.tobytes()), start) for table, start in sides]
    found = []
    for image in range(len(job.sample_ids)):
        digest = blake2b(np.array([*job.row(image), job.tagged[image]], dtype=np.float64).tobytes(), digest_size=16)
        for data, start in parts:
            digest.update(data[start[image] * ROW.itemsize : start[image + 1] * ROW.itemsize])
            digest.update(b"|")
        found.append(digest.digest())
    return np.frombuffer(b"".join(found), dtype=DIGEST)


def _rows(side: Side) -> tuple[NDArray[Any], list[int]]:
    """Return what is written on the boxes of a side that get anything, and where those of each image begin."""
    columns = side.arrays()
    rows = np.flatnonzero(columns["error"] != BELOW_THRESHOLD)
    table = np.zeros(len(rows), dtype=ROW)
    for name in ("id", "near", "error", "hard"):
        table[name] = columns[name][rows]
    names, codes = np.unique(columns["state"][rows], return_inverse=True)
    if len(rows):
        table["state"] = np.array([_CODE[name] for name in names.tolist()], dtype=np.int8)[codes]
    for name in ("difficulty", "iou", "suspicion"):
        values = columns[name][rows]
        table[f"no_{name}"] = np.isnan(values)
        table[name] = np.where(table[f"no_{name}"], 0.0, values)
    image = side.image[rows]
    return table, np.searchsorted(image, np.arange(len(side.start))).tolist()
