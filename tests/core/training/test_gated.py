"""Trainings whose loss is gated: from the first round on, after an error for lack of memory, and when resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ultralytics", reason="Ultralytics trains")

from ultralytics import YOLO

from fiftyone_plugin.demo.dataset import WEIGHTS
from fiftyone_plugin.demo.digits import make_digits
from hnm_core.training import HardNegativeSegmentationTrainer, HardNegativeTrainer, TrainingPlan, train
from hnm_core.training.emphasis import HardNegativeLoss

TINY: dict[str, Any] = {
    **{"imgsz": 128, "batch": 8, "nbs": 8, "device": "cpu", "plots": False, "amp": False, "val": False, "workers": 0},
    **{"lr0": 1e-5, "optimizer": "SGD", "warmup_epochs": 0, "verbose": False},
}
"""A training that hardly changes the model, so that it goes on predicting what nobody labelled."""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data.yaml`` of 24 images to train on, with half of their labels withheld."""
    splits = (("train", 0.8), ("val", 0.2))
    return make_digits(tmp_path_factory.mktemp("digits") / "set", 30, seed=3, size=128, withheld=0.5, splits=splits)


class Watched(HardNegativeTrainer):
    """A trainer that keeps what every batch said of gates, and how the loss took it."""

    seen: list[tuple[int, int, float]]
    steps: list[str]
    fails: int = 0

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        self.seen = getattr(self, "seen", [])
        criterion = getattr(self.model, "criterion", None)
        loss = getattr(criterion, "bce", None)
        gain = loss.gain if isinstance(loss, HardNegativeLoss) else 0.0
        self.seen.append((self.epoch, len(batch["gates"]), gain))
        if self.fails and len(self.seen) == 2:
            type(self).fails -= 1
            raise RuntimeError("CUDA out of memory, says the test")
        batch = super().preprocess_batch(batch)
        assert not (batch["cls"] < 0).any()
        return batch

    def _emphasise(self) -> None:
        super()._emphasise()
        self.steps = [*getattr(self, "steps", []), "emphasise"]

    def _set_epoch(self) -> None:
        super()._set_epoch()
        self.steps = [*getattr(self, "steps", []), "epoch"]

    def _mine_if_due(self) -> None:
        super()._mine_if_due()
        self.steps.append("due")


def trained(data: Path, project: Path, plan: dict[str, Any], trainer: Any = Watched, **options: Any) -> Any:
    """The trainer after a training from the demo's weights."""
    yolo = YOLO(str(WEIGHTS))
    yolo.train(data=str(data), trainer=trainer, mining=plan, project=str(project), name="run", **{**TINY, **options})
    return yolo.trainer


