"""Read an export back as a trainer would, and compare the draws per image with ``weights.csv``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..io.coco_folders import annotation_file
from ..io.data_yaml import FORMATS, label_file
from ..io.progress import Progress, part_of, silent
from ..weighting.weights import effective_sample_size, whole_draws
from .coco import Files, load_files, read_json_export
from .pixels import ImageChecks, check_images, find_leaks
from .promises import Promise, image_key, read_promises
from .reading import DrawnImage, TrainerReading, first_path
from .verification import Verification
from .yolo import listed_images, read_ultralytics, read_yolov5
from .yolo_folders import FOLDER_TRAINERS, read_yolo_folders

YOLO: dict[str, Callable[..., TrainerReading]] = {
    "ultralytics": read_ultralytics,
    "yolov5": read_yolov5,
    **{name: partial(read_yolo_folders, trainer=name) for name in FOLDER_TRAINERS},
}
JSON = ("mmdet", "detectron2", "coco", "torch", "rfdetr", "dfine", "transformers", "lightly")
TRAINERS = tuple(dict.fromkeys((*YOLO, *JSON)))
UNTURNED = frozenset({"torch", "rfdetr", "dfine", "transformers", "lightly", "libreyolo"})
"""Trainers that open images without their EXIF orientation; transformers where torchvision's dataset opens them."""


def verify_export(
    directory: str | Path, trainer: str, *, home: str | Path | None = None, progress: Progress = silent
) -> Verification:
    """Read an export back with the loader of the trainer if it is installed, else by its documented rules.

    Nothing is written to the export. Ultralytics, torchvision, RF-DETR, D-FINE, transformers, LightlyTrain and
    LibreYOLO are run themselves; for the others COCO JSON is read with pycocotools, on which they are based, and then
    by their own rules.

    Args:
        directory: folder of the export.
        trainer: one of :data:`TRAINERS`.
        home: final folder of the export, if it is verified before it is moved there.
        progress: shows the progress.

    Returns:
        The draws of the trainer compared with the promised repeats, and the problems.

    Raises:
        FileNotFoundError: if the folder has no export for this trainer.
        ValueError: if the trainer is unknown, or a file cannot be read.
    """
    return verify_for(directory, [trainer], home=home, progress=progress)[0]


def verify_for(
    directory: str | Path,
    trainers: Sequence[str],
    *,
    home: str | Path | None = None,
    progress: Progress = silent,
) -> list[Verification]:
    """Verify an export for several trainers that read the same files; images are checked once.

    Arguments and errors as for :func:`verify_export`.
    """
    for trainer in trainers:
        if trainer not in TRAINERS:
            raise ValueError(f"trainer must be one of {', '.join(TRAINERS)}, got {trainer!r}")
    directory = Path(directory).expanduser().resolve()
    home = Path(home) if home else directory
    promises, problems = read_promises(directory)
    found: list[Verification] = []
    checked: ImageChecks | None = None
    files: Files | None = None
    for trainer in trainers:
        own: list[str] = []
        if _needed_file(directory, trainer) == "data.yaml":
            looking, reading_labels = part_of(progress, 0, 0.5), part_of(progress, 0.5, 1)
            listed = listed_images(directory, trainer, home)[0]
            checked = checked or _checked(listed, looking, FORMATS.get(trainer))
            reading = YOLO[trainer](directory, home, checked, reading_labels)
            own = _without_label_file(reading, directory)
        else:
            files = files or load_files(directory)
            checked = checked or _checked(files.listed(), part_of(progress, 0, 0.9))
            reading = read_json_export(files, home, trainer, checked)
        found.append(_compare(directory, home, trainer, reading, promises, [*problems, *own], checked))
    progress(1.0, "export verified")
    return found


def _needed_file(directory: Path, trainer: str) -> str:
    """Return the file with which a trainer begins to read an export.

    Raises:
        FileNotFoundError: if there is none.
    """
    roboflow, own = (annotation_file("train", roboflow=value) for value in (True, False))
    files = [roboflow] if trainer == "rfdetr" else [own, roboflow] if trainer in JSON else []
    files += ["data.yaml"] if trainer in YOLO else []
    for file in files:
        if (directory / file).is_file():
            return file
    raise FileNotFoundError(f"{directory} has no export for {trainer}: {files[0]} does not exist")


def _checked(
    listed: Mapping[str, Sequence[Path]], progress: Progress, formats: Collection[str] | None = None
) -> ImageChecks:
    return check_images((path for images in listed.values() for path in images), progress, formats)


