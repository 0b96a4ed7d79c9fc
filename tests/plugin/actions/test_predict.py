"""A real checkpoint over real images: what Ultralytics itself sees, in a field that knows whose boxes they are."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone import ViewField as F
from fiftyone.operators.delegated import DelegatedOperationService

from fiftyone_plugin.actions import checkpoints, predict
from fiftyone_plugin.demo.dataset import SIZE, WEIGHTS
from fiftyone_plugin.demo.digits import make_digits
from fiftyone_plugin.runs import records
from fiftyone_plugin.store import model_record
from tests.datasets import MINE
from tests.plugin.forms.test_forms import form, problem

pytest.importorskip("ultralytics", reason="a real detector makes the predictions")

PREDICT = "@hnm/hard-negative-mining/predict_with_yolo"
IMAGES = 12


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data.yaml`` of a few images with digits on them."""
    return make_digits(tmp_path_factory.mktemp("digits"), IMAGES, seed=0, size=SIZE)


@pytest.fixture
def dataset(digits: Path) -> fo.Dataset:
    found = fo.Dataset()
    found.add_samples([fo.Sample(str(path)) for path in sorted(digits.parent.glob("images/*/*.jpg"))])
    return found


def test_the_field_holds_what_ultralytics_sees(dataset: fo.Dataset) -> None:
    from ultralytics import YOLO

    shares: list[float] = []
    done = predict.predict(dataset, WEIGHTS, "yolo", batch=5, progress=lambda share, label: shares.append(share))
    assert (done["samples"], done["images_read"]) == (IMAGES, IMAGES)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    model, boxes = YOLO(str(WEIGHTS)), 0
    for sample in dataset:
        seen = model.predict(sample.filepath, conf=0.01, verbose=False)[0].boxes.cpu().numpy()
        kept = sample.yolo.detections
        assert [box.label for box in kept] == [model.names[int(number)] for number in seen.cls]
        assert np.allclose([box.confidence for box in kept], seen.conf, atol=1e-4)
        corners = np.array([box.bounding_box for box in kept]).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        assert np.allclose(corners, seen.xyxyn, atol=1e-3)
        boxes += len(kept)
    assert boxes == done["detections"] > IMAGES


def test_the_documents_are_those_that_fiftyone_writes(dataset: fo.Dataset) -> None:
    predict.predict(dataset, WEIGHTS, "yolo")
    dataset.set_values("again", [fo.Detections(detections=found.detections) for found in dataset.values("yolo")])
    for sample in dataset._sample_collection.find():
        assert sample["yolo"] == sample["again"]
    assert dataset.filter_labels("yolo", fo.ViewField("confidence") > 0.5).count("yolo.detections") > 0


def test_the_field_knows_its_model_and_mining_says_so(dataset: fo.Dataset) -> None:
    predict.predict(dataset, WEIGHTS, "yolo", confidence=0.02)
    (known,) = model_record.models_of(fo.load_dataset(dataset.name), "yolo")
    assert known["model"] == str(WEIGHTS)
    assert known["sha256"] == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert (known["confidence"], known["imgsz"], known["samples"]) == (0.02, SIZE, IMAGES)
    dataset.set_values("ground_truth", [sample.yolo for sample in dataset])
    assert model_record.model_notes(dataset, "ground_truth") == []
    mined = foo.get_operator(MINE)(dataset, pred_field="yolo", gt_field="ground_truth", run_key="run")
    note_start = f"'yolo' was predicted by digits.pt (sha256 {known['sha256'][:12]}) on {IMAGES} samples, boxes with"
    assert any(note.startswith(note_start) for note in mined["warnings"])


