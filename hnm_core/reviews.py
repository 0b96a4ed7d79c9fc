"""What people said about mistakes, kept by box, so that it outlives runs, rounds and new predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .boxes import overlapping
from .columns import Detections

__all__ = [
    "HARD_NEGATIVE",
    "IGNORE",
    "LABEL_IS_WRONG",
    "SAME_IOU",
    "SIDES",
    "STATES",
    "UNREVIEWED",
    "Reviews",
    "inherit_reviews",
    "state_codes",
]

STATES = ("unreviewed", "hard_negative", "missing_label", "wrong_label", "ignore")
"""What a person can say of a mistake; a state's code is its place in this tuple.

``hard_negative``: the model is wrong. ``missing_label``, ``wrong_label``: the label is. ``ignore``: leave it out.
"""

UNREVIEWED, HARD_NEGATIVE, MISSING_LABEL, WRONG_LABEL, IGNORE = range(5)
LABEL_IS_WRONG = (MISSING_LABEL, WRONG_LABEL)

SIDES = ("prediction", "truth")
"""Which table a reviewed box stands in."""

SAME_IOU = 0.5
"""Overlap from which two boxes of one image, side and class are the same mistake."""

KEYS = ("image", "side", "class", "bbox", "state")


@dataclass(frozen=True, eq=False)
class Reviews:
    """Reviews as parallel columns, oldest first; the names are the reviews' own, no table's.

    A withdrawn review stays as a row of state ``unreviewed``: it must win over an older one of a similar box.

    Attributes:
        image: ``(k,)`` int64, row number in ``images``.
        xyxy: ``(k, 4)`` float64, ``x0 y0 x1 y1`` in the unit of the tables they are for.
        label: ``(k,)`` int64, row number in ``classes``.
        of_truth: ``(k,)`` bool, boxes of the ground truth; the others are predictions.
        state: ``(k,)`` int8, place in :data:`STATES`.
        images: image keys.
        classes: class names.
    """

    image: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    label: NDArray[np.int64]
    of_truth: NDArray[np.bool_]
    state: NDArray[np.int8]
    images: tuple[str, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]]) -> Reviews:
        """Reviews from the entries of a ledger, in the order in which they were made.

        Args:
            entries: ``{"image", "side", "class", "bbox", "state"}`` each, ``bbox`` as ``[x0, y0, x1, y1]``; other keys
                are left alone. A later entry on the very same box replaces an earlier one.

        Raises:
            ValueError: if an entry lacks a key or holds what no review can, naming the entry.

        Example:
            >>> cat = {"image": "a.jpg", "side": "prediction", "class": "cat", "bbox": [0, 0, 9, 9]}
            >>> reviews = Reviews.of([{**cat, "state": "ignore"}, {**cat, "state": "missing_label"}])
            >>> len(reviews), reviews.as_entries()[0]["state"]
            (1, 'missing_label')
        """
        last: dict[tuple[str, bool, str, tuple[float, ...]], int] = {}
        for number, entry in enumerate(entries):
            box, state = _checked(number, entry)
            last.pop(box, None)  # so that it moves to the end: later is newer
            last[box] = state
        images, classes = _numbered(key[0] for key in last), _numbered(key[2] for key in last)
        return cls(
            image=np.array([images[key[0]] for key in last], dtype=np.int64),
            xyxy=np.array([key[3] for key in last], dtype=np.float64).reshape(-1, 4),
            label=np.array([classes[key[2]] for key in last], dtype=np.int64),
            of_truth=np.array([key[1] for key in last], dtype=bool),
            state=np.array(list(last.values()), dtype=np.int8),
            images=tuple(images),
            classes=tuple(classes),
        )

    def __len__(self) -> int:
        """The number of reviewed boxes, withdrawn ones included."""
        return len(self.state)

    def as_entries(self) -> list[dict[str, Any]]:
        """The entries that :meth:`of` would make the same reviews of; clean JSON."""
        columns = (self.image, self.of_truth, self.label, self.xyxy, self.state)
        return [
            {
                "image": self.images[image],
                "side": SIDES[of_truth],
                "class": self.classes[label],
                "bbox": box,
                "state": STATES[state],
            }
            for image, of_truth, label, box, state in zip(*(c.tolist() for c in columns), strict=True)
        ]


def inherit_reviews(
    reviews: Reviews, predictions: Detections, truth: Detections
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """The state of every row of two tables: that of the review of its box, whichever run or model made the box.

    Reviews and rows of one image, side and class are paired one to one, the highest IoU first, as long as it is at
    least .5; of equal overlaps the newest review comes first. A box found again exactly is the same even if it has
    no area. Reviews of images or classes that the tables do not have are left alone.

    Args:
        reviews: what was said, in the unit of the tables.
        predictions: ``n`` rows.
        truth: ``m`` rows.

    Returns:
        ``(n,)`` and ``(m,)`` int8, places in :data:`STATES`; 0, ``unreviewed``, where nobody said anything.

    Example:
        >>> reviews = Reviews.of(
        ...     [{"image": "a", "side": "prediction", "class": "cat", "bbox": [0, 0, 9, 9], "state": "missing_label"}]
        ... )
        >>> world = dict(images=["a"], classes=["cat"])
        >>> predictions = Detections([0, 0], [[0, 0, 9, 6], [0, 0, 9, 8]], [0, 0], [0.9, 0.8], **world)
        >>> [STATES[code] for code in inherit_reviews(reviews, predictions, Detections.empty(**world))[0]]
        ['unreviewed', 'missing_label']
    """
    return _inherit(reviews, ~reviews.of_truth, predictions), _inherit(reviews, reviews.of_truth, truth)


def state_codes(states: Iterable[str] | NDArray[Any]) -> NDArray[np.int8]:
    """States as int8 codes, from codes or names; an empty name is ``unreviewed``.

    Raises:
        ValueError: if a name or number is no state.

    Example:
        >>> state_codes(["", "ignore"]).tolist()
        [0, 4]
    """
    given = states if isinstance(states, np.ndarray) else list(states)
    if len(given) and isinstance(given[0], str):
        code = {"": UNREVIEWED, **{name: i for i, name in enumerate(STATES)}}
        unknown = sorted({str(name) for name in given} - set(code))
        if unknown:
            raise ValueError(f"no such review state: {', '.join(map(repr, unknown))}; states are {', '.join(STATES)}")
        return np.array([code[str(name)] for name in given], dtype=np.int8)
    codes = np.asarray(given, dtype=np.int64).reshape(-1)
    if codes.size and not 0 <= codes.min() <= codes.max() < len(STATES):
        raise ValueError(f"review states are numbers from 0 to {len(STATES) - 1}, got {codes.min()} to {codes.max()}")
    return codes.astype(np.int8)


def _numbered(names: Iterable[str]) -> dict[str, int]:
    """The names, each once, with their numbers in the order of appearance."""
    return {name: i for i, name in enumerate(dict.fromkeys(names))}


def _checked(number: int, entry: Mapping[str, Any]) -> tuple[tuple[str, bool, str, tuple[float, ...]], int]:
    """The box of an entry and its state."""
    missing = [key for key in KEYS if key not in entry] if isinstance(entry, Mapping) else list(KEYS)
    if missing:
        raise ValueError(f"review {number} lacks {', '.join(missing)}: an entry has {', '.join(KEYS)}")
    for key, choices in (("side", SIDES), ("state", STATES)):
        if entry[key] not in choices:
            raise ValueError(f"review {number} has {key} {entry[key]!r}, expected one of {', '.join(choices)}")
    try:
        box: tuple[float, ...] = tuple(float(edge) for edge in entry["bbox"])
        fine = len(box) == 4 and box[0] <= box[2] and box[1] <= box[3] and bool(np.isfinite(box).all())
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise ValueError(f"review {number} has bbox {entry['bbox']!r}, expected [x0, y0, x1, y1] with x0 ≤ x1, y0 ≤ y1")
    of = (str(entry["image"]), bool(entry["side"] == "truth"), str(entry["class"]), box)
    return of, STATES.index(entry["state"])


def _inherit(reviews: Reviews, side: NDArray[np.bool_], table: Detections) -> NDArray[np.int8]:
    """States of the rows of one table, from the reviews of its side."""
    state = np.zeros(len(table), dtype=np.int8)
    image, label = _renumbered(reviews.images, table.images), _renumbered(reviews.classes, table.classes)
    known = np.flatnonzero(side & (image[reviews.image] >= 0) & (label[reviews.label] >= 0))
    if not known.size or not len(table):
        return state
    among = max(len(table.classes), 1)
    key = image[reviews.image[known]] * among + label[reviews.label[known]]
    order = np.argsort(key, kind="stable")
    known, key = known[order], key[order]

    looked_at = np.zeros(len(table.images), dtype=bool)
    looked_at[key // among] = True
    rows = np.flatnonzero(looked_at[table.image])
    own = table.image[rows] * among + table.label[rows]
    start = np.searchsorted(key, own, side="left")
    count = np.searchsorted(key, own, side="right") - start
    row = np.repeat(rows, count)
    begin = np.cumsum(count) - count
    review = known[np.arange(len(row)) + np.repeat(start - begin, count)]

    exact = np.flatnonzero((table.xyxy[row] == reviews.xyxy[review]).all(axis=1))
    pairs = overlapping(table.xyxy, reviews.xyxy, row, review)
    close = pairs[2] >= SAME_IOU
    row, review = (
        np.concatenate([ends[close], all_of[exact]]) for ends, all_of in zip(pairs[:2], (row, review), strict=True)
    )
    iou = np.concatenate([pairs[2][close], np.ones(len(exact))])
    best = np.lexsort((row, -review, -iou))
    taken = _one_to_one(row[best], review[best])
    state[row[best][taken]] = reviews.state[review[best][taken]]
    return state


def _renumbered(names: tuple[str, ...], into: tuple[str, ...]) -> NDArray[np.int64]:
    """Per name its place in another list, -1 where it is not there."""
    place = {name: i for i, name in enumerate(into)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int64)


def _one_to_one(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of the pairs, best first, are kept if each end may be in one only: greedily, in a few rounds.

    In a round every pair that is the first one left of both of its ends is kept, and what shares an end with it goes.
    """
    kept = []
    left = np.arange(len(first))
    free = [np.ones(int(ends.max(initial=-1)) + 1, dtype=bool) for ends in (first, second)]
    while len(left):
        leads = np.ones(len(left), dtype=bool)
        for ends in (first, second):
            at = np.full(int(ends.max()) + 1, len(first))
            np.minimum.at(at, ends[left], left)
            leads &= at[ends[left]] == left
        kept.append(left[leads])
        free[0][first[left[leads]]] = False
        free[1][second[left[leads]]] = False
        left = left[free[0][first[left]] & free[1][second[left]]]
    return np.concatenate(kept) if kept else left
