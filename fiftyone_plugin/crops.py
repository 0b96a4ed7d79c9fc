"""A mistake cut out of its image, for a person to look at: its box and the nearest one of the other side."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageOps

SIDE = 360
"""Longest side of a crop in pixels."""

MARGIN = 0.75
"""What is shown around the boxes on each side, in lengths of the longer side of what they cover."""

LEAST = 0.12
"""At least this share of the image's side is shown, so that a small thing is seen where it stands."""

DASH, GROUND = 7, "#101010"
Box = Sequence[float]


def draw_crop(path: str, box: Box, near: Box | None, color: str, *, of_truth: bool = False) -> Image.Image:
    """The part of an image around a mistake.

    The mistake's box is drawn solid in its colour if it is a prediction, dashed if it is a truth; the nearest box of
    the other side is white, and dashed if it is a truth.

    Args:
        path: image file.
        box: the mistake, ``x0, y0, x1, y1`` as fractions of the image.
        near: the nearest box of the other side, or None.
        color: colour of the mistake's box.
        of_truth: whether the mistake is a truth that nobody found.

    Raises:
        OSError: if the file is not an image.
    """
    with Image.open(path) as file:
        file.draft("RGB", (4 * SIDE, 4 * SIDE))  # a large JPEG is decoded at an eighth to a half of its size
        picture = ImageOps.exif_transpose(file).convert("RGB")
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


def as_data_uri(picture: Image.Image) -> str:
    """A picture as a small JPEG in the text of an address."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _window(box: Box, near: Box | None, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """What to show, in pixels: square where the image allows it, and never beyond it."""
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
    """A box with a dark edge on both sides of the line, so that it is seen on any ground."""
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
