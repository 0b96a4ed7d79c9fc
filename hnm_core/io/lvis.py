"""Read what LVIS says about its images: which classes were checked there, and where an image is."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from .numbers import id_text

__all__ = ["image_name", "labelled_classes", "write_labelled"]

NEGATIVE, NOT_EXHAUSTIVE = "neg_category_ids", "not_exhaustive_category_ids"

Pairs = NDArray[np.int64]


def image_name(image: Mapping[str, Any]) -> str:
    """Return the name of an image: ``file_name``, else folder and file at the end of ``coco_url``, else its id.

    Example:
        >>> image_name({"id": 139, "coco_url": "http://images.cocodataset.org/val2017/000000000139.jpg"})
        'val2017/000000000139.jpg'
    """
    if image.get("file_name"):
        return str(image["file_name"])
    if image.get("coco_url"):
        return "/".join(unquote(urlsplit(str(image["coco_url"])).path).strip("/").split("/")[-2:])
    return str(image["id"])


def labelled_classes(
    path: Path, content: Mapping[str, Sequence[Mapping[str, Any]]], image: Pairs, label: Pairs
) -> tuple[Pairs | None, Pairs | None]:
    """Return ``verified`` and ``not_exhaustive`` of a table, ``(k, 2)`` each; None for files that are not LVIS.

    Verified are the annotated classes of an image and its ``neg_category_ids`` (lvis 0.5.3, ``eval.py``).

    Args:
        path: of the file, for messages.
        content: of the file.
        image: ``(n,)`` image number of every annotation.
        label: ``(n,)`` class number of every annotation.

    Raises:
        ValueError: if an image lists categories that the file does not have, or has no list.
    """
    images, listed = content["images"], {}
    if not any(NEGATIVE in row for row in images):
        return None, None
    class_row = {id_text(category["id"]): number for number, category in enumerate(content["categories"])}
    for key in (NEGATIVE, NOT_EXHAUSTIVE):
        lists = [row.get(key) or [] for row in images]
        odd = [i for i, categories in enumerate(lists) if not isinstance(categories, list)]
        if odd:
            raise ValueError(
                f"{path}: {len(odd)} of {len(images)} images have {key} that are no list of category ids, first number "
                f"{odd[0]}: {reprlib.repr(lists[odd[0]])}"
            )
        pairs = [(i, id_text(category)) for i, categories in enumerate(lists) for category in categories]
        unknown = [category for categories in lists for category in categories if id_text(category) not in class_row]
        if unknown:
            raise ValueError(
                f"{path}: {len(unknown)} of {len(pairs)} {key} are none of its {len(class_row)} categories, first "
                f"{reprlib.repr(unknown[0])}"
            )
        listed[key] = np.array([(i, class_row[category]) for i, category in pairs], dtype=np.int64).reshape(-1, 2)
    seen = np.unique(np.concatenate([np.stack([image, label], axis=1), listed[NEGATIVE]]), axis=0)
    return seen, listed[NOT_EXHAUSTIVE]


def write_labelled(truth: Detections) -> list[dict[str, list[int]]]:
    """Return LVIS' keys of every image, with category ids from 1; empty dicts if every class is checked everywhere."""
    if truth.verified is None:
        return [{} for _ in truth.images]
    written: list[dict[str, list[int]]] = [{NEGATIVE: [], NOT_EXHAUSTIVE: []} for _ in truth.images]
    present = set(zip(truth.image.tolist(), truth.label.tolist(), strict=True))
    for image, label in truth.verified.tolist():
        if (image, label) not in present:
            written[image][NEGATIVE].append(label + 1)
    for image, label in () if truth.not_exhaustive is None else truth.not_exhaustive.tolist():
        written[image][NOT_EXHAUSTIVE].append(label + 1)
    return written
