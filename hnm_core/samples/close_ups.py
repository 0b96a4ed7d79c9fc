"""Cut mistakes out of their images, each with its box and the nearest box of the other side."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from ..boxes import unit_name
from ..io.pictures import image_size, open_picture, pixel_scale
from ..reporting.html import CloseUp
from ..taxonomy import ROW_NAMES
from .gallery import color_of

if TYPE_CHECKING:
    from ..result import Mined

__all__ = ["as_data_uri", "draw_crop", "hardest_close_ups"]

SIDE = 360
"""Longest side of a crop in pixels."""

MARGIN = 0.75
"""Margin around the boxes on each side, as a share of the longer side of the area that they cover."""

LEAST = 0.12
"""At least this share of the image's longer side is shown, so that a small object is seen in its surroundings."""

DASH, GROUND = 7, "#101010"
Box = Sequence[float]


def draw_crop(path: str, box: Box, near: Box | None, color: str, *, of_truth: bool = False) -> Image.Image:
    """Draw the part of an image around a mistake.

    Predictions are drawn with solid lines, truths with dashed ones; the mistake in ``color``, the nearest box of the
    other side in white.

    Args:
        path: image file.
        box: the mistake, ``x0, y0, x1, y1`` as fractions of the image.
        near: the nearest box of the other side, or None.
        color: colour of the mistake's box.
        of_truth: whether the mistake is a truth that was missed.

    Raises:
        OSError: if the file is not an image.
    """
    picture = open_picture(path, least=4 * SIDE)
    left, top, right, bottom = _window(box, near, picture.size)
    scale = SIDE / max(right - left, bottom - top)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    crop = picture.resize(size, Image.Resampling.BILINEAR, (left, top, right, bottom))
    pen = ImageDraw.Draw(crop)

    def edges(of: Box) -> list[float]:
        width, height = picture.size
        return [
            (of[0] * width - left) * scale,
            (of[1] * height - top) * scale,
            (of[2] * width - left) * scale,
            (of[3] * height - top) * scale,
        ]

    if near is not None:
        _rectangle(pen, edges(near), "white", dashed=not of_truth)
    _rectangle(pen, edges(box), color, dashed=of_truth)
    return crop


def hardest_close_ups(
    result: Mined,
    locate: Callable[[str], str | Path | None] = Path,
    sizes: Mapping[str, tuple[float, float]] | None = None,
    most: int = 20,
) -> tuple[list[CloseUp], list[str]]:
    """Return pictures of the hardest mined objects: false positives first, then misses, then lucky hits.

    Args:
        result: the mining.
        locate: returns the file of an image key; None for an image that must not be opened.
        sizes: per image key width and height at labelling, NaN where unknown, for boxes in pixels.
        most: largest number of pictures.

    Returns:
        The pictures, and a sentence on images that cannot be read.
    """
    rows = next(result.hardest_first(most)).take(slice(most))
    names = result.images()
    found, broken = [], []
    for at in range(len(rows)):
        name, of_truth = names[rows.image[at]], bool(rows.of_truth[at])
        place = locate(name)
        if place is None:
            broken.append(f"{name}: its name leads to no file of the data")
            continue
        file = Path(place)
        try:
            size = (
                (1.0, 1.0)
                if result.unit == unit_name(fractions=True)
                else _labelled_size(file, (sizes or {}).get(name))
            )
            box = _as_fractions(rows.xyxy[at], size)
            beside = _as_fractions(rows.near_xyxy[at], size) if rows.near[at] >= 0 else None
            error = ROW_NAMES[rows.code[at]]
            picture = draw_crop(str(file), box, beside, color_of(error), of_truth=of_truth)
        except (OSError, ImportError) as problem:  # Ultralytics patches Pillow to ask for further packages
            broken.append(str(problem) if str(file) in str(problem) else f"{file}: {problem}")
            continue
        of_class = result.classes[rows.label[at]]
        words = f"missed {of_class}" if of_truth else f"{of_class} {rows.score[at]:.2f}"
        found.append(CloseUp(as_data_uri(picture), error, words, name, file.absolute().as_uri()))
    notes = [f"{len(broken)} of {len(rows)} pictures cannot be shown, first {broken[0]}"] if broken else []
    return found, notes


def _labelled_size(file: Path, labelled: tuple[float, float] | None) -> tuple[float, float]:
    """Return width and height of an image in the pixels of its boxes; it may have been resized since labelling."""
    seen = image_size(file)
    scale = pixel_scale(labelled, seen)
    return seen[0] / scale[0], seen[1] / scale[1]


def _as_fractions(xyxy: Any, size: tuple[float, float]) -> list[float]:
    return [float(edge) / side for edge, side in zip(xyxy, (*size, *size), strict=True)]


def as_data_uri(picture: Image.Image) -> str:
    """Return a picture as a JPEG in a data URI."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _window(box: Box, near: Box | None, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the part of the image to show, in pixels: square if the image allows it, and inside the image."""
    boxes = [box, near] if near is not None else [box]
    spans, centres = [], []
    for low, high, side in ((0, 2, size[0]), (1, 3, size[1])):
        first, last = min(b[low] for b in boxes) * side, max(b[high] for b in boxes) * side
        spans.append(last - first)
        centres.append((first + last) / 2)
    length = max(max(spans) * (1 + 2 * MARGIN), LEAST * max(size), 2.0)
    starts, lengths = [], []
    for centre, side in zip(centres, size, strict=True):
        shown = min(length, side)
        starts.append(min(max(centre - shown / 2, 0.0), side - shown))
        lengths.append(shown)
    return starts[0], starts[1], starts[0] + lengths[0], starts[1] + lengths[1]


def _rectangle(pen: ImageDraw.ImageDraw, edges: Sequence[float], color: str, *, dashed: bool) -> None:
    """Draw a box with a dark edge on both sides of its line, so that it is visible on any background."""
    x0, y0, x1, y1 = (round(edge) for edge in edges)
    pen.rectangle((x0 - 2, y0 - 2, x1 + 2, y1 + 2), outline=GROUND, width=5)
    if not dashed:
        pen.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=color, width=3)
        return
    for start in range(x0, x1, 2 * DASH):
        for y in (y0, y1):
            pen.line((start, y, min(start + DASH, x1), y), color, 3)
    for start in range(y0, y1, 2 * DASH):
        for x in (x0, x1):
            pen.line((x, start, x, min(start + DASH, y1)), color, 3)
