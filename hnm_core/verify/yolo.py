"""Read YOLO folders as Ultralytics and YOLOv5 do.

The loader of Ultralytics is used if it is installed, else its rules; it keeps repeated lines of ``train.txt``. YOLOv5
is not a package, so the rules of its ``utils/dataloaders.py`` are used: it stores labels in a dict by path, so repeated
lines are dropped, and it resolves a relative ``path:`` beside its own code. (Compared by hand with the loader of the
package ``yolov5`` 7.0.14: equal, image by image.)
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..io.data_yaml import FORMATS, SPLITS, class_names, folder_images, label_file, read_data_yaml
from ..io.progress import Progress, tracked
from .loaders import offline
from .pixels import ImageChecks
from .reading import DrawnImage, TrainerReading, first_path

__all__ = ["NO_VAL", "READS", "Fault", "listed_images", "read_by_rules", "read_ultralytics", "read_yolov5"]

_BY_ALL = frozenset({"bmp", "jpeg", "jpg", "png", "tif", "tiff", "webp"})
READS = {
    **FORMATS,
    "rfdetr": _BY_ALL | {"dng", "mpo"},
    "lightly": _BY_ALL | {"avif", "jp2"},
    "libreyolo": _BY_ALL,
}
"""The file suffixes that each trainer of YOLO folders reads, of those that Ultralytics or YOLOv5 reads."""

TOLERANCE = 0.01
"""How far outside the image Ultralytics accepts coordinates, as fraction of the side."""

NO_VAL = "data.yaml has no val split: {trainer} validates on it after every epoch, so {what}"
FILL_IN = "add one, or train with split=train, which validates on the train images"


def listed_images(directory: Path, trainer: str, home: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the images of every split, including repeats, and problems with their paths.

    Args:
        directory: folder of the export.
        trainer: one of :data:`READS`; ``ultralytics`` and ``yolov5`` resolve a relative ``path:`` differently.
        home: final folder of the export, if it is verified before it is moved there.
    """
    config = read_data_yaml(directory / "data.yaml")
    root, problems = _root(config, directory, trainer, home)
    splits: dict[str, list[Path]] = {}
    for split in SPLITS:
        entries = config.get(split) or []
        images: list[Path] = []
        for entry in [entries] if isinstance(entries, str) else entries:
            place = root / entry
            if place.exists():
                images += [path for path in _at(place) if path.suffix[1:].lower() in READS[trainer]]
            else:
                problems.append(f"data.yaml: {split}: {entry} does not exist")
        if entries:
            splits[split] = sorted(images)
            if not images:
                problems.append(f"data.yaml: {split}: {entries} has no images")
    return splits, problems


def _root(config: Mapping[str, Any], directory: Path, trainer: str, home: Path) -> tuple[Path, list[str]]:
    path = config.get("path")
    if path is None or not Path(path).is_absolute():
        problems = {
            "yolov5": f"data.yaml has path: {path or 'none'}, which YOLOv5 resolves relative to its own code: it must "
            f"be absolute (export with layout yolov5)"
        }
        if path:
            problems["ultralytics"] = (
                f"data.yaml has path: {path}, which Ultralytics resolves relative to the working directory or to its "
                f"own folder of datasets: remove path, so that it uses the folder of data.yaml"
            )
        return directory / (path or ""), [problems[trainer]] if trainer in problems else []
    if Path(path) in (home, directory):
        return directory, []
    return Path(path), [f"data.yaml has path: {path}, but the export is at {home}: {trainer} reads the other folder"]


def _at(place: Path) -> list[Path]:
    """Return the images of a folder or a list; lines that start with ``./`` are relative to the list."""
    if place.is_dir():
        return folder_images(place)
    lines = place.read_text(encoding="utf-8-sig").strip().splitlines()
    return [place.parent / line[2:] if line.startswith("./") else Path(line) for line in lines]


def read_ultralytics(directory: Path, home: Path, checked: ImageChecks, progress: Progress) -> TrainerReading:
    """Read the images as Ultralytics does.

    Its loader rewrites JPEGs with bytes after their end, so its rules are used instead if there are any.
    """
    splits, problems = listed_images(directory, "ultralytics", home)
    names = class_names(directory / "data.yaml", read_data_yaml(directory / "data.yaml"))
    reading = TrainerReading("its documented rules", listed=splits, problems=problems)
    if checked.odd_ends:
        reading.warnings.append(
            f"{len(checked.odd_ends)} JPEGs have bytes after their end, first "
            f"{first_path(checked.odd_ends, directory)}: Ultralytics rewrites such files in place"
        )
    if find_spec("ultralytics") and not checked.odd_ends:
        with offline():
            ultralytics = import_module("ultralytics")
        reading.read_with = f"its own YOLODataset, version {ultralytics.__version__}"
        for split, images in splits.items():
            if images:
                reading.splits[split] = _load(images, names, reading)
    else:
        read_by_rules(reading, len(names), checked, progress)
    if not splits.get("val"):
        reading.warnings.append(NO_VAL.format(trainer="Ultralytics", what=FILL_IN))
    if len(set(splits.get("train", []))) < len(splits.get("train", [])):
        reading.overrides = "# leave fraction at 1: less takes the first images of the sorted list, and is no sample"
    return reading


