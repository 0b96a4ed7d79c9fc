"""What an image costs a model in training: its loss, one image at a time, unaugmented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..io.progress import Progress, silent
from ..strategies import Difficulty, Evidence, find_strategy

__all__ = ["ImageLosses", "image_losses", "loss_percentiles", "loss_strategy"]


@dataclass(frozen=True, eq=False)
class ImageLosses:
    """The loss of every image of a split.

    Attributes:
        images: paths, as Ultralytics reads them.
        loss: ``(images,)`` float64 ≥ 0, box + class + distribution loss with the model's own gains.
        background: ``(images,)`` bool, images without objects: their loss is on a scale of its own.
    """

    images: tuple[str, ...]
    loss: NDArray[np.float64]
    background: NDArray[np.bool_]

    @property
    def percentile(self) -> NDArray[np.float64]:
        """``(images,)`` in (0, 1], how the loss ranks among the images with objects, or among those without."""
        return loss_percentiles(self.loss, self.background)


def loss_percentiles(loss: NDArray[np.float64], background: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Rank of each loss over the number of images, apart for images with and without objects; ties share the mean.

    The loss of an image with objects is divided by what it assigns to them, that of one without by 1.

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
    """The loss of a model on every image of a split, batch 1, letterboxed, unaugmented.

    Batch 1, since Ultralytics divides the loss by what is assigned in the whole batch: in company an image's own loss
    can't be told.

    Args:
        model: a checkpoint of Ultralytics to detect or segment.
        data: ``data.yaml``.
        split: ``train``, ``val`` or ``test``.
        imgsz: side in pixels; None for the one the model was trained at.
        device: as Ultralytics names it.
        progress: told how far it has come.

    Raises:
        ValueError: if the model does something else, or there is no such split.
        ImportError: if Ultralytics is missing.
    """
    try:
        import torch
        from ultralytics import YOLO
        from ultralytics.cfg import get_cfg
        from ultralytics.data import build_yolo_dataset
        from ultralytics.data.utils import check_det_dataset
    except ImportError:
        raise ImportError("the loss of a model needs Ultralytics: pip install ultralytics") from None
    yolo = YOLO(str(model))
    if yolo.task not in ("detect", "segment"):
        raise ValueError(f"{model} is a model to {yolo.task}; the loss is known for those that detect or segment")
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
        for i in progress(range(len(dataset)), "losses"):
            batch = dataset.collate_fn([dataset[i]])
            batch = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
            batch["img"] = batch["img"].float() / 255
            loss[i] = float(net.loss(batch, net(batch["img"]))[0].sum())
    background = np.array([len(label["cls"]) == 0 for label in dataset.labels], dtype=bool)
    return ImageLosses(tuple(dataset.im_files), loss, background)


def loss_strategy(losses: dict[str, float]) -> Callable[[Evidence], Difficulty]:
    """``loss_based`` with the model's own word: difficulty times how the loss of the image ranks.

    To be registered by :func:`~hnm_core.strategies.register_strategy`.

    Args:
        losses: loss by image, as the table of truths names it.

    Raises:
        ValueError: when it is used, if the loss of an image is not known.
    """

    def strategy(evidence: Evidence) -> Difficulty:
        images = evidence.truth.images
        unknown = [name for name in images if name not in losses]
        if unknown:
            raise ValueError(f"the loss of {len(unknown)} of {len(images)} images is not known, first {unknown[0]!r}")
        background = np.bincount(evidence.truth.image, minlength=len(images)) == 0
        rank = loss_percentiles(np.array([losses[name] for name in images], dtype=np.float64), background)
        stored = find_strategy("loss_based")(evidence)
        return Difficulty(
            stored.prediction * rank[evidence.predictions.image], stored.truth * rank[evidence.truth.image]
        )

    return strategy
