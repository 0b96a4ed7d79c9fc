"""The next sheet, chosen and made into patches while a person reads the one before."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Collection
from threading import Lock, Timer
from typing import TYPE_CHECKING, Any, NamedTuple

from hnm_core.settings import SheetSettings

from ..store import reservations
from . import queue, sheets
from .session import Review, open_review
from .sheets import HandedOut

if TYPE_CHECKING:
    import fiftyone as fo

logger = logging.getLogger(__name__)


class Ready(NamedTuple):
    """A sheet that is ready.

    Attributes:
        sheet: the sheet, reserved under a name of its own until it is taken.
        view: its patches.
        settings: how it was made.
    """

    sheet: HandedOut
    view: Any
    settings: SheetSettings


class SheetsAhead:
    """The sheets that are ready, one per reader, at most ``size``.

    Only large runs need it (:data:`.queue.LARGE`): in others the next sheet is chosen at the click, with the answer
    just given. The thread is a daemon: it only fills this, so a process that ends need not wait for it.
    """

    def __init__(self, size: int = 8) -> None:
        self.size = size
        self.worker: Timer | None = None
        self._makes = False
        self._ready: OrderedDict[str, Ready] = OrderedDict()
        self._lock = Lock()

    def prepare(
        self, dataset: fo.Dataset, review: Review, reader: str, settings: SheetSettings, skipped: Collection[str]
    ) -> None:
        """Begin to prepare the sheet after the one that a reader has; ``skipped`` holds the objects of that one."""
        if len(review.keys) < queue.LARGE or self._makes:
            return
        if self.worker is not None:
            self.worker.cancel()  # it still waits, for a sheet that nobody asks for any more
        given = dataset, review.settings.run_key, reader, settings, tuple(skipped)
        self.worker = Timer(queue.HEAD_START, self._make, given)
        self.worker.daemon = True
        self.worker.start()

    def take(
        self, dataset: fo.Dataset, review: Review, reader: str, settings: SheetSettings, skipped: Collection[str]
    ) -> Ready | None:
        """Return the sheet that is ready for a reader and reserve it for them; None if none is, or it does not fit."""
        with self._lock:
            ready = self._ready.pop(reader, None)
        if ready is None:
            return None
        sheet, same = ready.sheet, (ready.sheet.run_key, ready.settings) == (review.settings.run_key, settings)
        rows = [review.row(key) for key in sheet.keys if key in review] if same else []
        fits = same and len(rows) == len(sheet.keys) and review.open[rows].all() and not {*skipped} & {*sheet.keys}
        if fits:
            reservations.take(dataset, sheet.run_key, reader, sheet.keys)
        reservations.give_back(dataset, sheet.reader)
        if not fits:
            return None
        return Ready(HandedOut(**{**sheet.as_dict(), "reader": reader}), ready.view, settings)

    def _make(
        self, dataset: fo.Dataset, run_key: str, reader: str, settings: SheetSettings, skipped: Collection[str]
    ) -> None:
        self._makes = True
        try:
            sheet = sheets.hand_out(dataset, run_key, f"{reader} ahead", settings, skipped=skipped)
            if sheet is None:
                return
            ready = Ready(sheet, sheets.view_of(dataset, open_review(dataset, run_key), sheet), settings)
        except Exception:  # the click that asks for it does it itself, and says what is wrong
            logger.exception("the next sheet of run %s could not be prepared", run_key)
            return
        finally:
            self._makes = False
        with self._lock:
            self._ready[reader] = ready
            while len(self._ready) > self.size:
                self._ready.popitem(last=False)


ahead = SheetsAhead()
