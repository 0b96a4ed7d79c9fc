"""The corrected copy of a truth field: what it is a copy of, when it changed last, and which runs it makes stale."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ..store import schema
from ..store.access import Fence
from . import records

if TYPE_CHECKING:
    import fiftyone as fo

RECORD = schema.CORRECTED
"""Key in the ``info`` of a corrected copy: the field that it was copied ``from``, when it changed (``at``) …"""

ENDING = "corrected"


def base_of(dataset: fo.Dataset, field: str) -> str:
    """Return the truth field that a corrected copy was made from; any other field is its own base."""
    return str(_record(dataset, field).get("from", field))


def copy_of(dataset: fo.Dataset, field: str) -> str:
    """Return the name of the corrected copy of a truth field, or of the field that is such a copy."""
    return schema.beside(base_of(dataset, field), ENDING)


def is_made(dataset: fo.Dataset, field: str) -> bool:
    """Return whether there is a corrected copy of a truth field."""
    return bool(_record(dataset, copy_of(dataset, field)))


def note(
    fence: Fence, dataset: fo.Dataset, copy: str, base: str, labels: int, kept: dict[str, str] | None = None
) -> None:
    """Write down that a copy was changed just now, and how many labels are mended in it.

    ``kept`` names, where the copy is new, the runs whose values it holds: key → id of the run's document.
    """
    at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    runs = kept_of(dataset, copy) if kept is None else kept
    schema.set_info(fence, dataset, copy, RECORD, {"from": base, "at": at, "labels": labels, "kept": runs})


def kept_of(dataset: fo.Dataset, copy: str) -> dict[str, str]:
    """Return the runs whose values a copy got when it was made: key → id of the run's document."""
    return dict(_record(dataset, copy).get("kept") or {})


def mended_labels(dataset: fo.Dataset, field: str) -> int:
    """Return how many labels are mended in the corrected copy of a truth field."""
    return int(_record(dataset, copy_of(dataset, field)).get("labels", 0))


def stale_note(dataset: fo.Dataset, key: str | None) -> str:
    """Return a sentence on why a run is stale; "" if it is not: labels were corrected after it was mined.

    A corrected copy in which no label differs makes no run of its truth stale.

    Raises:
        ValueError: if there is no such run, or it was interrupted.
    """
    return stale_note_of(dataset, records.opened(dataset, key))


def stale_note_of(dataset: fo.Dataset, run: records.Record) -> str:
    """Return the sentence of :func:`stale_note` on a run's record."""
    copy = copy_of(dataset, run.settings.gt_field)
    known = _record(dataset, copy)
    if not known or run.timestamp is None:
        return ""
    corrected = datetime.fromisoformat(known["at"]).replace(tzinfo=None)
    if corrected <= run.timestamp.replace(tzinfo=None):
        return ""
    if not known["labels"] and run.settings.gt_field != copy:
        return ""  # the copy is the truth that was mined
    return (
        f"run {run.key!r} is stale: labels were corrected at {corrected:%Y-%m-%d %H:%M} UTC, after it was mined "
        f"({known['labels']:,} labels differ in {copy!r}). Mine again, with {copy!r} as ground truth"
    )


def _record(dataset: fo.Dataset, field: str) -> dict[str, Any]:
    """Return what is written down of a field as a corrected copy, as the database holds it now."""
    info = (schema.stored(dataset).get(field) or {}).get("info") or {}
    return dict(info.get(RECORD) or {})