def _compare(
    directory: Path,
    home: Path,
    trainer: str,
    reading: TrainerReading,
    promises: dict[str, Promise],
    problems: list[str],
    checked: ImageChecks,
) -> Verification:
    """Compare the draws of the trainer with the promised repeats."""
    drawn = {split: _times(entries, directory, promises) for split, entries in reading.splits.items()}
    train = reading.splits.get("train", [])
    promised = {
        key: promise.weight if trainer == "torch" else promise.repeats
        for key, promise in promises.items()
        if promise.split == "train"
    }
    repeats = {key: (times, drawn.get("train", {}).get(key, 0)) for key, times in promised.items()}
    draws = sum(one.times for one in train)
    effective = np.array([times for _, times in repeats.values()] or list(drawn.get("train", {}).values()))
    problems = [
        *problems,
        *reading.problems,
        *([] if any(one.boxes for one in train) else ["no train image has a box: there is nothing to learn"]),
        *_broken(checked, directory),
        *_beside_objects(reading, checked, directory, trainer),
        *_wrong_repeats(repeats, trainer),
        *_unlisted(drawn, promises),
        *_repeated_held_out(drawn),
        *_leaked_images(reading, directory),
    ]
    return Verification(
        directory=str(home),
        trainer=trainer,
        read_with=reading.read_with,
        images={split: len(times) for split, times in drawn.items()},
        entries={split: whole_draws(list(times.values())) for split, times in drawn.items()},
        repeats=repeats,
        background_share=sum(one.times for one in train if not one.boxes) / draws if draws else 0.0,
        effective_sample_size=effective_sample_size(effective) if effective.any() else 0.0,
        dropped_by_default=reading.dropped_by_default,
        problems=tuple(dict.fromkeys(problems)),
        warnings=tuple(dict.fromkeys(reading.warnings)),
        overrides=reading.overrides,
    )


def _times(entries: list[DrawnImage], directory: Path, promises: dict[str, Promise]) -> dict[str, float]:
    times: Counter[str] = Counter()
    for one in entries:
        times[image_key(one.image, directory, promises)] += one.times  # type: ignore[assignment]
    return dict(times)


def _without_label_file(reading: TrainerReading, directory: Path) -> list[str]:
    every = dict.fromkeys(image for images in reading.listed.values() for image in images)
    bare = [image for image in every if not label_file(image).is_file()]
    if not bare:
        return []
    return [
        f"{len(bare)} images have no label file, first {first_path(bare, directory)}: they are read as background, and "
        f"dropped by Datumaro"
    ]


def _broken(checked: ImageChecks, directory: Path) -> list[str]:
    problems = []
    for what, count in Counter(checked.broken.values()).items():
        first = [path for path, damage in checked.broken.items() if damage == what]
        problems.append(f"{count} images are {what}, first {first_path(first, directory)}: trainers drop them silently")
    return problems


def _beside_objects(reading: TrainerReading, checked: ImageChecks, directory: Path, trainer: str) -> list[str]:
    """Return a problem if the trainer does not turn photos whose labels belong to the upright picture."""
    if trainer not in UNTURNED:
        return []
    listed = dict.fromkeys(path for images in reading.listed.values() for path in images)
    lying = [path for path in listed if path in checked.turned - checked.pillow_turns]
    if not lying:
        return []
    return [
        f"{len(lying)} of {len(listed)} images have an EXIF orientation, which {trainer} ignores, first "
        f"{first_path(lying, directory)}: their boxes lie beside the objects; export again with media copy or symlink"
    ]


def _wrong_repeats(repeats: Mapping[str, tuple[float, float]], trainer: str) -> list[str]:
    off = [(key, promised, effective) for key, (promised, effective) in repeats.items() if promised != effective]
    if not off:
        return []
    key, promised, effective = off[0]
    lost = sum(not effective for _, _, effective in off)
    return [
        f"{trainer} draws {len(off)} of {len(repeats)} train images not as often as weights.csv promises ({lost} of "
        f"them never), first {key}: {effective:g} instead of {promised:g}"
    ]


def _unlisted(drawn: Mapping[str, Mapping[str, float]], promises: Mapping[str, Promise]) -> list[str]:
    if not promises:
        return []
    problems = []
    for split in dict.fromkeys([*drawn, *(promise.split for promise in promises.values())]):
        times = drawn.get(split, {})
        unknown = [key for key in times if key not in promises]
        elsewhere = [key for key in times if key in promises and promises[key].split != split]
        if unknown:
            problems.append(f"{len(unknown)} {split} images are not in weights.csv, first {unknown[0]}")
        if elsewhere:
            problems.append(
                f"{len(elsewhere)} images are read as {split}, but weights.csv has them in "
                f"{promises[elsewhere[0]].split}, first {elsewhere[0]}"
            )
        lost = [key for key, p in promises.items() if p.split == split != "train" and key not in times]
        if lost:
            problems.append(f"{len(lost)} {split} images of weights.csv are not read, first {lost[0]}")
    return problems


def _repeated_held_out(drawn: Mapping[str, Mapping[str, float]]) -> list[str]:
    problems = []
    for split, times in drawn.items():
        often = [key for key, count in times.items() if count != 1]
        if split != "train" and often:
            problems.append(
                f"{len(often)} {split} images are drawn more than once, first {often[0]}: that biases the evaluation"
            )
    return problems


def _leaked_images(reading: TrainerReading, directory: Path) -> list[str]:
    pairs = find_leaks(reading.listed)
    if not pairs:
        return []
    train, held_out = pairs[0]
    return [
        f"{len({one for _, one in pairs})} val or test images are train images too, first "
        f"{first_path([held_out], directory)} as {first_path([train], directory)}: evaluation includes training data"
    ]
