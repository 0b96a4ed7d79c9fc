"""The review ledger as a JSON file: from one dataset to another, and to the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from bson import ObjectId

from . import triage, views
from .ledger import MOST, Entry, Ledger


def save_json(dataset: Any, path: str | Path, file_of: Mapping[str, str] | None = None) -> int:
    """Write the ledger as JSON, images by their file; ``hnm mine --reviews`` and ``hnm train --reviews`` read it.

    Args:
        dataset: the dataset.
        path: file to write.
        file_of: file of each sample by its id, as it is called where the reviews go; None for the dataset's own.

    Returns:
        How many entries were written; those of samples that have no file are left out.
    """
    entries = Ledger(dataset).entries()
    files = _files(dataset, {entry["image"] for entry in entries}) if file_of is None else file_of
    found = [
        {**entry, "image": files[entry["image"]], "sample_id": entry["image"]}
        for entry in entries
        if entry["image"] in files
    ]
    Path(path).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return len(found)


def load_json(dataset: Any, path: str | Path) -> tuple[int, int]:
    """Add the reviews of a JSON file to the ledger, under the names of those who made them, and to the runs' copies.

    Images are found by their file, else by the id of their sample. A review that is no newer than what stands on the
    same box is passed over.

    Args:
        dataset: the dataset.
        path: file that :func:`save_json` wrote.

    Returns:
        How many entries were added, and how many are of images that the dataset has not.

    Raises:
        ValueError: if the file is no list of reviews.
    """
    try:
        listed = json.loads(Path(path).read_text(encoding="utf-8"))
        assert isinstance(listed, list)
    except (ValueError, AssertionError):
        raise ValueError(f"{path} is no JSON list of reviews, as save_json writes them") from None
    root = dataset._root_dataset
    by_file = dict(zip(*views.images_of(root).values(["filepath", "id"]), strict=True)) if listed else {}
    ids = set(by_file.values())
    known = [
        {**values, "image": image}
        for values in listed
        if (image := by_file.get(values.get("image"), values.get("sample_id"))) in ids
    ]
    read = [((values.get("who"), values.get("when")), Entry.of(values)) for values in known]  # all, before any is added
    images = {entry.image for _, entry in read}
    stands = {_box(Entry.of(values)): values["when"] for values in Ledger(root).entries(images)}
    said = [(by, entry) for by, entry in read if by[1] is None or by[1] > stands.get(_box(entry), "")]
    for (who, when), pairs in groupby(said, key=lambda pair: pair[0]):
        entries = [entry for _, entry in pairs]
        for start in range(0, len(entries), MOST):
            Ledger(root).add(entries[start : start + MOST], who, when)
    triage.copy_states(root, {entry.image for _, entry in said})
    return len(said), len(listed) - len(known)


def _box(entry: Entry) -> tuple[Any, ...]:
    return entry.image, entry.side, entry.label, entry.bbox


def _files(dataset: Any, sample_ids: Iterable[str]) -> dict[str, str]:
    found = dataset._root_dataset._sample_collection.find(
        {"_id": {"$in": [ObjectId(i) for i in sample_ids]}}, {"filepath": 1}
    )
    return {str(document["_id"]): document["filepath"] for document in found}
