"""When a training mines, and how: kept beside what it mined, so that a resumed training goes on with it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..matching.greedy import per_class
from ..settings import MiningSettings, Options, inner, option
from ..settings.mining import REVIEWS, SAVE_SAMPLES
from ..strategies import find_strategy
from ..strategies.learnability import check_second

__all__ = ["DEVICE", "DROP", "GATES", "OFF", "REVIEWED", "WEIGH", "TrainerSettings", "TrainingPlan"]

TRAINING, ROUNDS = "training", "rounds of mining"

AUTO, OFF, REVIEWED, WEIGH, DROP = "auto", "off", "reviewed", "weigh", "drop"

GATES = {
    AUTO: "`weigh` with a negative gain above 1, else `reviewed`",
    OFF: "nothing",
    REVIEWED: "reviewed label errors, what is to be ignored, and ignored regions count 0",
    WEIGH: "as `reviewed`, and every false positive counts 1 - suspicion",
    DROP: "as `reviewed`, and false positives count 0 from the gate threshold on",
}
"""What the loss does with objects that may lack a label."""

EVIDENCE = {
    "views": "the model is asked again about flipped and scaled images",
    "appearance": "crops are compared with labelled objects",
}
"""What can narrow suspicion in a training."""

DEVICE = "Device: cpu, 0, or 0,1 for several GPUs; default: GPU if available, else CPU"


@dataclass(frozen=True)
class TrainerSettings(Options):
    """What Ultralytics is asked; its other settings keep its own defaults.

    Example:
        >>> TrainerSettings(epochs=0)
        Traceback (most recent call last):
        ValueError: epochs must be a whole number, 1 or more, got 0
    """

    epochs: int = option(100, "Passes over the training images", label="Epochs", low=1, group=TRAINING)
    imgsz: int = option(
        640,
        "Longer side to which images are scaled",
        label="Image size",
        unit="pixels",
        low=32,
        group=TRAINING,
    )
    batch: int = option(16, "Images per batch; -1: as many as the GPU holds", label="Batch", low=-1, group=TRAINING)
    device: Any = option(None, DEVICE, label="Device", kind="any", group=TRAINING)


@dataclass(frozen=True)
class TrainingPlan(Options):
    """After which epochs a round of mining follows, and what a round does.

    Attributes:
        mine_every: epochs from one round to the next; 0: one round alone.
        warmup: epochs before the first round, 0 for a model that is trained already. One as long as the training
            mines at its end.
        settings: how to mine.
        save_samples: keep the hard images of every round, with pictures of what is wrong.
        confidence: lowest confidence of the predictions that are mined.
        weights: a ``weights.csv`` of ``hnm mine`` or of an export, to draw by until the first round; mined out of
            fold, its weights are not biased by what the model has learnt by heart.
        reviews: a JSON list of reviews, images by their path and boxes as fractions; used in every round.
        negative_gain: how many times background that the model takes for an object counts in the classification loss,
            see :class:`~hnm_core.training.emphasis.HardNegativeLoss`; 1 is Ultralytics' own loss. With a gate that
            needs suspects, it starts with the first round.
        loss_gate: what counts less in the loss because its label may be missing, see
            :mod:`hnm_core.training.gates`.
        gate_threshold: suspicion from which ``drop`` leaves an object out of the loss.
        label_threshold: suspicion from which a background error is trained as an object of its class, in memory
            alone, once ten reviews say that labels are missing; None: never. Not for models that draw masks.
        suspect_confidence: lowest confidence of the predictions that may be suspects.
        suspect_evidence: what suspicion in training takes into account beside error types and reviews.
        ignore_regions: a file of boxes that the loss leaves out, see
            :func:`~hnm_core.training.regions.read_regions`.

    Raises:
        ValueError: if a value is out of range.

    Example:
        >>> TrainingPlan(mine_every=10, warmup=3).due(epochs=30)
        [3, 13, 23]
        >>> TrainingPlan(warmup=100).due(epochs=30)
        [30]
    """

    mine_every: int = option(
        10,
        "Interval between rounds; 0: one round only",
        label="Mine every",
        unit="epochs",
        low=0,
        group=ROUNDS,
    )
    warmup: int = option(
        3,
        "Training before the first round; 0 for a trained model",
        label="Warm-up",
        unit="epochs",
        low=0,
        group=ROUNDS,
    )
    settings: MiningSettings = inner(MiningSettings)
    save_samples: bool = SAVE_SAMPLES.declare()
    confidence: float = option(
        0.01,
        "Lowest confidence of the predictions that a round mines",
        label="Lowest confidence",
        low=0,
        high=1,
        group=ROUNDS,
        offered=False,
    )
    weights: str | None = option(
        None,
        "Sampling weights until the first round: weights.csv of `hnm mine` or of an export",
        label="First weights",
        kind="path",
        group=ROUNDS,
    )
    reviews: str | None = REVIEWS.declare()
    negative_gain: float = option(
        1.0,
        "Factor in the loss for background that the model takes for an object",
        label="Negative gain",
        low=1,
        group=TRAINING,
    )
    loss_gate: str = option(
        AUTO,
        "What counts less in the loss, because its label may be missing",
        label="Loss gate",
        choices=GATES,
        group=TRAINING,
    )
    gate_threshold: float = option(
        0.7,
        "Suspicion from which the gate `drop` leaves an object out of the loss",
        label="Gate threshold",
        low=0,
        high=1,
        group=TRAINING,
    )
    label_threshold: float | None = option(
        None,
        "Train background errors of this suspicion or more as objects, in memory alone; not set: never",
        label="Label threshold",
        kind="number",
        low=0,
        high=1,
        group=TRAINING,
    )
    suspect_confidence: float = option(
        0.1,
        "Lowest confidence of predictions that may be missing labels",
        label="Suspect confidence",
        low=0,
        high=1,
        group=TRAINING,
        offered=False,
    )
    suspect_evidence: tuple[str, ...] = option(
        ("views",),
        "Evidence on single suspects in a round; may be empty",
        label="Suspect evidence",
        choices=EVIDENCE,
        empty=True,
        group=TRAINING,
    )
    ignore_regions: str | None = option(
        None,
        "Boxes that the loss leaves out: COCO json, of which crowds and ignored regions are taken, or a review file",
        label="Ignore regions",
        kind="path",
        group=TRAINING,
    )

    @property
    def gate(self) -> str:
        """The gate, never ``auto``: ``weigh`` with a negative gain, else ``reviewed``."""
        return self.loss_gate if self.loss_gate != AUTO else WEIGH if self.negative_gain > 1 else REVIEWED

    @property
    def suspects(self) -> bool:
        """Whether rounds look for objects that may lack a label."""
        return self.gate in (WEIGH, DROP) or self.label_threshold is not None

    def check(self, classes: Sequence[str]) -> None:
        """Refuse now what the first round would refuse, epochs later.

        Args:
            classes: names of the classes that are trained.

        Raises:
            ValueError: if a threshold is of another class, there is no such strategy, or it needs a second model.
        """
        find_strategy(self.settings.strategy)
        check_second(self.settings.strategy, given=False)
        per_class(self.settings.confidence_threshold, self.settings.class_confidence, tuple(classes))
        per_class(self.settings.iou_threshold, self.settings.class_iou, tuple(classes))

    def due(self, epochs: int) -> list[int]:
        """Return after how many epochs of a training of that length there is a round, in order."""
        first = min(self.warmup, epochs)
        return list(range(first, epochs + 1, self.mine_every)) if self.mine_every else [first]

    def save(self, file: Path) -> None:
        """Write the plan, whole or not at all; its paths made absolute."""
        paths: dict[str, Any] = {name: getattr(self, name) for name in ("weights", "reviews", "ignore_regions")}
        paths = {name: str(Path(path).resolve()) if path else None for name, path in paths.items()}
        kept = replace(self, **paths)
        aside = file.with_name(f".{file.name}.{os.getpid()}")
        aside.write_text(json.dumps(kept.as_dict(), indent=1) + "\n", encoding="utf-8")
        aside.replace(file)

    @classmethod
    def load(cls, file: Path) -> TrainingPlan:
        """Return the plan from its file.

        Raises:
            ValueError: if it is damaged.
        """
        try:
            return cls.from_dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{file} can't be read as the plan of a training, give the plan anew: {error}") from None
