"""Check that images are complete, and that no image is in two splits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from ..io.pictures import image_size, open_file, orientation
from ..io.progress import Progress, tracked

__all__ = ["SMALLEST", "ImageChecks", "check_images", "find_leaks"]

SMALLEST = 10
"""Side in pixels below which Ultralytics and YOLOv5 drop an image."""

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"


@dataclass
class ImageChecks:
    """The result of checking images.

    Attributes:
        broken: missing or damaged images, each with the reason.
        sizes: width and height of the others; empty without Pillow.
        odd_ends: complete JPEGs with bytes after their end marker.
        turned: images with an EXIF orientation other than upright; empty without Pillow.
        pillow_turns: those of them that Pillow turns by itself, TIFF in recent releases.
    """

    broken: dict[Path, str] = field(default_factory=dict)
    sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)
    odd_ends: list[Path] = field(default_factory=list)
    turned: set[Path] = field(default_factory=set)
    pillow_turns: set[Path] = field(default_factory=set)


def check_images(paths: Iterable[Path], progress: Progress, formats: Collection[str] | None = None) -> ImageChecks:
    """Check every image once; without Pillow only the first and last bytes.

    Args:
        paths: the images.
        progress: shows the progress.
        formats: formats that the trainer reads, regardless of the suffix; None for all.
    """
    found = ImageChecks()
    for path in tracked(list(dict.fromkeys(paths)), "checking images", progress):
        try:
            whole = _ends_well(path)
            size = _size_of(path, formats, found, decode=not whole)
        except Exception as error:  # the readers of Pillow raise many kinds of errors
            gone = isinstance(error, FileNotFoundError)
            found.broken[path] = "missing" if gone else f"not readable ({' '.join(str(error).split())[:80]})"
            continue
        if not whole:
            found.odd_ends.append(path)
        if size is not None:
            found.sizes[path] = size
            if min(size) < SMALLEST:
                found.broken[path] = f"smaller than {SMALLEST} pixels"
    return found


def _ends_well(path: Path) -> bool:
    """Return whether a file that starts like a JPEG also ends like one."""
    with path.open("rb") as file:
        start = file.read(2)
        if not start:
            raise OSError("empty")
        file.seek(-2, 2)
        return start != JPEG_START or file.read(2) == JPEG_END


def _size_of(
    path: Path, formats: Collection[str] | None, found: ImageChecks, *, decode: bool
) -> tuple[int, int] | None:
    if find_spec("PIL") is None:
        return None
    with open_file(path) as image:
        if orientation(image) != 1:
            found.turned.add(path)
            if image.format == "TIFF" and image.size == image_size(path):
                found.pillow_turns.add(path)
        if decode:  # only decoding finds missing data
            image.load()
        else:
            image.verify()
        if formats is not None and str(image.format).lower() not in formats:
            raise OSError(f"{image.format} with the suffix of another format")
    return image_size(path)


def find_leaks(splits: Mapping[str, Iterable[Path]]) -> list[tuple[Path, Path]]:
    """Return all pairs (train image, val or test image) that are the same file or have the same bytes."""
    by_size: dict[int, dict[str, set[Path]]] = defaultdict(lambda: {"train": set(), "held out": set()})
    for split, paths in splits.items():
        side = "train" if split == "train" else "held out"
        for path in set(paths):
            if path.is_file():
                by_size[path.stat().st_size][side].add(path)
    found = []
    for sides in by_size.values():
        if sides["train"] and sides["held out"]:
            train: dict[bytes, list[Path]] = defaultdict(list)
            for path in sorted(sides["train"]):
                train[_digest(path)].append(path)
            found += [(one, path) for path in sorted(sides["held out"]) for one in train.get(_digest(path), ())]
    return found


def _digest(path: Path) -> bytes:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).digest()
