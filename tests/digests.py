"""Digests of values: of records, tables and exported folders, one for every column or number, free of texts and paths.

A digest is ``exact/close``: the values to the bit, and to six significant digits; one alone where both are equal, as
for whole numbers and names. Processors and versions of numpy differ in the last bits of ``exp``, ``log`` and sums, so
the exact half is compared only where ``arithmetic()`` is that of the machine that stored it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Parts = dict[str, str]
KeyPath = tuple[str, ...]

LENGTH = 8
"""Hexadecimal digits of each half: 32 bits."""

LEFT_OUT = {
    *("notes", "warnings", "problems", "summary", "weight_notes", "train_with", "read_with", "overrides"),
    *("source", "data", "directory", "output", "output_dir", "metadata", "when"),
}
"""Keys of sentences, commands, paths and times: none of these is a value."""

TEXT_FILES = {".html", ".md", ".py"}
OBJECT_ID = re.compile(r"\b[0-9a-f]{24}\b")


class Digester:
    """Digests of values by name.

    Args:
        renamed: old name → new name of keys of records, columns, fields and files. A name with slashes is a path from
            the top of a record, for a key that moved.
        roots: folders, cut off where a text holds them.
        names: names that come from the data (classes and the like): as keys they share one digest.
        ids: ids that differ at every run → what they stand for.
    """

    def __init__(
        self,
        renamed: Mapping[str, str],
        roots: Iterable[str | Path] = (),
        names: Collection[str] = (),
        ids: Mapping[str, str] | None = None,
    ) -> None:
        self._old = {new: old for old, new in renamed.items()}
        self._roots = sorted((str(root) for root in roots), key=len, reverse=True)
        self._names = set(names)
        self._ids = ids or {}

    def of(self, value: Any) -> str:
        """The digest of plain values, arrays, and lists and dicts of them."""
        exact, close = (_hash(self._plain(value, number)) for number in (_exactly, _closely))
        return exact if exact == close else f"{exact}/{close}"

    def record(self, value: Any, head: str = "") -> Parts:
        """A digest for every number of a JSON record; those under names of the data together."""
        groups: dict[str, list[Any]] = {}
        for path, leaf in _leaves(value):
            path = self._before(path)
            if not LEFT_OUT & set(path):
                shown = "/".join("*" if key in self._names else key for key in path)
                groups.setdefault(f"{head}{shown}".rstrip("/"), []).append(["/".join(path), leaf])
        return {name: self.of(sorted(leaves, key=lambda leaf: leaf[0])) for name, leaves in groups.items()}

    def columns(self, table: Mapping[str, Any], head: str = "") -> Parts:
        """A digest for every column, in the order of the rows."""
        return {f"{head}{self.old(name)}": self.of(column) for name, column in table.items()}

    def folder(self, folder: Path, skip: Collection[str] = ()) -> Parts:
        """A digest for every column and number in the files of a folder, and for the names of its files."""
        parts: Parts = {}
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in TEXT_FILES]
        files = {path.relative_to(folder).as_posix(): path for path in paths}
        bulk: dict[str, dict[str, str]] = {}
        for name, path in files.items():
            head, suffix = f"{self.old(name)}/", path.suffix.lower()
            if name in skip:
                continue
            if suffix == ".json":
                parts |= self.record(json.loads(path.read_text(encoding="utf-8")), head)
            elif suffix == ".csv":
                parts |= self.columns(_read_csv(path), head)
            elif suffix == ".parquet":
                from pyarrow.parquet import read_table

                parts |= self.columns(read_table(path).to_pydict(), head)
            elif suffix == ".npz":
                with np.load(path, allow_pickle=False) as arrays:
                    parts |= self.columns(dict(arrays), head)
            elif suffix in (".yaml", ".yml"):
                import yaml

                parts |= self.record(yaml.safe_load(path.read_text(encoding="utf-8")), head)
            else:  # label files and images: as many as there are images
                bulk.setdefault(f"{name.partition('/')[0]}/content", {})[name] = _content(path)
        parts |= {name: self.of(content) for name, content in bulk.items()}
        return parts | {"files": self.of(sorted(map(self.old, files)))}

    def old(self, name: str) -> str:
        """What a name was called when the digests were stored."""
        return self._old.get(name, name)

    def _before(self, path: KeyPath) -> KeyPath:
        for new, old in self._old.items():
            there = tuple(new.split("/"))
            if len(there) > 1 and path[: len(there)] == there:
                path = (*old.split("/"), *path[len(there) :])
                break
        return tuple(key if key in self._names else self.old(key) for key in path)

    def _plain(self, value: Any, number: Callable[[float], str]) -> str:
        if isinstance(value, (np.ndarray, np.generic)):
            value = value.tolist()
        if isinstance(value, Mapping):
            items = sorted((self.old(str(key)), self._plain(of, number)) for key, of in value.items())
            return "{" + ",".join(f"{key!r}:{of}" for key, of in items) + "}"
        if isinstance(value, (list, tuple)):
            return "[" + ",".join(self._plain(item, number) for item in value) + "]"
        if isinstance(value, str):
            for root in self._roots:
                value = value.replace(root, "")
            return repr(OBJECT_ID.sub(lambda found: self._ids.get(found[0], "unknown id"), value))
        if isinstance(value, float):
            return number(value)
        if value is None or isinstance(value, (bool, int)):
            return repr(value)
        raise TypeError(f"a {type(value).__name__} has no digest here: {value!r}")


def arithmetic() -> str:
    """A digest of what this machine's numpy makes of numbers, down to the last bit."""
    x = np.arange(1, 1200, dtype=np.float64) / 700
    square = np.cos(np.outer(x[:40], x[:40])) + 9 * np.eye(40)
    made = [np.exp(-x), np.log(x), np.log1p(x), np.expm1(x), np.tanh(x), np.sin(x), np.sqrt(x), x**1.7, np.cumsum(x)]
    made += [square @ square, np.linalg.solve(square, x[:40]), np.array([x.sum(), np.exp(x).mean(), x.std(), x @ x])]
    return _hash(b"".join(array.tobytes() for array in made).hex())


