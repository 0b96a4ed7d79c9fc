"""Whether images are there and whole, and whether two splits hold the same one."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..io.progress import Progress

__all__ = ["SMALLEST", "Checked", "check_images", "image_size", "leaks"]

SMALLEST = 10
"""Pixels a side below which Ultralytics and YOLOv5 leave an image out."""

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
TURNED = {5, 6, 7, 8}
ORIENTATION = 274


def image_size(path: Path) -> tuple[int, int]:
    """Width and height as trainers see them: turned as EXIF says.

    Raises:
        ImportError: if Pillow is missing.
        OSError: if it is no image.
    """
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
        if image.format == "PNG" and "exif" not in image.info:
            return width, height  # Pillow would decode all of it to look behind the pixels
        return (height, width) if image.getexif().get(ORIENTATION) in TURNED else (width, height)


@dataclass
class Checked:
    """What looking at images found.

    Attributes:
        broken: images that are missing or damaged, each with what is wrong.
        sizes: width and height of all others; empty where Pillow is missing.
        odd_ends: JPEGs that are whole, but end in other bytes than a JPEG does.
    """

    broken: dict[Path, str] = field(default_factory=dict)
    sizes: dict[Path, tuple[int, int]] = field(default_factory=dict)
    odd_ends: list[Path] = field(default_factory=list)


def check_images(paths: Iterable[Path], progress: Progress, formats: Collection[str] | None = None) -> Checked:
    """Look at every image once; without Pillow only at what the first and last bytes tell.

    Args:
        paths: the images.
        progress: told how far it has come.
        formats: what the trainer reads, whatever a file is called; None for anything.
    """
    found = Checked()
    for path in progress(list(dict.fromkeys(paths)), "checking images"):
        try:
            whole = _ends_well(path)
            size = _size_of(path, formats, decode=not whole)
        except Exception as error:  # Pillow raises what its many readers raise
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
    """Whether a file that starts as a JPEG ends as one."""
    with path.open("rb") as file:
        start = file.read(2)
        if not start:
            raise OSError("empty")
        file.seek(-2, 2)
        return start != JPEG_START or file.read(2) == JPEG_END


def _size_of(path: Path, formats: Collection[str] | None, *, decode: bool) -> tuple[int, int] | None:
    try:
        from PIL import Image
    except ImportError:
        return None
    with Image.open(path) as image:
        if decode:  # only that tells whether something is missing
            image.load()
        else:
            image.verify()
        if formats is not None and str(image.format).lower() not in formats:
            raise OSError(f"{image.format} under another name")
    return image_size(path)


def leaks(splits: Mapping[str, Iterable[Path]]) -> list[tuple[Path, Path]]:
    """Pairs (train image, held-out image) that are one image: the same file, or the same bytes; every such pair."""
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
