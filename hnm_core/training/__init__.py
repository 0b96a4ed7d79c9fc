"""Training with the weights: samplers for torch, trainers for Ultralytics; names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import lazy_names

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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "detecting": ("detect",),
        "losses": ("image_losses",),
        "plan": ("TrainingPlan",),
        "sampler": ("WeightedSampler", "weighted_loader"),
        "start": ("TrainingSummary", "train"),
        "trainer": ("HardNegativeSegmentationTrainer", "HardNegativeTrainer"),
    },
)
