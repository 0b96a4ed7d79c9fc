"""Reviews of mistakes, stored by box, so that they stay valid for later runs, rounds and predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import overlapping
from ..columns import Detections

__all__ = [
    "HARD_NEGATIVE",
    "IGNORE",
    "LABEL_ERRORS",
    "ONE_SIDED",
    "SAME_IOU",
    "SIDES",
    "STATES",
    "UNREVIEWED",
    "Reviews",
    "inherit_reviews",
    "state_codes",
]

STATES = ("unreviewed", "hard_negative", "missing_label", "wrong_label", "ignore", "wrong_box", "bogus_label")
"""Review states of a mistake; the code of a state is its index in this tuple.

``hard_negative``: the model is wrong. ``missing_label`` (of a prediction), ``wrong_label`` (its class), ``wrong_box``,
``bogus_label`` (of a truth on nothing): the label is wrong. ``ignore``: do not mine.
"""

UNREVIEWED, HARD_NEGATIVE, MISSING_LABEL, WRONG_LABEL, IGNORE, WRONG_BOX, BOGUS_LABEL = range(7)
LABEL_ERRORS = (MISSING_LABEL, WRONG_LABEL, WRONG_BOX, BOGUS_LABEL)

ONE_SIDED = {
    "missing_label": ("prediction", "a truth has its label: say wrong_label, wrong_box or bogus_label"),
    "bogus_label": ("truth", "a prediction is no label: say hard_negative, or review the truth on nothing"),
}
"""The states that only one side can have, and what to say of the other."""

SIDES = ("prediction", "truth")
"""The tables that a reviewed box can belong to."""

SAME_IOU = 0.5
"""IoU from which two boxes of the same image, side and class are the same mistake."""

KEYS = ("image", "side", "class", "bbox", "state")


@dataclass(frozen=True, eq=False)
class Reviews:
    """Reviews as parallel columns, oldest first, with their own lists of images and classes.

    A withdrawn review stays as a row of state ``unreviewed``, so that it replaces older reviews of a similar box.

    Attributes:
        image: ``(k,)`` int64, row number in ``images``.
        xyxy: ``(k, 4)`` float64, ``x0 y0 x1 y1`` in the unit of the tables that they belong to.
        label: ``(k,)`` int64, row number in ``classes``.
        of_truth: ``(k,)`` bool, boxes of the ground truth; the others are predictions.
        state: ``(k,)`` int8, index in :data:`STATES`.
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
        """Read reviews from the entries of a ledger, in the order in which they were made.

        Args:
            entries: ``{"image", "side", "class", "bbox", "state"}`` each, ``bbox`` as ``[x0, y0, x1, y1]``; other keys
                are ignored. A later entry for exactly the same box replaces an earlier one.

        Raises:
            ValueError: if an entry lacks a key or has an invalid value; the message names the entry.

        Example:
            >>> cat = {"image": "a.jpg", "side": "prediction", "class": "cat", "bbox": [0, 0, 9, 9]}
            >>> reviews = Reviews.of([{**cat, "state": "ignore"}, {**cat, "state": "missing_label"}])
            >>> len(reviews), reviews.as_entries()[0]["state"]
            (1, 'missing_label')
        """
        last: dict[tuple[str, bool, str, tuple[float, ...]], int] = {}
        for number, entry in enumerate(entries):
            box, state = _checked(number, entry)
            last.pop(box, None)  # so that it moves to the end: reviews are ordered by time
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
        """Return the number of reviewed boxes, including withdrawn reviews."""
        return len(self.state)

    def as_entries(self) -> list[dict[str, Any]]:
        """Return the entries from which :meth:`of` makes the same reviews; JSON-clean."""
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
    """Return the review state of every row of two tables, whichever run or model made the reviewed boxes.

    Reviews and rows of the same image, side and class are paired one to one by falling IoU, down to .5; of equal IoUs
    the newest review comes first, then the row of higher score. Identical boxes are paired even if they have no area.
    Reviews of other images or classes than those of the tables are ignored.

    Args:
        reviews: boxes in the unit of the tables.
        predictions: ``n`` rows.
        truth: ``m`` rows.

    Returns:
        ``(n,)`` and ``(m,)`` int8, indices in :data:`STATES`; 0, ``unreviewed``, without a review.

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
    """Convert review states, codes or names, to int8 codes; an empty name is ``unreviewed``.

    Raises:
        ValueError: if a name or number is not a state.

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
    """Return the distinct names with their numbers, in the order of appearance."""
    return {name: i for i, name in enumerate(dict.fromkeys(names))}


