"""What one mining run is asked to do: the fields to read, the key to write under, and the engine's own settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hnm_core.io.data_yaml import SPLITS
from hnm_core.settings import MAX_PER_GROUP, MiningSettings, Options, check_switch, inner, option
from hnm_core.settings.mining import APPEARANCE, CLASS_MAP, CLASSES
from hnm_core.strategies.learnability import check_second

MAPPINGS = {"class_map", "class_confidence", "class_iou", "chosen_confidence", "neutral"}
"""Settings that a form may send as JSON text."""

NOT_SETTINGS = frozenset(
    {
        *("overwrite", "show_advanced", "view_target", "custom_view_target", "delegate"),
        *("panel_id", "panel_state", "path"),  # what the App adds to a prompt opened from a panel
    }
)
"""What operator calls carry beside the settings: actions, and the state of the form."""

CLASS_ROWS = "class_rows"
"""Where a form sends thresholds of single classes: ``{"c0": {"label": "a.b", "confidence": .7, "iou": None}, ...}``."""

LONGEST_KEY = 100
"""Characters of a run's key (chosen): MongoDB refuses indexes with very long names."""

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class RunSettings(Options):
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
        group_field: sample field that names each sample's scene or video.
        max_per_group: mine at most this many objects of a group, the hardest; 0 is no limit.
        appearance: open the images: what looks like the labelled objects is suspected more, other mistakes less.
        views: ask the model that made the predictions again, under views of the images.
        views_model: its checkpoint; None for the one that is recorded with the predictions.
        second_field: field of another model's boxes: mistakes that it makes too are suspected more;
            ``learnability_based`` does not mine them.
        unlabelled: what samples without ground truth (None) are: ``leave_out`` or ``background``.
        pos_label_field: field of Classifications with the classes that somebody verified as present in an image.
        neg_label_field: the same for classes verified as absent.
        eval_key: the evaluation whose fields and IoU threshold were taken over.
        ranked_by: ``verifier`` or ``confidence`` of a run without ground truth, whose ``gt_field`` is its own and holds
            what it proposes as missed; "" of every other run.
        engine: every setting of mining itself.
    """

    pred_field: str
    gt_field: str
    run_key: str
    mine_split: str = option(
        "train",
        "Samples without a split count as train; val and test are never weighted",
        label="Split",
        choices=SPLITS,
        main=True,
    )
    split_field: str | None = option(
        None, "Field that names each sample's split, instead of the tags train, val and test", label="Split field"
    )
    class_map: Mapping[str, str] = CLASS_MAP.declare()
    classes: tuple[str, ...] = CLASSES.declare()
    choose_thresholds: bool = option(
        False, "Choose the confidence threshold of every class on the val split", label="Choose thresholds"
    )
    target_precision: float = option(
        0.0, "Choose the thresholds for this precision; 0: for the highest F1", label="Target precision", low=0, high=1
    )
    chosen_confidence: Mapping[str, float] = option(
        {}, "Confidence thresholds that were chosen on the val split", label="Chosen", low=0, high=1, offered=False
    )
    group_field: str | None = option(
        None,
        "Field that names each sample's scene or video; max_per_group limits the objects of each",
        label="Group field",
    )
    max_per_group: int = MAX_PER_GROUP.declare()
    appearance: bool = APPEARANCE.declare()
    views: bool = option(
        False,
        "Ask the model again about flipped and scaled images: what it finds there too is likelier an object; needs "
        "Ultralytics",
        label="Ask the model again",
    )
    views_model: str | None = option(
        None,
        "Its checkpoint (.pt), which may run code when it is loaded; empty: the one recorded with the predictions",
        label="Model of the predictions",
        kind="path",
    )
    second_field: str | None = option(
        None,
        "Field of another model's boxes: mistakes that both models make are suspected more of being label errors; "
        "strategy learnability_based does not mine them",
        label="Second opinion",
    )
    unlabelled: str = option(
        "leave_out",
        "How samples without ground truth (None) are treated",
        label="Unlabelled samples",
        choices={"leave_out": "not labelled yet, left out", "background": "checked, images without objects"},
    )
    pos_label_field: str | None = option(
        None,
        "Field of image-level labels: classes verified as present in the image, empty: positive_labels. "
        "Predictions of classes verified neither as present nor as absent are ignored",
        label="Verified present",
    )
    neg_label_field: str | None = option(
        None,
        "Field of image-level labels: classes verified as absent from the image, empty: negative_labels. "
        "Predictions of these classes count",
        label="Verified absent",
    )
    eval_key: str | None = option(
        None,
        "Take fields and IoU threshold from an evaluation that was made with evaluate_detections",
        label="Start from evaluation",
        main=True,
    )
    ranked_by: str = option(
        "", "What orders the proposals of a run without ground truth", label="Ranked by", offered=False
    )
    engine: MiningSettings = inner(MiningSettings)

    def _check_together(self) -> None:
        check_key(self.run_key)
        for name in ("pred_field", "gt_field"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a text, got {getattr(self, name)!r}")
        if self.pred_field == self.gt_field:
            raise ValueError(
                f"pred_field and gt_field are both {self.pred_field!r}: mining compares predictions with truth, "
                f"so name two fields"
            )
        if self.choose_thresholds and not self.weighs:
            raise ValueError(
                "choose_thresholds tunes on the val split, so it needs mine_split='train'. Or set class_confidence."
            )
        check_second(self.engine.strategy, bool(self.second_field))
        if self.max_per_group and not self.group_field:
            raise ValueError("max_per_group needs group_field, the sample field that names each sample's scene")

    @property
    def given_confidence(self) -> dict[str, float]:
        """Return the confidence thresholds that somebody gave: all of ``class_confidence`` that was not chosen."""
        thresholds, chosen = self.engine.class_confidence, self.chosen_confidence
        return {name: value for name, value in thresholds.items() if chosen.get(name) != value}

    @property
    def weighs(self) -> bool:
        """Return whether this run may weight samples: held-out splits are monitored, proposals are no errors yet."""
        return self.mine_split == "train" and not self.without_truth

    @property
    def without_truth(self) -> bool:
        """Return whether the run was mined without ground truth: what it lists are proposals for review."""
        return bool(self.ranked_by)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> RunSettings:
        """Return the settings from an operator's parameters, flat as forms send them.

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
        for name in MAPPINGS & set(given):
            given[name] = as_mapping(name, given[name])
        if "classes" in given:
            given["classes"] = as_names("classes", given["classes"])
        return cls.from_dict(given)


