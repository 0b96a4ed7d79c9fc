"""Four small photographs with labels and weights, for tests of exports: noise, so that no two are alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections
from hnm_core.export import ExportImage

NAMES = ("street", "field", "yard", "check")
CLASSES = ["cat", 'dog "big": yes']
WIDTH, HEIGHT = 96, 64

TRUTH = Detections(
    image=[0, 0, 2, 3],
    xyxy=[[0.25, 0.25, 0.75, 0.5], [-0.1, 0.0, 0.2, 0.2], [0.5, 0.5, 1.0, 1.0], [0.1, 0.1, 0.3, 0.3]],
    label=[0, 1, 1, 0],
    score=None,
    images=NAMES,
    classes=CLASSES,
)
"""Fractions; one box reaches outside its image, and `field` holds nothing."""


def photographs(folder: Path, suffix: str = ".png") -> dict[str, Path]:
    """The images, written into a new folder."""
    pixels = pytest.importorskip("PIL.Image", reason="Pillow makes the images")
    folder.mkdir()
    random = np.random.default_rng(0)
    paths = {name: folder / f"{name}{suffix}" for name in NAMES}
    for path in paths.values():
        pixels.fromarray(random.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(path)
    return paths


def entries(paths: Mapping[str, Path], **changes: Mapping[str, Any]) -> list[ExportImage]:
    """Three images to train on, one to validate with."""
    images = [
        ExportImage(str(paths["street"]), "street", "train", 2.0, 2, 0.9, 3, {"background": 2, "missed": 1}),
        ExportImage(str(paths["field"]), "field", "train", 1.5, 1, 0.4, 1, {"background": 1}),
        ExportImage(str(paths["yard"]), "yard"),
        ExportImage(str(paths["check"]), "check", "val"),
    ]
    return [ExportImage(**{**vars(i), **changes.get(i.sample_id, {})}) for i in images]
