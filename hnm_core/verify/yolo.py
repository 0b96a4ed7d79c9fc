"""YOLO folders as Ultralytics and YOLOv5 read them.

Ultralytics' own loader reads where it is installed (it keeps a line of ``train.txt`` as often as it stands there); else
its rules do. YOLOv5 is no package: its rules, as its ``utils/dataloaders.py`` has them. It keeps labels in a dict by
path, so that of repeated lines one is left, and it looks for a relative ``path:`` beside its own code. (Compared by
hand with what the loader of the package ``yolov5`` 7.0.14 draws: the same, image by image.)
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..io.data_yaml import FORMATS, class_names, folder_images, label_file, read_data_yaml
from ..io.progress import Progress
from .pixels import Checked
from .reading import Drawn, Reading, shown

__all__ = ["listed_images", "read_ultralytics", "read_yolov5"]

SPLITS = ("train", "val", "test")
TOLERANCE = 0.01
"""How far outside the image Ultralytics lets a coordinate be."""

NO_VAL = "data.yaml has no val split: {trainer} validates on it after every epoch, so {what}"
FILL_IN = "fill it in, or train with split=train, which validates on the train images"


def listed_images(directory: Path, trainer: str, home: Path) -> tuple[dict[str, list[Path]], list[str]]:
    """The images of every split, repeats and all, and what is wrong with the places they are looked for.

    Args:
        directory: the export.
        trainer: ``ultralytics`` or ``yolov5``: each has its own place for a relative ``path:``.
        home: where the export will lie, if it is about to be moved there.
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
                images += [path for path in _at(place) if path.suffix[1:].lower() in FORMATS[trainer]]
            else:
                problems.append(f"data.yaml: {split}: {entry} is not there")
        if entries:
            splits[split] = sorted(images)
            if not images:
                problems.append(f"data.yaml: {split}: {entries} holds no images")
    return splits, problems


def _root(config: Mapping[str, Any], directory: Path, trainer: str, home: Path) -> tuple[Path, list[str]]:
    path = config.get("path")
    if path is None or not Path(path).is_absolute():
        problems = {
            "yolov5": f"data.yaml has path: {path or 'none'}, which YOLOv5 takes from where its own code lies: it must "
            f"be absolute (export with layout yolov5)"
        }
        if path:
            problems["ultralytics"] = (
                f"data.yaml has path: {path}, which Ultralytics takes from where training is started, or from its own "
                f"folder of data sets: leave path out, and it takes data.yaml's folder"
            )
        return directory / (path or ""), [problems[trainer]] if trainer in problems else []
    if Path(path) in (home, directory):
        return directory, []
    return Path(path), [f"data.yaml has path: {path}, but the export lies at {home}: {trainer} reads what is there"]


def _at(place: Path) -> list[Path]:
    """Images of a folder, or of a list, whose lines starting with ``./`` begin at the list's folder."""
    if place.is_dir():
        return folder_images(place)
    lines = place.read_text(encoding="utf-8-sig").strip().splitlines()
    return [place.parent / line[2:] if line.startswith("./") else Path(line) for line in lines]


def read_ultralytics(directory: Path, home: Path, checked: Checked, progress: Progress) -> Reading:
    """What Ultralytics takes.

    Its loader would write JPEGs of odd ends anew, so where there are any, its rules are asked instead.
    """
    splits, problems = listed_images(directory, "ultralytics", home)
    names = class_names(directory / "data.yaml", read_data_yaml(directory / "data.yaml"))
    reading = Reading("its documented rules", listed=splits, problems=problems)
    if checked.odd_ends:
        reading.warnings.append(
            f"{len(checked.odd_ends)} JPEGs have bytes after their end, first "
            f"{shown(checked.odd_ends, directory)}: Ultralytics writes such files anew in place"
        )
    if find_spec("ultralytics") and not checked.odd_ends:
        import ultralytics

        reading.read_with = f"its own YOLODataset, version {ultralytics.__version__}"
        for split, images in splits.items():
            if images:
                reading.splits[split] = _load(images, names, reading)
    else:
        _read_by_rules(reading, len(names), checked, progress)
    if not splits.get("val"):
        reading.warnings.append(NO_VAL.format(trainer="Ultralytics", what=FILL_IN))
    return reading


