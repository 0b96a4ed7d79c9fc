"""Export a mining run as a data set on disk: which samples, in which split, with which weight."""

from __future__ import annotations

import csv
import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fiftyone as fo
import numpy as np
from fiftyone import ViewField as F

from hnm_core import Detections
from hnm_core.boxes import xywh_to_xyxy
from hnm_core.columns import CROWD
from hnm_core.export import ExportImage, ExportSettings, export_weighted
from hnm_core.export.crops import SUSPECTED
from hnm_core.io.data_yaml import SPLITS
from hnm_core.io.progress import Progress, silent
from hnm_core.settings import check_switch, options

from ..review.json_file import save_json
from ..runs import corrections, records
from ..settings import RunSettings
from ..store import box_tables, views
from . import subsets, unlabelled

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

__all__ = ["check_output_dir", "check_weighted", "export", "free_dir", "labelled_samples", "options_of"]

REVIEWS = "reviews.json"
"""File of the reviews beside the exported images, for ``hnm mine``, ``hnm train`` and other datasets."""


def export(
    dataset: fo.Dataset,
    run_key: str | None,
    output_dir: str | Path,
    *,
    saved_view: str | None = None,
    clone: str | None = None,
    add_background: bool = False,
    background_tag: str | None = None,
    progress: Progress = silent,
    **asked: Any,
) -> dict[str, Any]:
    """Write the labelled samples of a dataset, the train split with a run's weights, and verify what was written.

    Train samples that the run did not see weigh 1. Val and test samples are exported without weights.

    Args:
        dataset: the dataset that was mined.
        run_key: the run whose weights to use.
        output_dir: a new or empty folder.
        saved_view: also save the exported train samples as a view of this name.
        clone: also copy them into a new dataset of this name.
        add_background: add train samples without labels on which the model fires, with empty labels.
        background_tag: add only those with this tag, which says that they hold no object; None for all.
        progress: called with the share done, in [0, 1], and a label.
        **asked: layout, media and further settings, see :class:`hnm_core.export.ExportSettings`.

    Returns:
        The summary of the export, JSON-clean.

    Raises:
        ValueError: if there is no such run, it has no weights, or an option or a name is invalid.
        FileExistsError: if the folder is not empty.
    """
    check_output_dir(output_dir)
    with records.reading(dataset, run_key):  # a file of two states of a run would look like one of either
        settings, results = records.load(dataset, run_key)
        check_weighted(settings)
        chosen = ExportSettings.from_dict(asked)
        subsets.check_names(dataset, saved_view, clone)
        progress(0.0, "Reading labels")
        samples = labelled_samples(dataset, settings)
        added = check_switch("add_background", add_background) or bool(background_tag)
        firing = unlabelled.firing(dataset, settings, background_tag) if added else {}
        if firing:
            samples = views.images_of(dataset).select([*samples.values("id"), *firing])
        truth = box_tables.read_truth(samples, settings.gt_field, _class_order(dataset, settings.gt_field))
        images = [unlabelled.as_added(image, firing) for image in _images(samples, settings, results)]
        seen = set(results.images["sample_id"])
        unseen = sum(image.split == "train" and image.sample_id not in seen and not image.added for image in images)
        notes: list[str] = []
        if chosen.holds_crowds:
            truth, notes = _with_ignored(samples, settings, truth)
        mistakes, crop_notes = _mistakes(samples, settings, truth) if chosen.crops else (None, [])
        notes += [*crop_notes, *filter(None, [corrections.stale_note(dataset, settings.run_key)])]
    reviews: list[int] = []
    exported = export_weighted(
        output_dir,
        images,
        truth,
        report=results.report,
        run_key=settings.run_key,
        settings=chosen,
        mining=settings.engine,
        mistakes=mistakes,
        beside=lambda folder: reviews.append(_save_reviews(dataset, folder)),
        progress=progress,
    )
    summary = exported.as_dict()
    summary["warnings"] += notes
    if unseen:
        summary["warnings"].append(
            f"{unseen} train images were not mined by run {settings.run_key!r}: their weight is 1"
        )
    summary |= subsets.keep(dataset, exported.sample_ids, settings.run_key, saved_view, clone)
    summary["reviews"] = sum(reviews)
    progress(1.0, "Done")
    return {"run_key": settings.run_key, **summary}


def _save_reviews(dataset: fo.Dataset, folder: Path) -> int:
    """Write the reviews of the exported images into ``reviews.json``.

    Return their number; without any, there is no file.
    """
    with (folder / "weights.csv").open(newline="", encoding="utf-8") as file:
        file_of = {row["sample_id"]: row["filepath"] for row in csv.DictReader(file)}
    reviews = folder / REVIEWS
    count = save_json(dataset, reviews, file_of)
    if not count:
        reviews.unlink()
    return count


