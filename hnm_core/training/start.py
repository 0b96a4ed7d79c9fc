"""Train a model on a dataset with mining; called by ``hnm train`` and by the operator of the App."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb
from typing import Any

from ..io.data_yaml import read_data_yaml
from ..io.progress import Progress, silent
from ..io.reviews_file import read_reviews
from ..io.yaml_names import class_names
from .mining import Rounds
from .plan import TrainingPlan

__all__ = ["TASKS", "TrainingSummary", "train"]

TASKS = {"detect": "HardNegativeTrainer", "segment": "HardNegativeSegmentationTrainer"}
"""Tasks of Ultralytics that can be mined, and their trainers."""

FEW_EPOCHS = 20
"""Epochs that a detector without weights needs at least before its mistakes say something (chosen)."""

OTHERS = {
    "obb": "oriented boxes cannot be matched",
    "pose": "poses cannot be matched by their boxes",
    "classify": "there are no boxes",
    "semantic": "there are no boxes",
    "depth": "there are no boxes",
}


@dataclass(frozen=True)
class TrainingSummary:
    """Summary of a training.

    Attributes:
        folder: folder of the run.
        best: the best checkpoint by the fitness of Ultralytics.
        last: the last checkpoint.
        rounds: per round ``round``, ``epoch``, rates, counts and ``mean_weight``.
        metrics: of the best checkpoint on the val split, by the names of Ultralytics; empty without a val split.
        notes: what to know of the rounds, as sentences.
    """

    folder: Path
    best: Path
    last: Path
    rounds: tuple[Mapping[str, Any], ...]
    metrics: Mapping[str, float]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        paths = {name: str(getattr(self, name)) for name in ("folder", "best", "last")}
        return {
            **paths,
            "rounds": [dict(row) for row in self.rounds],
            "metrics": dict(self.metrics),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        """Return the rounds as a table, and the path of the model."""
        heads = ("round", "epoch", "false alarms", "precision", "recall", "fppi", "mined")
        names = ("round", "epoch", "false_alarm_rate", "precision", "recall", "fppi", "hard_negatives")
        lines = ["".join(f"{head:>14}" for head in heads)]
        lines += ["".join(f"{row[name]:>14.4g}" for name in names) for row in self.rounds]
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join(["Rounds of mining on the images trained on", *lines, *notes, "", f"Model: {self.best}"])


def train(
    data: str | Path,
    model: str | Path,
    plan: TrainingPlan | None = None,
    *,
    resume: bool = False,
    progress: Progress = silent,
    **options: Any,
) -> TrainingSummary:
    """Train with Ultralytics; draw images by weight, and mine the train split as planned.

    Args:
        data: ``data.yaml``; only its train split is mined.
        model: a checkpoint to start from, a ``.yaml`` to start without weights, or with ``resume`` the ``last.pt`` of
            an interrupted training.
        plan: when and how to mine; None for the defaults, or for the plan of the resumed training.
        resume: continue an interrupted training.
        progress: told after every epoch.
        options: settings of Ultralytics, such as ``epochs=50, imgsz=320``.

    Raises:
        ValueError: if the task of the model cannot be mined, or Ultralytics has no such setting.
        FileNotFoundError: if data or model do not exist.
        ImportError: if Ultralytics is missing.
    """
    try:
        from ultralytics import YOLO
        from ultralytics.utils import LOGGER
    except ImportError:
        raise ImportError("training needs Ultralytics: pip install ultralytics") from None
    from . import trainer

    check_options(options)
    if not Path(data).is_file():
        raise FileNotFoundError(f"{data} does not exist")
    if Path(data).suffix.lower() not in (".yaml", ".yml"):  # Ultralytics makes the folder of the run first
        raise ValueError(f"{data} is no data.yaml: training needs a YOLO data set")
    class_names(Path(data), read_data_yaml(Path(data)))
    if plan is not None and plan.reviews:
        read_reviews(plan.reviews, ())  # fail early
    if plan is not None and plan.ignore_regions and not Path(plan.ignore_regions).is_file():
        raise FileNotFoundError(f"ignore_regions: {plan.ignore_regions} does not exist")
    yolo = _load(YOLO, model)
    if type(yolo) is not YOLO or yolo.task not in TASKS:
        kind = yolo.task if type(yolo) is YOLO else type(yolo).__name__
        why = OTHERS.get(kind, "only plain YOLO models are")
        raise ValueError(f"{model} is a model of kind {kind!r}, which cannot be mined in training: {why}")
    given = {**options, **({"project": str(Path(options["project"]).resolve())} if options.get("project") else {})}
    if plan is not None or not resume:
        given["mining"] = plan or TrainingPlan()
    if progress is not silent:

        def told(running: Any) -> None:
            done, of = running.epoch + 1, max(running.epochs, 1)
            progress(done / of, f"training: {done} of {of} epochs")

        yolo.add_callback("on_train_epoch_end", told)
    known = yolo.ckpt or {}
    if resume and (
        known.get("epoch", -1) < 0 or known.get("optimizer") is None
    ):  # Ultralytics would start a new training
        raise ValueError(f"{model} is not the checkpoint of an interrupted training: there is nothing to resume")
    notes = [] if resume or known else _notes_from_scratch(plan or TrainingPlan(), options.get("epochs", 100))
    notes += [] if plan is None else _notes_on_gate(plan, options.get("epochs", 100))
    for note in notes:
        LOGGER.warning(note)
    try:
        yolo.train(data=str(data), trainer=getattr(trainer, TASKS[yolo.task]), resume=resume, **given)
    except AssertionError as error:
        if not resume or "nothing to resume" not in str(error):
            raise  # else it was killed in its last round, which is mined now
    except RuntimeError as error:
        if not _is_said_by_ultralytics(error):
            raise
        message = " ".join(str(error).split())
        missing = message.startswith("Dataset ") and "not found" in message
        raise ValueError(f"Ultralytics: {message}{_advice(Path(data)) if missing else ''}") from error
    folder = Path(yolo.trainer.save_dir)
    found = getattr(yolo.metrics, "results_dict", None) or {}
    return TrainingSummary(
        folder=folder,
        best=folder / "weights" / "best.pt",
        last=folder / "weights" / "last.pt",
        rounds=tuple(Rounds(folder / trainer.FOLDER).rows()),
        metrics={name: float(value) for name, value in found.items()},
        notes=tuple(notes),
    )


def _notes_from_scratch(plan: TrainingPlan, epochs: int) -> list[str]:
    """Say that the first rounds of a model without weights mine what it has not learnt yet."""
    early = [epoch for epoch in plan.due(epochs) if epoch < FEW_EPOCHS]
    if not early:
        return []
    after = ", ".join(map(str, early[:3])) + (" …" if len(early) > 3 else "")
    return [
        f"the model starts without weights: rounds in its first {FEW_EPOCHS} epochs (after {after}) mine an untrained "
        f"model, whose mistakes say little about the images. Start from a .pt, or give a longer warm-up"
    ]


def _notes_on_gate(plan: TrainingPlan, epochs: int) -> list[str]:
    """Say what the gate of the loss cannot do with this plan."""
    notes = []
    if plan.suspects and plan.negative_gain > 1 and plan.due(epochs)[0] >= epochs:
        notes.append(
            f"the negative gain never starts: it waits for the first round, which is after epoch {epochs}, the last. "
            f"Give a shorter warm-up, or set loss_gate to reviewed or off"
        )
    if plan.label_threshold is not None and not plan.reviews:
        notes.append(
            "label_threshold does nothing without reviews: where labels are complete, every object that it adds is "
            "wrong. Review ten or twenty background errors, and give them as reviews"
        )
    return notes


def _is_said_by_ultralytics(error: RuntimeError) -> bool:
    """Return whether Ultralytics raised an error itself, on what it was given; torch raises others in its calls."""
    *_, (last, _) = walk_tb(error.__traceback__)
    return str(last.f_globals.get("__name__", "")).partition(".")[0] == "ultralytics"


def _advice(data: Path) -> str:
    """Say why Ultralytics may not find the images of a ``data.yaml``; empty if nothing is known."""
    try:
        config = read_data_yaml(data)
    except (OSError, ValueError):
        return ""
    if not config.get("val"):
        return "; data.yaml has no val split: add `val:`, or train with --set split=train, which validates on train"
    if config.get("path") and not Path(str(config["path"])).is_absolute():
        return "; Ultralytics resolves a relative `path:` in data.yaml from the working directory: remove that line"
    return ""


def check_options(options: Mapping[str, Any]) -> None:
    """Check the names and values of settings of Ultralytics.

    Raises:
        ValueError: with the unknown name and similar ones, or with the invalid value.
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
            f"model {str(model)!r} does not exist and could not be downloaded: give a .pt file, or a .yaml to start "
            f"without weights"
        ) from None
    except (OSError, ImportError):
        raise
    except Exception as error:  # Ultralytics raises many kinds of errors for damaged files
        raise ValueError(f"{model} cannot be loaded for training: {type(error).__name__}: {error}") from error
    if isinstance(loaded.model, str):
        raise ValueError(f"{model} is exported for prediction: train the .pt file it was exported from")
    return loaded
