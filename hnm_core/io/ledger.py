"""Reviews from a file: what a ledger exports, as a JSON array or a line each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..reviews import Reviews

__all__ = ["read_reviews", "unknown_reviews"]

FRACTION = 2.0
"""Boxes of which no edge lies beyond this are fractions of their image."""


def read_reviews(path: str | Path, images: Sequence[str], sizes: NDArray[np.float64] | None = None) -> Reviews:
    """Reviews in the names and the unit of tables.

    An image that the tables do not name as the file does is found where its path leads from the file's folder, or by
    the end of its path, if only one ends so.

    Args:
        path: JSON array, or JSON lines, of the entries that :meth:`~hnm_core.reviews.Reviews.of` takes.
        images: image keys of the tables.
        sizes: ``(images, 2)`` width and height, where the tables are in pixels; None where they are in fractions.

    Returns:
        The reviews; those of images that the tables do not have keep their names.

    Raises:
        FileNotFoundError: if the file is not there.
        ValueError: if it holds no reviews, or is in another unit than the tables.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8").strip()
        listed = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines() if line]
        found = Reviews.of(_followed(listed, path.parent, images))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON array of reviews, and no line of JSON for each: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    found = replace(found, images=_names_in(found.images, images))
    if not len(found):
        return found
    fractions = float(np.abs(found.xyxy).max()) <= FRACTION
    if sizes is None and not fractions:
        raise ValueError(f"{path} holds boxes in pixels, but those of the labels are fractions of the image")
    return found if sizes is None or not fractions else _in_pixels(path, found, images, sizes)


def _followed(listed: Sequence[Any], folder: Path, images: Sequence[str]) -> list[Any]:
    """The entries, with the tables' names for the images whose paths lead from the folder to the tables' files."""
    known = set(images)
    if all(_image_of(entry) in known for entry in listed):
        return list(listed)
    by_file = {os.path.realpath(image): image for image in images}
    found = {name: by_file.get(os.path.realpath(folder / name)) for name in set(map(_image_of, listed)) - known}
    return [{**entry, "image": name} if (name := found.get(_image_of(entry))) else entry for entry in listed]


def _image_of(entry: Any) -> str:
    """The image of an entry; empty where it has none, which is refused elsewhere."""
    image = entry.get("image") if isinstance(entry, Mapping) else None
    return image if isinstance(image, str) else ""


def unknown_reviews(reviews: Reviews, images: Sequence[str]) -> int:
    """How many reviews are of other images than these."""
    known = np.isin(np.array(reviews.images, dtype=object), list(images))
    return int((~known[reviews.image]).sum())


def _names_in(names: tuple[str, ...], images: Sequence[str]) -> tuple[str, ...]:
    """The tables' name of every image, its own where they have none; no two get the same."""
    known, by_end = set(images), dict[str, str | None]()
    for image in images:
        parts = Path(image).parts
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            by_end[end] = None if end in by_end else image
    taken = {name for name in names if name in known}
    out = []
    for name in names:
        if name not in known:
            parts = Path(name).parts
            ends = (by_end.get("/".join(parts[start:])) for start in range(len(parts)))
            match = next((image for image in ends if image), None)
            name = match if match and match not in taken else name
            taken.add(name)
        out.append(name)
    return tuple(out)


def _in_pixels(path: Path, found: Reviews, images: Sequence[str], sizes: NDArray[np.float64]) -> Reviews:
    place = {name: i for i, name in enumerate(images)}
    size = np.array([sizes[place[name]] if name in place else (1.0, 1.0) for name in found.images]).reshape(-1, 2)
    unknown = int(np.isnan(size).any(axis=1).sum())
    if unknown:
        raise ValueError(
            f"{path} holds fractions of the images, and of {unknown} of them the labels do not tell width and height"
        )
    return replace(found, xyxy=found.xyxy * np.tile(size, 2)[found.image])
