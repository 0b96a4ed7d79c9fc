"""A stored run under review: the reviews so far, the estimate that follows from them, and the object to show next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hnm_core.labels.estimate import Estimator, Outlook
from hnm_core.labels.reviews import HARD_NEGATIVE, LABEL_ERRORS, STATES, UNREVIEWED, states_of
from hnm_core.labels.sheets import Sheet, label_error_of, next_sheet
from hnm_core.settings import SheetSettings
from hnm_core.settings.sheets import TWIN_DISTANCE
from hnm_core.taxonomy import TRUE_POSITIVE

from ..runs import near_columns, records
from ..runs.settled_columns import StoredSettled
from ..store import access
from . import run_mistakes, states
from .ledger import Ledger, ReviewAction
from .queue import ReviewQueue

if TYPE_CHECKING:
    import fiftyone as fo


class Review:
    """The mistakes of a run and the review state of each.

    Attributes:
        settings: the run's settings.
        label_ids: id of the object of each mistake, ``k`` of them.
        keys: key of each object, ``SIDE:ID``.
        sample_ids: id of the sample of each mistake.
        mistakes: the mistakes as columns for the engine.
        evidence: evidence on each mistake, if the run was mined with any; else None.
        images: the images of the run.
        classes: names of the classes that ``mistakes.label`` numbers.
        twins: which of them show the same object in several images, if the run was mined with appearance; else None.
        nearby: the crops nearest to each.
        reviewable: ``(k,)`` bool, the mined mistakes that a person can review: all but lucky hits.
        answers: ``(k,)`` int8, on each mistake, see :data:`~hnm_core.labels.reviews.STATES`.
        doubtful: ``(k,)`` bool, exceptions of sheets: looked at, and left to a single look.
        settled: reviewed label errors that were put right before the run was mined, and still stand.
        record: of the run, as it was when the review was opened last.
    """

    def __init__(self, dataset: fo.Dataset, run_key: str | None, *, besides: Collection[str] = ()) -> None:
        self._dataset, self.record = dataset, records.opened(dataset, run_key, besides=besides)
        self.settings, results = records.load(dataset, run_key, besides=besides)
        self.images, self.classes = run_mistakes.images_of(results), tuple(results.classes)
        if self.settings.engine.repeat_threshold > 0:
            self.images = run_mistakes.images_with_truth(dataset, self.settings, results)
        rows, self.label_ids, self.sample_ids, self.mistakes, self.evidence = run_mistakes.mistakes_of(results)
        self.twins, self.nearby = near_columns.twins_of(results.objects, rows), near_columns.Nearby(results, rows)
        sides = np.where(self.mistakes.of_truth, "truth", "prediction").tolist()
        self.keys = [states.key_of(*of_row) for of_row in zip(sides, self.label_ids, strict=True)]
        self._row = {key: row for row, key in enumerate(self.keys)}
        if len(self._row) < len(self.keys):
            raise ValueError(
                f"{len(self.keys) - len(self._row)} of {len(self.keys)} mistakes of run {self.settings.run_key!r} have "
                f"the id of another one, so a review of one would be one of both: mine again, which says where they are"
            )
        self._settled = StoredSettled(results.settled, self.images.names, self.classes, self.mistakes)
        self._samples = set(self.images.names)
        self._ledger, self._actions = Ledger(dataset), dict[str, tuple[Any, ReviewAction]]()
        self.answers = np.zeros(len(self.label_ids), dtype=np.int8)
        self.doubtful = np.zeros(len(self.label_ids), dtype=bool)
        self.reviewable = self.mistakes.mined & (self.mistakes.code != TRUE_POSITIVE)
        self._learn()
        self._alone = np.arange(len(self.keys))
        self._estimates: dict[bool, Outlook] = {}
        self._open: NDArray[np.bool_] | None = None
        self.catch_up()

    def catch_up(self) -> None:
        """Read what was reviewed or withdrawn since the last call, by anybody and in any process."""
        changed = self._ledger.changed({key: stamp for key, (stamp, _) in self._actions.items()})
        touched = {
            entry.image
            for key, (_, action) in changed.items()
            for entry in (*action.entries, *(self._actions[key][1].entries if key in self._actions else ()))
        }
        self._actions.update(changed)
        touched &= self._samples
        if not touched:
            return
        entries = list(self._valid_entries(touched))
        boxes = states.boxes_of(self._dataset, self.settings, touched)
        last = {states.key_of(entry["side"], entry["label_id"]): entry["state"] for entry in entries}
        answers = states.inherited_answers(boxes, entries)
        if self._settled.catch_up(touched, answers, entries):
            self._learn()
        for key, answer in answers.items():
            row = self._row.get(key)
            if row is not None:
                self.answers[row] = answer
                self.doubtful[row] = last.get(key) == STATES[UNREVIEWED] and answer <= UNREVIEWED
        self._estimates.pop(True, None)
        self._open = None

    def estimate_now(self) -> Outlook:
        """Return the estimate that follows from all reviews so far."""
        return self._estimate(reviewed=True)

    def estimate_before(self) -> Outlook:
        """Return the estimate without any review."""
        return self._estimate(reviewed=False)

    def next(self, skipped: Iterable[str] = (), most_apart: float = TWIN_DISTANCE) -> str | None:
        """Return the key of the object to look at, or None if none is left: doubtful ones of sheets come first.

        Then it is the one whose review is expected to change the weights most.

        Args:
            skipped: keys of objects that were shown and skipped; their twins are, too.
            most_apart: as :meth:`twin_of` takes it.
        """
        twin_of = self.twin_of(most_apart)
        skip = self._rows(skipped)
        skip |= set(np.flatnonzero(np.isin(twin_of, twin_of[list(skip)])).tolist()) if skip else set()
        doubtful = next((row for row in np.flatnonzero(self.open & self.doubtful).tolist() if row not in skip), None)
        row = self._chosen(skip) if doubtful is None else doubtful
        if row is not None and self.open[twin_of[row]]:
            row = int(twin_of[row])
        return None if row is None else self.keys[row]

    def _chosen(self, skipped: Collection[int]) -> int | None:
        """Return the next row; of proposals the likeliest error of the first list that is not done. None if none is."""
        if not self.settings.without_truth:
            return self.queue.next(self.answers, skipped)
        rows = [row for row in np.flatnonzero(self.open).tolist() if row not in skipped]
        code, difficulty = self.mistakes.code, self.mistakes.difficulty
        return min(rows, key=lambda row: (code[row], -difficulty[row], row), default=None)

    def twin_of(self, most_apart: float = TWIN_DISTANCE) -> NDArray[np.int64]:
        """Return the row on whose picture each mistake is shown, ``(k,)``; itself if it is alone.

        Args:
            most_apart: largest cosine distance of the crops of twins; 0: there are none.
        """
        return self._alone if self.twins is None else np.asarray(self.twins.within(most_apart), dtype=np.int64)

    def with_twins(self, keys: Iterable[str], most_apart: float = TWIN_DISTANCE) -> list[str]:
        """Return the keys of objects, each with its twins, that can be reviewed and are not yet; each once."""
        rows = (self._row[key] for key in keys if key in self)
        if self.twins is None:
            return [self.keys[row] for row in dict.fromkeys(rows) if self.open[row]]
        twin_of = self.twin_of(most_apart)
        place = {int(twin_of[row]): number for number, row in enumerate(rows)}
        shown = np.flatnonzero(self.open & np.isin(twin_of, list(place))).tolist()
        return [self.keys[row] for row in sorted(shown, key=lambda row: place[int(twin_of[row])])]

    def samples_of(self, keys: Iterable[str]) -> list[str]:
        """Return the ids of the samples of objects, each once."""
        return list(dict.fromkeys(self.sample_ids[self._row[key]] for key in keys if key in self._row))

    def sheet(self, settings: SheetSettings, skipped: Iterable[str] = ()) -> Sheet | None:
        """Return the sheet to review next, or None if nothing is left but what is doubtful.

        Args:
            settings: how sheets are made.
            skipped: keys of objects that it may not show.
        """
        skip = self._rows(skipped) | set(np.flatnonzero(self.doubtful).tolist())
        if self.settings.without_truth:  # list by list, likeliest errors first
            code, left = self.mistakes.code, np.setdiff1d(np.flatnonzero(self.open), list(skip))
            skip |= set(np.flatnonzero(code != code[left].min(initial=code.max(initial=0))).tolist())
            settings = replace(settings, sheet_order="suspected", sheet_gain="labels")
        twin_of = self.twin_of(settings.twin_distance)
        sheet = next_sheet(self.mistakes, self.state, self.chances(), settings, skip=skip, twin_of=twin_of)
        return sheet and replace(sheet, answer=self.answer_of(sheet.code, of_truth=sheet.of_truth))

    def chances(self) -> NDArray[np.float64]:
        """Return how likely the answer that sheets look for fits each mistake, ``(k,)``, see :meth:`answer_of`."""
        if self.settings.without_truth:
            return np.nan_to_num(self.mistakes.difficulty)
        return self.estimate_now().suspicion

    def answer_of(self, code: int, *, of_truth: bool) -> str:
        """Return the answer that sheets look for: that the label is wrong; of proposals, that the model is."""
        return STATES[HARD_NEGATIVE] if self.settings.without_truth else label_error_of(code, of_truth=of_truth)

    @property
    def state(self) -> NDArray[np.int8]:
        """``(k,)`` int8, review state of each mistake, as place in ``STATES``."""
        return states_of(self.answers)

    @property
    def open(self) -> NDArray[np.bool_]:
        """``(k,)`` whether a mistake can be reviewed and is not yet."""
        if self._open is None:
            self._open = np.asarray(self.reviewable & (self.state == UNREVIEWED), dtype=bool)
        return self._open

    def mended(self) -> tuple[int, int]:
        """Return how many label errors are known, those put right before included, and the clicks spent on the dataset.

        A withdrawn action costs its own clicks and one for taking it back.
        """
        clicks = sum(action.clicks + bool(action.withdrawn) for _, action in self._actions.values())
        known = self.reviewable & np.isin(self.answers, LABEL_ERRORS)
        return len(self.settled) + int(known.sum()), clicks

    def unreviewed_count(self) -> int:
        """Return the number of mined mistakes that have no review."""
        return int(self.open.sum())

    def __contains__(self, key: object) -> bool:
        """Return whether an object is one of the mistakes."""
        return key in self._row

    def row(self, key: str) -> int:
        """Return the row of an object among the mistakes.

        Raises:
            ValueError: if the object is no mistake of the run.
        """
        if key not in self._row:
            raise ValueError(f"object {key} is no mistake of run {self.settings.run_key!r}")
        return self._row[key]

    def _rows(self, keys: Iterable[str]) -> set[int]:
        return {self._row[key] for key in keys if key in self._row}

    def suspicion_by_key(self) -> Mapping[str, float]:
        """Return the suspicion of every mistake by the key of its object."""
        return dict(zip(self.keys, self.estimate_now().suspicion.tolist(), strict=True))

    def _learn(self) -> None:
        self.settled, given = self._settled.now, (self.mistakes, self.images, self.settings.engine, self.evidence)
        self._estimator = Estimator(*given, self.settled)
        self._unlearned = Estimator(*given) if len(self.settled) else self._estimator
        self.queue = ReviewQueue(self._estimator)

    def _estimate(self, *, reviewed: bool) -> Outlook:
        if reviewed not in self._estimates:
            answers = self.answers if reviewed else np.zeros_like(self.answers)
            self._estimates[reviewed] = (self._estimator if reviewed else self._unlearned).outlook(answers)
        return self._estimates[reviewed]

    def _valid_entries(self, samples: Collection[str]) -> Iterable[Any]:
        """Yield the entries on these samples that were not withdrawn, in order."""
        for _, (_, action) in sorted(self._actions.items()):
            if not action.withdrawn:
                yield from (entry for entry in action.as_dicts() if entry["image"] in samples)


class ReviewCache:
    """The reviews that this process opened last, at most ``size`` of them.

    FiftyOne makes a new context for every click, so nothing of a panel outlives one. Reading a run of 100,000 mistakes
    anew takes more than half a second (20 MB of JSON), while a click should be done in a tenth. An entry belongs to a
    dataset and to one revision of a run: a run that was mined again replaces it, and reviews from elsewhere are read at
    every :meth:`open`, so that nothing outdated is shown.
    """

    def __init__(self, size: int = 4) -> None:
        self.size = size
        self._kept: OrderedDict[tuple[Any, ...], Review] = OrderedDict()
        self._lock = Lock()

    def open(self, dataset: fo.Dataset, run_key: str | None, *, besides: Collection[str] = ()) -> Review:
        """Return the review of a run, up to date; ``besides`` as for :func:`fiftyone_plugin.runs.records.opened`.

        Raises:
            ValueError: if there is no such run, or it was interrupted.
        """
        record = records.opened(dataset, run_key, besides=besides)
        key, name = record.key, (str(access.dataset_id(dataset)), record.key, records.revision(record))
        with self._lock:
            review = self._kept.get(name)
            if review is None:
                for outdated in [other for other in self._kept if other[:2] == name[:2]]:
                    del self._kept[outdated]
                review = self._kept[name] = Review(dataset, key, besides=besides)
            else:
                review.catch_up()
            review.record = record
            self._kept.move_to_end(name)
            while len(self._kept) > self.size:
                self._kept.popitem(last=False)
        return review


_cache = ReviewCache()


def open_review(dataset: fo.Dataset, run_key: str | None, *, besides: Collection[str] = ()) -> Review:
    """Return the review of a run, up to date; see :class:`ReviewCache`.

    Raises:
        ValueError: if there is no such run, or it was interrupted.
    """
    return _cache.open(dataset, run_key, besides=besides)
