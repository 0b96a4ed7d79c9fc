"""The images to export: their weights, checks, and file names in the export."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..io.data_yaml import FORMATS, SPLITS
from ..io.names import unique_stem
from ..io.pictures import fits, is_turned
from ..io.progress import Progress
from ..verify.pixels import check_images, find_leaks
from ..verify.promises import COPY
from .settings import ExportSettings
from .upright import turned_notes

__all__ = ["ExportImage", "NamedImage", "check_entries", "name_images", "usable_images"]

CROP = re.compile(r"#crop\d+$")
"""Suffix that the key of a crop adds to the key of its image."""

Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class ExportImage:
    """One image to export, with its weight.

    Attributes:
        filepath: of the original image.
        sample_id: key in the table of truths.
        split: ``train``, ``val`` or ``test``.
        weight: sample weight ≥ 1; 1 outside train.
        repeats: draws per epoch for trainers that read lists, ≥ 1; 1 outside train.
        score: image score in ``[0, 1]``.
        hard_negatives: number of mined objects.
        errors: their numbers by error type.
        hard: whether its weight is higher because of its mistakes.
        window: the part to export, ``(x0, y0, x1, y1)`` in pixels; None for the whole image.
        labelled_size: width and height at labelling, in pixels; None if unknown.
        added: whether nobody labelled it, and it may be added as background.
        place: of an added image: those of a lower place are added first, and of the same place the surest.
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
    added: bool = False
    place: int = 0


@dataclass(frozen=True)
class NamedImage:
    """An image with its path in the export.

    Attributes:
        image: the image.
        path: relative to the export, such as ``images/train/a.jpg``; absolute for a reference to the original.
        size: width and height in pixels.
    """

    image: ExportImage
    path: str
    size: tuple[int, int]

    def copies(self) -> Iterable[str]:
        """Return the names of the second and further copies, for trainers that drop repeated images."""
        path = Path(self.path)
        return (path.with_name(f"{path.stem}__r{i}{path.suffix}").as_posix() for i in range(1, self.image.repeats))


def check_entries(images: Sequence[ExportImage], known: Iterable[str], layout: str) -> None:
    """Check splits, weights, keys and files before an export.

    Raises:
        FileNotFoundError: if an image does not exist.
        ValueError: if a split, weight or key is not valid, or the trainer does not read a file type.
    """
    unknown = [i.split for i in images if i.split not in SPLITS]
    if unknown:
        raise ValueError(
            f"{len(unknown)} images have a split that is not one of {', '.join(SPLITS)}, first {unknown[0]!r}"
        )
    if not any(i.split == "train" for i in images):
        raise ValueError(f"none of the {len(images)} images is in the train split: nothing to train on")
    names = set(known)
    without_truth = [i.sample_id for i in images if i.sample_id not in names]
    if without_truth:
        raise ValueError(
            f"{len(without_truth)} of {len(images)} images have no entry in the ground truth, "
            f"first {without_truth[0]!r}"
        )
    below_one = [i for i in images if i.repeats < 1 or not i.weight >= 1]
    if below_one:
        raise ValueError(
            f"{len(below_one)} images have a weight or repeats below 1, first {below_one[0].filepath}: "
            f"{below_one[0].weight}, {below_one[0].repeats}; every image must still be drawn"
        )
    held_out = [i for i in images if i.split != "train" and (i.weight != 1 or i.repeats != 1)]
    if held_out:
        raise ValueError(
            f"{len(held_out)} {held_out[0].split} images have a weight other than 1, first {held_out[0].filepath}: "
            f"weighting val or test images would bias the evaluation"
        )
    missing = [i.filepath for i in images if not Path(i.filepath).is_file()]
    if missing:
        raise FileNotFoundError(f"{len(missing)} of {len(images)} images do not exist, first {missing[0]}")
    formats = FORMATS.get(layout)
    unread = [i.filepath for i in images if formats and Path(i.filepath).suffix[1:].lower() not in formats]
    if formats and unread:
        reader = {"ultralytics": "Ultralytics", "yolov5": "YOLOv5"}[layout]
        raise ValueError(
            f"{len(unread)} of {len(images)} images have a file type that {reader} does not read, first {unread[0]}; "
            f"it reads {', '.join(sorted(formats))}"
        )


