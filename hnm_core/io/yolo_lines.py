"""Read the lines of YOLO text files: boxes, polygons and poses, with confidence and track id in predictions.

What ``data.yaml`` says (``kpt_shape``) decides before the number of columns does. Ultralytics writes predictions as
``class x y w h [keypoints] [confidence] [track id]`` or ``class x y x y … [confidence] [track id]``.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..boxes import FRACTION_LIMIT

__all__ = ["RowKind", "Texts", "read_line_by_line", "read_many", "read_regular"]

BEYOND = 0.01
"""How far a point of a polygon may lie outside the image (Ultralytics' tolerance for labels)."""

LONGEST_BOX = 5, 7
"""Most values of a line with a box: class and box; in predictions also confidence and track id. Polygons have more."""

EXACT_DIGITS = 15
POWERS = np.array([float(10**power) for power in range(EXACT_DIGITS + 1)])
"""Numbers of so many digits, and these powers of ten, are exact in float64."""

MANY = 2**20
"""Bytes of text from which on Arrow is worth its import (chosen)."""

Texts = list[tuple[int, bytes]]


@dataclass(frozen=True)
class RowKind:
    """What lines hold.

    Attributes:
        classes: number of classes.
        scored: whether lines are predictions, with a confidence.
        keypoints: ``kpt_shape`` of ``data.yaml``; None without keypoints.
        named_by: who says how many classes there are, for messages.
    """

    classes: int
    scored: bool
    keypoints: tuple[int, int] | None = None
    named_by: str = "data.yaml"

    def pose_lengths(self) -> tuple[int, ...]:
        """Return how many values keypoints have in a line; predictions may add or leave out what is visible."""
        if self.keypoints is None:
            return ()
        count, each = self.keypoints
        return tuple(dict.fromkeys((count * each, count * 2, count * 3))) if self.scored else (count * each,)


def read_many(texts: Texts, kind: RowKind) -> NDArray[np.float64] | None:
    """Do what :func:`read_regular` does by Arrow, if there is much text and Arrow is there; None also if not.

    Three times as fast, and the same to the bit: both read a number as the float64 nearest to it. What only one of
    them takes for a line or a number is left to :func:`read_regular`.
    """
    whole = _joined(texts)
    if len(whole) < MANY or find_spec("pyarrow") is None or b"\r" in whole or not whole.isascii():
        return None
    return _checked(_by_arrow(whole, 5 + kind.scored), texts, kind)


def read_regular(texts: Texts, kind: RowKind) -> NDArray[np.float64] | None:
    """Read files that contain only valid boxes to ``(n, 7)`` image, class, x, y, w, h, score; else return None.

    Much faster than :func:`read_line_by_line`, which finds the errors.
    """
    whole, width = _joined(texts), 5 + kind.scored
    rows = np.zeros((0, width))
    try:
        if whole.strip():
            plain = _plain_numbers(whole, width)
            rows = np.loadtxt(io.StringIO(whole.decode("ascii")), comments=None, ndmin=2) if plain is None else plain
    except ValueError:
        return None
    return _checked(list(rows.T), texts, kind) if rows.shape[1] == width else None


def _joined(texts: Texts) -> bytes:
    """Return all lines, each with an end."""
    return b"".join(text if text.endswith(b"\n") else text + b"\n" for _, text in texts if text)


def _checked(columns: list[NDArray[np.float64]], texts: Texts, kind: RowKind) -> NDArray[np.float64] | None:
    """Return the rows of some columns with their images, if each line is one, and a valid box."""
    lines = [text.count(b"\n") + (text != b"" and not text.endswith(b"\n")) for _, text in texts]
    if not columns or len(columns[0]) != sum(lines):
        return None
    label, *box, score = columns if kind.scored else [*columns, np.ones(len(columns[0]))]
    sound = (label >= 0) & (label < kind.classes) & (label == np.floor(label)) & (score >= 0) & (score <= 1)
    for side in (*box, -box[0], -box[1]):
        sound &= side <= FRACTION_LIMIT  # False for NaN
    sound &= (box[2] >= 0) & (box[3] >= 0)
    return np.column_stack([np.repeat([i for i, _ in texts], lines), label, *box, score]) if sound.all() else None


def _by_arrow(text: bytes, width: int) -> list[NDArray[np.float64]]:
    """Read lines of so many numbers, one blank between two, to a column each; to none if Arrow refuses one."""
    import pyarrow
    from pyarrow import csv

    names = [str(i) for i in range(width)]
    try:
        read = csv.read_csv(
            pyarrow.py_buffer(text),
            csv.ReadOptions(use_threads=False, column_names=names),
            csv.ParseOptions(delimiter=" ", quote_char=False),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.float64()), null_values=[]),
            memory_pool=pyarrow.system_memory_pool(),
        )
    except pyarrow.ArrowInvalid:
        return []
    return [column.to_numpy() for column in read.columns]


