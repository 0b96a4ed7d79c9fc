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


def test_what_a_gate_leaves_out_goes_to_nothing_else() -> None:
    logits, target = torch.tensor([2.0, 2.0, -4.0, 1.0]), torch.tensor([0.0, 0.0, 0.0, 0.5])
    loss = HardNegativeLoss(3.0)
    loss.gate = torch.tensor([0.25, 1.0, 1.0, 0.0])
    plain = [math.log(1 + math.exp(2)), math.log(1 + math.exp(2)), math.log(1 + math.exp(-4))]
    plain.append(math.log(1 + math.exp(1)) - 0.5)  # has a target: no gate
    gated = [0.25 * plain[0], *plain[1:]]
    counted = [3 * gated[0], 3 * gated[1], gated[2], gated[3]]
    by_hand = [each * sum(gated) / sum(counted) for each in counted]
    assert loss(logits, target).tolist() == pytest.approx(by_hand, rel=1e-4)
    loss.gain = 1.0
    assert loss(logits, target).tolist() == pytest.approx(gated, rel=1e-4)


def test_a_loss_of_the_users_own_is_kept() -> None:
    class Focal(torch.nn.BCEWithLogitsLoss):  # type: ignore[misc]
        def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return super().forward(input, target) * 2

    model = YOLO("yolo11n.yaml").model
    model.args = get_cfg()
    model.criterion = model.init_criterion()
    model.criterion.bce = Focal(reduction="none")
    emphasise(model, 1.0)
    assert torch.equal(model.criterion.bce(torch.zeros(2), torch.ones(2)), torch.full((2,), 2 * math.log(2)))


GATES = torch.tensor(
    [
        [0, 1, 0.0, 0.25, 0.25, 0.3, 0.3],  # image, class, factor, centre, width and height
        [0, 1, 0.5, 0.30, 0.25, 0.1, 0.1],  # inside the first: the smaller factor counts
        [1, -1, 0.0, 0.75, 0.5, 0.4, 0.8],  # of every class
        [1, 0, 0.5, 0.1, 0.1, 0.01, 0.01],  # smaller than a stride
    ]
)


def gradients(name: str, gain: float, gates: torch.Tensor | None) -> torch.Tensor:
    """Gradient of the loss at the logits, ``(images, classes, anchors)``."""
    torch.manual_seed(0)
    model = YOLO(f"{name}.yaml").model.train()
    model.args = get_cfg()
    emphasise(model, gain)
    batch: dict[str, Any] = {"img": torch.rand(2, 3, 128, 128), "batch_idx": torch.tensor([0.0, 1.0])}
    batch |= {"cls": torch.tensor([[0.0], [1.0]]), "bboxes": torch.tensor([[0.7, 0.7, 0.3, 0.3]] * 2)}
    batch |= {"masks": torch.ones(2, 32, 32), "sem_masks": torch.zeros(2, 32, 32)}
    preds = model(batch["img"])
    head = preds.get("one2one", preds) if isinstance(preds, dict) else preds[1]
    scores = head["scores"]
    if gates is not None:
        batch["gates"] = gates
    (found,) = torch.autograd.grad(model.criterion(preds, batch)[0].sum(), scores)
    return found


@pytest.mark.parametrize(("name", "gain"), [("yolo11n", 1.0), ("yolo11n-seg", 3.0), ("yolo26n", 3.0)])
def test_where_a_region_is_ignored_the_gradient_is_exactly_0(name: str, gain: float) -> None:
    found, plain = gradients(name, gain, GATES), gradients(name, gain, None)
    side, inside = 128, torch.zeros(2, found.shape[1], found.shape[2], dtype=torch.bool)
    start = 0
    for stride in (8, 16, 32):
        n = side // stride
        y, x = (torch.stack(torch.meshgrid(*[(torch.arange(n) + 0.5) * stride] * 2, indexing="ij"))).reshape(2, -1)
        at = slice(start, start + n * n)
        inside[0, 1, at] |= (x > 0.1 * side) & (x < 0.4 * side) & (y > 0.1 * side) & (y < 0.4 * side)
        inside[1, :, at] |= (x > 0.55 * side) & (x < 0.95 * side) & (y > 0.1 * side) & (y < 0.9 * side)
        start += n * n
    assert start == found.shape[2]
    positive = plain < 0  # an object lies there: what has a target is trained as before
    assert inside.sum() > 200
    assert (plain[inside] != 0).all()
    assert (found[inside & ~positive] == 0).all()
    assert (found[inside & positive] != 0).all()
    assert (found[~inside] != 0).all()


def test_a_suspect_counts_as_often_as_its_label_is_right_and_other_classes_fully() -> None:
    half = torch.tensor([[0, 1, 0.5, 0.25, 0.25, 0.4, 0.4]])
    ratio = gradients("yolo11n", 1.0, half) / gradients("yolo11n", 1.0, None)
    assert torch.unique(ratio[0, 1].round(decimals=4)).tolist() == [0.5, 1.0]
    assert torch.allclose(ratio[0, 0], torch.ones(()))
    assert torch.allclose(ratio[1], torch.ones(()))


def test_models_whose_classes_are_texts_are_refused() -> None:
    from ultralytics.nn.tasks import WorldModel

    class World(WorldModel):  # type: ignore[misc]
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)

    with pytest.raises(ValueError, match=r"the loss of World cannot be weighed .* its classes are texts"):
        emphasise(World(), 3.0)


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
    with pytest.raises(ValueError, match="negative_gain needs a loss with a classification cross entropy"):
        emphasise(SimpleNamespace(criterion=SimpleNamespace()), 2.0)
    with pytest.raises(ValueError, match=r"negative_gain must be a number, 1 or more, got 0\.5"):
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
