"""Train on a run: export its weights, train a model on them, predict with it, and mine the next round."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hnm_core import MiningSettings
from hnm_core.io.data_yaml import class_names, read_data_yaml
from hnm_core.io.progress import Progress, part_of, silent
from hnm_core.strategies.learnability import LEARNABILITY
from hnm_core.training.plan import OFF, TrainerSettings, TrainingPlan

from ..runs import lifecycle, records
from ..settings import RunSettings
from ..store import model_record, views
from ..store.journal import FIELD, RUN
from ..store.lock import lease
from . import checkpoints, export, ignored, mine, predict

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.core.collections import SampleCollection

TRAINER, PLAN = TrainerSettings(), TrainingPlan()

REGIONS = "ignored.json"
"""File of the ignored regions beside the exported images."""


class StartModel(NamedTuple):
    """The model that a training starts from.

    Attributes:
        model: path of a checkpoint; "" if none is known.
        imgsz: longer side of the images that it predicted on, pixels.
    """

    model: str = ""
    imgsz: int = TRAINER.imgsz


def train(
    dataset: fo.Dataset,
    run_key: str | None,
    model: str | Path,
    output_dir: str | Path,
    *,
    new_run_key: str | None = None,
    pred_field: str | None = None,
    epochs: int = TRAINER.epochs,
    mine_every: int = PLAN.mine_every,
    warmup: int = PLAN.warmup,
    negative_gain: float = PLAN.negative_gain,
    loss_gate: str = PLAN.loss_gate,
    gate_threshold: float = PLAN.gate_threshold,
    label_threshold: float | None = PLAN.label_threshold,
    suspect_evidence: Sequence[str] = PLAN.suspect_evidence,
    imgsz: int = TRAINER.imgsz,
    batch: int = TRAINER.batch,
    device: str | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train on the weights of a run, predict with the trained model, and mine the next round.

    Args:
        dataset: the dataset that was mined.
        run_key: the run whose weights, settings and reviews to use.
        model: an Ultralytics checkpoint to start from, or a ``.yaml`` for random weights.
        output_dir: a new or empty folder: ``data/`` (the export), ``run/`` (the training and its rounds).
        new_run_key: key of the next round; None for the old key with the next number.
        pred_field: field for the new predictions; None for ``NEW_RUN_KEY_predictions``.
        epochs: passes over the training images.
        mine_every: epochs between two rounds of mining during training.
        warmup: epochs before the first of them.
        negative_gain: factor in the loss of background where the model predicts an object.
        loss_gate: what counts less in the loss because its label may be missing: ``auto``, ``off``, ``reviewed``,
            ``weigh`` or ``drop``.
        gate_threshold: suspicion from which ``drop`` leaves an object out of the loss.
        label_threshold: suspicion from which background errors are trained as objects, in memory alone; None: never.
        suspect_evidence: evidence on single suspects: ``views``, ``appearance``.
        imgsz: longer side of the images, pixels.
        batch: images per batch.
        device: as Ultralytics names it; None for a GPU if available, else the CPU.
        settings: further settings of Ultralytics.
        progress: called with the share done, in [0, 1], and a label.

    Returns:
        The outcome of mining the next round, and ``pred_field``, ``model`` (the best checkpoint) and ``rounds`` (those
        during training); JSON-clean.

    Raises:
        ValueError: if it cannot be done with these parameters; nothing is written then.
        FileExistsError: if the folder is not empty.
        FileNotFoundError: if there is no such model.
        ImportError: if Ultralytics is missing.
    """
    before = check(dataset, run_key, model, output_dir, new_run_key, pred_field)
    after = next_round(dataset, before, new_run_key, pred_field)
    plan = TrainingPlan(
        mine_every,
        warmup,
        negative_gain=negative_gain,
        loss_gate=loss_gate,
        gate_threshold=gate_threshold,
        label_threshold=label_threshold,
        suspect_evidence=tuple(suspect_evidence),
    )
    asked = TrainerSettings(epochs, imgsz, batch, device).as_dict()
    from hnm_core.training.start import check_options
    from hnm_core.training.start import train as train_model

    named = {name: value for name, value in asked.items() if value not in (None, "")}
    options: dict[str, Any] = {"seed": before.engine.seed, **named, **(settings or {})}
    check_options(options)
    names = (f"{RUN}{after.run_key}", f"{FIELD}{after.pred_field}")
    with lease(dataset, *names, operator="train_on_hard_negatives") as held:
        root = Path(output_dir).expanduser().resolve()
        exported = export.export(
            dataset, before.run_key, root / "data", layout="ultralytics", progress=part_of(progress, 0.0, 0.1)
        )
        warnings = list(exported["warnings"])
        data = _data_to_train_on(root, exported, warnings)
        if before.max_per_group:
            warnings.append(
                "max_per_group is not applied to the rounds during training, since the export has no groups"
            )
        engine, notes = in_training(before.engine.for_classes(class_names(data, read_data_yaml(data))))
        plan, warnings = replace(plan, settings=engine), [*warnings, *notes]
        if exported["reviews"]:
            plan = replace(plan, reviews=str(root / "data" / export.REVIEWS))
        if plan.gate != OFF:
            samples, regions = export.labelled_samples(dataset, before), root / "data" / REGIONS
            count = ignored.save_regions(samples, before.gt_field, before.engine.ignored, root / "data", regions)
            if count:
                plan = replace(plan, ignore_regions=str(regions))
                warnings = [note for note in warnings if "ignored regions" not in note]
                warnings.append(f"{count} ignored regions (crowds among them) are left out of the loss")

        progress(0.1, "Training")
        trained = train_model(
            data, model, plan, project=str(root), name="run", progress=part_of(progress, 0.1, 0.8), **options
        )
        samples = export.labelled_samples(dataset, before)
        predict.predict(
            samples,
            trained.best,
            after.pred_field,
            imgsz=imgsz,
            batch=batch,
            device=device,
            progress=part_of(progress, 0.8, 0.95),
            held=held,
        )
        after, notes = with_thresholds_of(samples, after)
        again = {**after.as_dict(), "eval_key": None}
        mined = mine.mine_samples(samples, again, part_of(progress, 0.95, 1.0), held=held)
    return {
        **mined,
        "warnings": [*warnings, *notes, *mined["warnings"]],
        "pred_field": after.pred_field,
        "model": str(trained.best),
        "rounds": [dict(row) for row in trained.rounds],
    }


