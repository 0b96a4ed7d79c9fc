"""What is seen in the crops, or said by another model, narrows suspicion in the dataset, and reviews build on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest

from fiftyone_plugin.actions.predict import predict
from fiftyone_plugin.demo.dataset import WEIGHTS
from fiftyone_plugin.demo.digits import ANSWERS, make_digits
from fiftyone_plugin.demo.scenes import CLASSES
from fiftyone_plugin.review import ledger, reweigh, session, triage
from fiftyone_plugin.runs import records

MINE = "@hnm/hard-negative-mining/mine_hard_negatives"
FIELDS: dict[str, Any] = {"pred_field": "predictions", "gt_field": "ground_truth", "hard_negative_ratio": 1.0}
SIZE, DEMO_SIZE = 128, 192


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
    opened = session.open_review(dataset, "run")
    assert opened.evidence is not None
    suspicion_of = {key.partition(":")[2]: suspicion for key, suspicion in opened.suspicion_by_key().items()}
    assert {i: pytest.approx(suspicion_of[i]) for i in suspicion_of if before.get(i) is not None} == {
        i: before[i] for i in suspicion_of if before.get(i) is not None
    }
    for _ in range(3):
        key = session.open_review(dataset, "run").next()
        assert key is not None
        triage.triage(dataset, "run", "hard_negative", [key])
    weights = dataset.values("run_weight")
    reweigh.apply_reviews(dataset, "run")
    assert dataset.values("run_weight") != weights
    assert session.open_review(dataset, "run").evidence is not None  # what is stored anew keeps it
    applied = records.load(dataset, "run")[1].report
    mined(dataset, appearance=True, overwrite=True)
    assert applied == records.load(dataset, "run")[1].report, "as if it were mined again"
    assert len(ledger.Ledger(dataset).entries()) == 3


def test_what_evidence_lacks_is_said_before_the_work(digits: fo.Dataset, tmp_path: Path) -> None:
    dataset = digits.clone()
    with pytest.raises(ValueError, match="field 'third' does not exist, but mining needs Detections"):
        mined(dataset, second_field="third")
    with pytest.raises(ValueError, match="second_field 'predictions' is one of the two fields compared"):
        mined(dataset, second_field="predictions")
    dataset.set_values("filepath", [str(tmp_path / f"{i}.png") for i in range(len(dataset))])
    with pytest.raises(
        ValueError, match=r"appearance needs to read the images, and one cannot be read: .*; mine without"
    ):
        mined(dataset, appearance=True)
    assert dataset.list_runs() == []


@pytest.fixture(scope="module")
def seen_again(tmp_path_factory: pytest.TempPathFactory) -> fo.Dataset:
    """The demo's digits as its own detector sees them, a quarter of the labels withheld."""
    pytest.importorskip("ultralytics", reason="views are asked of a detector")
    data = make_digits(tmp_path_factory.mktemp("views") / "set", 40, withheld=0.25, splits=(("train", 1.0),))
    dataset = fo.Dataset()
    for name, image in json.loads((data.parent / ANSWERS).read_text())["images"].items():
        true = []
        for digit in image["digits"]:
            x0, y0, x1, y1 = np.array(digit["xyxy"]) / DEMO_SIZE
            if digit["target"] and not digit["withheld"]:
                box = {"label": CLASSES[digit["digit"]], "bounding_box": [x0, y0, x1 - x0, y1 - y0]}
                true.append(fo.Detection(**box))
        sample = fo.Sample(filepath=str(data.parent / name), ground_truth=fo.Detections(detections=true))
        dataset.add_sample(sample)
    predict(dataset, WEIGHTS, "predictions", 0.05, device="cpu")
    return dataset


def test_the_recorded_model_is_asked_again_and_never_twice(
    seen_again: fo.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HNM_CACHE_DIR", str(tmp_path))
    dataset = seen_again.clone()
    plain = foo.get_operator(MINE)(dataset, **FIELDS, run_key="plain")
    first = foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", views=True)
    said = [text for text in first["warnings"] if text.startswith("view")]
    assert said[0].startswith("views: 40 images asked 4 times in ")
    assert any("'up-down' does not count" in text for text in said), "a 3 upside down is no 3"
    paths = [f"predictions.detections.{key}_suspicion" for key in ("plain", "run")]
    before, after = (np.array(values, dtype=float) for values in dataset.values(paths, unwind=True))
    assert len(np.unique(after[np.isfinite(after)])) > len(np.unique(before[np.isfinite(before)]))
    assert np.nanmean(after) == pytest.approx(np.nanmean(before), abs=0.02), "views rank; the level stays the prior's"
    assert first["report"]["statistics"] == plain["report"]["statistics"]
    results = records.load(dataset, "run")[1]
    assert set(results.label_suspects) == {"label_id", "sample_id", "wrong_label", "wrong_box", "bogus_label"}
    assert len(results.label_suspects["label_id"]) == dataset.count("ground_truth.detections")
    opened = session.open_review(dataset, "run")
    assert opened.evidence is not None
    assert list(opened.evidence) == ["views", "steady"]
    again = foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", views=True, overwrite=True)
    assert any("views: 0 images asked" in text and "40 known from before" in text for text in again["warnings"])
    assert records.load(dataset, "plain")[1].label_suspects == {}


def test_a_model_that_is_not_known_is_asked_for(seen_again: fo.Dataset, tmp_path: Path) -> None:
    dataset = seen_again.clone()
    dataset.add_sample_field("others", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    dataset.set_values("others", dataset.values("predictions"))
    asked = {**FIELDS, "pred_field": "others", "run_key": "run", "views": True}
    with pytest.raises(ValueError, match="views needs the model that predicted 'others', and no model is recorded"):
        foo.get_operator(MINE)(dataset, **asked)
    other = tmp_path / "other.pt"
    other.write_bytes(b"another model")
    with pytest.raises(ValueError, match=r"other\.pt is not the model that predicted 'predictions' \(recorded sha256"):
        mined(dataset, views=True, views_model=str(other))
    with pytest.raises(ValueError, match=r"views needs the model of the predictions: file '.*gone\.pt' does not exist"):
        mined(dataset, views=True, views_model=str(tmp_path / "gone.pt"))
    assert dataset.list_runs() == []
