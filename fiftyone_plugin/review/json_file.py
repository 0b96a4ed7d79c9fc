"""The review ledger as a JSON file, for another dataset or the command line."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..store import access, views
from ..store.access import ObjectId
from . import triage
from .ledger import MOST_OBJECTS, Ledger, ReviewEntry

if TYPE_CHECKING:
    import fiftyone as fo


def save_json(dataset: fo.Dataset, path: str | Path, file_of: Mapping[str, str] | None = None) -> int:
    """Write the ledger as JSON with images by file, as ``hnm mine --reviews`` and ``hnm train --reviews`` read it.

    Args:
        dataset: the dataset.
        path: file to write.
        file_of: file of each sample by its id, as the reader of the reviews knows it; None for the dataset's own.

    Returns:
        Number of entries written; entries on samples without a file are left out.
    """
    entries = Ledger(dataset).entries()
    files = _files(dataset, {entry["image"] for entry in entries}) if file_of is None else file_of
    found = [
        {**entry, "image": files[entry["image"]], "sample_id": entry["image"], "unit": "fractions"}
        for entry in entries
        if entry["image"] in files
    ]
    Path(path).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return len(found)


def load_json(dataset: fo.Dataset, path: str | Path) -> tuple[int, int]:
    """Add the reviews of a JSON file to the ledger, under the names of the people who made them, and update the runs.

    Images are found by their file, else by the id of their sample. A review that is not newer than the one on the same
    box is skipped.

    Args:
        dataset: the dataset.
        path: file that :func:`save_json` wrote.

    Returns:
        Number of entries added, and number of entries on images that are not in the dataset.

    Raises:
        ValueError: if the file is no list of reviews.
    """
    listed = _listed(path)
    root = access.root(dataset)
    by_file = dict(zip(*views.images_of(root).values(["filepath", "id"]), strict=True)) if listed else {}
    ids = set(by_file.values())
    known = [
        {**values, "image": image}
        for values in listed
        if (image := by_file.get(values.get("image"), values.get("sample_id"))) in ids
    ]
    read = [((values.get("who"), values.get("when")), ReviewEntry.of(values)) for values in known]  # before adding any
    images = {entry.image for _, entry in read}
    existing = {_box(ReviewEntry.of(values)): values["when"] for values in Ledger(root).entries(images)}
    newer = [(by, entry) for by, entry in read if by[1] is None or by[1] > existing.get(_box(entry), "")]
    for (who, when), pairs in groupby(newer, key=lambda pair: pair[0]):
        entries = [entry for _, entry in pairs]
        for start in range(0, len(entries), MOST_OBJECTS):
            Ledger(root).add(entries[start : start + MOST_OBJECTS], who, when)
    triage.copy_states(root, {entry.image for _, entry in newer})
    return len(newer), len(listed) - len(known)


def _listed(path: str | Path) -> list[dict[str, Any]]:
    """Return the entries of a file, of which image, sample, person and time are text or absent.

    Raises:
        ValueError: if it is no list of such entries.
    """
    try:
        listed = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        raise ValueError(f"{path} is not a JSON list of reviews as save_json writes it")
    for number, values in enumerate(listed):
        if not isinstance(values, dict):
            raise ValueError(f"{path}: review {number} is {reprlib.repr(values)}, expected its values by name")
        for name in ("image", "sample_id", "who", "when"):
            if not isinstance(values.get(name), (str, type(None))):
                raise ValueError(f"{path}: review {number} has {name} {reprlib.repr(values[name])}, expected text")
    return listed


def _box(entry: ReviewEntry) -> tuple[Any, ...]:
    return entry.image, entry.side, entry.label, entry.bbox


def _files(dataset: fo.Dataset, sample_ids: Iterable[str]) -> dict[str, str]:
    found = access.collection(dataset).find({"_id": {"$in": [ObjectId(i) for i in sample_ids]}}, {"filepath": 1})
    return {str(document["_id"]): document["filepath"] for document in found}
