"""Every knob of mining, once: name, default, range, unit, help. Forms, command line and documents read it here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

__all__ = ["CANDIDATES", "MiningSettings"]

CANDIDATES = ("false_positive", "false_negative")
"""The two kinds of mistake that can be mined."""


def _knob(default: Any, help: str, **facts: Any) -> Any:
    """A field with what forms and help texts need to know about it."""
    metadata = {"help": help, **facts}
    if isinstance(default, Mapping):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class MiningSettings:
    """How to mine. ``MiningSettings()`` is valid; every field has its range and meaning in its metadata.

    Raises:
        ValueError: if a value lies outside its range, naming the field, the range and the value.

    Example:
        >>> MiningSettings(confidence_threshold=0.7).confidence_threshold
        0.7
        >>> MiningSettings(max_weight=0.5)
        Traceback (most recent call last):
        ValueError: max_weight must lie in [1, 100], got 0.5
    """

    strategy: str = _knob("confidence_based", "What makes a mistake hard", label="Strategy", main=True)
    confidence_threshold: float = _knob(
        0.5,
        "Predictions with at least this confidence count as the detector's word",
        label="Confidence threshold",
        low=0,
        high=1,
        main=True,
    )
    iou_threshold: float = _knob(
        0.5,
        "Overlap from which a prediction matches a truth",
        label="IoU threshold",
        low=0.01,
        high=1,
        main=True,
    )
    hard_negative_ratio: float = _knob(
        0.3,
        "Mine at most this share of (confident predictions + missed truths), the hardest ones",
        label="Hard negative ratio",
        low=0,
        high=1,
        main=True,
    )
    max_per_image: int = _knob(
        0,
        "Mine at most this many objects of an image, the hardest; 0 is no limit",
        label="Most per image",
        low=0,
        high=10**6,
    )
    max_per_class: int = _knob(
        0,
        "Mine at most this many objects of a class, the hardest; 0 is no limit",
        label="Most per class",
        low=0,
        high=10**9,
    )
    max_per_group: int = _knob(
        0,
        "Mine at most this many objects of a group of images, such as a scene, the hardest; 0 is no limit",
        label="Most per group",
        low=0,
        high=10**9,
    )
    candidates: tuple[str, ...] = _knob(
        CANDIDATES, "Kinds of mistake that are mined", label="Candidates", choices=CANDIDATES
    )
    class_agnostic: bool = _knob(False, "Match predictions with truths of any class", label="Class-agnostic matching")
    class_confidence: Mapping[str, float] = _knob(
        {},
        "Confidence threshold of single classes, over the default",
        label="Confidence per class",
        low=0,
        high=1,
    )
    class_iou: Mapping[str, float] = _knob(
        {}, "IoU threshold of single classes, over the default", label="IoU per class", low=0.01, high=1
    )
    iou_band: float = _knob(
        0.1,
        "iou_based: distance from the IoU threshold at which difficulty reaches 0",
        label="IoU band",
        low=0.001,
        high=1,
    )
    use_suspicion: bool = _knob(
        True,
        "Keep suspected label errors out of the weights until a person has looked",
        label="Suspect the labels",
    )
    hard_image_share: float = _knob(
        0.3, "At most this share of the images gets extra weight", label="Hard image share", low=0, high=1
    )
    max_weight: float = _knob(
        2.0,
        "Weight of the hardest image; all others lie between 1 and it",
        label="Maximum weight",
        low=1,
        high=100,
    )
    background_share: float = _knob(
        0.1,
        "Extra weight of images without any truth, at most this share of all weight",
        label="Background share",
        low=0,
        high=1,
    )
    effective_sample_floor: float = _knob(
        0.9,
        "Weights are flattened until effective sample size / images reaches this",
        label="Effective sample floor",
        low=0,
        high=1,
    )
    repeat_threshold: float = _knob(
        0.0,
        "Classes in a smaller share of images than this are repeated more (LVIS); 0 is off",
        label="Class repeat threshold",
        low=0,
        high=1,
    )
    seed: int = _knob(0, "Seed of the rounding of weights to repeats", label="Seed", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        """Check every field against its own metadata, and keep it as a plain value that nobody else can change."""
        for knob in fields(self):
            object.__setattr__(self, knob.name, _checked(knob, getattr(self, knob.name)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MiningSettings:
        """Settings from plain values, as :meth:`as_dict` gives them; fields not named keep their default.

        Raises:
            ValueError: if a name is no setting.
        """
        known = {knob.name for knob in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"no such setting: {', '.join(unknown)}; settings are {', '.join(sorted(known))}")
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Every field as a plain value that JSON can hold."""
        values = {knob.name: getattr(self, knob.name) for knob in fields(self)}
        return {
            name: list(v) if isinstance(v, tuple) else dict(v) if isinstance(v, Mapping) else v
            for name, v in values.items()
        }


def _checked(knob: Field[Any], value: Any) -> Any:
    facts = knob.metadata
    if "choices" in facts:
        return _names(knob.name, value, facts["choices"])
    if knob.default is MISSING:
        return _per_class(knob.name, value, facts["low"], facts["high"])
    if isinstance(knob.default, bool):
        return _switch(knob.name, value)
    if "low" in facts:
        return _number(knob.name, value, facts["low"], facts["high"], whole=isinstance(knob.default, int))
    return value


def _names(name: str, value: Any, choices: tuple[str, ...]) -> tuple[str, ...]:
    values = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    wrong = [v for v in values if v not in choices]
    if wrong or not values:
        got = ", ".join(map(repr, wrong)) or "nothing"
        raise ValueError(f"{name} must be one or more of {', '.join(choices)}, got {got}")
    return values


def _per_class(name: str, value: Any, low: float, high: float) -> dict[str, float]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must give a number per class name, like {{'cat': {high}}}, got {value!r}")
    return {str(of): _number(f"{name}[{of!r}]", number, low, high) for of, number in value.items()}


def _switch(name: str, value: Any) -> bool:
    if value not in (True, False):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def _number(name: str, value: Any, low: float, high: float, *, whole: bool = False) -> Any:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise ValueError(f"{name} must be a number in [{low}, {high}], got {value!r}")
    if not low <= float(value) <= high:
        raise ValueError(f"{name} must lie in [{low}, {high}], got {value}")
    if whole and int(value) != value:
        raise ValueError(f"{name} must be a whole number in [{low}, {high}], got {value}")
    return int(value) if whole else float(value)
