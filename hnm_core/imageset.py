"""What weighing needs to know about the images beside their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .columns import Detections
from .settings import MiningSettings
from .weights import SampleWeights, class_repeat_factors, weigh_images

__all__ = ["Images"]


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a mining, without their boxes.

    Attributes:
        names: the caller's key per image; ties and rounding go by their order, not by the table's.
        background: ``(images,)`` bool, images without any truth.
        truth_image: ``(m,)`` image number of every truth; with ``truth_label`` needed for class exposure and for
            ``repeat_threshold`` only.
        truth_label: ``(m,)`` its class number.
        classes: class name per label.
    """

    names: Sequence[str]
    background: NDArray[np.bool_]
    truth_image: NDArray[np.int64] | None = None
    truth_label: NDArray[np.int64] | None = None
    classes: Sequence[str] = ()

    @classmethod
    def of(cls, truth: Detections) -> Images:
        """The images of a table of truths."""
        background = np.bincount(truth.image, minlength=len(truth.images)) == 0
        return cls(truth.images, background, truth.image, truth.label, truth.classes)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.names)

    @cached_property
    def by_key(self) -> NDArray[np.int64]:
        """``(images,)`` images in the order of their keys."""
        return np.argsort(np.array(self.names, dtype=str), kind="stable")

    @cached_property
    def place(self) -> NDArray[np.int64]:
        """``(images,)`` where each image stands in that order."""
        place = np.empty(len(self), dtype=np.int64)
        place[self.by_key] = np.arange(len(self))
        return place

    def weigh(self, scores: NDArray[np.float64], settings: MiningSettings) -> SampleWeights:
        """Weigh the images in the order of their keys, so that ties and rounding do not depend on the table's order.

        Raises:
            ValueError: if ``repeat_threshold`` is asked for and nobody said which classes the images hold.
        """
        factors = None
        if settings.repeat_threshold > 0:
            factors = self._class_factors(settings.repeat_threshold)[self.by_key]
        done = weigh_images(
            scores[self.by_key], settings, background=self.background[self.by_key], class_factors=factors
        )
        return SampleWeights(done.weights[self.place], done.repeats[self.place], done.hard[self.place], done.notes)

    def _class_factors(self, threshold: float) -> NDArray[np.float64]:
        if self.truth_image is None or self.truth_label is None:
            raise ValueError("repeat_threshold needs truth_image and truth_label: which classes are in which image")
        return class_repeat_factors(self.truth_image, self.truth_label, len(self), len(self.classes), threshold)
