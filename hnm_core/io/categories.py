"""Find out how the categories of a results file are meant.

A row that says its ``category_name`` is believed. Else ids decide: Ultralytics writes class index + 1 into
``predictions.json``, whatever the ids of the ground truth are, but COCO's own ids where it validates on COCO; other
tools write the class index. Read literally, *cat* would silently become *dog*. If ids can be read in several ways, the
way is chosen by which the labels of overlapping predictions and truths agree most.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..matching.greedy import NONE
from .coded import Coded, coded_by
from .doubts import ENOUGH, HOPELESS, TRUSTED, fitting_names, overlapping_rows
from .numbers import id_text

__all__ = ["category_names", "read_labels"]

AS_GIVEN, NEXT, INDEX, OF_COCO = "as given", "as class index + 1", "as class index", "as the ids of COCO's 80 classes"

COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_IDS = tuple(i for i in range(1, 91) if i not in COCO_GAPS)
"""Category ids of COCO's 80 classes in their order, as in ``instances_val2017.json`` and Ultralytics'
``coco80_to_coco91_class``."""

Labels = NDArray[np.int64]


def category_names(categories: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name of its own for every category of an annotation file, in its order.

    Of categories of one name the one that annotations use keeps it, if it is only one; the others get their id, as in
    ``fish (id 0)``. Exports of Roboflow repeat the name of their parent category.

    Example:
        >>> two = [{"id": 0, "name": "fish"}, {"id": 1, "name": "fish"}]
        >>> category_names(two, [{"category_id": 1}])
        ['fish (id 0)', 'fish']
    """
    names = [str(category["name"]) for category in categories]
    count = Counter(names)
    if max(count.values(), default=0) < 2:
        return names
    used = set(coded_by(annotations, "category_id").mapped(id_text).values)
    in_use = [id_text(category["id"]) in used for category in categories]
    users = Counter(name for name, use in zip(names, in_use, strict=True) if use)
    return [
        name if count[name] == 1 or (use and users[name] == 1) else f"{name} (id {category['id']})"
        for name, use, category in zip(names, in_use, categories, strict=True)
    ]


def read_labels(
    path: Path,
    truth_path: Path,
    rows: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
    boxes: Detections,
    truth: Detections,
    *,
    class_map: Mapping[str, str] | None = None,
    model_names: Sequence[str] | None = None,
) -> tuple[Labels, tuple[str, ...]]:
    """Return the class number of every result, ``(n,)`` int64, and the classes: the truth's, then others.

    Args:
        path: of the results file, for messages.
        truth_path: of the annotation file, for messages.
        rows: the results.
        categories: those of the annotation file, in its order.
        boxes: the results' boxes, all of one class.
        truth: the ground truth, with its classes.
        class_map: prediction class → truth class, by which labels are compared.
        model_names: the model's classes by number, which ids then mean; None for the categories.

    Raises:
        ValueError: if ids are unknown, or labels disagree in all interpretations.
    """
    said = coded_by(rows, "category_name").mapped(lambda name: name if isinstance(name, str) else "")
    labels, classes = _by_name(path, truth_path, rows, said, categories, truth.classes)
    rest = np.flatnonzero(said.numbers(lambda name: not name, bool))
    if not rest.size:
        return labels, classes
    ids = _ids(path, coded_by(rows, "category_id").take(rest))
    if model_names is None:
        readings, known = _interpretations(ids, categories), classes
    else:
        known = tuple(dict.fromkeys((*classes, *model_names)))
        readings = _by_number(path, ids, len(model_names))
        to = np.array([known.index(name) for name in model_names], dtype=np.int64)
        readings = {name: to[numbers] for name, numbers in readings.items()}
    if list(readings) == [AS_GIVEN]:
        labels[rest] = readings[AS_GIVEN][ids.code]
        return labels, known
    p, t = overlapping_rows(boxes, truth)
    place = np.full(len(rows), NONE, dtype=np.int64)
    place[rest] = np.arange(len(rest))
    compared = place[p] != NONE
    p, t = place[p[compared]], t[compared]
    mapped = np.array([_place(truth.classes, (class_map or {}).get(name, name)) for name in known], dtype=np.int64)
    agree = {
        name: float((mapped[found[ids.code[p]]] == truth.label[t]).mean()) if len(p) else 0.0
        for name, found in readings.items()
    }
    chosen = _chosen(path, truth_path, ids, categories, readings, agree, (p, t), truth, known)
    labels[rest] = readings[chosen][ids.code]
    return labels, known


def _chosen(
    path: Path,
    truth_path: Path,
    ids: Coded,
    categories: Sequence[Mapping[str, Any]],
    readings: Mapping[str, Labels],
    agree: Mapping[str, float],
    pairs: tuple[Labels, Labels],
    truth: Detections,
    known: tuple[str, ...],
) -> str:
    """Return the interpretation whose labels agree with the truth.

    Raises:
        ValueError: if ids are unknown, or labels disagree in all interpretations.
    """
    best = max(agree, key=lambda name: agree[name], default=AS_GIVEN)
    if best == AS_GIVEN or agree[best] == agree.get(AS_GIVEN) or agree[best] < TRUSTED:
        if AS_GIVEN not in readings:
            raise ValueError(_unknown(path, truth_path, ids, categories))
        p, t = pairs
        fits = fitting_names(readings[AS_GIVEN][ids.code[p]], truth.label[t], known) or {}
        if len(p) >= ENOUGH and agree[best] < HOPELESS and not (fits and set(fits) == set(fits.values())):
            raise ValueError(
                f"{path}: labels agree with {truth_path} on {agree[best]:.0%} of {len(p)} overlapping boxes, for "
                f"every interpretation of the category ids; do the two files belong together?"
            )
        return AS_GIVEN
    given = f", as given on {agree[AS_GIVEN]:.0%}" if AS_GIVEN in agree else ", and not all ids are known as given"
    warnings.warn(
        f"{path}: category ids are read {best}, because labels then agree with {truth_path} on {agree[best]:.0%} of "
        f"{len(pairs[0])} overlapping boxes{given}",
        stacklevel=5,
    )
    return best


