"""Every setting: one declaration, its default, its range, and what is said of a wrong value."""

from __future__ import annotations

import inspect
import json
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import HardNegativeMiner, MiningSettings
from hnm_core.export import ExportSettings
from hnm_core.settings import Options, check_switch, inner, option, options
from hnm_core.training.plan import TrainerSettings, TrainingPlan

OPTIONS = {each.name: each for each in options(MiningSettings)}
FAMILY = (MiningSettings, ExportSettings, TrainingPlan, TrainerSettings)
EVERY = [pytest.param(kind, each, id=f"{kind.__name__}.{each.name}") for kind in FAMILY for each in options(kind)]
NUMBERS = [pytest.param(*row.values, id=row.id) for row in EVERY if row.values[1].kind in ("whole", "number")]
SWITCHES = [pytest.param(*row.values, id=row.id) for row in EVERY if row.values[1].kind == "switch"]


def test_the_defaults_are_those_of_the_definitions() -> None:
    assert MiningSettings().as_dict() == {
        "strategy": "confidence_based",
        "confidence_threshold": 0.5,
        "iou_threshold": 0.5,
        "hard_negative_ratio": 0.3,
        "candidates": None,
        "sizes": None,
        "max_hard_negatives": 0,
        "miss_share": 0.5,
        "max_per_image": 0,
        "max_per_class": 0,
        "class_agnostic": False,
        "class_confidence": {},
        "class_iou": {},
        "ignored": [
            *("no_size", "duplicate", "region_before", "crowd", "group_of", "difficult", "neutral", "region"),
            *("verified", "not_exhaustive"),
        ],
        "neutral": {},
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
        if name in OPTIONS:
            assert parameter.default == OPTIONS[name].default


@pytest.mark.parametrize(("kind", "declared"), EVERY)
def test_every_option_says_what_it_is(kind: type[Options], declared: Any) -> None:
    assert declared.label
    assert declared.help
    assert declared.group
    assert not declared.help.endswith(".")
    made = getattr(kind(), declared.name)
    assert made == declared.default
    assert declared.check(made) == made


@pytest.mark.parametrize(("kind", "declared"), NUMBERS)
def test_both_ends_of_a_range_are_legal_and_nothing_beyond(kind: type[Options], declared: Any) -> None:
    name, low, high = declared.name, declared.low, declared.high
    needs = {"only_hard": True} if name == "easy_share" else {}
    for value in (low, 10**7 if high is None else high):
        assert getattr(kind(**{name: value}, **needs), name) == value
    beyond = (low - 1, float("nan"), float("inf"), *(() if high is None else (high + 1,)))
    for value in beyond:
        with pytest.raises(ValueError, match=r"^") as error:
            kind(**{name: value})
        unit = f" of {declared.unit}" if declared.unit else ""
        noun = f"a {'whole ' if declared.kind == 'whole' else ''}number{unit}, {low} or more"
        expected = f"be {noun}" if high is None else f"lie in [{low}, {high}]"
        assert str(error.value) == f"{name} must {expected}, got {value}"


@pytest.mark.parametrize(("kind", "declared"), SWITCHES)
@pytest.mark.parametrize("value", ["false", "0", "", "True", None, 2, [], np.array([True, False])])
def test_a_text_is_never_taken_for_true(kind: type[Options], declared: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        kind(**{declared.name: value})
    assert str(error.value) == f"{declared.name} must be True or False, got {value!r}"


@pytest.mark.parametrize("value", [True, 1, np.True_, np.int64(1)])
def test_what_is_true_without_doubt_is_true(value: Any) -> None:
    assert check_switch("overwrite", value) is True


def test_a_miner_takes_no_text_for_true_either() -> None:
    with pytest.raises(ValueError, match=r"^save_samples must be True or False, got 'false'$"):
        HardNegativeMiner(save_samples="false")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["0.5", None, True, [0.5], {}])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        MiningSettings(iou_threshold=value)
    assert str(error.value) == f"iou_threshold must be a number in [0.01, 1], got {value!r}"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": 1.5}, "seed must be a whole number in [0, 2147483647], got 1.5"),
        ({"max_per_image": 1.5}, "max_per_image must be a whole number, 0 or more, got 1.5"),
        ({"strategy": 5}, "strategy must be a text, got 5"),
        ({"strategy": None}, "strategy must be a text, got None"),
        (
            {"candidates": ["false_positive", "true_positive"]},
            "candidates must be one or more of false_positive, false_negative, lucky_hit, got 'true_positive'",
        ),
        ({"candidates": 3}, "candidates must be one or more of false_positive, false_negative, lucky_hit, got 3"),
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
    with pytest.raises(ValueError, match=r"^no such setting: layuot; settings are crops, crowds, easy_share, "):
        ExportSettings.from_dict({"layuot": "coco"})
    with pytest.raises(ValueError, match=r"settings must be values by name, got \[1\]"):
        MiningSettings.from_dict([1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no such setting: 3, iou; settings are "):
        MiningSettings.from_dict({3: 1, "iou": 1})  # type: ignore[dict-item]


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


@dataclass(frozen=True)
class Nest(Options):
    """Settings of every kind, with others inside."""

    names: tuple[str, ...] = option((), "Names", label="Names")
    other: Any = option({}, "Other names", label="Other")
    file: str | None = option(None, "A file", label="File", kind="path")
    free: Any = option(None, "Anything", label="Anything", kind="any")
    low: int = option(32, "A side", label="Side", low=32, unit="pixels")
    mining: MiningSettings = inner(MiningSettings)


def test_inner_settings_stand_beside_the_others_or_under_their_name() -> None:
    beside = Nest.from_dict({"names": "a", "file": Path("x/y"), "seed": 3, "free": [0, 1]})
    assert (beside.names, beside.file, beside.free, beside.mining.seed) == (("a",), str(Path("x/y")), [0, 1], 3)
    assert Nest.from_dict(json.loads(json.dumps(beside.as_dict()))) == beside
    assert Nest.from_dict({"names": ["a"], "file": "x/y", "free": [0, 1], "mining": {"seed": 3}}) == beside
    assert Nest.from_dict({"mining": MiningSettings(seed=3), "max_weight": 3}).mining == MiningSettings(
        seed=3, max_weight=3
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"names": [3, 7]}, "names must be class names, got 3"),
        ({"other": "a"}, "other must give a class name per class name, like {'van': 'car'}, got 'a'"),
        ({"other": {"a": 3}}, "other must give a class name per class name, like {'van': 'car'}, got 3"),
        ({"file": 3}, "file must be a path, got 3"),
        ({"low": 31}, "low must be a whole number of pixels, 32 or more, got 31"),
        ({"low": "64"}, "low must be a whole number of pixels, 32 or more, got '64'"),
        ({"sed": 1}, "no such setting: sed; settings are background_share, "),
    ],
)
def test_every_kind_of_option_is_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^") as error:
        Nest.from_dict(values)
    assert str(error.value).startswith(message)
