"""The loop closed in FiftyOne: weights out, a real training, its predictions in, the next round mined."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.delegated import DelegatedOperationService

from fiftyone_plugin.actions import train as training
from fiftyone_plugin.actions.losses import add_losses
from fiftyone_plugin.demo.dataset import SIZE, WEIGHTS, load_digits, prepare_digits
from fiftyone_plugin.review.ledger import Ledger, ReviewEntry
from fiftyone_plugin.runs import records
from fiftyone_plugin.store import model_record
from hnm_core.io.mining_folder import load_mining
from hnm_core.strategies import forget_strategy, register_strategy
from hnm_core.training.losses import loss_strategy
from hnm_core.training.plan import TrainerSettings
from tests.datasets import FIELDS, MINE
from tests.plugin.forms.test_forms import form, problem

pytest.importorskip("ultralytics", reason="a real training")

TRAIN = "@hnm/hard-negative-mining/train_on_hard_negatives"
QUICK: dict[str, Any] = {"epochs": 1, "imgsz": 64, "batch": 8, "device": "cpu", "warmup": 0, "mine_every": 0}
QUIET = {"nbs": 8, "plots": False, "amp": False}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small demo on disk: data and predictions."""
    folder = tmp_path_factory.mktemp("digits")
    return prepare_digits(folder / "demo", images=30, seed=0), folder / "demo" / "predictions"


@pytest.fixture
def dataset(digits: tuple[Path, Path]) -> fo.Dataset:
    found = load_digits(*digits, f"train_{len(fo.list_datasets())}")
    foo.get_operator(MINE)(found, **FIELDS, run_key="first")
    return found


@pytest.mark.slow
def test_the_next_round_is_what_the_trained_model_gets_wrong(dataset: fo.Dataset, tmp_path: Path) -> None:
    sample = dataset.match_tags("train").first()
    box = sample.predictions.detections[0]
    x, y, w, h = box.bounding_box
    Ledger(dataset).add([ReviewEntry(sample.id, "prediction", box.label, (x, y, x + w, y + h), "ignore")])
    pool = dataset.add_samples([fo.Sample(str(tmp_path / f"{number}.jpg")) for number in range(3)])
    shares: list[float] = []
    done = training.train(
        dataset, "first", WEIGHTS, tmp_path / "out", **QUICK, settings=QUIET, progress=lambda s, label: shares.append(s)
    )
    assert (done["run_key"], done["pred_field"]) == ("first_2", "first_2_predictions")
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert records.keys(dataset) == ["first", "first_2"]
    assert records.settings_of(dataset, "first_2").pred_field == "first_2_predictions"
    (known,) = model_record.models_of(dataset, "first_2_predictions")
    assert known["model"] == done["model"] == str(tmp_path / "out" / "run" / "weights" / "best.pt")
    assert len(dataset.exists("first_2_predictions")) == len(dataset) - len(pool)
    assert not len(dataset.select(pool).exists("first_2_count"))  # nobody has labelled them: they are no background
    train = dataset.match_tags("train")
    assert len(train) == len(dataset.exists("first_2_weight"))
    assert len(train.exists("first_2_weight")) == len(train)
    result, _ = load_mining(tmp_path / "out" / "run" / "hard_negatives" / "round_001")
    assert len(result.truth.images) == len(train)
    (review,) = json.loads((tmp_path / "out" / "data" / "reviews.json").read_text())
    assert (tmp_path / "out" / "data" / review["image"]).is_file()
    assert json.dumps(done)
    assert training.next_key(dataset, "first") == "first_3"


def test_thresholds_of_classes_that_are_gone_do_not_stop_the_next_round(dataset: fo.Dataset) -> None:
    label = dataset.distinct("ground_truth.detections.label")[0]
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="strict", class_confidence={label: 0.6})
    before = records.settings_of(dataset, "strict")
    dataset.clone_sample_field("predictions", "fewer")
    for field in ("fewer", "ground_truth"):
        dataset.filter_labels(field, fo.ViewField("label") != label, only_matches=False).save(field)
    after, notes = training.with_thresholds_of(dataset, replace(before, run_key="later", pred_field="fewer"))
    assert notes == [f"run 'later' is mined without the thresholds of {label!r}: no box has that class"]
    assert after.engine == replace(before.engine, class_confidence={})
    assert foo.get_operator(MINE)(dataset, **after.as_dict())["run_key"] == "later"
    assert training.with_thresholds_of(dataset, after) == (after, [])


