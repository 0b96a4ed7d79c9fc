"""What there is to export: images, what each counts, under which name it will stand in the export."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..io.data_yaml import FORMATS
from ..io.names import told_apart
from ..io.progress import Progress
from ..verify.pixels import check_images, leaks
from ..verify.promises import COPY

__all__ = ["SPLITS", "ExportImage", "Named", "check_entries", "name_images", "sound_images"]

SPLITS = ("train", "val", "test")
CROP = re.compile(r"#crop\d+$")
"""What a crop's key adds to that of its image."""

Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class ExportImage:
    """One image to export, and what it counts.

    Attributes:
        filepath: where the image lies now.
        sample_id: its key in the table of truths.
        split: ``train``, ``val`` or ``test``.
        weight: sample weight ≥ 1; 1 outside train.
        repeats: draws in an epoch of a trainer that reads lists ≥ 1; 1 outside train.
        score: image score in ``[0, 1]``.
        hard_negatives: mined objects in it.
        errors: how many of them by error type.
        hard: whether its mistakes raised its weight.
        window: the part that is exported, ``(x0, y0, x1, y1)`` in pixels; None for all of it.
        labelled_size: width and height of the picture that was labelled, in pixels; None if that is not known.
    """

    filepath: str
    sample_id: str
    split: str = "train"
    weight: float = 1.0
    repeats: int = 1
    score: float = 0.0
    hard_negatives: int = 0
    errors: Mapping[str, int] | None = None
    hard: bool = False
    window: Window | None = None
    labelled_size: tuple[float, float] | None = None


@dataclass(frozen=True)
class Named:
    """An image and its place in the export.

    Attributes:
        image: what it is.
        path: relative to the export, such as ``images/train/a.jpg``; absolute where the original is referred to.
        size: width and height in pixels.
    """

    image: ExportImage
    path: str
    size: tuple[int, int]

    def copies(self) -> Iterable[str]:
        """Names of the second, third, … copy, for trainers that read no image twice."""
        path = Path(self.path)
        return (path.with_name(f"{path.stem}__r{i}{path.suffix}").as_posix() for i in range(1, self.image.repeats))


def check_entries(images: Sequence[ExportImage], known: Iterable[str], layout: str) -> None:
    """Refuse what cannot be exported.

    Raises:
        FileNotFoundError: if an image is not there.
        ValueError: if a split, a weight or a key is none, or the layout's reader does not read a file's type.
    """
    unknown = [i.split for i in images if i.split not in SPLITS]
    if unknown:
        raise ValueError(
            f"{len(unknown)} images have a split that is none of {', '.join(SPLITS)}, first {unknown[0]!r}"
        )
    if not any(i.split == "train" for i in images):
        raise ValueError(f"none of the {len(images)} images is in the train split: nothing to train on")
    names = set(known)
    lost = [i.sample_id for i in images if i.sample_id not in names]
    if lost:
        raise ValueError(f"{len(lost)} of {len(images)} images have no entry in the ground truth, first {lost[0]!r}")
    light = [i for i in images if i.repeats < 1 or not i.weight >= 1]
    if light:
        raise ValueError(
            f"{len(light)} images have a weight or repeats below 1, first {light[0].filepath}: {light[0].weight}, "
            f"{light[0].repeats}; every image must still be drawn"
        )
    held_out = [i for i in images if i.split != "train" and (i.weight != 1 or i.repeats != 1)]
    if held_out:
        raise ValueError(
            f"{len(held_out)} {held_out[0].split} images have a weight, first {held_out[0].filepath}: what is measured "
            f"with must never be weighted, for then the measure says nothing of other images"
        )
    missing = [i.filepath for i in images if not Path(i.filepath).is_file()]
    if missing:
        raise FileNotFoundError(f"{len(missing)} of {len(images)} images are not there, first {missing[0]}")
    formats = FORMATS.get(layout)
    unread = [i.filepath for i in images if formats and Path(i.filepath).suffix[1:].lower() not in formats]
    if formats and unread:
        reader = {"ultralytics": "Ultralytics", "yolov5": "YOLOv5"}[layout]
        raise ValueError(
            f"{len(unread)} of {len(images)} images are of a type that {reader} does not read, first {unread[0]}; it "
            f"reads {', '.join(sorted(formats))}"
        )


