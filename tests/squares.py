"""Videos of squares, and a detector that sees each of them as surely as it is bright: no two runs differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, SIDE = 96, 64, 16

Square = tuple[int, int, float]
"""Left, top, confidence."""


def picture(squares: Iterable[Square]) -> NDArray[np.uint8]:
    """A black picture with squares that are as bright as they are sure."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    for left, top, score in squares:
        pixels[top : top + SIDE, left : left + SIDE] = round(score * 250)
    return pixels


def write_video(path: Path, frames: Sequence[Iterable[Square]], rate: float = 30.0) -> Path:
    """Write a video without loss."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), rate, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for squares in frames:
        writer.write(picture(squares))
    writer.release()
    return path


class Result:
    """What Ultralytics returns of an image, as far as it is read."""

    def __init__(self, rows: list[list[float]], shape: tuple[int, int]) -> None:
        from ultralytics.engine.results import Boxes

        self.boxes: Any = Boxes(np.array(rows, dtype=np.float32).reshape(-1, 6), shape)


class Squares:
    """A detector of bright squares.

    Args:
        fail_at: raise ``error`` instead of looking at the frame of this number, counted over all calls.
        error: what is raised.
    """

    def __init__(self, fail_at: int = 0, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.names = {0: "square"}
        self.seen, self.fail_at, self.error = 0, fail_at, error
        self.options: dict[str, Any] = {}

    def predict(self, images: Sequence[NDArray[np.uint8]], **options: Any) -> list[Any]:
        import cv2

        self.options = options
        results = []
        for image in images:
            self.seen += 1
            if self.seen == self.fail_at:
                raise self.error
            _, _, stats, _ = cv2.connectedComponentsWithStats((image[:, :, 0] > 8).astype(np.uint8))
            rows = []
            for left, top, width, height, _ in stats[1:].tolist():
                score = float(image[top + height // 2, left + width // 2, 0]) / 250
                if score >= options["conf"]:
                    rows.append([left, top, left + width, top + height, score, 0])
            results.append(Result(rows, image.shape[:2]))
        return results
