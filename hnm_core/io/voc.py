"""Read Pascal VOC folders: one XML file per image."""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..columns import OBJECT
from .data_yaml import IMAGE_SUFFIXES
from .flags import FLAGS, read_flag
from .numbers import as_number
from .progress import Progress, silent, tracked

__all__ = ["DIFFICULT", "BoxRows", "read_voc"]

EDGES = ("xmin", "ymin", "xmax", "ymax")
DIFFICULT = "difficult"
PICTURES = (".", "..", "../JPEGImages", "../images")
"""Where the pictures of a folder of XML files may lie, from that folder."""


@dataclass
class BoxRows:
    """Boxes as a file has them, with names in words.

    Attributes:
        images: every image of the file, each once.
        image: image number of each box.
        boxes: four numbers each, ``x0 y0 x1 y1``.
        names: class name of each box.
        scores: confidence of each box; empty for ground truth.
        kinds: kind of each box, by its flags.
        sizes: width and height by image number, where the file says them.
        files: the picture by image number, where it was found.
        broken: what can't be read, with its place.
    """

    images: dict[str, int] = field(default_factory=dict)
    image: list[int] = field(default_factory=list)
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    sizes: dict[int, tuple[float, float]] = field(default_factory=dict)
    files: dict[int, Path] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def add(self, image: str, name: str, box: list[Any], score: Any, flags: Mapping[str, Any], place: str) -> None:
        """Add a box, or note why it is none; of ``flags`` the first in :data:`~hnm_core.io.flags.FLAGS` counts."""
        edges = [as_number(edge) for edge in box]
        numbers = [edge for edge in edges if edge is not None and np.isfinite(edge)]
        confidence = 0.0 if score is None else as_number(score)
        why = ""
        if len(numbers) < 4:
            why = f"the box {reprlib.repr(box)} is not four numbers"
        elif numbers[2] < numbers[0] or numbers[3] < numbers[1]:
            why = f"the box {reprlib.repr(numbers)} has xmax < xmin or ymax < ymin"
        elif confidence is None or not 0 <= confidence <= 1:
            why = f"the confidence {reprlib.repr(score)} is not a number in [0, 1]"
        elif not name:
            why = "no class"
        are_set = {flag: read_flag(value) for flag, value in flags.items()}
        for flag in (flag for flag, value in are_set.items() if value is None):
            why = f"{flag} is {reprlib.repr(flags[flag])}, expected true or false, 1 or 0"
        if why or confidence is None:
            self.broken.append(f"{place}: {why}")
            return
        self.image.append(self.images.setdefault(image, len(self.images)))
        self.boxes.append(tuple(numbers))
        self.names.append(name)
        self.kinds.append(next((kind for flag, kind in FLAGS.items() if are_set.get(flag)), OBJECT))
        if score is not None:
            self.scores.append(confidence)

    def check(self, source: Path, read_as: str = "") -> BoxRows:
        """Return the rows.

        Args:
            source: for the message.
            read_as: what a line was taken to hold, where nothing in the file says it.

        Raises:
            ValueError: if some can't be read.
        """
        if self.broken:
            said = f" (read as {read_as})" if read_as else ""
            raise ValueError(f"{source}: {len(self.broken)} boxes or files can't be read, first {self.broken[0]}{said}")
        return self


def read_voc(folder: Path, images: Path | None = None, progress: Progress = silent) -> BoxRows:
    """Read the boxes of all XML files of a folder, or of its ``Annotations``; edges as written, in pixels.

    The picture of a file is that of its own name, as VOC's own tools take it, else that of its ``<filename>``, which
    is often out of date.

    Args:
        folder: of the files.
        images: of the pictures; None for the places where VOC has them.
        progress: shows the progress of reading.

    Raises:
        ValueError: if a file is no VOC annotation; the message names it.
    """
    place = folder / "Annotations" if (folder / "Annotations").is_dir() else folder
    rows = BoxRows()
    pictures = [place / one for one in PICTURES] if images is None else [images]
    others: list[str] = []
    for file in tracked(sorted(place.glob("[!.]*.xml")), "reading labels", progress):
        try:
            data = file.read_bytes()
            if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
                raise ValueError("it declares entities, which a VOC annotation never does")
            root = ElementTree.fromstring(data)
        except (ElementTree.ParseError, ValueError, OSError, RecursionError) as error:
            rows.broken.append(f"{file}: {error}")
            continue
        if root.tag != "annotation":
            rows.broken.append(f"{file}: its root is <{root.tag[:40]}>, expected <annotation>")
            continue
        said = Path((root.findtext("filename") or "").strip().replace("\\", "/")).name
        picture = next(_pictures(file.stem, said, pictures), None)
        by_own_name = picture is not None and picture.stem == file.stem
        if said and by_own_name and file.stem not in (said, Path(said).stem):
            others.append(f"{file}: {said}")
        _add_image(rows, file, root, str(picture or said or file.stem), picture)
    rows.check(folder)
    if others:
        warnings.warn(
            f"{len(others)} xml files have the <filename> of another picture, first {others[0]}; the picture of their "
            f"own name is used",
            stacklevel=3,
        )
    return rows


def _add_image(rows: BoxRows, file: Path, root: ElementTree.Element, name: str, picture: Path | None) -> None:
    if name in rows.images:
        rows.broken.append(
            f"{file}: its <filename> {name} has an annotation already; correct it, or give the pictures with --images "
            f"DIR, where each is found by the name of its xml file"
        )
        return
    number = rows.images[name] = len(rows.images)
    if picture is not None:
        rows.files[number] = picture
    size = [as_number((root.findtext(f"size/{side}") or "").strip()) for side in ("width", "height")]
    if size[0] and size[1] and min(size[0], size[1]) > 0 and max(size[0], size[1]) < np.inf:
        rows.sizes[number] = (size[0], size[1])
    for at, one in enumerate(root.iter("object")):
        if one.find("bndbox") is None:
            rows.broken.append(f"{file}, object {at}: it has no <bndbox>, only {', '.join(part.tag for part in one)}")
            continue
        box = [(one.findtext(f"bndbox/{edge}") or "").strip() for edge in EDGES]
        flags = {DIFFICULT: one.findtext(DIFFICULT)}
        rows.add(name, (one.findtext("name") or "").strip(), box, None, flags, f"{file}, object {at}")


def _pictures(stem: str, said: str, folders: list[Path]) -> Iterator[Path]:
    """Yield the pictures that an XML file may belong to: of its own name, then of the name that it says."""
    for name in (*(f"{stem}{suffix}" for suffix in sorted(IMAGE_SUFFIXES)), *filter(None, (said,))):
        yield from ((folder / name).resolve() for folder in folders if (folder / name).is_file())
