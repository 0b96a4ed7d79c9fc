"""One image of the demo: handwritten digits, some of them targets, painted on a crop of a photograph.

The 1,797 scans of scikit-learn's digits are dealt once into the detector's and the demo's, and within each to
the splits: no handwriting the detector was trained on is in the demo, and none of train is in test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from fiftyone_plugin.demo import ink, photographs

Scans = Literal["demo", "detector"]
Pool = dict[int, npt.NDArray[np.intp]]  # digit → rows of scikit-learn's digits
Box = tuple[int, int, int, int]
CLASSES = {3: "three", 7: "seven"}  # digit → class name, in the order of the class indices

DEAL = 1797  # seed of the one deal of scans; another would hand the demo scans the detector has seen
DETECTOR_SHARE = 0.6  # of the scans of each digit
BARE, TARGETLESS = 0.08, 0.17  # shares of the images with no digit at all, and with look-alikes only
TARGETS, LOOK_ALIKES = (1, 2), (1, 4)  # how many of each are placed, both ends included
HEIGHTS = (0.13, 0.3)  # of a digit, as a share of the image's side
DEGREES, SLANT = 14.0, 0.15  # most rotation and slant, either way
APART, CARELESS = 0.02, 0.4  # how much of the smaller of two boxes may be covered: usually, and now and then
CARELESSNESS = 0.15  # how often "now and then" is
TRIES = 30  # places tried before a digit is left out


@dataclass
class PlacedDigit:
    """One digit of an image, labelled or not.

    Attributes:
        digit: What the scan shows, 0 to 9.
        xyxy: Box around its ink in pixels, edges included: x1, y1, x2, y2.
        target: Whether it is one of the classes.
        withheld: Whether its label is left out of the label file on purpose.
        scan: Row of the scan in scikit-learn's digits.
    """

    digit: int
    xyxy: Box
    target: bool
    withheld: bool
    scan: int


def deal_scans(scans: Scans, splits: Sequence[tuple[str, float]]) -> dict[str, Pool]:
    """Deal one side's scans to its splits, each digit apart.

    Args:
        scans: Whose scans.
        splits: Names and shares of the splits; the shares sum to 1.

    Returns:
        Per split: digit → rows of scikit-learn's digits. No row is in two splits, nor on both sides.

    Raises:
        ValueError: A split is too small to get a scan of each digit.
    """
    _, digit_of = handwriting()
    rng = np.random.default_rng(DEAL)
    cuts = np.cumsum([share for _, share in splits])[:-1]
    dealt: dict[str, Pool] = {name: {} for name, _ in splits}
    for digit in range(10):
        rows = rng.permutation(np.flatnonzero(digit_of == digit))
        border = round(DETECTOR_SHARE * len(rows))
        own = rows[:border] if scans == "detector" else rows[border:]
        parts = np.split(own, np.round(cuts * len(own)).astype(int))
        for (name, share), part in zip(splits, parts, strict=True):
            if not len(part):
                raise ValueError(
                    f"Split {name!r} has a share of {share:g} and gets none of the {len(own)} scans of the "
                    f"digit {digit}: give it a larger share."
                )
            dealt[name][digit] = part
    return dealt


@cache
def handwriting() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Return scikit-learn's digits: (1797, 8, 8) ink in [0, 16] and (1797,) what each shows."""
    from sklearn.datasets import load_digits  # takes a second: only when a set is made

    bunch = load_digits()
    return bunch.images, bunch.target


def compose(pool: Pool, rank: float, size: int, rng: np.random.Generator) -> tuple[str, list[PlacedDigit], ink.Image]:
    """Make one scene.

    Args:
        pool: The scans to draw from.
        rank: In [0, 1): below ``BARE`` no digit, for ``TARGETLESS`` more only look-alikes, then targets too.
        size: Side of the picture in pixels.
        rng: Decides everything else.

    Returns:
        The photograph's name, the digits in the order they were painted, (size, size, 3) BGR.
    """
    photograph = photographs.PHOTOGRAPHS[rng.integers(len(photographs.PHOTOGRAPHS))]
    canvas = photographs.crop(photographs.load(photograph), size, rng)
    digits: list[PlacedDigit] = []
    for digit in _choose(rank, rng):
        scan = int(rng.choice(pool[digit]))
        alpha = _write(scan, size, rng)
        box = _find_place(alpha.shape, size, [other.xyxy for other in digits], rng)
        if box is not None:
            ink.paint(canvas, alpha, box[0], box[1], rng)
            digits.append(PlacedDigit(digit, box, target=digit in CLASSES, withheld=False, scan=scan))
    return photograph.name, digits, canvas


def _choose(rank: float, rng: np.random.Generator) -> list[int]:
    """Return the digits of a scene, in the order in which they are painted."""
    others = [digit for digit in range(10) if digit not in CLASSES]
    chosen: list[int] = []
    if rank >= BARE:
        chosen += rng.choice(others, rng.integers(LOOK_ALIKES[0], LOOK_ALIKES[1] + 1)).tolist()
    if rank >= BARE + TARGETLESS:
        chosen += rng.choice(list(CLASSES), rng.integers(TARGETS[0], TARGETS[1] + 1)).tolist()
    return [int(digit) for digit in rng.permutation(chosen)]


def _write(scan: int, size: int, rng: np.random.Generator) -> ink.Alpha:
    """Return a scan as a stroke of random height (log-uniform), rotation and slant."""
    height = size * float(np.exp(rng.uniform(*np.log(HEIGHTS))))
    degrees, slant = rng.uniform(-DEGREES, DEGREES), rng.uniform(-SLANT, SLANT)
    return ink.stroke(handwriting()[0][scan], height, degrees, slant)


def _find_place(shape: tuple[int, ...], size: int, before: list[Box], rng: np.random.Generator) -> Box | None:
    """Return a box of that (rows, columns) that covers little of those before it, or None if none was found."""
    covered = CARELESS if rng.random() < CARELESSNESS else APART
    rows, columns = shape
    for _ in range(TRIES):
        x, y = int(rng.integers(size - columns + 1)), int(rng.integers(size - rows + 1))
        box = (x, y, x + columns, y + rows)
        if all(_cover(box, other) <= covered for other in before):
            return box
    return None


def _cover(a: Box, b: Box) -> float:
    """Return the shared area of two boxes as a share of the smaller one."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(width, 0) * max(height, 0) / smaller
