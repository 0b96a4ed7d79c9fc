"""Read the class names of ``data.yaml``; YAML reads some of them as booleans or other numbers than are written."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["class_names", "keypoint_shape"]

MOST_CLASSES = 100_000
"""Largest ``nc`` for which class names are made up (chosen: more is a mistake, and would fill the memory)."""


def class_names(data: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the class names in label order; ``class_0``, ``class_1``, … if the file has only ``nc``.

    Raises:
        ValueError: if there are none, a name is no text, or stands twice, or ``nc`` says another number; the message
            quotes the entry.
    """
    names = config.get("names")
    if names is None:
        names = _numbered(data, config.get("nc"))
    if isinstance(names, Mapping):
        names = {int(key) if str(key).isdecimal() else key: name for key, name in names.items()}
        if set(names) != set(range(len(names))):
            numbers = f"{', '.join(map(reprlib.repr, list(names)[:5]))}{' …' if len(names) > 5 else ''}"
            raise ValueError(f"{data}: classes are numbered {numbers}, expected 0 to {len(names) - 1}")
        names = [names[i] for i in range(len(names))]
    if not names or not isinstance(names, list):
        raise ValueError(
            f"{data} has names: {reprlib.repr(names)}, expected a list of class names, or a mapping of numbers to them"
        )
    written = _as_written(data, len(names))
    for number, (name, text) in enumerate(zip(names, written, strict=True)):
        _check(data, number, name, text)
    found = tuple(map(str, names))
    if len(set(found)) < len(found):
        second = next(i for i, name in enumerate(found) if name in found[:i])
        raise ValueError(
            f"{data}: names has {found[second]!r} for class {found.index(found[second])} and for class {second}; each "
            f"class needs a name of its own"
        )
    said = config.get("nc")
    if said is not None and str(said) != str(len(found)):
        raise ValueError(
            f"{data} has {len(found)} names and nc: {reprlib.repr(said)}, and Ultralytics refuses to train on that; "
            f"correct one of the two, or leave nc out"
        )
    return found


def keypoint_shape(data: Path, config: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return ``kpt_shape``, the number of keypoints and of values of each; None if labels have no keypoints.

    Raises:
        ValueError: if it is not two whole numbers.
    """
    shape = config.get("kpt_shape")
    if shape is None:
        return None
    whole = isinstance(shape, (list, tuple)) and all(isinstance(n, int) and not isinstance(n, bool) for n in shape)
    if not whole or len(shape) != 2 or shape[0] < 1 or shape[1] not in (2, 3):
        raise ValueError(
            f"{data} has kpt_shape: {reprlib.repr(shape)}, expected the number of keypoints and 2 (x y) or 3 (x y "
            f"visible), such as [17, 3]"
        )
    return shape[0], shape[1]


def _numbered(data: Path, number: Any) -> list[str] | None:
    text = str(number)
    if not text.isdecimal():
        return None
    if len(text) > 9 or int(text) > MOST_CLASSES:
        raise ValueError(
            f"{data} has nc: {text[:20]} and no names; names for at most {MOST_CLASSES} classes are made up"
        )
    return [f"class_{i}" for i in range(int(text))]


def _as_written(data: Path, count: int) -> list[str | None]:
    """Return the names as text of the file, before YAML turns ``yes`` into True; None where that is unknown."""
    import yaml

    try:
        names = yaml.load(data.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)["names"]  # text alone
    except (yaml.YAMLError, OSError, KeyError, TypeError, ValueError, RecursionError):
        names = None
    values = list(names.values()) if isinstance(names, Mapping) else names if isinstance(names, list) else []
    return [value if isinstance(value, str) else None for value in values] if len(values) == count else [None] * count


def _check(data: Path, number: int, name: Any, text: str | None) -> None:
    """Raise an error for a name that is no text, and not a number that is written as it is read."""
    if isinstance(name, str):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{data}: the name of class {number}, {name!r}, is not valid text") from None
        return
    plain = isinstance(name, (int, float)) and not isinstance(name, bool)
    if plain and text in (None, str(name)):
        return
    shown = reprlib.repr(name) if text is None else text
    if text is None or name is None:
        raise ValueError(f"{data}: the name of class {number} is {shown or 'empty'}, expected text")
    raise ValueError(
        f"{data}: the name of class {number}, {shown}, is read by YAML as {name!r}; write it in quotes: {shown!r}"
    )
