"""Reviews of mistakes, stored by box, so that they stay valid for later runs, rounds and predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    "state_codes",
    "states_of",
]

STATES = ("unreviewed", "hard_negative", "missing_label", "wrong_label", "ignore", "wrong_box", "bogus_label")
"""Review states of a mistake; the code of a state is its index in this tuple.

``hard_negative``: the model is wrong. ``missing_label`` (of a prediction), ``wrong_label`` (its class), ``wrong_box``,
``bogus_label`` (of a truth on nothing): the label is wrong. ``ignore``: do not mine.

An *answer* is the code of a state; below 0, a person only said that this state does not fit: an exception of a sheet,
which stays ``unreviewed``.
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
        state: ``(k,)`` int8, answers: index in :data:`STATES`, below 0 for an exception.
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
            entries: ``{"image", "side", "class", "bbox", "state"}`` each, ``bbox`` as ``[x0, y0, x1, y1]``. One that is
                ``unreviewed`` can have ``"refused"``, the state that does not fit. Other keys are ignored. A later
                entry for exactly the same box replaces an earlier one.

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
            box, answer = _checked(number, entry)
            last.pop(box, None)  # so that it moves to the end: reviews are ordered by time
            last[box] = answer
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
                "state": STATES[max(answer, 0)],
                **({"refused": STATES[-answer]} if answer < 0 else {}),
            }
            for image, of_truth, label, box, answer in zip(*(c.tolist() for c in columns), strict=True)
        ]


def states_of(answers: NDArray[Any]) -> NDArray[np.int8]:
    """Return the review states that answers give; an exception stays ``unreviewed``.

    Example:
        >>> states_of(np.array([2, -2, 0])).tolist()
        [2, 0, 0]
    """
    return np.asarray(np.maximum(answers, UNREVIEWED), dtype=np.int8)


def state_codes(states: Iterable[str] | NDArray[Any]) -> NDArray[np.int8]:
    """Convert names of review states, or answers, to int8 answers; an empty name is ``unreviewed``.

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
    codes = np.asarray(given, dtype=np.int8 if getattr(given, "dtype", None) == np.int8 else np.int64).reshape(-1)
    if codes.size and max(int(codes.max()), -int(codes.min())) >= len(STATES):
        raise ValueError(
            f"review states are numbers from 0 to {len(STATES) - 1} (below 0: it does not fit), got {codes.min()} to "
            f"{codes.max()}"
        )
    return codes.astype(np.int8)


def _numbered(names: Iterable[str]) -> dict[str, int]:
    """Return the distinct names with their numbers, in the order of appearance."""
    return {name: i for i, name in enumerate(dict.fromkeys(names))}


def _checked(number: int, entry: Mapping[str, Any]) -> tuple[tuple[str, bool, str, tuple[float, ...]], int]:
    """Check an entry and return its box and its answer."""
    missing = [key for key in KEYS if key not in entry] if isinstance(entry, Mapping) else list(KEYS)
    if missing:
        raise ValueError(f"review {number} has no {', '.join(missing)}; an entry needs {', '.join(KEYS)}")
    for key, choices in (("side", SIDES), ("state", STATES)):
        if entry[key] not in choices:
            raise ValueError(f"review {number} has {key} {entry[key]!r}, expected one of {', '.join(choices)}")
    for key in ("image", "class"):
        if not isinstance(entry[key], str):
            raise ValueError(f"review {number} has {key} {entry[key]!r}, expected its name as text")
    refused = entry.get("refused") or STATES[UNREVIEWED]
    if refused not in STATES or STATES[UNREVIEWED] not in (refused, entry["state"]):
        raise ValueError(
            f"review {number} is {entry['state']!r} and has refused {refused!r}: only what is left unreviewed has one, "
            f"the state that does not fit ({', '.join(STATES[1:])})"
        )
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
    return of, STATES.index(entry["state"]) - STATES.index(refused)
