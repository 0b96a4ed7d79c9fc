"""The loop closed: a run's weights exported, a model trained on them, and what it sees mined as the next round."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hnm_core.io.data_yaml import class_names, read_data_yaml
from hnm_core.settings import MiningSettings
from hnm_core.training.plan import TrainingPlan

from . import checkpoints, exports, mining, predicting, runs, tuning, views
from .settings import RunSettings

EPOCHS, MINE_EVERY, WARMUP, IMGSZ, BATCH = 50, 10, 3, 640, 16
Say = Callable[[float, str], None]


class Beginning(NamedTuple):
    """What a training can start from.

    Attributes:
        model: path of a checkpoint; "" if none is known.
        imgsz: longer side of its images, pixels.
    """

    model: str = ""
    imgsz: int = IMGSZ


def train(
    dataset: Any,
    run_key: str | None,
    model: str | Path,
    output_dir: str | Path,
    *,
    new_run_key: str | None = None,
    pred_field: str | None = None,
    epochs: int = EPOCHS,
    mine_every: int = MINE_EVERY,
    warmup: int = WARMUP,
    negative_gain: float = 1.0,
    imgsz: int = IMGSZ,
    batch: int = BATCH,
    device: str | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Say = predicting.silent,
) -> dict[str, Any]:
    """Train on the weights of a run, predict with what was trained, and mine the next round.

    Args:
        dataset: the dataset that was mined.
        run_key: whose weights, settings and reviews to train by.
        model: an Ultralytics checkpoint to start from, or a ``.yaml`` to start from nothing.
        output_dir: a new or empty folder: ``data/`` (the export), ``run/`` (the training and its rounds).
        new_run_key: of the next round; None for the old one counted on.
        pred_field: where the new predictions go; None for ``NEW_RUN_KEY_predictions``.
        epochs: passes over the training images.
        mine_every: epochs from one round in training to the next.
        warmup: epochs before the first.
        negative_gain: how many times background that the model takes for an object counts in the loss.
        imgsz: longer side of the images, pixels.
        batch: images per batch.
        device: as Ultralytics names it; None for a GPU if there is one.
        settings: more of Ultralytics' settings.
        progress: told the share done, and what is being done.

    Returns:
        What mining the next round returns, and ``pred_field``, ``model`` (the best checkpoint), ``rounds`` of the
        training; JSON-clean.

    Raises:
        ValueError: in one sentence, if it can't be done as asked; nothing is written then.
        FileExistsError: if the folder holds anything.
        FileNotFoundError: if there is no such model.
        ImportError: if Ultralytics is missing.
    """
    before = check(dataset, run_key, model, output_dir, new_run_key, pred_field)
    after = next_round(dataset, before, new_run_key, pred_field)
    plan = TrainingPlan(mine_every, warmup, negative_gain=negative_gain)
    from hnm_core.training.start import check_options
    from hnm_core.training.start import train as train_model

    options: dict[str, Any] = {
        "epochs": epochs,
        "imgsz": imgsz,
        "batch": batch,
        "seed": before.engine.seed,
        **(settings or {}),
    }
    options |= {"device": device} if device else {}
    check_options(options)
    root = Path(output_dir).expanduser().resolve()
    exported = exports.export(
        dataset, before.run_key, root / "data", layout="ultralytics", progress=_part(progress, 0.0, 0.1)
    )
    warnings = list(exported["warnings"])
    data = _data_to_train_on(root, exported, warnings)
    plan = replace(plan, settings=_in_training(before.engine, class_names(data, read_data_yaml(data)), warnings))
    if exported["reviews"]:
        plan = replace(plan, reviews=str(root / "data" / exports.REVIEWS))

    def told(done: int, of: int) -> None:
        progress(0.1 + 0.7 * done / max(of, 1), f"Trained {done} of {of} epochs")

    progress(0.1, "Training")
    trained = train_model(data, model, plan, project=str(root), name="run", progress=told, **options)
    samples = exports.labelled_samples(dataset, before)
    told_of = _part(progress, 0.8, 0.95)
    predicting.predict(
        samples, trained.best, after.pred_field, imgsz=imgsz, batch=batch, device=device, progress=told_of
    )
    after, notes = with_thresholds_of(samples, after)
    mined = mining.mine_samples(samples, {**after.as_dict(), "eval_key": None}, _part(progress, 0.95, 1.0))
    return {
        **mined,
        "warnings": [*warnings, *notes, *mined["warnings"]],
        "pred_field": after.pred_field,
        "model": str(trained.best),
        "rounds": [dict(row) for row in trained.rounds],
    }


def check(
    dataset: Any,
    run_key: str | None,
    model: str | Path | None,
    output_dir: str | Path | None,
    new_run_key: str | None = None,
    pred_field: str | None = None,
) -> RunSettings:
    """Refuse what can't be done before any work is; what is not named yet is not looked at.

    Returns:
        The settings of the run.

    Raises:
        ValueError: saying why.
        FileExistsError: if the folder holds anything.
        FileNotFoundError: if there is no such model.
    """
    before = runs.settings_of(dataset, run_key)
    exports.check_weighted(before)
    if output_dir:
        exports.check_output_dir(output_dir)
    if model and Path(model).suffix not in (".yaml", ".yml"):
        checkpoints.find_model(model)
    after = next_round(dataset, before, new_run_key, pred_field)
    runs.check_new(dataset, after, name="new_run_key")
    predicting.check_field(views.images_of(dataset), after.pred_field)
    return before


def begin_with(dataset: Any, run_key: str | None) -> Beginning:
    """What to go on from: the model that a run judged, if it is known and still there, as it was asked to predict."""
    if run_key not in runs.keys(dataset):
        return Beginning()
    known = predicting.models_of(dataset, runs.settings_of(dataset, run_key).pred_field)
    there = [each for each in known if Path(each["model"]).is_file()]
    return Beginning(there[-1]["model"], there[-1]["imgsz"] or IMGSZ) if there else Beginning()


def next_round(
    dataset: Any, before: RunSettings, new_run_key: str | None = None, pred_field: str | None = None
) -> RunSettings:
    """The settings of the round after a run: the same, on the new predictions."""
    key = new_run_key or next_key(dataset, before.run_key)
    return replace(before, run_key=key, pred_field=pred_field or f"{key}_predictions", eval_key=None)


def with_thresholds_of(samples: Any, settings: RunSettings) -> tuple[RunSettings, list[str]]:
    """The settings without thresholds of classes that have no box any more, which mining would refuse as misspelt.

    Args:
        samples: what will be mined; a new model may predict fewer classes than the one before.
        settings: of the round before, on the new predictions.

    Returns:
        The settings, and what was left out of them, in a sentence.
    """
    ours, theirs = (samples.distinct(f"{field}.detections.label") for field in (settings.pred_field, settings.gt_field))
    classes = {*theirs, *(settings.class_map.get(name, name) for name in ours), *settings.classes}
    engine = tuning.for_classes(settings.engine, classes)
    lost = sorted({*settings.engine.class_confidence, *settings.engine.class_iou} - classes)
    if not lost:
        return settings, []
    note = (
        f"thresholds of {', '.join(map(repr, lost))} are left out of run {settings.run_key!r}: no box is of that class"
    )
    return replace(settings, engine=engine), [note]


def next_key(dataset: Any, run_key: str) -> str:
    """A free key that counts on: ``first`` → ``first_2`` → ``first_3``."""
    stem, number = re.fullmatch(r"(.*?)(?:_(\d+))?", run_key).groups()  # type: ignore[union-attr]
    count = int(number or 1) + 1
    while f"{stem}_{count}" in runs.keys(dataset):
        count += 1
    return f"{stem}_{count}"


def _data_to_train_on(root: Path, exported: Mapping[str, Any], warnings: list[str]) -> Path:
    """``data.yaml`` of the export; one beside it where the data have no val split, which Ultralytics insists on."""
    data = Path(exported["data"])
    if exported["images"].get("val"):
        return data
    warnings.append(
        "no sample is in the val split: the best checkpoint was chosen on the images trained on, which flatters it"
    )
    text = data.read_text(encoding="utf-8").replace("val:", f"path: {json.dumps(str(data.parent))}\nval: train.txt", 1)
    own = root / "train.yaml"
    own.write_text(text, encoding="utf-8")
    return own


def _in_training(engine: MiningSettings, classes: Collection[str], warnings: list[str]) -> MiningSettings:
    """The run's settings as far as a training can mine by them: it knows no groups, and the exported classes alone."""
    if engine.max_per_group:
        warnings.append("max_per_group does not hold for the rounds in training, which know no groups of images")
    return replace(tuning.for_classes(engine, classes), max_per_group=0)


def _part(progress: Say, low: float, high: float) -> Say:
    """Progress of a part of the work as progress of the whole."""
    return lambda share, label: progress(low + (high - low) * share, label)
