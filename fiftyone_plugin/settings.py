"""What one mining run is asked to do: the fields to read, the key to write under, and the engine's own settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from hnm_core import MiningSettings

SPLITS = ("train", "val", "test")
"""The splits a run can mine. Only ``train`` is ever weighted."""

NOT_SETTINGS = frozenset(
    {
        *("overwrite", "show_advanced", "view_target", "custom_view_target", "delegate"),
        *("panel_id", "panel_state", "path"),  # what the App adds to a prompt opened from a panel
    }
)
"""What operator calls carry beside the settings: actions, and the state of the form."""

CLASS_ROWS = "class_rows"
"""Where a form sends thresholds of single classes: ``{"c0": {"label": "a.b", "confidence": .7, "iou": None}, ...}``."""

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class RunSettings:
    """How to mine a dataset; :meth:`from_params` makes it from what the App or a Python call sends.

    Attributes:
        pred_field: field of type Detections that holds the predictions.
        gt_field: field of type Detections that holds the ground truth.
        run_key: name of the run, and the beginning of every field that it writes.
        mine_split: ``train`` (samples of no held-out split), ``val`` or ``test``; the latter two only to monitor.
        split_field: sample field that names the split; None takes the sample tags ``train``, ``val``, ``test``.
        class_map: prediction class → ground truth class, for detectors that name things otherwise.
        classes: mine these classes alone; empty for all.
        choose_thresholds: choose the confidence threshold of every class on the dataset's val split.
        target_precision: choose them for this precision, in (0, 1]; 0 asks for the highest F1.
        chosen_confidence: what of ``class_confidence`` was chosen so, not given: the next round chooses it anew.
        group_field: sample field that names each sample's scene or video, for ``max_per_group``.
        appearance: open the images: what looks like the labelled objects is suspected more, other mistakes less.
        second_field: field of another model's boxes: mistakes that it makes too are suspected more.
        eval_key: the evaluation whose fields and IoU threshold were taken over.
        engine: every knob of mining itself.
    """

    pred_field: str
    gt_field: str
    run_key: str
    mine_split: str = "train"
    split_field: str | None = None
    class_map: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    choose_thresholds: bool = False
    target_precision: float = 0.0
    chosen_confidence: Mapping[str, float] = field(default_factory=dict)
    group_field: str | None = None
    appearance: bool = False
    second_field: str | None = None
    eval_key: str | None = None
    engine: MiningSettings = field(default_factory=MiningSettings)

    def __post_init__(self) -> None:
        """Refuse what no run can be made of."""
        check_key(self.run_key)
        if self.pred_field == self.gt_field:
            raise ValueError(
                f"pred_field and gt_field are both {self.pred_field!r}: mining compares predictions with truth, "
                f"so name two fields"
            )
        if self.mine_split not in SPLITS:
            raise ValueError(f"mine_split must be one of {', '.join(SPLITS)}, got {self.mine_split!r}")
        if not 0 <= self.target_precision <= 1:
            raise ValueError(f"target_precision must lie in [0, 1], got {self.target_precision:g}")
        if self.choose_thresholds and not self.weighs:
            raise ValueError(
                f"thresholds are chosen on val, so that mine_split={self.mine_split!r} would be judged by itself or "
                f"say nothing of training: mine train, or give class_confidence"
            )
        if self.engine.max_per_group and not self.group_field:
            raise ValueError("max_per_group needs group_field, the sample field that names each sample's scene")
        wrong = [name for pair in self.class_map.items() for name in pair if not isinstance(name, str)]
        if wrong:
            raise ValueError(f"class_map must map prediction class names to truth class names, got {wrong[0]!r}")

    @property
    def given_confidence(self) -> dict[str, float]:
        """The confidence thresholds that somebody gave: all of ``class_confidence`` that was not chosen."""
        thresholds, chosen = self.engine.class_confidence, self.chosen_confidence
        return {name: value for name, value in thresholds.items() if chosen.get(name) != value}

    @property
    def weighs(self) -> bool:
        """Whether this run may weight samples: held-out splits are only looked at."""
        return self.mine_split == "train"

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> RunSettings:
        """Settings from an operator's parameters, flat as forms send them.

        FiftyOne applies a form's defaults in the App only, so they are applied here again: what is absent, None or
        an empty text keeps its default. Mappings and lists may be JSON text.

        Raises:
            ValueError: if a required name is missing, a name is unknown or a value unfit.
        """
        given = {k: v for k, v in params.items() if v is not None and v != "" and k not in NOT_SETTINGS}
        for name, thresholds in from_class_rows(given.pop(CLASS_ROWS, None)).items():
            given[name] = {**as_mapping(name, given.get(name, {})), **thresholds}
        missing = [name for name in ("pred_field", "gt_field", "run_key") if name not in given]
        if missing:
            raise ValueError(f"mining needs pred_field, gt_field and run_key; missing: {', '.join(missing)}")
        own = {f.name for f in fields(cls)} - {"engine"}
        knobs = {f.name for f in fields(MiningSettings)}
        unknown = sorted(set(given) - own - knobs)
        if unknown:
            raise ValueError(f"no such setting: {', '.join(unknown)}; settings are {', '.join(sorted(own | knobs))}")
        for name in ("class_map", "class_confidence", "class_iou", "chosen_confidence"):
            if name in given:
                given[name] = as_mapping(name, given[name])
        if "classes" in given:
            given["classes"] = as_names("classes", given["classes"])
        engine = MiningSettings.from_dict({k: v for k, v in given.items() if k in knobs})
        return cls(**{k: v for k, v in given.items() if k in own}, engine=engine)

    def as_dict(self) -> dict[str, Any]:
        """Every setting, flat and JSON-clean: what :meth:`from_params` takes."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "engine"}
        mappings = {name: dict(own[name]) for name in ("class_map", "chosen_confidence")}
        return {**own, **mappings, "classes": list(self.classes), **self.engine.as_dict()}


