"""Read boxes from raw batches of BSON, all of a batch at once: columns, without a Python object per value.

The BSON is walked by its own lengths and never searched, so that no label text and no extra attribute can be mistaken
for structure. A batch that is laid out differently from what is usual for boxes raises :class:`Unusual`, and the caller
decodes it with pymongo.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

DOUBLE, STRING, DOCUMENT, ARRAY, OBJECT_ID, BOOL, NULL, INT32, INT64 = 1, 2, 3, 4, 7, 8, 10, 16, 18
ID = np.dtype("V12")
"""The twelve bytes of an ObjectId."""

_int32 = struct.Struct("<i").unpack_from
_SIZES = {DOUBLE: 8, OBJECT_ID: 12, BOOL: 1, NULL: 0, INT32: 4, INT64: 8}
_SIZE = np.array([_SIZES.get(kind, -1) for kind in range(256)])
_LONGEST = 24
"""Bytes that may be read past the end of a value; the buffer is padded with as many."""


class Unusual(Exception):
    """This batch must be decoded with pymongo."""


class Batch:
    """A batch of documents, as a cursor of raw batches returns it.

    Args:
        data: documents of BSON, one after the other.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        padded = data + bytes(_LONGEST)
        self.bytes = np.frombuffer(padded, np.uint8)
        self._at = {
            kind: np.ndarray(len(padded) - np.dtype(kind).itemsize + 1, kind, padded, strides=(1,))
            for kind in ("<i4", "<i8", "<u8", "<f8", ID)
        }

    def read(self, kind: Any, at: NDArray[np.int64]) -> NDArray[Any]:
        """Read values of this type at these byte positions, aligned or not."""
        return self._at[kind][at]

    def documents(self) -> list[int]:
        """Return the byte position of each document."""
        starts, at = [], 0
        while at < len(self.data):
            starts.append(at)
            at += _int32(self.data, at)[0]
        return starts

    def id_at(self, at: int) -> bytes:
        """Return the id of the document at this position."""
        kind, value = self.elements(at).get(b"_id", (NULL, 0))
        _require(kind == OBJECT_ID)
        return self.data[value : value + 12]

    def elements(self, at: int) -> dict[bytes, tuple[int, int]]:
        """Return the elements of the document at this position: name → type and position of the value."""
        data = self.data
        found: dict[bytes, tuple[int, int]] = {}
        at += 4
        while data[at]:
            value = data.index(0, at) + 1
            found[data[at + 1 : value - 1]] = data[at], value
            size = _int32(data, value)[0] if data[at] in (DOCUMENT, ARRAY) else _SIZES.get(data[at], -1)
            if size < 0:
                raise Unusual
            at = value + size
        return found

    def list_at(self, at: int, path: Sequence[bytes]) -> int:
        """Return the position of the list at this path of a document; 0 if there is none."""
        for name in path[:-1]:
            kind, at = self.elements(at).get(name, (NULL, 0))
            if kind == NULL:
                return 0
            if kind != DOCUMENT:
                raise Unusual
        kind, at = self.elements(at).get(path[-1], (NULL, 0))
        if kind not in (ARRAY, NULL):
            raise Unusual
        return at if kind == ARRAY else 0

    def items(self, lists: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of the documents in all these lists, list by list, and the length of each list.

        The lists are walked in parallel: one step for all first items, one for all second ones, and so on.
        """
        row = np.flatnonzero(lists)
        stop = lists + self.read("<i4", lists) - 1
        at = lists[row] + 4
        found, owner, number = [], [], 0
        while row.size:
            there = at < stop[row]
            if (at[~there] != stop[row[~there]]).any():
                raise Unusual
            row, at = row[there], at[there] + len(str(number)) + 2  # type, "0" .. "99", NUL
            _require((self.bytes[at - len(str(number)) - 2] == DOCUMENT).all())
            found.append(at)
            owner.append(row)
            at, number = at + self.read("<i4", at), number + 1
        owners = np.concatenate([np.zeros(0, dtype=np.int64), *owner])
        order = np.argsort(owners, kind="stable")
        starts = np.concatenate([np.zeros(0, dtype=np.int64), *found])[order]
        return starts, np.bincount(owners, minlength=len(lists))

    def attributes(self, items: NDArray[np.int64], names: Sequence[str]) -> dict[str, Values]:
        """Return type and position of these attributes of every item, in whatever order an item has them."""
        found = {name: Values(len(items)) for name in names}
        keys = {name: name.encode().ljust(16, b"\0") for name in names}  # so that the NUL after a name is compared, too
        stop = items + self.read("<i4", items) - 1
        row = np.flatnonzero(items + 4 < stop)  # an item may be empty
        at = items[row] + 4
        while row.size:
            kind = self.bytes[at]
            first, second = self.read("<u8", at + 1), self.read("<u8", at + 9)
            value = np.zeros_like(at)
            for name, key in keys.items():
                n = len(name) + 1
                masks = [(1 << 8 * min(max(n - skip, 0), 8)) - 1 for skip in (0, 8)]
                words = [int.from_bytes(key[skip : skip + 8], "little") for skip in (0, 8)]
                here = (first & np.uint64(masks[0])) == np.uint64(words[0])
                if masks[1]:
                    here &= (second & np.uint64(masks[1])) == np.uint64(words[1])
                if here.all():  # the usual case: all items have their attributes in the same order
                    value = at + 1 + n
                    found[name].kind[row], found[name].at[row] = kind, value
                    break
                value[here] = at[here] + 1 + n
                found[name].kind[row[here]], found[name].at[row[here]] = kind[here], value[here]
            _require(value.all())  # every attribute is one of those asked for
            size = self._sizes(kind, value)
            at = value + size
            _require((at <= stop[row]).all())
            there = at < stop[row]
            row, at = row[there], at[there]
        return found

    def _sizes(self, kind: NDArray[np.uint8], value: NDArray[np.int64]) -> NDArray[np.int64]:
        size = _SIZE[kind]
        long = np.flatnonzero((kind == ARRAY) | (kind == DOCUMENT) | (kind == STRING))
        size[long] = self.read("<i4", value[long]) + 4 * (kind[long] == STRING)
        _require((size >= 0).all())
        return size

    def ids(self, values: Values) -> NDArray[Any]:
        """Return ``(n,)`` ObjectIds as their twelve bytes."""
        _require((values.kind == OBJECT_ID).all())
        return self.read(ID, values.at)

    def numbers(self, values: Values) -> NDArray[np.float64]:
        """Return ``(n,)`` numbers, whole or not."""
        out = self.read("<f8", values.at)
        for kind, stored in ((INT32, "<i4"), (INT64, "<i8")):
            whole = values.kind == kind
            if whole.any():
                out[whole] = self.read(stored, values.at[whole])
        _require(np.isin(values.kind, (DOUBLE, INT32, INT64)).all())
        return out

    def boxes(self, values: Values) -> NDArray[np.float64]:
        """Return ``(n, 4)`` lists of four numbers."""
        _require((values.kind == ARRAY).all())
        at, out = values.at + 4, np.empty((len(values.at), 4))
        for i in range(4):
            number = Values(0)
            number.kind, number.at = self.bytes[at], at + 3  # type, one digit, NUL
            out[:, i] = self.numbers(number)
            at = number.at + _SIZE[number.kind]
        _require((at == values.at + self.read("<i4", values.at) - 1).all())
        return out

    def texts(self, values: Values, number: dict[bytes, int]) -> NDArray[np.int32]:
        """Return ``(n,)`` numbers of the texts; new texts get the next numbers in ``number``."""
        _require((values.kind == STRING).all())
        stops = (values.at + 3 + self.read("<i4", values.at)).tolist()
        data = self.data
        texts = [data[start:stop] for start, stop in zip((values.at + 4).tolist(), stops, strict=True)]
        number.update(zip(set(texts) - number.keys(), count(len(number)), strict=False))
        return np.fromiter(map(number.__getitem__, texts), dtype=np.int32, count=len(texts))

    def flags(self, values: Values) -> NDArray[np.bool_]:
        """Return ``(n,)`` flags; 0 and 1 count as flags, and a missing value is False, as is NaN."""
        out = np.zeros(len(values.at), dtype=bool)
        for kinds, stored in (((BOOL,), None), ((INT32, INT64, DOUBLE), "number")):
            rows = np.flatnonzero(np.isin(values.kind, kinds))
            some = Values(0)
            some.kind, some.at = values.kind[rows], values.at[rows]
            values_of = self.numbers(some) if stored else self.bytes[some.at]
            _require(np.isin(values_of[values_of == values_of], (0, 1)).all())
            out[rows] = values_of == 1
        _require(np.isin(values.kind, (0, NULL, BOOL, INT32, INT64, DOUBLE)).all())
        return out


class Values:
    """Type (0 for none) and position of one attribute of ``n`` items."""

    def __init__(self, n: int) -> None:
        self.kind = np.zeros(n, dtype=np.uint8)
        self.at = np.zeros(n, dtype=np.int64)


def _require(condition: Any) -> None:
    if not condition:
        raise Unusual
