"""Ultralytics' trainers, drawing images by weight and mining the train split anew as they go.

    from ultralytics import YOLO
    YOLO("yolo11n.pt").train(data="data.yaml", epochs=100, trainer=HardNegativeTrainer, mining={"mine_every": 10})

How to mine travels in ``mining``: a :class:`~hnm_core.training.plan.TrainingPlan`, or a dict of its fields and those
of :class:`~hnm_core.settings.MiningSettings`. It is kept in ``hard_negatives/plan.json`` of the run, where the other
processes of a distributed training and a training that is resumed find it.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.models.yolo.detect import DetectionPredictor, DetectionTrainer
from ultralytics.models.yolo.segment import SegmentationPredictor, SegmentationTrainer
from ultralytics.utils import DEFAULT_CFG, LOCAL_RANK, LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from ..columns import Detections
from ..io.ledger import read_reviews, unknown_reviews
from ..pipeline import mine
from ..reviews import Reviews
from .datasets import WeightedDataset, draw_by_weight
from .detecting import detect
from .emphasis import emphasise
from .mining import RATES, Rounds, read_weights, truth_of, with_predictions
from .plan import TrainingPlan

__all__ = ["HardNegativeSegmentationTrainer", "HardNegativeTrainer"]

FOLDER, PLAN = "hard_negatives", "plan.json"
FIRST = RANK in {-1, 0}
"""Whether this process is the one that mines."""


class _Mining:
    """What is added to a trainer of Ultralytics; stands before it among the bases."""

    predictor: Any
    args: Any
    data: Any
    model: Any
    ema: Any
    train_loader: Any
    save_dir: Path
    device: Any
    epoch: int
    epochs: int
    world_size: int
    start_epoch: int
    resume: bool

    def __init__(
        self, cfg: Any = DEFAULT_CFG, overrides: Mapping[str, Any] | None = None, _callbacks: Any = None
    ) -> None:
        rest = dict(overrides or {})
        plan = rest.pop("mining", None)
        super().__init__(cfg, rest, _callbacks)  # type: ignore[call-arg]
        folder = Path(self.save_dir) / FOLDER
        self.rounds = Rounds(folder)
        self.plan = self._settle(plan)
        self.mined = set(self.rounds.folders()) if self.resume else set()
        self.image_weights: NDArray[np.float64] | None = None
        self.reviewed: Reviews | None = None
        self.rates = dict.fromkeys(RATES, float("nan"))
        for event, step in (
            ("on_pretrain_routine_end", _Mining._catch_up),
            ("on_train_start", _Mining._emphasise),
            ("on_train_epoch_start", _Mining._name_epoch),
            ("on_fit_epoch_end", _Mining._mine_if_due),
            ("on_train_end", _Mining._mine_at_last),
        ):
            self.add_callback(event, step)  # type: ignore[attr-defined]

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> Any:
        """Ultralytics' dataset; the one trained on mixes images by weight."""
        dataset = super().build_dataset(img_path, mode, batch)  # type: ignore[misc]
        return WeightedDataset.of(dataset) if mode == "train" else dataset

    def get_dataloader(self, dataset_path: Any, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Ultralytics' loader; the one trained on draws by weight."""
        loader = super().get_dataloader(dataset_path, batch_size, rank, mode)  # type: ignore[misc]
        if mode != "train":
            return loader
        loader = draw_by_weight(loader, num_replicas=max(self.world_size, 1), rank=max(rank, 0), seed=self.args.seed)
        if self.image_weights is None and self.plan.weights:
            self.image_weights = self._weights_in(Path(self.plan.weights), loader.dataset.im_files)
        if self.image_weights is not None:
            loader.sampler.set_weights(self.image_weights)
        if self.plan.reviews and FIRST and self.reviewed is None:
            self.reviewed = self._reviews_in(Path(self.plan.reviews), loader.dataset.im_files)
        return loader

    def save_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write the epoch's row of ``results.csv``, with the rates of the latest round."""
        rates = {f"mining/{name}": value for name, value in self.rates.items()}
        super().save_metrics({**metrics, **rates})  # type: ignore[misc]

    def resume_training(self, ckpt: Any) -> None:
        """Go on; of a training that is finished, mine what was due at its end and was not mined."""
        if self.resume and ckpt is not None and ckpt.get("epoch", -1) + 1 >= self.epochs and self._missing(self.epochs):
            self._load_checkpoint_state(ckpt)  # type: ignore[attr-defined]
            for epoch in self._missing(self.epochs):
                self.mine(epoch)
        super().resume_training(ckpt)  # type: ignore[misc]

    def mine(self, epoch: int) -> None:
        """Mine the images trained on with the model's moving average, and draw by the new weights.

        Args:
            epoch: epochs trained so far.
        """
        folder = self._round(epoch) if FIRST else None
        self.mined.add(epoch)
        self._draw_by(folder)

    def reviews(self, predictions: Detections, truth: Detections) -> Reviews | None:
        """What people said of mistakes: what the plan names. A trainer of your own may ask somebody."""
        return self.reviewed

    def _settle(self, plan: Any) -> TrainingPlan:
        """The plan given, or the one that the run's folder holds; and a folder that is ready for it."""
        file = self.rounds.folder / PLAN
        if plan is None:
            kept = file.is_file() and (self.resume or LOCAL_RANK != -1)
            settled = TrainingPlan.load(file) if kept else TrainingPlan()
        else:
            settled = plan if isinstance(plan, TrainingPlan) else TrainingPlan.from_dict(plan)
        settled.check(list(self.data["names"].values()))
        if FIRST:
            if not self.resume:  # what a run of this name mined before goes where its results.csv goes
                for folder in self.rounds.folders().values():
                    shutil.rmtree(folder)
            for unfinished in self.rounds.folder.glob(".round_*"):
                shutil.rmtree(unfinished)
            self.rounds.folder.mkdir(parents=True, exist_ok=True)
            settled.save(file)
        return settled

    def _round(self, epoch: int) -> Path:
        """Predict on the images trained on, mine, keep."""
        truth = truth_of(self.train_loader.dataset.labels, self.data["names"])
        predictions, unread = with_predictions(self._detect(truth.images), truth)
        if unread:
            LOGGER.warning(f"{len(unread)} of {len(truth.images)} images can't be read, the first is {unread[0]}")
        kept = f"kept down to confidence {self.plan.confidence:g}"
        source = {
            "data": str(Path(self.args.data).absolute()),
            "split": "train",
            "predictions": f"moving average of the model in training from {self.args.model}, {kept}",
        }
        result = mine(predictions, truth, self.plan.settings, reviews=self.reviews(predictions, truth))
        folder = self.rounds.add(epoch, result, self.plan, source)
        self._tell()
        return folder

    def _detect(self, files: Any) -> Iterator[NDArray[np.float32] | None]:
        """What the moving average sees, without augmentation."""
        options = {"conf": self.plan.confidence, "imgsz": self.args.imgsz, "mode": "predict", "task": self.args.task}
        predictor = self.predictor(overrides={**options, "save": False, "verbose": False})
        predictor.args.device = self.device
        model = getattr(self.ema.ema, "student_model", self.ema.ema)
        predictor.setup_model(model, verbose=False)  # a copy of it
        return detect(_Predict(predictor), files, batch=max(int(self.args.batch), 1))

    def _draw_by(self, folder: Path | None) -> None:
        """Let every process draw by the weights of a round that the first one has; None in the others."""
        files = self.train_loader.dataset.im_files
        weights = np.ones(len(files)) if folder is None else self._weights_in(folder / "weights.csv", files)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            moved = torch.from_numpy(weights).to(self.device, torch.float32)  # not every device knows doubles
            torch.distributed.broadcast(moved, src=0)
            weights = moved.cpu().double().numpy()
        self.image_weights = weights
        self.train_loader.sampler.set_weights(weights)

    def _weights_in(self, file: Path, files: Sequence[str]) -> NDArray[np.float64]:
        """Weights of the lines of a list of images: one that names an image twice gives each half its weight."""
        weights, unknown = read_weights(file, files)
        if unknown and FIRST:
            LOGGER.warning(f"{file} does not know {unknown} of the images trained on: they weigh 1")
        times = Counter(files)
        shared: NDArray[np.float64] = weights / np.array([times[name] for name in files])
        return shared

    def _reviews_in(self, file: Path, files: Sequence[str]) -> Reviews:
        """What people said of mistakes; reviews of other images are counted."""
        images = tuple(dict.fromkeys(files))
        reviews = read_reviews(file, images)
        lost = unknown_reviews(reviews, images)
        if lost:
            LOGGER.warning(f"{file}: {lost} of {len(reviews)} reviews are of images that are not trained on")
        return reviews

    def _tell(self) -> None:
        numbers = self.rounds.rows()[-1]
        self.rates = {name: float(numbers[name]) for name in RATES}
        rates = ", ".join(f"{name} {value:.3g}" for name, value in self.rates.items())
        LOGGER.info(
            f"\nround {numbers['round']} after epoch {numbers['epoch']}: {numbers['hard_negatives']} hard negatives, "
            f"{rates}; {self.rounds.folder}"
        )

    def _missing(self, done: int) -> list[int]:
        """The latest round that was due by now, if it was not mined: the model of an earlier one is gone."""
        due = [epoch for epoch in self.plan.due(self.epochs) if epoch <= done]
        return [due[-1]] if due and due[-1] not in self.mined else []

    def _catch_up(self) -> None:
        """At the start: the round that is due before the first epoch, or in which a training was killed."""
        if self._missing(self.start_epoch):
            self.mine(self.start_epoch)
        elif self.mined:
            last = self.rounds.last() if FIRST else None
            if last is not None:
                self.rounds.finish(*last, self.plan)
                self._tell()
            self._draw_by(last[1] if last else None)

    def _emphasise(self) -> None:
        """Once the moving average is a copy, which validates by Ultralytics' own loss."""
        if self.plan.negative_gain != 1:
            emphasise(unwrap_model(self.model), self.plan.negative_gain)

    def _name_epoch(self) -> None:
        self.train_loader.sampler.set_epoch(self.epoch)

    def _mine_if_due(self) -> None:
        done = self.epoch + 1
        if done in self.plan.due(self.epochs) and done not in self.mined:
            self.mine(done)

    def _mine_at_last(self) -> None:
        """A training that stopped before its first round was due mines once; the other processes are gone."""
        if not self.mined:
            self._round(self.epoch + 1)


class HardNegativeTrainer(_Mining, DetectionTrainer):  # type: ignore[misc]
    """Ultralytics' trainer of detectors, drawing by weight and mining as it goes."""

    predictor = DetectionPredictor


class HardNegativeSegmentationTrainer(_Mining, SegmentationTrainer):  # type: ignore[misc]
    """The same for models that also draw masks: their boxes are mined."""

    predictor = SegmentationPredictor


class _Predict:
    """A predictor as the model that :func:`~hnm_core.training.detecting.detect` asks."""

    def __init__(self, predictor: Any) -> None:
        self.predictor = predictor

    def predict(self, images: list[Any], **options: Any) -> list[Any]:
        found: list[Any] = self.predictor(images)
        return found
