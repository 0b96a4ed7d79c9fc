"""Read COCO JSON in a stream: a megabyte of text at a time, into columns.

Text is cut between two rows of a list and decoded by msgspec, which makes only the values that are wanted and checks
their types. Measured on results of 1.2 million boxes (110 MB): 2.7 s of CPU, against 5.4 s of orjson and of pysimdjson,
6.7 s of ijson (yajl) and 7.2 s of the standard library, which takes 670 MB where this takes 190 MB. ``pyarrow.json``
reads objects in lines, not a list.

Whatever is not as it should be, or is unusual, is left to :mod:`hnm_core.io.json_rows`, which reads the whole file by
the standard library, and says what is wrong with it and where. So does a file that is read without msgspec.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from .flags import FLAGS
from .json_columns import JsonColumns, RowColumns

if TYPE_CHECKING:
    from .json_structs import Structs

__all__ = ["stream_results", "stream_truth"]

AT_ONCE, MOST = 1 << 20, 1 << 26
"""Bytes of text that are decoded together; bytes after which one value is left to the standard library (chosen)."""

TRIES = 4
"""Places that are tried for a cut between rows: a text in a row may look like one."""

BLANK = b" \t\n\r"


class _UnusualError(ValueError):
    """The file is left to the standard library."""


def stream_results(path: Path) -> JsonColumns | None:
    """Return the rows of a results file; None if it is not sound, or msgspec is missing.

    Raises:
        OSError: if it cannot be read.
    """
    structs = _structs()
    if structs is None:
        return None
    columns = RowColumns(structs.result_names, ("rotation",), scored=True)
    with path.open("rb") as file:
        try:
            text = _Text(file)
            text.take(b"[")
            for rows in text.elements(structs.results):
                _add(columns, rows, structs.result_names, True)
            text.end()
        except structs.errors:
            return None
    for one, other in (("image_id", "file_name"), ("category_id", "category_name")):
        if columns.count and not _either(columns, one, other):
            return None
    return columns.columns()


def stream_truth(path: Path) -> dict[str, Any] | None:
    """Return the content of an annotation file, its images with what is wanted of them; None as above.

    Raises:
        OSError: if it cannot be read.
    """
    structs = _structs()
    if structs is None:
        return None
    content: dict[str, Any] = {}
    with path.open("rb") as file:
        try:
            text = _Text(file)
            for key in text.members():
                if key in content:
                    raise _UnusualError
                content[key] = _value(text, key, structs)
            text.end()
        except structs.errors:
            return None
    return content


def _value(text: _Text, key: str, structs: Structs) -> Any:
    if key == "annotations":
        text.take(b"[")
        columns = RowColumns(structs.annotation_names, (*FLAGS, "rotation"), scored=False)
        for rows in text.elements(structs.annotations):
            _add(columns, rows, structs.annotation_names, False)
        return columns.columns()
    if key == "images":
        text.take(b"[")
        return [image for rows in text.elements(structs.images) for image in map(structs.as_dict, rows)]
    if key != "categories" and text.is_list_of_objects():
        text.take(b"[")
        for _ in text.elements(structs.others):
            pass
        return None
    return text.value()


def _add(columns: RowColumns, rows: list[Any], names: tuple[str, ...], scored: bool) -> None:
    """Add decoded rows."""
    found: dict[str, list[Any]] = {}
    for name in names:
        values = list(map(attrgetter(name), rows))
        if values.count(None) < len(values):
            found[name] = values
    if "segmentation" in found:
        found["segmentation"] = [_is_set(value) or None for value in found["segmentation"]]
    boxes = np.fromiter(chain.from_iterable(map(attrgetter("bbox"), rows)), dtype=np.float64, count=4 * len(rows))
    scores = np.fromiter(map(attrgetter("score"), rows), dtype=np.float64, count=len(rows)) if scored else None
    columns.add(boxes.reshape(-1, 4), scores, found)


def _is_set(raw: Any) -> bool:
    """Return whether undecoded JSON is what Python takes for true."""
    return raw is not None and bytes(raw).translate(None, BLANK) not in (b"null", b"[]", b"{}", b'""', b"0", b"false")


def _either(columns: RowColumns, one: str, other: str) -> bool:
    """Return whether every row has one of two keys, judged by values that are not null."""
    has = [
        columns.coders[name].coded(keep=True).numbers(lambda value: value is not None, bool)
        for name in (one, other)
        if name in columns.coders
    ]
    return bool(has) and bool(np.logical_or.reduce(has).all())


def _structs() -> Structs | None:
    try:
        from .json_structs import STRUCTS
    except ImportError:
        return None
    return STRUCTS


class _Text:
    """The text of a file from where it has been read to; :attr:`ahead` is the next part of it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.ahead, self.over = file, b"", False
        self._check = codecs.getincrementaldecoder("utf-8")()
        self.fill()
        self.ahead = self.ahead.removeprefix(codecs.BOM_UTF8)

    def fill(self, least: int = AT_ONCE) -> None:
        """Read until so many bytes are ahead, or the file is over.

        Raises:
            UnicodeDecodeError: if they are no UTF-8.
        """
        parts = [self.ahead]
        size = len(self.ahead)
        while size < least and not self.over:
            part = self.file.read(least - size)
            self.over = not part
            self._check.decode(part, final=self.over)
            parts.append(part)
            size += len(part)
        self.ahead = b"".join(parts)

    def peek(self) -> bytes:
        """Return the next byte that is not blank, and skip what is before it; empty at the end of the file."""
        while True:
            self.ahead = self.ahead.lstrip(BLANK)
            if self.ahead or self.over:
                return self.ahead[:1]
            self.fill()

    def take(self, byte: bytes) -> None:
        """Go beyond the next byte, which must be this one."""
        if self.peek() != byte:
            raise _UnusualError
        self.ahead = self.ahead[1:]

    def end(self) -> None:
        """Check that nothing follows."""
        if self.peek():
            raise _UnusualError

    def members(self) -> Iterator[str]:
        """Yield the keys of an object; whoever asks reads the value before the next key."""
        self.take(b"{")
        while self.peek() != b"}":
            key = self.value()
            if not isinstance(key, str):
                raise _UnusualError
            self.take(b":")
            yield key
            if self.peek() == b",":
                self.take(b",")
                if self.peek() != b'"':
                    raise _UnusualError
            elif self.peek() != b"}":
                raise _UnusualError
        self.take(b"}")

    def value(self) -> Any:
        """Return the next value, whatever it is."""
        self.peek()
        found, end = self._decoded("")
        self.ahead = self.ahead[end:]
        return found

    def is_list_of_objects(self) -> bool:
        """Return whether the next value is one, or begins like one."""
        if self.peek() != b"[":
            return False
        self.fill()
        return self.ahead[1:].lstrip(BLANK)[:1] == b"{"

    def elements(self, decoder: Any) -> Iterator[list[Any]]:
        """Yield the elements of a list of objects, of which the bracket is taken, some at a time."""
        if self.peek() == b"]":
            self.take(b"]")
            return
        while True:
            self.fill()
            rows = None if self.over else self._rows_ahead(decoder)
            if rows is None:
                _, end = self._decoded("[")
                rows = decoder.decode(b"[" + self.ahead[: end - 1])
                self.ahead = self.ahead[end - 1 :]
                yield rows
                return
            yield rows

    def _rows_ahead(self, decoder: Any) -> list[Any] | None:
        """Return the rows up to a cut; None if the list ends before one."""
        from .json_structs import DecodeError, ValidationError

        cut = len(self.ahead)
        for _ in range(TRIES):
            cut, comma = _cut(self.ahead, cut)
            if cut < 0:
                return None
            try:
                rows: list[Any] = decoder.decode(b"[" + self.ahead[:cut] + b"]")
            except ValidationError:
                raise
            except DecodeError:
                continue
            self.ahead = self.ahead[comma + 1 :]
            return rows
        return None

    def _decoded(self, before: str) -> tuple[Any, int]:
        """Return the next value, ``before`` put before it, and where it ends in bytes, these of ``before`` included."""
        while True:
            text = before + self.ahead.decode("utf-8", "surrogateescape")
            try:
                found, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                end = len(text)
            if end < len(text) or (self.over and text):
                if end == len(text):
                    found, end = json.JSONDecoder().raw_decode(text)
                return found, len(text[:end].encode("utf-8", "surrogateescape"))
            if self.over or len(self.ahead) >= MOST:
                raise _UnusualError
            self.fill(max(2 * len(self.ahead), AT_ONCE))


def _cut(text: bytes, before: int) -> tuple[int, int]:
    """Return where the last ``}`` that ``, {`` follows ends, before a place, and where that comma is; -1 if nowhere."""
    while (before := text.rfind(b"{", 0, before)) > 0:
        head = text[max(before - 64, 0) : before].rstrip(BLANK)
        if head.endswith(b","):
            comma = max(before - 64, 0) + len(head) - 1
            head = head[:-1].rstrip(BLANK)
            if head.endswith(b"}"):
                return max(before - 64, 0) + len(head), comma
    return -1, -1
