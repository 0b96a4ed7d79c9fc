"""The images of a mining, with the facts that weights need besides the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..columns import Detections
from ..settings import MiningSettings
from .class_factors import class_repeat_factors
from .pooling import ImageScores, PooledScores
from .weights import SampleWeights, weigh_images

__all__ = ["Images"]


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a mining, without their boxes.

    Attributes:
        names: the caller's key per image; ties and rounding follow the order of keys, not that of the table.
        background: ``(images,)`` bool, images without any truth.
        truth_image: ``(m,)`` image number of every truth; needed only for class exposure and ``repeat_threshold``,
            together with ``truth_label``.
        truth_label: ``(m,)`` its class number.
        classes: class name per label.
        class_factors: ``(images,)`` repeat factors, where the truths are not here but counted elsewhere.
    """

    names: Sequence[str] | NDArray[np.bytes_]
    background: NDArray[np.bool_]
    truth_image: NDArray[np.int64] | None = None
    truth_label: NDArray[np.int64] | None = None
    classes: Sequence[str] = ()
    class_factors: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, truth: Detections) -> Images:
        """Return the images of a table of truths."""
        background = np.bincount(truth.image, minlength=len(truth.images)) == 0
        return cls(truth.images, background, truth.image, truth.label, truth.classes)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)

    @cached_property
    def by_key(self) -> NDArray[np.int64]:
        """``(images,)`` image numbers sorted by key."""
        names = self.names if isinstance(self.names, np.ndarray) else np.array(self.names, dtype=str)
        return np.argsort(names, kind="stable")

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """``(images,)`` position of each image in that order."""
        place = np.empty(len(self), dtype=np.int64)
        place[self.by_key] = np.arange(len(self))
        return place

    def weigh(self, pooled: PooledScores | ImageScores, settings: MiningSettings) -> SampleWeights:
        """Compute the weights in the order of keys, so that ties and rounding do not depend on the order of the table.

        Raises:
            ValueError: if ``repeat_threshold`` is set, but the classes of the images are not known.
        """
        factors = None
        if settings.repeat_threshold > 0:
            factors = self._class_factors(settings.repeat_threshold)[self.by_key]
        done = weigh_images(
            pooled.scores[self.by_key],
            settings,
            alarm_scores=pooled.alarm_scores[self.by_key],
            missed_scores=pooled.missed_scores[self.by_key],
            background=self.background[self.by_key],
            class_factors=factors,
        )
        columns = {
            name: getattr(done, name)[self.place]
            for name in ("weights", "repeats", "hard", "alarm_extra", "score_extra")
        }
        return SampleWeights(**columns, notes=done.notes, balance=done.balance)

    def _class_factors(self, threshold: float) -> NDArray[np.float64]:
        if self.class_factors is not None:
            return self.class_factors
        if self.truth_image is None or self.truth_label is None:
            raise ValueError("repeat_threshold needs truth_image and truth_label: the classes of every image")
        return class_repeat_factors(self.truth_image, self.truth_label, len(self), len(self.classes), threshold)
