"""A verifier fitted to a run of a dataset: the one that the engine fits to the same boxes, and reviews count."""

from __future__ import annotations

from pathlib import Path

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.actions.verifier import fit_verifier
from fiftyone_plugin.review.card import make_card
from fiftyone_plugin.review.session import open_review
from tests.datasets import FIELDS, MINE, PROPOSE, TRIAGE
from tests.plugin.forms.test_forms import form, problem
from tests.stripes import SIDE, boxes_of, striped, write_pictures

pytest.importorskip("sklearn", reason="scikit-learn tells the crops apart")

from hnm_core.live import Verifier

IMAGES = 42


def detection(box: tuple[float, ...], confidence: float | None = None) -> fo.Detection:
    x0, y0, x1, y1 = (edge / SIDE for edge in box)
    return fo.Detection(label="cat", bounding_box=[x0, y0, x1 - x0, y1 - y0], confidence=confidence)


@pytest.fixture
def dataset(tmp_path: Path) -> fo.Dataset:
    """Forty-two mined images with one right and one wrong detection each."""
    samples = []
    for number, path in enumerate(write_pictures(tmp_path, IMAGES)):
        lying, standing = boxes_of(number)
        found = [detection(lying, 0.6 + number % 7 / 20), detection(standing, 0.6 + number % 5 / 20)]
        truth = fo.Detections(detections=[detection(lying)])
        samples.append(fo.Sample(filepath=path, ground_truth=truth, predictions=fo.Detections(detections=found)))
    dataset = fo.Dataset()
    dataset.add_samples(samples)
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", hard_negative_ratio=1.0)
    return dataset


def test_it_is_fitted_written_and_read_back(dataset: fo.Dataset, tmp_path: Path) -> None:
    told: list[float] = []
    verifier = fit_verifier(dataset, "run", tmp_path / "v.npz", lambda share, label: told.append(share))
    assert verifier.quality.lists["all"]["errors"] == IMAGES
    asked = [{"bbox": box, "confidence": 0.7, "class": "cat"} for box in boxes_of(100)]
    assert (Verifier.load(tmp_path / "v.npz").score(striped(100), asked) > 0.5).tolist() == [False, True]
    assert (told[0], told[-1], told == sorted(told)) == (0.0, 1.0, True)


def test_reviews_made_since_count(dataset: fo.Dataset) -> None:
    ids = [
        each.id
        for sample in dataset.limit(3)
        for each in sample["predictions"].detections
        if each["run_error"] == "background"
    ]
    assert len(ids) == 3
    foo.get_operator(TRIAGE)(dataset, run_key="run", state="missing_label", label_ids=ids)
    with pytest.raises(ValueError, match=f"the run has {IMAGES - 3} errors and {IMAGES + 3} right detections"):
        fit_verifier(dataset, "run")


def test_a_run_that_does_not_exist_is_named(dataset: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="'none'"):
        fit_verifier(dataset, "none")


FIT = "@hnm/hard-negative-mining/fit_verifier"


def test_the_operator_writes_a_file_that_ranks_what_nobody_labelled(dataset: fo.Dataset, tmp_path: Path) -> None:
    file = tmp_path / "new" / "verifier.npz"
    done = foo.get_operator(FIT)(dataset, "run", str(file))
    assert done["quality"]["lists"]["all"]["errors"] == IMAGES
    with pytest.raises(FileExistsError, match="exists: choose another output_file, or set overwrite"):
        foo.get_operator(FIT)(dataset, "run", str(file))
    assert "exists: choose another output_file" in str(
        problem(form(dataset, FIT, run_key="run", output_file=str(file)))
    )
    assert problem(form(dataset, FIT, run_key="run")) is None
    foo.get_operator(FIT)(dataset, "run", str(file), overwrite=True)
    listed = foo.get_operator(PROPOSE)(dataset, "predictions", "found", verifier=str(file))
    assert (listed["ranked_by"], listed["lists"]["confident"]) == ("verifier", 2 * IMAGES)
    dataset.reload()
    error, difficulty = dataset.values(
        ["predictions.detections.run_error", "predictions.detections.found_difficulty"], unwind=True
    )
    right = [p for e, p in zip(error, difficulty, strict=True) if e == "true_positive"]
    wrong = [p for e, p in zip(error, difficulty, strict=True) if e == "background"]
    assert max(right) < min(wrong)
    review = open_review(dataset, "found")
    assert "by the verifier" in make_card(dataset, review, review.keys[0]).remark


def test_what_the_verifier_cannot_see_is_ranked_by_confidence_and_said(dataset: fo.Dataset, tmp_path: Path) -> None:
    fit_verifier(dataset, "run", tmp_path / "v.npz")
    broken = dataset.first()
    Path(broken.filepath).write_bytes(b"")
    listed = foo.get_operator(PROPOSE)(dataset, "predictions", "found", verifier=str(tmp_path / "v.npz"))
    said = [note for note in listed["warnings"] if "the verifier" in note]
    assert said == [f"the verifier could see nothing in 1 image, first {broken.filepath}: ranked by confidence there"]
    broken.reload()
    boxes = broken["predictions"].detections
    assert [box["found_difficulty"] for box in boxes] == pytest.approx([1 - box.confidence for box in boxes])
    Path(broken.filepath).unlink()
    with pytest.raises(FileNotFoundError, match=r"\.png") as caught:
        foo.get_operator(PROPOSE)(dataset, "predictions", "again", verifier=str(tmp_path / "v.npz"))
    assert "\n" not in str(caught.value)
    dataset.reload()
    assert "again" not in dataset.list_runs()


def test_of_a_run_without_truth_only_reviews_count(dataset: fo.Dataset, tmp_path: Path) -> None:
    foo.get_operator(PROPOSE)(dataset, "predictions", "found")
    dataset.reload()
    boxes = [box for of_image in dataset.values("predictions.detections") for box in of_image]
    for state, error in (("missing_label", "true_positive"), ("hard_negative", "background")):
        foo.get_operator(TRIAGE)(dataset, "found", state, [box.id for box in boxes if box["run_error"] == error][:41])
    verifier = fit_verifier(dataset, "found")
    assert verifier.quality.lists["all"] | {"verifier": 0, "lowest_confidence": 0} == {
        **{"detections": 82, "errors": 41, "verifier": 0, "lowest_confidence": 0}
    }
