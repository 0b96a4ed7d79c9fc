"""From a data set and a model to a trained one: what ``hnm train`` and the App's operator call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..io.ledger import read_reviews
from .mining import Rounds
from .plan import TrainingPlan

__all__ = ["TASKS", "TrainingSummary", "train"]

TASKS = {"detect": "HardNegativeTrainer", "segment": "HardNegativeSegmentationTrainer"}
"""Ultralytics' tasks that can be mined, and who trains them."""

OTHERS = {
    "obb": "oriented boxes are not matched as such",
    "pose": "a pose is not matched by its box",
    "classify": "there are no boxes",
    "semantic": "there are no boxes",
    "depth": "there are no boxes",
}


@dataclass(frozen=True)
class TrainingSummary:
    """What a training left.

    Attributes:
        folder: of the run.
        best: the best checkpoint by Ultralytics' fitness.
        last: the last one.
        rounds: per round its ``round``, ``epoch``, rates, counts and ``mean_weight``.
        metrics: of the best checkpoint on the val split, by Ultralytics' names; empty where there is none.
    """

    folder: Path
    best: Path
    last: Path
    rounds: tuple[Mapping[str, Any], ...]
    metrics: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        paths = {name: str(getattr(self, name)) for name in ("folder", "best", "last")}
        return {**paths, "rounds": [dict(row) for row in self.rounds], "metrics": dict(self.metrics)}

    def __str__(self) -> str:
        """The rounds as a table for people, and where the model is."""
        heads = ("round", "epoch", "false alarms", "precision", "recall", "fppi", "mined")
        names = ("round", "epoch", "false_alarm_rate", "precision", "recall", "fppi", "hard_negatives")
        lines = ["".join(f"{head:>14}" for head in heads)]
        lines += ["".join(f"{row[name]:>14.4g}" for name in names) for row in self.rounds]
        return "\n".join(["Rounds of mining on the images trained on", *lines, "", f"Model: {self.best}"])


def train(
    data: str | Path,
    model: str | Path,
    plan: TrainingPlan | None = None,
    *,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> TrainingSummary:
    """Train with Ultralytics, drawing images by weight and mining the train split as the plan says.

    Args:
        data: ``data.yaml``; its train split is mined, the others are left alone.
        model: a checkpoint to start from, a ``.yaml`` to start from nothing, or with ``resume`` the ``last.pt`` of a
            training that was interrupted.
        plan: when to mine, and how; None for the defaults, or for what a resumed training had.
        resume: go on with an interrupted training.
        progress: called with (done, all) epochs.
        options: Ultralytics' own settings, such as ``epochs=50, imgsz=320``.

    Raises:
        ValueError: if the model is of a kind that can't be mined, or Ultralytics knows no such setting.
        FileNotFoundError: if data or model are not there.
        ImportError: if Ultralytics is missing.
    """
    try:
        from ultralytics import YOLO
    except ImportError:
        raise ImportError("training needs Ultralytics: pip install ultralytics") from None
    from . import trainer

    check_options(options)
    if not Path(data).is_file():
        raise FileNotFoundError(f"there is no {data}")
    if plan is not None and plan.reviews:
        read_reviews(plan.reviews, ())  # before anything is begun
    yolo = _load(YOLO, model)
    if type(yolo) is not YOLO or yolo.task not in TASKS:
        kind = yolo.task if type(yolo) is YOLO else type(yolo).__name__
        why = OTHERS.get(kind, "only plain YOLO models are")
        raise ValueError(f"{model} is a model of kind {kind!r}, which can't be mined in training: {why}")
    given = {**options, **({"project": str(Path(options["project"]).resolve())} if options.get("project") else {})}
    if plan is not None or not resume:
        given["mining"] = plan or TrainingPlan()
    if progress is not None:
        yolo.add_callback("on_train_epoch_end", lambda running: progress(running.epoch + 1, running.epochs))
    known = yolo.ckpt or {}
    if resume and (known.get("epoch", -1) < 0 or known.get("optimizer") is None):  # Ultralytics would start anew
        raise ValueError(f"{model} is not of a training that was interrupted: there is nothing to resume")
    try:
        yolo.train(data=str(data), trainer=getattr(trainer, TASKS[yolo.task]), resume=resume, **given)
    except AssertionError as error:
        if not resume or "nothing to resume" not in str(error):
            raise  # else it was killed in its last round, which is there now
    except RuntimeError as error:
        said = " ".join(str(error).split())
        if not said.startswith(("Dataset ", "Optimizer ")):
            raise
        lost = said.startswith("Dataset ") and "not found" in said
        advice = "; it takes a relative path: of data.yaml from where training is started: leave that line out"
        raise ValueError(f"Ultralytics: {said}{advice if lost else ''}") from None
    folder = Path(yolo.trainer.save_dir)
    found = getattr(yolo.metrics, "results_dict", None) or {}
    return TrainingSummary(
        folder=folder,
        best=folder / "weights" / "best.pt",
        last=folder / "weights" / "last.pt",
        rounds=tuple(Rounds(folder / trainer.FOLDER).rows()),
        metrics={name: float(value) for name, value in found.items()},
    )


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what Ultralytics does not know, and values that it does not take.

    Raises:
        ValueError: naming it, and names like it.
    """
    from difflib import get_close_matches

    from ultralytics.cfg import check_cfg
    from ultralytics.utils import DEFAULT_CFG_DICT

    unknown = [name for name in options if name not in DEFAULT_CFG_DICT]
    if unknown:
        close = get_close_matches(unknown[0], DEFAULT_CFG_DICT, 3)
        raise ValueError(
            f"Ultralytics has no setting {', '.join(map(repr, unknown))}"
            + (f"; did you mean {' or '.join(map(repr, close))}?" if close else "")
        )
    try:
        check_cfg(dict(options))
    except TypeError as error:
        raise ValueError(f"Ultralytics: {error}") from None


def _load(kind: Any, model: str | Path) -> Any:
    try:
        loaded = kind(str(model))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no model {str(model)!r}, and it could not be fetched: name a .pt file, or a .yaml to start from "
            f"nothing"
        ) from None
    except (OSError, ImportError):
        raise
    except Exception as error:  # files can be broken in many ways, and Ultralytics lets them all through
        raise ValueError(f"{model} is no model that can be trained: {type(error).__name__}: {error}") from error
    if isinstance(loaded.model, str):
        raise ValueError(f"{model} is exported for prediction: train the .pt file that it was made of")
    return loaded
