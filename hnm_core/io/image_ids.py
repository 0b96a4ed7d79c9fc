"""Find the image that a row of predictions means: by its file name, or by any id that names exactly one image.

Ultralytics writes the number in the file name as ``image_id`` (``000001.jpg`` becomes 1), and the file name beside it;
other tools write the id of the annotation file, the file name, or the file name without suffix.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded import Coded, coded_by
from .json_rows import coded_ids
from .names import with_article
from .numbers import id_text

__all__ = ["ImageIndex", "named_images", "rows_to_images"]

UNKNOWN, AMBIGUOUS = -1, -2
Numbers = NDArray[np.int64]
Overlaps = Callable[[Numbers], int]
"""Return how many rows lie on a truth if they belong to these images."""


class ImageIndex:
    """Look up images by id, by file name, by its end, by its stem, or by the number in its stem.

    Args:
        names: file name of every image, each with or without folders; an empty text if there is none.
        ids: id of every image as text; None if images have no ids.

    Example:
        >>> index = ImageIndex(["a/000001.jpg", "a/000002.jpg", "b/000002.jpg"])
        >>> [index.named(name) for name in ("000001.jpg", "1", "2", "x/b/000002.jpg", "7")]
        [0, 0, -2, 2, -1]
    """

    def __init__(self, names: Sequence[str], ids: Sequence[str] | None = None) -> None:
        self.names = [_posix(name) for name in names]
        self.by_id = {one: i for i, one in enumerate(ids or ())}
        self._levels: list[dict[str, list[int]]] = [{}, {}, {}, {}]
        for i, name in enumerate(self.names):
            if name:
                for level, key in zip(self._levels, _keys(name), strict=True):
                    if key:
                        level.setdefault(key, []).append(i)
        self._found: dict[str, int] = {}

    def candidates(self, name: str) -> list[int]:
        """Return the images that a name may mean, by the first of its keys that any image has."""
        keys = _keys(_posix(name))
        for depth, (level, key) in enumerate(zip(self._levels, keys, strict=True)):
            found = level.get(key, []) if key else []
            if len(found) > 1 and depth == 1:
                found = [i for i in found if _same_end(self.names[i], keys[0])] or found
            if found:
                return found
        return []

    def named(self, name: str) -> int:
        """Return the image of a file name, stem or number; -1 if there is none, -2 if there are several."""
        known = self._found.get(name)
        if known is None:
            found = self.candidates(name)
            known = self._found[name] = found[0] if len(found) == 1 else AMBIGUOUS if found else UNKNOWN
        return known

    def several(self, name: str) -> str:
        """Name the first images that a name may mean."""
        return ", ".join(self.names[i] for i in self.candidates(name)[:3])


def rows_to_images(
    source: Any,
    truth: Any,
    ids: Coded,
    names: Coded,
    index: ImageIndex,
    overlaps: Overlaps,
) -> Numbers:
    """Return the image number of every row, ``(n,)`` int64.

    A row's file name is believed first. An id is looked up among the ids of the truth, then as file name, stem or
    number in the stem; where both readings know all rows and differ, the one in which more boxes lie on a truth is
    taken, the ids of the truth if that is a tie.

    Args:
        source: file of the rows, for messages.
        truth: file of the images, for messages.
        ids: id of every row as text; None for a row without.
        names: file name of every row; None for a row without.
        index: the images.
        overlaps: counts the rows that lie on a truth.

    Raises:
        ValueError: if rows name no image, or several; or if names of different images would be one image of the truth.
    """
    out = names.numbers(lambda name: index.named(name) if name else UNKNOWN)
    named = np.flatnonzero(names.numbers(bool, bool))
    by_id_of = ids.numbers(lambda one: index.by_id.get(one or "", UNKNOWN)) if named.size else out
    for i in np.flatnonzero(out == AMBIGUOUS).tolist():
        if by_id_of[i] in index.candidates(names[i]):
            out[i] = by_id_of[i]
    if named.size and (out[named] == UNKNOWN).all() and (by_id_of[named] >= 0).all():
        warnings.warn(
            f"{source}: none of the file names of its rows, first {names[named[0]]!r}, is one of {truth}; the rows are "
            f"read by image_id",
            stacklevel=4,
        )
        out[named] = by_id_of[named]
    elif named.size:
        _refuse(source, truth, "file_name", names.take(named), out[named], index)
        other = int(((by_id_of[named] >= 0) & (by_id_of[named] != out[named])).sum())
        if other:
            warnings.warn(
                f"{source}: {other} of {len(ids)} rows have the file_name of one image of {truth} and the image_id of "
                f"another; the file_name is used",
                stacklevel=4,
            )
        _refuse_merged(source, truth, names, out, index)
    rest = np.flatnonzero(names.numbers(lambda name: not name, bool))
    if rest.size:
        of_rest = ids.take(rest).mapped(lambda one: one or "")
        out[rest] = _by_ids(source, truth, of_rest, rest, out, index, overlaps)
        _refuse_merged(source, truth, of_rest, out[rest], index)
    return out


def named_images(source: Any, rows: Sequence[Mapping[str, Any]]) -> tuple[Coded, Coded]:
    """Return the ``image_id`` as text and the ``file_name`` of every row of results, None where it has none.

    Raises:
        ValueError: if a row has neither a name nor an id that is a whole number or text.
    """
    names = coded_by(rows, "file_name").mapped(lambda name: name if isinstance(name, str) else None)
    ids = coded_by(rows, "image_id")
    coded_ids(source, "results", ids.take(names.numbers(lambda name: not name, bool)), "image_id")
    return ids.mapped(id_text), names


def _by_ids(
    source: Any, truth: Any, ids: Coded, rest: Numbers, out: Numbers, index: ImageIndex, overlaps: Overlaps
) -> Numbers:
    """Return the images of rows that have only an id."""
    as_ids = np.array([index.by_id.get(one, UNKNOWN) for one in ids.values], dtype=np.int64)
    as_names = np.array([index.named(one) for one in ids.values], dtype=np.int64)
    if (as_names < 0).any():
        if (as_ids < 0).any():
            more = (as_names >= 0)[ids.code].sum() > (as_ids >= 0)[ids.code].sum()
            hopeless = as_names if not index.by_id or more else as_ids
            clear = np.where((as_names == AMBIGUOUS) & (as_ids < 0), AMBIGUOUS, hopeless)
            _refuse(source, truth, "image_id", ids, clear[ids.code], index)
        return as_ids[ids.code]
    if (as_ids < 0).any() or np.array_equal(as_ids, as_names):
        return as_names[ids.code]
    found = {}
    for reading, numbers in (("ids", as_ids), ("names", as_names)):
        trial = out.copy()
        trial[rest] = numbers[ids.code]
        found[reading] = overlaps(trial)
    if found["names"] <= found["ids"]:
        return as_ids[ids.code]
    warnings.warn(
        f"{source}: image_id is read as the number in the file name, because {found['names']} of {len(out)} boxes then "
        f"lie on a truth of {truth}, but only {found['ids']} if it is read as the id of the image",
        stacklevel=5,
    )
    return as_names[ids.code]


def _refuse(source: Any, truth: Any, key: str, given: Coded, numbers: Numbers, index: ImageIndex) -> None:
    """Raise an error for rows that name several images, or none."""
    several = np.flatnonzero(numbers == AMBIGUOUS)
    if several.size:
        first = given[int(several[0])]
        raise ValueError(
            f"{source}: {several.size} of {len(given)} boxes have {with_article(key)} that fits several images of "
            f"{truth}, first {first!r}: {index.several(first)}. Give file names with their folders"
        )
    none = np.flatnonzero(numbers == UNKNOWN)
    if none.size:
        known = list(index.by_id)[:5] if key == "image_id" and index.by_id else index.names[:5]
        more = len(index.names) > len(known)
        raise ValueError(
            f"{source}: {none.size} of {len(given)} boxes have {with_article(key)} that {truth} does not list among "
            f"its images, first {_bare(given[int(none[0])])}; listed are {', '.join(map(_bare, known))}"
            f"{' …' if more else ''}. Do the two files belong together?"
        )


def _refuse_merged(source: Any, truth: Any, given: Coded, numbers: Numbers, index: ImageIndex) -> None:
    """Raise an error where names that contradict each other, such as ``a/1.jpg`` and ``b/1.jpg``, mean one image."""
    means = np.full(len(given.values), UNKNOWN)
    means[given.code] = numbers
    texts: dict[int, list[str]] = {}
    for image, text in zip(means.tolist(), given.values, strict=True):
        if text:
            texts.setdefault(image, []).append(text)
    merged = []
    for image, known in texts.items():
        if len(known) == 1:
            continue
        longest = max(known, key=len)
        merged += [(image, longest, text) for text in known if not _may_be_one(longest, text)][:1]
    if merged:
        image, first, second = merged[0]
        raise ValueError(
            f"{source}: rows name {len(merged)} of the images of {truth} in ways that contradict each other, first "
            f"{index.names[image]!r} as {first!r} and as {second!r}. Leave out predictions of images that are not in "
            f"{truth}"
        )


def _may_be_one(first: str, second: str) -> bool:
    """Return whether two names may be of one image: one is the end of the other, with or without suffix."""
    a, b = _posix(first), _posix(second)
    return _same_end(a, b) or _same_end(_without_suffix(a), b) or _same_end(a, _without_suffix(b))


def _without_suffix(name: str) -> str:
    _, base, stem, _ = _keys(name)
    return name.removesuffix(base) + stem


def _bare(value: str) -> str:
    return value if value.lstrip("-").isdecimal() else repr(value)


def _posix(name: str) -> str:
    return name.replace("\\", "/")


def _keys(name: str) -> tuple[str, str, str, str]:
    """Return the keys of a name, the most exact first: whole, without folders, without suffix, number in the stem."""
    base = name.rpartition("/")[2]
    if not base or base.endswith("."):  # such as a/. and a/
        base = PurePosixPath(name).name
    start, dot, suffix = base.rpartition(".")
    stem = start if dot and start and suffix.isalnum() and not suffix.isdecimal() else base
    number = stem.lstrip("0") or "0" if stem.isdecimal() else ""
    return name, base, stem, number


def _same_end(first: str, second: str) -> bool:
    """Return whether the shorter of two paths is the end of the longer one."""
    a, b = PurePosixPath(first).parts, PurePosixPath(second).parts
    least = min(len(a), len(b))
    return a[-least:] == b[-least:]