def options_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the export options among an operator's parameters; absent, None and empty ones keep their defaults."""
    names = (
        *(each.name for each in options(ExportSettings)),
        "saved_view",
        "clone",
        "add_background",
        "background_tag",
    )
    return {name: params[name] for name in names if params.get(name) not in (None, "")}


def check_weighted(settings: RunSettings) -> None:
    """Refuse a run that has no weights, since it mined a held-out split.

    Raises:
        ValueError: saying why there are no weights.
    """
    if settings.without_truth:
        raise ValueError(
            f"run {settings.run_key!r} was mined without ground truth: its proposals have no weights and its images no "
            f"labels. Review them, accept what is reviewed as ground truth (accept_missing_labels), mine with that "
            f"field (mine_hard_negatives), and use that run"
        )
    if not settings.weighs:
        raise ValueError(
            f"run {settings.run_key!r} monitors split {settings.mine_split!r} and has no weights; held-out images "
            f"are never weighted: export a run that mined train"
        )


def check_output_dir(output_dir: str | Path) -> None:
    """Refuse a folder that is not empty, before any work is done.

    Raises:
        ValueError: if it is no path.
        FileExistsError: naming the folder.
    """
    if not isinstance(output_dir, (str, Path)):
        raise ValueError(f"output_dir must be a path, got {output_dir!r}")
    path = Path(output_dir).expanduser()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{path} exists and is not empty: export into a new folder")


def free_dir(dataset: fo.Dataset, name: str) -> str:
    """Return a folder for a dataset's exports that does not exist yet, where FiftyOne keeps data sets."""
    first = Path(fo.config.default_dataset_dir, "hard_negatives", dataset.slug, name)
    others = (first.with_name(f"{name}_{number}") for number in itertools.count(2))
    return str(next(path for path in itertools.chain([first], others) if not path.exists()))


def labelled_samples(dataset: fo.Dataset, settings: RunSettings) -> Any:
    """Return the samples that can be exported: labelled ones, and those that were mined as images without objects."""
    samples = views.images_of(dataset)
    return samples.match(F(settings.gt_field).exists() | F(f"{settings.run_key}_count").exists())


def _images(samples: SampleCollection, settings: RunSettings, results: Any) -> list[ExportImage]:
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
        if split != "train" or weight is None:  # moved to a held-out split since, or not mined
            images.append(ExportImage(filepath, sample_id, split))
        else:
            repeats, hard = mined.get(sample_id, [1, False])
            counted = errors.get(sample_id)
            images.append(ExportImage(filepath, sample_id, split, weight, repeats, score, count, counted, hard))
    return images


def _errors(objects: dict[str, Sequence[Any]]) -> dict[str, Counter[str]]:
    """Count the mined objects of each sample by error type."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sample_id, error, hard in zip(objects["sample_id"], objects["error"], objects["hard"], strict=True):
        if hard:
            counts[sample_id][error] += 1
    return counts


def _mistakes(samples: SampleCollection, settings: RunSettings, truth: Detections) -> tuple[Detections, list[str]]:
    """Return the boxes that a run mined, with their difficulty as ``score``, and notes.

    Boxes with a suspected label and boxes reviewed as ``ignore`` are left out.
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
            f"{suspected} mistakes have no crop because their suspicion is above {SUSPECTED:g}: review them first"
        )
    xyxy = xywh_to_xyxy(np.array(boxes, dtype=np.float64).reshape(-1, 4))
    rows = np.array(image, dtype=np.int64)
    scores = np.array(difficulty, dtype=np.float64)
    return Detections(rows, xyxy, np.zeros_like(rows), scores, truth.images, ("mistake",)), notes


def _with_ignored(samples: SampleCollection, settings: RunSettings, truth: Detections) -> tuple[Detections, list[str]]:
    """Return the truths plus, as regions to ignore, the predictions that were reviewed as ``ignore``, and notes."""
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
        kind=np.concatenate([truth.kinds(), np.full(len(rows), CROWD, dtype=np.uint8)]),
        ids=None,
    )
    return more, [f"{len(rows)} predictions reviewed as ignore are exported as regions to ignore (iscrowd)"]


def _class_order(dataset: fo.Dataset, gt_field: str) -> Sequence[str]:
    """Return the dataset's own order of classes if it names all that occur, else an empty one.

    A model that was trained before numbers its classes in this order.
    """
    occurring = set(views.images_of(dataset).distinct(f"{gt_field}.detections.label"))
    declared = dataset.classes.get(gt_field) or dataset.default_classes or ()
    return declared if occurring <= set(declared) else ()
