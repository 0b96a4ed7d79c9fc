"""Read boxes again: only of samples that were modified since an earlier reading, and say which of them differ.

A sample whose ``last_modified_at`` is what it was has the boxes that it had. One that was modified is read and
compared: fields of runs and tags of users do not change its boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import access
from .access import ObjectId
from .rawbson import ID
from .reading import NEEDED, Columns, read_columns

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

EPOCH = datetime(1970, 1, 1)
UNKNOWN = 0
"""Stamp of a sample of which nobody knows when it was modified: it is read again."""

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Read:
    """What was read of some samples.

    Attributes:
        ids: ``(samples,)`` the twelve bytes of the id of each sample.
        stamps: ``(samples,)`` int64, ``last_modified_at`` in milliseconds since 1970, from before the boxes were read.
        columns: the predictions and the truths.
        row: ``(samples,)`` int64, the sample in the earlier reading, if its boxes are those that it had; else -1.
        untouched: ``(samples,)`` bool, samples that nobody has modified since.
    """

    ids: NDArray[Any]
    stamps: Rows
    columns: tuple[Columns, Columns]
    row: Rows
    untouched: NDArray[np.bool_]

    def sample_ids(self) -> list[ObjectId]:
        """Return the ids of the samples."""
        return [ObjectId(i) for i in self.ids.tolist()]


def read_samples(samples: SampleCollection, pred_field: str, gt_field: str, known: Read | None = None) -> Read:
    """Read the boxes of two fields.

    Args:
        samples: a dataset or a view of images, which hides no boxes if ``known`` is given.
        pred_field: field of the predictions.
        gt_field: field of the truths.
        known: an earlier reading of these fields, with the stamps that the samples had afterwards.
    """
    wanted = {pred_field: "score", gt_field: "kind"}
    stamp = stamps_of(samples)
    if known is None:
        ids, columns = read_columns(samples, wanted)
        none = np.full(len(ids), -1, dtype=np.int64)
        stamps = np.array([stamp.get(i, UNKNOWN) for i in ids], dtype=np.int64)
        return Read(packed(ids), stamps, (columns[pred_field], columns[gt_field]), none, none >= 0)
    place = {i: row for row, i in enumerate(known.ids.tolist())}
    listed = list(stamp)
    row = np.array([place.get(i.binary, -1) for i in listed], dtype=np.int64)
    stamps = np.array(list(stamp.values()), dtype=np.int64)
    untouched = (row >= 0) & (stamps != UNKNOWN)
    untouched[untouched] = known.stamps[row[untouched]] == stamps[untouched]
    touched = np.flatnonzero(~untouched)
    few = 2 * len(touched) < len(listed)
    ids, columns = read_columns(samples, wanted, [listed[i] for i in touched.tolist()] if few else None)
    fresh = {i: n for n, i in enumerate(ids)}
    at = np.array([fresh.get(i, -1) for i in listed], dtype=np.int64)
    there = np.flatnonzero(untouched | (at >= 0))  # others were deleted meanwhile
    row, stamps, untouched, at = row[there], stamps[there], untouched[there], at[there]
    pairs = list(zip(known.columns, (columns[pred_field], columns[gt_field]), strict=True))
    again = np.flatnonzero(~untouched & (row >= 0))
    same = np.ones(len(again), dtype=bool)
    for before, now in pairs:
        same &= _same(before, now, row[again], at[again])
    row[again[~same]] = -1
    source = np.where(untouched, row, len(known.ids) + at)
    both = tuple(_merged(before, now, source) for before, now in pairs)
    return Read(packed([listed[i] for i in there.tolist()]), stamps, (both[0], both[1]), row, untouched)


def stamps_of(samples: SampleCollection) -> dict[ObjectId, int]:
    """Return when each sample was modified, in milliseconds since 1970, in the order of the samples."""
    pipeline = samples._pipeline(post_pipeline=[{"$project": {"last_modified_at": 1}}])
    found = access.collection(samples).aggregate(pipeline, allowDiskUse=True)
    return {document["_id"]: milliseconds(document.get("last_modified_at")) for document in found}


def milliseconds(moment: Any) -> int:
    """Return a time as MongoDB stores it; ``UNKNOWN`` if it is none."""
    if not isinstance(moment, datetime):
        return UNKNOWN
    plain = moment.astimezone(timezone.utc).replace(tzinfo=None) if moment.tzinfo else moment
    return (plain - EPOCH) // timedelta(milliseconds=1)


def moment_of(stamp: int) -> datetime:
    """Return the time of a stamp, as MongoDB compares it."""
    return EPOCH + timedelta(milliseconds=stamp)


def packed(ids: Sequence[ObjectId]) -> NDArray[Any]:
    """Return ids as their twelve bytes, ``(n,)``."""
    return np.frombuffer(b"".join(i.binary for i in ids), dtype=ID)


def ranges(start: Rows, count: Rows) -> Rows:
    """Return the numbers ``start[i] .. start[i] + count[i] - 1``, one range after the other."""
    end = np.cumsum(count)
    return np.arange(end[-1] if len(end) else 0) + np.repeat(start - (end - count), count)


def _starts(columns: Columns) -> tuple[Rows, Rows]:
    count = np.maximum(columns.counts, 0)
    return np.cumsum(count) - count, count


def _same(before: Columns, now: Columns, one: Rows, other: Rows) -> NDArray[np.bool_]:
    """Return whether samples of two readings have the same boxes in the same order, ``(len(one),)``."""
    same = before.counts[one] == now.counts[other]
    pairs = np.flatnonzero(same)
    (start, count), (start_now, _) = _starts(before), _starts(now)
    count = count[one[pairs]]
    a, b = ranges(start[one[pairs]], count), ranges(start_now[other[pairs]], count)
    number = {name: n for n, name in enumerate(before.names)}
    label = np.array([number.get(name, -1) for name in now.names], dtype=np.int64)
    differ = (before.id[a] != now.id[b]) | (before.xywh[a] != now.xywh[b]).any(axis=1)
    if len(label):
        differ |= before.label[a] != label[now.label[b]]
    for name in ("score", "kind"):
        columns = getattr(before, name), getattr(now, name)
        if columns[1] is not None:
            differ |= columns[0][a] != columns[1][b]
    for lacking in now.lacks.values():
        differ |= lacking[b]
    same[pairs[np.unique(np.repeat(np.arange(len(pairs)), count)[differ])]] = False
    return same


def _merged(before: Columns, now: Columns, source: Rows) -> Columns:
    """Return samples of two readings as one: ``source`` counts those of the first, then those of the second."""
    names = list(dict.fromkeys([*before.names, *now.names]))
    number = {name: n for n, name in enumerate(names)}
    labels = [np.array([number[name] for name in each.names], dtype=np.int64)[each.label] for each in (before, now)]
    counts = np.concatenate([before.counts, now.counts])
    count = np.maximum(counts, 0)
    boxes = ranges((np.cumsum(count) - count)[source], count[source])
    used, label = np.unique(np.concatenate(labels)[boxes], return_inverse=True)
    found: dict[str, Any] = {}
    for name in ("id", "xywh", "score", "kind"):
        parts = [getattr(each, name) for each in (before, now)]
        found[name] = None if parts[1] is None else np.concatenate(parts)[boxes]
    none = np.zeros(len(before.id), dtype=bool)
    lacks = {name: np.concatenate([none, now.lacks[name]])[boxes] for name in NEEDED}
    names = [names[n] for n in used.tolist()]
    return replace(now, counts=counts[source], label=label.astype(np.int32), lacks=lacks, names=tuple(names), **found)
