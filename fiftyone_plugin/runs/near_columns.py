"""What looks like the mined mistakes of a run, as it is stored: twins as columns of the objects, and nearest crops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..store.box_tables import ids_of

if TYPE_CHECKING:
    from hnm_core.evidence.near_crops import NearCrops

    from ..store.box_tables import Tables
    from .results import MiningRunResults

TWIN_OF, TWIN_DISTANCE = "twin_of", "twin_distance"
"""Columns of a run's objects: place of the object on whose picture this one is shown, and its distance; None if it is
alone."""


class Twins(NamedTuple):
    """The twins among ``k`` mistakes.

    Attributes:
        of: ``(k,)`` int64, row on whose picture each is shown, itself if it is alone.
        distance: ``(k,)`` float64, cosine distance of its crop to that one.
    """

    of: NDArray[np.int64]
    distance: NDArray[np.float64]

    def within(self, most: float) -> NDArray[np.int64]:
        """Return the row on whose picture each is shown, if twins are at most so far away; 0: none are."""
        return np.where((self.distance <= most) & (most > 0), self.of, np.arange(len(self.of)))


class Near(NamedTuple):
    """The crops nearest to one mistake, nearest first: ids and ids of their samples, of each kind."""

    labelled: tuple[list[str], list[str]]
    false_positives: tuple[list[str], list[str]]


def add(
    results: MiningRunResults,
    near: NearCrops | None,
    tables: Tables,
    rows: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> None:
    """Add what looks like the mistakes to the results of a run.

    Args:
        results: gets two columns of ``objects``, and ``near_crops``: ``objects`` (places), ``labelled`` (per object
            places in ``label_id`` and ``sample_id``) and ``false_positives`` (per object places among the objects).
        near: what was found; None adds nothing.
        tables: the tables that were mined.
        rows: which rows of both tables are objects of the results.
    """
    if near is None:
        return
    first = int(rows[0].sum())
    place = np.cumsum(rows[0]) - 1, first + np.cumsum(rows[1]) - 1
    twin_of: list[int | None] = []
    distance: list[float | None] = []
    for side in (0, 1):
        some = np.flatnonzero(rows[side])
        of = near.twin_of[side][some]
        twin_of += [None if alone else at for alone, at in zip(of == some, place[side][of].tolist(), strict=True)]
        distance += [None if a else d for a, d in zip(of == some, near.distance[side][some].tolist(), strict=True)]
    results.objects |= {TWIN_OF: twin_of, TWIN_DISTANCE: distance}
    labelled, false_positives = (np.concatenate(pair) for pair in (near.labelled, near.false_positives))
    known = np.unique(labelled[labelled >= 0])
    images = np.array(tables.truth.images, dtype=object)
    results.near_crops = {
        "objects": [*place[0][near.rows[0]].tolist(), *place[1][near.rows[1]].tolist()],
        "labelled": [np.searchsorted(known, each[each >= 0]).tolist() for each in labelled],
        "false_positives": [place[0][each[each >= 0]].tolist() for each in false_positives],
        "label_id": ids_of(tables.truth, known),
        "sample_id": images[tables.truth.image[known]].tolist(),
    }


def twins_of(objects: Mapping[str, Any], rows: NDArray[np.int64]) -> Twins | None:
    """Return the twins among rows of a run's stored objects, or None if the run was mined without appearance."""
    if TWIN_OF not in objects:
        return None
    of, distance = np.arange(len(rows)), np.zeros(len(rows))
    number = {at: row for row, at in enumerate(rows.tolist())}
    for row, at in enumerate(rows.tolist()):
        if objects[TWIN_OF][at] in number:
            of[row], distance[row] = number[objects[TWIN_OF][at]], objects[TWIN_DISTANCE][at]
    return Twins(of, distance)


class Nearby:
    """The nearest crops of the mistakes of a run, read one at a time.

    Args:
        results: of the run.
        rows: ``(k,)`` places of the mistakes among the stored objects.
    """

    def __init__(self, results: MiningRunResults, rows: NDArray[np.int64]) -> None:
        stored: Mapping[str, Any] = results.near_crops or {"objects": [], "labelled": [], "false_positives": []}
        self._rows, self._place = rows, {at: number for number, at in enumerate(stored["objects"])}
        self._labelled = stored["labelled"], stored.get("label_id", []), stored.get("sample_id", [])
        self._false_positives = stored["false_positives"], results.objects["label_id"], results.objects["sample_id"]

    def of(self, row: int) -> Near:
        """Return the nearest crops of a mistake; none if they are not known."""
        number = self._place.get(int(self._rows[row]))
        if number is None:
            return Near(([], []), ([], []))
        labelled, false_positives = (
            ([ids[at] for at in places[number]], [samples[at] for at in places[number]])
            for places, ids, samples in (self._labelled, self._false_positives)
        )
        return Near(labelled, false_positives)
