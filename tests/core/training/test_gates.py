"""What the loss counts at single boxes: by hand, exactly 0 where it is told to, and back to normal on clean labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections, MiningSettings
from hnm_core.labels.reviews import Reviews
from hnm_core.training.gates import Gates, gates_of
from hnm_core.training.plan import TrainingPlan
from hnm_core.training.regions import read_regions, regions_by_class
from hnm_core.training.suspects import CLEAN, FAULTY, UNKNOWN, Suspects, find_suspects, judge_labels, same_objects

WORLD: dict[str, Any] = {"images": ["set/a.jpg", "set/b.jpg"], "classes": ["cat", "dog"]}
BOXES = [[0.1, 0.1, 0.3, 0.3], [0.5, 0.5, 0.8, 0.8], [0.1, 0.6, 0.3, 0.9]]
NONE = Detections.empty(**WORLD)


def suspects(scores: list[float], background: list[bool] | None = None, labels: str = FAULTY) -> Suspects:
    n = len(scores)
    boxes = Detections([0] * n, BOXES[:n], [0] * n, scores, **WORLD)  # type: ignore[arg-type]
    return Suspects(boxes, np.array(background or [True] * n), labels)


def review(state: str, row: int, side: str = "prediction", image: str = "set/a.jpg") -> dict[str, Any]:
    return {"image": image, "side": side, "class": "cat", "bbox": BOXES[row], "state": state}


def factors(plan: TrainingPlan, found: Suspects, reviews: list[dict[str, Any]]) -> list[tuple[float, bool]]:
    """Factor of every gated box, and whether it is a label."""
    gates = gates_of(plan, NONE, found, Reviews.of(reviews), Gates.none(NONE))
    return [(round(f, 6), bool(label)) for f, label in zip(gates.factor, gates.is_label, strict=True)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"negative_gain": 3}, [(0.1, False), (0.3, False), (0.8, False)]),
        ({"loss_gate": "weigh"}, [(0.1, False), (0.3, False), (0.8, False)]),
        ({"loss_gate": "drop"}, [(0.0, False), (0.0, False)]),
        ({"loss_gate": "drop", "gate_threshold": 0.8}, [(0.0, False)]),
        ({"loss_gate": "drop", "label_threshold": 0.9}, [(0.0, True), (0.0, False)]),
        ({"negative_gain": 3, "loss_gate": "reviewed"}, []),
        ({"negative_gain": 3, "loss_gate": "off"}, []),
        ({}, []),
    ],
    ids=str,
)
def test_the_forms_of_the_gate_by_hand(settings: dict[str, Any], expected: list[tuple[float, bool]]) -> None:
    assert factors(TrainingPlan.from_dict(settings), suspects([0.9, 0.7, 0.2]), []) == expected


def test_only_what_overlaps_no_label_becomes_one() -> None:
    plan = TrainingPlan(label_threshold=0.5)
    assert factors(plan, suspects([0.9, 0.9], [True, False]), []) == [(1.0, True)]


def test_an_object_is_labelled_once_whatever_the_classes_that_were_seen_there() -> None:
    near = [[0.1, 0.1, 0.3, 0.29], [0.1, 0.1, 0.3, 0.3], BOXES[1], [0.5, 0.5, 0.8, 0.79]]
    boxes = Detections([0] * 4, near, [0, 1, 0, 0], [0.91, 0.95, 0.92, 0.99], **WORLD)  # type: ignore[arg-type]
    found = Suspects(boxes, np.ones(4, dtype=bool), FAULTY)
    plan = TrainingPlan(label_threshold=0.9, loss_gate="weigh")
    gates = gates_of(plan, NONE, found, Reviews.of([review("missing_label", 1)]), Gates.none(NONE))
    assert gates.is_label.tolist() == [True, False, True, False]  # the reviewed one, then those of the first place
    assert gates.label[gates.is_label].tolist() == [0, 1]
    assert gates.factor.round(2).tolist() == [0.0, 0.09, 0.05, 0.01]


@pytest.mark.parametrize("state", ["missing_label", "wrong_label", "wrong_box", "ignore"])
@pytest.mark.parametrize("gate", ["auto", "reviewed", "weigh", "drop"])
def test_what_a_person_called_a_label_error_or_to_be_ignored_counts_nothing(state: str, gate: str) -> None:
    plan = TrainingPlan(loss_gate=gate)
    assert factors(plan, suspects([0.1]), [review(state, 0)]) == [(0.0, False)]
    assert factors(plan, suspects([]), [review(state, 0)]) == [(0.0, False)]  # though the model has forgotten it


@pytest.mark.parametrize("state", ["missing_label", "wrong_label", "wrong_box"])
@pytest.mark.parametrize("settings", [{"loss_gate": "weigh"}, {"label_threshold": 0.9}], ids=str)
def test_a_label_that_was_put_right_is_trained_as_any_other(state: str, settings: dict[str, Any]) -> None:
    """It counted nothing around the label that was accepted, and was a second label where labels are trained."""
    truth = Detections([0], [[0.1, 0.1, 0.3, 0.29]], [0], None, **WORLD)
    said = Reviews.of([review(state, 0), review(state, 1), review("ignore", 2)])
    gates = gates_of(TrainingPlan.from_dict(settings), truth, None, said, Gates.none(NONE))
    assert gates.xyxy.tolist() == [BOXES[1], BOXES[2]], "the one that nobody put right, and what is to be ignored"
    other = Detections([0], [BOXES[0]], [1], None, **WORLD)
    assert len(gates_of(TrainingPlan.from_dict(settings), other, None, said, Gates.none(NONE))) == 3


def test_labels_that_are_mended_do_not_make_the_rest_look_clean() -> None:
    scores = np.linspace(0.1, 0.9, 60).tolist()
    assert mined(scores, 30, 10).estimate.suspicions.review_count == 40
    assert Suspects.of(mined(scores, 30, 10, accepted=True)).labels == FAULTY


def test_what_a_person_called_a_mistake_of_the_model_counts_fully() -> None:
    plan = TrainingPlan(negative_gain=3)
    assert factors(plan, suspects([0.9, 0.9]), [review("hard_negative", 0)]) == [(0.1, False)]


def test_a_missing_label_is_trained_where_labels_are_and_a_later_answer_replaces_an_earlier_one() -> None:
    plan = TrainingPlan(label_threshold=0.95)
    assert factors(plan, suspects([0.1]), [review("missing_label", 0)]) == [(0.0, True)]
    near = {**review("hard_negative", 0), "bbox": [0.1, 0.1, 0.3, 0.29]}
    assert factors(plan, suspects([0.1]), [review("missing_label", 0), near]) == []


def test_clean_labels_switch_gate_and_labels_off_but_not_what_people_said() -> None:
    plan = TrainingPlan(negative_gain=3, label_threshold=0.5)
    said = [review("missing_label", 1)]
    assert len(factors(plan, suspects([0.9, 0.9, 0.9]), said)) == 3
    assert len(factors(plan, suspects([0.9, 0.9, 0.9]), said)) == 3
    assert factors(plan, suspects([0.9, 0.9, 0.9], labels=CLEAN), said) == [(0.0, True)]


@pytest.mark.parametrize("text", ["", "[1]", "null", "{", "[" * 100_000, '{"mine_every": {}}', '{"epoch": 1}'])
def test_a_damaged_plan_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(ValueError, match=r"plan\.json can't be read as the plan of a training, give the plan anew: "):
        TrainingPlan.load(tmp_path / "plan.json")


@pytest.mark.parametrize("line", ["a.jpg,cat", "a.jpg,cat,0,0,1,1,x,1,clean", "a.jpg,cat,0,0,1,nan,.5,1,clean"])
def test_damaged_suspects_are_said(tmp_path: Path, line: str) -> None:
    (tmp_path / "suspects.csv").write_text("image,class,x0,y0,x1,y1,suspicion,background,labels\n" + line + "\n")
    with pytest.raises(ValueError, match=r"suspects\.csv can't be read as the suspects of a round .*: start the train"):
        Suspects.load(tmp_path / "suspects.csv", ("a.jpg",), ("cat",))


def test_suspects_stay_when_the_model_forgets_them(tmp_path: Path) -> None:
    before, after = suspects([0.9, 0.8]), suspects([0.4], labels=CLEAN)
    kept = after.keeping(before)
    assert kept.boxes.score is not None
    assert kept.boxes.score.tolist() == [0.4, 0.8]  # the first was found again, with another suspicion
    file = tmp_path / "suspects.csv"
    kept.save(file)
    again = Suspects.load(file, kept.boxes.images, kept.boxes.classes)
    assert again.boxes.xyxy.tolist() == kept.boxes.xyxy.tolist()
    assert np.array_equal(again.boxes.score, kept.boxes.score)
    assert again.background.tolist() == kept.background.tolist()
    assert again.labels == CLEAN
    assert len(Suspects.load(file, ("set/b.jpg",), kept.boxes.classes)) == 0
    assert [rows.tolist() for rows in same_objects(kept.boxes, before.boxes)] == [[0, 1], [0, 1]]


def mined(scores: list[float], wrong: int, right: int, *, accepted: bool = False) -> Any:
    """Suspects of as many images as scores; the first are reviewed: label errors, then mistakes of the model."""
    n = len(scores)
    world: dict[str, Any] = {"images": [f"{i}.jpg" for i in range(n)], "classes": ["cat"]}
    boxes = Detections(range(n), [BOXES[0]] * n, [0] * n, scores, **world)  # type: ignore[arg-type]
    states = ["missing_label"] * wrong + ["hard_negative"] * right
    said = Reviews.of([review(state, 0, image=f"{i}.jpg") for i, state in enumerate(states)])
    labels = boxes.take(np.arange(wrong * accepted))
    truth = Detections(labels.image, labels.xyxy, labels.label, None, **world)
    return find_suspects(boxes, truth, MiningSettings(confidence_threshold=0.6), 0.1, said)


def test_suspects_are_mined_from_a_low_confidence_and_all_of_them() -> None:
    result = mined([0.9, 0.3, 0.1, 0.09], 0, 0)
    assert result.errors.false_positive.tolist() == [True, True, True, False]
    assert Suspects.of(result).boxes.score.tolist() == [0.8, 0.8, 0.8]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("wrong", "right", "labels"),
    [(0, 0, UNKNOWN), (0, 9, UNKNOWN), (0, 10, CLEAN), (1, 9, FAULTY), (1, 19, CLEAN), (8, 2, FAULTY)],
)
def test_ten_reviews_or_more_judge_the_labels(wrong: int, right: int, labels: str) -> None:
    result = mined(np.linspace(0.1, 0.9, 60).tolist(), wrong, right)
    assert judge_labels(result.estimate.suspicions) == Suspects.of(result).labels == labels


def test_nothing_becomes_an_object_before_reviews_say_that_labels_are_faulty() -> None:
    plan = TrainingPlan(loss_gate="drop", gate_threshold=0.5, label_threshold=0.9)
    kept = [factors(plan, suspects([0.95, 0.6], labels=labels), []) for labels in (UNKNOWN, FAULTY, CLEAN)]
    assert kept == [[(0.0, False), (0.0, False)], [(0.0, True), (0.0, False)], []]


def test_regions_are_read_from_coco_and_from_reviews_and_by_class_name(tmp_path: Path) -> None:
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 200, "height": 100}, {"id": 2, "file_name": "z.jpg"}],
        "categories": [{"id": 7, "name": "dog"}, {"id": 8, "name": "DontCare"}, {"id": 9, "name": "bus"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [20, 10, 40, 30], "iscrowd": 1},
            {"id": 2, "image_id": 1, "category_id": 8, "bbox": [0, 0, 100, 100], "iscrowd": 0},
            {"id": 3, "image_id": 1, "category_id": 7, "bbox": [1, 1, 9, 9], "iscrowd": 0},
            {"id": 4, "image_id": 1, "category_id": 9, "bbox": [1, 1, 9, 9], "iscrowd": 1},
        ],
    }
    file = tmp_path / "truth.json"
    file.write_text(json.dumps(coco))
    rules = MiningSettings().ignored
    found, lost = read_regions(file, NONE, rules)
    assert found.xyxy.tolist() == [pytest.approx([0.1, 0.1, 0.3, 0.4]), pytest.approx([0, 0, 0.5, 1])]
    assert (found.label[0], found.every_class.tolist(), found.factor.tolist()) == (1, [False, True], [0.0, 0.0])
    assert found.replaces.all()
    assert lost == 0
    assert len(read_regions(file, NONE, ("region",))[0]) == 1

    lines = [review("ignore", 0), {**review("ignore", 1), "class": "elsewhere"}, review("missing_label", 2)]
    lines.append({**review("ignore", 2), "image": "elsewhere.jpg"})
    file.write_text("\n".join(map(json.dumps, lines)))
    found, lost = read_regions(file, NONE, rules)
    assert (found.xyxy.tolist(), found.every_class.tolist(), lost) == (BOXES[:2], [False, True], 1)

    labels = Detections([0, 1], BOXES[:2], [1, 0], None, images=["a", "b"], classes=["cat", "DontCare"])  # type: ignore[arg-type]
    found = regions_by_class(labels, rules)
    assert (found.xyxy.tolist(), found.every_class.tolist(), found.label.tolist()) == (BOXES[:1], [True], [1])
    assert not len(regions_by_class(labels, ()))


def test_regions_that_cannot_be_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "odd.json"
    with pytest.raises(FileNotFoundError):
        read_regions(file, NONE, ())
    file.write_text("{}")
    with pytest.raises(ValueError, match=r"odd\.json: review 0 has no image, side"):
        read_regions(file, NONE, ())
    file.write_text(json.dumps([{**review("ignore", 0), "image": "far/away.jpg"}]))
    with pytest.raises(
        ValueError, match=r"none of its 1 ignored regions is of an image of the training, whose first is"
    ):
        read_regions(file, NONE, ())
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1}
    coco = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 1, "name": "cat"}]}
    file.write_text(json.dumps({**coco, "annotations": [annotation]}))
    with pytest.raises(ValueError, match="1 ignored regions are of images without width and height"):
        read_regions(file, NONE, MiningSettings().ignored)
