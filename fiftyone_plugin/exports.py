"""A mining run → a data set on disk: which samples go, in which split, with which weight."""

from __future__ import annotations

import csv
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
from fiftyone import ViewField as F

from hnm_core import Detections
from hnm_core.boxes import xywh_to_xyxy
from hnm_core.export import ExportImage, ExportSettings, export_weighted
from hnm_core.export.crops import SUSPECTED

from . import bridge, runs, subsets, views
from .reviews_file import save_json
from .settings import SPLITS, RunSettings

__all__ = ["check_output_dir", "check_weighted", "export", "free_dir", "labelled_samples", "options_of"]

REVIEWS = "reviews.json"
"""What people said, beside the exported images: ``hnm mine`` and ``hnm train`` read it, and another dataset."""


def export(
    dataset: Any,
    run_key: str | None,
    output_dir: str | Path,
    *,
    saved_view: str | None = None,
    clone: str | None = None,
    progress: Callable[[float, str], None] = lambda share, label: None,
    **options: Any,
) -> dict[str, Any]:
    """Write the labelled samples of a dataset, the train split with a run's weights, and verify what was written.

    Train samples that the run did not see weigh 1; val and test go as they are.

    Args:
        dataset: the dataset that was mined.
        run_key: whose weights to take.
        output_dir: a new or empty folder.
        saved_view: save the exported train samples as a view of this name, too.
        clone: copy them into a new dataset of this name, too.
        progress: told the share done, and what is being done.
        **options: layout, media and what is exported, see :class:`hnm_core.export.ExportSettings`.

    Returns:
        The summary of the export, JSON-clean.

    Raises:
        ValueError: if there is no such run, it has no weights, or an option or a name is unfit.
        FileExistsError: if the folder holds anything.
    """
    settings, results = runs.load(dataset, run_key)
    check_weighted(settings)
    chosen = ExportSettings(**options)
    subsets.check_names(dataset, saved_view, clone)
    progress(0.0, "Reading labels")
    samples = labelled_samples(dataset, settings)
    truth = bridge.read_truth(samples, settings.gt_field, _class_order(dataset, settings.gt_field))
    images = _images(samples, settings, results)
    seen = set(results.images["sample_id"])
    unseen = sum(image.split == "train" and image.sample_id not in seen for image in images)
    notes: list[str] = []
    if chosen.holds_crowds:
        truth, notes = _with_ignored(samples, settings, truth)
    mistakes, said = _mistakes(samples, settings, truth) if chosen.crops else (None, [])
    notes += said
    exported = export_weighted(
        output_dir,
        images,
        truth,
        report=results.report,
        run_key=settings.run_key,
        settings=chosen,
        mining=settings.engine,
        mistakes=mistakes,
        progress=_told(progress),
    )
    summary = exported.as_dict()
    summary["warnings"] += notes
    if unseen:
        summary["warnings"].append(f"{unseen} train images were not mined by run {settings.run_key!r}: they weigh 1")
    summary |= subsets.keep(dataset, exported.sample_ids, settings.run_key, saved_view, clone)
    summary["reviews"] = _save_reviews(dataset, Path(summary["output_dir"]))
    progress(1.0, "Done")
    return {"run_key": settings.run_key, **summary}


def _save_reviews(dataset: Any, folder: Path) -> int:
    """``reviews.json`` of an export: what people said of its images, if anything, and how much that is."""
    with (folder / "weights.csv").open(newline="", encoding="utf-8") as file:
        file_of = {row["sample_id"]: row["filepath"] for row in csv.DictReader(file)}
    reviews = folder / REVIEWS
    said = save_json(dataset, reviews, file_of)
    if not said:
        reviews.unlink()
    return said


def options_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """The options among an operator's parameters; what is absent, None or empty keeps its default."""
    names = (*(knob.name for knob in fields(ExportSettings)), "saved_view", "clone")
    return {name: params[name] for name in names if params.get(name) not in (None, "")}


def check_weighted(settings: RunSettings) -> None:
    """Refuse runs that only monitored.

    Raises:
        ValueError: saying why there are no weights.
    """
    if not settings.weighs:
        raise ValueError(
            f"run {settings.run_key!r} monitors split {settings.mine_split!r} and has no weights; held-out images "
            f"are never weighted: export a run that mined train"
        )


def check_output_dir(output_dir: str | Path) -> None:
    """Refuse a folder that holds anything, before any work is done.

    Raises:
        FileExistsError: naming the folder.
    """
    path = Path(output_dir).expanduser()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{path} exists and is not empty: export into a new folder")


def free_dir(dataset: Any, name: str) -> str:
    """A folder for a dataset's exports that nothing is in yet, where FiftyOne keeps data sets."""
    first = Path(fo.config.default_dataset_dir, "hard_negatives", dataset.slug, name)
    others = (first.with_name(f"{name}_{number}") for number in itertools.count(2))
    return str(next(path for path in itertools.chain([first], others) if not path.exists()))


def _told(progress: Callable[[float, str], None]) -> Callable[[Sequence[Any], str], Iterator[Any]]:
    """The engine's way of telling how far it has come, in the App's words."""

    def told(items: Sequence[Any], what: str) -> Iterator[Any]:
        for done, item in enumerate(items):
            if done % 50 == 0:
                progress(done / len(items), f"{what.capitalize()}: {done:,} of {len(items):,}")
            yield item

    return told