def _plain_numbers(text: bytes, width: int) -> NDArray[np.float64] | None:
    """Read lines of numbers such as ``12`` and ``0.25``, one blank between two; None if the text holds anything else.

    Twice as fast as ``np.loadtxt``, and the same to the bit: digits and power of ten are exact in float64, and so
    their quotient is the float64 nearest to the number (Clinger, "How to read floating point numbers accurately",
    PLDI 1990).
    """
    characters = np.frombuffer(text, dtype=np.uint8)
    dots = np.flatnonzero(characters == ord("."))
    digits = np.delete(characters, dots)
    ends = np.flatnonzero(digits <= ord(" "))
    length = np.diff(ends, prepend=-1) - 1
    if len(ends) % width or length.min() < 1 or length.max() > EXACT_DIGITS:
        return None
    marks = digits[ends].reshape(-1, width)
    dots -= np.arange(len(dots))  # their places among the digits
    of = np.searchsorted(ends, dots)
    digits = digits - np.uint8(ord("0"))  # what is smaller becomes large
    if (marks[:, -1] != ord("\n")).any() or (marks[:, :-1] != ord(" ")).any() or (np.diff(of) < 1).any():
        return None
    if np.count_nonzero(digits > 9) > len(ends):
        return None
    digits[ends] = 0
    power = np.repeat(ends - 1, length + 1) - np.arange(len(digits))  # -1 at the blanks, which add nothing
    numbers = np.add.reduceat(digits * POWERS[power], ends - length)
    numbers[of] /= POWERS[ends[of] - dots]
    return numbers.reshape(-1, width)


def read_line_by_line(
    texts: Texts, files: Sequence[Path | str], kind: RowKind
) -> tuple[NDArray[np.float64], list[str], int]:
    """Read any files: skip blank lines, convert polygons; return the rows, the errors by line, number of polygons."""
    rows: list[tuple[float, ...]] = []
    broken: list[str] = []
    polygons = 0
    for i, text in texts:
        for number, line in enumerate(text.decode("utf-8", errors="replace").splitlines(), 1):
            if not line.strip():
                continue
            row, why = _read_line(line, kind)
            if row is None:
                broken.append(f"{files[i]}:{number}: {why}")
            else:
                rows.append((i, *row))
                polygons += kind.keypoints is None and len(line.split()) > LONGEST_BOX[kind.scored]
    return np.array(rows, dtype=np.float64).reshape(-1, 7), broken, polygons


def _read_line(line: str, kind: RowKind) -> tuple[tuple[float, ...] | None, str]:
    """Return ``(class, x, y, w, h, score)`` of a line, or None and the reason."""
    shown = f"{line.strip()[:60]!r}"
    try:
        values = [float(v) for v in line.split()]
    except ValueError:
        return None, f"not numbers: {shown}"
    if "_" in line or not all(map(math.isfinite, values)):  # Python reads 1_0 as 10
        return None, f"{'not numbers' if '_' in line else 'NaN or infinite'}: {shown}"
    if len(values) < 5:
        return None, _shape(values, kind)
    score, why = 1.0, ""
    if kind.scored:
        score, why = _take_score(values, kind)
        if why:
            return None, why
    label, box = values[0], values[1:]
    if label != int(label) or not 0 <= label < kind.classes:
        hint = (
            "; the model's own names can be given with --prediction-names"
            if kind.scored and label > 0 and label == int(label)
            else ""
        )
        expected = f"expected 0 to {kind.classes - 1}: {kind.named_by} names {kind.classes} classes{hint}"
        return None, f"class {label:g}, {expected}"
    if len(box) - 4 in kind.pose_lengths():
        box = box[:4]
    elif kind.keypoints is None and len(box) >= 6 and len(box) % 2 == 0:  # a polygon: the box around it
        if max(box) > 1 + BEYOND or min(box) < -BEYOND:
            return None, f"a polygon that leaves the image: {shown}; are they keypoints? Then data.yaml needs kpt_shape"
        xs, ys = box[0::2], box[1::2]
        box = [(min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)]
    if len(box) != 4:
        return None, _shape(values if not kind.scored else [*values, score], kind)
    if box[2] < 0 or box[3] < 0:
        return None, f"negative width or height: {shown}"
    if max(map(abs, box)) > FRACTION_LIMIT:
        return None, f"not fractions of the image: {shown}; are they pixels?"
    return (label, *box, score), ""


def _take_score(values: list[float], kind: RowKind) -> tuple[float, str]:
    """Remove confidence and track id from the end of a line; return the confidence, and why there is none."""
    poses = kind.pose_lengths()
    if len(values) == 5 or (len(values) - 5 in poses and len(values) - 6 not in poses):
        return 0.0, "no confidence in the sixth column; predict with save_conf=True"
    if _with_track(len(values), kind):
        first, last = values[-2:]
        if _is_track(last) and 0 <= first <= 1:
            values.pop()
        elif _is_track(first) and 0 <= last <= 1:  # the id before the confidence
            del values[-2]
    score = values.pop()
    if 0 <= score <= 1:
        return score, ""
    hint = (
        "; is it a percentage, or a track id? Predict with save_conf=True" if score == int(score) and score > 1 else ""
    )
    return score, f"confidence {score!r} outside [0, 1]{hint}"


def _with_track(length: int, kind: RowKind) -> bool:
    """Return whether a line of this length has one value more than box, pose or polygon and confidence."""
    if length == 7 or any(length == 5 + pose + 2 for pose in kind.pose_lengths()):
        return length - 6 not in kind.pose_lengths()
    return kind.keypoints is None and length >= 9 and length % 2 == 1


def _is_track(value: float) -> bool:
    return value >= 0 and value == int(value)


def _shape(values: list[float], kind: RowKind) -> str:
    columns = f"{len(values)} columns, expected class x y w h{' confidence' if kind.scored else ''}"
    if kind.keypoints is None:
        return columns
    count, each = kind.keypoints
    return f"{columns}, or with {count} × {each} values of keypoints (kpt_shape of data.yaml) after the box"
