"""Weight objects instead of images: background with a high score counts more in the loss, probable objects less."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from .carried import EVERY_CLASS

__all__ = ["HARD_SCORE", "HardNegativeLoss", "emphasise", "gate_of"]

HARD_SCORE = 0.1
"""Score above which background counts as a hard negative (chosen: few background boxes exceed it)."""


class HardNegativeLoss(torch.nn.Module):  # type: ignore[misc]
    """Element-wise loss in which hard negatives count more, and what may be an object less.

    A hard negative is an element without any target that the model scores above :data:`HARD_SCORE`: background, or a
    wrong class of an object. Hard negatives are found in every batch, as in online hard example mining (Shrivastava et
    al., CVPR 2016, arXiv:1604.03540), but no element is dropped. With :attr:`gate`, elements without a target count
    that often; where it is 0, so is the gradient. The sum is that of the plain loss times the gate: the balance of
    classification and box loss does not change, and what is left out does not go to the other elements.

    Args:
        gain: factor on the loss of hard negatives.
        plain: the loss of every element; None for cross entropy of logits.

    Attributes:
        gate: factor on the loss of elements without a target, in the shape of the logits; None for 1.

    Example:
        >>> logits, target = torch.tensor([2.0, -4.0, 2.0]), torch.tensor([0.0, 0.0, 1.0])
        >>> plain, loss = HardNegativeLoss(1.0)(logits, target), HardNegativeLoss(3.0)(logits, target)
        >>> [round(ratio, 2) for ratio in (loss / plain).tolist()]
        [1.04, 0.35, 0.35]
        >>> bool(torch.isclose(loss.sum(), plain.sum()))
        True
        >>> gated = HardNegativeLoss(3.0)
        >>> gated.gate = torch.tensor([0.0, 1.0, 0.0])
        >>> [round(ratio, 2) for ratio in (gated(logits, target) / plain).tolist()]  # the object counts as before
        [0.0, 1.0, 1.0]
    """

    def __init__(self, gain: float, plain: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.gain = gain
        self.plain = torch.nn.BCEWithLogitsLoss(reduction="none") if plain is None else plain
        self.gate: torch.Tensor | None = None

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of every element, in the shape of the logits."""
        kept = self.plain(input, target)
        background = target == 0
        if self.gate is not None:
            kept = kept * torch.where(background, self.gate.to(kept.dtype), 1.0)
        if self.gain == 1:
            return kept
        hard = background & (input.detach().sigmoid() > HARD_SCORE)
        loss = kept * (1 + (self.gain - 1) * hard)
        return loss * (kept.sum() / loss.sum().clamp(min=torch.finfo(loss.dtype).tiny)).detach()


def emphasise(model: Any, gain: float) -> None:
    """Replace the classification loss of an Ultralytics model by :class:`HardNegativeLoss`.

    Its gate follows ``batch["gates"]``. Called again, this changes the gain.

    Args:
        model: a detection or segmentation model in training; of a distillation model the student is changed.
        gain: see :class:`HardNegativeLoss`.

    Raises:
        ValueError: if its loss has no classification cross entropy, or its classes are texts.
    """
    student = getattr(model, "student_model", model)
    if hasattr(student, "set_classes"):
        raise ValueError(
            f"the loss of {type(student).__name__} cannot be weighed object by object: its classes are texts, which "
            f"differ from batch to batch; set negative_gain to 1 and loss_gate to off"
        )
    if getattr(student, "criterion", None) is None:
        student.criterion = student.init_criterion()
    heads = [student.criterion, *(getattr(student.criterion, name, None) for name in ("one2many", "one2one"))]
    heads = [head for head in heads if isinstance(getattr(head, "bce", None), torch.nn.Module)]
    if not heads:
        raise ValueError(
            f"negative_gain needs a loss with a classification cross entropy, got {type(student.criterion)}"
        )
    for head in heads:
        if isinstance(head.bce, HardNegativeLoss):
            head.bce.gain = gain
        else:
            head.bce = HardNegativeLoss(gain, head.bce)
            head.loss = partial(_gated, head, head.loss)


def gate_of(gates: torch.Tensor | None, feats: Any, head: Any) -> torch.Tensor | None:
    """Return the factor on the loss of every anchor and class, ``(batch, anchors, classes)``; None without gates.

    A gate acts on the anchors that a label there could be assigned to (``select_candidates_in_gts`` of Ultralytics):
    those with their centre in the box, which is at least one stride large. Of several the smallest factor counts.

    Args:
        gates: ``(k, 7)``: image in the batch, class (:data:`~.carried.EVERY_CLASS` for all), factor, centre, width and
            height as fractions of the image.
        feats: feature maps of the strides, ``(batch, channels, height, width)`` each.
        head: an Ultralytics loss: ``stride``, ``nc``, ``assigner``.
    """
    if gates is None or not len(gates):
        return None
    from ultralytics.utils.ops import xywh2xyxy
    from ultralytics.utils.tal import make_anchors

    gates = gates.to(feats[0].device, torch.float32)
    points, strides = make_anchors(feats, head.stride, 0.5)
    size = torch.tensor(feats[0].shape[:1:-1], device=gates.device) * head.stride[0]  # width and height, pixels
    boxes = xywh2xyxy(gates[:, 3:] * size.repeat(2))[:, None].float()
    inside = head.assigner.select_candidates_in_gts((points * strides).float(), boxes, torch.ones_like(boxes[..., :1]))
    factor = torch.where(inside[:, 0], gates[:, 2:3], 1.0)
    image, label = gates[:, 0].long(), gates[:, 1].long()
    batch, anchors, every = len(feats[0]), len(points), label == EVERY_CLASS
    found = factor.new_ones(batch * head.nc, anchors)
    rows = (image * head.nc + label)[~every, None].expand(-1, anchors)
    found = found.scatter_reduce(0, rows, factor[~every], "amin").view(batch, head.nc, anchors)
    if every.any():
        rows = image[every, None].expand(-1, anchors)
        found = torch.minimum(
            found, factor.new_ones(batch, anchors).scatter_reduce(0, rows, factor[every], "amin")[:, None]
        )
    return found.permute(0, 2, 1)


def _gated(head: Any, plain: Any, preds: Any, batch: dict[str, Any]) -> Any:
    """Compute a loss of Ultralytics with the gates of the batch."""
    head.bce.gate = gate_of(batch.get("gates"), preds["feats"], head)
    try:
        return plain(preds, batch)
    finally:
        head.bce.gate = None
