"""Trainers of Ultralytics that draw images by weight and mine the train split again during training.

    from ultralytics import YOLO
    YOLO("yolo11n.pt").train(data="data.yaml", epochs=100, trainer=HardNegativeTrainer, mining={"mine_every": 10})

Pass the plan as ``mining``: a :class:`~hnm_core.training.plan.TrainingPlan`, or a dict of its fields and of those
of :class:`~hnm_core.settings.MiningSettings`. It is saved as ``hard_negatives/plan.json`` of the run, where the other
processes of a distributed training, and a resumed training, read it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.models.yolo.detect import DetectionPredictor, DetectionTrainer
from ultralytics.models.yolo.segment import SegmentationPredictor, SegmentationTrainer
from ultralytics.utils import DEFAULT_CFG, LOCAL_RANK, LOGGER

from ..columns import Detections
from ..io.reviews_file import read_reviews, unknown_reviews
from ..io.write_aside import say_unfinished
from ..labels.reviews import Reviews
from ..pipeline import mine
from .datasets import WeightedDataset, draw_by_weight
from .detecting import detect
from .gated import MAIN_PROCESS, SUSPECTS, GatedMixin
from .mining import RATES, Rounds, read_weights, truth_of, with_predictions
from .plan import TrainingPlan

__all__ = ["HardNegativeSegmentationTrainer", "HardNegativeTrainer"]

FOLDER, PLAN = "hard_negatives", "plan.json"

STEPS = {
    "on_pretrain_routine_end": "_mine_before_first_epoch",
    "on_train_start": "_gate_from_start",
    "on_train_epoch_start": "_set_epoch",
    "on_fit_epoch_end": "_mine_if_due",
    "on_train_end": "_mine_at_end",
}
"""Methods that events of Ultralytics call, by their names, so that a subclass can override them."""


class _MiningMixin(GatedMixin):
    """Mixin that adds mining to a trainer of Ultralytics; must be the first base class."""

    predictor: Any
    ema: Any
    save_dir: Path
    epoch: int
    epochs: int
    world_size: int
    start_epoch: int

    def __init__(
        self, cfg: Any = DEFAULT_CFG, overrides: Mapping[str, Any] | None = None, _callbacks: Any = None
    ) -> None:
        rest = dict(overrides or {})
        plan = rest.pop("mining", None)
        super().__init__(cfg, rest, _callbacks)  # type: ignore[call-arg]
        folder = Path(self.save_dir) / FOLDER
        self.rounds = Rounds(folder)
        self.plan = self._load_plan(plan)
        self.mined = set(self.rounds.folders()) if self.resume else set()
        self.image_weights: NDArray[np.float64] | None = None
        self.reviewed: Reviews | None = None
        self.rates = dict.fromkeys(RATES, float("nan"))
        self._check_gate()
        for event, step in STEPS.items():
            self.add_callback(event, methodcaller(step))  # type: ignore[attr-defined]

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> Any:
        """Return the dataset of Ultralytics; for training one that mixes images by weight."""
        dataset = super().build_dataset(img_path, mode, batch)  # type: ignore[misc]
        return WeightedDataset.of(dataset) if mode == "train" else dataset

    def get_dataloader(self, dataset_path: Any, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Return the loader of Ultralytics; for training one that draws by weight."""
        loader = super().get_dataloader(dataset_path, batch_size, rank, mode)  # type: ignore[misc]
        if mode != "train":
            return loader
        loader = draw_by_weight(loader, num_replicas=max(self.world_size, 1), rank=max(rank, 0), seed=self.args.seed)
        if self.image_weights is None and self.plan.weights:
            self.image_weights = self._weights_in(Path(self.plan.weights), loader.dataset.im_files)
        if self.image_weights is not None:
            loader.sampler.set_weights(self.image_weights)
        if self.plan.reviews and MAIN_PROCESS and self.reviewed is None:
            self.reviewed = self._reviews_in(Path(self.plan.reviews), loader.dataset.im_files)
            self.known_reviews = self.reviewed
        self._hand_over(loader)  # where it is built again, after an error for lack of memory
        return loader

    def save_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write the row of the epoch in ``results.csv``, with the rates of the latest round."""
        rates = {f"mining/{name}": value for name, value in self.rates.items()}
        super().save_metrics({**metrics, **rates})  # type: ignore[misc]

    def resume_training(self, ckpt: Any) -> None:
        """Resume a training; if it is finished, mine the round at its end if that is missing."""
        if self.resume and ckpt is not None and ckpt.get("epoch", -1) + 1 >= self.epochs and self._overdue(self.epochs):
            self._load_checkpoint_state(ckpt)  # type: ignore[attr-defined]
            for epoch in self._overdue(self.epochs):
                self.mine(epoch)
        super().resume_training(ckpt)  # type: ignore[misc]

    def mine(self, epoch: int) -> None:
        """Mine the training images with the moving average of the model, and draw by the new weights.

        Args:
            epoch: epochs trained so far.
        """
        folder = self._mine_round(epoch) if MAIN_PROCESS else None
        self.mined.add(epoch)
        self._apply_weights(folder)
        self._apply_gates()

    def reviews(self, predictions: Detections, truth: Detections) -> Reviews | None:
        """Return the reviews of mistakes, by default from the file in the plan; override it to get them elsewhere."""
        return self.reviewed

    def _load_plan(self, plan: Any) -> TrainingPlan:
        """Return the given plan, or the saved one of the run; save it, and prepare the folder."""
        file = self.rounds.folder / PLAN
        if plan is None:
            saved = file.is_file() and (self.resume or LOCAL_RANK != -1)
            loaded = TrainingPlan.load(file) if saved else TrainingPlan()
        else:
            loaded = plan if isinstance(plan, TrainingPlan) else TrainingPlan.from_dict(plan)
        loaded.check(list(self.data["names"].values()))
        if MAIN_PROCESS:
            if not self.resume:  # the rounds of an earlier run of this name are deleted, as its results.csv is
                for folder in self.rounds.folders().values():
                    shutil.rmtree(folder)
                (self.rounds.folder / SUSPECTS).unlink(missing_ok=True)
            say_unfinished(self.rounds.folder)
            self.rounds.folder.mkdir(parents=True, exist_ok=True)
            loaded.save(file)
        return loaded

    def _mine_round(self, epoch: int) -> Path:
        """Predict on the training images, mine and save the round."""
        truth = truth_of(self.train_loader.dataset.labels, self.data["names"])
        predictor = self._predictor()
        found = detect(predictor, truth.images, batch=max(int(self.args.batch), 1))
        predictions, unread = with_predictions(found, truth)
        if unread:
            LOGGER.warning(f"{len(unread)} of {len(truth.images)} images cannot be read, first {unread[0]}")
        limit = f"down to confidence {self.plan.confidence:g}"
        source = {
            "data": str(Path(self.args.data).absolute()),
            "split": "train",
            "predictions": f"moving average of the model in training from {self.args.model}, {limit}",
        }
        everything = predictions
        if self.plan.suspects and self.plan.suspect_confidence < self.plan.confidence:
            predictions = predictions.take(np.asarray(predictions.score) >= self.plan.confidence)
        self.known_reviews = self.reviews(predictions, truth)
        result = mine(predictions, truth, self.plan.settings, reviews=self.known_reviews)
        if self.plan.suspects and epoch < self.epochs:
            self._suspect(everything, truth, predictor)
        folder = self.rounds.add(epoch, result, self.plan, source)
        self._log_round()
        return folder

    def _predictor(self) -> _Predict:
        """Return the moving average of the model, which predicts without augmentation."""
        least = min(self.plan.confidence, self.plan.suspect_confidence if self.plan.suspects else 1.0)
        classes = None if self.args.single_cls else self.args.classes  # what else it finds is trained by no label
        options = {"conf": least, "imgsz": self.args.imgsz, "mode": "predict", "task": self.args.task}
        options["classes"] = classes
        predictor = self.predictor(overrides={**options, "save": False, "verbose": False})
        predictor.args.device = self.device
        model = getattr(self.ema.ema, "student_model", self.ema.ema)
        predictor.setup_model(deepcopy(model), verbose=False)  # early releases of 8.4 fuse the layers of what they get
        return _Predict(predictor, model)

    def _apply_weights(self, folder: Path | None) -> None:
        """Set the weights of a round in all processes; ``folder`` is None in all but the main process."""
        files = self.train_loader.dataset.im_files
        weights = np.ones(len(files)) if folder is None else self._weights_in(folder / "weights.csv", files)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            moved = torch.from_numpy(weights).to(self.device, torch.float32)  # not every device supports float64
            torch.distributed.broadcast(moved, src=0)
            weights = moved.cpu().double().numpy()
        self.image_weights = weights
        self.train_loader.sampler.set_weights(weights)

    def _weights_in(self, file: Path, files: Sequence[str]) -> NDArray[np.float64]:
        """Return the weights of listed images; an image that is listed twice gets half of its weight in each place."""
        weights, unknown = read_weights(file, files)
        if unknown and MAIN_PROCESS:
            LOGGER.warning(f"{file} does not contain {unknown} of the training images: their weight is 1")
        times = Counter(files)
        shared: NDArray[np.float64] = weights / np.array([times[name] for name in files])
        return shared

    def _reviews_in(self, file: Path, files: Sequence[str]) -> Reviews:
        """Read the reviews of mistakes; warn about reviews of other images."""
        images = tuple(dict.fromkeys(files))
        reviews = read_reviews(file, images)
        lost = unknown_reviews(reviews, images)
        if lost:
            LOGGER.warning(f"{file}: {lost} of {len(reviews)} reviews are of images that are not in the training")
        return reviews

    def _log_round(self) -> None:
        numbers = self.rounds.rows()[-1]
        self.rates = {name: float(numbers[name]) for name in RATES}
        rates = ", ".join(f"{name} {value:.3g}" for name, value in self.rates.items())
        LOGGER.info(
            f"\nround {numbers['round']} after epoch {numbers['epoch']}: {numbers['hard_negatives']} hard negatives, "
            f"{rates}; {self.rounds.folder}"
        )

    def _overdue(self, done: int) -> list[int]:
        """Return the latest round that was due by now and was not mined; earlier ones cannot be mined any more."""
        due = [epoch for epoch in self.plan.due(self.epochs) if epoch <= done]
        return [due[-1]] if due and due[-1] not in self.mined else []

    def _mine_before_first_epoch(self) -> None:
        """Mine the round before the first epoch, or the one in which a resumed training was killed."""
        if self._overdue(self.start_epoch):
            self.mine(self.start_epoch)
        elif self.mined:
            last = self.rounds.last() if MAIN_PROCESS else None
            if last is not None:
                self.rounds.finish(*last, self.plan)
                self._log_round()
            self._apply_weights(last[1] if last else None)

    def _set_epoch(self) -> None:
        self.train_loader.sampler.set_epoch(self.epoch)

    def _mine_if_due(self) -> None:
        done = self.epoch + 1
        if done in self.plan.due(self.epochs) and done not in self.mined:
            self.mine(done)

    def _mine_at_end(self) -> None:
        """Mine once if the training stopped before its first round; only the main process is left."""
        if not self.mined:
            self._mine_round(self.epoch + 1)


class HardNegativeTrainer(_MiningMixin, DetectionTrainer):  # type: ignore[misc]
    """Detection trainer of Ultralytics that draws by weight and mines during training."""

    predictor = DetectionPredictor


class HardNegativeSegmentationTrainer(_MiningMixin, SegmentationTrainer):  # type: ignore[misc]
    """Segmentation trainer of Ultralytics that draws by weight and mines the boxes during training."""

    predictor = SegmentationPredictor


class _Predict:
    """Wrap a predictor as a model for :func:`~hnm_core.training.detecting.detect` and ``ask_views``."""

    def __init__(self, predictor: Any, model: Any) -> None:
        self.predictor, self.model = predictor, model
        self.usual = {"conf": predictor.args.conf, "imgsz": predictor.args.imgsz}

    def predict(self, images: list[Any], **options: Any) -> list[Any]:
        for name, value in self.usual.items():
            setattr(self.predictor.args, name, options.get(name, value))
        found: list[Any] = self.predictor(images)
        return found
