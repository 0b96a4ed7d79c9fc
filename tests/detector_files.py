"""A middling detector on many small images, as rows and as the files that the command line reads."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.scenes import CROWD, Row

SIDE = 128
"""Width and height in pixels of the images of :func:`detector_scene`."""


def detector_scene(images: int = 60) -> tuple[list[Row], list[Row], list[str], list[str]]:
    """What a middling detector says of many small images: predictions, truth, names of the images and of the classes.

    Hits, loose boxes, confusions, duplicates, false alarms, misses and crowds; scores of three digits, so that some
    tie; a tenth of the images without truth. Python promises ``Random.random`` for ever, numpy not its generators.
    """
    draw = random.Random(2024).random
    classes = ["cat", "dog", "traffic light"]
    names = [f"{i:02}" for i in range(images)]
    found: list[Row] = []
    real: list[Row] = []

    def box() -> tuple[float, float, float, float]:
        w, h = 8 + 30 * draw(), 8 + 30 * draw()
        x, y = draw() * (SIDE - w), draw() * (SIDE - h)
        return x, y, x + w, y + h

    def moved(of: tuple[float, float, float, float], by: float) -> tuple[float, float, float, float]:
        return tuple(min(max(edge + by * (draw() - 0.5), 0.0), float(SIDE)) for edge in of)  # type: ignore[return-value]

    def score(low: float, high: float) -> float:
        return round(low + (high - low) * draw(), 3)

    for i, name in enumerate(names):
        for _ in range(0 if i % 10 == 9 else 1 + int(4 * draw())):
            place, cls = box(), int(3 * draw())
            real.append((name, classes[cls], place, *([CROWD] if draw() < 0.05 else [])))
            if draw() < 0.2:
                continue
            said = (cls + (draw() < 0.15)) % 3
            found.append((name, classes[said], score(0.2, 1.0), moved(place, 4.0 if draw() < 0.75 else 16.0)))
            if draw() < 0.15:
                found.append((name, classes[cls], score(0.3, 0.9), moved(place, 5.0)))
        for _ in range(int(3 * draw())):
            found.append((name, classes[int(3 * draw())], score(0.05, 0.95), box()))
    return found, real, names, classes


def write_coco_files(folder: Path) -> tuple[Path, Path, Path]:
    """The project's own scene as COCO json, with its images."""
    found, real, images, classes = detector_scene()
    folder.mkdir()
    write_images(folder / "images", images)

    def entry(row: Row, box: tuple[float, ...]) -> dict[str, Any]:
        x0, y0, x1, y1 = box
        bbox = [x0, y0, x1 - x0, y1 - y0]
        return {"image_id": images.index(row[0]), "category_id": 1 + classes.index(row[1]), "bbox": bbox}

    truth = {
        "images": [{"id": i, "file_name": f"{n}.bmp", "width": SIDE, "height": SIDE} for i, n in enumerate(images)],
        "categories": [{"id": 1 + i, "name": name} for i, name in enumerate(classes)],
        "annotations": [{"id": i, **entry(r, r[2]), "iscrowd": int(CROWD in r[3:])} for i, r in enumerate(real)],
    }
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps([{**entry(row, row[3]), "score": row[2]} for row in found]))
    return folder / "gt.json", folder / "results.json", folder / "images"


def write_yolo_files(folder: Path) -> tuple[Path, Path, None]:
    """The project's own scene as a YOLO data set: every sixth image is in val."""
    found, real, images, classes = detector_scene()
    train = {image for i, image in enumerate(images) if i % 6}
    for split, members in (("train", train), ("val", set(images) - train)):
        write_images(folder / "images" / split, sorted(members))
        write_labels(folder / "labels" / split, [(r[0], r[1], r[2]) for r in real if r[0] in members], classes)
        for image in members:  # a background image has an empty label file
            (folder / "labels" / split / f"{image}.txt").touch()
    write_labels(folder / "found", [(r[0], r[1], r[3], r[2]) for r in found if r[0] in train], classes)
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(classes))
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames:\n{names}")
    return folder / "data.yaml", folder / "found", None


def write_labels(folder: Path, rows: list[Row], classes: list[str]) -> None:
    """Label files of rows ``(image, class, box)``, with a score behind it where they are predictions."""
    folder.mkdir(parents=True)
    for image, name, (x0, y0, x1, y1), *score in rows:
        numbers = [(x0 + x1) / 2 / SIDE, (y0 + y1) / 2 / SIDE, (x1 - x0) / SIDE, (y1 - y0) / SIDE, *score]
        with (folder / f"{image}.txt").open("a") as file:
            file.write(f"{classes.index(name)} {' '.join(map(repr, numbers))}\n")


def write_images(folder: Path, names: list[str]) -> None:
    """Images that no two are alike; bitmaps, whose bytes are the same whoever writes them."""
    image = pytest.importorskip("PIL.Image", reason="Pillow makes the images")
    folder.mkdir(parents=True)
    for name in names:
        pixels = bytes((int(name) * 37 + i * 11 + i // SIDE * 5) % 256 for i in range(SIDE * SIDE))
        image.frombytes("L", (SIDE, SIDE), pixels).convert("RGB").save(folder / f"{name}.bmp")
