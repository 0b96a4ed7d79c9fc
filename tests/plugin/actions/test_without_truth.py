"""Images without ground truth: three lists for review, as a run that everything takes; reviewed, they become truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone import ViewField as F
from fiftyone.operators.delegated import DelegatedOperationService

from fiftyone_plugin.actions.verifier import fit_verifier
from fiftyone_plugin.review.session import open_review
from fiftyone_plugin.runs import compare, lifecycle, records
from fiftyone_plugin.store import journal
from hnm_core.io.data_yaml import read_data_yaml
from tests.datasets import (
    ACCEPT,
    APPLY,
    DELETE,
    EXPORT,
    MEND,
    MINE,
    PROPOSE,
    RENAME,
    SHEET,
    TRIAGE,
    VIEW,
    dataset_of,
    stored,
)
from tests.plugin.forms.test_forms import form, problem
from tests.plugin.panels import event
from tests.scenes import FAR, HERE, scene

MORE = [("b", "dog", 0.95, FAR), ("b", "cat", 0.3, HERE), ("c", "cat", 0.1, HERE)]
ASKED = {"pred_field": "predictions", "run_key": "found"}


@pytest.fixture
def dataset(tmp_path: Path) -> fo.Dataset:
    """Three images that nobody labelled: two with detections to list, one with none that is sure enough."""
    made = dataset_of(scene([("a", "cat", 0.9, HERE), ("a", "cat", 0.6, FAR), *MORE], [("a", "cat", HERE)]), tmp_path)
    made.delete_sample_field("ground_truth")
    return made


def propose(samples: Any, **more: Any) -> dict[str, Any]:
    return dict(foo.get_operator(PROPOSE)(samples, **{**ASKED, **more}))


def listed(dataset: fo.Dataset, key: str = "found") -> dict[float, tuple[Any, ...]]:
    """What is written on each detection, by its confidence."""
    names = ("error", "difficulty", "state", "suspicion", "iou")
    return {
        box.confidence: tuple(
            box.get_field(f"{key}_{name}") if box.has_field(f"{key}_{name}") else None for name in names
        )
        for boxes in dataset.values("predictions.detections")
        for box in boxes
    }


def ids(dataset: fo.Dataset) -> dict[float, str]:
    return {box.confidence: box.id for boxes in dataset.values("predictions.detections") for box in boxes}


def review(dataset: fo.Dataset, **answers: list[float]) -> None:
    id_of = ids(dataset)
    for state, scores in answers.items():
        foo.get_operator(TRIAGE)(dataset, "found", state, [id_of[score] for score in scores])
    dataset.reload()


def test_lists_are_written_without_weight_tag_or_suspicion(dataset: fo.Dataset) -> None:
    done = propose(dataset)
    dataset.reload()
    assert {name: done[name] for name in ("run_key", "ranked_by", "lists", "written", "dataset")} == {
        **{"run_key": "found", "ranked_by": "confidence", "lists": {"confident": 3, "uncertain": 1, "missed": 0}},
        **{"written": 3, "dataset": dataset.name},
    }
    assert "lowest confidence" in done["summary"]
    found = listed(dataset)
    assert {score: of[0] for score, of in found.items()} == {
        **{0.9: "confident", 0.6: "confident", 0.95: "confident", 0.3: "uncertain", 0.1: None}
    }
    assert {score: of[1] for score, of in found.items() if of[1] is not None} == pytest.approx(
        {0.9: 0.1, 0.6: 0.4, 0.95: 0.05, 0.3: 0.7}
    )
    assert [of[2:] for of in found.values()] == [("unreviewed", None, None)] * 4 + [(None, None, None)]
    assert dataset.values("found_count") == [2, 2, 0]
    assert dataset.distinct("tags") == dataset.distinct("predictions.detections.tags") == []
    assert [name for name in dataset.get_field_schema() if name.startswith("found_")] == [
        *("found_missed", "found_score", "found_count")
    ]
    assert dataset.values("found_missed") == [None] * 3
    assert journal.read(dataset, "run:found").state == "done"  # type: ignore[union-attr]


def test_views_show_each_list_likeliest_errors_first(dataset: fo.Dataset) -> None:
    propose(dataset)
    view = foo.get_operator(VIEW)

    def shown(**filters: Any) -> list[float]:
        return list(view(dataset, "found", patches=True, **filters).values("predictions.confidence"))

    assert shown() == [0.3, 0.6, 0.9, 0.95]
    assert shown(error="confident") == [0.6, 0.9, 0.95]
    assert shown(error="uncertain") == [0.3]
    assert len(view(dataset, "found", error="gap")) == 0
    with pytest.raises(ValueError, match="error must be one of confident, uncertain, gap, got 'background'"):
        view(dataset, "found", error="background")


def test_deleting_leaves_nothing(dataset: fo.Dataset) -> None:
    before = stored(dataset)
    propose(dataset)
    foo.get_operator(DELETE)(dataset, "found")
    dataset.reload()
    assert stored(dataset) == before
    assert not journal.runs(dataset)


def test_renaming_takes_the_runs_own_field_along(dataset: fo.Dataset) -> None:
    propose(dataset)
    dataset.reload()
    before = listed(dataset)
    foo.get_operator(RENAME)(dataset, "found", "again")
    dataset.reload()
    assert listed(dataset, "again") == before
    assert records.settings_of(dataset, "again").gt_field == "again_missed"
    assert [path for path in dataset.get_field_schema(flat=True) if "found" in path] == []
    assert dataset.get_field("again_missed.detections.again_error") is not None
    assert len(foo.get_operator(VIEW)(dataset, "again")) == 2
    before_delete = len(records.find(dataset, "again").fields)
    assert len(lifecycle.delete(dataset, "again").fields) == before_delete
    assert [path for path in dataset.get_field_schema(flat=True) if "again" in path] == []


def test_a_run_is_replaced_by_one_with_truth_and_back(dataset: fo.Dataset) -> None:
    propose(dataset)
    with pytest.raises(ValueError, match="run 'found' exists"):
        propose(dataset)
    dataset.add_sample_field("truth", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    with pytest.raises(ValueError, match="or say unlabelled='background' if it is known that they hold no object"):
        foo.get_operator(MINE)(dataset, "predictions", "truth", "found", overwrite=True)
    pool = {"unlabelled": "background", "hard_negative_ratio": 1.0}
    foo.get_operator(MINE)(dataset, "predictions", "truth", "found", overwrite=True, **pool)
    dataset.reload()
    assert dataset.get_field("found_missed") is None
    assert listed(dataset)[0.9][0] == "background"
    propose(dataset, overwrite=True, confidence_threshold=0.7)
    dataset.reload()
    assert listed(dataset)[0.6][0] == "uncertain"
    assert dataset.get_field("found_weight") is None
    foo.get_operator(DELETE)(dataset, "found")
    dataset.reload()
    assert [path for path in dataset.get_field_schema(flat=True) if "found" in path] == []
    assert dataset.distinct("tags") == []


def test_thresholds_of_single_classes_count(dataset: fo.Dataset) -> None:
    done = propose(dataset, class_confidence={"dog": 0.99})
    assert done["lists"] == {"confident": 2, "uncertain": 2, "missed": 0}


def test_review_goes_list_by_list_and_becomes_truth(dataset: fo.Dataset, tmp_path: Path) -> None:
    propose(dataset)
    dataset.reload()
    id_of = ids(dataset)
    assert open_review(dataset, "found").next() == f"prediction:{id_of[0.6]}"
    with pytest.raises(ValueError, match="no prediction of run 'found' is reviewed"):
        foo.get_operator(ACCEPT)(dataset, "found")
    review(dataset, hard_negative=[0.6])
    with pytest.raises(ValueError, match="in none of the 2 images that run 'found' lists something in is all of it"):
        foo.get_operator(ACCEPT)(dataset, "found")
    review(dataset, missing_label=[0.9], hard_negative=[0.95])
    assert listed(dataset)[0.6][2:4] == ("hard_negative", 0.0)
    assert listed(dataset)[0.9][2:4] == ("missing_label", 1.0)
    assert open_review(dataset, "found").next() == f"prediction:{id_of[0.3]}"
    done = foo.get_operator(ACCEPT)(dataset, "found")
    assert (done["output_field"], done["accepted"], done["samples"]) == ("reviewed_truth", 1, 1)
    dataset.reload()
    first, second, third = dataset.values("reviewed_truth")
    assert (second, third) == (None, None), "not all of it is reviewed, or nothing is listed"
    (label,) = first.detections
    assert (label.label, label["proposed_from"], label.confidence) == ("cat", id_of[0.9], None)
    foo.get_operator(MINE)(dataset, "predictions", "reviewed_truth", "round", hard_negative_ratio=1.0)
    dataset.reload()
    assert listed(dataset, "round")[0.6][0] == "background"
    assert listed(dataset, "round")[0.6][2:4] == ("hard_negative", 0.0), "the review holds for the run with truth"
    assert listed(dataset, "round")[0.9][0] == "true_positive"
    written = foo.get_operator(EXPORT)(dataset, "round", str(tmp_path / "out"))
    assert written["images"]["train"] == 1
    assert read_data_yaml(tmp_path / "out" / "data.yaml")["names"]


def test_sheets_go_list_by_list_likeliest_errors_first(dataset: fo.Dataset) -> None:
    propose(dataset)
    dataset.reload()
    score_of, shown, state = {label_id: score for score, label_id in ids(dataset).items()}, [], None
    keys: list[str] = []
    while True:
        done = foo.get_operator(SHEET)(dataset, "found", state, keys)
        if done["sheet"] is None:
            break
        assert done["sheet"]["answer"] == "hard_negative"
        keys, state = done["sheet"]["keys"], "hard_negative"
        shown += [score_of[key.partition(":")[2]] for key in keys]
    assert shown == [0.6, 0.9, 0.95, 0.3]


def test_withdrawing_a_review_takes_the_suspicion_away(dataset: fo.Dataset) -> None:
    propose(dataset)
    dataset.reload()
    review(dataset, hard_negative=[0.6])
    foo.get_operator(TRIAGE)(dataset, "found", None, [], undo=True)
    dataset.reload()
    assert listed(dataset)[0.6][2:4] == ("unreviewed", None)


def test_reviews_made_before_hold(dataset: fo.Dataset) -> None:
    propose(dataset)
    dataset.reload()
    review(dataset, missing_label=[0.6], ignore=[0.3])
    propose(dataset, run_key="later")
    dataset.reload()
    found = listed(dataset, "later")
    assert (found[0.6][1], found[0.6][2]) == (0.0, "missing_label"), "no error: somebody saw an object there"
    assert (found[0.3][1], found[0.3][2]) == (None, "ignore")
    assert dataset.values("later_count") == [2, 1, 0]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda d, folder: foo.get_operator(EXPORT)(d, "found", str(folder / "out")), "Review them, accept"),
        (lambda d, folder: foo.get_operator(APPLY)(d, "found"), "has no weights: accept what is reviewed"),
        (lambda d, folder: foo.get_operator(MEND)(d, "found"), "no label to mend: accept"),
        (lambda d, folder: compare.compare(d, "found", "other"), "are not known to be errors"),
        (lambda d, folder: fit_verifier(d, "found"), "the run has 0 errors and 0 right detections"),
    ],
    ids=["export", "apply", "mend", "compare", "fit"],
)
def test_what_needs_truth_says_what_to_do(dataset: fo.Dataset, tmp_path: Path, call: Any, sentence: str) -> None:
    propose(dataset)
    propose(dataset, run_key="other")
    before = stored(dataset)
    with pytest.raises(ValueError, match=sentence):
        call(dataset, tmp_path)
    dataset.reload()
    assert stored(dataset) == before


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"pred_field": "none"}, "field 'none' does not exist"),
        ({"run_key": "a b"}, "can't begin a field name"),
        ({"confidence_threshold": 0.1}, "confidence_threshold must lie in"),
        ({"verifier": "nowhere.npz"}, "nowhere.npz"),
        ({"colour": 1}, "mining without truth has no setting colour; it has alike, class_confidence"),
        ({"class_map": {"a": "b"}}, "has no setting class_map"),
        ({"pred_field": None}, "missing: pred_field"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_writes_nothing(
    dataset: fo.Dataset, more: dict[str, Any], sentence: str
) -> None:
    before = stored(dataset)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as raised:
        propose(dataset, **more)
    assert "\n" not in str(raised.value)
    dataset.reload()
    assert stored(dataset) == before
    assert journal.read(dataset, "run:found") is None


def test_nothing_sure_enough_is_said(dataset: fo.Dataset) -> None:
    done = propose(dataset.skip(2))
    assert done["lists"] == {"confident": 0, "uncertain": 0, "missed": 0}
    assert any("nothing is listed" in note and "0.10" in note for note in done["warnings"])
    empty = fo.Dataset()
    empty.add_sample(fo.Sample("x.png", predictions=fo.Detections(detections=[])))
    with pytest.raises(ValueError, match="has no predictions in these 1 samples: run a model on them first"):
        propose(empty)


def test_a_strange_setting_of_mining_is_refused(dataset: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="use mine_without_truth"):
        foo.get_operator(MINE)(dataset, "predictions", "other", "found", ranked_by="confidence")


def test_the_form_can_be_sent_and_says_what_is_wrong(dataset: fo.Dataset) -> None:
    found = form(dataset, PROPOSE)
    assert problem(found) is None
    assert (found["pred_field"]["default"], found["run_key"]["default"]) == ("predictions", "proposals")
    assert "tracker" not in found, "of videos alone"
    assert "there is no gone.npz" in str(problem(form(dataset, PROPOSE, verifier="gone.npz")))
    propose(dataset)
    assert "run 'found' exists" in str(problem(form(dataset, PROPOSE, run_key="found")))
    assert "needs two fields of type Detections" in str(problem(form(dataset))), "the run's own field is no truth"
    dataset.delete_sample_field("predictions")
    assert "no field of Detections" in str(problem(form(dataset, PROPOSE)))


def test_delegated_it_does_the_same(dataset: fo.Dataset) -> None:
    foo.execute_operator(PROPOSE, {"dataset": dataset}, params=ASKED, request_delegation=True)
    service = DelegatedOperationService()
    service.execute_queued_operations(operator=PROPOSE, dataset_name=dataset.name)
    (done,) = service.list_operations(operator=PROPOSE, dataset_name=dataset.name)
    assert done.run_state == "completed", done.result.error
    dataset.reload()
    assert listed(dataset)[0.6][0] == "confident"
    assert dataset.match(F("found_count") > 0).count() == 2


def test_the_panel_shows_lists_and_asks_for_reviews(dataset: fo.Dataset) -> None:
    empty = event(dataset, "on_load")
    assert "Mine without truth" in empty.text, "there are predictions, and nothing else"
    asked = event(dataset, "prompt", empty.state, operator="mine_without_truth").requests["prompt_user_for_operation"]
    assert asked["operator_uri"] == PROPOSE
    propose(dataset)
    dataset.reload()
    shown = event(dataset, "on_load")
    assert shown.state["without_truth"]
    assert [fact[:2] for fact in shown.state["facts"]][:3] == [["Confident", "3"], ["Uncertain", "1"], ["Missed", "0"]]
    assert "Proposals by list" in shown.text
    assert "Sample weights" not in shown.text
    assert "Other confidence thresholds" not in shown.text
    bars = shown.data["charts"]["errors"][0]
    assert (bars["y"], bars["x"]) == (["confident", "uncertain", "missed"], [3, 1, 0])
    picked = event(dataset, "pick", shown.state, id=bars["ids"][0])
    assert "set_view" in picked.requests
    reviewing = event(dataset, "show_section", shown.state, section="review")
    assert reviewing.state["review"]["title"] == "Confident detection · cat · confidence 0.60"
    assert "Accept as truth" in reviewing.text
    for gone in ("Apply to weights", "Edit the label", "Expected label errors", "Label is missing", "full weight"):
        assert gone not in reviewing.text
    answer = {"review": "hard_negative", "key": reviewing.state["review"]["key"]}
    after = event(dataset, "give_review", reviewing.state, **answer)
    assert after.state["review"]["title"] == "Confident detection · cat · confidence 0.90"
    sheets = event(dataset, "review_by", after.state, mode="sheets")
    assert "1 confident detection" in sheets.text
    for gone in ("Expected:", "confident errors", "most suspected", "label errors found", "about 1 click"):
        assert gone not in sheets.text
