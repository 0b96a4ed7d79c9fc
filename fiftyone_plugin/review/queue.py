"""The order in which mistakes are shown for review: those first whose review is expected to change the weights most."""

from __future__ import annotations

from collections.abc import Collection
from threading import Timer
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnm_core.labels.estimate import Estimator
from hnm_core.labels.next_reviews import choose_reviews

LARGE = 5_000
"""Number of mistakes from which on the next ones are chosen in the background."""

LENGTH = 24
"""How many are chosen at a time then."""

HEAD_START = 0.2
"""Seconds that the answer to a click gets before what is chosen in the background takes time from it (chosen)."""


class ReviewQueue:
    """The mistakes to show next.

    The time to choose grows with the number of mistakes: among 100,000 it is longer than the tenth of a second that a
    click may take, and nearly the same for one as for :data:`LENGTH`. So in a large run :data:`LENGTH` are chosen at
    once, and chosen again in a thread while the person looks at a crop. The thread is a daemon: it only fills this
    queue, so a process that ends need not wait for it.

    Args:
        estimator: of the mistakes of a run, ``k`` of them.
    """

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator
        self._rows: list[int] = []
        self.worker: Timer | None = None

    def next(self, answers: NDArray[np.int8], skipped: Collection[int]) -> int | None:
        """Return the row of the mistake to show, or None if none is left.

        Args:
            answers: ``(k,)`` on each mistake, 0 or less where there is no review.
            skipped: rows that were shown and skipped.
        """
        large = len(answers) >= LARGE
        row = self._first(answers, skipped) if large else None
        if row is None:
            self._fill(answers, skipped, LENGTH if large else 1)
            return self._first(answers, skipped)
        if self.worker is None or not self.worker.is_alive():
            self.worker = Timer(HEAD_START, self._fill, (answers.copy(), skipped, LENGTH))
            self.worker.daemon = True
            self.worker.start()
        return row

    def _first(self, answers: NDArray[Any], skipped: Collection[int]) -> int | None:
        return next((row for row in self._rows if answers[row] <= 0 and row not in skipped), None)

    def _fill(self, answers: NDArray[np.int8], skipped: Collection[int], length: int) -> None:
        self._rows = choose_reviews(self._estimator, answers, length, skip=skipped).tolist()
