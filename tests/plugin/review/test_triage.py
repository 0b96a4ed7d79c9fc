"""Triage: a review reaches the ledger and every run with the object, and can be withdrawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from bson import ObjectId
from fiftyone import ViewField as F
from fiftyone.operators.executor import ExecutionContext, Executor

from fiftyone_plugin.actions import mine
from fiftyone_plugin.review import reweigh
from fiftyone_plugin.review.json_file import load_json, save_json
from fiftyone_plugin.review.ledger import Ledger
from fiftyone_plugin.review.triage import outcome_text
from fiftyone_plugin.runs import records
from fiftyone_plugin.store import views
from tests.datasets import APPLY, DELETE, FIELDS, MINE, TRIAGE, VIEW, by_name, dataset_of
from tests.scenes import FAR, HERE, apart, scene

PREDICTIONS = "predictions.detections"


def mined(*keys: str, dataset: fo.Dataset | None = None, **settings: Any) -> fo.Dataset:
    dataset = dataset or dataset_of(
        scene(
            [(f"s{i}", "cat", 0.9 - i / 20, FAR) for i in range(4)]
            + [("s0", "cat", 0.6, apart(1)), ("s1", "dog", 0.2, HERE)],
            [("s2", "cat", HERE), ("s3", "dog", HERE)],
        )
    )
    for key in keys or ("run",):
        foo.get_operator(MINE)(dataset, **FIELDS, run_key=key, **{"hard_negative_ratio": 1.0, **settings})
    return dataset


def column(dataset: fo.Dataset, name: str, key: str = "run", field: str = "predictions") -> list[Any]:
    return [value for listed in dataset.values(f"{field}.detections.{key}_{name}") for value in listed or ()]


def label(dataset: fo.Dataset, sample: str, number: int = 0, field: str = "predictions") -> str:
    return by_name(dataset)[sample][field].detections[number].id


def triage(dataset: fo.Dataset, state: str | None = None, *label_ids: str, key: str = "run", **more: Any) -> Any:
    return foo.get_operator(TRIAGE)(dataset, run_key=key, state=state, label_ids=list(label_ids), **more)


def prompt(dataset: fo.Dataset, view: Any = None, **request: Any) -> ExecutionContext:
    """What the App's server knows when an operator is called from it."""
    shown = dataset.view() if view is None else view
    whole = {"dataset_name": dataset.name, "view": shown._serialize(), "params": {}, **request}
    return ExecutionContext(request_params=whole, executor=Executor(), operator_uri=TRIAGE)


def test_a_review_sets_state_and_suspicion_in_every_run_with_the_object() -> None:
    dataset = mined("run", "other")
    prior = column(dataset, "suspicion")
    done = triage(dataset, "hard_negative", label(dataset, "s0"))
    assert (done["count"], sorted(done["runs"])) == (1, ["other", "run"])
    for key in ("run", "other"):
        assert column(dataset, "state", key) == [
            "hard_negative",
            "unreviewed",
            "unreviewed",
            None,
            "unreviewed",
            "unreviewed",
        ]
        assert column(dataset, "suspicion", key) == [0.0, *prior[1:]]
    triage(dataset, "missing_label", label(dataset, "s1"))
    assert by_name(dataset)["s1"].predictions.detections[0].run_state == "missing_label"
    assert by_name(dataset)["s1"].predictions.detections[0].run_suspicion == 1.0


def test_a_run_that_mined_less_is_left_alone() -> None:
    dataset = mined("run", "strict")
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="strict", confidence_threshold=0.8, overwrite=True)
    done = triage(dataset, "ignore", label(dataset, "s3"))
    assert done["runs"] == ["run"]
    assert column(dataset, "state", "strict")[4] is None


def test_undo_brings_back_what_was_there_and_the_estimate() -> None:
    dataset = mined("run", "other")
    before = {key: (column(dataset, "state", key), column(dataset, "suspicion", key)) for key in ("run", "other")}
    triage(dataset, "wrong_label", label(dataset, "s0"), reviewer="ann")
    triage(dataset, "missing_label", label(dataset, "s0"), label(dataset, "s0", 1), reviewer="ann")
    undone = triage(dataset, undo=True, reviewer="ann")
    assert (undone["state"], undone["count"]) == ("missing_label", 2)
    assert column(dataset, "state")[:2] == ["wrong_label", "unreviewed"]
    assert column(dataset, "suspicion")[1] > before["run"][1][1]  # one of its kind is a label error by now
    triage(dataset, undo=True, reviewer="ann")
    triage(dataset, "unreviewed", label(dataset, "s0", 1), reviewer="ann")
    triage(dataset, "ignore", label(dataset, "s0", 1), reviewer="ann")
    for _ in range(2):
        triage(dataset, undo=True, reviewer="ann")
    assert [action.entries for action in Ledger(dataset).actions()] == []
    assert {key: (column(dataset, "state", key), column(dataset, "suspicion", key)) for key in before} == before
    with pytest.raises(ValueError, match="nothing to undo: you have no review"):
        triage(dataset, undo=True, reviewer="ann")


