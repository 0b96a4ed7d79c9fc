"""Two runs of one dataset: what became of every error, stored in a field that goes with the later run."""

from __future__ import annotations

import json
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from fiftyone_plugin.runs import compare, lifecycle, records
from fiftyone_plugin.store import views
from hnm_core import MiningSettings, mine
from hnm_core.rounds import compare_rounds
from tests.datasets import DELETE, FIELDS, MINE, by_name, dataset_of, note_models, stored
from tests.plugin.forms.test_forms import form, problem
from tests.plugin.operators.test_operators import execute, in_the_app, output
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
    done = foo.get_operator(COMPARE)(dataset, "first", "second")
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
def test_it_names_the_models_of_both_runs(dataset: fo.Dataset, then: Any, now: Any, note: str) -> None:
    dataset.reload()  # a renamed field can't be saved before
    for field, made in (("round_1", then), ("round_2", now)):
        if made:
            known = {"model": f"/runs/{made[0]}", "sha256": made[1], "samples": 3, "confidence": 0.01}
            note_models(dataset, field, [known])
    assert foo.get_operator(COMPARE)(dataset, "first", "second")["warnings"] == [note]


def test_the_views_ask_for_stored_fields(dataset: fo.Dataset) -> None:
    foo.get_operator(COMPARE)(dataset, "first", "second")
    both = records.both(dataset, "first", "second")
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
    done = compare.compare(dataset, "low", "high")
    rounds = (mine(predictions, truth, MiningSettings(confidence_threshold=c)) for c in (0.3, 0.6))
    assert done["changes"] == compare_rounds(*rounds).as_dict()
    assert (
        "the runs differ in confidence_threshold: an error may be new or fixed for that reason alone"
        in done["warnings"]
    )


def test_one_field_at_two_thresholds(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset, "round_2", "ground_truth", "strict", confidence_threshold=0.8)
    done = compare.compare(dataset, "second", "strict")
    assert done["changes"]["false_positives"] == {"persistent": 1, "new": 0, "fixed": 1}
    assert dataset.count_values("round_2.detections.strict_change") == {None: 2, "persistent": 1, "fixed": 1}


def test_comparing_again_replaces_and_deleting_the_run_takes_it_all_away(dataset: fo.Dataset) -> None:
    lifecycle.delete(dataset, "second")
    before = stored(dataset)
    foo.get_operator(MINE)(dataset, "round_2", "ground_truth", "second")
    foo.get_operator(MINE)(dataset, "round_2", "ground_truth", "third")
    compare.compare(dataset, "first", "second")
    compare.compare(dataset, "third", "second")
    assert compare.comparison_of(dataset, "second")["earlier_run_key"] == "third"
    assert compare.comparison_of(dataset, "first") is None
    assert dataset.get_field("round_1.detections.second_change") is None
    assert dataset.count_values("round_2.detections.second_change")["persistent"] == 2
    for key in ("third", "second"):
        foo.get_operator(DELETE)(dataset, key)
    assert stored(dataset) == before


def test_samples_that_only_one_run_saw_are_left_out(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset[:2], "round_2", "ground_truth", "part")
    done = compare.compare(dataset, "first", "part")
    assert done["changes"]["false_positives"] == {"persistent": 1, "new": 0, "fixed": 1}
    assert done["warnings"] == [
        "2 samples were mined by both runs and are compared; not compared: 1 of 'first' and 0 of 'part'"
    ]
    foo.get_operator(MINE)(dataset[2:], "round_2", "ground_truth", "rest")
    with pytest.raises(ValueError, match="the runs have no sample in common: 'part' mined train of 'round_2', 're"):
        compare.compare(dataset, "part", "rest")


def test_boxes_edited_since_they_were_mined_are_told(dataset: fo.Dataset) -> None:
    sample = by_name(dataset)["c"]
    sample["round_2"] = fo.Detections()
    sample.save()
    done = compare.compare(dataset, "first", "second")
    assert any(
        note.startswith("boxes have changed since run 'second' was mined (2 false positives, now 1,")
        for note in done["warnings"]
    )