def test_two_models_in_one_field_are_both_named(dataset: fo.Dataset, tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    shutil.copy(WEIGHTS, other)
    predict.predict(dataset[:4], WEIGHTS, "yolo")
    predict.predict(dataset[4:], other, "yolo")
    assert [Path(known["model"]).name for known in model_record.models_of(dataset, "yolo")] == ["digits.pt", "other.pt"]
    predict.predict(dataset, other, "yolo", overwrite=True)
    assert [Path(known["model"]).name for known in model_record.models_of(dataset, "yolo")] == ["other.pt"]


def test_images_that_cannot_be_read_are_counted_and_left_without_predictions(
    dataset: fo.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "damaged.jpg").write_text("no image")
    dataset.add_samples([fo.Sample(str(tmp_path / name)) for name in ("gone.jpg", "damaged.jpg")])
    done = predict.predict(dataset, WEIGHTS, "yolo", batch=IMAGES + 1)
    assert done["images_read"] == IMAGES
    assert done["warnings"][0] == (
        f"2 of {IMAGES + 2} images cannot be read (1 missing, 1 damaged) and have no predictions "
        f"(first: '{tmp_path / 'gone.jpg'}')"
    )
    assert dataset.values("yolo")[-2:] == [None, None]
    assert len(dataset.exists("yolo")) == IMAGES
    with pytest.raises(ValueError, match=r"none of the 1 images can be read \(first: '.*damaged\.jpg'\)"):
        predict.predict(dataset[-1:], WEIGHTS, "fresh")
    assert dataset.get_field("fresh") is None


def test_images_the_model_was_trained_on_are_counted(
    dataset: fo.Dataset, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = predict.predict(dataset, WEIGHTS, "a")["warnings"][-1]
    assert unknown.startswith(
        "predictions on images that a model was trained on look too good, and this checkpoint does"
    )
    train = len(list((digits.parent / "images" / "train").iterdir()))
    monkeypatch.setattr(model_record, "training_data", lambda model: str(digits))
    known = predict.predict(dataset, WEIGHTS, "b")["warnings"][-1]
    assert known.endswith(f": {train} of the {IMAGES} images are in the train split of {str(digits)!r}")


def test_ground_truth_and_boxes_that_are_there_are_never_overwritten_by_chance(dataset: fo.Dataset) -> None:
    box: dict[str, Any] = {"label": "three", "bounding_box": [0.1, 0.1, 0.2, 0.2]}
    for field, scored in (("truth", {}), ("yolo", {"confidence": 0.5})):
        dataset.set_values(field, [fo.Detections(detections=[fo.Detection(**box, **scored)]) for _ in range(IMAGES)])
    with pytest.raises(
        ValueError, match="field 'truth' has boxes without confidence, so it seems to be ground truth: choose"
    ):
        predict.predict(dataset, WEIGHTS, "truth", overwrite=True)
    with pytest.raises(
        ValueError, match="field 'yolo' already has boxes in these samples: choose another field, or set"
    ):
        predict.predict(dataset, WEIGHTS, "yolo")
    filtered = dataset.filter_labels("truth", F("label") == "none", only_matches=False)
    for hiding in (dataset.exclude_fields(["truth", "yolo"]), filtered):
        with pytest.raises(ValueError, match="field 'truth' has boxes without confidence"):
            predict.predict(hiding, WEIGHTS, "truth", overwrite=True)
    with pytest.raises(ValueError, match="field 'yolo' already has boxes in these samples"):
        predict.predict(dataset.select_fields([]).limit(3), WEIGHTS, "yolo")
    with pytest.raises(ValueError, match="field 'filepath' is of type StringField, but mining needs Detections"):
        predict.predict(dataset, WEIGHTS, "filepath")
    foo.get_operator(MINE)(dataset, pred_field="yolo", gt_field="truth", run_key="old")
    done = predict.predict(dataset, WEIGHTS, "yolo", overwrite=True)
    assert "mining runs 'old' describe the previous boxes of 'yolo': mine again" in done["warnings"]
    assert records.keys(dataset) == ["old"]


@pytest.mark.parametrize(
    ("model", "error", "sentence"),
    [
        (
            "nowhere/best.pt",
            FileNotFoundError,
            "file 'nowhere/best.pt' does not exist on the machine that runs FiftyOne$",
        ),
        (
            "yolo11n.pt",
            FileNotFoundError,
            "file 'yolo11n.pt' does not exist .*; set download=True to download Ultralytics'",
        ),
        ("best.onnx", ValueError, "model must be an Ultralytics checkpoint, a .pt file, got 'best.onnx'"),
    ],
)
def test_only_the_file_that_was_named_is_loaded(model: str, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        checkpoints.find_model(model)


def test_what_is_no_checkpoint_is_named(dataset: fo.Dataset, tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_text("no checkpoint")
    with pytest.raises(ValueError, match=r"Ultralytics cannot load .*best.pt as a checkpoint: "):
        predict.predict(dataset, tmp_path / "best.pt", "yolo")
    assert dataset.get_field("yolo") is None


def test_the_form_warns_of_code_before_anything_is_loaded(dataset: fo.Dataset) -> None:
    found = form(dataset, PREDICT, model=str(WEIGHTS))
    assert problem(found) is None
    assert "can run code when it is loaded" in found["trust"]["view"]["label"]
    assert found["confidence"]["default"] == predict.DEFAULTS.confidence
    assert str(problem(form(dataset, PREDICT, model="best.onnx"))).startswith("model must be an Ultralytics checkpoint")
    assert "download" not in form(dataset, PREDICT, model="runs/best.pt")
    hub = form(dataset, PREDICT, model="yolo11n.pt")
    assert hub["download"]["default"] is False
    assert "set download=True to download" in str(problem(hub))
    assert problem(form(dataset, PREDICT, model="yolo11n.pt", download=True)) is None


def test_delegated_predicting_does_the_same(dataset: fo.Dataset) -> None:
    params = {"model": str(WEIGHTS), "pred_field": "yolo", "imgsz": 0}
    foo.execute_operator(PREDICT, {"dataset": dataset}, params=params, request_delegation=True)
    service = DelegatedOperationService()
    service.execute_queued_operations(operator=PREDICT, dataset_name=dataset.name)
    (done,) = service.list_operations(operator=PREDICT, dataset_name=dataset.name)
    assert done.run_state == "completed", done.result.error
    assert done.status.progress == 1.0
    dataset.reload()
    foo.get_operator(PREDICT)(dataset, model=str(WEIGHTS), pred_field="other")
    assert dataset.values("yolo.detections.confidence") == dataset.values("other.detections.confidence")