@pytest.mark.slow
def test_delegated_training_does_it_without_a_val_split_too(dataset: fo.Dataset, tmp_path: Path) -> None:
    dataset.delete_samples(dataset.match_tags(["val", "test"]))
    sample = dataset.first()
    sample.predictions.detections.append(fo.Detection(label="eight", bounding_box=[0, 0, 0.1, 0.1], confidence=0.2))
    sample.save()
    limits = {"max_per_group": 2, "group_field": "filepath", "class_confidence": {"eight": 0.9}}
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="limited", **limits)
    params = {"run_key": "limited", "model": str(WEIGHTS), "output_dir": str(tmp_path / "out"), "new_run_key": "next"}
    foo.execute_operator(
        TRAIN, {"dataset": dataset}, params={**params, **QUICK, "settings": QUIET}, request_delegation=True
    )
    service = DelegatedOperationService()
    service.execute_queued_operations(operator=TRAIN, dataset_name=dataset.name)
    (done,) = service.list_operations(operator=TRAIN, dataset_name=dataset.name)
    assert done.run_state == "completed", done.result.error
    dataset.reload()
    assert records.keys(dataset) == ["first", "limited", "next"]
    assert any(
        "max_per_group is not applied to the rounds during training" in note for note in done.result.result["warnings"]
    )
    assert any("best checkpoint was chosen on the training images" in note for note in done.result.result["warnings"])


def test_what_cannot_be_trained_is_said_before_anything_is_written(dataset: fo.Dataset, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    free = tmp_path / "free"
    operator = foo.get_operator(TRAIN)
    with pytest.raises(FileExistsError, match="full exists and is not empty: export into a new folder"):
        operator(dataset, "first", str(WEIGHTS), str(tmp_path / "full"))
    with pytest.raises(FileNotFoundError, match=r"file 'nowhere\.pt' does not exist on the machine that runs FiftyOne"):
        operator(dataset, "first", "nowhere.pt", str(free))
    with pytest.raises(
        ValueError, match="field 'predictions' already has boxes in these samples: choose another field"
    ):
        operator(dataset, "first", str(WEIGHTS), str(free), pred_field="predictions")
    with pytest.raises(ValueError, match="Ultralytics has no setting 'epoch'"):
        operator(dataset, "first", str(WEIGHTS), str(free), settings={"epoch": 3})
    assert not free.exists()
    assert records.keys(dataset) == ["first"]


def test_the_form_says_what_the_next_round_is_called(dataset: fo.Dataset, tmp_path: Path) -> None:
    found = form(dataset, TRAIN, model=str(WEIGHTS), output_dir=str(tmp_path / "out"))
    assert problem(found) is None
    assert "empty: first_2" in json.dumps(found["new_run_key"])
    assert found["epochs"]["default"] == TrainerSettings().epochs
    assert (found["model"]["default"], found["imgsz"]["default"]) == (str(WEIGHTS), SIZE)
    assert found["output_dir"]["default"].endswith(f"hard_negatives/{dataset.slug}/first_training")
    assert str(problem(form(dataset, TRAIN, model="best.onnx"))).startswith("model must be an Ultralytics checkpoint")


def test_the_loss_of_a_model_is_a_field_that_mining_reads(dataset: fo.Dataset) -> None:
    losses = add_losses(dataset, WEIGHTS, "ground_truth")
    assert losses == dict(zip(*dataset.values(["id", "model_loss"]), strict=True))
    assert len(losses) == len(dataset)
    assert min(losses.values()) >= 0
    assert len(set(losses.values())) > len(dataset) / 2
    register_strategy("model_loss")(loss_strategy(losses))
    try:
        mined = foo.get_operator(MINE)(dataset, **FIELDS, run_key="by_loss", strategy="model_loss")
    finally:
        forget_strategy("model_loss")
    assert mined["report"]["statistics"]["hard_negatives"] > 0
    path = "ground_truth.detections.label"
    dataset.set_values(path, [found and ["cat"] * len(found) for found in dataset.values(path)])
    with pytest.raises(ValueError, match=r"digits\.pt has no class 'cat'; its classes are three, seven"):
        add_losses(dataset, WEIGHTS, "ground_truth")
