"""Read ``data.yaml`` of a YOLO dataset: classes, images of the splits, and their label files."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from .names import check_names, is_text
from .yaml_names import class_names

__all__ = [
    "FORMATS",
    "IMAGE_SUFFIXES",
    "SPLITS",
    "check_stems",
    "class_names",
    "folder_images",
    "image_folders",
    "image_names",
    "label_file",
    "label_name",
    "read_data_yaml",
    "split_images",
    "text_name",
]

_COMMON = ("bmp", "dng", "jpeg", "jpg", "mpo", "png", "tif", "tiff", "webp")
FORMATS = {
    "ultralytics": frozenset([*_COMMON, "avif", "heic", "heif", "jp2", "jpeg2000"]),
    "yolov5": frozenset([*_COMMON, "pfm"]),
}
"""The file suffixes, and Pillow's names of formats, that each YOLO trainer reads."""

SPLITS = ("train", "val", "test")
"""The splits of a data set; images without a split are train images."""

IMAGE_SUFFIXES = frozenset(f".{name}" for name in FORMATS["ultralytics"])


def read_data_yaml(data: Path) -> Mapping[str, Any]:
    """Return the content of ``data.yaml``; ``validation`` is read as ``val``, as in Ultralytics.

    Raises:
        ImportError: if PyYAML is missing.
        ValueError: if the file is not valid.
    """
    try:
        import yaml
    except ImportError:
        raise ImportError("reading data.yaml needs PyYAML: pip install pyyaml") from None
    try:
        content = yaml.safe_load(data.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{data} is not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"{data} is nested too deeply to be a data.yaml") from None
    if not isinstance(content, Mapping):
        raise ValueError(f"{data} is not a mapping, expected train:, val: and names:")
    return content if "val" in content else {**content, "val": content.get("validation")}


def split_images(data: Path, split: str, config: Mapping[str, Any] | None = None) -> list[Path]:
    """Return the images of a split, from folders or list files, each once, sorted.

    Links to folders and lists are resolved first, as in Ultralytics: labels are beside the link target.
    """
    return list(map(Path, image_names(data, split, config)))


def image_names(data: Path, split: str, config: Mapping[str, Any] | None = None) -> list[str]:
    """Return :func:`split_images` as text: making a path takes longer than opening its file."""
    config = read_data_yaml(data) if config is None else config
    entries = config.get(split)
    if not entries:
        has = ", ".join(key for key in SPLITS if config.get(key)) or "none"
        raise ValueError(f"{data} has no split {split!r}; it has {has}")
    root = _root(data, config)
    places = [_place(root, entry) for entry in _listed(data, split, entries)]
    images: set[str] = set()
    for place in places:
        try:
            images.update(_images_at(place, root))
        except ValueError as error:
            raise ValueError(f"{data}: split {split!r}: {error}") from None
    if not images:
        where = ", ".join(map(str, places))
        raise FileNotFoundError(f"{data}: split {split!r} has no images at {where}")
    found = sorted(images, key=lambda image: image.replace(os.sep, "\0"))  # folder by folder
    check_names(found, data)
    return found


def image_folders(data: Path) -> list[Path]:
    """Return the folders whose images, in all their subfolders, are images of a split."""
    config = read_data_yaml(data)
    root = _root(data, config)
    entries = [entry for split in SPLITS if config.get(split) for entry in _listed(data, split, config[split])]
    return [place for place in (_place(root, entry) for entry in entries) if place.is_dir()]


def folder_images(place: Path) -> list[Path]:
    """Return the images in a folder and its subfolders as trainers list them: through links, without hidden files.

    A link that leads back to a folder above it is not followed: trainers' own listing repeats it up to forty times.

    Raises:
        ValueError: if the folder is the root of a file system.
    """
    return list(map(Path, _names_in(place)))