def test_errors_are_one_sentence(dataset: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="earlier_run_key and later_run_key are both 'first': name two runs"):
        compare.compare(dataset, "first", "first")
    with pytest.raises(ValueError, match="has no mining run 'zero': runs are 'first', 'second'"):
        compare.compare(dataset, "zero", "first")
    sample = dataset.first()
    sample.round_2.detections[0]["second_change"] = "mine"
    sample.save()
    dataset.add_dynamic_sample_fields()
    with pytest.raises(ValueError, match=r"field 'round_2\.detections\.second_change' exists and belongs to no mining"):
        compare.compare(dataset, "first", "second")


def test_the_old_names_are_refused(dataset: fo.Dataset) -> None:
    what = "no parameter run_key or other_run_key: name the runs earlier_run_key and later_run_key"
    old = {"run_key": "second", "other_run_key": "first"}
    with pytest.raises(ValueError, match=what):
        foo.get_operator(COMPARE)(dataset, **old)
    with pytest.raises(Exception, match=what):
        execute(dataset, COMPARE, **old)


def test_what_corrected_labels_bought(dataset: fo.Dataset) -> None:
    """The copy gets c's label moved to where nothing fires, and a label for the alarm that both models give in a."""
    assert foo.get_operator(COMPARE)(dataset, "first", "second")["corrections"] is None
    dataset.clone_sample_field("ground_truth", "corrected")
    samples = by_name(dataset)
    label = fo.Detection(label="cat", bounding_box=samples["a"].round_1.detections[1].bounding_box)
    samples["a"].corrected.detections.append(label)
    samples["c"].corrected.detections[0].bounding_box = [0.9, 0.9, 0.1, 0.1]
    for name in "ac":
        samples[name].save()
    foo.get_operator(MINE)(dataset, "round_2", "corrected", "third")
    done = foo.get_operator(COMPARE)(dataset, "first", "third")
    found = done["corrections"]
    assert {name: found["labels"][name] for name in ("added", "removed", "moved", "relabelled")} == {
        **{"added": 1, "removed": 0, "moved": 1, "relabelled": 0}
    }
    false = found["errors"]["all"]["false_positives"]
    assert (false["before"], false["labels"]) == (2, {"vanished": 1, "appeared": 0})
    assert (false["model"], false["after"]) == ({"vanished": 1, "appeared": 1}, 1)
    assert "What the corrections bought" in done["summary"]
    assert json.loads(json.dumps(done)) == done
    foo.get_operator(MINE)(dataset, "round_1", "corrected", "old")
    same = foo.get_operator(COMPARE)(dataset, "old", "third")
    assert same["corrections"] is None
    named = foo.get_operator(COMPARE)(dataset, "old", "third", truth_before="ground_truth")
    assert named["corrections"] == found
    with pytest.raises(ValueError, match="field 'nowhere' does not exist"):
        foo.get_operator(COMPARE)(dataset, "old", "third", truth_before="nowhere")


def test_settings_that_differ_are_named_first(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset[:2], "round_2", "ground_truth", "strict", iou_threshold=0.6)
    warnings = compare.compare(dataset, "first", "strict")["warnings"]
    assert len(warnings) == 2
    assert warnings[0].startswith("the runs differ in iou_threshold:")


def test_in_the_app_what_was_asked_for_is_shown(dataset: fo.Dataset) -> None:
    params: dict[str, Any] = {"earlier_run_key": "first", "later_run_key": "second"}
    result, calls = in_the_app(dataset, COMPARE, **params, show="fixed")
    assert sorted(by_name(fo.DatasetView._build(dataset, calls["set_view"]["view"]))) == ["b"]
    shown = output(COMPARE, result)
    assert "The grid shows the 1 fixed false positives." in shown
    assert "Since the previous round" in shown
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
    assert (found["earlier_run_key"]["default"], found["later_run_key"]["default"]) == ("one", "a_second")
    assert "compared with itself" in str(problem(form(dataset, COMPARE, earlier_run_key="a_second")))
