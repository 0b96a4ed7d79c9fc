"""Read an export back as a trainer would, and compare what it draws with what ``weights.csv`` promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..io.data_yaml import FORMATS, label_file
from ..io.progress import Progress, silent
from ..weights import effective_sample_size
from .coco import Files, load_files, read_json_export
from .pixels import Checked, check_images, leaks
from .promises import Promise, image_key, read_promises
from .reading import Drawn, Reading, shown
from .verification import Verification
from .yolo import listed_images, read_ultralytics, read_yolov5

__all__ = ["TRAINERS", "Verification", "verify_export", "verify_for"]

YOLO = {"ultralytics": read_ultralytics, "yolov5": read_yolov5}
JSON = ("mmdet", "detectron2", "coco", "torch")
TRAINERS = (*YOLO, *JSON)


def verify_export(
    directory: str | Path, trainer: str, *, home: str | Path | None = None, progress: Progress = silent
) -> Verification:
    """Read an export back with the trainer's own loader where it is installed, by its documented rules elsewhere.

    Nothing is written into the export. Ultralytics is asked itself; the COCO json goes through pycocotools, which
    mmdetection and detectron2 stand on, and then their own rules.

    Args:
        directory: what an export wrote.
        trainer: ``ultralytics``, ``yolov5``, ``mmdet``, ``detectron2``, ``coco`` or ``torch``.
        home: where the export will lie, if it is verified before it is moved there.
        progress: told how far it has come.

    Returns:
        What the trainer draws against what was promised, and what is wrong.

    Raises:
        FileNotFoundError: if there is no export for this kind of trainer.
        ValueError: if the trainer is unknown or a file cannot be read at all.
    """
    return verify_for(directory, [trainer], home=home, progress=progress)[0]


def verify_for(
    directory: str | Path,
    trainers: Sequence[str],
    *,
    home: str | Path | None = None,
    progress: Progress = silent,
) -> list[Verification]:
    """The same for several trainers that read the same files, whose images are looked at once."""
    for trainer in trainers:
        if trainer not in TRAINERS:
            raise ValueError(f"trainer must be one of {', '.join(TRAINERS)}, got {trainer!r}")
    directory = Path(directory).expanduser().resolve()
    home = Path(home) if home else directory
    promises, problems = read_promises(directory)
    found: list[Verification] = []
    checked: Checked | None = None
    files: Files | None = None
    for trainer in trainers:
        needed = "data.yaml" if trainer in YOLO else "annotations/train.json"
        if not (directory / needed).is_file():
            raise FileNotFoundError(f"{directory} holds no export for {trainer}: there is no {needed}")
        own: list[str] = []
        if trainer in YOLO:
            checked = checked or _checked(listed_images(directory, trainer, home)[0], progress, FORMATS[trainer])
            reading = YOLO[trainer](directory, home, checked, progress)
            own = _without_label_file(reading, directory)
        else:
            files = files or load_files(directory)
            checked = checked or _checked(files.listed(), progress)
            reading = read_json_export(files, home, trainer, checked)
        found.append(_judge(directory, home, trainer, reading, promises, [*problems, *own], checked))
    return found


def _checked(
    listed: Mapping[str, Sequence[Path]], progress: Progress, formats: Collection[str] | None = None
) -> Checked:
    return check_images((path for images in listed.values() for path in images), progress, formats)


def _judge(
    directory: Path,
    home: Path,
    trainer: str,
    reading: Reading,
    promises: dict[str, Promise],
    problems: list[str],
    checked: Checked,
) -> Verification:
    """Compare what is drawn with what was promised."""
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
        *([] if any(one.boxes for one in train) else ["no train image holds a box: there is nothing to learn"]),
        *_broken(checked, directory),
        *_off(repeats, trainer),
        *_strangers(drawn, promises),
        *_held_out(drawn),
        *_leaked(reading, directory),
    ]
    return Verification(
        directory=str(home),
        trainer=trainer,
        read_with=reading.read_with,
        images={split: len(times) for split, times in drawn.items()},
        entries={split: round(sum(times.values())) for split, times in drawn.items()},
        repeats=repeats,
        background_share=sum(one.times for one in train if not one.boxes) / draws if draws else 0.0,
        effective_sample_size=effective_sample_size(effective) if effective.any() else 0.0,
        dropped_by_default=reading.dropped_by_default,
        problems=tuple(dict.fromkeys(problems)),
        warnings=tuple(dict.fromkeys(reading.warnings)),
        overrides=reading.overrides,
    )


def _times(entries: list[Drawn], directory: Path, promises: dict[str, Promise]) -> dict[str, float]:
    times: Counter[str] = Counter()
    for one in entries:
        times[image_key(one.image, directory, promises)] += one.times  # type: ignore[assignment]
    return dict(times)


def _without_label_file(reading: Reading, directory: Path) -> list[str]:
    every = dict.fromkeys(image for images in reading.listed.values() for image in images)
    bare = [image for image in every if not label_file(image).is_file()]
    if not bare:
        return []
    return [f"{len(bare)} images have no label file, first {shown(bare, directory)}: they are taken for background"]


def _broken(checked: Checked, directory: Path) -> list[str]:
    problems = []
    for what, count in Counter(checked.broken.values()).items():
        first = [path for path, damage in checked.broken.items() if damage == what]
        problems.append(f"{count} images are {what}, first {shown(first, directory)}: they are dropped in silence")
    return problems


def _off(repeats: Mapping[str, tuple[float, float]], trainer: str) -> list[str]:
    off = [(key, promised, effective) for key, (promised, effective) in repeats.items() if promised != effective]
    if not off:
        return []
    key, promised, effective = off[0]
    lost = sum(not effective for _, _, effective in off)
    return [
        f"{trainer} draws {len(off)} of {len(repeats)} train images otherwise than weights.csv promises ({lost} of "
        f"them never), first {key}: {effective:g} instead of {promised:g}"
    ]


def _strangers(drawn: Mapping[str, Mapping[str, float]], promises: Mapping[str, Promise]) -> list[str]:
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
                f"{len(elsewhere)} images are drawn as {split}, but weights.csv has them in "
                f"{promises[elsewhere[0]].split}, first {elsewhere[0]}"
            )
        lost = [key for key, p in promises.items() if p.split == split != "train" and key not in times]
        if lost:
            problems.append(f"{len(lost)} {split} images of weights.csv are not drawn, first {lost[0]}")
    return problems


def _held_out(drawn: Mapping[str, Mapping[str, float]]) -> list[str]:
    problems = []
    for split, times in drawn.items():
        often = [key for key, count in times.items() if count != 1]
        if split != "train" and often:
            problems.append(
                f"{len(often)} {split} images are drawn more than once, first {often[0]}: never weight them"
            )
    return problems


def _leaked(reading: Reading, directory: Path) -> list[str]:
    pairs = leaks(reading.listed)
    if not pairs:
        return []
    train, held_out = pairs[0]
    return [
        f"{len({one for _, one in pairs})} held-out images are among the train images too, first "
        f"{shown([held_out], directory)} as {shown([train], directory)}: what is measured then was trained on"
    ]
