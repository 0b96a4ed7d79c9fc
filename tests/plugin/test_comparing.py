"""Two runs of one dataset: what became of every error, stored in a field that goes with the later run."""

from __future__ import annotations

import json
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin import comparing, predicting, runs, views
from hnm_core import MiningSettings, mine
from hnm_core.rounds import compare_rounds
from tests.datasets import DELETE, FIELDS, MINE, by_name, dataset_of, stored
from tests.plugin.test_forms import form, problem
from tests.plugin.test_operators import execute, in_the_app, output
from tests.scenes import FAR, HERE, random_scene, scene

COMPARE = "@hnm/hard-negative-mining/compare_mining_runs"
ELSEWHERE = (700, 700, 800, 800)
TRUTH = [(name, "cat", HERE) for name in "abc"]
BEFORE = [
    ("a", "cat", 0.9, HERE),
    ("a", "cat", 0.8, FAR),  # stays
    ("b", "dog", 0.8, HERE),  # its class is put right
]
AFTER = [
    ("a", "cat", 0.9, HERE),
    ("a", "cat", 0.7, FAR),
    ("b", "cat", 0.9, HERE),
    ("c", "dog", 0.9, ELSEWHERE),  # new
]


@pytest.fixture
def dataset() -> fo.Dataset:
    """Two rounds of predictions on three images, each mined; c is missed in both."""
    found = dataset_of(scene(BEFORE, TRUTH, images="abc"))
    found.rename_sample_field("predictions", "round_1")
    later = dataset_of(scene(AFTER, TRUTH, images="abc"))
    found.set_values("round_2", later.values("predictions"))
    mine_ = foo.get_operator(MINE)
    mine_(found, "round_1", "ground_truth", "first")
    mine_(found, "round_2", "ground_truth", "second")
    return found


def changes_of(sample: fo.Sample, field: str) -> list[str | None]:
    return [box.get_attribute_value("second_change", None) for box in sample[field].detections]


def test_every_error_says_what_became_of_it(dataset: fo.Dataset) -> None:
    done = foo.get_operator(COMPARE)(dataset, "second", "first")
    assert done["changes"]["false_positives"] == {"persistent": 1, "new": 1, "fixed": 1}
    assert done["changes"]["false_negatives"] == {"persistent": 1, "new": 0, "fixed": 1}
    assert done["changes"]["errors"]["false_positives"]["classification"]["fixed"] == 1
    assert done["changes"]["classes"]["false_positives"]["dog"] == {"persistent": 0, "new": 1, "fixed": 1}
    assert json.loads(json.dumps(done)) == done
    samples = by_name(dataset)
    assert changes_of(samples["a"], "round_2") == [None, "persistent"]
    assert changes_of(samples["b"], "round_2") == [None]
    assert changes_of(samples["c"], "round_2") == ["new"]
    assert changes_of(samples["a"], "round_1") == [None, None]
    assert changes_of(samples["b"], "round_1") == ["fixed"]
    assert [changes_of(samples[name], "ground_truth") for name in "abc"] == [[None], ["fixed"], ["persistent"]]
    assert done["warnings"] == []


@pytest.mark.parametrize(
    ("then", "now", "note"),
    [
        (("old.pt", "1"), ("best.pt", "2"), "model: old.pt → best.pt"),
        (("best.pt", "1"), ("best.pt", "2"), "model: best.pt, sha256 1 → 2"),
        (("best.pt", "1"), ("best.pt", "1"), "model: best.pt both times"),
        (None, ("best.pt", "1"), "model: unknown → best.pt"),
    ],
)
def test_it_says_which_models_were_judged(dataset: fo.Dataset, then: Any, now: Any, note: str) -> None:
    dataset.reload()  # a renamed field can't be saved before
    for field, made in (("round_1", then), ("round_2", now)):
        if made:
            known = {"model": f"/runs/{made[0]}", "sha256": made[1], "samples": 3, "confidence": 0.01}
            predicting.declare(dataset, field, [known])
    assert foo.get_operator(COMPARE)(dataset, "second", "first")["warnings"] == [note]


def test_the_views_ask_for_stored_fields(dataset: fo.Dataset) -> None:
    foo.get_operator(COMPARE)(dataset, "second", "first")
    both = runs.both(dataset, "second", "first")
    for kind, change, images in (
        ("false_positives", "new", ["c"]),
        ("false_positives", "persistent", ["a"]),
        ("false_positives", "fixed", ["b"]),
        ("false_negatives", "fixed", ["b"]),
        ("false_negatives", "new", []),
    ):
        view = views.changed(dataset, *both, change, kind=kind)
        assert sorted(by_name(view)) == images
        assert dataset.first().id not in json.dumps(view._serialize())
    with pytest.raises(ValueError, match="change must be one of persistent, new, fixed, got 'gone'"):
        views.changed(dataset, *both, "gone")


