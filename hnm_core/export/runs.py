"""From the folder that ``hnm mine`` wrote, and the data it mined, to an export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..io.coco import read_coco_truth
from ..io.data_yaml import class_names, label_file, read_data_yaml, split_images
from ..io.progress import Progress, silent
from ..io.saved import load_mining
from ..io.yolo import read_yolo_truth
from ..result import MiningResult
from ..verify.pixels import image_size
from . import SPLITS, ExportImage, ExportSettings, ExportSummary, export_weighted
from .crops import SUSPECTED

__all__ = ["export_run"]

BOX_COLUMNS = 5
"""Class and box of a line of a label file; a polygon takes more."""


@dataclass(frozen=True)
class _Data:
    """All labels of a data set.

    Attributes:
        truth: boxes as fractions of the image; images are named as mining names them.
        split: the split of every image.
        files: where every image lies.
        notes: what to know.
        sizes: ``(images, 2)`` width and height, where mining saw boxes in pixels; None where it saw fractions.
    """

    truth: Detections
    split: Sequence[str]
    files: Sequence[Path]
    notes: Sequence[str]
    sizes: NDArray[np.float64] | None = None


def export_run(
    folder: str | Path,
    output_dir: str | Path,
    *,
    data: str | Path | None = None,
    images: str | Path | None = None,
    settings: ExportSettings | None = None,
    progress: Progress = silent,
) -> ExportSummary:
    """Export the data that a mining on disk saw, with its weights.

    Labels are read from the data anew, all classes of them; val and test go as they are.

    Args:
        folder: what ``hnm mine`` wrote.
        output_dir: must not exist, or be empty.
        data: ``data.yaml`` or COCO json; None for what was mined.
        images: where the file names of COCO json start; None for beside it.
        settings: layout, media, and what is exported.
        progress: told how far it has come.

    Raises:
        FileNotFoundError: if there is no mining, no data or an image is gone.
        ValueError: if held-out images were mined, the data are others than those mined, or as
            :func:`hnm_core.export.export_weighted` says.
    """
    settings = settings or ExportSettings()
    result, source = load_mining(folder)
    if source.get("split") not in (None, "train"):
        raise ValueError(
            f"{folder} mined split {source['split']!r}: held-out images are never weighted, for what is measured with "
            f"them would say nothing of other images, and the weights of its rows fit no other split; mine train"
        )
    path = Path(data or source["data"])
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}, which {folder} mined; if it has moved, say where with --data")
    read = _read_coco(path, images, progress) if path.suffix.lower() == ".json" else _read_yolo(path, progress)
    row, notes = _rows(result, read, path)
    hard = _counts(result)
    entries = []
    for at, (name, split, file) in enumerate(zip(read.truth.images, read.split, read.files, strict=True)):
        mined = row.get(at)
        size = None if read.sizes is None else read.sizes[at].tolist()
        plain = ExportImage(str(file), name, split, labelled_size=None if size is None else (size[0], size[1]))
        if mined is None or split != "train":
            entries.append(plain)
            continue
        facts = (result.weights, result.repeats, result.image_scores, result.hard_counts)
        weight, repeats, score, count = (column[mined].item() for column in facts)
        mistakes_of = {"hard_negatives": count, "errors": hard.get(mined), "hard": bool(result.hard_images[mined])}
        entries.append(replace(plain, weight=weight, repeats=repeats, score=score, **mistakes_of))
    mistakes = None
    if settings.crops:
        mistakes, suspected = _mistakes(result, read, row)
        notes += [suspected] if suspected else []
    done = export_weighted(
        output_dir,
        entries,
        read.truth,
        report=result.report.as_dict(),
        run_key=Path(folder).resolve().name,
        settings=settings,
        mining=result.settings,
        mistakes=mistakes,
        progress=progress,
    )
    return replace(done, warnings=(*read.notes, *notes, *done.warnings))


def _read_yolo(path: Path, progress: Progress) -> _Data:
    """All splits; an image of two splits is held out."""
    config = read_data_yaml(path)
    split_of: dict[Path, str] = {}
    twice = 0
    for split in SPLITS:  # a later one wins
        for image in split_images(path, split, config) if config.get(split) else ():
            twice += image in split_of
            split_of[image] = split
    truth = read_yolo_truth(list(split_of), class_names(path, config), progress)
    notes = [f"{twice} images of {path} are in two splits: they are held out"] if twice else []
    polygons = sum(_holds_polygons(label_file(image)) for image in split_of)
    if polygons:
        notes.append(f"{polygons} label files hold polygons: the boxes around them are exported")
    return _Data(truth, list(split_of.values()), list(split_of), notes)


def _holds_polygons(file: Path) -> bool:
    return file.is_file() and any(len(line.split()) > BOX_COLUMNS for line in file.read_bytes().splitlines())


def _read_coco(path: Path, images: str | Path | None, progress: Progress) -> _Data:
    truth, sizes, names = read_coco_truth(path)
    root = Path(images) if images else path.parent
    files = [root / name for name in names]
    gone = [file for file in files if not file.is_file()]
    if gone:
        raise FileNotFoundError(
            f"{len(gone)} of {len(files)} images are not there, first {gone[0]}; where do the file names start? "
            f"--images DIR"
        )
    unsized = np.flatnonzero(np.isnan(sizes).any(axis=1)).tolist()
    for at in progress(unsized, "reading sizes"):
        sizes[at] = image_size(files[at])
    fractions = truth.xyxy / np.tile(sizes[truth.image], 2)
    again = len(files) - len(set(files))
    notes = [f"{again} entries of {path} are images that stand there before: each is exported"] if again else []
    return _Data(replace(truth, xyxy=fractions), ["train"] * len(files), files, notes, sizes)


def _rows(result: MiningResult, data: _Data, path: Path) -> tuple[dict[int, int], list[str]]:
    """From an image of the data to its row in the mining, by name or by the file that is meant."""
    number = {name: at for at, name in enumerate(data.truth.images)}
    by_file = {file.resolve(): at for at, file in enumerate(data.files)}
    row: dict[int, int] = {}
    for mined, name in enumerate(result.truth.images):
        at = number.get(name, by_file.get(Path(name).resolve()))
        if at is not None:
            row[at] = mined
    if not row:
        raise ValueError(
            f"none of the {len(result.truth.images)} mined images is among the {len(data.files)} images of {path}: "
            f"mined was {result.truth.images[0]}, here is {data.truth.images[0]}; are these the data that were mined?"
        )
    notes = []
    lost = len(result.truth.images) - len(row)
    held_out = sum(data.split[at] != "train" for at in row)
    unseen = sum(split == "train" and at not in row for at, split in enumerate(data.split))
    if lost:
        notes.append(f"{lost} mined images are not in {path} any more")
    if held_out:
        notes.append(f"{held_out} mined images are held out in {path}: they weigh 1")
    if unseen:
        notes.append(f"{unseen} train images were not mined: they weigh 1")
    return row, notes


def _counts(result: MiningResult) -> Mapping[int, Mapping[str, int]]:
    """Per mined image, how many objects of each error type were mined."""
    counts: dict[int, Counter[str]] = {}
    for table, hard, error in (
        (result.predictions, result.prediction_hard, result.prediction_error),
        (result.truth, result.truth_hard, result.truth_error),
    ):
        for image, name in zip(table.image[hard].tolist(), error[hard].tolist(), strict=True):
            counts.setdefault(image, Counter())[name] += 1
    return counts


def _mistakes(result: MiningResult, data: _Data, row: Mapping[int, int]) -> tuple[Detections, str]:
    """The boxes of what was mined, ``score`` their difficulty, without those whose label is suspected."""
    here = np.full(len(result.truth.images), -1)
    here[list(row.values())] = list(row)
    parts = []
    suspected = 0
    for table, hard, difficulty, suspicion in (
        (result.predictions, result.prediction_hard, result.prediction_difficulty, result.prediction_suspicion),
        (result.truth, result.truth_hard, result.truth_difficulty, result.truth_suspicion),
    ):
        wanted = hard & (here[table.image] >= 0)
        doubtful = wanted & (suspicion > SUSPECTED) & result.settings.use_suspicion
        suspected += int(doubtful.sum())
        kept = np.flatnonzero(wanted & ~doubtful)
        parts.append((here[table.image[kept]], table.xyxy[kept], difficulty[kept]))
    image, xyxy, score = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if data.sizes is not None:
        xyxy = xyxy / np.tile(data.sizes[image], 2)
    table = Detections(image, xyxy, np.zeros_like(image), score, data.truth.images, ("mistake",))
    note = f"{suspected} mistakes have no crop, for their label is suspected (above {SUSPECTED:g}): review them first"
    return table, note if suspected else ""
