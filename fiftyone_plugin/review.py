"""A stored run as a person reviews it: what was said so far, what it makes of the weights, what to look at next.

Reading a run's results takes seconds on a large dataset, so each process keeps the runs that it read last; what people
said meanwhile, here or elsewhere, is caught up with whenever it is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from threading import Lock, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnm_core.imageset import Images
from hnm_core.judging import Judgement, judge
from hnm_core.looks import next_looks
from hnm_core.mistakes import Mistakes
from hnm_core.reviews import STATES
from hnm_core.taxonomy import ERROR_TYPES, ROW_NAMES, TRUE_POSITIVE

from . import bridge, runs, states, views
from .evidence import Evidence, of_mistakes
from .ledger import Act, Ledger
from .settings import RunSettings

KEPT = 4
"""Runs to keep in memory."""

LARGE = 5_000
"""Mistakes from which on the next looks are thought out while a person looks at one: at 300,000 it takes a second."""

QUEUE = 24
"""Looks that are thought out at once then."""

_kept: OrderedDict[Any, Review] = OrderedDict()
_lock = Lock()


class Review:
    """The mistakes of a run and the state of each.

    Attributes:
        settings: the run's settings.
        label_ids: per mistake the id of its object.
        keys: per mistake its key, ``SIDE:ID``.
        sample_ids: per mistake the id of its sample.
        mistakes: the mistakes as the engine judges them.
        evidence: what narrows the suspicion of each, if the run was mined with any.
        images: the images of the run.
        asked_for: ``(k,)`` bool, the mined ones that a person can be asked for; nothing is wrong with a lucky hit.
        state: ``(k,)`` int8, what was said of each mistake.
    """

    def __init__(self, dataset: Any, run_key: str | None) -> None:
        self._dataset = dataset
        self.settings, results = runs.load(dataset, run_key)
        if "background" not in results.images:
            raise ValueError(f"run {run_key!r} was mined by an older version, which kept too little: mine again")
        self.images = _images(results)
        if self.settings.engine.repeat_threshold > 0:
            self.images = images_with_truth(dataset, self.settings, results)
        self.label_ids, self.sample_ids, self.mistakes, self.evidence = mistakes_of(results)
        sides = np.where(self.mistakes.of_truth, "truth", "prediction").tolist()
        self.keys = [states.key_of(*of_row) for of_row in zip(sides, self.label_ids, strict=True)]
        self._row = {key: row for row, key in enumerate(self.keys)}
        self._samples = set(self.images.names)
        self._ledger, self._acts = Ledger(dataset), dict[str, tuple[Any, Act]]()
        self.state = np.zeros(len(self.label_ids), dtype=np.int8)
        self.asked_for = self.mistakes.mined & (self.mistakes.code != TRUE_POSITIVE)
        self._queue: list[int] = []
        self._ahead: Thread | None = None
        self._judged: dict[bool, Judgement] = {}
        self.catch_up()

    def catch_up(self) -> None:
        """Take in what was said or withdrawn since, by whomever."""
        changed = self._ledger.changed({key: stamp for key, (stamp, _) in self._acts.items()})
        touched = {
            entry.image
            for key, (_, act) in changed.items()
            for entry in (*act.entries, *(self._acts[key][1].entries if key in self._acts else ()))
        }
        self._acts.update(changed)
        touched &= self._samples
        if not touched:
            return
        entries = [entry.as_dict() for entry in self._standing(touched)]
        boxes = states.boxes_of(self._dataset, self.settings, touched)
        for key, state in states.inherited(boxes, entries).items():
            row = self._row.get(key)
            if row is not None:
                self.state[row] = STATES.index(state)
        self._judged.pop(True, None)

    def now(self) -> Judgement:
        """What everything said so far makes of the run."""
        return self._judge(True)

    def unseen(self) -> Judgement:
        """What the run was before anybody looked."""
        return self._judge(False)

    def next(self, asked: Iterable[str] = ()) -> str | None:
        """Key of the object whose answer is expected to tell most; None if nothing is left.

        Args:
            asked: keys of objects that were shown and skipped.
        """
        skipped = {self._row[key] for key in asked if key in self._row}

        def first() -> int | None:
            return next((row for row in self._queue if self.state[row] == 0 and row not in skipped), None)

        row = first() if len(self.label_ids) >= LARGE else None
        if row is None:
            self._fill_queue(self.state, skipped)
            row = first()
        elif not (self._ahead and self._ahead.is_alive()):
            self._ahead = Thread(target=self._fill_queue, args=(self.state.copy(), skipped), daemon=True)
            self._ahead.start()
        return None if row is None else self.keys[row]

    def _fill_queue(self, state: NDArray[np.int8], skipped: Collection[int]) -> None:
        """Find what to look at next."""
        n = QUEUE if len(self.label_ids) >= LARGE else 1
        rows = next_looks(
            self.mistakes, state, self.images, self.settings.engine, n, asked=skipped, evidence=self.evidence
        )
        self._queue = rows.tolist()

    def left(self) -> int:
        """How many mined mistakes nobody has reviewed."""
        return int((self.asked_for & (self.state == 0)).sum())

    def __contains__(self, key: object) -> bool:
        """Whether an object is one of the mistakes."""
        return key in self._row

    def row(self, key: str) -> int:
        """Row of an object among the mistakes.

        Raises:
            ValueError: if it is none of them.
        """
        if key not in self._row:
            raise ValueError(f"object {key} is no mistake of run {self.settings.run_key!r}")
        return self._row[key]

    def estimates(self) -> Mapping[str, float]:
        """Suspicion of every mistake, by the key of its object."""
        return dict(zip(self.keys, self.now().suspicion.tolist(), strict=True))

    def _judge(self, seen: bool) -> Judgement:
        if seen not in self._judged:
            state = self.state if seen else np.zeros_like(self.state)
            self._judged[seen] = judge(self.mistakes, state, self.images, self.settings.engine, evidence=self.evidence)
        return self._judged[seen]

    def _standing(self, samples: Collection[str]) -> Iterable[Any]:
        """What stands about these samples, in order."""
        for _, (_, act) in sorted(self._acts.items()):
            if not act.withdrawn:
                yield from (entry for entry in act.entries if entry.image in samples)


def open_review(dataset: Any, run_key: str | None) -> Review:
    """The review of a run, up to date; read from the database once, until the run is written anew.

    Raises:
        ValueError: if there is no such run, or it was interrupted or mined by an older version.
    """
    key = runs.check_key_exists(dataset, run_key)
    name = (str(dataset._doc.id), key, runs.revision(dataset, key))
    with _lock:
        review = _kept.get(name)
        if review is None:
            for other in [other for other in _kept if other[:2] == name[:2]]:
                del _kept[other]
            review = _kept[name] = Review(dataset, key)
        else:
            review.catch_up()
        _kept.move_to_end(name)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return review


def _images(results: Any) -> Images:
    """The images of a run, without what they hold, which takes reading all truths."""
    return Images(tuple(results.images["sample_id"]), np.array(results.images["background"], dtype=bool))


def images_with_truth(dataset: Any, settings: RunSettings, results: Any) -> Images:
    """The images of a run with the classes they hold, as the dataset has them now."""
    images = _images(results)
    truth = bridge.read_truth(
        views.images_of(dataset).exists(f"{settings.run_key}_count"), settings.gt_field, results.classes
    )
    place = {name: number for number, name in enumerate(images.names)}
    number = np.array([place.get(name, -1) for name in truth.images], dtype=np.int64)
    image = number[truth.image] if len(number) else np.zeros(0, dtype=np.int64)
    known = image >= 0
    return Images(images.names, images.background, image[known], truth.label[known], tuple(results.classes))


def mistakes_of(results: Any) -> tuple[list[str], list[str], Mistakes, Evidence | None]:
    """Every mistake among a run's stored objects, mined or not, in order: object, sample, columns, evidence."""
    objects = results.objects
    error = np.array(objects["error"], dtype=object)
    code_of, label_of, image_of = (
        {name: number for number, name in enumerate(names)}
        for names in (ROW_NAMES, results.classes, results.images["sample_id"])
    )
    mined = np.array([bool(kind) for kind in objects["type"]], dtype=bool)
    wrong = np.isin(error, ERROR_TYPES)
    rows = np.flatnonzero(wrong | mined)

    def column(name: str, dtype: Any, number: Mapping[str, int] | None = None) -> Any:
        listed = objects[name]
        kept = [listed[row] for row in rows.tolist()]
        return np.array([number[value] for value in kept] if number is not None else kept, dtype=dtype)

    label_ids = [objects["label_id"][row] for row in rows.tolist()]
    sample_ids = [objects["sample_id"][row] for row in rows.tolist()]
    return (
        label_ids,
        sample_ids,
        Mistakes(
            image=column("sample_id", np.int64, image_of),
            code=column("error", np.int8, code_of),
            label=column("label", np.int64, label_of),
            score=column("confidence", np.float64),
            difficulty=column("difficulty", np.float64),
            of_truth=column("side", object) == "truth",
            mined=mined[rows],
        ),
        of_mistakes(objects, rows),
    )