def test_unreviewed_takes_a_review_back() -> None:
    dataset = mined()
    prior = column(dataset, "suspicion")
    triage(dataset, "missing_label", label(dataset, "s0"))
    triage(dataset, "unreviewed", label(dataset, "s0"))
    assert column(dataset, "state")[0] == "unreviewed"
    assert column(dataset, "suspicion") == prior


def test_missed_truths_are_reviewed_too() -> None:
    dataset = mined()
    triage(dataset, "wrong_label", label(dataset, "s2", field="ground_truth"))
    assert column(dataset, "state", field="ground_truth") == ["wrong_label", "unreviewed"]
    assert [entry["side"] for entry in Ledger(dataset).entries()] == ["truth"]


def test_mining_again_predicting_again_and_deleting_runs_keep_the_reviews() -> None:
    dataset = mined()
    triage(dataset, "missing_label", label(dataset, "s0"))
    triage(dataset, "ignore", label(dataset, "s3"))
    foo.get_operator(DELETE)(dataset, run_key="run")
    for sample in dataset:  # the next model: new ids, boxes a little off
        for box in sample.predictions.detections:
            box.id = fo.Detection().id
            x, y, width, height = box.bounding_box
            box.bounding_box = [x, y, width * 1.1, height]
        sample.save()
    mined("next", dataset=dataset)
    state_of = {name: sample.predictions.detections[0].next_state for name, sample in by_name(dataset).items()}
    assert state_of == {"s0": "missing_label", "s1": "unreviewed", "s2": "unreviewed", "s3": "ignore"}
    ignored = by_name(dataset)["s3"].predictions.detections[0]
    assert not ignored.has_field("next_difficulty")
    assert ignored.tags == []
    assert by_name(dataset)["s0"].predictions.detections[0].next_suspicion == 1.0
    stored = records.load(dataset, "next")[1].report["mining"]
    assert {state: count for state, count in stored["reviewed"].items() if count} == {"missing_label": 1, "ignore": 1}


def test_the_last_word_counts_for_what_the_object_was_before() -> None:
    dataset = mined()
    triage(dataset, "hard_negative", label(dataset, "s0"))
    dataset.clone_sample_field("predictions", "first_model")
    for sample in dataset:  # the next model: new ids, boxes a little wider
        for box in sample.predictions.detections:
            box.id = fo.Detection().id
            box.bounding_box = [*box.bounding_box[:2], box.bounding_box[2] * 1.2, box.bounding_box[3]]
        sample.save()
    mined("second", dataset=dataset)
    assert by_name(dataset)["s0"].predictions.detections[0].second_state == "hard_negative"
    done = triage(dataset, "missing_label", label(dataset, "s0"), key="second")
    assert done["count"] == 1
    third = {"pred_field": "first_model", "gt_field": "ground_truth", "run_key": "third"}
    foo.get_operator(MINE)(dataset, **third, hard_negative_ratio=1.0)  # a model with the boxes of the first
    assert by_name(dataset)["s0"].first_model.detections[0].third_state == "missing_label"
    triage(dataset, undo=True)
    assert by_name(dataset)["s0"].first_model.detections[0].third_state == "hard_negative"


def test_what_was_not_mined_is_refused_and_nothing_is_written() -> None:
    dataset = mined()
    faint = label(dataset, "s1", 1)
    with pytest.raises(
        ValueError, match=r"1 of 2 objects were not mined by run 'run' \(first .*: it is below the confidence threshold"
    ):
        triage(dataset, "ignore", label(dataset, "s0"), faint)
    with pytest.raises(ValueError, match="no object of 'predictions' or 'ground_truth' has this id"):
        triage(dataset, "ignore", "0" * 24)
    with pytest.raises(ValueError, match=r"no object of .* has this id"):
        triage(dataset, "ignore", "nonsense")
    with pytest.raises(ValueError, match="nothing is selected: select samples, patches or labels first"):
        triage(dataset, "ignore")
    with pytest.raises(ValueError, match=r"state must be one of unreviewed, hard_negative, .*, got 'good'"):
        triage(dataset, "good", faint)
    with pytest.raises(ValueError, match="has no mining run 'gone': runs are 'run'"):
        triage(dataset, "ignore", faint, key="gone")
    assert Ledger(dataset).actions() == []