def _checked(number: int, entry: Mapping[str, Any]) -> tuple[tuple[str, bool, str, tuple[float, ...]], int]:
    """Check an entry and return its box and its state."""
    missing = [key for key in KEYS if key not in entry] if isinstance(entry, Mapping) else list(KEYS)
    if missing:
        raise ValueError(f"review {number} has no {', '.join(missing)}; an entry needs {', '.join(KEYS)}")
    for key, choices in (("side", SIDES), ("state", STATES)):
        if entry[key] not in choices:
            raise ValueError(f"review {number} has {key} {entry[key]!r}, expected one of {', '.join(choices)}")
    for key in ("image", "class"):
        if not isinstance(entry[key], str):
            raise ValueError(f"review {number} has {key} {entry[key]!r}, expected its name as text")
    side, why = ONE_SIDED.get(entry["state"], (entry["side"], ""))
    if entry["side"] != side:
        raise ValueError(f"review {number} is {entry['state']} on a {entry['side']}: {why}")
    try:
        if any(isinstance(edge, (bool, str)) for edge in entry["bbox"]):
            raise TypeError("no numbers")
        box: tuple[float, ...] = tuple(float(edge) for edge in entry["bbox"])
        fine = len(box) == 4 and box[0] <= box[2] and box[1] <= box[3] and bool(np.isfinite(box).all())
    except (TypeError, ValueError, OverflowError):
        fine = False
    if not fine:
        raise ValueError(f"review {number} has bbox {entry['bbox']!r}, expected [x0, y0, x1, y1] with x0 ≤ x1, y0 ≤ y1")
    of = (str(entry["image"]), bool(entry["side"] == "truth"), str(entry["class"]), box)
    return of, STATES.index(entry["state"])


def _inherit(reviews: Reviews, side: NDArray[np.bool_], table: Detections) -> NDArray[np.int8]:
    """Return the review states of the rows of one table, from the reviews of its side."""
    state = np.zeros(len(table), dtype=np.int8)
    image, label = _renumbered(reviews.images, table.images), _renumbered(reviews.classes, table.classes)
    known = np.flatnonzero(side & (image[reviews.image] >= 0) & (label[reviews.label] >= 0))
    if not known.size or not len(table):
        return state
    among = max(len(table.classes), 1)
    key = image[reviews.image[known]] * among + label[reviews.label[known]]
    order = np.argsort(key, kind="stable")
    known, key = known[order], key[order]

    reviewed = np.zeros(len(table.images), dtype=bool)
    reviewed[key // among] = True
    rows = np.flatnonzero(reviewed[table.image])
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
    score = np.zeros(len(table)) if table.score is None else table.score
    best = np.lexsort((row, *table.xyxy[row].T, -score[row], -review, -iou))  # only exact ties fall back to row order
    taken = _one_to_one(row[best], review[best])
    state[row[best][taken]] = reviews.state[review[best][taken]]
    return state


def _renumbered(names: tuple[str, ...], into: tuple[str, ...]) -> NDArray[np.int64]:
    """Return the index of every name in another list, -1 where it is not in it."""
    place = {name: i for i, name in enumerate(into)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int64)


def _one_to_one(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Select pairs greedily, best first, so that every end is in one pair only; vectorised in a few rounds.

    In a round every pair that is the first remaining one of both its ends is kept; pairs that share an end are dropped.
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
