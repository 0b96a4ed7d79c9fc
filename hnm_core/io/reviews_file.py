"""Read reviews from a file that the App exports: a JSON array, or one JSON object per line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import are_fractions
from ..labels.reviews import Reviews

__all__ = ["names_in", "read_reviews", "unknown_reviews"]


def read_reviews(path: str | Path, images: Sequence[str], sizes: NDArray[np.float64] | None = None) -> Reviews:
    """Read reviews, and convert their image names and their unit to those of the tables.

    Image names that the tables do not have are resolved relative to the folder of the file, or matched by the end of
    the path if only one image has this ending.

    Args:
        path: JSON array, or JSON lines, of the entries that :meth:`~hnm_core.labels.reviews.Reviews.of` takes.
        images: image keys of the tables.
        sizes: ``(images, 2)`` width and height, if boxes of the tables are in pixels; None if they are fractions.

    Returns:
        The reviews; images that are not in the tables keep their names.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is not a file of reviews, or its unit does not fit the tables.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
        entries = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines() if line]
        found = Reviews.of(_resolved(entries, path.parent, images))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is neither a JSON array of reviews nor one JSON object per line: {error}") from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply to be a file of reviews") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    found = replace(found, images=names_in(found.images, images))
    if not len(found):
        return found
    fractions = are_fractions(found.xyxy)
    if sizes is None and not fractions:
        raise ValueError(f"{path} has boxes in pixels, but the boxes of the labels are fractions of the image")
    return found if sizes is None or not fractions else _in_pixels(path, found, images, sizes)


def _resolved(entries: Sequence[Any], folder: Path, images: Sequence[str]) -> list[Any]:
    """Replace image names that are paths relative to the folder by the names that the tables use."""
    known = set(images)
    if all(_image_of(entry) in known for entry in entries):
        return list(entries)
    by_file = {os.path.realpath(image): image for image in images}
    found = {name: by_file.get(os.path.realpath(folder / name)) for name in set(map(_image_of, entries)) - known}
    return [{**entry, "image": name} if (name := found.get(_image_of(entry))) else entry for entry in entries]


def _image_of(entry: Any) -> str:
    """Return the image of an entry, or an empty text if it has none; :class:`Reviews` checks that."""
    image = entry.get("image") if isinstance(entry, Mapping) else None
    return image if isinstance(image, str) else ""


def unknown_reviews(reviews: Reviews, images: Sequence[str]) -> int:
    """Return the number of reviews whose image is not among the given ones."""
    known = np.isin(np.array(reviews.images, dtype=object), list(images))
    return int((~known[reviews.image]).sum())


def names_in(names: tuple[str, ...], images: Sequence[str]) -> tuple[str, ...]:
    """Return the name of every image in the tables, or its own name if there is none; names stay unique.

    Of several names that end like one image, the one with the longest common end is its name.

    Args:
        names: paths, or their ends.
        images: image keys of the tables.
    """
    known, by_end = set(images), dict[str, str | None]()
    for image in images:
        parts = Path(image).parts
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            by_end[end] = None if end in by_end else image
    taken = {name for name in names if name in known}
    matches: list[tuple[int, int, str]] = []
    for at, name in enumerate(names):
        parts = Path(name).parts if name not in known else ()
        ends = ((len(parts) - start, by_end.get("/".join(parts[start:]))) for start in range(len(parts)))
        matches += [(-length, at, image) for length, image in ends if image][:1]
    out = list(names)
    for _, at, image in sorted(matches):
        if image not in taken:
            out[at] = image
            taken.add(image)
    return tuple(out)


def _in_pixels(path: Path, found: Reviews, images: Sequence[str], sizes: NDArray[np.float64]) -> Reviews:
    place = {name: i for i, name in enumerate(images)}
    size = np.array([sizes[place[name]] if name in place else (1.0, 1.0) for name in found.images]).reshape(-1, 2)
    unknown = int(np.isnan(size).any(axis=1).sum())
    if unknown:
        raise ValueError(
            f"{path} has boxes as fractions of the image, but width and height of {unknown} images are "
            f"missing in the labels"
        )
    return replace(found, xyxy=found.xyxy * np.tile(size, 2)[found.image])
