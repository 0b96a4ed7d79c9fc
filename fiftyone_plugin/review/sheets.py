"""Review by sheets: hand out objects of one kind, and take one answer for all of them but the exceptions.

What is handed out is reserved for its reader, so that two people at once divide the work and do nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from fiftyone import SetField
from fiftyone import ViewField as F

from hnm_core.labels.reviews import ONE_SIDED
from hnm_core.labels.sheets import Sheet
from hnm_core.settings import SheetSettings
from hnm_core.settings.sheets import TWIN_DISTANCE
from hnm_core.taxonomy import ROW_NAMES

from ..store import reservations, views
from ..store.access import ObjectId
from ..store.lock import lease
from . import triage
from .session import Review, open_review
from .wording import STATE_TEXTS

if TYPE_CHECKING:
    import fiftyone as fo

HANDING_OUT = "sheets"
"""Name of what is held while a sheet is chosen and reserved: two at once would choose the same."""

PATIENCE = 10.0
"""Seconds to wait for somebody who is choosing a sheet."""


@dataclass(frozen=True)
class HandedOut:
    """A sheet as a reader gets it; JSON-clean as a dict.

    Attributes:
        run_key: the run.
        reader: for whom it is reserved.
        error: error type of its objects.
        label: their class.
        side: ``prediction`` or ``truth``.
        answer: the review state that the sheet looks for; of doubtful objects fewer than half may have it.
        fitting: how many of them are expected to have it.
        clicks: expected clicks.
        keys: the objects, ``SIDE:ID``, in the order in which they are shown; of twins the one that is shown.
        sample_ids: ids of their samples.
        seen: how many objects each picture stands for.
    """

    run_key: str
    reader: str
    error: str
    label: str
    side: str
    answer: str
    fitting: float
    clicks: float
    keys: list[str]
    sample_ids: list[str]
    seen: list[int]

    @property
    def label_ids(self) -> list[str]:
        """The ids of the objects."""
        return [_id_of(key) for key in self.keys]

    @property
    def objects(self) -> int:
        """How many objects its answer settles."""
        return sum(self.seen)

    def as_dict(self) -> dict[str, Any]:
        """Return the sheet as a dict."""
        return asdict(self)


def hand_out(
    dataset: fo.Dataset,
    run_key: str | None,
    reader: str,
    settings: SheetSettings | None = None,
    *,
    skipped: Iterable[str] = (),
) -> HandedOut | None:
    """Choose the next sheet and reserve its objects; None if there is nothing left for this reader.

    Args:
        dataset: the dataset.
        run_key: the run.
        reader: name of who reads it: a person, or one window of a person's browser. Its last sheet is given back.
        settings: how sheets are made; None for the defaults.
        skipped: keys of objects to show later.

    Raises:
        ValueError: if there is no such run, or it was interrupted.
    """
    open_review(dataset, run_key)  # reading a large run takes longer than others should wait
    with lease(dataset, HANDING_OUT, operator="review_sheet", who=reader, wait=PATIENCE):
        review = open_review(dataset, run_key)
        key = review.settings.run_key
        taken = reservations.of_others(dataset, key, reader)
        sheet = review.sheet(settings or SheetSettings(), {*skipped, *taken})
        if sheet is None:
            reservations.give_back(dataset, reader)
            return None
        handed = _handed(review, reader, sheet)
        reservations.take(dataset, key, reader, handed.keys)
    return handed


def again(
    dataset: fo.Dataset, review: Review, reader: str, keys: Iterable[str], most_apart: float = TWIN_DISTANCE
) -> HandedOut | None:
    """Hand out objects once more after their review was taken back; None if they are no sheet any more.

    Twins are one picture if their crops differ by no more than ``most_apart``.
    """
    rows = [review.row(key) for key in keys if key in review]
    kinds = {(review.mistakes.code[r], review.mistakes.label[r], review.mistakes.of_truth[r]) for r in rows}
    if len(rows) < 2 or len(kinds) != 1 or not review.open[rows].all():
        return None
    first, chance = rows[0], review.chances()[rows]
    twin_of = review.twin_of(most_apart)[rows]
    shown, at, number, seen = np.unique(twin_of, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(at, kind="stable")
    pictures = np.where(np.isin(shown, rows), shown, np.array(rows)[at])[order]
    code, of_truth = int(review.mistakes.code[first]), bool(review.mistakes.of_truth[first])
    label, fitting = int(review.mistakes.label[first]), float(chance.sum())
    clicks = 1.0 + len(shown) - float((np.bincount(number, chance) / seen).sum())
    kind = code, label, of_truth, review.answer_of(code, of_truth=of_truth)
    handed = _handed(review, reader, Sheet(pictures, seen[order], *kind, fitting, fitting, clicks))
    reservations.take(dataset, handed.run_key, reader, handed.keys)
    return handed


def answer(
    dataset: fo.Dataset,
    run_key: str | None,
    keys: Sequence[str],
    state: str,
    all_but: Iterable[str] = (),
    *,
    reader: str = "",
    who: str | None = None,
    most_apart: float = TWIN_DISTANCE,
) -> dict[str, Any]:
    """Give all objects of a sheet one review, all but the exceptions, as one action of the ledger.

    Twins get the review of the one that is shown, and are an exception with it. What somebody else has reviewed
    meanwhile keeps that review.

    Args:
        dataset: the dataset.
        run_key: the run.
        keys: the objects of the sheet.
        state: the review.
        all_but: ids or keys of the exceptions; they stay unreviewed, and come up for a single look.
        reader: for whom the sheet is reserved.
        who: the person; None for the user that this process runs as.
        most_apart: largest cosine distance of the crops of twins; 0: there are none.

    Returns:
        As :func:`.triage.triage`, with the number ``by_others`` of objects that were reviewed meanwhile.

    Raises:
        ValueError: if an exception is not on the sheet, all of it was reviewed meanwhile, or the state does not fit.
    """
    review, exceptions = open_review(dataset, run_key), set(map(str, all_but))
    if strange := exceptions - {name for key in keys for name in (key, _id_of(key))}:
        raise ValueError(f"{len(strange)} of {len(exceptions)} exceptions are not on the sheet (first {min(strange)})")
    apart = [key for key in keys if exceptions & {key, _id_of(key)}]
    free, shown = review.with_twins(keys, most_apart), {key for key in keys if key in review}
    if not free:
        raise ValueError(f"all {len(keys)} objects of the sheet were reviewed meanwhile: take the next one")
    done = triage.triage(
        dataset,
        run_key,
        state,
        free,
        sample_ids=review.samples_of(free),
        all_but=review.with_twins(apart, most_apart),
        who=who,
        clicks=1 + len(exceptions),
        record=review.record,
    )
    if reader:
        reservations.give_back(dataset, reader)
    return {**done, "by_others": len(keys) - len(shown & {*free})}


def view_of(dataset: fo.Dataset, review: Review, sheet: HandedOut) -> Any:
    """Return the objects of a sheet as patches, in its order, with the boxes of the other side around them.

    Twins are one picture, whose label ends in how often it was seen.
    """
    fields = review.settings.pred_field, review.settings.gt_field
    own, other = fields[::-1] if sheet.side == "truth" else fields
    patches = patches_of(dataset, own, sheet.sample_ids, sheet.label_ids, [other])
    often = {i: f" · seen {n} times" for i, n in zip(sheet.label_ids, sheet.seen, strict=True) if n > 1}
    if not often:
        return patches
    label, seen = F("label"), F("_id").to_string()
    counted = seen.is_in([*often]).if_else(label.concat(seen.map_values(often)), label)
    return patches.add_stage(SetField(f"{own}.label", counted))  # in this view alone


def patches_of(
    dataset: fo.Dataset, field: str, sample_ids: Iterable[str], label_ids: Sequence[str], others: Sequence[str] = ()
) -> Any:
    """Return objects of a field as patches, in this order, with the boxes of other fields around them."""
    samples = views.images_of(dataset).select(list(dict.fromkeys(sample_ids)))
    some = samples.filter_labels(field, F("_id").is_in([ObjectId(i) for i in label_ids]))
    return some.to_patches(field, other_fields=list(others)).select(list(label_ids), ordered=True)


def give_back(dataset: fo.Dataset, reader: str) -> None:
    """End the reservation of a reader who does something else."""
    reservations.give_back(dataset, reader)


def new_reader() -> str:
    """Return a name for a reader that nobody else has."""
    return str(ObjectId())


def states_of(side: str) -> list[str]:
    """Return the reviews that an object of this side can get, in the order of their buttons."""
    return [s for s in STATE_TEXTS if s != "unreviewed" and ONE_SIDED.get(s, (side,))[0] == side]


def _handed(review: Review, reader: str, sheet: Sheet) -> HandedOut:
    rows = sheet.rows.tolist()
    return HandedOut(
        run_key=review.settings.run_key,
        reader=reader,
        error=ROW_NAMES[sheet.code],
        label=review.classes[sheet.label],
        side="truth" if sheet.of_truth else "prediction",
        answer=sheet.answer,
        fitting=sheet.fitting,
        clicks=sheet.clicks,
        keys=[review.keys[row] for row in rows],
        sample_ids=[review.sample_ids[row] for row in rows],
        seen=sheet.seen.tolist(),
    )


def _id_of(key: str) -> str:
    return key.rpartition(":")[2]
