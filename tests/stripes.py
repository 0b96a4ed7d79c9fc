"""Pictures in which a detection is right if its stripes lie, and wrong if they stand: what a crop can tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections, MiningResult, MiningSettings, mine

SIDE = 40
LEFT, RIGHT = (4.0, 10.0, 20.0, 26.0), (22.0, 8.0, 38.0, 24.0)
"""Where the stripes lie, in odd images where they stand; and the other way round. In pixels."""


def striped(number: int) -> NDArray[np.uint8]:
    """A picture with lying and standing stripes, which change sides from one image to the next."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(90, 110, (SIDE, SIDE, 3)).astype(np.uint8)
    lying, standing = (LEFT, RIGHT) if number % 2 == 0 else (RIGHT, LEFT)
    period = 3 + number % 3
    for (x0, y0, x1, y1), of_columns in ((lying, False), (standing, True)):
        wave = np.arange(int(x1 - x0)) // period % 2 * 150 + 40
        part = np.broadcast_to(wave if of_columns else wave[:, None], (int(y1 - y0), int(x1 - x0)))
        pixels[int(y0) : int(y1), int(x0) : int(x1)] = part[:, :, None]
    return pixels


def boxes_of(number: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The box of the lying stripes, and that of the standing ones."""
    return (LEFT, RIGHT) if number % 2 == 0 else (RIGHT, LEFT)


def write_pictures(folder: Path, count: int) -> list[str]:
    """Write so many pictures and return their paths."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(folder / f"{number:03}.png") for number in range(count)]
    for number, path in enumerate(paths):
        Image.fromarray(striped(number)).save(path)
    return paths


def striped_run(paths: list[str], names: tuple[str, ...] = ("cat",), **options: object) -> MiningResult:
    """A mining of them: both kinds are detected, only lying stripes are labelled; classes take turns by image.

    The confidence says nothing: it is drawn from the same numbers for both kinds.
    """
    rng = np.random.default_rng(0)
    world = {"images": tuple(paths), "classes": names}
    numbers = np.arange(len(paths))
    label = numbers % len(names)
    xyxy = np.array([boxes_of(number) for number in numbers.tolist()]).reshape(-1, 2, 4)
    twice = np.repeat(numbers, 2), xyxy.reshape(-1, 4), np.repeat(label, 2)
    predictions = Detections(*twice, rng.uniform(0.3, 0.9, 2 * len(paths)), **world)
    truth = Detections(numbers, xyxy[:, 0], label, None, **world)
    return mine(predictions, truth, MiningSettings(hard_negative_ratio=1.0), **options)  # type: ignore[arg-type]
