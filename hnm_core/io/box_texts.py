"""Read boxes from text: one file per image (the kind of the *mAP* tools), or one CSV file of all.

A file per image has ``class score x0 y0 x1 y1`` in each line; ground truth has ``class x0 y0 x1 y1 [difficult]``. A
class may hold spaces.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from ..boxes import FRACTION_LIMIT
from .flags import FLAGS
from .numbers import as_number
from .voc import DIFFICULT, BoxRows

__all__ = ["has_corner_lines", "read_box_csv", "read_box_folder"]

LOOKED_AT = 50
"""Lines from which the kind of a folder is told (chosen)."""

IMAGE = (
    "image",
    "filename",
    "file_name",
    "image_path",
    "filepath",
    "path",
    "image_id",
    "imageid",
    "image_name",
    "file",
)
CLASS = ("class_name", "category_name", "labelname", "label_name", "class", "label", "category", "name")
"""Names of the column of the class, names before what may be numbers."""
SCORE = ("score", "confidence", "conf", "probability")
CORNERS = (
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)
SIZES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))


def read_box_folder(folder: Path, *, scored: bool) -> BoxRows:
    """Read the text files of a folder; images are named by the files, without suffix.

    Args:
        folder: of the files.
        scored: whether lines have a score after the class: predictions.

    Raises:
        ValueError: if lines can't be read; the message names the first.
    """
    rows = BoxRows()
    for file in sorted(folder.glob("[!.]*.txt")):
        rows.images.setdefault(file.stem, len(rows.images))
        for number, line in enumerate(_text(file).splitlines(), 1):
            parts = line.split()
            if not parts:
                continue
            difficult = not scored and parts[-1].lower() == DIFFICULT
            if difficult:
                parts.pop()
            place = f"{file}:{number}"
            least = 6 if scored else 5
            if len(parts) < least:
                rows.broken.append(
                    f"{place}: expected class{' score' if scored else ''} x0 y0 x1 y1, got {line[:60]!r}"
                )
                continue
            name = " ".join(parts[: 1 - least])
            if any("." in part and as_number(part) is not None for part in parts[1 : 1 - least]):
                rows.broken.append(f"{place}: the class would be {name!r}; are there more columns?")
                continue
            score = parts[-5] if scored else None
            rows.add(file.stem, name, list(parts[-4:]), score, {DIFFICULT: difficult}, place)
    return rows.check(folder, f"class{' score' if scored else ''} x0 y0 x1 y1")


def has_corner_lines(folder: Path, *, scored: bool) -> bool:
    """Return whether the text files of a folder hold corners after a class (and a score), and not YOLO's fractions.

    Told from the first lines: a class in words, or corners of which right and bottom can be no fractions. A line of
    YOLO's with a percentage, or with a box in pixels, is none of these.
    """
    for parts in islice(_first_lines(folder), LOOKED_AT):
        if not scored and parts[-1].lower() == DIFFICULT:
            parts = parts[:-1]
        numbers = [as_number(part) for part in parts]
        if len(parts) < 5 + scored or None in numbers[-4 - scored :]:
            continue
        if None in numbers[: -4 - scored]:
            return True
        left, top, right, bottom = (number or 0.0 for number in (numbers[2:6] if scored else numbers[1:5]))
        if min(right, bottom) > FRACTION_LIMIT and left <= right and top <= bottom:
            return not scored or (numbers[1] is not None and 0 <= numbers[1] <= 1)
    return False


def read_box_csv(path: Path, *, scored: bool) -> BoxRows:
    """Read a CSV file with a box in each row, under a header; a row without a box names an image without objects.

    Columns are found by their usual names: image (``filename``, ``image_id``, …), class (``label``, …; of YOLOv5's
    ``class`` and ``name`` the name), corners (``xmin ymin xmax ymax``, ``x1 y1 x2 y2``, …) or ``x y width height``,
    ``score`` or ``confidence``. Beside corners ``width`` and ``height`` are the size of the image. Columns named as in
    :data:`~hnm_core.io.flags.FLAGS`, such as ``IsGroupOf``, mark ground truth that does not count.

    Args:
        path: the file; separated by commas, semicolons or tabs.
        scored: whether rows must have a score: predictions.

    Raises:
        ValueError: if columns are missing, or rows can't be read; the message names the first.
    """
    text = _text(path)
    if not text.strip():
        raise ValueError(f"{path} is empty, expected a header and a box in each line")
    head = text.split("\n", 1)[0]
    mark = max(",;\t", key=head.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark))
    except csv.Error as error:
        raise ValueError(f"{path} is not a CSV file: {error}") from None
    header = [name.strip().lower() for name in lines[0]] if lines else []
    columns = {name: at for at, name in enumerate(header)}
    image, score = (_first(columns, names) for names in (IMAGE, SCORE))
    of_class = _class_column(columns, lines[1:])
    box, sized = _box_columns(columns)
    wanted = {"image": image, "class": of_class, "box": box or None, **({"score": score} if scored else {})}
    missing = [what for what, at in wanted.items() if at is None]
    if missing or image is None or of_class is None:
        raise ValueError(
            f"{path} has no column for {', '.join(missing)}; its header is {', '.join(map(repr, list(columns)[:12]))}. "
            f"Expected are image, class, xmin, ymin, xmax, ymax{' and score' if scored else ''}"
        )
    flagged = {} if scored else {name: columns[name.lower()] for name in FLAGS if name.lower() in columns}
    used = {image, of_class, score, *box, *flagged.values()}
    twice = [name for name, times in Counter(header).items() if times > 1 and columns[name] in used]
    if twice:
        raise ValueError(f"{path} has {len(twice)} columns more than once, first {twice[0]!r}: leave one of them out")
    rows = BoxRows()
    for number, line in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in line):
            continue
        cells = [cell.strip() for cell in line] + [""] * (len(header) - len(line))
        if not cells[image]:
            rows.broken.append(f"line {number}: no image")
            continue
        at = rows.images.setdefault(cells[image], len(rows.images))
        size = [as_number(cells[columns[side]]) for side in ("width", "height") if side in columns and not sized]
        if len(size) == 2 and size[0] and size[1] and min(size[0], size[1]) > 0 and max(size[0], size[1]) < math.inf:
            rows.sizes[at] = (size[0], size[1])
        edges = [cells[place] for place in box]
        if not any(edges):
            continue
        if sized and None not in (numbers := [as_number(edge) for edge in edges]):
            x, y, w, h = (float(n or 0) for n in numbers)
            edges = [repr(edge) for edge in (x, y, x + w, y + h)]
        flags = {name: cells[at] for name, at in flagged.items()}
        rows.add(
            *(cells[image], cells[of_class], list(edges), None if not scored else cells[score or 0]),
            *(flags, f"line {number}"),
        )
    return rows.check(path)


def _box_columns(columns: dict[str, int]) -> tuple[Sequence[int], bool]:
    """Return the columns of the box, and whether they are a corner and a size."""
    for sized, choices in ((False, CORNERS), (True, SIZES)):
        for names in choices:
            if all(name in columns for name in names):
                return [columns[name] for name in names], sized
    return [], False


def _class_column(columns: dict[str, int], lines: Sequence[Sequence[str]]) -> int | None:
    """Return the column of the class: the first found, or another one that names its numbers, one to one."""
    found = [columns[name] for name in CLASS if name in columns]
    for at in found[1:]:
        pairs = {(line[found[0]].strip(), line[at].strip()) for line in lines if len(line) > max(found)}
        numbers, names = (set(column) for column in zip(*pairs, strict=True)) if pairs else (set(), set())
        words = bool(names) and all(as_number(name) is None for name in names)
        if words and len(pairs) == len(numbers) == len(names) and all(as_number(n) is not None for n in numbers):
            return at
    return found[0] if found else None


def _first(columns: dict[str, int], names: Iterable[str]) -> int | None:
    return next((columns[name] for name in names if name in columns), None)


def _first_lines(folder: Path) -> Iterable[list[str]]:
    for name in sorted(name for name in os.listdir(folder) if name.endswith(".txt") and not name.startswith(".")):
        yield from islice((line.split() for line in _text(folder / name).splitlines() if line.strip()), 3)


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not text in UTF-8: {error}") from None
    except IsADirectoryError:
        raise ValueError(f"{file} is a folder, expected a text file") from None