def switch_of(params: Mapping[str, Any], name: str) -> bool:
    """Return a bool among an operator's parameters; False if it is absent, None or an empty text.

    Raises:
        ValueError: if it is anything else, such as the text ``"false"``.
    """
    value = params.get(name)
    return value not in (None, "") and check_switch(name, value)


def check_key(key: Any) -> str:
    """Return the key itself, if it can begin a field's name.

    Raises:
        ValueError: if it is no ASCII identifier, or too long; the message suggests one.
    """
    if isinstance(key, str) and len(key) > LONGEST_KEY:
        raise ValueError(f"run_key has {len(key):,} characters, {LONGEST_KEY} at most: choose a shorter one")
    if isinstance(key, str) and _KEY.fullmatch(key):
        return key
    better = re.sub(r"[^A-Za-z0-9_]+", "_", str(key)).strip("_")
    better = f"run_{better}" if not better or better[0].isdigit() else better
    raise ValueError(
        f"run_key {key!r} can't begin a field name: take letters, digits and underscores, no digit first, such as "
        f"{better!r}"
    )


def missed_field(run_key: str) -> str:
    """Return the name of the field of boxes that a run without ground truth has, and no other run."""
    return f"{run_key}_missed"


def from_class_rows(rows: Any) -> dict[str, dict[str, Any]]:
    """Return thresholds of single classes as settings, from the rows of a form.

    Raises:
        ValueError: if a row has no class, or two have the same.
    """
    found: dict[str, dict[str, Any]] = {}
    seen: set[str] = set()
    if not isinstance(rows or {}, Mapping) or not all(isinstance(row or {}, Mapping) for row in (rows or {}).values()):
        raise ValueError(
            f'{CLASS_ROWS} must be rows by name, {{"c0": {{"label": ..., "confidence": ...}}}}, got {rows!r}'
        )
    for number, row in enumerate((rows or {}).values(), 1):
        given = {k: v for k, v in (row or {}).items() if v not in (None, "")}
        label: Any = given.pop("label", None)
        if not isinstance(label, (str, type(None))):
            raise ValueError(f"row {number} of the thresholds per class has the class {label!r}, expected text")
        if given and label is None:
            raise ValueError(f"row {number} of the thresholds per class names no class")
        if label in seen:
            raise ValueError(f"the thresholds per class name {label!r} twice")
        if label is not None:
            seen.add(label)
        for attribute, value in given.items():
            found.setdefault(f"class_{attribute}", {})[str(label)] = value
    return found


def as_mapping(name: str, value: Any) -> dict[str, Any]:
    """Return a mapping that is given as such or as JSON text.

    Raises:
        ValueError: if it is neither.
    """
    read = _from_json(value, "{")
    if not isinstance(read, Mapping):
        raise ValueError(f'{name} must be a mapping of class names, in the form as {{"car": ...}}, got {value!r}')
    return dict(read)


def as_names(name: str, value: Any, what: str = "class names, in the form as car, truck") -> tuple[str, ...]:
    """Return names that are given as a sequence, as a JSON list or as text with commas between.

    Raises:
        ValueError: if it is none of these.
    """
    read = _from_json(value, "[")
    if isinstance(read, str):
        read = [part.strip() for part in read.split(",") if part.strip()]
    if not isinstance(read, (list, tuple, set, frozenset)) or not all(isinstance(item, str) for item in read):
        raise ValueError(f"{name} must be {what}, got {value!r}")
    return tuple(dict.fromkeys(sorted(read) if isinstance(read, (set, frozenset)) else read))


def _from_json(value: Any, bracket: str) -> Any:
    """Return the content of JSON text that begins with the bracket, else the value: a class may be called ``3``."""
    if not isinstance(value, str) or not value.lstrip().startswith(bracket):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # of text that nests without end
        return value