def test_counts_are_the_engines() -> None:
    predictions, truth = random_scene(3)
    dataset = dataset_of((predictions, truth))
    mine_ = foo.get_operator(MINE)
    mine_(dataset, **FIELDS, run_key="low", confidence_threshold=0.3)
    mine_(dataset, **FIELDS, run_key="high", confidence_threshold=0.6)
    done = comparing.compare(dataset, "high", "low")
    rounds = (mine(predictions, truth, MiningSettings(confidence_threshold=c)) for c in (0.3, 0.6))
    assert done["changes"] == compare_rounds(*rounds).as_dict()
    assert "the runs differ in confidence_threshold: an error may be new or fixed for that alone" in done["warnings"]


def test_one_field_at_two_thresholds(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset, "round_2", "ground_truth", "strict", confidence_threshold=0.8)
    done = comparing.compare(dataset, "strict", "second")
    assert done["changes"]["false_positives"] == {"persistent": 1, "new": 0, "fixed": 1}
    assert dataset.count_values("round_2.detections.strict_change") == {None: 2, "persistent": 1, "fixed": 1}


def test_comparing_again_replaces_and_deleting_the_run_takes_it_all_away(dataset: fo.Dataset) -> None:
    runs.delete(dataset, "second")
    before = stored(dataset)
    foo.get_operator(MINE)(dataset, "round_2", "ground_truth", "second")
    foo.get_operator(MINE)(dataset, "round_2", "ground_truth", "third")
    comparing.compare(dataset, "second", "first")
    comparing.compare(dataset, "second", "third")
    assert comparing.comparison_of(dataset, "second")["other_run_key"] == "third"
    assert comparing.comparison_of(dataset, "first") is None
    assert dataset.get_field("round_1.detections.second_change") is None
    assert dataset.count_values("round_2.detections.second_change")["persistent"] == 2
    for key in ("third", "second"):
        foo.get_operator(DELETE)(dataset, key)
    assert stored(dataset) == before


def test_samples_that_only_one_run_saw_are_left_out(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset[:2], "round_2", "ground_truth", "part")
    done = comparing.compare(dataset, "part", "first")
    assert done["changes"]["false_positives"] == {"persistent": 1, "new": 0, "fixed": 1}
    assert done["warnings"] == [
        "2 samples were looked at by both runs and are compared; left out are 0 of 'part' and 1 of 'first'"
    ]
    foo.get_operator(MINE)(dataset[2:], "round_2", "ground_truth", "rest")
    with pytest.raises(
        ValueError, match="the runs looked at no sample in common: 'rest' mined train of 'round_2', 'pa"
    ):
        comparing.compare(dataset, "rest", "part")


def test_boxes_edited_since_they_were_mined_are_told(dataset: fo.Dataset) -> None:
    sample = by_name(dataset)["c"]
    sample["round_2"] = fo.Detections()
    sample.save()
    done = comparing.compare(dataset, "second", "first")
    assert any(
        note.startswith("boxes have changed since run 'second' was mined (2 false positives, now 1,")
        for note in done["warnings"]
    )


def test_errors_are_one_sentence(dataset: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="run_key and other_run_key are both 'first': name two runs"):
        comparing.compare(dataset, "first", "first")
    with pytest.raises(ValueError, match="has no mining run 'zero': runs are 'first', 'second'"):
        comparing.compare(dataset, "first", "zero")
    sample = dataset.first()
    sample.round_2.detections[0]["second_change"] = "mine"
    sample.save()
    dataset.add_dynamic_sample_fields()
    with pytest.raises(ValueError, match=r"field 'round_2\.detections\.second_change' exists and belongs to no mining"):
        comparing.compare(dataset, "second", "first")


def test_in_the_app_what_was_asked_for_is_shown(dataset: fo.Dataset) -> None:
    params: dict[str, Any] = {"run_key": "second", "other_run_key": "first"}
    result, calls = in_the_app(dataset, COMPARE, **params, show="fixed")
    assert sorted(by_name(fo.DatasetView._build(dataset, calls["set_view"]["view"]))) == ["b"]
    shown = output(COMPARE, result)
    assert "The grid shows the 1 fixed false positives." in shown
    assert "Since the round before" in shown
    assert not set(json.loads(shown)["type"]["properties"]) & set(result), "a name of the result would show its value"
    result, calls = in_the_app(dataset, COMPARE, **params, kind="false_negatives")
    assert "set_view" not in calls
    assert "There are no new false negatives." in output(COMPARE, result)
    assert execute(dataset, COMPARE, **params)["changes"] == result["changes"]


def test_the_form_offers_the_last_two_runs() -> None:
    dataset = dataset_of()
    assert "has no mining run yet: comparing needs two" in str(problem(form(dataset, COMPARE)))
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="one")
    assert "has one mining run, 'one': comparing needs two" in str(problem(form(dataset, COMPARE)))
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="a_second")
    found = form(dataset, COMPARE)
    assert problem(found) is None
    assert (found["run_key"]["default"], found["other_run_key"]["default"]) == ("a_second", "one")
    assert "compared with itself" in str(problem(form(dataset, COMPARE, other_run_key="a_second")))
