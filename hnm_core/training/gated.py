"""The part of a trainer that finds objects without a label and tells the loss: suspects, reviews, ignored regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from ..columns import Detections
from ..evidence.views import views_evidence
from ..labels.reviews import Reviews
from ..result import MiningResult
from .emphasis import emphasise
from .gates import Gates, gates_of
from .mining import Rounds, truth_of, with_predictions
from .plan import OFF, TrainingPlan
from .regions import read_regions, regions_by_class
from .suspects import CLEAN, ENOUGH_REVIEWS, UNKNOWN, Suspects, find_suspects
from .views import VIEWS, ask_views

__all__ = ["MAIN_PROCESS", "SUSPECTS", "GatedMixin"]

MAIN_PROCESS = RANK in {-1, 0}
"""Whether this is the process that mines."""

SUSPECTS = "suspects.csv"
"""File of the suspects beside the rounds: for a resumed training, and for people. It is no label file."""


class GatedMixin:
    """Mixin of a trainer: what the loss counts at single boxes.

    Attributes:
        suspects: false positives that may lack a label, of all rounds; None before the first, and in other processes.
        gates: what the loss does at which boxes; None before the training starts.
        gain: negative gain that counts now.
        known_reviews: those of the latest round, or of the file.
    """

    plan: TrainingPlan
    rounds: Rounds
    args: Any
    data: Any
    model: Any
    train_loader: Any
    device: Any
    resume: bool
    suspects: Suspects | None = None
    gates: Gates | None = None
    gain: float = 1.0
    known_reviews: Reviews | None = None

    def find_evidence(self, result: MiningResult, predictor: Any) -> MiningResult:
        """Return the mining of the suspects with evidence on them; override it to bring other evidence.

        Args:
            result: a mining of the predictions of the training images from ``suspect_confidence`` on.
            predictor: the moving average of the model, with ``predict``.
        """
        kinds, told, twins = self.plan.suspect_evidence, dict[str, Any](), None
        if "appearance" in kinds:
            from ..evidence.appearance import appearance_evidence, describe_crops
            from ..evidence.near_crops import twins_of

            crops = describe_crops(result)
            told["appearance"] = appearance_evidence(result, crops=crops)
            twins = None if result.reviews is None else twins_of(result, crops)[0]
        if "views" in kinds and result.errors.false_positive.any():
            try:
                found = views_evidence(result, self._views(result.truth, predictor))
                told |= found.kinds
            except ValueError as error:
                LOGGER.warning(f"no evidence from views in this round: {error}")
        return result.with_evidence(told, twins) if told else result

    def _check_gate(self) -> None:
        """Refuse what the loss cannot do, before anything is trained."""
        if self.plan.label_threshold is not None and self.args.task != "detect":
            raise ValueError(
                f"label_threshold is {self.plan.label_threshold:g}, but a model of the task {self.args.task!r} would "
                f"learn rectangles as masks: leave it out, or train a detector"
            )

    def _suspect(self, predictions: Detections, truth: Detections, predictor: Any) -> None:
        """Find the suspects of a round, and keep those of earlier ones."""
        confidence = self.plan.suspect_confidence
        assert predictions.score is not None
        sure = predictions.take(predictions.score >= confidence)
        result = find_suspects(sure, truth, self.plan.settings, confidence, self.known_reviews)
        result = self.find_evidence(result, predictor)
        self.suspects = Suspects.of(result).keeping(self.suspects)
        self.suspects.save(self.rounds.folder / SUSPECTS)

    def _apply_gates(self) -> None:
        """Tell all processes, the data set and the loss what to do at which boxes."""
        told: list[Any] = [None, True]
        notes: list[str] = []
        if MAIN_PROCESS:
            *told, notes = self._find_gates()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.broadcast_object_list(told, src=0, device=self.device)
        gates, started = told
        self.gates = gates
        self.gain = self.plan.negative_gain if started else 1.0
        self._hand_over(self.train_loader)
        self.train_loader.reset()  # running workers have the gates of before
        self._emphasise()
        for note in [*([gates.describe()] if len(gates) and MAIN_PROCESS else []), *notes]:
            LOGGER.info(f"loss: {note}")

    def _emphasise(self) -> None:
        """Change the loss after the moving average is copied, so that validation uses the loss of Ultralytics."""
        if self.gain != 1 or (self.gates is not None and len(self.gates)):
            emphasise(unwrap_model(self.model), self.gain)

    def _gate_from_start(self) -> None:
        """Tell the loss what is known before the first round, unless that has been mined already."""
        if self.gates is None:
            self._apply_gates()

    def _hand_over(self, loader: Any) -> None:
        """Let the data set of a loader carry the gates."""
        if self.gates is not None and len(self.gates):
            loader.dataset.carry(self.gates)
        else:
            loader.dataset.carried = None

    def _find_gates(self) -> tuple[Gates, bool, list[str]]:
        """Return the gates, whether the negative gain has started, and sentences on them; in the main process."""
        plan, notes = self.plan, list[str]()
        truth = truth_of(self.train_loader.dataset.labels, self.data["names"])
        kept = self.rounds.folder / SUSPECTS
        if self.suspects is None and plan.suspects and kept.is_file():  # a resumed training; others begin without
            self.suspects = Suspects.load(kept, truth.images, truth.classes)
        regions = Gates.none(truth)
        if plan.gate != OFF:
            regions = regions_by_class(truth, plan.settings.ignored)
            if plan.ignore_regions:
                more, lost = read_regions(plan.ignore_regions, truth, plan.settings.ignored)
                regions = regions.also(more)
                if lost:
                    notes.append(f"{plan.ignore_regions}: {lost} regions are of images that are not in the training")
        if self.suspects is not None and self.suspects.labels == CLEAN:
            notes.append("reviews say that labels are complete: suspects that nobody reviewed count fully")
        if plan.label_threshold is not None and self.suspects is not None and self.suspects.labels == UNKNOWN:
            notes.append(
                f"fewer than {ENOUGH_REVIEWS} background errors are reviewed, so that none of the others is trained as "
                f"an object"
            )
        gates = gates_of(plan, truth, self.suspects, self.known_reviews, regions)
        started = plan.negative_gain == 1 or not plan.suspects or self.suspects is not None
        if not started:
            notes.append("the negative gain starts with the first round, which finds the suspects")
        model = unwrap_model(self.model)
        if len(gates) and any(getattr(module, "semseg", None) is not None for module in model.modules()):
            notes.append("the semantic loss of this model is not gated: it learns these boxes as background")
        return gates, started, notes

    def _views(self, truth: Detections, predictor: Any) -> dict[str, Detections]:
        """Return what the model sees in the images under every view."""
        seen: Sequence[list[NDArray[np.float32]] | None] = list(
            ask_views(predictor, truth.images, int(self.args.imgsz), batch=max(int(self.args.batch), 1))
        )
        return {
            view.name: with_predictions(iter([None if s is None else s[i] for s in seen]), truth)[0]
            for i, view in enumerate(VIEWS)
        }
