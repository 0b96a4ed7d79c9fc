"""A mining run → a data set on disk: which samples go, in which split, with which weight."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fiftyone import ViewField as F

from hnm_core.io.export import MEDIA, ExportImage, export_yolo

from . import bridge, runs, views
from .settings import SPLITS, RunSettings

__all__ = ["MEDIA", "check_output_dir", "check_weighted", "export"]


def export(
    dataset: Any,
    run_key: str | None,
    output_dir: str | Path,
    *,
    only_hard: bool = False,
    media: str = "copy",
    progress: Callable[[float, str], None] = lambda share, label: None,
) -> dict[str, Any]:
    """Write the labelled samples of a dataset in Ultralytics' layout, the train split with a run's weights.

    Train samples that the run did not see weigh 1; val and test go as they are.

    Args:
        dataset: the dataset that was mined.
        run_key: whose weights to take.
        output_dir: a new or empty folder.
        only_hard: of the train split only the images that the run found hard.
        media: ``copy`` the images, or ``symlink`` to them.
        progress: told the share done, and what is being done.

    Returns:
        The summary of the export, JSON-clean.

    Raises:
        ValueError: if there is no such run, or it has no weights.
        FileExistsError: if the folder holds anything.
    """
    settings, results = runs.load(dataset, run_key)
    check_weighted(settings)
    progress(0.0, "Reading labels")
    samples = _samples(dataset, settings)
    truth = bridge.read_truth(samples, settings.gt_field, _class_order(dataset, settings.gt_field))
    images = _images(samples, settings, results, only_hard=only_hard)
    seen = set(results.images["sample_id"])
    unseen = sum(image.split == "train" and image.sample_id not in seen for image in images)
    summary = export_yolo(
        output_dir,
        images,
        truth,
        report=results.report,
        run_key=settings.run_key,
        media=media,
        progress=lambda done, total: progress(done / total, f"{done} of {total} images") if done % 50 == 0 else None,
    ).as_dict()
    progress(1.0, "Done")
    if unseen:
        summary["warnings"].append(f"{unseen} train images were not mined by run {settings.run_key!r}: they weigh 1")
    return {"run_key": settings.run_key, **summary}


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


def _samples(dataset: Any, settings: RunSettings) -> Any:
    """The samples that can be exported: labelled ones, and those that were mined as images without objects."""
    samples = dataset.select_group_slices(media_type="image") if dataset.media_type == "group" else dataset
    return samples.match(F(settings.gt_field).exists() | F(f"{settings.run_key}_count").exists())


def _images(samples: Any, settings: RunSettings, results: Any, *, only_hard: bool) -> list[ExportImage]:
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
        repeats, hard = mined.get(sample_id, [1, False])
        if split is None or (only_hard and split == "train" and not hard):
            continue
        if split != "train" or weight is None:  # held out since it was mined, or never seen
            images.append(ExportImage(filepath, sample_id, split))
        else:
            images.append(ExportImage(filepath, sample_id, split, weight, repeats, score, count, errors.get(sample_id)))
    return images


def _errors(objects: dict[str, Sequence[Any]]) -> dict[str, Counter[str]]:
    """Per sample, how many objects of each error type were mined."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sample_id, error, hard in zip(objects["sample_id"], objects["error"], objects["hard"], strict=True):
        if hard:
            counts[sample_id][error] += 1
    return counts


def _class_order(dataset: Any, gt_field: str) -> Sequence[str]:
    """The dataset's own order of classes, if it names them all: a trained model knows them by number."""
    occurring = set(dataset.distinct(f"{gt_field}.detections.label"))
    declared = dataset.classes.get(gt_field) or dataset.default_classes or ()
    return declared if occurring <= set(declared) else ()
