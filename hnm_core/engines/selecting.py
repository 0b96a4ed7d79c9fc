"""What is done with one shard to select the mined rows, on the columns that are kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..selection.choose import Cut, Ranked
from ..selection.hardest import HardestFirst, group_of, kinds_of_rows, within
from .shard import Columns, Kept

__all__ = ["ask_ranked", "keep_chosen", "keep_images", "keep_within"]


class Candidate:
    """The rows of a shard that may still be mined, as selection sees them; a column is read when it is asked for."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.alive = columns["alive"]

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.alive.sum())

    def _of(self, name: str) -> NDArray[Any]:
        column: NDArray[Any] = self._columns[name][self.alive]
        return column

    @cached_property
    def kind(self) -> NDArray[np.int64]:
        """Return what each row is, see :func:`~hnm_core.selection.hardest.kinds_of_rows`."""
        return kinds_of_rows(self._of("of_truth"), self._of("code"))

    @cached_property
    def difficulty(self) -> NDArray[np.float64]:
        """Return ``(k,)`` difficulty."""
        return self._of("difficulty")

    @cached_property
    def score(self) -> NDArray[np.float64]:
        """Return ``(k,)`` confidence, 0 for truths."""
        return self._of("score")

    @cached_property
    def xyxy(self) -> NDArray[np.float64]:
        """Return ``(k, 4)`` boxes."""
        return self._of("xyxy")

    @cached_property
    def label(self) -> NDArray[np.int64]:
        """Return ``(k,)`` class numbers."""
        return self._of("label").astype(np.int64)

    @cached_property
    def image(self) -> NDArray[np.int64]:
        """Return ``(k,)`` image numbers within the shard."""
        return self._of("image").astype(np.int64)


def keep_images(columns: Columns, own: tuple[NDArray[np.int64], NDArray[np.int64] | None]) -> tuple[Kept, None]:
    """Keep the place of every image among all, and its group."""
    place, group = own
    return {"place": place, **({} if group is None else {"group": group})}, None


def ranked(columns: Columns, what: str) -> Ranked:
    """Return the rows that may still be mined, in the order in which they are, for a quota."""
    some = Candidate(columns)
    group = columns["group"] if what == "group of images" else None
    return Ranked(HardestFirst(some, columns["place"], group_of(what, some, group)))


def ask_ranked(columns: Columns, what: str, name: str, args: Sequence[Any]) -> Any:
    """Call a method of the rows that may still be mined."""
    return getattr(ranked(columns, what), name)(*args)


def keep_within(columns: Columns, what: str, quota: int) -> tuple[Kept, int]:
    """Apply a quota that concerns single images; return how many rows it leaves out."""
    rows = ranked(columns, what)
    return _alive(columns, within(rows, quota, len(columns["background"])))


def keep_chosen(columns: Columns, chosen: NDArray[np.bool_], what: str, cut: Cut) -> tuple[Kept, int]:
    """Apply a quota whose end was found among all shards; return how many rows it leaves out."""
    return _alive(columns, ranked(columns, what).kept(cut, chosen))


def _alive(columns: Columns, kept: NDArray[np.bool_]) -> tuple[Kept, int]:
    alive = columns["alive"].copy()
    alive[np.flatnonzero(alive)] = kept
    return {"alive": alive}, int((~kept).sum())
