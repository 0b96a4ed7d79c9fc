"""What is seen in the crops, or said by another model, narrows suspicion in the dataset, and reviews build on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest

from fiftyone_plugin import ledger, review, reweigh, runs, triage
from fiftyone_plugin.demo.digits import ANSWERS, make_digits
from fiftyone_plugin.demo.scenes import CLASSES

MINE = "@hnm/hard-negative-mining/mine_hard_negatives"
FIELDS: dict[str, Any] = {"pred_field": "predictions", "gt_field": "ground_truth", "hard_negative_ratio": 1.0}
SIZE = 128


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> fo.Dataset:
    """Digits, a third of the labels withheld; the detector finds every target and takes every 8 and 1 for one.

    ``second`` is another model that takes nothing for a target but targets.
    """
    folder = tmp_path_factory.mktemp("digits")
    data = make_digits(folder / "set", 150, withheld=0.33, splits=(("train", 1.0),), size=SIZE)
    dataset = fo.Dataset()
    for name, image in json.loads((data.parent / ANSWERS).read_text())["images"].items():
        sample = fo.Sample(filepath=str(data.parent / name))
        true, found, second = [], [], []
        for digit in image["digits"]:
            x0, y0, x1, y1 = np.array(digit["xyxy"]) / SIZE
            box = {"bounding_box": [x0, y0, x1 - x0, y1 - y0]}
            if digit["target"]:
                label = CLASSES[digit["digit"]]
                found.append(fo.Detection(label=label, confidence=0.9, withheld=digit["withheld"], **box))
                second.append(fo.Detection(label=label, confidence=0.7, **box))
                if not digit["withheld"]:
                    true.append(fo.Detection(label=label, **box))
            elif digit["digit"] in (8, 1):
                label = "three" if digit["digit"] == 8 else "seven"
                found.append(fo.Detection(label=label, confidence=0.9, withheld=False, **box))
        sample["ground_truth"], sample["predictions"] = fo.Detections(detections=true), fo.Detections(detections=found)
        sample["second"] = fo.Detections(detections=second)
        dataset.add_sample(sample)
    return dataset


def mined(dataset: fo.Dataset, **params: Any) -> tuple[np.ndarray, np.ndarray]:
    """Suspicion of every background error, and whether its label was withheld."""
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", **params)
    paths = [f"predictions.detections.{name}" for name in ("run_error", "run_suspicion", "withheld")]
    error, suspicion, withheld = (np.array(values) for values in dataset.values(paths, unwind=True))
    wrong = error == "background"
    return suspicion[wrong].astype(float), withheld[wrong].astype(bool)


def apart(suspicion: np.ndarray, withheld: np.ndarray) -> float:
    """How often a withheld label is suspected more than a look-alike: the area under the ROC curve."""
    above = suspicion[withheld][:, None] - suspicion[~withheld][None]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def test_without_evidence_one_mistake_is_as_suspect_as_another(digits: fo.Dataset) -> None:
    suspicion, withheld = mined(digits.clone())
    assert withheld.any()
    assert not withheld.all()
    assert apart(suspicion, withheld) == 0.5


@pytest.mark.parametrize(("params", "least"), [({"appearance": True}, 0.8), ({"second_field": "second"}, 1.0)])
def test_evidence_tells_a_missing_label_from_a_look_alike(
    digits: fo.Dataset, params: dict[str, Any], least: float
) -> None:
    assert apart(*mined(digits.clone(), **params)) >= least


def test_reviews_build_on_the_evidence_that_the_run_keeps(digits: fo.Dataset) -> None:
    dataset = digits.clone()
    mined(dataset, appearance=True)
    before = dict(
        zip(*dataset.values([f"predictions.detections.{n}" for n in ("id", "run_suspicion")], unwind=True), strict=True)
    )
    opened = review.open_review(dataset, "run")
    assert opened.evidence is not None
    said = {key.partition(":")[2]: suspicion for key, suspicion in opened.estimates().items()}
    assert {i: pytest.approx(said[i]) for i in said if before.get(i) is not None} == {
        i: before[i] for i in said if before.get(i) is not None
    }
    for _ in range(3):
        key = review.open_review(dataset, "run").next()
        assert key is not None
        triage.triage(dataset, "run", "hard_negative", [key])
    weights = dataset.values("run_weight")
    reweigh.apply_reviews(dataset, "run")
    assert dataset.values("run_weight") != weights
    assert review.open_review(dataset, "run").evidence is not None  # what is stored anew keeps it
    applied = runs.load(dataset, "run")[1].report
    mined(dataset, appearance=True, overwrite=True)
    assert applied == runs.load(dataset, "run")[1].report, "as if it were mined again"
    assert len(ledger.Ledger(dataset).entries()) == 3


def test_what_evidence_lacks_is_said_before_the_work(digits: fo.Dataset, tmp_path: Path) -> None:
    dataset = digits.clone()
    with pytest.raises(ValueError, match="field 'third' does not exist, mining needs Detections"):
        mined(dataset, second_field="third")
    with pytest.raises(ValueError, match="second_field 'predictions' is one of the two fields compared"):
        mined(dataset, second_field="predictions")
    dataset.set_values("filepath", [str(tmp_path / f"{i}.png") for i in range(len(dataset))])
    with pytest.raises(ValueError, match=r"appearance opens the images, and one can't be read: .*; mine without it"):
        mined(dataset, appearance=True)
    assert dataset.list_runs() == []
