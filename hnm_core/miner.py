"""Mine image by image: dicts in, dicts out, with a report over all calls."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .columns import Detections
from .counting import report_of
from .io.hard_negatives import HardNegative, hard_negative_dicts
from .io.records import Record, RecordView, read_image, rows_by_image
from .pipeline import find_mistakes, mine
from .report import MiningReport
from .result import MiningResult
from .selection.mined import MinedTables
from .settings import MiningSettings, check_switch
from .strategies import Difficulty, StrategyInput
from .weighting.images import Images
from .weighting.pooling import PooledScores

if TYPE_CHECKING:
    from .samples.folder import SampleFolder

__all__ = ["HardNegative", "HardNegativeMiner", "calculate_sample_weights"]

COUNTED_AT_ONCE, FEW_BOXES = 256, 1_000
"""Images that are counted together, which is faster than each alone; images with more boxes are counted at once."""


class HardNegativeMiner:
    """Find hard negatives image by image, and count them.

    Args:
        confidence_threshold: predictions at or above it count as confident, in ``[0, 1]``.
        iou_threshold: overlap at which a prediction matches a truth, in ``(0, 1]``.
        hard_negative_ratio: at most this share of (confident predictions + missed truths) is mined, per call.
        save_samples: save every image with hard negatives in ``output_dir``: a copy, a JSON file, a picture with the
            mistakes drawn in, and a page that shows all, hardest first. Images without ``image_path`` are not saved.
            See :class:`~hnm_core.samples.folder.SampleFolder`.
        output_dir: folder of the samples; an interrupted run of the same mining is continued.
        strategy: ``confidence_based``, ``iou_based``, ``loss_based``, ``learnability_based`` or your own.
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
        self.save_samples = check_switch("save_samples", save_samples)
        self.output_dir = _folder_name(output_dir)
        self._folder: SampleFolder | None = None
        self._report = MiningReport()
        self._uncounted: list[MinedTables] = []

    @property
    def report(self) -> MiningReport:
        """Return the report over all calls so far; assign ``MiningReport()`` to start again."""
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
        second_predictions: Sequence[Record] | Detections | None = None,
    ) -> list[HardNegative]:
        """Return the hard negatives of one image (dicts), or of many images (two tables), hardest first.

        Args:
            predictions: the image's dicts, ``{"bbox": [x1, y1, x2, y2], "confidence": float, "class": str | int}``,
                or a table.
            ground_truth: its dicts, without ``confidence``, or a table.
            image_path: copied into the returned dicts; for tables the image keys are used.
            second_predictions: another model's, for ``learnability_based``; likewise dicts or a table.

        Returns:
            A dict per hard negative, see :data:`HardNegative`; the cap holds per call.

        Raises:
            ValueError: if a dict lacks a key, or holds an invalid value.
        """
        if (
            isinstance(predictions, Detections)
            and isinstance(ground_truth, Detections)
            and (second_predictions is None or isinstance(second_predictions, Detections))
        ):
            result = mine(predictions, ground_truth, self.settings, second_predictions=second_predictions)
            found = hard_negative_dicts(result, RecordView(predictions), RecordView(ground_truth), result.truth.images)
            if self.save_samples:
                from .samples.folder import save_samples  # imported only if samples are saved

                save_samples(result, self._samples())
            self.report = self.report + result.report
        elif (
            isinstance(predictions, Detections)
            or isinstance(ground_truth, Detections)
            or isinstance(second_predictions, Detections)
        ):
            raise ValueError("predictions and ground_truth must both be tables or both be lists of dicts")
        else:
            image = "image" if image_path is None else str(image_path)
            near = (name for of, names in self.settings.neutral.items() for name in (of, *names))
            classes = (*self.settings.class_confidence, *self.settings.class_iou, *near)
            table, truth, second = read_image(predictions, ground_truth, second_predictions, image, classes)
            found_tables = find_mistakes(table, truth, self.settings, second_predictions=second)
            found = hard_negative_dicts(found_tables, predictions, ground_truth, [image_path])
            if self.save_samples and found and image_path is not None:
                self._samples().save(str(image_path), found, predictions, ground_truth)
            elif self.save_samples and found:
                warnings.warn(
                    "a hard sample is not saved: its image is not known; give find_hard_negatives(..., image_path=...)",
                    stacklevel=2,
                )
            self._uncounted.append(found_tables)
            boxes = len(found_tables.predictions) + len(found_tables.truth)
            if len(self._uncounted) >= COUNTED_AT_ONCE or boxes > FEW_BOXES:
                self._count()
        return found

    def _count(self) -> None:
        """Add the images that are not counted yet to the report."""
        if self._uncounted:
            self._report, self._uncounted = report_of(self._uncounted, self._report), []

    @classmethod
    def as_strategy(cls) -> Callable[[StrategyInput], Difficulty]:
        """Return a strategy for :func:`~hnm_core.pipeline.mine` that runs this class on every image.

        ``find_hard_negatives`` is called image by image, without cap. The ``difficulty`` of a returned dict (or its
        ``confidence``) becomes the difficulty of the row of its ``prediction``, or for a ``false_negative`` of its
        ``ground_truth``. In settings and forms write the strategy as ``module:Class``.
        """

        def strategy(inputs: StrategyInput) -> Difficulty:
            settings = {**inputs.settings.as_dict(), "strategy": "confidence_based", "hard_negative_ratio": 1.0}
            return _difficulty_from_miner(cls(**settings), inputs.predictions, inputs.truth)

        return strategy

    def _samples(self) -> SampleFolder:
        from .samples.folder import SampleFolder

        if self._folder is None or self._folder.path != Path(self.output_dir):
            self._folder = SampleFolder(self.output_dir)
        return self._folder

    def generate_report(self) -> dict[str, Any]:
        """Return the report over all calls so far as a dict: ``statistics``, ``metrics`` and more.

        If samples are saved, the page that shows them is updated.
        """
        if self._folder is not None:
            self._folder.write_index()
        return self.report.as_dict()


