"""The order in which mistakes are shown for review: those first whose review is expected to change the weights most."""

from __future__ import annotations

from collections.abc import Collection
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnm_core.labels.mistakes import Mistakes
from hnm_core.labels.next_reviews import next_reviews
from hnm_core.labels.settled import Settled
from hnm_core.settings import MiningSettings
from hnm_core.weighting.images import Images

from ..runs.evidence_columns import Evidence

LARGE = 5_000
"""Number of mistakes from which on the next ones are chosen in the background."""

LENGTH = 24
"""How many are chosen at a time then."""


class ReviewQueue:
    """The mistakes to show next.

    The time to choose grows with the number of mistakes: among 100,000 it is longer than the tenth of a second that a
    click may take, and nearly the same for one as for :data:`LENGTH`. So in a large run :data:`LENGTH` are chosen at
    once, and chosen again in a thread while the person looks at a crop. The thread is a daemon: it only fills this
    queue, so a process that ends need not wait for it.

    Args:
        mistakes: the mistakes of a run, ``k`` of them.
        images: the images of the run.
        settings: the settings that the run was mined with.
        evidence: evidence on each mistake, or None.
    """

    def __init__(self, mistakes: Mistakes, images: Images, settings: MiningSettings, evidence: Evidence | None) -> None:
        self._mistakes, self._images, self._settings, self._evidence = mistakes, images, settings, evidence
        self._rows: list[int] = []
        self.worker: Thread | None = None

    def next(self, answers: NDArray[np.int8], skipped: Collection[int], settled: Settled | None = None) -> int | None:
        """Return the row of the mistake to show, or None if none is left.

        Args:
            answers: ``(k,)`` on each mistake, 0 or less where there is no review.
            skipped: rows that were shown and skipped.
            settled: reviewed label errors that are put right.
        """
        large = len(answers) >= LARGE
        row = self._first(answers, skipped) if large else None
        if row is None:
            self._fill(answers, skipped, LENGTH if large else 1, settled)
            return self._first(answers, skipped)
        if self.worker is None or not self.worker.is_alive():
            self.worker = Thread(target=self._fill, args=(answers.copy(), skipped, LENGTH, settled), daemon=True)
            self.worker.start()
        return row

    def _first(self, answers: NDArray[Any], skipped: Collection[int]) -> int | None:
        return next((row for row in self._rows if answers[row] <= 0 and row not in skipped), None)

    def _fill(self, answers: NDArray[np.int8], skipped: Collection[int], length: int, settled: Settled | None) -> None:
        known: dict[str, Any] = {"evidence": self._evidence, "settled": settled}
        rows = next_reviews(self._mistakes, answers, self._images, self._settings, length, skip=skipped, **known)
        self._rows = rows.tolist()
