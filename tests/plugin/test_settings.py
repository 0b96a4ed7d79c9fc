"""What a run is asked: the same defaults whoever asks, and one sentence for what no run can be made of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fiftyone_plugin.settings import RunSettings, switch_of
from hnm_core import MiningSettings

NEEDED = {"pred_field": "predictions", "gt_field": "ground_truth", "run_key": "run"}


def asked(**more: Any) -> RunSettings:
    return RunSettings.from_params({**NEEDED, **more})


def test_defaults_are_the_engines() -> None:
    assert asked() == RunSettings(**NEEDED, engine=MiningSettings())
    assert asked().weighs


@pytest.mark.parametrize("value", [None, "", False, 0])
def test_an_absent_switch_is_off(value: Any) -> None:
    assert switch_of({"overwrite": value}, "overwrite") is switch_of({}, "overwrite") is False


@pytest.mark.parametrize("value", ["false", "0", "no", "true"])
def test_no_text_is_taken_for_true(value: Any) -> None:
    with pytest.raises(ValueError, match=f"^overwrite must be True or False, got '{value}'$"):
        switch_of({"overwrite": value}, "overwrite")


def test_emptied_inputs_keep_their_defaults() -> None:
    emptied = asked(iou_threshold=None, class_map="", split_field="", classes=None, show_advanced=True, overwrite=False)
    assert emptied == asked()


def test_settings_survive_being_stored() -> None:
    settings = asked(
        mine_split="val",
        class_map={"a.b": "c"},
        classes=["c", "7"],
        class_confidence={"c": 0.7},
        candidates=["false_positive"],
        max_weight=3,
    )
    assert RunSettings.from_params(json.loads(json.dumps(settings.as_dict()))) == settings


def test_forms_may_send_json_text() -> None:
    settings = asked(class_map='{"person": "human"}', class_confidence=' {"a.b": 0.7}', classes='["human", "a, b"]')
    assert settings.class_map == {"person": "human"}
    assert settings.engine.class_confidence == {"a.b": 0.7}
    assert settings.classes == ("human", "a, b")


def test_rows_of_a_form_are_thresholds_per_class() -> None:
    rows = {
        "c0": {"label": "a.b", "confidence": 0.7, "iou": None},
        "c1": {"label": "traffic light/red", "confidence": 0, "iou": 0.3},
        "c2": {"label": "", "confidence": None},
        "c3": None,
    }
    engine = asked(class_rows=rows).engine
    assert engine.class_confidence == {"a.b": 0.7, "traffic light/red": 0}
    assert engine.class_iou == {"traffic light/red": 0.3}
    assert asked(class_rows={}) == asked()
    both = asked(class_rows=rows, class_confidence={"car": 0.2, "a.b": 0.1}).engine.class_confidence
    assert both == {"car": 0.2, "a.b": 0.7, "traffic light/red": 0}


@pytest.mark.parametrize(
    ("text", "names"), [("7", ("7",)), ("3, 7", ("3", "7")), ("cat", ("cat",)), (" a ,,b,a", ("a", "b"))]
)
def test_classes_may_be_text_with_commas(text: str, names: tuple[str, ...]) -> None:
    assert asked(classes=text).classes == names


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        (
            {"run_key": None, "gt_field": ""},
            "mining needs pred_field, gt_field and run_key; missing: gt_field, run_key",
        ),
        ({"gt_field": "predictions"}, "pred_field and gt_field are both 'predictions': mining compares"),
        ({"run_key": "a-b c"}, "run_key 'a-b c' can't begin a field name: .* such as 'a_b_c'"),
        ({"run_key": "1st"}, "such as 'run_1st'"),
        ({"run_key": "naïve"}, "run_key 'naïve' can't begin a field name"),
        ({"run_key": 3}, "run_key 3 can't begin a field name"),
        ({"mine_split": "training"}, "mine_split must be one of train, val, test, got 'training'"),
        ({"conf_threshold": 0.1}, "no such setting: conf_threshold; settings are appearance, "),
        ({"iou_threshold": 2}, r"iou_threshold must lie in \[0.01, 1\], got 2"),
        (
            {"class_map": "person"},
            r'class_map must be a mapping of class names, in the form as \{"car": ...\}, got \'person\'',
        ),
        ({"class_map": "{broken"}, "class_map must be a mapping of class names"),
        ({"class_map": {"person": 3}}, "class_map must give a class name per class name, like {'van': 'car'}, got 3"),
        ({"appearance": "false"}, "appearance must be True or False, got 'false'"),
        ({"choose_thresholds": "0"}, "choose_thresholds must be True or False, got '0'"),
        ({"use_suspicion": "false"}, "use_suspicion must be True or False, got 'false'"),
        ({"target_precision": 2}, r"target_precision must lie in \[0, 1\], got 2"),
        ({"max_per_group": -1}, "max_per_group must be a whole number, 0 or more, got -1"),
        ({"max_per_group": 1}, "max_per_group needs group_field, the sample field that names each sample's scene"),
        ({"split_field": 3}, "split_field must be a text, got 3"),
        ({"engine": 3}, "engine must be a mapping of settings, got 3"),
        (
            {"choose_thresholds": True, "mine_split": "val"},
            r"choose_thresholds tunes on the val split, so it needs mine_split='train'\. Or set class_confidence",
        ),
        ({"classes": [3, 7]}, r"classes must be class names, in the form as car, truck, got \[3, 7\]"),
        ({"class_rows": [1]}, "class_rows must be rows by name"),
        ({"class_rows": {"c0": 5}}, "class_rows must be rows by name"),
        ({"class_rows": {"c0": {"label": ["car"], "iou": 0.5}}}, "row 1 .* has the class \\['car'\\], expected text"),
        ({"class_rows": {"c0": {"label": [[1]], "iou": None}}}, "row 1 .* has the class \\[\\[1\\]\\], expected text"),
        ({"class_map": "{" * 100_000}, "class_map must be a mapping of class names"),
        ({"class_map": '{"a":' * 100_000}, "class_map must be a mapping of class names"),
        ({"pred_field": ["predictions"]}, "pred_field must be a text, got \\['predictions'\\]"),
        ({"split_field": {"a": 1}}, "split_field must be a text, got {'a': 1}"),
        ({"run_key": "x" * 5000}, "run_key has 5,000 characters, 100 at most: choose a shorter one"),
        ({"class_rows": {"c0": {"confidence": 0.5}}}, "row 1 of the thresholds per class names no class"),
        (
            {"class_rows": {"c0": {"label": "car", "iou": 0.5}, "c1": {"label": "car"}}},
            "the thresholds per class name 'car' twice",
        ),
        ({"class_confidence": {"car": "high"}}, r"class_confidence\['car'\] must be a number in \[0, 1\], got 'high'"),
    ],
)
def test_unfit_settings_are_refused_in_one_sentence(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refusal:
        asked(**params)
    assert "\n" not in str(refusal.value)