def _folder_name(output_dir: Any) -> str:
    if not isinstance(output_dir, (str, Path)) or not str(output_dir):
        raise ValueError(f"output_dir must be the path of a folder, got {output_dir!r}")
    return str(output_dir)


def _check_weighable(found: Any, images: Any) -> None:
    """Refuse what no weights can be computed from, in one sentence."""
    for what, given in (("hard negatives", found), ("images", images)):
        if isinstance(given, (str, bytes, Mapping, set, frozenset)) or not hasattr(given, "__len__"):
            raise ValueError(f"{what} are a {type(given).__name__}, expected a list")
    odd = [i for i, name in enumerate(images) if not isinstance(name, Hashable)]
    if odd:
        raise ValueError(f"{len(odd)} of {len(images)} images are no names, first number {odd[0]}: {images[odd[0]]!r}")
    for i, each in enumerate(found):
        if not isinstance(each, Mapping) or not isinstance(each.get("image_path"), Hashable):
            raise ValueError(f"hard negative {i} is {each!r}, expected a dict with 'image_path' and 'difficulty'")
    for key, default in (("difficulty", None), ("suspicion", 0.0)):
        values = [each.get(key, default) for each in found]
        without = [i for i, value in enumerate(values) if not _is_share(value)]
        if without:
            raise ValueError(
                f"{len(without)} of {len(found)} hard negatives have no {key!r} in [0, 1], first number {without[0]}; "
                f"your own find_hard_negatives must return it"
            )


def _is_share(value: Any) -> bool:
    try:
        return not isinstance(value, (bool, str, bytes)) and 0.0 <= float(value) <= 1.0
    except (TypeError, ValueError):
        return False


def _difficulty_from_miner(miner: HardNegativeMiner, predictions: Detections, truth: Detections) -> Difficulty:
    """Return the difficulty that a miner gives to every row, image by image; 0 for rows that it does not return."""
    difficulty = Difficulty(np.zeros(len(predictions)), np.zeros(len(truth)))
    for name, p_rows, t_rows in zip(truth.images, rows_by_image(predictions), rows_by_image(truth), strict=True):
        predicted = [RecordView(predictions)[row] for row in p_rows]
        true = [RecordView(truth)[row] for row in t_rows]
        place = dict(zip(map(id, (*predicted, *true)), (*p_rows, *t_rows), strict=True))
        for found in miner.find_hard_negatives(predicted, true, image_path=name):
            missed = found["type"] == "false_negative"
            row = place.get(id(found["ground_truth" if missed else "prediction"]))
            if row is None:
                raise ValueError(
                    f"{type(miner).__name__} returned a {found['type']} in {name!r} whose "
                    f"{'ground_truth' if missed else 'prediction'} is not one of the dicts it was given"
                )
            column = difficulty.truth if missed else difficulty.prediction
            column[row] = found.get("difficulty", found.get("confidence", 1.0))
    return difficulty


def calculate_sample_weights(
    found: MiningResult | Sequence[Mapping[str, Any]],
    images: Sequence[str] | None = None,
    settings: MiningSettings | None = None,
) -> NDArray[np.float64]:
    """Return a weight per image, in the order of the dataset, for a weighted sampler.

    Args:
        found: a result of :func:`mine`, or all dicts that a miner returned over the images of a dataset.
        images: for dicts: *all* images of the dataset in its order, also those without mistakes; every
            ``image_path`` must be among them.
        settings: for dicts: the settings of the weights; None for the defaults.

    Returns:
        ``(images,)`` float64, each ≥ 1. With dicts the weight of background images is not limited, because dicts do
        not tell which images have no truth.

    Raises:
        ValueError: if dicts come without ``images``, name an image that is not among them, or lack ``difficulty``; if
            what is given is no list, or an item not what it should be.

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
            "a list of hard negatives does not contain the images without errors; give all images of the dataset in "
            "its order: calculate_sample_weights(found, images=[...])"
        )
    settings = settings or MiningSettings()
    _check_weighable(found, images)
    number = {name: i for i, name in enumerate(images)}
    if len(number) < len(images):
        raise ValueError(f"{len(images) - len(number)} of the {len(images)} images are named more than once")
    lost = [f.get("image_path") for f in found if f.get("image_path") not in number]
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(found)} hard negatives are in images that are not among the {len(images)} given, "
            f"first {lost[0]!r}; were they found with image_path=?"
        )
    image = np.array([number[f["image_path"]] for f in found], dtype=np.int64)
    difficulty = np.array([f["difficulty"] for f in found], dtype=np.float64)
    if settings.use_suspicion:
        difficulty = difficulty * (1.0 - np.array([f.get("suspicion", 0.0) for f in found], dtype=np.float64))
    kind = np.array([f.get("type", "false_positive") for f in found], dtype=str)
    pooled = PooledScores.of(image, difficulty, kind == "false_positive", kind == "false_negative", len(images))
    return Images(images, np.zeros(len(images), dtype=bool)).weigh(pooled, settings).weights