def _load(images: list[Path], names: tuple[str, ...], reading: TrainerReading) -> list[DrawnImage]:
    """Run the loader of Ultralytics; its label cache is written to a temporary folder, not to the export."""
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.utils import LOGGER

    messages: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch:

        class Reader(YOLODataset):  # type: ignore[misc]
            def cache_labels(self, path: Path = Path("labels.cache")) -> Any:
                cache = super().cache_labels(Path(scratch, Path(path).name))
                messages.update(cache["msgs"])
                return cache

        level = LOGGER.level
        LOGGER.setLevel("ERROR")
        listing = Path(scratch, "images.txt")
        listing.write_text("".join(f"{image}\n" for image in images), encoding="utf-8")
        try:
            data = {"names": dict(enumerate(names)), "nc": len(names), "channels": 3}
            loaded = Reader(img_path=str(listing), data=data, task="detect", imgsz=32, augment=False)
        except (RuntimeError, AssertionError, FileNotFoundError, ValueError) as error:
            reading.problems.append(f"Ultralytics cannot load it: {' '.join(str(error).split())[:300]}")
            return []
        finally:
            LOGGER.setLevel(level)
            _add_messages(messages, reading)
    return [DrawnImage(Path(label["im_file"]), len(label["cls"])) for label in loaded.labels]


def _add_messages(messages: set[str], reading: TrainerReading) -> None:
    """Add the messages of the loader about images that it dropped or repaired."""
    left_out = sorted(message for message in messages if "ignoring corrupt" in message)
    if left_out:
        reading.problems.append(f"Ultralytics drops {len(left_out)} images, first {left_out[0]}")
    others = sorted(messages.difference(left_out))
    if others:
        reading.warnings.append(f"Ultralytics warns about {len(others)} images, first {others[0]}")


def read_yolov5(directory: Path, home: Path, checked: ImageChecks, progress: Progress) -> TrainerReading:
    """Read the images as YOLOv5 does, by its rules."""
    splits, problems = listed_images(directory, "yolov5", home)
    names = class_names(directory / "data.yaml", read_data_yaml(directory / "data.yaml"))
    reading = TrainerReading("its documented rules", listed=splits, problems=problems)
    read_by_rules(reading, len(names), checked, progress)
    for split, drawn in reading.splits.items():
        once = list({one.image: one for one in drawn}.values())
        if len(once) < len(drawn):
            reading.problems.append(
                f"YOLOv5 drops {len(drawn) - len(once)} repeated lines of {split} silently, because it stores "
                f"labels by path; export with layout yolov5, which writes copies with other names"
            )
        reading.splits[split] = once
    if not splits.get("val"):
        reading.warnings.append(NO_VAL.format(trainer="YOLOv5", what="training does not start: add a val split"))
    if any(not one.boxes for one in reading.splits.get("train", [])):
        reading.warnings.append(
            "--image-weights gives background images weight 0: do not use it, the copies weight the images"
        )
    return reading


class Fault(Enum):
    """What can be wrong with a label file."""

    TEXT = "content that is not text"
    NUMBERS = "values that are not numbers"
    COLUMNS = "lines without exactly five columns"
    CLASS = "a class that is not in data.yaml"
    OUTSIDE = "coordinates outside the image"


DROPPED = dict.fromkeys(Fault, "their images are dropped")
"""What Ultralytics and YOLOv5 do about each fault."""


def read_by_rules(
    reading: TrainerReading,
    n_classes: int,
    checked: ImageChecks,
    progress: Progress,
    consequences: Mapping[Fault, str] = DROPPED,
) -> None:
    """Read images and label files by the rules of a trainer.

    Args:
        reading: has the listed images, and gets the entries.
        n_classes: number of classes.
        checked: the images that were checked.
        progress: shows the progress.
        consequences: what the trainer does about each fault of a label file. Unless it drops the image, the image
            is drawn with the boxes of its other lines.
    """
    boxes: dict[Path, tuple[int, Fault | None]] = {}
    every = dict.fromkeys(image for images in reading.listed.values() for image in images)
    for image in tracked(list(every), "reading labels", progress):
        boxes[image] = _boxes(label_file(image), n_classes)
    dropped = {image for image, (_, fault) in boxes.items() if fault and consequences[fault] == DROPPED[fault]}
    for split, images in reading.listed.items():
        taken = [image for image in images if image not in checked.broken and image not in dropped]
        reading.splits[split] = [DrawnImage(image, boxes[image][0]) for image in taken]
    for fault, count in Counter(fault for _, fault in boxes.values() if fault).items():
        first = next(image for image, (_, found) in boxes.items() if found == fault)
        reading.problems.append(
            f"{count} label files have {fault.value}, first {label_file(first)}: {consequences[fault]}"
        )


def _boxes(file: Path, n_classes: int) -> tuple[int, Fault | None]:
    """Return the number of good lines of a label file and its first fault; a missing file is background."""
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except FileNotFoundError:
        return 0, None
    except (OSError, UnicodeDecodeError):
        return 0, Fault.TEXT
    polygons = any(len(line) > 6 for line in lines)
    faults = {_key(line): _fault(line, n_classes, polygons=polygons) for line in lines}  # a box counts once
    return sum(not fault for fault in faults.values()), next(filter(None, faults.values()), None)


def _key(line: list[str]) -> tuple[float, ...] | tuple[str, ...]:
    """Return what lines of the same numbers have in common, however these are written."""
    try:
        return tuple(map(float, line))
    except ValueError:
        return tuple(line)


def _fault(line: list[str], n_classes: int, *, polygons: bool) -> Fault | None:
    try:
        row = [float(value) for value in line]
    except ValueError:
        return Fault.NUMBERS
    if len(row) != 5 and not (polygons and len(row) % 2 == 1 and len(row) >= 7):
        return Fault.COLUMNS
    if not 0 <= row[0] < n_classes or row[0] != int(row[0]):
        return Fault.CLASS
    if not all(-TOLERANCE <= value <= 1 + TOLERANCE for value in row[1:]):  # False for NaN
        return Fault.OUTSIDE
    return None