@pytest.mark.parametrize(("sample", "number"), [("s0", 1), ("s1", 1), ("s2", 0)])
def test_labels_that_got_the_id_of_another_one_later_are_refused(sample: str, number: int) -> None:
    dataset = mined()
    copied = by_name(dataset)["s0"].predictions.detections[0].id if sample != "s1" else label(dataset, "s1")
    change = {"$set": {f"{PREDICTIONS}.{number}._id": ObjectId(copied)}}
    dataset._sample_collection.update_one({"_id": ObjectId(by_name(dataset)[sample].id)}, change)
    dataset.reload()
    before = column(dataset, "state")
    with pytest.raises(ValueError, match=r"2 of 2 boxes to review .* have the id of another box") as refused:
        triage(dataset, "hard_negative", copied)
    assert f"(first prediction:{copied} in sample " in str(refused.value)
    assert str(refused.value).endswith("; then mine again")
    assert column(dataset, "state") == before
    assert not Ledger(dataset).actions(withdrawn=True)


def test_the_label_of_a_missed_truth_cannot_be_missing(tmp_path: Path) -> None:
    dataset = mined()
    truth, prediction = label(dataset, "s2", field="ground_truth"), label(dataset, "s0")
    with pytest.raises(
        ValueError, match="1 of 2 objects cannot be missing_label: a truth has its label: say wrong_label, wrong_box"
    ):
        triage(dataset, "missing_label", truth, prediction)
    entry = {"image": dataset.first().filepath, "side": "truth", "class": "cat", "bbox": [0, 0, 0.1, 0.1]}
    (tmp_path / "reviews.json").write_text(json.dumps([entry | {"state": "missing_label"}]))
    with pytest.raises(ValueError, match="a truth cannot be missing_label: a truth has its label"):
        load_json(dataset, tmp_path / "reviews.json")
    assert Ledger(dataset).actions() == []
    triage(dataset, "wrong_label", truth)
    assert column(dataset, "state", field="ground_truth").count("wrong_label") == 1


def test_selected_labels_samples_and_patches_come_from_the_app() -> None:
    dataset = mined()
    names = by_name(dataset)
    operator = foo.get_operator(TRIAGE)
    chosen = label(dataset, "s0", 1)
    picked = {"label_id": chosen, "sample_id": names["s0"].id, "field": "predictions"}
    params = {"run_key": "run", "state": "hard_negative"}
    assert operator.execute(prompt(dataset, selected_labels=[picked], params=params))["label_ids"] == [chosen]

    samples = operator.execute(prompt(dataset, selected=[names["s0"].id, names["s2"].id], params=params))
    assert samples["count"] == 4  # two and one false positive, one miss

    shown = views.hardest(dataset, records.settings_of(dataset, "run"), min_difficulty=0.88)  # one of the two in s0
    assert operator.execute(prompt(dataset, shown, selected=shown.values("id"), params=params))["count"] == 1

    patches = foo.get_operator(VIEW)(dataset, run_key="run", patches=True)
    two = patches.values("id")[:2]
    assert operator.execute(prompt(dataset, patches, selected=two, params=params))["label_ids"] == sorted(
        two, key=patches.values("predictions.id").index
    )
    single = dataset.to_patches("predictions").match(F("predictions.label") == "dog")
    with pytest.raises(ValueError, match="it is below the confidence threshold"):
        operator.execute(prompt(dataset, single, selected=single.values("id"), params=params))


def test_the_app_is_told_and_the_user_is_named() -> None:
    dataset = mined()
    params = {"run_key": "run", "state": "ignore", "label_ids": [label(dataset, "s0")], "reviewer": "ann"}
    context = prompt(dataset, params=params)
    foo.get_operator(TRIAGE).execute(context)
    told = {call.operator_uri: call.params for call in context.executor._requests}
    assert told["notify"]["message"] == "Reviewed: ignore, 1 object"
    assert "reload_samples" in told
    assert [action.who for action in Ledger(dataset).actions()] == ["ann"]
    foo.get_operator(TRIAGE).execute(prompt(dataset, params={"undo": True, "reviewer": "ann"}))
    assert Ledger(dataset).actions() == []


