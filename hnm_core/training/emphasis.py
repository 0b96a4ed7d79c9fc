"""Weight on objects rather than on images: background that the model in training takes for an object counts more."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["SURE", "HardNegativeLoss", "emphasise"]

SURE = 0.1
"""Score above which background counts as taken for an object (chosen: a background box passes it rarely)."""


class HardNegativeLoss(torch.nn.BCEWithLogitsLoss):  # type: ignore[misc]
    """Cross entropy, element by element, in which hard negatives count several times and the sum stays as it was.

    A hard negative is an element without any target that the model scores above :data:`SURE`: background, or a class
    that the object is not of. It is found anew in every batch, as in online hard example mining (Shrivastava et al.,
    CVPR 2016, arXiv:1604.03540), but nothing is thrown away. As the sum stays, classes weigh as much as ever beside
    boxes.

    Args:
        gain: how many times as much a hard negative counts as any other element.

    Example:
        >>> logits, target = torch.tensor([2.0, -4.0, 2.0]), torch.tensor([0.0, 0.0, 1.0])
        >>> plain, loss = HardNegativeLoss(1.0)(logits, target), HardNegativeLoss(3.0)(logits, target)
        >>> [round(ratio, 2) for ratio in (loss / plain).tolist()]
        [1.04, 0.35, 0.35]
        >>> bool(torch.isclose(loss.sum(), plain.sum()))
        True
    """

    def __init__(self, gain: float) -> None:
        super().__init__(reduction="none")
        self.gain = gain

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of every element, in the shape of the logits."""
        plain = super().forward(input, target)
        hard = (target == 0) & (input.detach().sigmoid() > SURE)
        loss = plain * (1 + (self.gain - 1) * hard)
        return loss * (plain.sum() / loss.sum().clamp(min=torch.finfo(loss.dtype).tiny)).detach()


def emphasise(model: Any, gain: float) -> None:
    """Let hard negatives count so many times in the classification loss of a model of Ultralytics.

    Args:
        model: a model to detect or segment, in training; one that learns from a teacher is changed inside.
        gain: 1 changes nothing.

    Raises:
        ValueError: if its loss has no cross entropy of classes.
    """
    student = getattr(model, "student_model", model)
    if getattr(student, "criterion", None) is None:
        student.criterion = student.init_criterion()
    heads = [student.criterion, *(getattr(student.criterion, name, None) for name in ("one2many", "one2one"))]
    losses = [head for head in heads if isinstance(getattr(head, "bce", None), torch.nn.Module)]
    if not losses:
        raise ValueError(f"negative_gain needs a loss with a cross entropy of classes, not {type(student.criterion)}")
    for loss in losses:
        loss.bce = HardNegativeLoss(gain)
