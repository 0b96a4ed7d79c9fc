"""Mending: each kind of label error in the corrected copy, taken back by undo, the truth itself untouched."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

from fiftyone_plugin.review import mending
from fiftyone_plugin.review.ledger import Ledger, ReviewEntry
from fiftyone_plugin.review.session import Review
from fiftyone_plugin.runs import corrections, records
from hnm_core.report import MiningReport
from tests.datasets import APPLY, DELETE, FIELDS, MEND, MINE, RENAME, TRIAGE, by_name, dataset_of
from tests.plugin.panels import event
from tests.scenes import FAR, HERE, high, scene

COPY = "ground_truth_corrected"


@pytest.fixture
def dataset() -> fo.Dataset:
    """A missing label in ``a``, a wrong class in ``b``, a bad box in ``c``, bogus in ``d``, ``e`` right."""
    rows = [("a", "cat", 0.9, FAR), ("b", "dog", 0.9, high(9)), ("c", "cat", 0.9, high(4)), ("e", "cat", 0.9, FAR)]
    truth = [("b", "cat", HERE), ("c", "cat", HERE), ("d", "cat", HERE), ("e", "dog", HERE)]
    made = dataset_of(scene(rows, truth))
    foo.get_operator(MINE)(made, **FIELDS, run_key="run", hard_negative_ratio=1.0)
    return made


def review(dataset: fo.Dataset, sample: str, state: str, field: str = "predictions", key: str = "run") -> str:
    label_id = by_name(dataset)[sample][field].detections[0].id
    side = "truth" if field != "predictions" else "prediction"
    foo.get_operator(TRIAGE)(dataset, run_key=key, state=state, label_ids=[f"{side}:{label_id}"], reviewer="ann")
    return str(label_id)


def review_all(dataset: fo.Dataset) -> None:
    for sample, state in (("a", "missing_label"), ("b", "wrong_label"), ("c", "wrong_box")):
        review(dataset, sample, state)
    review(dataset, "d", "bogus_label", "ground_truth")
    review(dataset, "e", "hard_negative")


def mend(dataset: fo.Dataset, key: str = "run") -> dict[str, Any]:
    return dict(foo.get_operator(MEND)(dataset, key))


def labels(dataset: fo.Dataset, field: str = COPY) -> dict[str, list[tuple[str, list[float]]]]:
    found = {}
    for name, sample in by_name(dataset).items():
        boxes = sample[field].detections if sample[field] is not None else []
        found[name] = [(box.label, [round(1024 * edge, 6) for edge in box.bounding_box]) for box in boxes]
    return found


def test_each_kind_of_label_error_has_its_remedy(dataset: fo.Dataset) -> None:
    truth = labels(dataset, "ground_truth")
    ids = by_name(dataset)["b"].ground_truth.detections[0].id
    review_all(dataset)
    done = mend(dataset)
    counts = {kind: done[kind] for kind in ("accepted", "relabelled", "moved", "removed", "unmended", "changed")}
    assert counts == {"accepted": 1, "relabelled": 1, "moved": 1, "removed": 1, "unmended": 0, "changed": 4}
    assert labels(dataset) == {
        "a": [("cat", [100, 100, 10, 10])],
        "b": [("dog", [0, 0, 10, 10])],
        "c": [("cat", [0, 0, 10, 4])],
        "d": [],
        "e": [("dog", [0, 0, 10, 10])],
    }
    assert by_name(dataset)["b"][COPY].detections[0].id == ids, "a label keeps its id"
    assert by_name(dataset)["a"][COPY].detections[0].proposed_from
    assert by_name(dataset)["c"][COPY].detections[0].corrected_as == "wrong_box"
    assert labels(dataset, "ground_truth") == truth
    assert mending.outcome_text(done) == f"'{COPY}': 1 accepted, 1 relabelled, 1 moved, 1 removed"


def test_again_changes_nothing(dataset: fo.Dataset) -> None:
    review_all(dataset)
    first = mend(dataset)
    before = list(dataset._sample_collection.find())
    assert mend(dataset) == {**first, "changed": 0}
    assert list(dataset._sample_collection.find()) == before


def test_one_undo_takes_each_back(dataset: fo.Dataset) -> None:
    truth = labels(dataset, "ground_truth")
    review_all(dataset)
    mend(dataset)
    undo = foo.get_operator(TRIAGE)
    for sample in ("e", "d", "c", "b", "a"):
        undo(dataset, undo=True, reviewer="ann")
        assert labels(dataset)[sample] == truth[sample], sample
    assert labels(dataset) == truth
    assert mend(dataset)["changed"] == 0


def test_what_somebody_corrected_by_hand_stays(dataset: fo.Dataset) -> None:
    review_all(dataset)
    mend(dataset)
    sample = by_name(dataset)["e"]
    sample[COPY].detections[0].label = "fox"
    sample[COPY].detections.append(fo.Detection(label="owl", bounding_box=[0.5, 0.5, 0.1, 0.1]))
    sample.save()
    review(dataset, "e", "missing_label")
    mend(dataset)
    assert [name for name, _ in labels(dataset)["e"]] == ["fox", "owl", "cat"]
    foo.get_operator(TRIAGE)(dataset, undo=True, reviewer="ann")
    assert [name for name, _ in labels(dataset)["e"]] == ["fox", "owl"]


def test_a_copy_that_is_the_truth_makes_no_run_of_the_truth_stale(dataset: fo.Dataset) -> None:
    review(dataset, "e", "hard_negative")
    assert mend(dataset)["stale"] == ""
    review(dataset, "a", "missing_label")
    assert mend(dataset)["stale"]
    foo.get_operator(MINE)(dataset, pred_field="predictions", gt_field=COPY, run_key="next", hard_negative_ratio=1.0)
    foo.get_operator(TRIAGE)(dataset, undo=True, reviewer="ann")
    assert mend(dataset)["stale"] == ""
    assert "(0 labels differ" in corrections.stale_note(dataset, "next"), "it was mined with that label"


def test_corrections_make_the_run_stale_and_mining_the_copy_makes_it_fresh(dataset: fo.Dataset) -> None:
    assert corrections.stale_note(dataset, "run") == ""
    review_all(dataset)
    assert corrections.stale_note(dataset, "run") == ""
    said = mend(dataset)["stale"]
    assert said.startswith("run 'run' is stale: labels were corrected at ")
    assert f"(4 labels differ in '{COPY}'). Mine again" in said
    assert foo.get_operator(APPLY)(dataset, run_key="run")["stale"] == said
    foo.get_operator(MINE)(dataset, pred_field="predictions", gt_field=COPY, run_key="next", hard_negative_ratio=1.0)
    assert corrections.stale_note(dataset, "next") == ""
    assert corrections.stale_note(dataset, "run") == said


def test_the_next_round_mends_the_same_copy(dataset: fo.Dataset) -> None:
    review_all(dataset)
    mend(dataset)
    foo.get_operator(MINE)(dataset, pred_field="predictions", gt_field=COPY, run_key="next", hard_negative_ratio=1.0)
    review(dataset, "e", "missing_label", key="next")
    done = mend(dataset, "next")
    assert (done["output_field"], done["accepted"], done["changed"]) == (COPY, 2, 1)
    assert f"{COPY}_corrected" not in dataset.get_field_schema()


def test_an_accepted_label_that_is_bogus_after_all_goes_and_stays_away(dataset: fo.Dataset) -> None:
    review_all(dataset)
    mend(dataset)
    sample = by_name(dataset)["a"]
    label_id, place = sample[COPY].detections[0].id, (0.0, 0.0, 0.1, 0.1)
    Ledger(dataset).add([ReviewEntry(sample.id, "truth", "cat", place, "bogus_label", "run", label_id)], "ann")
    for changed in (1, 0):
        done = mend(dataset)
        assert (done["accepted"], done["changed"]) == (0, changed)
        assert labels(dataset)["a"] == []
    foo.get_operator(TRIAGE)(dataset, undo=True, reviewer="ann")
    assert by_name(dataset)["a"][COPY].detections[0].id == label_id


def test_a_field_of_the_user_is_never_taken_for_the_copy(dataset: fo.Dataset) -> None:
    dataset.clone_sample_field("ground_truth", COPY)
    review_all(dataset)
    before = labels(dataset)
    with pytest.raises(ValueError, match=f"field '{COPY}' exists and is no corrected copy"):
        mend(dataset)
    assert labels(dataset) == before
    request = {"dataset_name": dataset.name, "view": [], "params": {"run_key": "run"}}
    context = ExecutionContext(request_params=request, executor=Executor(), operator_uri=MEND)
    assert "is no corrected copy" in str(foo.get_operator(MEND).resolve_type(context, "inputs").to_json())


def test_the_panel_mends_and_mines_again_with_a_click_each(dataset: fo.Dataset) -> None:
    review_all(dataset)
    shown = event(dataset, "show_section", event(dataset, "on_load").state, section="review")
    assert "Mend 4 labels" in shown.text
    assert "This run is stale" not in shown.text
    shown = event(dataset, "mend_labels", shown.state)
    assert "This run is stale" in shown.text
    assert labels(dataset)["d"] == []
    shown = event(dataset, "mine_again", shown.state)
    asked = shown.requests["prompt_user_for_operation"]
    assert asked["skip_prompt"] is True
    assert asked["params"].pop("view_target") == "DATASET", "the grid shows a sheet"
    dataset.reload()
    foo.get_operator(MINE)(dataset, **asked["params"])
    assert corrections.stale_note(dataset, "run") == ""
    shown = event(dataset, "refresh", shown.state)
    assert shown.state["head"]["run"] == "run"
    assert "This run is stale" not in shown.text


def test_the_copy_has_what_runs_wrote_and_loses_it_with_them(dataset: fo.Dataset) -> None:
    before = {name: len(found) for name, found in labels(dataset, "ground_truth").items()}
    review_all(dataset)
    mend(dataset)
    dataset.reload()
    wrote = {name: sample.ground_truth.detections for name, sample in by_name(dataset).items()}
    for name, sample in by_name(dataset).items():
        errors = {box.id: box.get_attribute_value("run_error", None) for box in sample[COPY].detections}
        for box in wrote[name]:
            assert errors.pop(box.id, box["run_error"]) == box["run_error"]
        assert set(errors.values()) <= {None}, "an accepted label was never mined"
    assert dataset.get_field(f"{COPY}.detections.run_error") is not None
    foo.get_operator(RENAME)(dataset, "run", "other")
    assert dataset.count(f"{COPY}.detections.other_error") == sum(before.values()) - 1
    foo.get_operator(DELETE)(dataset, "other")
    for field in ("ground_truth", COPY):
        assert not [
            name for name in dataset.get_field(f"{field}.detections").field.get_field_schema() if "_error" in name
        ]
        assert dataset._sample_collection.find_one({f"{field}.detections.other_error": {"$exists": True}}) is None


def test_what_was_mended_is_learned_from_when_the_copy_is_mined(dataset: fo.Dataset) -> None:
    """Else the next round would rest on the answers alone that found the label in order."""
    review_all(dataset)
    before = Review(dataset, "run").estimate_now()
    mend(dataset)
    settings = {"pred_field": "predictions", "gt_field": COPY, "hard_negative_ratio": 1.0}
    foo.get_operator(MINE)(dataset, run_key="next", **settings)
    review_of_next = Review(dataset, "next")
    after = review_of_next.estimate_now()
    assert len(review_of_next.settled) == 4
    assert review_of_next.mended() == Review(dataset, "run").mended() == (4, 5)
    assert after.suspicions.reviewed == before.suspicions.reviewed
    assert after.suspicions.review_count == 5
    assert review_of_next.estimate_before().suspicions.review_count == 0
    report = MiningReport.from_dict(records.load(dataset, "next")[1].report)
    assert report.reviewed == after.suspicions.reviewed
    assert report.expected_label_errors == after.expected_label_errors

    for left in (4, 3, 2, 1, 0):
        foo.get_operator(TRIAGE)(dataset, undo=True, reviewer="ann")
        review_of_next.catch_up()
        assert sum(review_of_next.estimate_now().suspicions.reviewed.values()) == left
        foo.get_operator(MINE)(dataset, run_key="again", **settings, overwrite=left < 4)
        fresh = MiningReport.from_dict(records.load(dataset, "again")[1].report)
        assert fresh.reviewed == review_of_next.estimate_now().suspicions.reviewed
