"""Tiny builders: a scene is readable in one glance.

A prediction is ``("a.jpg", "cat", 0.9, (x0, y0, x1, y1))``, a truth the same without the score; a truth that ends in
``CROWD`` is a crowd region.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from hnm_core import Detections

Row = tuple[Any, ...]
Tables = tuple[Detections, Detections]

patient = settings(deadline=None, derandomize=True)
"""For tests of properties: the same examples every time, on a busy machine too."""

CROWD = "crowd"

HERE = (0, 0, 10, 10)
"""A box of area 100: one that shares its corner and is ``(0, 0, 10, k)`` has IoU k / 10 with it."""

FAR = (100, 100, 110, 110)
"""A box that touches nothing at all."""


def scene(
    predictions: Iterable[Row] = (),
    truth: Iterable[Row] = (),
    *,
    images: Iterable[str] = (),
    classes: Iterable[str] = (),
) -> Tables:
    """Both tables, over the images and classes named, then those of the rows in the order of appearance."""
    predictions, truth = list(predictions), list(truth)
    both = [*predictions, *truth]
    all_images = tuple(dict.fromkeys([*images, *(row[0] for row in both)]))
    all_classes = tuple(dict.fromkeys([*classes, *(row[1] for row in both)]))
    scored = Detections(
        image=np.array([all_images.index(row[0]) for row in predictions], dtype=int),
        xyxy=np.array([row[3] for row in predictions], dtype=float),
        label=np.array([all_classes.index(row[1]) for row in predictions], dtype=int),
        score=np.array([row[2] for row in predictions], dtype=float),
        images=all_images,
        classes=all_classes,
    )
    real = Detections(
        image=np.array([all_images.index(row[0]) for row in truth], dtype=int),
        xyxy=np.array([row[2] for row in truth], dtype=float),
        label=np.array([all_classes.index(row[1]) for row in truth], dtype=int),
        score=None,
        images=all_images,
        classes=all_classes,
        crowd=np.array([CROWD in row[3:] for row in truth], dtype=bool),
    )
    return scored, real


def high(k: float) -> tuple[float, float, float, float]:
    """The lowest ``k`` tenths of ``HERE``: IoU with it is exactly ``k / 10``."""
    return (0, 0, 10, k)


def apart(i: int) -> tuple[float, float, float, float]:
    """The ``i``-th of many boxes that touch neither each other nor ``HERE`` nor ``FAR``."""
    return (20 * i, 1000, 20 * i + 10, 1010)


def everything_at_once() -> Tables:
    """One image for every name a row can have; classes ``cat`` and ``dog``, image ``none`` without any box."""
    return scene(
        [
            ("right", "cat", 0.9, HERE),
            ("localization", "cat", 0.9, high(4)),
            ("classification", "dog", 0.9, high(9)),
            ("duplicate", "cat", 0.9, HERE),
            ("duplicate", "cat", 0.8, high(9)),
            ("background", "cat", 0.9, FAR),
            ("both", "dog", 0.9, high(4)),
            ("below", "cat", 0.4, HERE),
            ("crowd", "cat", 0.9, (1, 1, 3, 3)),
        ],
        [
            *((image, "cat", HERE) for image in ("right", "localization", "classification", "duplicate", "background")),
            *((image, "cat", HERE) for image in ("both", "below", "missed")),
            ("crowd", "cat", HERE, CROWD),
        ],
        images=["none"],
    )


def guides_example(images: int = 10) -> Tables:
    """1000 predictions: 800 right, 120 false alarms, 80 under the threshold; 830 truths, of which 30 are missed."""
    found, real = [], []
    for i in range(images):
        name = f"{i}.jpg"
        right = [apart(k) for k in range(800 // images)]
        real += [(name, "cat", box) for box in right]
        found += [(name, "cat", 0.9, box) for box in right]
        places = iter(apart(1000 + k) for k in range(1000))
        found += [(name, "cat", 0.7, next(places)) for _ in range(120 // images)]
        found += [(name, "cat", 0.3, next(places)) for _ in range(80 // images)]
        real += [(name, "cat", next(places)) for _ in range(30 // images)]
    return scene(found, real)


def random_scene(seed: int, *, images: int = 5, classes: int = 2, crowds: float = 0.1, levels: int = 5) -> Tables:
    """Boxes on a coarse grid with few score levels: ties in score and in IoU, crowds, empty boxes, empty images."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(0, 8 * images, 2)
    names = tuple(f"{i}.jpg" for i in range(images)), tuple(f"class {i}" for i in range(classes))

    def boxes(count: int) -> Any:
        corner, size = rng.integers(0, 7, (count, 2)), rng.integers(0, 7, (count, 2))
        return np.concatenate([corner, corner + size], axis=1)

    def where(count: int) -> Any:
        return rng.integers(0, images, count), boxes(count), rng.integers(0, classes, count)

    predictions = Detections(*where(n), rng.integers(0, levels + 1, n) / levels, *names)
    return predictions, Detections(*where(m), None, *names, crowd=rng.random(m) < crowds)


@st.composite
def scenes(draw: st.DrawFn, *, crowds: bool = True, distinct_scores: bool = False) -> Tables:
    """Small random tables that shrink well; every second coordinate tie is wanted."""
    images, classes = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    side = st.integers(0, 6)
    box = st.tuples(side, side, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
    place = st.tuples(st.integers(0, images - 1), st.integers(0, classes - 1), box)
    score = st.integers(0, 1000) if distinct_scores else st.integers(0, 4).map(lambda level: level * 250)
    scores = draw(st.lists(score, max_size=10, unique=distinct_scores))
    found = draw(st.lists(place, min_size=len(scores), max_size=len(scores)))
    real = draw(st.lists(st.tuples(place, st.booleans() if crowds else st.just(False)), max_size=8))
    return scene(
        [(f"{i}.jpg", f"class {c}", s / 1000, b) for (i, c, b), s in zip(found, scores, strict=True)],
        [(f"{i}.jpg", f"class {c}", b, *([CROWD] if crowd else [])) for (i, c, b), crowd in real],
        images=[f"{i}.jpg" for i in range(images)],
        classes=[f"class {c}" for c in range(classes)],
    )
