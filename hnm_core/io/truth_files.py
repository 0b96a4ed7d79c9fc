"""Read ground truth whatever kind of files it is in, with the pictures and the sizes of its images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import are_fractions
from ..columns import Detections
from .box_texts import has_corner_lines, read_box_csv, read_box_folder
from .coco import coco_truth
from .data_yaml import IMAGE_SUFFIXES, folder_images, image_folders, image_names, read_data_yaml
from .json_rows import ids_of, read_truth_file
from .names import check_names
from .pictures import outside
from .progress import Progress, silent
from .shapes import mask_note
from .shard_heads import are_shards
from .shard_reading import read_whole
from .shards import Shard
from .voc import BoxRows, read_voc
from .yolo import read_split_truth

__all__ = [
    "COCO",
    "SHARDS",
    "YOLO",
    "TruthFiles",
    "check_output",
    "kind_of",
    "of_coco",
    "of_shards",
    "of_yolo",
    "read_truth_files",
]

YOLO, COCO, VOC, CORNERS, CSV = "a YOLO data set", "COCO json", "a Pascal VOC folder", "a folder of box texts", "CSV"
SHARDS = "a folder of shards"


@dataclass(frozen=True)
class TruthFiles:
    """The ground truth of some files, with what is known of its images.

    Attributes:
        table: the boxes.
        names: file name of every image, for looking up; empty text if it has none.
        ids: id of every image as text; None if images have none.
        sizes: ``(images, 2)`` width and height in pixels that the files give, NaN where they give none; None if
            boxes are fractions.
        files: the picture of every image; None where there is none, or its name leads out of the data.
        numbered: whether the files give their classes an order, which numbers of a model can mean.
        notes: sentences on what the labels have and no table holds.
    """

    table: Detections
    names: list[str]
    ids: list[str] | None
    sizes: NDArray[np.float64] | None
    files: Sequence[str | Path | None]
    numbered: bool = True
    notes: tuple[str, ...] = ()

    def locate(self) -> Callable[[str], Path | None]:
        """Return a function from the key of an image to its picture, None where there is none."""
        files = dict(zip(self.table.images, self.files, strict=True))

        def located(key: str) -> Path | None:
            file = files.get(key)
            return None if file is None else Path(file)

        return located


def kind_of(data: Path) -> str:
    """Return what kind of ground truth a file or folder is.

    Raises:
        ValueError: if it is none that can be read.
        FileNotFoundError: if there is nothing.
    """
    if not data.exists():
        raise FileNotFoundError(f"there is no {data}")
    if are_shards(data):
        return SHARDS
    if not data.is_dir():
        kind = {".json": COCO, ".csv": CSV, ".tsv": CSV, ".yaml": YOLO, ".yml": YOLO}.get(data.suffix.lower())
        if kind is None:
            raise ValueError(
                f"{data} cannot be read as ground truth: expected data.yaml (YOLO), annotation json (COCO), CSV, or a "
                f"folder of xml (Pascal VOC) or txt files (class x0 y0 x1 y1)"
            )
        return kind
    if any(data.glob("[!.]*.xml")) or any((data / "Annotations").glob("[!.]*.xml")):
        return VOC
    if any(data.glob("[!.]*.txt")):
        if has_corner_lines(data, scored=False):
            return CORNERS
        raise ValueError(
            f"{data} has txt files, but not of lines class x0 y0 x1 y1; if they are YOLO's, whose classes are numbers, "
            f"give the data.yaml of the data set"
        )
    raise ValueError(
        f"{data} is a folder without *.xml (Pascal VOC), *.txt (class x0 y0 x1 y1) and *.parquet (shards); for YOLO "
        f"give data.yaml, for COCO the annotation json"
    )


def check_output(output: Path, data: Path, *more: Path | None, images: Path | None = None) -> None:
    """Refuse an output that the next reading of the data would take for a part of it.

    Args:
        output: the folder to write.
        data: of the ground truth.
        more: what else is read.
        images: root folder of the pictures, which are looked for below it where labels are texts.

    Raises:
        ValueError: if it lies in a folder of images, labels or predictions that is read with all its files.
    """
    kind = kind_of(data)
    read = [path for path in (data, *more) if path is not None and path.is_dir()]
    if kind == YOLO and data.is_file():
        read += image_folders(data)
    if images is not None and kind in (CORNERS, CSV):
        read.append(images)
    target = output.resolve()
    for folder in read:
        if target.is_relative_to(folder.resolve()):
            raise ValueError(
                f"the output {output} lies in {folder}, which is read with all its files; choose another folder"
            )


def read_truth_files(
    data: Path, split: str = "train", images: Path | None = None, progress: Progress = silent
) -> TruthFiles:
    """Read the ground truth alone, with the pictures and the sizes of its images.

    Raises:
        ValueError: if files are not valid.
        FileNotFoundError: if a file does not exist.
    """
    kind = kind_of(data)
    if kind == YOLO:
        config = read_data_yaml(data)
        return of_yolo(read_split_truth(data, split, image_names(data, split, config), config, progress))
    if kind == COCO:
        return of_coco(data, read_truth_file(data), images)
    if kind == SHARDS:
        return of_shards(read_whole(data, progress), images)
    rows = {VOC: lambda: read_voc(data, images, progress), CSV: lambda: read_box_csv(data, scored=False)}.get(
        kind, lambda: read_box_folder(data, scored=False)
    )()
    if not rows.images:
        raise ValueError(f"{data} names no images: there is nothing to mine")
    table = _table(rows, list(rows.images), data)
    sizes = np.array([rows.sizes.get(i, (np.nan, np.nan)) for i in range(len(rows.images))]).reshape(-1, 2)
    files: list[Path | None] = [rows.files.get(i) for i in range(len(rows.images))]
    if kind == CSV:
        files = _files(list(rows.images), images or data.parent)
    if images is not None and kind != VOC:
        files = _by_stem(list(rows.images), files, images)
    fractions = len(table) > 0 and are_fractions(table.xyxy)
    return TruthFiles(table, list(rows.images), None, None if fractions else sizes, files, numbered=False)


def of_yolo(truth: Detections) -> TruthFiles:
    """Return the files of the ground truth of a YOLO data set, whose images are named by their paths."""
    return TruthFiles(truth, list(truth.images), None, None, truth.images)


def of_coco(data: Path, content: Mapping[str, Any], images: Path | None) -> TruthFiles:
    """Return the ground truth of an annotation file, from its content.

    Raises:
        ValueError: if it is not valid.
    """
    if not content["images"]:
        raise ValueError(f"{data} names no images: there is nothing to mine")
    table, sizes, names = coco_truth(data, content)
    said = [image.get("file_name") for image in content["images"]]
    known = [name if isinstance(name, str) else "" for name in said]
    ids = ids_of(data, "images", content["images"], "id")
    note = mask_note(content["annotations"], data)
    return TruthFiles(table, known, ids, sizes, _files(names, images or data.parent), notes=(note,) if note else ())


def of_shards(shard: Shard, images: Path | None) -> TruthFiles:
    """Return the ground truth of shards; pictures are where they were when it was converted, or below ``images``."""
    names = list(shard.truth.images)
    if images is not None:
        files = _files(names, images)
    else:
        files = [None if file is None else Path(file) for file in shard.files or [None] * len(names)]
    return TruthFiles(shard.truth, names, None, shard.sizes, files)


def _files(names: Sequence[str], root: Path) -> list[Path | None]:
    """Return the picture of every name, written on Windows or not, None for names that lead out of the folder."""
    leaving = set(outside(names, root))
    return [None if name in leaving else _file(name, root) for name in names]


def _file(name: str, root: Path) -> Path:
    file = root / name
    return file if "\\" not in name or file.exists() else root / name.replace("\\", "/")


def _by_stem(names: Sequence[str], files: Sequence[Path | None], root: Path) -> list[Path | None]:
    """Return the pictures; of a name without suffix the only one below the folder that has this name."""
    pictures: dict[str, list[Path]] = {}
    for picture in folder_images(root):
        pictures.setdefault(picture.stem, []).append(picture)
    found = []
    for name, file in zip(names, files, strict=True):
        same = () if Path(name).suffix.lower() in IMAGE_SUFFIXES else pictures.get(Path(name).name, ())
        found.append(same[0] if len(same) == 1 else file)
    return found


def _table(rows: BoxRows, images: list[str], source: Path) -> Detections:
    check_names(images, source)
    classes = tuple(dict.fromkeys(rows.names))
    number = {name: i for i, name in enumerate(classes)}
    label = np.array([number[name] for name in rows.names], dtype=np.int64)
    boxes = np.array(rows.boxes, dtype=np.float64).reshape(-1, 4)
    kind = np.array(rows.kinds, dtype=np.uint8)
    return Detections(np.array(rows.image, dtype=np.int64), boxes, label, None, tuple(images), classes, kind=kind)