@pytest.fixture(scope="module")
def run(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two epochs with a negative gain, a round after the first."""
    plan = {"negative_gain": 3.0, "warmup": 1, "mine_every": 5}
    return trained(digits, tmp_path_factory.mktemp("run"), plan, epochs=2)


@pytest.mark.slow
def test_the_gain_starts_with_the_round_that_finds_the_suspects(run: Any) -> None:
    assert {seen[1:] for seen in run.seen if seen[0] == 0} == {(0, 0.0)}  # Ultralytics' own loss
    assert {seen[2] for seen in run.seen if seen[0] == 1} == {3.0}
    assert all(seen[1] for seen in run.seen if seen[0] == 1)


@pytest.mark.slow
def test_suspects_cover_withheld_objects_and_are_kept_in_a_file(run: Any, digits: Path) -> None:
    from hnm_core.boxes import overlapping

    suspects = run.suspects.boxes
    answers = json.loads((digits.parent / "answers.json").read_text())["images"]
    withheld = covered = 0
    for image, name in enumerate(suspects.images):
        known = answers[f"images/train/{Path(name).name}"]["digits"]
        boxes = np.array([d["xyxy"] for d in known if d["withheld"]]).reshape(-1, 4) / 128
        rows = np.flatnonzero(suspects.image == image)
        pairs = np.repeat(np.arange(len(boxes)), len(rows)), np.tile(rows, len(boxes))
        one, _, iou = overlapping(boxes, suspects.xyxy, *pairs)
        withheld += len(boxes)
        covered += len(set(one[iou >= 0.5].tolist()))
    assert withheld >= 10
    assert covered > withheld / 2
    assert (suspects.score > 0.7).sum() >= covered / 2
    lines = (Path(run.save_dir) / "hard_negatives" / "suspects.csv").read_text().splitlines()
    assert len(lines) == len(suspects) + 1


@pytest.mark.slow
def test_a_method_that_a_subclass_overrides_is_called(run: Any) -> None:
    assert run.steps[:6] == ["emphasise", "epoch", "emphasise", "due", "epoch", "due"]


@pytest.mark.slow
def test_the_loader_that_is_built_again_after_an_error_carries_the_same(digits: Path, tmp_path: Path) -> None:
    class Failing(Watched):
        fails = 1

    plan = {"negative_gain": 3.0, "warmup": 0, "mine_every": 0, "suspect_evidence": []}
    trainer = trained(digits, tmp_path, plan, Failing, epochs=1)
    assert Failing.fails == 0
    assert trainer.batch_size == 4
    assert [seen[2] for seen in trainer.seen] == [3.0] * (2 + 6)
    assert all(seen[1] for seen in trainer.seen)


@pytest.mark.slow
def test_a_resumed_training_goes_on_with_suspects_that_the_model_may_have_forgotten(
    digits: Path, tmp_path: Path
) -> None:
    class Killed(Watched):
        def _set_epoch(self) -> None:
            super()._set_epoch()
            if self.epoch == 1:
                raise KeyboardInterrupt

    plan = {"loss_gate": "drop", "warmup": 0, "mine_every": 0, "suspect_evidence": []}
    with pytest.raises(KeyboardInterrupt):
        trained(digits, tmp_path, plan, Killed, epochs=2)
    yolo = YOLO(str(tmp_path / "run" / "weights" / "last.pt"))
    yolo.train(resume=True, trainer=Watched)
    assert [seen[0] for seen in yolo.trainer.seen] == [1, 1, 1]
    assert all(seen[1] and seen[2] == 1.0 for seen in yolo.trainer.seen)
    assert yolo.trainer.plan.loss_gate == "drop"


@pytest.mark.slow
def test_without_suspects_reviews_and_regions_the_loss_is_ultralytics_own(digits: Path, tmp_path: Path) -> None:
    trainer = trained(digits, tmp_path, {"warmup": 0, "mine_every": 0}, epochs=1)
    assert {seen[1:] for seen in trainer.seen} == {(0, 0.0)}
    assert trainer.suspects is None


def test_reviews_and_ignored_regions_are_gated_from_the_first_batch(
    digits: Path, tmp_path: Path, said: pytest.LogCaptureFixture
) -> None:
    images = sorted((digits.parent / "images" / "train").glob("*.jpg"))
    entry = {"side": "prediction", "class": "three", "bbox": [0.1, 0.1, 0.4, 0.4], "state": "missing_label"}
    reviews, regions = tmp_path / "reviews.json", tmp_path / "regions.jsonl"
    reviews.write_text(json.dumps([{**entry, "image": image.name} for image in images[:5]]))
    lines = [{**entry, "image": image.name, "state": "ignore", "class": "crowd"} for image in images[5:8]]
    regions.write_text("\n".join(map(json.dumps, lines)))
    plan = {"warmup": 9, "reviews": str(reviews), "ignore_regions": str(regions)}
    trainer = trained(digits, tmp_path, plan, epochs=1, mosaic=0.0, translate=0.0, scale=0.0)
    assert sum(seen[1] for seen in trainer.seen) == 8
    assert trainer.seen[0][2] == 1.0
    assert "loss: 8 boxes are left out of the loss, 0 count less" in said.text


def test_labels_in_training_are_for_detectors_and_said_to_be_off_on_clean_labels(tmp_path: Path, digits: Path) -> None:
    with pytest.raises(ValueError, match=r"label_threshold is 0\.9, but a model of the task 'segment' would learn"):
        train(digits, "yolo11n-seg.yaml", TrainingPlan(label_threshold=0.9), project=str(tmp_path), **TINY)
    assert HardNegativeSegmentationTrainer.__mro__[1] is HardNegativeTrainer.__mro__[1]
