"""Export the dataset of a mining folder that ``hnm mine`` wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..counting import label_digests
from ..io.data_yaml import SPLITS, read_data_yaml, split_images
from ..io.label_files import find_labels
from ..io.mining_folder import open_mining
from ..io.pictures import image_size
from ..io.progress import Progress, part_of, silent, tracked
from ..io.truth_files import YOLO, check_output, kind_of, read_truth_files
from ..io.yaml_names import class_names, keypoint_shape
from ..io.yolo import read_yolo_truth
from ..result import Mined
from ..selection.mined import MinedPart
from ..taxonomy import ROW_NAMES
from . import ExportImage, ExportSettings, ExportSummary, export_weighted
from .background import firing_images, with_images
from .crops import SUSPECTED

__all__ = ["export_run"]

BOX_COLUMNS = 5
"""Columns of a label file line with a box; polygons have more."""


@dataclass(frozen=True)
class _Data:
    """The labels of a dataset.

    Attributes:
        truth: boxes as fractions of the image; images have the same names as in the mining.
        split: split of every image.
        files: path of every image.
        notes: warnings, as sentences.
        labels: ``(images,)`` uint64, digest of the labels of each image as they were read.
        sizes: ``(images, 2)`` width and height if the mined boxes are in pixels; None if they are fractions.
    """

    truth: Detections
    split: Sequence[str]
    files: Sequence[Path]
    notes: Sequence[str]
    labels: NDArray[np.uint64]
    sizes: NDArray[np.float64] | None = None


def export_run(
    folder: str | Path,
    output_dir: str | Path,
    *,
    data: str | Path | None = None,
    images: str | Path | None = None,
    add_background: tuple[str | Path, str | Path | Detections] | None = None,
    settings: ExportSettings | None = None,
    progress: Progress = silent,
) -> ExportSummary:
    """Export the dataset of a mining folder with its weights.

    Labels of all classes are read from the dataset again; val and test are exported unchanged.

    Args:
        folder: that ``hnm mine`` wrote.
        output_dir: must not exist, or must be empty.
        data: ``data.yaml`` or COCO JSON; None for the path that was mined.
        images: root folder of the file names, for other data than YOLO; None for that of the mining, or for the folder
            of the labels if ``data`` is given.
        add_background: a folder of pictures without labels, and the model's predictions on them, as files or as a
            table (see :func:`hnm_core.training.pool.predict_folder`): those on which it fires are added with empty
            labels, within ``background_share``.
        settings: layout, media and selection.
        progress: shows the progress.

    Raises:
        FileNotFoundError: if the mining, the dataset or an image does not exist.
        ValueError: if another split than train was mined, the dataset is not the mined one, the output lies where all
            files are read, or as for :func:`hnm_core.export.export_weighted`.
    """
    settings = settings or ExportSettings()
    result, source = open_mining(folder)
    if source.get("split") not in (None, "train"):
        raise ValueError(
            f"{folder} mined split {source['split']!r}, but only train images are weighted: weighting val or test "
            f"images would bias the evaluation, and their weights fit no other split. Mine the train split"
        )
    path = Path(data or source["data"])
    if not path.exists():
        raise FileNotFoundError(
            f"{path}, which {folder} mined, does not exist; if it was moved, give its path with --data"
        )
    if images is None and data is None:
        images = source.get("images")
    root = Path(images) if images else None
    check_output(Path(output_dir), path, Path(add_background[0]) if add_background else None, images=root)
    reading = part_of(progress, 0, 0.1)
    read = _read_yolo(path, reading) if kind_of(path) == YOLO else _read_labels(path, root, reading)
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
    truth = read.truth
    if add_background is not None:
        known = {file.resolve() for file in read.files}
        pictures, given = Path(add_background[0]), add_background[1]
        of_model = given if isinstance(given, Detections) else Path(given)
        added = firing_images(pictures, of_model, truth.classes, result, known, reading)
        truth = with_images(truth, added)
        entries += added
        notes += [] if added else [f"the model fires on none of the pictures of {pictures}: none is added"]
    mistakes = None
    if settings.crops:
        mistakes, suspected = _mistakes(result, read, row)
        notes += [suspected] if suspected else []
    done = export_weighted(
        output_dir,
        entries,
        truth,
        report=result.report.as_dict(),
        run_key=Path(folder).resolve().name,
        settings=settings,
        mining=result.settings,
        mistakes=mistakes,
        progress=part_of(progress, 0.1, 1),
    )
    return replace(done, warnings=(*read.notes, *notes, *done.warnings))


def _read_yolo(path: Path, progress: Progress) -> _Data:
    """Read all splits; an image in two splits belongs to the later one (val, test)."""
    config = read_data_yaml(path)
    split_of: dict[Path, str] = {}
    twice = 0
    for split in SPLITS:  # later splits take precedence
        for image in split_images(path, split, config) if config.get(split) else ():
            twice += image in split_of
            split_of[image] = split
    if twice and "train" not in split_of.values():
        held_out = " and ".join(split for split in SPLITS[1:] if split in split_of.values())
        raise ValueError(
            f"{path}: train and {held_out} are the same {len(split_of)} images: weighting images that the model is "
            f"evaluated on would bias the evaluation. Give {held_out} images of its own, or remove {held_out}: there"
        )
    keypoints = keypoint_shape(path, config)
    truth = read_yolo_truth(list(split_of), class_names(path, config), progress, keypoints)
    notes = [f"{twice} images of {path} are in two splits: they are not used for training"] if twice else []
    labels = find_labels(list(split_of))
    notes += labels.notes(f"images of {path}")
    if keypoints:
        notes.append("keypoints are left out: the labels are exported as boxes")
    polygons = 0 if keypoints else sum(_holds_polygons(Path(file)) for file in labels.files)
    if polygons:
        notes.append(f"{polygons} label files contain polygons: their bounding boxes are exported")
    return _Data(truth, list(split_of.values()), list(split_of), notes, label_digests(truth))


def _holds_polygons(file: Path) -> bool:
    return file.is_file() and any(len(line.split()) > BOX_COLUMNS for line in file.read_bytes().splitlines())


def _read_labels(path: Path, root: Path | None, progress: Progress) -> _Data:
    """Read labels of any kind but YOLO; all images are train images."""
    found = read_truth_files(path, images=root, progress=progress)
    truth, names = found.table, found.table.images
    leaving = [name for name, file in zip(found.names, found.files, strict=True) if file is None]
    if leaving:
        raise ValueError(
            f"{path}: {len(leaving)} of {len(names)} images have no file in {root or path.parent} or a name that leads "
            f"out of it, first {leaving[0]!r}: they are not copied. Give the folder that holds all images with "
            f"--images DIR, or remove these entries"
        )
    files = [Path(file) for file in found.files if file is not None]
    gone = [file for file in files if not file.is_file()]
    if gone:
        raise FileNotFoundError(
            f"{len(gone)} of {len(files)} images do not exist, first {gone[0]}; give the root folder of the file "
            f"names with --images DIR"
        )
    sizes, digests = found.sizes, label_digests(truth)
    if sizes is not None:
        unsized = np.flatnonzero(np.isnan(sizes).any(axis=1)).tolist()
        for at in tracked(unsized, "reading sizes", progress):
            sizes[at] = image_size(files[at])
        truth = replace(truth, xyxy=truth.xyxy / np.tile(sizes[truth.image], 2))
    again = len(files) - len(set(files))
    notes = [f"{again} entries of {path} repeat an image: each of them is exported"] if again else []
    return _Data(truth, ["train"] * len(files), files, notes, digests, sizes)


def _rows(result: Mined, data: _Data, path: Path) -> tuple[dict[int, int], list[str]]:
    """Return the row in the mining of images of the dataset, by name or by resolved path; and warnings."""
    images = list(result.images())
    number = {name: at for at, name in enumerate(data.truth.images)}
    by_file = {file.resolve(): at for at, file in enumerate(data.files)}
    row: dict[int, int] = {}
    for mined, name in enumerate(images):
        at = number.get(name, by_file.get(Path(name).resolve()))
        if at is not None:
            row[at] = mined
    if not row:
        raise ValueError(
            f"none of the {len(images)} mined images is among the {len(data.files)} images of {path}: the "
            f"first mined image is {images[0]}, the first one here {data.truth.images[0]}; is this the "
            f"dataset that was mined?"
        )
    notes = []
    lost = len(images) - len(row)
    held_out = sum(data.split[at] != "train" for at in row)
    unseen = sum(split == "train" and at not in row for at, split in enumerate(data.split))
    if lost:
        notes.append(f"{lost} mined images are no longer in {path}")
    if held_out:
        notes.append(f"{held_out} mined images are in val or test of {path}: their weight is 1")
    if unseen:
        notes.append(f"{unseen} train images were not mined: their weight is 1")
    here = np.array(list(row))
    changed = int((data.labels[here] != result.label_digests[list(row.values())]).sum())
    if changed:
        notes.append(
            f"{changed} mined images have other labels now than when they were mined: the labels of now are exported, "
            f"with the weights of then; mine again for those of now"
        )
    return row, notes


def _counts(result: Mined) -> Mapping[int, Mapping[str, int]]:
    """Return the numbers of mined objects by error type, per mined image."""
    counts: dict[int, Counter[str]] = {}
    mined = _in_order(result)
    for image, code in zip(mined.image.tolist(), mined.code.tolist(), strict=True):
        counts.setdefault(image, Counter())[ROW_NAMES[code]] += 1
    return counts


def _mistakes(result: Mined, data: _Data, row: Mapping[int, int]) -> tuple[Detections, str]:
    """Return the boxes of mined objects with their difficulty as ``score``, without suspected label errors."""
    here = np.full(len(result.weights), -1)
    here[list(row.values())] = list(row)
    mined = _in_order(result)
    mined = mined.take(here[mined.image] >= 0)
    over_limit = (mined.suspicion > SUSPECTED) & result.settings.use_suspicion
    suspected = int(over_limit.sum())
    kept = mined.take(~over_limit)
    image, xyxy, score = here[kept.image], kept.xyxy, kept.difficulty
    if data.sizes is not None:
        xyxy = xyxy / np.tile(data.sizes[image], 2)
    table = Detections(image, xyxy, np.zeros_like(image), score, data.truth.images, ("mistake",))
    note = f"{suspected} mistakes have no crop because their suspicion is above {SUSPECTED:g}: review them first"
    return table, note if suspected else ""


def _in_order(result: Mined) -> MinedPart:
    """Return the mined objects in the order of their tables, those of the predictions first."""
    mined = MinedPart.joined(result.hardest_first(), int(result.hard_counts.sum()))
    return mined.take(np.lexsort((mined.row, mined.of_truth)))
