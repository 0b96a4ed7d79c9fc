"""Folders of benchmarks come through FiftyOne's own importers, and what these do not count is no error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from PIL import Image

from tests.datasets import FIELDS, MINE

SIDE = 200
FREE, COVERED, APART = (20, 20, 60, 60), (100, 20, 140, 60), (20, 120, 60, 160)
"""A plain object, what is not to be counted, and a place where nothing is."""


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIDE, SIDE)).save(path)


def voc(root: Path) -> tuple[Any, dict[str, Any]]:
    picture(root / "data" / "a.jpg")
    objects = "".join(
        f"<object><name>car</name><difficult>{difficult}</difficult><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for difficult, (x0, y0, x1, y1) in enumerate((FREE, COVERED))
    )
    size = f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size>"
    (root / "labels").mkdir()
    (root / "labels" / "a.xml").write_text(f"<annotation><filename>a.jpg</filename>{size}{objects}</annotation>")
    return fo.types.VOCDetectionDataset, {"label_field": FIELDS["gt_field"]}


def kitti(root: Path) -> tuple[Any, dict[str, Any]]:
    picture(root / "data" / "a.png")
    (root / "labels").mkdir()
    lines = [
        f"{name} 0.00 0 -10 {' '.join(f'{edge:.2f}' for edge in box)} -1 -1 -1 -1000 -1000 -1000 -10"
        for name, box in (("Car", FREE), ("DontCare", COVERED))
    ]
    (root / "labels" / "a.txt").write_text("\n".join(lines) + "\n")
    return fo.types.KITTIDetectionDataset, {"label_field": FIELDS["gt_field"]}


def bdd(root: Path) -> tuple[Any, dict[str, Any]]:
    picture(root / "data" / "a.jpg")
    labels = [
        {
            "category": "car",
            "attributes": {"crowd": crowd},
            "box2d": dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)),
        }
        for crowd, box in ((False, FREE), (True, COVERED))
    ]
    (root / "labels.json").write_text(json.dumps([{"name": "a.jpg", "attributes": {}, "labels": labels}]))
    return fo.types.BDDDataset, {"label_field": {"detections": FIELDS["gt_field"]}}


@pytest.mark.parametrize(("make", "label"), [(voc, "car"), (kitti, "Car"), (bdd, "car")])
def test_what_an_importer_marks_is_ignored_and_the_rest_counts(tmp_path: Path, make: Any, label: str) -> None:
    kind, more = make(tmp_path)
    dataset = fo.Dataset.from_dir(str(tmp_path), dataset_type=kind, **more)
    sample = dataset.first()
    found = [(FREE, 0.9), (COVERED, 0.8), (APART, 0.7)]
    sample[FIELDS["pred_field"]] = fo.Detections(
        detections=[
            fo.Detection(
                label=label,
                bounding_box=[x0 / SIDE, y0 / SIDE, (x1 - x0) / SIDE, (y1 - y0) / SIDE],
                confidence=score,
            )
            for (x0, y0, x1, y1), score in found
        ]
    )
    sample.save()
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", hard_negative_ratio=1.0)
    errors = {field: dataset.values(f"{FIELDS[field]}.detections.run_error")[0] for field in ("pred_field", "gt_field")}
    assert errors == {
        "pred_field": ["true_positive", "ignored", "background"],
        "gt_field": ["true_positive", "ignored"],
    }
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="all", hard_negative_ratio=1.0, ignored=[])
    assert "ignored" not in dataset.values(f"{FIELDS['pred_field']}.detections.all_error")[0]