def _load(images: list[Path], names: tuple[str, ...], reading: Reading) -> list[Drawn]:
    """Ask the loader itself; its cache of labels is written elsewhere and forgotten, never into the export."""
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.utils import LOGGER

    said: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch:

        class Reader(YOLODataset):  # type: ignore[misc]
            def cache_labels(self, path: Path = Path("labels.cache")) -> Any:
                cache = super().cache_labels(Path(scratch, Path(path).name))
                said.update(cache["msgs"])
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
            _repeat(said, reading)
    return [Drawn(Path(label["im_file"]), len(label["cls"])) for label in loaded.labels]


def _repeat(said: set[str], reading: Reading) -> None:
    """Pass on what the loader said of images that it left out, and of those that it mended."""
    left_out = sorted(message for message in said if "ignoring corrupt" in message)
    if left_out:
        reading.problems.append(f"Ultralytics leaves {len(left_out)} images out, first {left_out[0]}")
    others = sorted(said.difference(left_out))
    if others:
        reading.warnings.append(f"Ultralytics says of {len(others)} images, first {others[0]}")


def read_yolov5(directory: Path, home: Path, checked: Checked, progress: Progress) -> Reading:
    """What YOLOv5 takes, by its rules."""
    splits, problems = listed_images(directory, "yolov5", home)
    names = class_names(directory / "data.yaml", read_data_yaml(directory / "data.yaml"))
    reading = Reading("its documented rules", listed=splits, problems=problems)
    _read_by_rules(reading, len(names), checked, progress)
    for split, drawn in reading.splits.items():
        once = list({one.image: one for one in drawn}.values())
        if len(once) < len(drawn):
            reading.problems.append(
                f"YOLOv5 drops {len(drawn) - len(once)} repeated lines of {split} in silence: it keeps labels by "
                f"path; export with layout yolov5, which writes copies of other names"
            )
        reading.splits[split] = once
    if not splits.get("val"):
        reading.warnings.append(NO_VAL.format(trainer="YOLOv5", what="it does not start: fill it in"))
    if any(not one.boxes for one in reading.splits.get("train", [])):
        reading.warnings.append(
            "--image-weights gives background images weight 0: leave it off, the copies do its work"
        )
    return reading


def _read_by_rules(reading: Reading, n_classes: int, checked: Checked, progress: Progress) -> None:
    """What both take of images and their label files; one fault in a label file, and its image is left out."""
    boxes: dict[Path, int | str] = {}
    every = dict.fromkeys(image for images in reading.listed.values() for image in images)
    for image in progress(list(every), "reading labels"):
        boxes[image] = _boxes(label_file(image), n_classes)
    for split, images in reading.listed.items():
        taken = [image for image in images if image not in checked.broken]
        reading.splits[split] = [Drawn(i, n) for i in taken if isinstance(n := boxes[i], int)]
    faults = {image: what for image, what in boxes.items() if isinstance(what, str)}
    for what, count in Counter(faults.values()).items():
        first = next(image for image in faults if faults[image] == what)
        reading.problems.append(
            f"{count} label files have {what}, first {label_file(first)}: their images are left out"
        )


def _boxes(file: Path, n_classes: int) -> int | str:
    """How many boxes a label file gives, or what is wrong with it; a missing file is background."""
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except FileNotFoundError:
        return 0
    except (OSError, UnicodeDecodeError):
        return "what is no text"
    rows = set()
    polygons = any(len(line) > 6 for line in lines)
    for line in lines:
        try:
            row = tuple(float(value) for value in line)
        except ValueError:
            return "what is no number"
        if len(row) != 5 and not (polygons and len(row) % 2 == 1 and len(row) >= 7):
            return "lines of other than five columns"
        if not 0 <= row[0] < n_classes or row[0] != int(row[0]):
            return "a class that data.yaml does not name"
        if not all(-TOLERANCE <= value <= 1 + TOLERANCE for value in row[1:]):  # False for NaN
            return "coordinates outside the image"
        rows.add(row)
    return len(rows)
