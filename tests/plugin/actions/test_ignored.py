"""Crowds and regions of a dataset's truth on their way into the loss of a training."""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.actions import export
from fiftyone_plugin.actions.ignored import save_regions
from fiftyone_plugin.runs import records
from hnm_core.io.truth_files import read_truth_files
from hnm_core.settings import MiningSettings
from hnm_core.training.regions import read_regions
from tests.datasets import FIELDS, MINE, dataset_of
from tests.scenes import scene

BOXES = {"crowd": (100, 100, 400, 300), "car": (500, 500, 600, 600), "far": (600, 0, 1000, 90)}


@pytest.fixture
def dataset(tmp_path: Path) -> fo.Dataset:
    """A crowd, a region and an object in the train image ``a``, a region in the val image ``b``."""
    rows = [("a", "person", 0.9, (0, 0, 90, 90)), ("b", "person", 0.9, (0, 0, 90, 90)), ("c", "car", 0.9, (0, 0, 9, 9))]
    found = dataset_of(scene(rows), tmp_path, {"a": ["train"], "b": ["val"], "c": ["train"]})
    truths = {
        "a": [("person", "crowd", True), ("car", "car", False), ("DontCare", "far", False)],
        "b": [("DontCare", "far", False)],
    }
    for sample in found:
        labels = []
        for label, name, crowd in truths.get(Path(sample.filepath).stem, []):
            x0, y0, x1, y1 = (edge / 1024 for edge in BOXES[name])
            labels.append(fo.Detection(label=label, bounding_box=[x0, y0, x1 - x0, y1 - y0], iscrowd=int(crowd)))
        sample["ground_truth"] = fo.Detections(detections=labels)
        sample.save()
    foo.get_operator(MINE)(found, **FIELDS, run_key="run")
    return found


def test_what_label_files_cannot_hold_goes_to_the_loss(dataset: fo.Dataset, tmp_path: Path) -> None:
    settings = records.settings_of(dataset, "run")
    done = export.export(dataset, "run", tmp_path / "out", layout="ultralytics")
    samples, file = export.labelled_samples(dataset, settings), tmp_path / "out" / "ignored.json"
    assert save_regions(samples, settings.gt_field, settings.engine.ignored, tmp_path / "out", file) == 2

    truth = read_truth_files(Path(done["data"])).table
    assert {truth.classes[label] for label in truth.label} == {"car"}
    gates, lost = read_regions(file, truth, MiningSettings().ignored)
    assert lost == 0
    assert {Path(gates.images[image]).stem for image in gates.image} == {"a"}
    crowd, far = (0, 1) if not gates.every_class[0] else (1, 0)
    assert gates.every_class.tolist().count(True) == 1
    assert truth.classes[gates.label[crowd]] == "person"
    for row, name in ((crowd, "crowd"), (far, "far")):
        assert gates.xyxy[row].tolist() == pytest.approx([edge / 1024 for edge in BOXES[name]])


def test_without_any_there_is_no_file(dataset: fo.Dataset, tmp_path: Path) -> None:
    settings = records.settings_of(dataset, "run")
    export.export(dataset, "run", tmp_path / "out", layout="ultralytics")
    file = tmp_path / "out" / "ignored.json"
    none = dataset.match_tags("none")
    assert save_regions(none, settings.gt_field, settings.engine.ignored, tmp_path / "out", file) == 0
    assert not file.exists()