def _names_in(place: Path) -> list[str]:
    if place.resolve() == Path(place.resolve().anchor):
        raise ValueError(f"the folder of images is {str(place)!r}, all of this machine; name the folder they lie in")
    found = []
    left: list[tuple[str, frozenset[tuple[int, int]]]] = [(str(place), frozenset())]
    while left:
        folder, above = left.pop()
        try:
            state, entries = os.stat(folder), list(os.scandir(folder))
        except OSError:  # gone meanwhile, or not ours to read
            continue
        here = (state.st_dev, state.st_ino)
        if here in above:
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
                found.append(entry.path)
            if entry.is_dir():
                left.append((entry.path, above | {here}))
    return found


def label_file(image: Path) -> Path:
    """Return the label file of an image: the last ``images`` folder of its path is replaced by ``labels``.

    Example:
        >>> label_file(Path("set/images/train/a.jpg")).as_posix()
        'set/labels/train/a.txt'
    """
    return Path(label_name(str(image)))


def label_name(image: str) -> str:
    """Return :func:`label_file` of a path as text, which is several times faster than with :class:`~pathlib.Path`."""
    place, name = os.path.split(image)
    return os.path.join(_label_folder(place), text_name(name))


@lru_cache(maxsize=1024)
def _label_folder(place: str) -> str:
    before, found, after = f"/{place}/".rpartition("/images/")
    return f"{before}/labels/{after}"[1:] if found else place


def text_name(name: str) -> str:
    """Return the name of an image's text file, as ``Path(name).with_suffix(".txt")`` does.

    Example:
        >>> text_name("a.b.jpg"), text_name(".a"), text_name("a.")
        ('a.b.txt', '.a.txt', 'a..txt')
    """
    dot = name.rfind(".")
    return f"{name[:dot] if 0 < dot < len(name) - 1 else name}.txt"


def _root(data: Path, config: Mapping[str, Any]) -> Path:
    """Return the base folder of entries: ``path:`` relative to the YAML file, else to the working directory."""
    path = Path(_text(data, "path", config.get("path") or ""))
    beside = data.parent / path
    return (beside if beside.exists() or not path.exists() else path).resolve()


def _place(root: Path, entry: str) -> Path:
    """Return the resolved path of an entry; Roboflow writes ``../train/images`` for a folder beside the YAML file."""
    place, beside = ((root / text).resolve() for text in (entry, entry.removeprefix("../")))
    return place if place.exists() or not beside.exists() else beside


def _listed(data: Path, split: str, entries: Any) -> list[str]:
    return [_text(data, split, entry) for entry in (entries if isinstance(entries, list) else [entries])]


def _text(data: Path, key: str, value: Any) -> str:
    """Return the value of a key that holds a path.

    Raises:
        ValueError: if it is no text, or no path can have this text.
    """
    if not isinstance(value, str) or "\0" in value or not is_text(value):
        raise ValueError(f"{data} has {key}: {reprlib.repr(value)}, expected the path of a folder or list, or several")
    return value


def _images_at(place: Path, root: Path) -> Iterator[str]:
    if place.is_dir():
        yield from _names_in(place)
    elif place.is_file():
        for line in _lines(place):
            if line.strip():
                path = Path(line.strip())
                yield str(path if path.is_absolute() else (place.parent if line.startswith("./") else root) / path)
    else:
        raise FileNotFoundError(f"no folder or list of images at {place}")


def _lines(listing: Path) -> list[str]:
    try:
        return listing.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{listing} is not a list of images in UTF-8: {error}") from None


def check_stems(images: Sequence[Path | str]) -> None:
    """Raise an error if two images have the same name without folder and suffix: they would share a text file."""
    stems = [text_name(os.path.basename(image)) for image in images]
    if len(set(stems)) == len(stems):
        return
    seen: dict[str, Path | str] = {}
    for stem, image in zip(stems, images, strict=True):
        if stem in seen:
            raise ValueError(
                f"{seen[stem]} and {image} have the same name {stem.removesuffix('.txt')!r}, so their prediction files "
                f"cannot be distinguished; rename one of them"
            )
        seen[stem] = image
