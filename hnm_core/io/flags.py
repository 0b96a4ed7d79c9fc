"""Read flags that files write as bool, number or text: one parser for COCO, FiftyOne and dicts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import CROWD, DIFFICULT, GROUP_OF, OBJECT, REGION, REGION_BEFORE
from .coded import Coded
from .json_columns import INNER, JsonColumns

__all__ = ["FLAGS", "FLAG_OF_KIND", "kinds_of", "read_flag", "read_flags", "read_kinds", "write_kind"]

FLAGS = {"IsGroupOf": GROUP_OF, "iscrowd": CROWD, "crowd": CROWD, "difficult": DIFFICULT, "ignore": REGION}
"""Attribute of a truth → kind of the truths that have it set; of several the first one in this order counts.

COCO (``iscrowd``), BDD100K (``crowd``), Open Images (``IsGroupOf``), Pascal VOC (``difficult``), CityPersons
(``ignore``).
"""

FLAG_OF_KIND = {
    CROWD: "crowd",
    GROUP_OF: "IsGroupOf",
    DIFFICULT: "difficult",
    REGION: "ignore",
    REGION_BEFORE: "ignore",
}
"""Flag of a dict for truths of each kind that does not count."""

YES = {"1", "1.0", "true", "yes", "t", "y"}
NO = {"0", "0.0", "false", "no", "f", "n", "", "none", "null", "-1", "unspecified"}
"""Not set, or not known: -1 in Open Images, Unspecified in Pascal VOC."""


def read_flag(value: Any) -> bool | None:
    """Return whether a flag is set; None if the value is no flag. Missing (None, NaN) and unknown (-1) are not set.

    Example:
        >>> [read_flag(value) for value in (True, 0, "0", "false", "Yes", None, 2, "maybe")]
        [True, False, False, False, True, False, None, None]
    """
    if value is None or value is True or value is False:
        return bool(value)
    if isinstance(value, str):
        text = value.strip().casefold()
        return True if text in YES else False if text in NO else None
    if isinstance(value, (np.bool_, int, float, np.integer, np.floating)):
        return bool(value == 1) if value in (-1, 0, 1) or math.isnan(value) else None
    return None


def read_flags(values: Iterable[Any], name: str, place: str) -> NDArray[np.bool_]:
    """Return ``(n,)`` flags.

    Args:
        values: one per row, see :func:`read_flag`.
        name: of the attribute, for messages.
        place: where the rows are, such as a file, for messages.

    Raises:
        ValueError: if values are no flags, with their number, the first one and its row.
    """
    return _flags_of(Coded.of(values), name, place)


def _flags_of(given: Coded, name: str, place: str) -> NDArray[np.bool_]:
    flags = given.mapped(read_flag)
    bad = np.flatnonzero(flags.numbers(lambda flag: flag is None, bool))
    if bad.size:
        raise ValueError(
            f"{place}: {bad.size} of {len(given)} boxes have {name!r} that is not a flag, first number {bad[0]}: "
            f"{given[bad[0]]!r}; expected true or false, 1 or 0"
        )
    return flags.numbers(bool, bool)


def _columns_of(rows: Sequence[Mapping[str, Any]], name: str) -> Iterator[Coded]:
    """Yield the values of a flag in the rows and in their attributes, each if any row has it."""
    if isinstance(rows, JsonColumns):
        if name in rows.names():
            yield rows.coded(name)
        if name in rows.inner:
            yield rows.inner[name]
        return
    inner = [each if isinstance(each := row.get(INNER), Mapping) else {} for row in rows]
    for holders in (rows, inner):
        if any(name in holder for holder in holders):
            yield Coded.of(holder.get(name) for holder in holders)


def read_kinds(rows: Sequence[Mapping[str, Any]], place: str) -> NDArray[np.uint8]:
    """Return the kind of every truth, ``(n,)`` uint8, from the flags of its row, or of its ``attributes``.

    Raises:
        ValueError: if a value is no flag.
    """
    flags: dict[str, NDArray[np.bool_]] = {}
    for name in FLAGS:
        for given in _columns_of(rows, name):
            flags[name] = flags.get(name, False) | _flags_of(given, name, place)
    return kinds_of(flags) if flags else np.full(len(rows), OBJECT, dtype=np.uint8)


def kinds_of(flags: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """Return the kind of every truth, ``(n,)`` uint8, from columns of flags by their names in :data:`FLAGS`.

    Example:
        >>> kinds_of({"iscrowd": np.array([False, True]), "difficult": np.array([True, True])}).tolist()
        [3, 1]
    """
    kind = np.full(len(next(iter(flags.values()))), OBJECT, dtype=np.uint8)
    for name, of_kind in FLAGS.items():
        if name in flags:
            kind[flags[name] & (kind == OBJECT)] = of_kind
    return kind


def write_kind(kind: int) -> dict[str, int]:
    """Return the flags of a COCO annotation of this kind.

    Trainers know ``iscrowd`` alone: it is set on everything that is no object of its own.

    Example:
        >>> write_kind(0), write_kind(DIFFICULT), write_kind(GROUP_OF)
        ({'iscrowd': 0}, {'iscrowd': 0, 'difficult': 1}, {'iscrowd': 1, 'IsGroupOf': 1})
    """
    more = {DIFFICULT: "difficult", GROUP_OF: "IsGroupOf", REGION: "ignore", REGION_BEFORE: "ignore"}
    flags = {"iscrowd": int(kind not in (OBJECT, DIFFICULT))}
    return {**flags, more[kind]: 1} if kind in more else flags
