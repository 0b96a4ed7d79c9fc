"""Learnability in a dataset: the operator, what it stores, and what reads it again."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest

from fiftyone_plugin.actions import train
from fiftyone_plugin.review import session
from fiftyone_plugin.runs import records
from hnm_core import MiningSettings, mine
from hnm_core.strategies.learnability import LEARNABILITY
from tests.datasets import EXPORT, FIELDS, MINE, dataset_of
from tests.scenes import FAR, HERE, high, scene

COMPARE = "@hnm/hard-negative-mining/compare_mining_runs"
NAMES = [f"{i:02}" for i in range(12)]
TRUTH = [(name, "cat", HERE) for name in NAMES]
RIGHT = [(name, "cat", 0.9, high(9)) for name in NAMES]
ALARMS = [(name, "cat", 0.8, FAR) for name in NAMES[:6]]
ASKED: dict[str, Any] = {"strategy": LEARNABILITY, "hard_negative_ratio": 1.0, "second_field": "second"}


@pytest.fixture
def dataset(tmp_path: Path) -> fo.Dataset:
    """The first model has a false positive in six images, the second one in two of them, and misses nothing."""
    dataset = dataset_of(scene(RIGHT + ALARMS, TRUTH), tmp_path)
    second = dataset_of(scene(RIGHT + ALARMS[:2], TRUTH))
    dataset.set_values("second", second.values("predictions"))
    return dataset


def mined(dataset: fo.Dataset, key: str = "run", **params: Any) -> dict[str, Any]:
    return dict(foo.get_operator(MINE)(dataset, **FIELDS, run_key=key, **params))


def hard_samples(dataset: fo.Dataset) -> list[str]:
    return sorted(Path(path).stem for path in dataset.match_tags("hard_negative").values("filepath"))


def test_a_run_mines_what_the_second_model_gets_right(dataset: fo.Dataset) -> None:
    outcome = mined(dataset, **ASKED)
    assert not any("second" in text for text in outcome["warnings"])
    assert outcome["report"]["statistics"]["false_positives"] == 6
    assert outcome["report"]["statistics"]["hard_negatives"] == 4
    assert [count or 0 for count in dataset.values("run_count")] == [0, 0, 1, 1, 1, 1, *[0] * 6]
    tables = scene(RIGHT + ALARMS, TRUTH)
    whole = mine(
        *(*tables, MiningSettings(strategy=LEARNABILITY, hard_negative_ratio=1.0)),
        second_predictions=scene(RIGHT + ALARMS[:2], TRUTH)[0],
    )
    said = np.array(dataset.values("predictions.detections.run_difficulty", unwind=True), dtype=float)
    of_images = [d for i in range(12) for d in whole.prediction_difficulty[tables[0].image == i]]
    assert said.tolist() == pytest.approx(of_images, nan_ok=True)
    assert set(hard_samples(dataset)) <= set(NAMES[2:6])
    assert hard_samples(dataset)


def test_a_stored_run_is_read_compared_and_exported(dataset: fo.Dataset, tmp_path: Path) -> None:
    mined(dataset, "plain", hard_negative_ratio=1.0)
    outcome = mined(dataset, **ASKED)
    settings, results = records.load(dataset, "run")
    assert (settings.engine.strategy, settings.second_field) == (LEARNABILITY, "second")
    assert results.report == outcome["report"]
    assert session.open_review(dataset, "run").evidence is not None
    compared = foo.get_operator(COMPARE)(dataset, "plain", "run")
    assert compared["changes"]["false_positives"] == {"persistent": 6, "new": 0, "fixed": 0}
    exported = foo.get_operator(EXPORT)(dataset, "run", str(tmp_path / "exported"))
    with (Path(exported["output_dir"]) / "weights.csv").open(encoding="utf-8") as file:
        weights = {Path(row["filepath"]).stem: float(row["weight"]) for row in csv.DictReader(file)}
    assert weights == pytest.approx(dict(zip(NAMES, dataset.values("run_weight"), strict=True)))
    assert mined(dataset, overwrite=True, **ASKED)["report"] == outcome["report"]


def test_a_change_of_the_second_model_is_seen_by_mining_again(dataset: fo.Dataset) -> None:
    mined(dataset, **ASKED)
    dataset.set_values("second", dataset.values("predictions"))
    assert mined(dataset, overwrite=True, **ASKED)["report"]["statistics"]["hard_negatives"] == 0


def test_without_a_second_model_it_is_refused_and_nothing_is_written(dataset: fo.Dataset) -> None:
    with pytest.raises(ValueError, match=r"a second model, and none is given.* in FiftyOne as second_field"):
        mined(dataset, strategy=LEARNABILITY)
    with pytest.raises(ValueError, match="second_field 'predictions' is one of the two fields compared"):
        mined(dataset, **{**ASKED, "second_field": "predictions"})
    assert dataset.list_runs() == []


def test_what_is_odd_about_the_second_field_is_said(dataset: fo.Dataset) -> None:
    found = dataset.values("second")
    dataset.set_values("second", [None, *found[1:]])
    for detections in found[1:]:
        detections.detections[0].label = "cow"
    dataset.set_values("second", [None, *found[1:]])
    said = mined(dataset, **ASKED)["warnings"]
    assert [text.partition(",")[0] for text in said if "second" in text] == [
        "second: 1 of 12 samples have no value in 'second': every truth in them counts as missed; if the model was not "
        "run on them",
        "second: 1 classes occur in the predictions only (11 boxes)",
    ]


def test_rounds_during_training_go_without_a_second_model() -> None:
    engine, notes = train.in_training(MiningSettings(strategy=LEARNABILITY, iou_threshold=0.7))
    assert engine == MiningSettings(iou_threshold=0.7)
    assert notes == [
        "the rounds during training have no second model: they are mined by confidence_based, not by learnability_based"
    ]
    assert train.in_training(engine) == (engine, [])
