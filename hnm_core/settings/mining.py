"""The settings of mining, and the options that stand beside them: they concern the data or the caller."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..boxes import SIZES
from .options import Option, Options, option

__all__ = [
    "APPEARANCE",
    "CANDIDATES",
    "CLASSES",
    "CLASS_MAP",
    "IGNORE_RULES",
    "MAX_PER_GROUP",
    "REVIEWS",
    "SAVE_SAMPLES",
    "VIEWS",
    "MiningSettings",
]

CANDIDATES = ("false_positive", "false_negative", "lucky_hit")
"""The kinds of object that can be mined; lucky hits are matched predictions with an IoU near the threshold."""

IGNORE_RULES = {
    "no_size": "boxes without width or height",
    "duplicate": "repeated rows",
    "region_before": "VisDrone's ignored regions, and its class others",
    "crowd": "COCO's iscrowd, BDD100K's crowd",
    "group_of": "Open Images' IsGroupOf",
    "difficult": "Pascal VOC's difficult",
    "neutral": "KITTI's and BDD100K's neighbouring classes, or neutral",
    "region": "KITTI's DontCare, CityPersons' ignore",
    "verified": "classes that nobody checked in an image, as in LVIS and Open Images",
    "not_exhaustive": "classes that are not labelled exhaustively in an image, as in LVIS",
}
"""What does not count: name of a rule → what it is about; see :mod:`hnm_core.matching.ignored`."""

MATCHING, SELECTION, WEIGHTS = "matching", "what is mined", "image weights"

MAX_PER_GROUP = Option(
    "whole",
    0,
    "Most per group",
    "Mine at most this many objects per group of images, such as a scene, hardest first; 0: no limit",
    low=0,
    group=SELECTION,
    name="max_per_group",
)
"""Stands beside ``groups=``: only who knows the groups can set it."""

CLASS_MAP = Option(
    "class_names",
    {},
    "Class map",
    "Ground-truth class of each prediction class that has another name",
    group=MATCHING,
    name="class_map",
)
CLASSES = Option("names", (), "Classes", "Mine only these classes; empty: all", group=SELECTION, name="classes")
APPEARANCE = Option(
    "switch",
    False,
    "Compare the crops",
    "Open the images: a false positive that looks like labelled objects is suspected more to be a missing label, "
    "others less; needs scikit-learn",
    group="label errors",
    name="appearance",
)
VIEWS = Option(
    "path",
    None,
    "Ask the model again",
    "The checkpoint that made the predictions (.pt, which may run code when it is loaded): it is asked again about "
    "flipped and scaled images, for what it finds there too is likelier an object; needs Ultralytics",
    group="label errors",
    name="views",
)
REVIEWS = Option(
    "path",
    None,
    "Reviews",
    "Review file. Reviewed boxes use the person's answer; similar boxes are re-estimated",
    group="label errors",
    name="reviews",
)
SAVE_SAMPLES = Option(
    "switch",
    False,
    "Save samples",
    "Keep the hard images, with pictures of the mistakes and a page that shows them",
    group="output",
    also=("save_hard_negatives",),
    name="save_samples",
)


@dataclass(frozen=True)
class MiningSettings(Options):
    """How to mine. ``MiningSettings()`` is valid; every field declares its range and meaning.

    Raises:
        ValueError: if a value lies outside its range, naming the field, the range and the value.

    Example:
        >>> MiningSettings(confidence_threshold=0.7).confidence_threshold
        0.7
        >>> MiningSettings(max_weight=0.5)
        Traceback (most recent call last):
        ValueError: max_weight must lie in [1, 100], got 0.5
    """

    strategy: str = option(
        "confidence_based",
        "How the difficulty of a mistake is scored: a name, or module:attribute of your own",
        label="Strategy",
        group=SELECTION,
        main=True,
        also=("mining_strategy",),
    )
    confidence_threshold: float = option(
        0.5,
        "Only predictions with at least this confidence count as detections",
        label="Confidence threshold",
        low=0,
        high=1,
        group=MATCHING,
        main=True,
    )
    iou_threshold: float = option(
        0.5,
        "Minimum IoU at which a prediction matches a ground-truth box",
        label="IoU threshold",
        low=0.01,
        high=1,
        group=MATCHING,
        main=True,
    )
    hard_negative_ratio: float = option(
        0.3,
        "Mine at most this share of (counted predictions + missed objects): false positives first, then misses",
        label="Hard negative ratio",
        low=0,
        high=1,
        group=SELECTION,
        main=True,
    )
    max_hard_negatives: int = option(
        0,
        "Mine at most this many objects, false positives first; 0: no limit beside the ratio",
        label="Most hard negatives",
        low=0,
        group=SELECTION,
    )
    max_per_image: int = option(
        0,
        "Mine at most this many objects per image, hardest first; 0: no limit",
        label="Most per image",
        low=0,
        group=SELECTION,
    )
    max_per_class: int = option(
        0,
        "Mine at most this many objects per class, hardest first; 0: no limit",
        label="Most per class",
        low=0,
        group=SELECTION,
    )
    candidates: tuple[str, ...] | None = option(
        None,
        "Kinds of object that are mined, instead of those that the strategy mines",
        label="Candidates",
        kind="several",
        choices=CANDIDATES,
        group=SELECTION,
    )
    sizes: tuple[str, ...] | None = option(
        None,
        "Mine only boxes of these sizes: small is up to 32² pixels, medium up to 96² (of a 640² image for fractions)",
        label="Sizes",
        kind="several",
        choices=SIZES,
        group=SELECTION,
    )
    class_agnostic: bool = option(
        False, "Match boxes whatever their class", label="Class-agnostic matching", group=MATCHING
    )
    class_confidence: Mapping[str, float] = option(
        {},
        "Confidence threshold of single classes, instead of the general one",
        label="Confidence per class",
        low=0,
        high=1,
        group=MATCHING,
    )
    class_iou: Mapping[str, float] = option(
        {},
        "IoU threshold of single classes, instead of the general one",
        label="IoU per class",
        low=0.01,
        high=1,
        group=MATCHING,
    )
    ignored: tuple[str, ...] = option(
        tuple(IGNORE_RULES),
        "Kinds of truths and regions that do not count, by the rules of common benchmarks; empty: all count",
        label="What does not count",
        choices=IGNORE_RULES,
        empty=True,
        group=MATCHING,
    )
    neutral: Mapping[str, Sequence[str]] = option(
        {},
        "Neighbour classes of a class: a prediction of the class on an object of a neighbour class is ignored; empty: "
        "those of KITTI and BDD100K, recognized by their class names",
        label="Neutral classes",
        kind="class_lists",
        group=MATCHING,
    )
    iou_band: float = option(
        0.1,
        "For strategy iou_based: distance from the IoU threshold at which the difficulty reaches 0",
        label="IoU band",
        low=0.001,
        high=1,
        group=SELECTION,
    )
    use_suspicion: bool = option(
        True,
        "Give suspected label errors less weight until they are reviewed",
        label="Suspect the labels",
        group=WEIGHTS,
    )
    hard_image_share: float = option(
        0.3,
        "At most this share of the images gets extra weight",
        label="Hard image share",
        low=0,
        high=1,
        group=WEIGHTS,
    )
    miss_share: float = option(
        0.5,
        "Missed objects cause at most this share of the extra weight; 0: false positives alone, 1: no limit",
        label="Share of misses",
        low=0,
        high=1,
        group=WEIGHTS,
    )
    max_weight: float = option(
        2.0,
        "Weight of the hardest image; all others lie between 1 and this",
        label="Maximum weight",
        low=1,
        high=100,
        group=WEIGHTS,
    )
    background_share: float = option(
        0.1,
        "Extra weight of images without ground-truth boxes, at most this share of the total weight",
        label="Background share",
        low=0,
        high=1,
        group=WEIGHTS,
    )
    effective_sample_floor: float = option(
        0.9,
        "Flatten the weights until effective sample size / number of images reaches this",
        label="Effective sample floor",
        low=0,
        high=1,
        group=WEIGHTS,
    )
    repeat_threshold: float = option(
        0.0,
        "Repeat classes that are in a smaller share of the images than this (LVIS repeat factors); 0: off",
        label="Class repeat threshold",
        low=0,
        high=1,
        group=WEIGHTS,
    )
    seed: int = option(
        0, "Random seed for rounding weights to repeats", label="Seed", low=0, high=2**31 - 1, group=WEIGHTS
    )

    def for_classes(self, classes: Collection[str]) -> MiningSettings:
        """Return these settings without thresholds and neighbours of other classes, which mining would refuse.

        A val split, or the images that two runs share, may lack a class that has a threshold.
        """

        def kept(thresholds: Mapping[str, float]) -> dict[str, float]:
            return {name: value for name, value in thresholds.items() if name in classes}

        neutral = {of: [n for n in names if n in classes] for of, names in self.neutral.items() if of in classes}
        return replace(
            self, class_confidence=kept(self.class_confidence), class_iou=kept(self.class_iou), neutral=neutral
        )
