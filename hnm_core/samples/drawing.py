"""Draw the hard negatives of an image: a box and a caption each, in the colour of the error type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..boxes import are_fractions
from ..io.pictures import open_picture, pixel_scale
from .gallery import color_of, error_of, text_color_on

__all__ = ["draw_sample"]

Box = tuple[float, float, float, float]
HardNegative = Mapping[str, Any]

SMALLEST, LARGEST = 640, 1600
"""Limits of the longer side of a picture in pixels: smaller images are enlarged to keep captions readable."""

QUIET = color_of("true_positive")
GAP = "gap"
"""Error of a proposal: a box between two of a track, where the model saw nothing."""

FONTS = ("DejaVuSans.ttf", "NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc", "msyh.ttc", "PingFang.ttc", "Arial Unicode.ttf")
"""Fonts for text that Pillow's own font cannot draw, tried from the last to the first."""


def draw_sample(
    image_path: Path,
    found: Sequence[HardNegative],
    ground_truth: Sequence[Mapping[str, Any]] = (),
    size: tuple[float, float] | None = None,
) -> Image.Image:
    """Return the image with its hard negatives drawn in, the hardest on top.

    Predictions are solid, missed truths dashed, each with a caption such as ``background cat .92``; all other truths
    are thin, dashed and grey.

    Args:
        image_path: any image that Pillow reads; its EXIF orientation is applied, as detectors do.
        found: hard negatives, hardest first.
        ground_truth: all truths of the image; boxes in pixels, or all as fractions of the image sides.
        size: width and height at labelling, for boxes in pixels; the picture may have been resized since.

    Raises:
        OSError: if the file is not an image.
    """
    picture = open_picture(image_path)
    boxes = [_edges(_object(f)) for f in found]
    other_truths = [box for box in map(_edges, ground_truth) if box not in boxes]
    fractions = are_fractions(np.array([*boxes, *other_truths]))
    unit = picture.size if fractions else pixel_scale(size, picture.size)
    longest = max(picture.size)
    scale = min(max(longest, SMALLEST), LARGEST) / longest
    if scale != 1:
        picture = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    canvas = _Canvas(picture, (unit[0] * scale, unit[1] * scale))
    for box in other_truths:
        canvas.box(box, QUIET, width=1, dashed=True)
    for one, box in reversed(list(zip(found, boxes, strict=True))):
        canvas.box(
            box, color_of(error_of(one)), width=2, dashed=one["type"] == "false_negative" or error_of(one) == GAP
        )
    for one, box in zip(found, boxes, strict=True):
        canvas.caption(box, color_of(error_of(one)), caption_of(one))
    return picture


def caption_of(found: HardNegative) -> str:
    """Return the caption of a hard negative: error type, class and confidence.

    Example:
        >>> caption_of({"type": "false_positive", "error": "background", "prediction": {"class": "cat"},
        ...             "confidence": 0.92})
        'background cat .92'
        >>> caption_of({"type": "false_negative", "error": "missed", "ground_truth": {"class": "dog"}})
        'missed dog'
        >>> caption_of({"type": "proposal", "error": "gap", "prediction": {"class": "cat"}, "confidence": 0.0})
        'gap cat'
    """
    error, name = error_of(found).replace("_", " "), str(_object(found)["class"])
    if found["type"] == "false_negative":
        return f"missed {name}" + ("" if error in ("missed", "false negative") else f" ({error})")
    if error == GAP:
        return f"{error} {name}"
    return f"{error} {name} " + f"{found['confidence']:.2f}".removeprefix("0")


def _object(found: HardNegative) -> Mapping[str, Any]:
    """Return the wrong box: the truth of a false negative, else the prediction."""
    box: Mapping[str, Any] = found["ground_truth" if found["type"] == "false_negative" else "prediction"]
    return box


def _edges(record: Mapping[str, Any]) -> list[float]:
    return [float(edge) for edge in record["bbox"]]


class _Canvas:
    """Draw boxes and captions on one picture, and place captions so that they do not hide each other."""

    def __init__(self, picture: Image.Image, scale: tuple[float, float]) -> None:
        self.draw = ImageDraw.Draw(picture)
        self.size = picture.size
        self.scale = scale
        self.line = max(1, round(max(picture.size) / 640))
        self.letter = max(16, round(max(picture.size) / 60))
        self.captions: list[Box] = []

    def box(self, bbox: Sequence[float], color: str, *, width: int, dashed: bool) -> None:
        """Draw one box; a white outline makes it visible on any background."""
        x0, y0, x1, y1 = self._place(bbox)
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
        line = width * self.line
        for start, end in pairwise(corners):
            for piece in _dashes(start, end, 6 * line) if dashed else [(start, end)]:
                self.draw.line(piece, "white", line + 2 * self.line)
                self.draw.line(piece, color, line)

    def caption(self, bbox: Sequence[float], color: str, text: str) -> None:
        """Write a caption on the colour of its box, at the side of the box where it hides the fewest other captions."""
        font = _font(self.letter, text.isascii())
        pad = self.line * 2
        width, height = self.draw.textlength(text, font) + 2 * pad, self.letter * 1.2 + 2 * pad
        x0, y0, x1, y1 = self._place(bbox)
        places = [(x, y) for y in (y0 - height, y1, y0, y1 - height) for x in (x0, x1 - width)]
        places += [(x0, y0 + step * height) for step in (-2, -3, 1, 2, 3)]
        inside = [(max(0, min(x, self.size[0] - width)), max(0, min(y, self.size[1] - height))) for x, y in places]
        at = min(((x, y, x + width, y + height) for x, y in inside), key=self._hides)  # ties: the first place
        self.captions.append(at)
        self.draw.rectangle(at, color)
        self.draw.text((at[0] + pad, at[1] + height / 2), text, text_color_on(color), font, anchor="lm")

    def _hides(self, place: Box) -> float:
        return sum(_shared_area(place, word) for word in self.captions)

    def _place(self, bbox: Sequence[float]) -> Box:
        """Convert a box to pixels of the picture, inside it, and with a smallest size so that it stays visible."""
        x0, y0, x1, y1 = (edge * self.scale[i % 2] for i, edge in enumerate(bbox))
        grow_x, grow_y = (max(0.0, 4 * self.line - side) / 2 for side in (x1 - x0, y1 - y0))
        edge_x, edge_y = (side - 1 - self.line for side in self.size)
        return (
            *(max(self.line, min(x0 - grow_x, edge_x)), max(self.line, min(y0 - grow_y, edge_y))),
            *(max(self.line, min(x1 + grow_x, edge_x)), max(self.line, min(y1 + grow_y, edge_y))),
        )


def _dashes(start: tuple[float, float], end: tuple[float, float], length: float) -> list[Any]:
    """Return the pieces of a dashed line, ``length`` pixels long and as far apart."""
    (x0, y0), (x1, y1) = start, end
    whole = abs(x1 - x0) + abs(y1 - y0)  # lines of boxes run along an axis
    pieces = []
    for i in range(int(whole // (2 * length)) + 1):
        a, b = (min(part * length / whole, 1.0) if whole else 0.0 for part in (2 * i, 2 * i + 1))
        pieces.append(((x0 + (x1 - x0) * a, y0 + (y1 - y0) * a), (x0 + (x1 - x0) * b, y0 + (y1 - y0) * b)))
    return pieces


def _shared_area(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


@lru_cache
def _font(size: int, ascii: bool) -> Any:
    """Return Pillow's own font, or a system font for letters that it lacks."""
    for name in () if ascii else reversed(FONTS):
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
