"""What was reviewed as a label error and is mended is no mistake any more, but still something to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hnm_core import Detections, MiningResult, MiningSettings, mine
from hnm_core.evidence.views import views_evidence
from hnm_core.labels.remedies import find_remedies
from hnm_core.labels.reviews import STATES, Reviews
from hnm_core.labels.settled import Settled, alarms_of
from hnm_core.taxonomy import ROW_NAMES

ALL = MiningSettings(hard_negative_ratio=1.0)
KINDS = ("missing_label", "wrong_label", "wrong_box", "bogus_label")
BOX, HALF = [10.0, 10.0, 30.0, 30.0], [10.0, 10.0, 30.0, 18.0]
CLASSES = ("cat", "dog")


def one_mistake_an_image(count: int, seed: int = 0) -> tuple[Detections, Detections, NDArray[np.int64]]:
    """Images with one thing each that may be a label error of each kind in turn: predictions, labels and the kinds."""
    rng, kind = np.random.default_rng(seed), np.arange(count) % len(KINDS)
    world: dict[str, Any] = {"images": [f"{i}.jpg" for i in range(count)], "classes": CLASSES}
    predicted, labelled = np.flatnonzero(kind != 3), np.flatnonzero(kind != 0)
    label = rng.integers(2, size=count)
    boxes = np.tile(BOX, (count, 1))
    predictions = Detections(
        predicted, boxes[predicted], label[predicted], rng.uniform(0.5, 1.0, len(predicted)).round(3), **world
    )
    boxes[kind == 2] = HALF
    of = np.where(kind == 1, 1 - label, label)
    return predictions, Detections(labelled, boxes[labelled], of[labelled], None, **world), kind


def entry_of(result: MiningResult, side: str, row: int, state: str) -> dict[str, Any]:
    table = result.predictions if side == "prediction" else result.truth
    image, name = table.images[table.image[row]], table.classes[table.label[row]]
    return {"image": image, "side": side, "class": name, "bbox": table.xyxy[row].tolist(), "state": state}


def reviewed(result: MiningResult, kind: NDArray[np.int64], share: float, seed: int) -> list[dict[str, Any]]:
    """Answers on a share of the images: three of four labels are wrong, each in its own way."""
    rng, out = np.random.default_rng(seed), []
    for image in np.flatnonzero(rng.random(len(kind)) < share).tolist():
        side = "truth" if kind[image] == 3 else "prediction"
        table = result.truth if side == "truth" else result.predictions
        (row,) = np.flatnonzero(table.image == image)
        state = KINDS[kind[image]] if rng.random() < 0.75 else "hard_negative"
        out.append(entry_of(result, side, int(row), state))
    return out


def mended(result: MiningResult) -> Detections:
    """Return the labels with everything put right that was reviewed."""
    states = [
        np.array([STATES.index(name) if name else 0 for name in side.tolist()], dtype=np.int8)
        for side in (result.prediction_state, result.truth_state)
    ]
    found = find_remedies(result.predictions, result.truth, *states)
    p, t = result.predictions, result.truth
    label, xyxy = t.label.copy(), t.xyxy.copy()
    label[found.relabelled[:, 0]] = p.label[found.relabelled[:, 1]]
    xyxy[found.moved[:, 0]] = p.xyxy[found.moved[:, 1]]
    kept = np.setdiff1d(np.arange(len(t)), found.removed)
    return Detections(
        np.concatenate([t.image[kept], p.image[found.accepted]]),
        np.concatenate([xyxy[kept], p.xyxy[found.accepted]]),
        np.concatenate([label[kept], p.label[found.accepted]]),
        None,
        t.images,
        t.classes,
    )


def open_suspicion(result: MiningResult) -> dict[tuple[str, str], float]:
    """Return the suspicion of every mistake that nobody reviewed, by image and side."""
    out = {}
    for side, table, state, value in (
        ("prediction", result.predictions, result.prediction_state, result.prediction_suspicion),
        ("truth", result.truth, result.truth_state, result.truth_suspicion),
    ):
        for row in np.flatnonzero(state == "unreviewed").tolist():
            out[table.images[table.image[row]], side] = float(value[row])
    return out


@pytest.mark.parametrize("seed", range(4))
def test_mending_what_was_reviewed_leaves_the_suspicion_of_all_else_as_it_was(seed: int) -> None:
    predictions, truth, kind = one_mistake_an_image(400, seed)
    reviews = Reviews.of(reviewed(mine(predictions, truth, ALL), kind, 0.3, seed))
    before = mine(predictions, truth, ALL, reviews=reviews)
    after = mine(predictions, mended(before), ALL, reviews=reviews)

    assert len(after.settled) > 60
    assert {ROW_NAMES[code] for code in after.settled.mistakes.code} >= {"background", "classification", "localization"}
    was, now = open_suspicion(before), open_suspicion(after)
    assert now == {place: was[place] for place in now}
    assert len(now) > 200
    assert after.report.review_count == before.report.review_count
    assert after.report.reviewed == before.report.reviewed
    assert after.report.expected_label_errors == pytest.approx(sum(now.values())), "what is mended is no error any more"


def test_of_a_hundred_answers_as_many_label_errors_are_expected_as_there_are() -> None:
    rng, count = np.random.default_rng(0), 1000
    world: dict[str, Any] = {"images": [f"{i}.jpg" for i in range(count)], "classes": ["cat"]}
    boxes, none = np.tile(BOX, (count, 1)), np.zeros(count, dtype=np.int64)
    predictions = Detections(np.arange(count), boxes, none, rng.uniform(0.5, 1, count), **world)
    wrong, seen = rng.random(count) < 0.6, rng.permutation(count)[:100]
    first = mine(predictions, Detections.empty(**world), ALL)
    states = {i: "missing_label" if wrong[i] else "hard_negative" for i in seen.tolist()}
    reviews = Reviews.of([entry_of(first, "prediction", i, state) for i, state in states.items()])
    accepted = np.array([i for i in seen if wrong[i]])
    truth = Detections(accepted, boxes[accepted], none[accepted], None, **world)

    report = mine(predictions, truth, ALL, reviews=reviews).report
    low, high = report.expected_interval or (0, 0)
    assert low < wrong.sum() - len(accepted) < high
    assert report.expected_label_errors == pytest.approx(wrong.sum() - len(accepted), rel=0.1)


def test_a_label_that_is_gone_counts_once_and_one_that_is_there_is_no_settled_one() -> None:
    predictions, truth, kind = one_mistake_an_image(40)
    first = mine(predictions, truth, ALL)
    bogus = np.flatnonzero(kind[truth.image] == 3)[:2].tolist()
    reviews = Reviews.of([entry_of(first, "truth", row, "bogus_label") for row in bogus])
    there = mine(predictions, truth, ALL, reviews=reviews)
    one_gone = truth.take(np.setdiff1d(np.arange(len(truth)), bogus[:1]))
    gone = mine(predictions, one_gone, ALL, reviews=reviews)
    assert (len(there.settled), there.report.reviewed) == (0, {"bogus_label": 2})
    assert (len(gone.settled), gone.report.reviewed) == (1, {"bogus_label": 2})
    other = Detections.empty(images=["elsewhere.jpg"], classes=CLASSES)
    elsewhere = mine(Detections([], np.zeros((0, 4)), [], [], other.images, CLASSES), other, ALL, reviews=reviews)
    assert len(elsewhere.settled) == 0, "reviews of other images say nothing of what is gone here"


def test_twins_that_are_mended_count_as_one_answer() -> None:
    predictions, truth, kind = one_mistake_an_image(400)
    first = mine(predictions, truth, ALL)
    reviews = Reviews.of(reviewed(first, kind, 0.3, 3))
    alike = np.flatnonzero(kind[predictions.image] == 0)
    twins = np.arange(len(predictions)), np.arange(len(truth))
    twins[0][alike[:60]] = alike[0]
    before = mine(predictions, truth, ALL, reviews=reviews, twins=twins)
    labels = mended(before)
    after = mine(predictions, labels, ALL, reviews=reviews, twins=(twins[0], np.arange(len(labels))))
    was, now = open_suspicion(before), open_suspicion(after)
    assert now == pytest.approx({place: was[place] for place in now})
    assert now != pytest.approx({place: value for place, value in open_suspicion(first).items() if place in now})


def test_evidence_is_learned_from_what_was_mended() -> None:
    """Sheets mend what is most suspected, so what is left of the answers are the errors of the model that looked so."""
    rng, (predictions, truth, kind) = np.random.default_rng(1), one_mistake_an_image(600, 1)
    first = mine(predictions, truth, ALL)
    entries = reviewed(first, kind, 0.5, 1)
    wrong = {each["image"] for each in entries if each["state"] != "hard_negative"}
    told = np.where([predictions.images[i] in wrong for i in predictions.image], 2.0, -2.0) + rng.normal(
        0, 1, len(predictions)
    )
    evidence, reviews = {"appearance": told}, Reviews.of(entries)
    before = mine(predictions, truth, ALL, reviews=reviews, evidence=evidence)
    after = mine(predictions, mended(before), ALL, reviews=reviews, evidence=evidence)
    assert before.estimate.suspicions.evidence["appearance"] > 1.2
    assert after.estimate.suspicions.evidence == before.estimate.suspicions.evidence


def test_views_are_asked_about_what_was_mended() -> None:
    predictions, truth, kind = one_mistake_an_image(80, 2)
    reviews = Reviews.of(reviewed(mine(predictions, truth, ALL), kind, 0.5, 2))
    before = mine(predictions, truth, ALL, reviews=reviews)
    after = mine(predictions, mended(before), ALL, reviews=reviews)
    views = {"as it is": predictions}
    seen = [views_evidence(result, views).views[0] for result in (before, after)]
    assert (~np.isnan(seen[0])).sum() == (~np.isnan(seen[1])).sum() == len(predictions)
    np.testing.assert_allclose(seen[0], seen[1])
    rows, code = alarms_of(after.errors, after.settled)
    assert rows.tolist() == alarms_of(before.errors, Settled.none())[0].tolist()
    assert code.tolist() == before.errors.prediction[rows].tolist()
