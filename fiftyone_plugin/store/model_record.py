"""Record which models predicted into a field, in the field's ``info``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hnm_core.training.view_cache import digest_of

from . import schema

if TYPE_CHECKING:
    import fiftyone as fo

    from .access import Fence

RECORD = "predicted_by"
"""Key in a field's ``info`` under which the models are recorded."""


def record_of(model: Any, path: Path, confidence: float, imgsz: int | None) -> dict[str, Any]:
    """Return the record of a model that is kept with its predictions."""
    from ultralytics import __version__

    return {
        "model": str(path.resolve()),
        "sha256": digest_of(path),
        "trained_on": training_data(model),
        "confidence": confidence,
        "imgsz": imgsz or model.overrides.get("imgsz"),
        "ultralytics": __version__,
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def declare(fence: Fence, dataset: fo.Dataset, field: str, known: Sequence[dict[str, Any]]) -> None:
    """Write into a field which models predicted into it.

    Each record is that of :func:`record_of`, with the number of ``samples``.
    """
    schema.set_info(fence, dataset, field, RECORD, list(known))


def models_of(dataset: fo.Dataset, field: str) -> list[dict[str, Any]]:
    """Return the records of the models that predicted into a field; none if the field was written elsewhere."""
    found = dataset.get_field(field)
    return list((getattr(found, "info", None) or {}).get(RECORD, ()))


def model_notes(dataset: fo.Dataset, field: str) -> list[str]:
    """Return a sentence on each model that predicted into a field."""
    return [
        f"{field!r} was predicted by {Path(known['model']).name} (sha256 {known['sha256'][:12]}) on {known['samples']} "
        f"samples, boxes with confidence {known['confidence']:g} or more"
        for known in models_of(dataset, field)
    ]


def training_data(model: Any) -> str | None:
    """Return the data set that a checkpoint records as its training data, or None."""
    data = ((getattr(model, "ckpt", None) or {}).get("train_args") or {}).get("data")
    return str(data) if data else None
