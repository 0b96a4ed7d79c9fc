"""Ask a detector again under views of the same image: flipped, smaller and larger.

A view changes nothing that surrounds the border of the image. Ultralytics scales an image and fills it up with grey
bars to sides that its strides divide; here that canvas, bars and all, is flipped or scaled as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .detecting import BATCH, read_images

__all__ = ["CONFIDENCE", "VIEWS", "View", "ask_views", "image_size_of"]

CONFIDENCE = 0.01
"""Lowest confidence that is asked for: below it, a view has not seen the object."""

USUAL_SIZE = 640
"""Longer side that Ultralytics scales images to if nobody says otherwise."""


@dataclass(frozen=True)
class View:
    """A way to show an image.

    Attributes:
        name: for people.
        across: whether left and right are exchanged.
        upside_down: whether top and bottom are exchanged.
        scale: of the canvas.
    """

    name: str
    across: bool = False
    upside_down: bool = False
    scale: float = 1.0


VIEWS = (
    View("left-right", across=True),
    View("up-down", upside_down=True),
    View("smaller", scale=0.75),
    View("larger", scale=1.3),
)
"""The views that are asked for (chosen: fourteen told no more than these four)."""


def ask_views(
    model: Any,
    files: Sequence[str | Path],
    imgsz: int,
    *,
    views: Sequence[View] = VIEWS,
    batch: int = BATCH,
    **options: Any,
) -> Iterator[list[NDArray[np.float32]] | None]:
    """Yield the detections of a model in each image under every view, in order.

    Args:
        model: an Ultralytics model, or an object with such a ``predict``.
        files: paths of images.
        imgsz: longer side in pixels that the model's own predictions were made with.
        views: how to show each image.
        batch: number of images read at once.
        options: of Ultralytics' ``predict``, such as ``device``.

    Yields:
        Per view ``(k, 6)`` float32: ``x0 y0 x1 y1`` as fractions of the image as it is, confidence down to
        :data:`CONFIDENCE`, and class number; None if the image cannot be read.
    """
    stride = _stride_of(model)
    options = {"conf": CONFIDENCE, "verbose": False, **options}
    for images in read_images(files, batch):
        canvases = {n: _Canvas.of(image, imgsz, stride) for n, image in enumerate(images) if image is not None}
        found: list[list[NDArray[np.float32]]] = [[] for _ in images]
        for view in views:
            by_shape: dict[tuple[int, int], list[int]] = defaultdict(list)
            for number, canvas in canvases.items():
                by_shape[canvas.shape(view)].append(number)
            for shape, numbers in by_shape.items():
                shown = [canvases[number].draw(view) for number in numbers]
                results = model.predict(shown, batch=len(shown), imgsz=shape, **options)
                for number, result in zip(numbers, results, strict=True):
                    found[number].append(canvases[number].back(result.boxes, view))
        yield from (None if image is None else boxes for image, boxes in zip(images, found, strict=True))


def image_size_of(model: Any) -> int:
    """Return the longer side in pixels that a model scales images to of its own."""
    size = (getattr(model, "overrides", None) or {}).get("imgsz") or USUAL_SIZE
    return int(max(size) if isinstance(size, (list, tuple)) else size)


@dataclass(frozen=True)
class _Canvas:
    """An image as a detector sees it: scaled to ``inner`` at ``corner`` of a grey canvas; all as ``x, y``, in pixels.

    Attributes:
        image: its pixels.
        size: of the canvas, which the stride divides.
        inner: of the scaled image.
        corner: where its top left corner lies.
        stride: of the model.
    """

    image: NDArray[np.uint8]
    size: NDArray[np.int64]
    inner: NDArray[np.int64]
    corner: NDArray[np.int64]
    stride: int

    @classmethod
    def of(cls, image: NDArray[np.uint8], imgsz: int, stride: int) -> _Canvas:
        """Return the canvas that Ultralytics puts an image on."""
        seen = np.array(image.shape[1::-1])
        longest = max(round(imgsz / stride), 1) * stride
        inner = np.maximum(np.round(seen * (longest / seen.max())).astype(np.int64), 1)
        bars = (-inner) % stride
        return cls(image, inner + bars, inner, np.round(bars / 2 - 0.1).astype(np.int64), stride)

    def shape(self, view: View) -> tuple[int, int]:
        """Return height and width of the canvas under a view."""
        x, y = self._scaled(view).tolist()
        return y, x

    def draw(self, view: View) -> NDArray[np.uint8]:
        """Return the canvas under a view, ``(height, width, 3)``."""
        from ultralytics.data.augment import LetterBox

        low, high = self._inner(view)
        x, y = (high - low).tolist()
        canvas = np.full((*self.shape(view), 3), 114, dtype=np.uint8)
        canvas[low[1] : high[1], low[0] : high[0]] = LetterBox((y, x), auto=False, scale_fill=True)(image=self.image)
        return np.ascontiguousarray(canvas[:: -1 if view.upside_down else 1, :: -1 if view.across else 1])

    def back(self, boxes: Any, view: View) -> NDArray[np.float32]:
        """Return the boxes of a view as fractions of the image as it is, with score and class."""
        found = boxes.cpu().numpy()
        low, high = self._inner(view)
        xyxy = found.xyxy.astype(np.float64).reshape(-1, 4)
        for axis, turned in enumerate((view.across, view.upside_down)):
            if turned:
                xyxy[:, [axis, axis + 2]] = self._scaled(view)[axis] - xyxy[:, [axis + 2, axis]]
        xyxy = np.clip((xyxy - np.tile(low, 2)) / np.tile(high - low, 2), 0.0, 1.0)
        return np.column_stack([xyxy, found.conf, found.cls]).astype(np.float32).reshape(-1, 6)

    def _scaled(self, view: View) -> NDArray[np.int64]:
        if view.scale == 1.0:
            return self.size
        steps = np.round(self.size * view.scale / self.stride).astype(np.int64)
        return np.asarray(np.maximum(steps, 1) * self.stride)

    def _inner(self, view: View) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the image lies on the canvas, before it is flipped: its two corners."""
        by = self._scaled(view) / self.size
        low = np.round(self.corner * by).astype(np.int64)
        return low, np.maximum(np.round((self.corner + self.inner) * by).astype(np.int64), low + 1)


def _stride_of(model: Any) -> int:
    """Return the coarsest stride of a model; 32 if it says none."""
    stride = getattr(getattr(model, "model", None), "stride", None)
    return max(int(max(stride)) if stride is not None and len(stride) else 32, 32)
