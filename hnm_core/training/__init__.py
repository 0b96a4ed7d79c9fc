"""Training on the weights: samplers for torch, trainers for Ultralytics. Only what is asked for is imported."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .detecting import detect
    from .losses import image_losses
    from .plan import TrainingPlan
    from .sampler import WeightedSampler, weighted_loader
    from .start import TrainingSummary, train
    from .trainer import HardNegativeSegmentationTrainer, HardNegativeTrainer

__all__ = [
    "HardNegativeSegmentationTrainer",
    "HardNegativeTrainer",
    "TrainingPlan",
    "TrainingSummary",
    "WeightedSampler",
    "detect",
    "image_losses",
    "train",
    "weighted_loader",
]

_ROOMS = {
    "HardNegativeSegmentationTrainer": "trainer",
    "HardNegativeTrainer": "trainer",
    "TrainingPlan": "plan",
    "TrainingSummary": "start",
    "WeightedSampler": "sampler",
    "detect": "detecting",
    "image_losses": "losses",
    "train": "start",
    "weighted_loader": "sampler",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
