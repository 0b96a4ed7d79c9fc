"""What each image costs a model, as a field of the samples: sort by it, or let it weigh ``loss_based``."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from hnm_core.io import write_yolo
from hnm_core.training.losses import image_losses

from . import bridge, checkpoints, checks


def add_losses(
    samples: Any, model: str | Path, gt_field: str, field: str = "model_loss", *, imgsz: int | None = None
) -> dict[str, float]:
    """Write the loss of a model on each image into a float field.

    Args:
        samples: a dataset or a view of images.
        model: an Ultralytics checkpoint to detect; it knows every class of the truth by name.
        gt_field: field of type Detections that holds the truth.
        field: where the losses go.
        imgsz: side in pixels; None for the one the model was trained at.

    Returns:
        Loss by sample id: what :func:`hnm_core.training.losses.loss_strategy` takes.

    Raises:
        ValueError: if the model knows a class by no name, or a field is unfit.
        FileNotFoundError: if there is no such checkpoint.
    """
    checks.check_fields(samples, gt_field)
    path = checkpoints.find_model(model)
    known = checkpoints.load(path).names
    names = tuple(known[number] for number in sorted(known))
    unknown = [name for name in samples.distinct(f"{gt_field}.detections.label") if name not in names]
    if unknown:
        raise ValueError(f"{path.name} knows no class {', '.join(map(repr, unknown))}; it knows {', '.join(names)}")
    truth = bridge.read_truth(samples, gt_field, names)
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
    samples.set_values(field, losses, key_field="id")
    return losses