def labelled_samples(dataset: Any, settings: RunSettings) -> Any:
    """The samples that can be exported: labelled ones, and those that were mined as images without objects."""
    samples = views.images_of(dataset)
    return samples.match(F(settings.gt_field).exists() | F(f"{settings.run_key}_count").exists())


def _images(samples: Any, settings: RunSettings, results: Any) -> list[ExportImage]:
    split_of = {
        sample_id: split
        for split in SPLITS
        for sample_id in views.of_split(samples, split, settings.split_field).values("id")
    }
    columns = (results.images[name] for name in ("sample_id", "repeats", "hard"))
    mined = {sample_id: known for sample_id, *known in zip(*columns, strict=True)}
    errors = _errors(results.objects)
    key = settings.run_key
    rows = zip(*samples.values(["id", "filepath", f"{key}_weight", f"{key}_score", f"{key}_count"]), strict=True)
    images = []
    for sample_id, filepath, weight, score, count in rows:
        split = split_of.get(sample_id)
        if split is None:
            continue
        if split != "train" or weight is None:  # held out since it was mined, or never seen
            images.append(ExportImage(filepath, sample_id, split))
        else:
            repeats, hard = mined.get(sample_id, [1, False])
            counted = errors.get(sample_id)
            images.append(ExportImage(filepath, sample_id, split, weight, repeats, score, count, counted, hard))
    return images


def _errors(objects: dict[str, Sequence[Any]]) -> dict[str, Counter[str]]:
    """Per sample, how many objects of each error type were mined."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sample_id, error, hard in zip(objects["sample_id"], objects["error"], objects["hard"], strict=True):
        if hard:
            counts[sample_id][error] += 1
    return counts


def _mistakes(samples: Any, settings: RunSettings, truth: Detections) -> tuple[Detections, list[str]]:
    """The boxes of what a run mined, ``score`` their difficulty.

    Without those whose label is suspected, and those that a person took out.
    """
    key = settings.run_key
    number = {sample_id: i for i, sample_id in enumerate(truth.images)}
    names = ("bounding_box", f"{key}_difficulty", f"{key}_suspicion", f"{key}_state")
    image, boxes, difficulty, suspected = [], [], [], 0
    for field in (settings.pred_field, settings.gt_field):
        found = samples.filter_labels(field, F(f"{key}_state").exists())
        columns = found.values(["id", *(f"{field}.detections.{name}" for name in names)])
        for sample_id, *of_sample in zip(*columns, strict=True):
            for box, hardness, suspicion, state in zip(*of_sample, strict=True):
                if state == "ignore":
                    continue
                if settings.engine.use_suspicion and (suspicion or 0.0) > SUSPECTED:
                    suspected += 1
                    continue
                image.append(number[sample_id])
                boxes.append(box)
                difficulty.append(hardness)
    notes = []
    if suspected:
        notes.append(
            f"{suspected} mistakes have no crop, for their label is suspected (above {SUSPECTED:g}): review them first"
        )
    xyxy = xywh_to_xyxy(np.array(boxes, dtype=np.float64).reshape(-1, 4))
    rows = np.array(image, dtype=np.int64)
    scores = np.array(difficulty, dtype=np.float64)
    return Detections(rows, xyxy, np.zeros_like(rows), scores, truth.images, ("mistake",)), notes


def _with_ignored(samples: Any, settings: RunSettings, truth: Detections) -> tuple[Detections, list[str]]:
    """The truths and, as regions to ignore, the predictions of which a person said so."""
    field, key = settings.pred_field, settings.run_key
    found = samples.filter_labels(field, F(f"{key}_state") == "ignore")
    columns = found.values(["id", f"{field}.detections.label", f"{field}.detections.bounding_box"])
    number = {sample_id: i for i, sample_id in enumerate(truth.images)}
    class_of = {name: i for i, name in enumerate(truth.classes)}
    rows = [
        (number[sample_id], class_of[name], box)
        for sample_id, labels, boxes in zip(*columns, strict=True)
        for label, box in zip(labels, boxes, strict=True)
        if (name := settings.class_map.get(label, label)) in class_of
    ]
    if not rows:
        return truth, []
    image, label, xywh = (np.array(column) for column in zip(*rows, strict=True))
    more = replace(
        truth,
        image=np.concatenate([truth.image, image]),
        xyxy=np.concatenate([truth.xyxy, xywh_to_xyxy(xywh)]),
        label=np.concatenate([truth.label, label]),
        crowd=np.concatenate([truth.is_crowd(), np.ones(len(rows), dtype=bool)]),
        ids=None,
    )
    return more, [f"{len(rows)} predictions that a person took out are regions to ignore (iscrowd)"]


def _class_order(dataset: Any, gt_field: str) -> Sequence[str]:
    """The dataset's own order of classes, if it names them all: a trained model knows them by number."""
    occurring = set(views.images_of(dataset).distinct(f"{gt_field}.detections.label"))
    declared = dataset.classes.get(gt_field) or dataset.default_classes or ()
    return declared if occurring <= set(declared) else ()
