"""A weighted data set on disk that Ultralytics trains on as it is: images, labels, lists and the weights."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import Detections
from ..weights import effective_sample_size
from .aside import check_free, new_folder
from .yolo import IMAGE_SUFFIXES

__all__ = ["ExportImage", "ExportSummary", "export_yolo"]

SPLITS = ("train", "val", "test")
MEDIA = ("copy", "symlink")
NEW_FOLDER = "export into a new folder"
WEIGHT_COLUMNS = (
    *("filepath", "sample_id", "split", "weight", "repeats", "score", "hard_negatives", "errors", "run_key"),
)


@dataclass(frozen=True)
class ExportImage:
    """One image to export, and what it counts.

    Attributes:
        filepath: where the image lies now.
        sample_id: its key in the table of truths.
        split: ``train``, ``val`` or ``test``.
        weight: sample weight ≥ 1; 1 outside train.
        repeats: lines in ``train.txt`` ≥ 1; 1 outside train.
        score: image score in ``[0, 1]``.
        hard_negatives: mined objects in it.
        errors: how many of them by error type.
    """

    filepath: str
    sample_id: str
    split: str = "train"
    weight: float = 1.0
    repeats: int = 1
    score: float = 0.0
    hard_negatives: int = 0
    errors: Mapping[str, int] | None = None


@dataclass(frozen=True)
class ExportSummary:
    """What was written.

    Attributes:
        output_dir: the folder.
        data_yaml: what a trainer is given.
        images: number of images per split.
        train_entries: lines of ``train.txt``, the images of one epoch.
        background_images: train images without any label.
        effective_sample_size: of the repeats, over the number of train images.
        warnings: what to know before training, in sentences.
    """

    output_dir: Path
    data_yaml: Path
    images: Mapping[str, int]
    train_entries: int
    background_images: int
    effective_sample_size: float
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON can hold; ``output_dir`` and ``data_yaml`` as text."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        paths = {"output_dir": str(self.output_dir), "data_yaml": str(self.data_yaml)}
        return {**values, **paths, "images": dict(self.images), "warnings": list(self.warnings)}


def export_yolo(
    output_dir: str | Path,
    images: Sequence[ExportImage],
    truth: Detections,
    *,
    report: Mapping[str, Any],
    run_key: str,
    media: str = "copy",
    progress: Callable[[int, int], None] | None = None,
) -> ExportSummary:
    """Write ``data.yaml``, ``train.txt`` with repeated lines, images, labels, weights and report.

    Built in a folder beside ``output_dir``, checked, then renamed: an interrupted export leaves nothing that looks
    finished. Original images are copied or linked, never moved. Crowd regions have no place in YOLO labels and are
    left out; boxes are clipped to the image, since Ultralytics drops an image whole whose boxes reach outside.

    Args:
        output_dir: must not exist, or be empty.
        images: what to export, one entry per image.
        truth: boxes as fractions of the image side; its ``images`` are the ``sample_id`` of the entries.
        report: written to ``report.json``.
        run_key: of the mining the weights come from; a column of the weights.
        media: ``copy``, or ``symlink`` to the originals.
        progress: called with (done, all) images.

    Raises:
        FileExistsError: if the folder holds anything.
        FileNotFoundError: if an image is not there.
        ValueError: if nothing is to train on, an entry has no row in ``truth``, or a value cannot be.
    """
    target = Path(output_dir).expanduser().resolve()
    _check(target, images, truth, media)
    names = _file_names(images)
    lines, warnings = _label_lines(images, truth)
    with new_folder(target, NEW_FOLDER) as aside:
        _write_media(aside, images, names, lines, media, progress)
        warnings += _write_data_yaml(aside, images, truth.classes)
        _write_train_list(aside, images, names)
        warnings += _write_weights(aside, images, names, run_key)
        summary = _summary(target, images, lines, warnings)
        content = {**report, "export": summary.as_dict()}
        (aside / "report.json").write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
        _verify(aside, summary)
    return summary


def _check(target: Path, images: Sequence[ExportImage], truth: Detections, media: str) -> None:
    if media not in MEDIA:
        raise ValueError(f"media must be one of {', '.join(MEDIA)}, got {media!r}")
    check_free(target, NEW_FOLDER)
    unknown = [i.split for i in images if i.split not in SPLITS]
    if unknown:
        raise ValueError(
            f"{len(unknown)} images have a split that is none of {', '.join(SPLITS)}, first {unknown[0]!r}"
        )
    if not any(i.split == "train" for i in images):
        raise ValueError(f"none of the {len(images)} images is in the train split: nothing to train on")
    known = set(truth.images)
    lost = [i.sample_id for i in images if i.sample_id not in known]
    if lost:
        raise ValueError(f"{len(lost)} of {len(images)} images have no entry in the ground truth, first {lost[0]!r}")
    light = [i for i in images if i.repeats < 1 or not i.weight >= 1]
    if light:
        raise ValueError(
            f"{len(light)} images have a weight or repeats below 1, first {light[0].filepath}: {light[0].weight}, "
            f"{light[0].repeats}; every image must still be drawn"
        )
    missing = [i.filepath for i in images if not Path(i.filepath).is_file()]
    if missing:
        raise FileNotFoundError(f"{len(missing)} of {len(images)} images are not there, first {missing[0]}")
    unread = [i.filepath for i in images if Path(i.filepath).suffix.lower() not in IMAGE_SUFFIXES]
    if unread:
        raise ValueError(
            f"{len(unread)} of {len(images)} images are of a type Ultralytics does not read, first {unread[0]}; "
            f"it reads {', '.join(sorted(IMAGE_SUFFIXES))}"
        )


def _file_names(images: Sequence[ExportImage]) -> list[str]:
    """``<split>/<name>`` of every image; names whose stem comes twice in a split get the sample's id."""
    stems = Counter((i.split, Path(i.filepath).stem) for i in images)
    names = []
    for image in images:
        path = Path(image.filepath)
        once = stems[image.split, path.stem] == 1
        names.append(f"{image.split}/{path.stem}{'' if once else '-' + image.sample_id}{path.suffix}")
    return names


