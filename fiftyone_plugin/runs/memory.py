"""What a run remembers of every sample, so that mining again reads, matches and writes only what changed.

Boxes and matches as they were, and a digest of what was written. It is a file beside the run's results, found by the id
of the run's document and removed with it. A run without it, such as an imported one, is mined from scratch.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import fiftyone as fo
import numpy as np
from numpy.typing import NDArray

import hnm_core
from hnm_core.matching import Matches, match_detections
from hnm_core.matching.again import match_again

from ..settings import RunSettings
from ..store import access
from ..store.access import ObjectId
from ..store.box_tables import Tables
from ..store.rawbson import ID
from ..store.reading import NEEDED, Columns
from ..store.rereading import UNKNOWN, Read, ranges
from . import corrections
from .records import Record

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

OWNER = "metadata.hnm_memory_of"
"""Where a stored memory names the run's document."""

CHUNK = 8_000_000
"""Bytes per part of the stored file: half of what a document may have."""

READ = ("pred_field", "mine_split", "split_field", "class_map", "classes", "unlabelled")
"""Settings that say which boxes are read, beside the truth field."""

MATCHED = ("iou_threshold", "class_iou", "class_agnostic", "ignored", "neutral")
"""Settings of the engine that matching reads."""

WHOLE = (fo.Match, fo.MatchTags, fo.Select, fo.Exclude, fo.Exists, fo.Limit, fo.Skip, fo.SortBy, fo.SelectGroupSlices)
"""Stages of views that choose samples and leave their boxes as they are."""

FLAT = ("counts", "id", "label", "xywh", "score", "kind")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Memory:
    """What is remembered.

    Attributes:
        read: what was read, with the stamps that the samples have since they were written.
        sample: ``(images,)`` int64, the sample of each mined image.
        rows: ``(images, 2)`` int64, rows of each image in the two tables.
        matches: the match table.
        written: ``(images,)`` digest of what was written on each image.
        matched_by: the classes and settings that were matched, as text.
    """

    read: Read
    sample: NDArray[np.int64]
    rows: NDArray[np.int64]
    matches: Matches
    written: NDArray[Any]
    matched_by: str

    @classmethod
    def of(cls, tables: Tables, matches: Matches, settings: RunSettings, written: Any, stamps: Any) -> Memory:
        """Return what is to be remembered of a run; ``stamps`` are those of the images, when each was written."""
        of_samples = tables.read.stamps.copy()
        of_samples[tables.sample] = stamps
        return cls(
            replace(tables.read, stamps=of_samples),
            tables.sample,
            _rows_of(tables),
            matches,
            written,
            _matched_by(tables, settings),
        )

    def images(self, tables: Tables) -> NDArray[np.int64]:
        """Return ``(images,)`` the earlier image of each image whose boxes are those that they were; else -1."""
        image = np.full(len(self.read.ids) + 1, -1, dtype=np.int64)
        image[self.sample] = np.arange(len(self.sample))
        return image[tables.read.row[tables.sample]]

    def match(self, tables: Tables, settings: RunSettings) -> Matches:
        """Match the tables; where nothing but some images changed, only these."""
        if self.matched_by != _matched_by(tables, settings) or not len(self.rows):
            return match_detections(tables.predictions, tables.truth, settings.engine)
        was, now = self.images(tables), _rows_of(tables)
        was = np.where((was >= 0) & (self.rows[was] == now).all(axis=1), was, -1)
        known = []
        for side in range(2):
            start = np.cumsum(self.rows[:, side]) - self.rows[:, side]
            rows = ranges(start[was], now[:, side])
            known.append(np.where(np.repeat(was, now[:, side]) >= 0, rows, -1))
        return match_again(tables.predictions, tables.truth, settings.engine, self.matches, (known[0], known[1]))

    def unwritten(self, tables: Tables, written: NDArray[Any]) -> NDArray[np.bool_]:
        """Return ``(images,)`` bool, images on which something else is to be written, or others may have written."""
        was = self.images(tables)
        same = (was >= 0) & tables.read.untouched[tables.sample]
        same[same] = self.written[was[same]] == written[same]
        return ~same

    def gone(self, tables: Tables) -> list[ObjectId]:
        """Return the samples that were mined, and are not any more; they may be deleted."""
        now = set(map(str, tables.sample_ids))
        mined = (ObjectId(i) for i in self.read.ids[self.sample].tolist())
        return [i for i in mined if str(i) not in now]


