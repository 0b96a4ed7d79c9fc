"""The benchmarks measure what they say; how fast it is, is not a test's business."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import labels, operator, reliability, suspicion
from benchmarks.__main__ import TABLES, replaced
from benchmarks.scenes import CLASSES, coco_like, write_coco
from hnm_core import mine
from hnm_core.io import read_coco
from hnm_core.taxonomy import ROW_NAMES

ROOT = Path(__file__).parents[1]


def test_scenes_are_shaped_like_coco_and_seeded() -> None:
    predictions, truth = coco_like(300)
    assert len(truth) / 300 == pytest.approx(7.4, rel=0.2)
    assert len(predictions) / 300 == pytest.approx(58, rel=0.05)
    assert len(np.unique(predictions.score)) < len(predictions)  # ties
    assert len(truth.classes) == CLASSES
    again = coco_like(300)[0]
    assert np.array_equal(predictions.xyxy, again.xyxy)


def test_peers_read_the_boxes_that_we_mine(tmp_path: Path) -> None:
    predictions, truth = coco_like(20)
    found, real = read_coco(*write_coco(predictions, truth, tmp_path))
    assert mine(found, real).report.counts == mine(predictions, truth).report.counts


def test_a_table_replaces_only_its_own_place() -> None:
    text = "a\n<!-- benchmark: engine -->\nold\n<!-- end: engine -->\nb\n"
    assert replaced(text, "engine", ["x", "y"]) == "a\n<!-- benchmark: engine -->\nx\ny\n<!-- end: engine -->\nb\n"
    with pytest.raises(ValueError, match="no place for table 'scaling'"):
        replaced(text, "scaling", [])


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(100, "100 × faster"), (53.4, "53 × faster"), (7.75, "7.8 × faster"), (6, "6 × faster"), (0.4, "2.5 × as long")],
)
def test_ratios_are_said_in_words(ratio: float, said: str) -> None:
    assert operator.times(ratio) == said


def test_the_table_says_why_a_must_is_missed_and_only_then() -> None:
    reached = [("work", 1.0, "peer", must) for must in operator.MUSTS]
    found = {"rows": reached, "values": 1_000_000, "mongodb": {"ready": 1.8, "few": 0.3}}
    assert operator.why_missed(found) == []
    missed = [*reached[:3], ("the operator whole", 3.0, "peer", 150.0), *reached[4:]]
    _, why = operator.why_missed({**found, "rows": missed})
    assert why.startswith("What is missed (1.50 s instead of 3.00 s) is MongoDB's own work")
    assert "1.80 CPU s, 1.8 µs for each of 1,000,000 values" in why


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_every_table_has_its_place_in_the_readme(name: str) -> None:
    places = re.findall(r"<!-- benchmark: (\w+) -->", (ROOT / name).read_text(encoding="utf-8"))
    assert places == list(TABLES)


def test_auroc_is_how_often_a_positive_stands_above_a_negative() -> None:
    positive = np.array([True, True, False, False])
    assert suspicion.auroc(np.array([0.9, 0.4, 0.6, 0.1]), positive) == "0.750"
    assert suspicion.auroc(np.zeros(4), positive) == "0.500"
    assert suspicion.auroc(np.zeros(4), positive | True) == "–"


@pytest.mark.slow
def test_the_demos_label_errors_are_those_whose_labels_are_withheld(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics", reason="predicts on the demo's images")
    case = labels.digits(tmp_path, 120, seed=0)
    mistakes = case.result.mistakes
    assert 1 < case.wrong.sum() < 20
    assert (mistakes.code[case.wrong] == ROW_NAMES.index("background")).mean() > 0.8
    run = suspicion._run(case, {}, seed=0)
    assert run["brier"][1] < run["brier"][0]
    assert 0 < run["looks"] <= suspicion.MOST


@pytest.mark.slow
def test_form_and_panel_are_timed_as_the_app_calls_them() -> None:
    found = operator.isolated("app", "measure(40)")
    sizes = {name: size for name, _, _, size in found["rows"]}
    assert min(sizes["the panel opens"], sizes["another run is chosen"]) > sizes["a bar is clicked"] > 1000
    assert sizes["the mining form opens"] > 1000
    assert all(0 < median <= slowest for _, median, slowest, _ in found["rows"])
    assert found["objects"] > 40


def test_a_suspicion_that_is_the_share_of_wrong_labels_is_calibrated() -> None:
    suspicion_, wrong = np.repeat([0.25, 0.75], 4), np.array([1, 0, 0, 0, 1, 1, 1, 0], dtype=bool)
    said, true, count = reliability.binned(suspicion_, wrong)
    assert (said.tolist(), true.tolist(), count.tolist()) == ([0.25, 0.75], [0.25, 0.75], [4, 4])
    assert reliability.calibration_error(said, true, count) == 0.0
    assert reliability.calibration_error(*reliability.binned(np.array([1.0, 0.0]), np.array([False, False]))) == 0.5


@pytest.mark.slow
def test_out_of_fold_no_image_is_predicted_by_a_model_trained_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ultralytics", reason="trains a detector on each half")
    from benchmarks import out_of_fold
    from fiftyone_plugin.demo.dataset import WEIGHTS
    from fiftyone_plugin.demo.digits import make_digits
    from hnm_core import training
    from hnm_core.io.yolo import read_yolo_truth

    data = make_digits(tmp_path / "set", 12, size=64, splits=(("train", 1.0),))
    trained, asked = [], []
    detect, listed = training.detect, out_of_fold._data

    def noting(model: Any, files: Any, **options: Any) -> Any:
        asked.append(set(files))
        return detect(model, files, **options)

    def naming(*args: Any) -> Path:
        file = listed(*args)
        trained.append(set(file.with_suffix(".txt").read_text().split()))
        return file

    monkeypatch.setattr(training, "detect", noting)
    monkeypatch.setattr(out_of_fold, "_data", naming)
    monkeypatch.setattr(out_of_fold, "EPOCHS", 1)
    truth = read_yolo_truth(sorted((data.parent / "images" / "train").iterdir()), ("three", "seven"))
    found = out_of_fold.out_of_fold(truth, WEIGHTS, 64)
    assert len(found) > 0
    assert found.images == truth.images
    assert [len(some) for some in (*trained, *asked)] == [6, 6, 6, 6]
    assert set.union(*asked) == set(truth.images)
    assert not any(learnt & predicted for learnt, predicted in zip(trained, asked, strict=True))
