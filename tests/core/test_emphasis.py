"""The loss that counts hard negatives several times: by hand, in every kind of model, and in a training."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ultralytics", reason="it is Ultralytics' loss that is changed")

import torch
from ultralytics import YOLO
from ultralytics.cfg import get_cfg

from fiftyone_plugin.demo.dataset import WEIGHTS
from fiftyone_plugin.demo.digits import make_digits
from hnm_core.training import HardNegativeTrainer, TrainingPlan
from hnm_core.training.emphasis import HardNegativeLoss, emphasise


def test_the_loss_is_dealt_to_hard_negatives_and_its_sum_stays() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn((4, 50, 3), generator=rng) * 4
    target = torch.rand(logits.shape, generator=rng) * (torch.rand(logits.shape, generator=rng) > 0.9)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    assert torch.equal(HardNegativeLoss(1.0)(logits, target), plain)
    loss = HardNegativeLoss(3.0)(logits, target)
    assert torch.isclose(loss.sum(), plain.sum())
    hard, known = (target == 0) & (logits > -math.log(9)), plain > 1e-6  # a score above .1
    ratio = loss / plain
    rest = ratio[~hard & known]
    assert torch.allclose(rest, rest[0])
    assert torch.allclose(ratio[hard & known], 3 * rest[0])


def test_the_gradient_is_that_of_cross_entropy_dealt_likewise() -> None:
    logits = torch.tensor([3.0, -4.0, 0.5], requires_grad=True)
    target = torch.tensor([0.0, 0.0, 1.0])
    loss = HardNegativeLoss(3.0)(logits, target)
    plain = HardNegativeLoss(1.0)(logits, target).detach()
    loss.sum().backward()
    assert logits.grad is not None
    assert torch.allclose(logits.grad, (logits.sigmoid() - target).detach() * loss.detach() / plain)


def test_a_batch_without_any_loss_stays_without() -> None:
    assert HardNegativeLoss(3.0)(torch.full((2,), -1e9), torch.zeros(2)).tolist() == [0, 0]


@pytest.mark.parametrize(("name", "losses"), [("yolo11n", 1), ("yolo11n-seg", 1), ("yolo26n", 2)])
def test_every_kind_of_model_that_can_be_mined_takes_it(name: str, losses: int) -> None:
    model = YOLO(f"{name}.yaml").model
    model.args = get_cfg()
    emphasise(model, 3.0)
    heads = [model.criterion, *(getattr(model.criterion, part, None) for part in ("one2many", "one2one"))]
    found = [head.bce for head in heads if hasattr(head, "bce")]
    assert [(type(loss), loss.gain) for loss in found] == [(HardNegativeLoss, 3.0)] * losses
    batch = {"img": torch.rand(1, 3, 64, 64), "batch_idx": torch.zeros(1), "cls": torch.zeros(1, 1)}
    batch |= {"bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4]]), "masks": torch.ones(1, 16, 16)}
    if name == "yolo26n":
        assert torch.isfinite(model.train().loss(batch)[0]).all()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="negative_gain needs a loss with a cross entropy of classes"):
        emphasise(SimpleNamespace(criterion=SimpleNamespace()), 2.0)
    with pytest.raises(ValueError, match=r"negative_gain must be 1 or more, got 0\.5"):
        TrainingPlan(negative_gain=0.5)


@pytest.mark.slow
def test_it_counts_in_a_training_and_no_checkpoint_needs_it(tmp_path: Path) -> None:
    data = make_digits(tmp_path / "set", 16, seed=3, size=64, withheld=0, splits=(("train", 0.5), ("val", 0.5)))
    seen: list[Any] = []
    yolo = YOLO(str(WEIGHTS))
    yolo.add_callback("on_train_batch_end", lambda trainer: seen.append(trainer.model.criterion.bce))
    tiny = {"imgsz": 64, "batch": 8, "nbs": 8, "device": "cpu", "plots": False, "amp": False, "val": False}
    plan = {"mine_every": 0, "warmup": 0, "negative_gain": 3.0}
    yolo.train(
        data=str(data), trainer=HardNegativeTrainer, mining=plan, epochs=1, project=str(tmp_path), name="run", **tiny
    )
    assert [(type(loss), loss.gain) for loss in seen] == [(HardNegativeLoss, 3.0)]
    kept = torch.load(tmp_path / "run" / "weights" / "last.pt", weights_only=False)
    assert getattr(kept["model"] or kept["ema"], "criterion", None) is None