def _label_lines(images: Sequence[ExportImage], truth: Detections) -> tuple[list[str], list[str]]:
    """The text of every label file, in the order of ``images``, and what was left out of them."""
    xyxy = np.clip(truth.xyxy, 0.0, 1.0)
    size = xyxy[:, 2:] - xyxy[:, :2]
    crowd, empty = truth.is_crowd(), ~(size > 0).all(axis=1)
    kept = np.flatnonzero(~crowd & ~empty)
    kept = kept[np.argsort(truth.image[kept], kind="stable")]
    rows = np.concatenate([(xyxy[kept, :2] + xyxy[kept, 2:]) / 2, size[kept]], axis=1).tolist()
    labels = truth.label[kept].tolist()
    text = [f"{c} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for c, (x, y, w, h) in zip(labels, rows, strict=True)]
    edges = np.searchsorted(truth.image[kept], np.arange(len(truth.images) + 1)).tolist()
    number = {name: i for i, name in enumerate(truth.images)}
    at = [number[image.sample_id] for image in images]
    warnings = []
    exported = np.zeros(len(truth.images), dtype=bool)
    exported[at] = True
    for what, rows_out in (("crowd regions", crowd), ("boxes without size inside their image", empty & ~crowd)):
        count = int((rows_out & exported[truth.image]).sum())
        if count:
            warnings.append(f"{count} {what} are left out of the labels: YOLO has no place for them")
    return ["".join(text[edges[i] : edges[i + 1]]) for i in at], warnings


def _write_media(
    root: Path,
    images: Sequence[ExportImage],
    names: Sequence[str],
    lines: Sequence[str],
    media: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    for split in {i.split for i in images}:
        (root / "images" / split).mkdir(parents=True)
        (root / "labels" / split).mkdir(parents=True)
    for done, (image, name, text) in enumerate(zip(images, names, lines, strict=True), 1):
        to = root / "images" / name
        if media == "symlink":
            os.symlink(Path(image.filepath).resolve(), to)
        else:
            shutil.copyfile(image.filepath, to)
        (root / "labels" / name).with_suffix(".txt").write_text(text, encoding="utf-8")
        if progress:
            progress(done, len(images))


def _write_data_yaml(root: Path, images: Sequence[ExportImage], classes: Iterable[str]) -> list[str]:
    """No ``path:``, so that trainers take the file's own folder and the export can be moved."""
    has = {i.split for i in images}
    lines = ["train: train.txt", "val: images/val" if "val" in has else "val:"]
    lines += ["test: images/test"] if "test" in has else []
    lines += ["names:", *(f"  {i}: {json.dumps(name, ensure_ascii=False)}" for i, name in enumerate(classes))]
    (root / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if "val" in has:
        return []
    return ["no sample is in the val split: `val:` in data.yaml is empty, so train with val=False or fill it in"]


def _write_train_list(root: Path, images: Sequence[ExportImage], names: Sequence[str]) -> None:
    lines = [f"./images/{n}\n" * i.repeats for i, n in zip(images, names, strict=True) if i.split == "train"]
    (root / "train.txt").write_text("".join(lines), encoding="utf-8")


def _write_weights(root: Path, images: Sequence[ExportImage], names: Sequence[str], run_key: str) -> list[str]:
    """``weights.csv`` and, where pyarrow is installed, ``weights.parquet``: the same rows."""
    rows = [
        (
            *(f"images/{name}", i.sample_id, i.split, float(i.weight), int(i.repeats), float(i.score)),
            *(int(i.hard_negatives), ";".join(f"{e}:{n}" for e, n in (i.errors or {}).items()), run_key),
        )
        for i, name in zip(images, names, strict=True)
    ]
    with (root / "weights.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([WEIGHT_COLUMNS, *rows])
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return ["weights.parquet is not written: pyarrow is not installed (pip install pyarrow)"]
    columns = dict(zip(WEIGHT_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), root / "weights.parquet")
    return []


def _summary(
    target: Path, images: Sequence[ExportImage], lines: Sequence[str], warnings: Sequence[str]
) -> ExportSummary:
    train = [(i, text) for i, text in zip(images, lines, strict=True) if i.split == "train"]
    repeats = np.array([i.repeats for i, _ in train])
    count = Counter(i.split for i in images)
    return ExportSummary(
        output_dir=target,
        data_yaml=target / "data.yaml",
        images={split: count[split] for split in SPLITS if count[split]},
        train_entries=int(repeats.sum()),
        background_images=sum(not text for _, text in train),
        effective_sample_size=effective_sample_size(repeats),
        warnings=tuple(warnings),
    )


def _verify(root: Path, summary: ExportSummary) -> None:
    """Read the export back by Ultralytics' documented rules; an error here is a fault of this module."""
    entries = (root / "train.txt").read_text(encoding="utf-8").split("\n")[:-1]
    lost = [e for e in set(entries) if not (root / e).is_file() or not _label_beside(root / e).is_file()]
    if lost or len(entries) != summary.train_entries:
        raise RuntimeError(
            f"the export does not read back: {len(entries)} entries of {summary.train_entries} expected, {len(lost)} "
            f"without image or label"
        )


def _label_beside(image: Path) -> Path:
    split, folder = image.parent.name, image.parent.parent.parent
    return folder / "labels" / split / f"{image.stem}.txt"