def recall(samples: SampleCollection, record: Record | None, settings: RunSettings) -> Memory | None:
    """Return the memory of a run that is to be mined again; None if it must be mined from scratch.

    The run may have mined the truth field whose corrected copy is mined now. If that copy was made while the run was as
    it is, it holds what the run wrote; else every sample counts as modified.
    """
    if record is None or record.problem or record.config is None:
        return None
    if any(not isinstance(stage, WHOLE) for stage in getattr(samples, "_stages", ())):
        return None
    before = record.settings
    if any(getattr(before, name) != getattr(settings, name) for name in READ):
        return None
    memory = _load(record.run_id)
    if memory is None or before.gt_field == settings.gt_field:
        return memory
    if settings.gt_field != corrections.copy_of(access.root(samples), before.gt_field):
        return None
    kept = corrections.kept_of(access.root(samples), settings.gt_field).get(record.key) == str(record.run_id)
    stamps = memory.read.stamps if kept else np.full_like(memory.read.stamps, UNKNOWN)
    return replace(memory, read=replace(memory.read, stamps=stamps))


def keep(memory: Memory, run_id: ObjectId) -> None:
    """Store the memory of a run; those of runs that are gone, as with their dataset, go."""
    arrays: dict[str, Any] = {"sample": memory.sample, "rows": memory.rows, "written": memory.written}
    arrays |= {"ids": memory.read.ids, "stamps": memory.read.stamps}
    arrays |= {f"match_{each.name}": getattr(memory.matches, each.name) for each in fields(Matches)}
    names = []
    for side, columns in enumerate(memory.read.columns):
        names.append(columns.names)
        arrays |= {f"{name}_{side}": getattr(columns, name) for name in FLAT if getattr(columns, name) is not None}
    about = {"version": hnm_core.__version__, "names": names, "matched_by": memory.matched_by}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    files = access.files()
    owned = {i: about["hnm_memory_of"] for i, about in access.files_of({OWNER: {"$exists": True}})}
    there = {each["_id"] for each in access.run_documents().find({"_id": {"$in": list(owned.values())}}, ["_id"])}
    for file_id in (i for i, owner in owned.items() if owner not in there):
        files.delete(file_id)
    with tempfile.TemporaryFile() as file:  # as large as the boxes, so not in memory once more
        np.savez(file, **arrays)
        file.seek(0)
        files.put(file, chunk_size=CHUNK, metadata={"hnm_memory_of": run_id})


def remove(run_ids: Iterable[ObjectId]) -> None:
    """Remove the memories of runs."""
    for file_id, _ in access.files_of({OWNER: {"$in": list(run_ids)}}):
        access.files().delete(file_id)


def _load(run_id: ObjectId) -> Memory | None:
    """Return the stored memory of a run; None if there is none that this version can read."""
    try:
        stored = access.files().find_one({OWNER: run_id})
        if stored is None:
            return None
        with tempfile.TemporaryFile() as file:
            shutil.copyfileobj(stored, file)
            file.seek(0)
            with np.load(file, allow_pickle=False) as found:
                arrays = dict(found)
        about = json.loads(arrays["about"].tobytes())
        if about["version"] != hnm_core.__version__:
            return None
        columns = [_columns(arrays, side, tuple(about["names"][side])) for side in range(2)]
        n = len(arrays["ids"])
        none = np.full(n, -1, dtype=np.int64)
        read = Read(arrays["ids"].astype(ID), arrays["stamps"], (columns[0], columns[1]), none, none >= 0)
        matches = Matches(**{each.name: arrays[f"match_{each.name}"] for each in fields(Matches)})
        return Memory(read, arrays["sample"], arrays["rows"], matches, arrays["written"], about["matched_by"])
    except Exception:  # whatever a damaged file holds: the run is mined from scratch
        logger.warning("what a run remembers cannot be read, so it is mined from scratch", exc_info=True)
        return None


def _columns(arrays: Any, side: int, names: tuple[str, ...]) -> Columns:
    found = {name: arrays.get(f"{name}_{side}") for name in FLAT}
    none = np.zeros(len(found["id"]), dtype=bool)
    return Columns(**found, names=names, lacks=dict.fromkeys(NEEDED, none))


def _rows_of(tables: Tables) -> NDArray[np.int64]:
    n = len(tables.sample_ids)
    return np.stack([np.bincount(t.image, minlength=n) for t in (tables.predictions, tables.truth)], axis=1)


def _matched_by(tables: Tables, settings: RunSettings) -> str:
    engine, checked = settings.engine.as_dict(), tables.truth.verified is not None
    return json.dumps([list(tables.truth.classes), checked, *(engine[name] for name in MATCHED)], sort_keys=True)
