"""Every knob: its default, its range, and what is said of a wrong one."""

from __future__ import annotations

import inspect
import json
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest

from hnm_core import HardNegativeMiner, MiningSettings

KNOBS = {knob.name: knob for knob in fields(MiningSettings)}
RANGES = {name: (knob.metadata["low"], knob.metadata["high"]) for name, knob in KNOBS.items() if "low" in knob.metadata}
PER_CLASS = ("class_confidence", "class_iou")
NUMBERS = [name for name in RANGES if name not in PER_CLASS]


def test_the_defaults_are_those_of_the_definitions() -> None:
    assert MiningSettings().as_dict() == {
        "strategy": "confidence_based",
        "confidence_threshold": 0.5,
        "iou_threshold": 0.5,
        "hard_negative_ratio": 0.3,
        "candidates": ["false_positive", "false_negative"],
        "max_per_image": 0,
        "max_per_class": 0,
        "max_per_group": 0,
        "class_agnostic": False,
        "class_confidence": {},
        "class_iou": {},
        "iou_band": 0.1,
        "use_suspicion": True,
        "hard_image_share": 0.3,
        "max_weight": 2.0,
        "background_share": 0.1,
        "effective_sample_floor": 0.9,
        "repeat_threshold": 0.0,
        "seed": 0,
    }


def test_the_miner_has_the_same_defaults() -> None:
    assert HardNegativeMiner().settings == MiningSettings()
    for name, parameter in inspect.signature(HardNegativeMiner).parameters.items():
        if name in KNOBS:
            assert parameter.default == KNOBS[name].default


@pytest.mark.parametrize("name", KNOBS)
def test_every_knob_tells_forms_its_label_and_meaning(name: str) -> None:
    facts = KNOBS[name].metadata
    assert facts["label"]
    assert facts["help"]
    assert not facts["help"].endswith(".")


@pytest.mark.parametrize("name", NUMBERS)
def test_both_ends_of_a_range_are_legal_and_nothing_beyond(name: str) -> None:
    low, high = RANGES[name]
    for value in (low, high):
        assert getattr(MiningSettings(**{name: value}), name) == value
    for value in (low - 1, high + 1, float("nan")):
        with pytest.raises(ValueError, match=r"^") as error:
            MiningSettings(**{name: value})
        assert str(error.value) == f"{name} must lie in [{low}, {high}], got {value}"


@pytest.mark.parametrize("value", ["0.5", None, True, [0.5], {}])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        MiningSettings(iou_threshold=value)
    assert str(error.value) == f"iou_threshold must be a number in [0.01, 1], got {value!r}"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": 1.5}, "seed must be a whole number in [0, 2147483647], got 1.5"),
        ({"class_agnostic": "no"}, "class_agnostic must be True or False, got 'no'"),
        ({"use_suspicion": None}, "use_suspicion must be True or False, got None"),
        (
            {"candidates": ["false_positive", "true_positive"]},
            "candidates must be one or more of false_positive, false_negative, got 'true_positive'",
        ),
        ({"candidates": []}, "candidates must be one or more of false_positive, false_negative, got nothing"),
        ({"candidates": None}, "candidates must be one or more of false_positive, false_negative, got None"),
        ({"class_confidence": {"cat": 1.5}}, "class_confidence['cat'] must lie in [0, 1], got 1.5"),
        ({"class_iou": {"a.b/c": "x"}}, "class_iou['a.b/c'] must be a number in [0.01, 1], got 'x'"),
        ({"class_iou": 0.5}, "class_iou must give a number per class name, like {'cat': 1}, got 0.5"),
        ({"class_confidence": None}, "class_confidence must give a number per class name, like {'cat': 1}, got None"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        MiningSettings(**values)
    assert str(error.value) == message


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"^no such setting: conf, iou; settings are background_share, candidates, "):
        MiningSettings.from_dict({"iou": 0.5, "conf": 0.5})
    with pytest.raises(ValueError, match=r"^no such setting: threshold; settings are "):
        HardNegativeMiner(threshold=0.5)


def test_settings_survive_json() -> None:
    values = {"class_iou": {"a.b/ü": 0.75}, "seed": np.int64(7), "max_weight": np.float32(3)}
    chosen = MiningSettings(strategy="loss_based", candidates="false_negative", **values)  # type: ignore[arg-type]
    assert MiningSettings.from_dict(json.loads(json.dumps(chosen.as_dict()))) == chosen
    assert chosen.candidates == ("false_negative",)


def test_settings_cannot_be_changed_behind_their_back() -> None:
    mine = {"cat": 0.5}
    chosen = MiningSettings(class_iou=mine)
    mine["cat"] = 7
    assert chosen.class_iou == {"cat": 0.5}
    with pytest.raises(FrozenInstanceError):
        chosen.seed = 1  # type: ignore[misc]
    assert MiningSettings().class_iou is not MiningSettings().class_iou
