"""The guide's face over the engine: dicts in, dicts out, image by image, with a running account."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .accounting import report_of
from .columns import Detections
from .findings import Finding
from .io.found import Found, Rows, found_dicts, rows_by_image
from .io.records import Record, read_records
from .pipeline import find, mine
from .pooling import pool_images
from .report import MiningReport
from .result import MiningResult
from .settings import MiningSettings
from .strategies import Difficulty, Evidence
from .weights import weigh_images

if TYPE_CHECKING:
    from .io.samples import SampleFolder

__all__ = ["Found", "HardNegativeMiner", "calculate_sample_weights"]

COUNTED_AT_ONCE, FEW_BOXES = 256, 1_000
"""Images mined one by one that are counted together, much quicker than each alone; those of more boxes never wait."""


class HardNegativeMiner:
    """Finds hard negatives image by image, and keeps count.

    Args:
        confidence_threshold: predictions at or above it count as confident, in ``[0, 1]``.
        iou_threshold: overlap at which a prediction matches a truth, in ``(0, 1]``.
        hard_negative_ratio: at most this share of (confident predictions + misses) is mined, per call.
        save_samples: keep every image with hard negatives in ``output_dir``: a copy, a json and a picture of what is
            wrong, and a page that shows all, hardest first; an image that comes without an ``image_path`` is not
            kept. See :class:`~hnm_core.io.samples.SampleFolder`.
        output_dir: where they are kept; saving goes on where an earlier run of the same mining stopped.
        strategy: ``confidence_based``, ``iou_based``, ``loss_based`` or one of your own.
        **settings: any other field of :class:`MiningSettings`.

    Example:
        >>> miner = HardNegativeMiner(confidence_threshold=0.5)
        >>> found = miner.find_hard_negatives(
        ...     [{"bbox": [0, 0, 9, 9], "confidence": 0.8, "class": "cat"}],
        ...     [{"bbox": [50, 50, 60, 60], "class": "cat"}],
        ...     image_path="street.jpg",
        ... )
        >>> [(f["type"], f["error"], f["confidence"]) for f in found]
        [('false_positive', 'background', 0.8)]
        >>> miner.generate_report()["statistics"]["false_positives"]
        1
    """

    def __init__(
        self,
        confidence_threshold: float = 0.5,
        iou_threshold: float = 0.5,
        hard_negative_ratio: float = 0.3,
        save_samples: bool = False,
        output_dir: str = "hard_negatives",
        strategy: str = "confidence_based",
        **settings: Any,
    ) -> None:
        self.settings = MiningSettings.from_dict(
            {
                "confidence_threshold": confidence_threshold,
                "iou_threshold": iou_threshold,
                "hard_negative_ratio": hard_negative_ratio,
                "strategy": strategy,
                **settings,
            }
        )
        self.save_samples = save_samples
        self.output_dir = output_dir
        self._folder: SampleFolder | None = None
        self._report = MiningReport()
        self._uncounted: list[Finding] = []

    @property
    def report(self) -> MiningReport:
        """The account of all calls so far; it may be set, to begin anew."""
        self._count()
        return self._report

    @report.setter
    def report(self, report: MiningReport) -> None:
        self._report, self._uncounted = report, []

    def find_hard_negatives(
        self,
        predictions: Sequence[Record] | Detections,
        ground_truth: Sequence[Record] | Detections,
        image_path: str | None = None,
    ) -> list[Found]:
        """The hard negatives of one image (dicts), or of many (two tables), hardest first.

        Args:
            predictions: the image's dicts, ``{"bbox": [x1, y1, x2, y2], "confidence": float, "class": str | int}``,
                or a table.
            ground_truth: its dicts, without ``confidence``, or a table.
            image_path: carried into the dicts found; tables carry their own keys.

        Returns:
            A dict per hard negative, see :data:`Found`; the cap holds per call.

        Raises:
            ValueError: if a dict lacks a key, or holds what no box can be.
        """
        if isinstance(predictions, Detections) and isinstance(ground_truth, Detections):
            result = mine(predictions, ground_truth, self.settings)
            found = found_dicts(result, Rows(predictions), Rows(ground_truth), result.truth.images)
            if self.save_samples:
                from .io.samples import save_samples  # only who saves waits for it

                save_samples(result, self._samples())
            self.report = self.report + result.report
        elif isinstance(predictions, Detections) or isinstance(ground_truth, Detections):
            raise ValueError("predictions and ground_truth must both be tables or both be lists of dicts")
        else:
            image = "image" if image_path is None else str(image_path)
            classes = (*self.settings.class_confidence, *self.settings.class_iou)
            finding = find(*read_records(predictions, ground_truth, image, classes), self.settings)
            found = found_dicts(finding, predictions, ground_truth, [image_path])
            if self.save_samples and found and image_path is not None:
                self._samples().save(str(image_path), found, predictions, ground_truth)
            elif self.save_samples and found:
                warnings.warn(
                    "a hard sample is not saved: which image is it? Give find_hard_negatives(..., image_path=...)",
                    stacklevel=2,
                )
            self._uncounted.append(finding)
            if len(self._uncounted) >= COUNTED_AT_ONCE or len(finding.predictions) + len(finding.truth) > FEW_BOXES:
                self._count()
        return found

    def _count(self) -> None:
        """Bring the report up to date."""
        if self._uncounted:
            self._report, self._uncounted = report_of(self._uncounted, self._report), []

    @classmethod
    def as_strategy(cls) -> Callable[[Evidence], Difficulty]:
        """This class as a strategy for :func:`~hnm_core.pipeline.mine`: a miner of your own, everywhere.

        Image by image ``find_hard_negatives`` is asked, without cap; the ``difficulty`` of a dict it returns (or else
        its ``confidence``) becomes that of the row its ``prediction`` was made of, or for a ``false_negative`` its
        ``ground_truth``. In settings and forms the strategy is called ``module:Class``.
        """

        def strategy(evidence: Evidence) -> Difficulty:
            settings = {**evidence.settings.as_dict(), "strategy": "confidence_based", "hard_negative_ratio": 1.0}
            miner = cls(**{**settings, "max_per_group": 0})  # one image has no groups
            return _ask_miner(miner, evidence.predictions, evidence.truth)

        return strategy

    def _samples(self) -> SampleFolder:
        from .io.samples import SampleFolder

        if self._folder is None or self._folder.path != Path(self.output_dir):
            self._folder = SampleFolder(self.output_dir)
        return self._folder

    def generate_report(self) -> dict[str, Any]:
        """The account of all calls so far: the guide's ``statistics`` and ``metrics``, and more beside them.

        Where samples are saved, the page that shows them is brought up to date.
        """
        if self._folder is not None:
            self._folder.write_index()
        return self.report.as_dict()


def _ask_miner(miner: HardNegativeMiner, predictions: Detections, truth: Detections) -> Difficulty:
    """What a miner finds in every image, as a difficulty per row; 0 for what it does not name."""
    difficulty = Difficulty(np.zeros(len(predictions)), np.zeros(len(truth)))
    for name, p_rows, t_rows in zip(truth.images, rows_by_image(predictions), rows_by_image(truth), strict=True):
        predicted = [Rows(predictions)[row] for row in p_rows]
        true = [Rows(truth)[row] for row in t_rows]
        place = dict(zip(map(id, (*predicted, *true)), (*p_rows, *t_rows), strict=True))
        for found in miner.find_hard_negatives(predicted, true, image_path=name):
            missed = found["type"] == "false_negative"
            row = place.get(id(found["ground_truth" if missed else "prediction"]))
            if row is None:
                raise ValueError(
                    f"{type(miner).__name__} found a {found['type']} in {name!r} whose "
                    f"{'ground_truth' if missed else 'prediction'} is none of the dicts it was given"
                )
            column = difficulty.truth if missed else difficulty.prediction
            column[row] = found.get("difficulty", found.get("confidence", 1.0))
    return difficulty


def calculate_sample_weights(
    found: MiningResult | Sequence[Mapping[str, Any]],
    images: Sequence[str] | None = None,
    settings: MiningSettings | None = None,
) -> NDArray[np.float64]:
    """A weight per image, in dataset order, ready for a weighted sampler.

    Args:
        found: a result of :func:`mine`; or all dicts that a miner found, over the images of a data set.
        images: with dicts: *every* image of the data set, in its order, those without mistakes included; the dicts'
            ``image_path`` are among them.
        settings: with dicts: the knobs of the weights; None for the defaults.

    Returns:
        ``(images,)`` float64, each ≥ 1. From dicts the share of images without truth cannot be capped, since dicts
        do not tell which these are.

    Raises:
        ValueError: if dicts come without ``images``, name an image that is not among them, or lack ``difficulty``.

    Example:
        >>> found = [{"image_path": "b.jpg", "difficulty": 0.9, "suspicion": 0.2}]
        >>> images = ["a.jpg", "b.jpg", *"cdefghijk"]
        >>> calculate_sample_weights(found, images).tolist()[:3]
        [1.0, 2.0, 1.0]
    """
    if isinstance(found, MiningResult):
        return found.weights
    if images is None:
        raise ValueError(
            "a bare list of hard negatives does not know the images without errors; give all images of the data set, "
            "in its order: calculate_sample_weights(found, images=[...])"
        )
    settings = settings or MiningSettings()
    number = {name: i for i, name in enumerate(images)}
    if len(number) < len(images):
        raise ValueError(f"{len(images) - len(number)} of the {len(images)} images are named more than once")
    bare = [i for i, f in enumerate(found) if "difficulty" not in f]
    if bare:
        raise ValueError(
            f"{len(bare)} of {len(found)} hard negatives have no 'difficulty' in [0, 1], first number {bare[0]}; a "
            f"find_hard_negatives of your own must give one"
        )
    lost = [f["image_path"] for f in found if f["image_path"] not in number]
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(found)} hard negatives lie in images that are not among the {len(images)} given, "
            f"first {lost[0]!r}; were they found with image_path=?"
        )
    image = np.array([number[f["image_path"]] for f in found], dtype=np.int64)
    difficulty = np.array([f["difficulty"] for f in found], dtype=np.float64)
    if settings.use_suspicion:
        difficulty = difficulty * (1.0 - np.array([f.get("suspicion", 0.0) for f in found], dtype=np.float64))
    by_key = np.argsort(np.array(images, dtype=str), kind="stable")
    weights = np.empty(len(images))
    weights[by_key] = weigh_images(pool_images(image, difficulty, len(images))[by_key], settings).weights
    return weights