def test_the_form_says_what_is_selected() -> None:
    dataset = mined()
    operator = foo.get_operator(TRIAGE)

    def form(**request: Any) -> str:
        return str(operator.resolve_type(prompt(dataset, **request), "inputs").to_json())

    assert "nothing is selected" in form()
    assert "applies to 2 objects" in form(selected=[by_name(dataset)["s0"].id])
    assert "nothing is selected" not in form(params={"undo": True})
    assert "has no mining run yet" in str(operator.resolve_type(prompt(dataset_of()), "inputs").to_json())


def test_ignored_objects_leave_the_view_until_they_are_asked_for() -> None:
    dataset = mined()
    triage(dataset, "ignore", label(dataset, "s0"))
    shown = foo.get_operator(VIEW)(dataset, run_key="run", patches=True)
    assert label(dataset, "s0") not in shown.values("id")
    ignored = foo.get_operator(VIEW)(dataset, run_key="run", patches=True, state="ignore")
    assert ignored.values("id") == [label(dataset, "s0")]


def test_classes_are_named_as_the_run_names_them() -> None:
    dataset = mined(class_map={"cat": "animal"})
    triage(dataset, "ignore", label(dataset, "s0"))
    assert [entry["class"] for entry in Ledger(dataset).entries()] == ["animal"]
    assert column(dataset, "state")[0] == "ignore"


def test_what_was_ignored_when_mined_can_only_be_weighed_by_mining_again() -> None:
    dataset = mined("before")
    one = label(dataset, "s0")
    triage(dataset, "ignore", one, label(dataset, "s1"), key="before")
    mined("run", dataset=dataset)
    done = triage(dataset, "hard_negative", one)
    assert done["needs_mining"] == {"run": 1}  # the run before mined it, and can
    assert outcome_text(done) == (
        "Reviewed: hard negative, 1 object. "
        "1 object was ignored when run 'run' was mined: mine again to give it a weight"
    )
    applied = foo.get_operator(APPLY)(dataset, run_key="run")
    assert applied["needs_mining"] == 1
    assert reweigh.outcome_text(applied).endswith(
        ". 1 object was ignored when run 'run' was mined: mine again to give it a weight"
    )
    assert by_name(dataset)["s0"].run_weight == 1
    assert triage(dataset, undo=True)["needs_mining"] == {}  # ignored once more
    assert triage(dataset, undo=True)["needs_mining"] == {"run": 2}
    assert foo.get_operator(APPLY)(dataset, run_key="before")["needs_mining"] == 0
    mined("run", dataset=dataset, overwrite=True)
    assert foo.get_operator(APPLY)(dataset, run_key="run")["needs_mining"] == 0


def test_reviews_made_while_a_run_is_mined_reach_it() -> None:
    dataset = mined("first")
    one, other = label(dataset, "s0"), label(dataset, "s1")
    triage(dataset, "ignore", other, key="first")

    def say(share: float, what: str) -> None:
        if what == "Writing fields":
            triage(dataset, undo=True)
            triage(dataset, "missing_label", one, key="first")

    mine.mine_samples(dataset, {**FIELDS, "run_key": "run", "hard_negative_ratio": 1.0}, say)
    assert column(dataset, "state")[:3] == ["missing_label", "unreviewed", "unreviewed"]
    assert column(dataset, "suspicion")[0] == 1.0


def test_reviews_from_a_file_reach_the_runs_unless_newer_ones_stand(tmp_path: Path) -> None:
    dataset = mined()
    old, new = label(dataset, "s0"), label(dataset, "s1")
    triage(dataset, "missing_label", old, new)
    save_json(dataset, tmp_path / "reviews.json")
    triage(dataset, "hard_negative", old)
    triage(dataset, "unreviewed", new)
    assert load_json(dataset, tmp_path / "reviews.json") == (0, 0)
    assert column(dataset, "state")[:3] == ["hard_negative", "unreviewed", "unreviewed"]
    assert len(Ledger(dataset).actions()) == 3
    triage(dataset, undo=True)
    triage(dataset, undo=True)
    triage(dataset, undo=True)
    assert load_json(dataset, tmp_path / "reviews.json") == (2, 0)
    assert column(dataset, "state")[:3] == ["missing_label", "unreviewed", "missing_label"]