def check(
    dataset: fo.Dataset,
    run_key: str | None,
    model: str | Path | None,
    output_dir: str | Path | None,
    new_run_key: str | None = None,
    pred_field: str | None = None,
) -> RunSettings:
    """Refuse what cannot be done, before any work is done; parameters that are not given yet are not checked.

    Returns:
        The settings of the run.

    Raises:
        ValueError: saying why.
        FileExistsError: if the folder is not empty.
        FileNotFoundError: if there is no such model.
    """
    before = records.settings_of(dataset, run_key)
    export.check_weighted(before)
    if output_dir:
        export.check_output_dir(output_dir)
    if model and Path(model).suffix not in (".yaml", ".yml"):
        checkpoints.find_model(model)
    after = next_round(dataset, before, new_run_key, pred_field)
    lifecycle.check_new(dataset, after, name="new_run_key")
    predict.check_field(views.images_of(dataset), after.pred_field)
    return before


def find_start_model(dataset: fo.Dataset, run_key: str | None) -> StartModel:
    """Return the model that made the predictions of a run, if it is recorded and its file exists."""
    chosen = next((record for record in records.usable(dataset) if record.key == run_key), None)
    if chosen is None:
        return StartModel()
    known = model_record.models_of(dataset, chosen.settings.pred_field)
    there = [each for each in known if Path(each["model"]).is_file()]
    return StartModel(there[-1]["model"], there[-1]["imgsz"] or TRAINER.imgsz) if there else StartModel()


def next_round(
    dataset: fo.Dataset, before: RunSettings, new_run_key: str | None = None, pred_field: str | None = None
) -> RunSettings:
    """Return the settings of the round after a run: the same, on the new predictions."""
    key = new_run_key or next_key(dataset, before.run_key)
    return replace(before, run_key=key, pred_field=pred_field or f"{key}_predictions", eval_key=None)


def in_training(engine: MiningSettings) -> tuple[MiningSettings, list[str]]:
    """Return the settings of the rounds during training, which have no second model, and a sentence on what changes."""
    if engine.strategy != LEARNABILITY:
        return engine, []
    plain = replace(engine, strategy=MiningSettings().strategy)
    note = f"the rounds during training have no second model: they are mined by {plain.strategy}, not by {LEARNABILITY}"
    return plain, [note]


def with_thresholds_of(samples: SampleCollection, settings: RunSettings) -> tuple[RunSettings, list[str]]:
    """Return the settings without the thresholds of classes that no box has.

    Mining would refuse such thresholds as misspelt, and a new model may predict fewer classes.

    Args:
        samples: what will be mined; a new model may predict fewer classes than the one before.
        settings: of the round before, on the new predictions.

    Returns:
        The settings, and a sentence on the thresholds that were left out.
    """
    ours, theirs = (samples.distinct(f"{field}.detections.label") for field in (settings.pred_field, settings.gt_field))
    classes = {*theirs, *(settings.class_map.get(name, name) for name in ours), *settings.classes}
    engine = settings.engine.for_classes(classes)
    lost = sorted({*settings.engine.class_confidence, *settings.engine.class_iou} - classes)
    if not lost:
        return settings, []
    names = ", ".join(map(repr, lost))
    note = f"run {settings.run_key!r} is mined without the thresholds of {names}: no box has that class"
    return replace(settings, engine=engine), [note]


def next_key(dataset: fo.Dataset, run_key: str) -> str:
    """Return the first free key that counts on: ``first`` → ``first_2`` → ``first_3``."""
    stem, number = re.fullmatch(r"(.*?)(?:_(\d+))?", run_key).groups()  # type: ignore[union-attr]
    count = int(number or 1) + 1
    while f"{stem}_{count}" in records.all_keys(dataset):
        count += 1
    return f"{stem}_{count}"


def _data_to_train_on(root: Path, exported: Mapping[str, Any], warnings: list[str]) -> Path:
    """Return ``data.yaml`` of the export, or a copy that validates on train.

    Ultralytics needs a val split; the copy is made if there is none.
    """
    data = Path(exported["data"])
    if exported["images"].get("val"):
        return data
    warnings.append(
        "no sample is in the val split: the best checkpoint was chosen on the training images, and its metrics "
        "look too good"
    )
    text = data.read_text(encoding="utf-8").replace("val:", f"path: {json.dumps(str(data.parent))}\nval: train.txt", 1)
    own = root / "train.yaml"
    own.write_text(text, encoding="utf-8")
    return own
