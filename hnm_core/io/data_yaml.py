"""``data.yaml``: the classes and images that it names, and where their labels lie."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .names import check_names

__all__ = [
    "FORMATS",
    "IMAGE_SUFFIXES",
    "check_stems",
    "class_names",
    "folder_images",
    "label_file",
    "read_data_yaml",
    "split_images",
]

_COMMON = ("bmp", "dng", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp")
FORMATS = {
    "ultralytics": frozenset([*_COMMON, "avif", "heic", "heif", "jp2", "jpeg2000"]),
    "yolov5": frozenset([*_COMMON, "pfm"]),
}
"""The suffixes, and Pillow's names of formats, that each of YOLO's readers takes."""

IMAGE_SUFFIXES = frozenset(f".{name}" for name in FORMATS["ultralytics"])


def read_data_yaml(data: Path) -> Mapping[str, Any]:
    """The content of ``data.yaml``; what it calls ``validation`` is ``val``, as for Ultralytics."""
    try:
        import yaml
    except ImportError:
        raise ImportError("reading data.yaml needs PyYAML: pip install pyyaml") from None
    try:
        content = yaml.safe_load(data.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{data} is not valid yaml: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        raise ValueError(f"{data} holds no mapping, expected train:, val: and names:")
    return content if "val" in content else {**content, "val": content.get("validation")}


def class_names(data: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Class names in label order, from a list, a mapping of numbers, or a number alone: then ``class_0`` and on."""
    names, number = config.get("names"), str(config.get("nc"))
    if names is None and number.isdecimal():
        names = [f"class_{i}" for i in range(int(number))]
    if isinstance(names, Mapping):
        names = {int(key) if str(key).isdecimal() else key: name for key, name in names.items()}
        if set(names) != set(range(len(names))):
            numbers = f"{', '.join(map(repr, list(names)[:5]))}{' …' if len(names) > 5 else ''}"
            raise ValueError(f"{data}: classes are numbered {numbers}, expected 0 to {len(names) - 1}")
        names = [names[i] for i in range(len(names))]
    if not names or not isinstance(names, list):
        raise ValueError(
            f"{data} has names: {names!r}, expected a list of class names, or a mapping of numbers to them"
        )
    return tuple(map(str, names))


def split_images(data: Path, split: str, config: Mapping[str, Any] | None = None) -> list[Path]:
    """The images of a split, from folders or list files, each once, sorted.

    Links to folders and lists are followed first, as Ultralytics has it: labels lie beside what is meant.
    """
    config = read_data_yaml(data) if config is None else config
    entries = config.get(split)
    if not entries:
        has = ", ".join(key for key in ("train", "val", "test") if config.get(key)) or "none"
        raise ValueError(f"{data} has no split {split!r}; it has {has}")
    root = _root(data, config)
    places = [_place(root, entry) for entry in _listed(entries)]
    images: set[Path] = set()
    for place in places:
        images.update(_images_at(place, root))
    if not images:
        where = ", ".join(map(str, places))
        raise FileNotFoundError(f"{data}: split {split!r} holds no images at {where}")
    found = sorted(images, key=lambda image: image.parts)
    check_names(list(map(str, found)), data)
    return found


def folder_images(place: Path) -> list[Path]:
    """The images in a folder and below as trainers list them: through links, without what starts with a dot."""
    found = map(Path, glob.iglob(f"{glob.escape(str(place))}/**/*.*", recursive=True))
    return [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]


def label_file(image: Path) -> Path:
    """Where YOLO looks for an image's labels: the last ``images`` folder of its path becomes ``labels``.

    Example:
        >>> label_file(Path("set/images/train/a.jpg")).as_posix()
        'set/labels/train/a.txt'
    """
    place, name = os.path.split(image)
    before, found, after = f"/{place}/".rpartition("/images/")
    if found:
        place = f"{before}/labels/{after}"[1:]
    return Path(place, name).with_suffix(".txt")


def _root(data: Path, config: Mapping[str, Any]) -> Path:
    """Where entries start: at ``path:``, which starts beside the yaml, or if nothing is there, where one works."""
    path = Path(config.get("path") or "")
    beside = data.parent / path
    return (beside if beside.exists() or not path.exists() else path).resolve()


def _place(root: Path, entry: str) -> Path:
    """Where an entry leads, links followed; Roboflow writes ``../train/images`` of a folder beside the yaml."""
    place, beside = ((root / text).resolve() for text in (entry, entry.removeprefix("../")))
    return place if place.exists() or not beside.exists() else beside


def _listed(entries: str | list[str]) -> list[str]:
    return [entries] if isinstance(entries, str) else entries


def _images_at(place: Path, root: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from folder_images(place)
    elif place.is_file():
        for line in _lines(place):
            if line.strip():
                path = Path(line.strip())
                yield path if path.is_absolute() else (place.parent if line.startswith("./") else root) / path
    else:
        raise FileNotFoundError(f"no folder or list of images at {place}")


def _lines(listing: Path) -> list[str]:
    try:
        return listing.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{listing} is no list of images in UTF-8: {error}") from None


def check_stems(images: list[Path]) -> None:
    """Refuse images of which two share a name, but for folder and suffix: their text files would be one."""
    seen: dict[str, Path] = {}
    for image in images:
        if image.stem in seen:
            raise ValueError(
                f"{seen[image.stem]} and {image} share the name {image.stem!r}, so that their prediction files cannot "
                f"be told apart"
            )
        seen[image.stem] = image