def usable_images(
    images: Sequence[ExportImage], settings: ExportSettings, progress: Progress
) -> tuple[list[ExportImage], dict[str, tuple[int, int]], list[str]]:
    """Leave out images that the trainer would drop silently, and train images that are in val or test too.

    Returns:
        The images, their sizes by file path, and sentences on what was left out.

    Raises:
        ImportError: if Pillow is missing.
        ValueError: if no train image is left, images were labelled without their EXIF orientation, or photos cannot
            be written upright.
    """
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise ImportError("exporting needs Pillow to read the size of images: pip install pillow") from None
    checked = check_images((Path(image.filepath) for image in images), progress, FORMATS.get(settings.layout))
    warnings = []
    for what, count in Counter(checked.broken.values()).items():
        first = next(path for path, damage in checked.broken.items() if damage == what)
        warnings.append(f"{count} images are left out because they are {what}: first {first}")
    sound = [image for image in images if Path(image.filepath) not in checked.broken]
    _check_orientation(sound, checked.sizes)
    files, turns_itself = [image.filepath for image in sound], settings.layout == "ultralytics"
    warnings += turned_notes(files, checked.turned, settings.layout, settings.media, turns_itself)
    warnings += _other_shapes(sound, checked.sizes)
    pairs = find_leaks({s: [Path(i.filepath) for i in sound if i.split == s] for s in SPLITS})
    if pairs:
        leaked = {train for train, _ in pairs}
        before = len(sound)
        sound = [i for i in sound if i.split != "train" or Path(i.filepath) not in leaked]
        warnings.append(
            f"{before - len(sound)} train images are left out because val or test has the same files: first "
            f"{pairs[0][0]} is {pairs[0][1]}"
        )
    if not any(image.split == "train" for image in sound):
        raise ValueError(f"no train image is left to train on: {'; '.join(warnings)}")
    return sound, {str(path): size for path, size in checked.sizes.items()}, warnings


def _check_orientation(images: Sequence[ExportImage], sizes: Mapping[Path, tuple[int, int]]) -> None:
    exchanged = [i for i in images if _is_turned(i.labelled_size, sizes[Path(i.filepath)])]
    plain = [i for i in exchanged if not is_turned(i.filepath)]
    if plain:
        labelled, (width, height) = plain[0].labelled_size or (0, 0), sizes[Path(plain[0].filepath)]
        raise ValueError(
            f"{len(plain)} of {len(images)} images have width and height exchanged in the labels, first "
            f"{plain[0].filepath}: the labels say {labelled[0]:g} x {labelled[1]:g}, the file is {width} x {height}. "
            f"Correct the sizes in the labels, or remove them: then they are read from the files"
        )
    turned = [i.filepath for i in exchanged]
    if turned:
        raise ValueError(
            f"{len(turned)} of {len(images)} images are labelled without their EXIF orientation, but trainers apply "
            f"it, first {turned[0]}: the boxes would be at wrong places. Remove the orientation "
            f"(exiftool -Orientation= FILE), or label the rotated images"
        )


def _other_shapes(images: Sequence[ExportImage], sizes: Mapping[Path, tuple[int, int]]) -> list[str]:
    """Say which images have other proportions than at labelling: cut, or others."""
    other = [i for i in images if not fits(i.labelled_size, sizes[Path(i.filepath)])]
    if not other:
        return []
    labelled, (width, height) = other[0].labelled_size or (0, 0), sizes[Path(other[0].filepath)]
    return [
        f"{len(other)} images have another shape than the labels say, first {other[0].filepath}: labels "
        f"{labelled[0]:g} x {labelled[1]:g}, file {width} x {height}. Their boxes are stretched with them; are these "
        f"the labelled images?"
    ]


def _is_turned(labelled: tuple[float, float] | None, seen: tuple[int, int]) -> bool:
    return labelled is not None and labelled != seen and labelled == seen[::-1]


def name_images(
    images: Sequence[ExportImage], sizes: Mapping[str, tuple[int, int]], settings: ExportSettings
) -> list[NamedImage]:
    """Give every image its path in the export; names that occur twice in a split get the sample id added.

    Leading dots are removed, because trainers skip hidden files, and what breaks a line becomes ``_``.

    Args:
        images: the images to export.
        sizes: width and height by file path.
        settings: the folders of the layout, and whether the paths of the originals are used; crops are always written.
    """
    refer = settings.media == "reference"
    stems = Counter((i.split, _stem(i)) for i in images if i.window is None)
    crops: Counter[tuple[str, str]] = Counter()
    named = []
    for image in images:
        original, stem = Path(image.filepath), _stem(image)
        if stems[image.split, stem] > 1 or COPY.search(stem):
            stem = unique_stem(stem, CROP.sub("", image.sample_id))
        if image.window is None:
            path = (
                original.absolute().as_posix() if refer else f"{settings.folders[image.split]}/{stem}{original.suffix}"
            )
            named.append(NamedImage(image, path, sizes[image.filepath]))
        else:
            x0, y0, x1, y1 = image.window
            crops[image.split, stem] += 1
            path = f"{settings.folders[image.split]}/{stem}__c{crops[image.split, stem]}.png"
            named.append(NamedImage(image, path, (x1 - x0, y1 - y0)))
    taken = Counter(str(Path(one.path).with_suffix("")) for one in named)
    twice = [path for path, count in taken.items() if count > 1]
    if twice:
        raise ValueError(
            f"{len(twice)} file names occur twice in the export, first {twice[0]}: rename one of the originals"
        )
    return named


def _stem(image: ExportImage) -> str:
    """Return the file name without suffix, leading dots, and breaks of lines: a list has one name a line."""
    return "_".join(Path(image.filepath).stem.lstrip(".").splitlines()) or "image"
