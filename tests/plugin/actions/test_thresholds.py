"""Thresholds chosen on val, groups of samples, strategies of one's own: through the operator, on a real dataset."""

from __future__ import annotations

import sys
from pathlib import Path

import fiftyone.operators as foo
import pytest

from fiftyone_plugin.actions import mine, train
from fiftyone_plugin.runs import compare, history, records
from tests.datasets import FIELDS, MINE, dataset_of
from tests.scenes import FAR, HERE, apart, scene

SPLITS = {"a": ["train"], "b": ["train"], "v": ["val"]}


BOTH = [
    ("a", "cat", 0.9, FAR),
    ("a", "cat", 0.6, (200, 0, 210, 10)),
    ("b", "cat", 0.8, FAR),
    ("b", "cat", 0.42, HERE),
    ("v", "cat", 0.45, HERE),
    ("v", "cat", 0.4, FAR),
]
TRUE = [("a", "cat", HERE), ("v", "cat", HERE)]


def tables():
    """Train: four false alarms of falling confidence; val: a hit at .45, false alarms at .4."""
    return scene(BOTH, TRUE)


def run(dataset, **settings):
    return foo.get_operator(MINE)(dataset, **FIELDS, run_key="one", hard_negative_ratio=1.0, **settings)


def test_thresholds_are_chosen_on_val_and_said() -> None:
    dataset = dataset_of(tables(), tags=SPLITS)
    outcome = run(dataset, choose_thresholds=True)
    assert "confidence thresholds chosen on 1 val samples for the highest F1: cat 0.45" in outcome["warnings"]
    assert outcome["report"]["statistics"]["false_positives"] == 3  # not the one at .42
    assert records.settings_of(dataset, "one").engine.class_confidence == {"cat": 0.45}


def test_a_threshold_given_is_kept() -> None:
    outcome = run(dataset_of(tables(), tags=SPLITS), choose_thresholds=True, class_confidence={"cat": 0.85})
    assert outcome["report"]["statistics"]["false_positives"] == 1
    assert any("for the highest F1: none, because the val samples" in w for w in outcome["warnings"])


def test_every_round_chooses_anew_and_keeps_what_was_given() -> None:
    dogs = [(image, "dog", 0.6, apart(1)) for image in "av"]
    dataset = dataset_of(scene([*BOTH, *dogs], [*TRUE, ("v", "dog", apart(1))]), tags=SPLITS)
    run(dataset, choose_thresholds=True, class_confidence={"dog": 0.3})
    first = records.settings_of(dataset, "one")
    assert first.engine.class_confidence == {"cat": 0.45, "dog": 0.3}
    dataset.set_values("better", dataset.values("predictions"))
    for sample in dataset.iter_samples(autosave=True):
        for box in sample.better.detections:
            box.confidence = (1 + box.confidence) / 2
        sample["better"] = sample.better
    after = train.next_round(dataset, first, "two", "better")
    outcome = mine.mine_samples(dataset, after.as_dict())
    assert any(warning.endswith("for the highest F1: cat 0.72") for warning in outcome["warnings"])
    second = records.settings_of(dataset, "two")
    assert second.engine.class_confidence == {"cat": 0.725, "dog": 0.3}
    assert history.differences(dataset, "two", "one") == [
        "class_confidence {'cat': 0.45, 'dog': 0.3} → {'cat': 0.725, 'dog': 0.3}"
    ]
    assert any("differ in class_confidence" in said for said in compare.compare(dataset, "one", "two")["warnings"])


def test_nothing_is_chosen_for_classes_that_are_not_mined() -> None:
    dataset = dataset_of(scene([*BOTH, ("v", "rare", 0.8, apart(1))], [*TRUE, ("v", "rare", apart(1))]), tags=SPLITS)
    outcome = run(dataset, choose_thresholds=True)
    assert any(warning.endswith("for the highest F1: cat 0.45") for warning in outcome["warnings"])
    assert records.settings_of(dataset, "one").engine.class_confidence == {"cat": 0.45}


def test_thresholds_of_classes_that_val_or_the_common_samples_lack_do_no_harm() -> None:
    dataset = dataset_of(scene([*BOTH, ("b", "rare", 0.8, apart(1))], TRUE), tags=SPLITS)
    run(dataset, choose_thresholds=True, class_iou={"rare": 0.7}, class_confidence={"rare": 0.4})
    mine.mine_samples(dataset.limit(1), {**FIELDS, "run_key": "two"})
    assert compare.compare(dataset, "one", "two")["changes"]["false_positives"]["new"] == 0


def test_without_val_nothing_is_chosen_and_nothing_written() -> None:
    dataset = dataset_of(tables(), tags={"a": ["train"]})
    with pytest.raises(ValueError, match="thresholds cannot be chosen on the val split: none of the 3 samples is in"):
        run(dataset, choose_thresholds=True)
    assert dataset.list_runs() == []


def test_thresholds_chosen_on_val_do_not_judge_val() -> None:
    with pytest.raises(
        ValueError,
        match=r"choose_thresholds tunes on the val split, so it needs mine_split='train'\. Or set class_confidence",
    ):
        run(dataset_of(tables(), tags=SPLITS), choose_thresholds=True, mine_split="val")


def test_a_group_does_not_fill_the_quota() -> None:
    dataset = dataset_of(tables())
    dataset.set_values("scene", ["night", "night", None])
    outcome = run(dataset, max_per_group=1, group_field="scene", candidates=["false_positive"])
    assert outcome["report"]["statistics"]["hard_negatives"] == 1  # of three confident ones at night


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_per_group": 1}, "max_per_group needs group_field, the sample field that names each sample's scene"),
        ({"max_per_group": 1, "group_field": "scene"}, "group_field 'scene' does not exist"),
        (
            {"max_per_group": 1, "group_field": "tags"},
            "group_field 'tags' must have a text or a number per sample, got list",
        ),
        ({"target_precision": 2.0}, r"target_precision must lie in \[0, 1\], got 2"),
        ({"strategy": "harsh"}, "strategy must be one of confidence_based, .* got 'harsh'"),
    ],
)
def test_what_cannot_be_is_said(settings, message) -> None:
    dataset = dataset_of(tables())
    with pytest.raises(ValueError, match=message):
        run(dataset, **settings)
    assert dataset.list_runs() == []


def test_a_strategy_of_ones_own_works_in_the_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import numpy as np\nfrom hnm_core.strategies import Difficulty\n\n\ndef flat(evidence):\n"
    code += "    return Difficulty(np.full(len(evidence.predictions), 0.25), np.zeros(len(evidence.truth)))\n"
    (tmp_path / "flat_mining.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HNM_ALLOW_IMPORTS", "1")
    dataset = dataset_of(tables())
    params = {**FIELDS, "run_key": "one", "strategy": "flat_mining:flat"}
    foo.execute_operator(MINE, {"dataset": dataset, "params": params})
    sys.modules.pop("flat_mining", None)
    found = [d for d in dataset.values("predictions.detections.one_difficulty", unwind=True) if d is not None]
    assert set(found) == {0.25}