def check_key(key: Any) -> str:
    """The key itself, if it can begin a field's name.

    Raises:
        ValueError: if it is no ASCII identifier; the message suggests one.
    """
    if isinstance(key, str) and _KEY.fullmatch(key):
        return key
    better = re.sub(r"[^A-Za-z0-9_]+", "_", str(key)).strip("_")
    better = f"run_{better}" if not better or better[0].isdigit() else better
    raise ValueError(
        f"run_key {key!r} can't begin a field name: take letters, digits and underscores, no digit first, such as "
        f"{better!r}"
    )


def from_class_rows(rows: Any) -> dict[str, dict[str, Any]]:
    """Thresholds of single classes as settings, from the rows of a form.

    Raises:
        ValueError: if a row has no class, or two have the same.
    """
    found: dict[str, dict[str, Any]] = {}
    seen: set[str] = set()
    for number, row in enumerate((rows or {}).values(), 1):
        given = {k: v for k, v in (row or {}).items() if v not in (None, "")}
        label = given.pop("label", None)
        if given and label is None:
            raise ValueError(f"row {number} of the thresholds per class names no class")
        if label in seen:
            raise ValueError(f"the thresholds per class name {label!r} twice")
        if label is not None:
            seen.add(label)
        for attribute, value in given.items():
            found.setdefault(f"class_{attribute}", {})[label] = value
    return found


def as_mapping(name: str, value: Any) -> dict[str, Any]:
    """A mapping given as such or as JSON text.

    Raises:
        ValueError: if it is neither.
    """
    read = _from_json(value, "{")
    if not isinstance(read, Mapping):
        raise ValueError(f'{name} must be a mapping of class names, in the form as {{"car": ...}}, got {value!r}')
    return dict(read)


def as_names(name: str, value: Any) -> tuple[str, ...]:
    """Names given as a sequence, as a JSON list or as text with commas between.

    Raises:
        ValueError: if it is none of these.
    """
    read = _from_json(value, "[")
    if isinstance(read, str):
        read = [part.strip() for part in read.split(",") if part.strip()]
    if not isinstance(read, (list, tuple, set, frozenset)) or not all(isinstance(item, str) for item in read):
        raise ValueError(f"{name} must be class names, in the form as car, truck, got {value!r}")
    return tuple(dict.fromkeys(sorted(read) if isinstance(read, (set, frozenset)) else read))


def _from_json(value: Any, bracket: str) -> Any:
    """JSON text read, if it begins with the bracket: a class may well be called ``3``."""
    if not isinstance(value, str) or not value.lstrip().startswith(bracket):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
