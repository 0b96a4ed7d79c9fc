"""The loss of a model on each image, as a field of the samples: to sort by, or as the difficulty of ``loss_based``."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import fiftyone as fo

from hnm_core.io import write_yolo
from hnm_core.training.losses import image_losses

from ..store import access, blocks, box_tables, checks, schema
from ..store.journal import FIELD
from ..store.lock import lease
from . import checkpoints

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection


def add_losses(
    samples: SampleCollection, model: str | Path, gt_field: str, field: str = "model_loss", *, imgsz: int | None = None
) -> dict[str, float]:
    """Write the loss of a model on each image into a float field.

    Args:
        samples: a dataset or a view of images.
        model: an Ultralytics checkpoint that detects; its class names include those of the truth.
        gt_field: field of type Detections with the truth.
        field: field for the losses.
        imgsz: side in pixels; None for the size that the model was trained with.

    Returns:
        Loss by sample id, as :func:`hnm_core.training.losses.loss_strategy` takes it.

    Raises:
        ValueError: if the model has no class of a name in the truth, or a field is invalid.
        FileNotFoundError: if there is no such checkpoint.
    """
    checks.check_fields(samples, gt_field)
    path = checkpoints.find_model(model)
    known = checkpoints.load(path).names
    names = tuple(known[number] for number in sorted(known))
    unknown = [name for name in samples.distinct(f"{gt_field}.detections.label") if name not in names]
    if unknown:
        raise ValueError(
            f"{path.name} has no class {', '.join(map(repr, unknown))}; its classes are {', '.join(names)}"
        )
    truth = box_tables.read_truth(samples, gt_field, names)
    file_of = dict(zip(*samples.values(["id", "filepath"]), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        (root / "images").mkdir()
        for sample_id in truth.images:
            file = Path(file_of[sample_id])
            os.symlink(file.resolve(), root / "images" / f"{sample_id}{file.suffix}")
        write_yolo(truth, root / "labels")
        listed = f"path: {json.dumps(str(root))}\ntrain: images\nval: images\nnames: {json.dumps(list(names))}\n"
        (root / "data.yaml").write_text(listed, encoding="utf-8")
        found = image_losses(path, root / "data.yaml", imgsz=imgsz)
    losses = {Path(image).stem: float(loss) for image, loss in zip(found.images, found.loss, strict=True)}
    dataset = access.root(samples)
    with lease(dataset, f"{FIELD}{field}", operator="add_losses") as held:
        schema.declare(held, dataset, {field: (fo.FloatField, "Loss of the model on this image")})
        blocks.set_column(held, dataset, field, losses)
    access.refresh(dataset)
    return losses
