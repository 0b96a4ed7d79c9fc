"""Compute the training loss of a model on single images, without augmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..io.progress import Progress, silent, tracked
from ..strategies import Difficulty, StrategyInput, find_strategy
from .detecting import load_detector

__all__ = ["ImageLosses", "image_losses", "loss_percentiles", "loss_strategy"]


@dataclass(frozen=True, eq=False)
class ImageLosses:
    """The loss of every image of a split.

    Attributes:
        images: paths, as Ultralytics reads them.
        loss: ``(images,)`` float64 ≥ 0, box + class + distribution loss with the gains of the model.
        background: ``(images,)`` bool, images without objects, whose loss has a different scale.
    """

    images: tuple[str, ...]
    loss: NDArray[np.float64]
    background: NDArray[np.bool_]

    @property
    def percentile(self) -> NDArray[np.float64]:
        """``(images,)`` in (0, 1], rank of the loss among the images with objects, or among those without."""
        return loss_percentiles(self.loss, self.background)


def loss_percentiles(loss: NDArray[np.float64], background: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return rank / number of images of each loss, separately for images with and without objects; ties: mean rank.

    The loss of an image with objects is divided by its assigned targets, that of an image without objects by 1.

    Example:
        >>> loss_percentiles(np.array([0.5, 9.0, 0.1, 7.0]), np.array([False, True, False, True])).tolist()
        [1.0, 1.0, 0.5, 0.5]
    """
    out = np.zeros(len(loss))
    for group in (background, ~background):
        values = np.sort(loss[group])
        below, through = (np.searchsorted(values, loss[group], side=side) for side in ("left", "right"))
        out[group] = (below + through + 1) / (2 * max(len(values), 1))
    return out


def image_losses(
    model: str | Path,
    data: str | Path,
    split: str = "train",
    *,
    imgsz: int | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> ImageLosses:
    """Compute the loss of a model on every image of a split, with batch size 1, letterboxed, without augmentation.

    Batch size 1, because Ultralytics divides the loss by the assigned targets of the whole batch, so the loss of one
    image cannot be separated.

    Args:
        model: an Ultralytics checkpoint for detection or segmentation.
        data: ``data.yaml``.
        split: ``train``, ``val`` or ``test``.
        imgsz: side in pixels; None for the training size of the model.
        device: device name of Ultralytics.
        progress: shows the progress.

    Raises:
        ValueError: if the model has another task, or the split does not exist.
        ImportError: if Ultralytics is missing.
    """
    try:
        import torch
        from ultralytics.cfg import get_cfg
        from ultralytics.data import build_yolo_dataset
        from ultralytics.data.utils import check_det_dataset
    except ImportError:
        raise ImportError("the loss of a model needs Ultralytics: pip install ultralytics") from None
    yolo = load_detector(model)
    if yolo.task not in ("detect", "segment"):
        raise ValueError(f"{model} is a model for {yolo.task}; the loss is available for detect and segment")
    described = check_det_dataset(str(data))
    if not described.get(split):
        raise ValueError(f"{data} has no split {split!r}")
    net = yolo.model.float().to(device).eval()
    size = imgsz or int(yolo.overrides.get("imgsz") or 640)
    asked = get_cfg(overrides={"task": yolo.task, "imgsz": size, "data": str(data), "cache": False, "mode": "val"})
    net.args, net.criterion = asked, None
    dataset = build_yolo_dataset(asked, described[split], 1, described, mode="val", rect=False, stride=32)
    loss = np.zeros(len(dataset))
    with torch.no_grad():
        for i in tracked(range(len(dataset)), "computing losses", progress):
            batch = dataset.collate_fn([dataset[i]])
            batch = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
            batch["img"] = batch["img"].float() / 255
            loss[i] = float(net.loss(batch, net(batch["img"]))[0].sum())
    background = np.array([len(label["cls"]) == 0 for label in dataset.labels], dtype=bool)
    return ImageLosses(tuple(dataset.im_files), loss, background)


def loss_strategy(losses: dict[str, float]) -> Callable[[StrategyInput], Difficulty]:
    """Return a strategy: the difficulty of ``loss_based`` times the percentile of the image's loss.

    Register it with :func:`~hnm_core.strategies.register_strategy`.

    Args:
        losses: loss by image key of the truth table.

    Raises:
        ValueError: when it is used, if the loss of an image is missing.
    """

    def strategy(inputs: StrategyInput) -> Difficulty:
        images = inputs.truth.images
        unknown = [name for name in images if name not in losses]
        if unknown:
            raise ValueError(f"the loss of {len(unknown)} of {len(images)} images is not known, first {unknown[0]!r}")
        background = np.bincount(inputs.truth.image, minlength=len(images)) == 0
        rank = loss_percentiles(np.array([losses[name] for name in images], dtype=np.float64), background)
        stored = find_strategy("loss_based")(inputs)
        return Difficulty(stored.prediction * rank[inputs.predictions.image], stored.truth * rank[inputs.truth.image])

    return strategy