def sound_images(
    images: Sequence[ExportImage], layout: str, progress: Progress
) -> tuple[list[ExportImage], dict[str, tuple[int, int]], list[str]]:
    """Leave out what the trainer of a layout would drop in silence, and train images that are held out too.

    Returns:
        The images, the size of each by file path, and what was left out.

    Raises:
        ImportError: if Pillow is missing.
        ValueError: if nothing is left to train on, or images were labelled as trainers do not see them.
    """
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise ImportError("exporting needs Pillow, which tells the size of an image: pip install pillow") from None
    checked = check_images((Path(image.filepath) for image in images), progress, FORMATS.get(layout))
    warnings = []
    for what, count in Counter(checked.broken.values()).items():
        first = next(path for path, damage in checked.broken.items() if damage == what)
        warnings.append(f"{count} images are left out, for they are {what}: first {first}")
    sound = [image for image in images if Path(image.filepath) not in checked.broken]
    _check_turned(sound, checked.sizes)
    pairs = leaks({s: [Path(i.filepath) for i in sound if i.split == s] for s in SPLITS})
    if pairs:
        leaked = {train for train, _ in pairs}
        before = len(sound)
        sound = [i for i in sound if i.split != "train" or Path(i.filepath) not in leaked]
        warnings.append(
            f"{before - len(sound)} train images are left out, for they are held out too, byte by byte: first "
            f"{pairs[0][0]} is {pairs[0][1]}"
        )
    if not any(image.split == "train" for image in sound):
        raise ValueError(f"no train image is left to train on: {'; '.join(warnings)}")
    return sound, {str(path): size for path, size in checked.sizes.items()}, warnings


def _check_turned(images: Sequence[ExportImage], sizes: Mapping[Path, tuple[int, int]]) -> None:
    turned = [i.filepath for i in images if _is_turned(i.labelled_size, sizes[Path(i.filepath)])]
    if turned:
        raise ValueError(
            f"{len(turned)} of {len(images)} images are labelled as they lie in the file, but trainers turn them as "
            f"their EXIF orientation says, first {turned[0]}: the boxes would be elsewhere. Remove the orientation "
            f"(exiftool -Orientation= FILE), or label what is seen"
        )


def _is_turned(labelled: tuple[float, float] | None, seen: tuple[int, int]) -> bool:
    return labelled is not None and labelled != seen and labelled == seen[::-1]


def name_images(
    images: Sequence[ExportImage], sizes: Mapping[str, tuple[int, int]], *, refer: bool = False
) -> list[Named]:
    """Give every image its path in the export; names whose stem comes twice in a split get the sample's id.

    Names lose the dot that they start with: trainers pass over hidden files.

    Args:
        images: what is exported.
        sizes: width and height by file path.
        refer: name the originals where they lie; crops have no original.
    """
    stems = Counter((i.split, _stem(i)) for i in images if i.window is None)
    crops: Counter[tuple[str, str]] = Counter()
    named = []
    for image in images:
        original, stem = Path(image.filepath), _stem(image)
        if stems[image.split, stem] > 1 or COPY.search(stem):
            stem = told_apart(stem, CROP.sub("", image.sample_id))
        if image.window is None:
            path = original.absolute().as_posix() if refer else f"images/{image.split}/{stem}{original.suffix}"
            named.append(Named(image, path, sizes[image.filepath]))
        else:
            x0, y0, x1, y1 = image.window
            crops[image.split, stem] += 1
            path = f"images/{image.split}/{stem}__c{crops[image.split, stem]}.png"
            named.append(Named(image, path, (x1 - x0, y1 - y0)))
    taken = Counter(str(Path(one.path).with_suffix("")) for one in named)
    twice = [path for path, count in taken.items() if count > 1]
    if twice:
        raise ValueError(f"{len(twice)} names are given twice, first {twice[0]}: rename one of the originals")
    return named


def _stem(image: ExportImage) -> str:
    """A file name that no trainer takes for hidden, without suffix."""
    return Path(image.filepath).stem.lstrip(".") or "image"