def differences(now: Parts, stored: Parts, *, exact: bool) -> list[str]:
    """The names of what is not as it was stored, each with how."""
    half = 0 if exact else -1
    found = [f"{name}: no longer there" for name in sorted(stored.keys() - now.keys())]
    found += [f"{name}: was not there" for name in sorted(now.keys() - stored.keys())]
    for name in sorted(now.keys() & stored.keys()):
        mine, theirs = now[name].split("/"), stored[name].split("/")
        if mine[half] != theirs[half]:
            found.append(f"{name}: {'differs' if mine[-1] != theirs[-1] else 'differs beyond the sixth digit'}")
    return found


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def _exactly(value: float) -> str:
    return repr(value)


def _closely(value: float) -> str:
    return f"{value if abs(value) > 1e-9 else 0.0:.6g}"


def _leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """The path and value of everything in a record that is no dict; a list of dicts gives a list for every key."""
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        value = {key: [item.get(key) for item in value] for key in dict.fromkeys(key for item in value for key in item)}
    if isinstance(value, Mapping) and value:
        for key, of in value.items():
            yield from _leaves(of, (*path, str(key)))
    else:
        yield path, value


def _read_csv(path: Path) -> dict[str, list[Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    return {name: [_number(row[i]) for row in rows] for i, name in enumerate(head)}


def _number(cell: str) -> Any:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            pass
    return cell


def _content(path: Path) -> str:
    """Text as it is, the pixels of a PNG (its bytes depend on who packs them), the bytes of any other file."""
    if path.suffix == ".txt":
        return path.read_text(encoding="utf-8")
    if path.suffix == ".png":
        from PIL import Image

        with Image.open(path) as image:
            return hashlib.sha256(f"{image.mode}{image.size}".encode() + image.tobytes()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()
