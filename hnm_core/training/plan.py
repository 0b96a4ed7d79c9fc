"""When a training mines, and how: kept beside what it mined, so that a resumed training goes on with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..matching import per_class
from ..settings import MiningSettings
from ..strategies import find_strategy

__all__ = ["TrainingPlan"]


@dataclass(frozen=True)
class TrainingPlan:
    """Which epochs are followed by a round of mining, and what a round does.

    Attributes:
        mine_every: epochs from one round to the next; 0: one round alone.
        warmup: epochs before the first round, 0 for a model that is trained already. One as long as the training
            mines at its end.
        settings: how to mine.
        save_samples: keep the hard images of every round, with pictures of what is wrong.
        confidence: lowest confidence of the predictions that are mined.
        weights: a ``weights.csv`` of ``hnm mine`` or of an export, to draw by until the first round; mined out of
            fold, its weights are not flattered by what the model has learnt by heart.
        reviews: a JSON list of what people said of mistakes, images by their path and boxes as fractions: it takes
            the place of suspicion in every round.
        negative_gain: how many times background that the model takes for an object counts in the classification loss,
            see :class:`~hnm_core.training.emphasis.HardNegativeLoss`; 1 is Ultralytics' own loss. An object that
            nobody labelled counts as background.

    Raises:
        ValueError: if a value cannot be.

    Example:
        >>> TrainingPlan(mine_every=10, warmup=3).due(epochs=30)
        [3, 13, 23]
        >>> TrainingPlan(warmup=100).due(epochs=30)
        [30]
    """

    mine_every: int = 10
    warmup: int = 3
    settings: MiningSettings = field(default_factory=MiningSettings)
    save_samples: bool = False
    confidence: float = 0.01
    weights: str | None = None
    reviews: str | None = None
    negative_gain: float = 1.0

    def __post_init__(self) -> None:
        for name in ("mine_every", "warmup"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name} must be a whole number of epochs, 0 or more, got {value!r}")
        if not self.negative_gain >= 1:
            raise ValueError(f"negative_gain must be 1 or more, got {self.negative_gain}")
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence must lie in [0, 1], got {self.confidence}")

    def check(self, classes: Sequence[str]) -> None:
        """Refuse now what the first round would refuse, epochs later.

        Args:
            classes: names of the classes that are trained.

        Raises:
            ValueError: if a threshold is of another class, there is no such strategy, or there is a quota per group:
                a training knows no groups.
        """
        if self.settings.max_per_group:
            raise ValueError("max_per_group is not for training, which knows no groups of images; leave it 0")
        find_strategy(self.settings.strategy)
        per_class(self.settings.confidence_threshold, self.settings.class_confidence, tuple(classes))
        per_class(self.settings.iou_threshold, self.settings.class_iou, tuple(classes))

    def due(self, epochs: int) -> list[int]:
        """After how many epochs of a training of that length there is a round, in order."""
        first = min(self.warmup, epochs)
        return list(range(first, epochs + 1, self.mine_every)) if self.mine_every else [first]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingPlan:
        """A plan from plain values; those of the settings may stand beside the plan's own.

        Raises:
            ValueError: if a name is neither.
        """
        own = {f.name for f in fields(cls)} - {"settings"}
        settings = {**values.get("settings", {}), **{k: v for k, v in values.items() if k not in {*own, "settings"}}}
        return cls(**{k: v for k, v in values.items() if k in own}, settings=MiningSettings.from_dict(settings))

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {**{f.name: getattr(self, f.name) for f in fields(self)}, "settings": self.settings.as_dict()}

    def save(self, file: Path) -> None:
        """Write the plan, whole or not at all; its paths made absolute."""
        weights, reviews = (str(Path(path).resolve()) if path else None for path in (self.weights, self.reviews))
        kept = replace(self, weights=weights, reviews=reviews)
        aside = file.with_name(f".{file.name}.{os.getpid()}")
        aside.write_text(json.dumps(kept.as_dict(), indent=1) + "\n", encoding="utf-8")
        aside.replace(file)

    @classmethod
    def load(cls, file: Path) -> TrainingPlan:
        """The plan from its file."""
        return cls.from_dict(json.loads(file.read_text(encoding="utf-8")))
