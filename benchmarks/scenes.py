"""Boxes shaped like COCO val2017 under a one-stage detector: long-tailed classes, ties, many weak predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections
from hnm_core.boxes import xyxy_to_xywh

WIDTH, HEIGHT = 640.0, 480.0
TRUTHS_PER_IMAGE, PREDICTIONS_PER_IMAGE, CLASSES = 7.4, 58, 80
FOUND, DUPLICATED, CONFUSED, MISPLACED = 0.85, 0.9, 1.1, 1.2
"""Predictions per truth that are right, second ones, of another class, badly placed; the rest is background."""


def coco_like(images: int, seed: int = 0) -> tuple[Detections, Detections]:
    """Predictions and truth of ``images`` images, about 65 boxes each; scores are rounded, so that there are ties."""
    rng = np.random.default_rng(seed)
    prior = 1.0 / np.arange(1, CLASSES + 1)
    prior /= prior.sum()
    count = rng.negative_binomial(1.05, 1.05 / (1.05 + TRUTHS_PER_IMAGE), images)
    image = np.repeat(np.arange(images), count)
    theme = rng.choice(CLASSES, (images, 3), p=prior)  # an image holds few classes, many of each
    label = theme[image, rng.integers(3, size=len(image))]
    boxes = _boxes(len(image), rng)

    parts = []
    for share, spread, shape in ((FOUND, 0.05, (2.6, 1.3)), (DUPLICATED, 0.13, (0.6, 9)), (MISPLACED, 0.38, (0.55, 8))):
        of = rng.integers(len(image), size=round(share * len(image)))
        parts.append((image[of], _moved(boxes[of], spread, rng), label[of], rng.beta(*shape, len(of))))
    of = rng.integers(len(image), size=round(CONFUSED * len(image)))
    other = (label[of] + rng.integers(1, CLASSES, len(of))) % CLASSES
    parts.append((image[of], _moved(boxes[of], 0.07, rng), other, rng.beta(0.55, 7, len(of))))
    rest = max(images * PREDICTIONS_PER_IMAGE - sum(len(p[0]) for p in parts), 0)
    somewhere = rng.integers(images, size=rest)
    parts.append((somewhere, _boxes(rest, rng), rng.choice(CLASSES, rest, p=prior), rng.beta(0.35, 14, rest)))

    found, xyxy, classes, score = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(found, kind="stable")
    names = {"images": [f"{i:07d}" for i in range(images)], "classes": [f"class {c}" for c in range(CLASSES)]}
    score = np.round(np.clip(score, 0.001, 1.0), 5)
    return (
        Detections(found[order], xyxy[order], classes[order], score[order], **names),
        Detections(image, boxes, label, None, **names),
    )


def write_coco(predictions: Detections, truth: Detections, folder: Path) -> tuple[Path, Path]:
    """Both tables as the two json files that the peers read: truth, results."""
    assert predictions.score is not None
    gt, dt = folder / "gt.json", folder / "dt.json"
    annotations = [
        {**row, "id": i + 1, "area": row["bbox"][2] * row["bbox"][3], "iscrowd": 0}
        for i, row in enumerate(_rows(truth))
    ]
    images = [{"id": i + 1, "width": int(WIDTH), "height": int(HEIGHT)} for i in range(len(truth.images))]
    categories = [{"id": c + 1, "name": name} for c, name in enumerate(truth.classes)]
    gt.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    results = [{**row, "score": s} for row, s in zip(_rows(predictions), predictions.score.tolist(), strict=True)]
    dt.write_text(json.dumps(results))
    return gt, dt


def _rows(table: Detections) -> list[dict[str, Any]]:
    columns = (table.image.tolist(), table.label.tolist(), xyxy_to_xywh(table.xyxy).tolist())
    return [{"image_id": i + 1, "category_id": c + 1, "bbox": box} for i, c, box in zip(*columns, strict=True)]


def _boxes(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Small, medium and large boxes as COCO has them, wholly inside the image."""
    side = np.sqrt(WIDTH * HEIGHT) * np.exp(rng.normal(np.log(0.115), 0.95, n)).clip(0.008, 1.0)
    stretch = np.sqrt(np.exp(rng.normal(0, 0.55, n)))
    size = np.stack([np.minimum(side * stretch, WIDTH), np.minimum(side / stretch, HEIGHT)], axis=1)
    corner = rng.random((n, 2)) * (np.array([WIDTH, HEIGHT]) - size)
    return np.round(np.concatenate([corner, corner + size], axis=1), 2)


def _moved(boxes: NDArray[np.float64], spread: float, rng: np.random.Generator) -> NDArray[np.float64]:
    size = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + rng.normal(0, spread, size.shape) * size
    half = size * np.exp(rng.normal(0, spread, size.shape)) / 2
    moved = np.concatenate([centre - half, centre + half], axis=1).clip(0, [WIDTH, HEIGHT] * 2)
    return np.round(moved, 2)
