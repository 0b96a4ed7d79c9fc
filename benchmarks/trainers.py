"""What every trainer draws of every layout, beside what ``weights.csv`` promises, with the loaders installed here."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hnm_core import Detections
from hnm_core.columns import CROWD, OBJECT
from hnm_core.export import ExportImage, ExportSettings, export_weighted
from hnm_core.verify import TRAINERS, Verification, verify_export
from hnm_core.weighting.weights import round_to_repeats

LAYOUTS: dict[str, dict[str, Any]] = {
    "`ultralytics`": {"layout": "ultralytics"},
    "`yolov5`": {"layout": "yolov5"},
    "`coco`": {"layout": "coco"},
    "`coco`, from 0": {"layout": "coco", "first_category_id": 0},
    "`coco`, no crowds": {"layout": "coco", "crowds": "leave_out"},
    "`rfdetr`": {"layout": "rfdetr"},
    "`torch`": {"layout": "torch"},
}
IMAGES, VAL, SIDE = 40, 8, 64
"""Images in all, those to validate on, and their side in pixels."""


def table() -> list[str]:
    """Each trainer's draws of each layout, and what read them."""
    with tempfile.TemporaryDirectory() as folder:
        images, truth = scene(Path(folder, "images"))
        for number, options in enumerate(LAYOUTS.values()):
            facts: dict[str, Any] = {"report": {}, "run_key": "table", "settings": ExportSettings(**options)}
            export_weighted(Path(folder, str(number)), images, truth, **facts)
        lines = [f"| trainer | {' | '.join(LAYOUTS)} | read with |", f"|---|{'---|' * (len(LAYOUTS) + 1)}"]
        for trainer in TRAINERS:
            found = [_read(Path(folder, str(number)), trainer) for number in range(len(LAYOUTS))]
            readers = sorted({one.read_with for one in found if one is not None}, key=lambda name: "rules" in name)
            lines.append(f"| {trainer} | {' | '.join(map(cell, found))} | {'; '.join(readers)} |")
    return lines


def scene(folder: Path) -> tuple[list[ExportImage], Detections]:
    """Return images of noise with weights from 1 to 3, a tenth of them background, and one with a crowd."""
    folder.mkdir()
    random = np.random.default_rng(0)
    weights = np.where(np.arange(IMAGES) % 3 == 0, 1 + 2 * random.random(IMAGES), 1.0)
    weights[:VAL] = 1
    repeats = round_to_repeats(weights)
    images, names = [], [f"{i:02}" for i in range(IMAGES)]
    for i, name in enumerate(names):
        path = folder / f"{name}.png"
        Image.fromarray(random.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
        images.append(ExportImage(str(path), name, "val" if i < VAL else "train", float(weights[i]), int(repeats[i])))
    at = np.flatnonzero(np.arange(IMAGES) % 10 != 9)
    corner = random.random((len(at), 2)) * 0.5
    boxes = np.vstack([np.hstack([corner, corner + 0.3]), [[0.6, 0.6, 1.0, 1.0]]])
    kind = np.array([OBJECT] * len(at) + [CROWD], dtype=np.uint8)
    image = np.append(at, VAL)
    return images, Detections(image, boxes, image % 2, None, names, ["round", "square"], kind=kind)


def cell(found: Verification | None) -> str:
    """Return what is drawn of what is promised; in bold where the trainer misreads the export."""
    if found is None:
        return "–"
    promised = sum(times for times, _ in found.repeats.values())
    drawn = sum(times for _, times in found.repeats.values())
    text = f"{drawn:.4g} / {promised:.4g}"
    if not found.differing and found.problems:
        text += f", {reason(found.problems[0])}"
    return f"**{text}**" if found.problems else text


def reason(problem: str) -> str:
    """Return in a few words why an export is misread although all is drawn."""
    words = {"class number": "classes shifted", "crowds become": "crowds as objects"}
    return next((short for part, short in words.items() if part in problem), "wrong")


def _read(folder: Path, trainer: str) -> Verification | None:
    try:
        return verify_export(folder, trainer)
    except FileNotFoundError:
        return None
