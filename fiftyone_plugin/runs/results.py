"""The stored results of a run: written beside the old ones, then switched to, so that one of both is always whole."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import fiftyone as fo

from ..store import access

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

    from ..store.access import ObjectId


class MiningRunResults(fo.RunResults):
    """The results of a run.

    Attributes:
        report: the report's ``as_dict()``.
        summary: the report as text.
        weight_notes: the notes of the report that are about the weights.
        warnings: warnings about the data that was read, as sentences.
        objects: parallel lists over the confident predictions and the missed truths: ``label_id, sample_id, side,
            error, type, confidence, iou, difficulty, label, hard``; ``type`` is empty if the object was not mined. Each
            kind of evidence is one more column, see :mod:`fiftyone_plugin.actions.evidence`.
        images: parallel lists over the mined samples: ``sample_id, repeats, hard, background``.
        classes: names of the classes, as the tables numbered them.
        label_suspects: parallel lists over the labels, the most suspicious first: ``label_id, sample_id`` and a number
            per way in which they may be wrong, see :mod:`hnm_core.evidence.label_suspects`; empty without views.
        near_crops: what looks like the mined mistakes, see :mod:`.near_columns`; empty without appearance.
        settled: reviewed label errors that were put right before, see :mod:`.settled_columns`.
        tagged_samples: ids of the samples that this run tagged.
        tagged_labels: field and id of each label that this run tagged.
    """

    COLUMNS = (
        *("objects", "images", "classes", "label_suspects", "near_crops", "settled"),
        *("tagged_samples", "tagged_labels"),
    )
    """Stored as JSON text, which is faster than FiftyOne's encoder: that one visits every value in Python."""

    def serialize(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return what is stored."""
        values = {name: getattr(self, name) for name in self.attributes()}
        return values | {name: json.dumps(values[name]) for name in self.COLUMNS}

    @classmethod
    def _from_dict(cls, d: dict[str, Any], samples: SampleCollection, config: Any, key: str) -> MiningRunResults:
        return cls.from_stored(d, samples, config, key)

    @classmethod
    def from_stored(cls, d: dict[str, Any], samples: SampleCollection, config: Any, key: str) -> MiningRunResults:
        """Return the results that :meth:`serialize` gave."""
        return cls(samples, config, key, **d | {name: json.loads(d.get(name, "{}")) for name in cls.COLUMNS})


def put(results: MiningRunResults, file_id: ObjectId) -> None:
    """Store results under an id that is noted already, as FiftyOne reads them."""
    text = json.dumps(results.serialize())
    access.files().put(text.encode(), _id=file_id, content_type="application/json")


def read(dataset: fo.Dataset, key: str, config: Any, file_id: ObjectId | None) -> MiningRunResults:
    """Return the stored results of a run.

    Raises:
        ValueError: if they are gone or damaged.
    """
    try:
        stored = json.loads(access.files().get(file_id).read())
        stored.pop("cls", None)
        return MiningRunResults.from_stored(stored, dataset, config, key)
    except Exception as error:  # GridFS, JSON and the types of damaged values raise different errors
        what = f"the results of run {key!r} cannot be read ({type(error).__name__}: {error})"
        raise ValueError(f"{what}: delete the run (delete_mining_run), then mine again") from None


def remove(files: Iterable[ObjectId]) -> None:
    """Remove stored results, but not those that a run of any dataset refers to: a clone has copied their ids."""
    for file_id in files:
        if access.run_documents().find_one({"results": file_id}, ["_id"]) is None:
            access.files().delete(file_id)