def _place(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else NONE


def _by_name(
    path: Path,
    truth_path: Path,
    rows: Sequence[Mapping[str, Any]],
    said: Coded,
    categories: Sequence[Mapping[str, Any]],
    classes: tuple[str, ...],
) -> tuple[Labels, tuple[str, ...]]:
    """Return the labels of rows that say their category's name, and the classes with those that only rows name."""
    number: dict[str, list[int]] = {}
    for i, category in enumerate(categories):
        number.setdefault(str(category["name"]), []).append(i)
    ids = {(id_text(category["id"]), str(category["name"])): i for i, category in enumerate(categories)}
    others = [name for name in dict.fromkeys(said.values) if name and name not in number]
    known = (*classes, *(name for name in others if name not in classes))
    number |= {name: [known.index(name)] for name in others}
    labels = said.numbers(lambda name: number[name][0] if name else NONE)
    for i in np.flatnonzero(said.numbers(lambda name: len(number.get(name, ())) > 1, bool)).tolist():
        name, of_row = said[i], rows[i].get("category_id")
        at = ids.get((id_text(of_row), name))
        if at is None:
            raise ValueError(
                f"{path}: result {i} has category_name {name!r}, which {len(number[name])} categories of {truth_path} "
                f"share, and category_id {of_row!r}, which is the id of none of these"
            )
        labels[i] = at
    return labels, known


def _ids(path: Path, given: Coded) -> Coded:
    ids = given.mapped(id_text)
    bad = np.flatnonzero(ids.numbers(lambda one: one is None, bool))
    if bad.size:
        raise ValueError(
            f"{path}: {bad.size} of {len(given)} results have a category_id that is neither a whole number nor "
            f"text, first number {bad[0]}: {str(given[bad[0]])[:60]}"
        )
    return ids


def _interpretations(ids: Coded, categories: Sequence[Mapping[str, Any]]) -> dict[str, Labels]:
    """Return the label of every different id in all interpretations in which each is known; equal ones only once."""
    n = len(categories)
    found: dict[str, Labels] = {}
    for name, meaning in (
        (AS_GIVEN, {id_text(category["id"]): i for i, category in enumerate(categories)}),
        (NEXT, {str(i + 1): i for i in range(n)}),
        (INDEX, {str(i): i for i in range(n)}),
        (OF_COCO, _of_coco(n)),
    ):
        labels = np.array([meaning.get(one, NONE) for one in ids.values], dtype=np.int64)
        if (labels != NONE).all() and not any(np.array_equal(labels, other) for other in found.values()):
            found[name] = labels
    return found


def _by_number(path: Path, ids: Coded, n: int) -> dict[str, Labels]:
    """Return how the different ids can be numbers of the model's classes: from 0, from 1, or with the gaps of COCO."""
    read = (int(one) if one.isdecimal() and len(one) < 10 else NONE for one in ids.values)
    numbers = np.array(list(read), dtype=np.int64)
    found = {
        name: numbers - less
        for name, less in ((NEXT, 1), (INDEX, 0))
        if ((numbers >= less) & (numbers < n + less)).all()
    }
    coco = _of_coco(n)
    of_coco = np.array([coco.get(one, NONE) for one in ids.values], dtype=np.int64)
    if (of_coco != NONE).all():
        found[OF_COCO] = of_coco
    if not found:
        raise ValueError(
            f"{path}: some category ids, such as {max(ids.values, key=len)}, do not number any of the {n} classes of "
            f"the model"
        )
    first = next(iter(found))  # the only one, or what Ultralytics writes
    return {AS_GIVEN: found.pop(first), **found}


def _of_coco(n: int) -> dict[str, int]:
    """Return the class index of every id of COCO, nothing for another number of classes."""
    return {str(one): i for i, one in enumerate(COCO_IDS)} if n == len(COCO_IDS) else {}


def _unknown(path: Path, truth_path: Path, ids: Coded, categories: Sequence[Mapping[str, Any]]) -> str:
    known = [id_text(category["id"]) for category in categories]
    unknown = np.flatnonzero(ids.numbers(lambda one: one not in known, bool))
    shown = [one if str(one).isdecimal() else repr(one) for one in (ids[unknown[0]], *known[:5])]
    return (
        f"{path}: {unknown.size} of {len(ids)} boxes have a category_id that {truth_path} does not list among "
        f"its categories, first {shown[0]}; listed are {', '.join(map(str, shown[1:]))}"
        f"{' …' if len(known) > 5 else ''}. Do the two files belong together?"
    )
