"""The photographs inside the wheels of scikit-learn and scikit-image: backgrounds without a network.

Sixteen are used. The other pictures in those wheels are left out on purpose: ``page`` and ``text`` show
writing and ``clock_motion`` a clock face (digits nobody placed), ``motorcycle_right`` repeats
``motorcycle_left``, ``chessboard_*``, ``color``, ``horse``, ``logo`` and ``phantom`` are drawings, ``cell``
and ``microaneurysms`` are all but empty, ``multipage*`` and ``no_time_for_that_tiny`` are a few pixels large.

``china`` and ``flower`` are CC BY 2.0, credited in ``sklearn/datasets/images/README.txt``; where the others
come from is told in the docstrings of :mod:`skimage.data`. None of them is copied into this repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Photograph:
    """Where a photograph lies, and how much of its border is not worth showing.

    Attributes:
        package: The import package whose wheel holds it.
        path: File inside the package.
        margin: Share of each side cut off first (the black corners around a retina).
    """

    package: str
    path: str
    margin: float = 0.0

    @property
    def name(self) -> str:
        """Return the file's name without folder and ending."""
        return Path(self.path).stem


PHOTOGRAPHS = (
    Photograph("sklearn", "datasets/images/china.jpg"),
    Photograph("sklearn", "datasets/images/flower.jpg"),
    Photograph("skimage", "data/astronaut.png"),
    Photograph("skimage", "data/brick.png"),
    Photograph("skimage", "data/camera.png"),
    Photograph("skimage", "data/chelsea.png"),
    Photograph("skimage", "data/coffee.png"),
    Photograph("skimage", "data/coins.png"),
    Photograph("skimage", "data/grass.png"),
    Photograph("skimage", "data/gravel.png"),
    Photograph("skimage", "data/hubble_deep_field.jpg"),
    Photograph("skimage", "data/ihc.png"),
    Photograph("skimage", "data/moon.png"),
    Photograph("skimage", "data/motorcycle_left.png"),
    Photograph("skimage", "data/retina.jpg", margin=0.16),
    Photograph("skimage", "data/rocket.jpg"),
)


@cache
def load(photograph: Photograph) -> Image:
    """Read a photograph as (height, width, 3) BGR, its margin cut off.

    Raises:
        FileNotFoundError: The installed package does not hold it.
    """
    spec = find_spec(photograph.package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"The demo's photograph {photograph.name!r} is part of {photograph.package}, which is not "
            "installed: install the plugin with its extra 'demo'."
        )
    file = Path(spec.origin).parent / photograph.path
    pixels = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if pixels is None:
        raise FileNotFoundError(
            f"The demo's photograph {photograph.name!r} cannot be read from {file}: this version of "
            f"{photograph.package} seems to ship without it; install another (scikit-learn 1.9 and "
            "scikit-image 0.26 have all)."
        )
    top, left = (round(photograph.margin * side) for side in pixels.shape[:2])
    return np.asarray(pixels[top : len(pixels) - top, left : pixels.shape[1] - left], dtype=np.uint8)


def crop(pixels: Image, size: int, rng: np.random.Generator) -> Image:
    """Return a random square of a photograph as (size, size, 3), possibly mirrored, a little brighter or darker."""
    height, width = pixels.shape[:2]
    side = round(min(height, width) * rng.uniform(0.4, 1.0))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    square = pixels[top : top + side, left : left + side]
    if rng.random() < 0.5:
        square = square[:, ::-1]
    shrinking = side > size
    square = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC)
    return np.clip(square * rng.uniform(0.85, 1.15), 0, 255).astype(np.uint8)


def write(file: Path, pixels: Image, quality: int = 93) -> None:
    """Write a BGR picture as JPEG."""
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    file.write_bytes(encoded.tobytes())
