"""Boxes that can hardly be meant are mined, and said."""

from __future__ import annotations

import numpy as np

from fiftyone_plugin.actions.mine import mine_samples
from fiftyone_plugin.settings import RunSettings
from fiftyone_plugin.store import box_tables
from fiftyone_plugin.store.doubts import doubts_of
from tests.datasets import FIELDS, dataset_of
from tests.scenes import random_scene


def said(predictions: list[list[float]], truth: list[list[float]]) -> list[str]:
    """What is said of boxes of cats, each in a sample of its own, x y width height."""
    import fiftyone as fo

    dataset = fo.Dataset()
    samples = []
    for number, (found, true) in enumerate(zip(predictions, truth, strict=True)):
        sample = fo.Sample(filepath=f"/pictures/{number}.png")
        box = fo.Detection(label="cat", bounding_box=found, confidence=0.9)
        sample["predictions"] = fo.Detections(detections=[box])
        sample["ground_truth"] = fo.Detections(detections=[fo.Detection(label="cat", bounding_box=true)])
        samples.append(sample)
    dataset.add_samples(samples)
    settings = RunSettings.from_params({**FIELDS, "run_key": "run"})
    notes = doubts_of(box_tables.read_tables(dataset, settings), settings)
    assert [note for note in mine_samples(dataset, settings.as_dict())["warnings"] if note in notes] == notes
    return notes


def boxes(count: int = 20) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.column_stack([rng.uniform(0.5, 0.7, (count, 2)), rng.uniform(0.1, 0.25, (count, 2))])


def corners(xywh: np.ndarray) -> np.ndarray:
    return np.column_stack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]])


def test_corners_in_one_field_are_said_and_that_nothing_fits() -> None:
    edge, far = said(corners(boxes()).tolist(), boxes().tolist())
    assert edge.startswith("20 of 20 boxes in field 'predictions' (first in sample ")
    assert edge.endswith("as fractions of it; are these corners, x0 y0 x1 y1?")
    assert far.startswith("only 0 of 20 predictions of field 'predictions' lie on an object of field 'ground_truth'")


def test_corners_in_both_fields_are_said_of_both() -> None:
    notes = said(corners(boxes()).tolist(), corners(boxes()).tolist())
    assert [note.split("'")[1] for note in notes] == ["predictions", "ground_truth"]


def test_boxes_as_they_should_be_are_not_doubted() -> None:
    assert said(boxes().tolist(), boxes().tolist()) == []


def test_a_scene_with_some_mistakes_is_not_doubted() -> None:
    settings = RunSettings.from_params({**FIELDS, "run_key": "run"})
    assert doubts_of(box_tables.read_tables(dataset_of(random_scene(1)), settings), settings) == []
