"""Confirmed missing labels: into a copy of the truth, saying where from, and on to FiftyOne's own annotation."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import fiftyone.utils.annotations as foua
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

from fiftyone_plugin.review import accepted_labels
from tests.datasets import ACCEPT, DELETE, FIELDS, MEND, MINE, TRIAGE, by_name, dataset_of, stored
from tests.scenes import FAR, HERE, apart, scene


@pytest.fixture
def dataset() -> fo.Dataset:
    """Two missing labels in ``a``, one in ``bare`` (which has no truth at all), a wrong label in ``b``."""
    rows = [("a", "cat", 0.9, FAR), ("a", "kitten", 0.8, apart(1)), ("bare", "cat", 0.8, FAR), ("b", "cat", 0.7, FAR)]
    made = dataset_of(scene(rows, [("a", "cat", HERE), ("b", "cat", HERE)]))
    bare = by_name(made)["bare"]
    bare["ground_truth"] = None
    bare.save()
    asked = {**FIELDS, "hard_negative_ratio": 1.0, "class_map": {"kitten": "cat"}, "unlabelled": "background"}
    foo.get_operator(MINE)(made, **asked, run_key="run")
    found = [box.id for name in ("a", "bare") for box in by_name(made)[name].predictions.detections]
    triage = foo.get_operator(TRIAGE)
    triage(made, run_key="run", state="missing_label", label_ids=found)
    wrong = by_name(made)["b"].ground_truth.detections[0].id
    triage(made, run_key="run", state="wrong_label", label_ids=[wrong])
    return made


def test_confirmed_labels_join_a_copy_of_the_truth(dataset: fo.Dataset) -> None:
    truth = dataset.values("ground_truth.detections.id")
    done = foo.get_operator(ACCEPT)(dataset, run_key="run")
    assert (done["output_field"], done["accepted"], done["samples"]) == ("ground_truth_accepted", 3, 2)
    samples = by_name(dataset)
    predicted = samples["a"].predictions.detections
    labels = samples["a"].ground_truth_accepted.detections
    assert [label.label for label in labels] == ["cat", "cat", "cat"]
    assert [label.bounding_box for label in labels[1:]] == [box.bounding_box for box in predicted]
    assert [getattr(label, "proposed_from", None) for label in labels] == [None, *(box.id for box in predicted)]
    assert labels[1].proposed_in == "predictions run"
    assert labels[1].confidence is None
    assert labels[1].id not in {box.id for box in predicted}
    assert len(samples["bare"].ground_truth_accepted.detections) == 1
    assert len(samples["b"].ground_truth_accepted.detections) == 1
    assert dataset.values("ground_truth.detections.id") == truth


def test_accepting_again_makes_another_copy(dataset: fo.Dataset) -> None:
    accept = foo.get_operator(ACCEPT)
    names = [accept(dataset, run_key="run")["output_field"] for _ in range(3)]
    assert names == ["ground_truth_accepted", "ground_truth_accepted_2", "ground_truth_accepted_3"]


def test_the_copy_carries_nothing_of_the_runs(dataset: fo.Dataset) -> None:
    foo.get_operator(ACCEPT)(dataset, run_key="run", output_field="better")
    assert [path for path in dataset.get_field_schema(flat=True) if path.startswith("better.detections.run_")] == []
    documents = dataset._sample_collection.find()
    boxes = [box for document in documents for box in (document["better"] or {}).get("detections", ())]
    assert not any(name.startswith("run_") for box in boxes for name in box)
    assert any(
        name.startswith("run_") for box in dataset.first().to_mongo_dict()["ground_truth"]["detections"] for name in box
    )


def test_the_copy_keeps_the_users_tags_and_none_of_the_runs(dataset: fo.Dataset) -> None:
    foo.get_operator(DELETE)(dataset, run_key="run")
    sample = by_name(dataset)["a"]
    sample.ground_truth.detections[0].tags = ["hard_negative", "night"]
    sample.save()
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run", hard_negative_ratio=1.0, class_map={"kitten": "cat"})
    assert by_name(dataset)["b"].ground_truth.detections[0].tags == ["hard_negative"]
    foo.get_operator(ACCEPT)(dataset, run_key="run")
    assert dataset.count_values("ground_truth_accepted.detections.tags") == {"hard_negative": 1, "night": 1}
    assert by_name(dataset)["b"].ground_truth.detections[0].tags == ["hard_negative"]


@pytest.mark.parametrize("order", [("run", "next"), ("next", "run")])
def test_every_run_takes_its_tags_back_from_its_own_field(dataset: fo.Dataset, order: tuple[str, str]) -> None:
    foo.get_operator(ACCEPT)(dataset, run_key="run")
    mine = {"pred_field": "predictions", "class_map": {"kitten": "cat"}, "hard_negative_ratio": 1.0}
    foo.get_operator(MINE)(dataset, gt_field="ground_truth_accepted", run_key="next", **mine)
    tagged = {"run": "ground_truth", "next": "ground_truth_accepted"}
    for key in order:
        assert dataset.count_values(f"{tagged[key]}.detections.tags")["hard_negative"]
        foo.get_operator(DELETE)(dataset, run_key=key)
        assert dataset.count_values(f"{tagged[key]}.detections.tags") == {}
    assert dataset.count_values("predictions.detections.tags") == {}


def test_the_copy_can_be_mined_against(dataset: fo.Dataset) -> None:
    foo.get_operator(ACCEPT)(dataset, run_key="run")
    again = foo.get_operator(MINE)(
        dataset, pred_field="predictions", gt_field="ground_truth_accepted", run_key="next", class_map={"kitten": "cat"}
    )
    assert again["report"]["statistics"]["false_positives"] == 1  # only the one that nobody confirmed


def test_wrong_labels_are_listed(dataset: fo.Dataset) -> None:
    (wrong,) = foo.get_operator(ACCEPT)(dataset, run_key="run")["wrong_labels"]
    sample = by_name(dataset)["b"]
    assert wrong == {
        "sample_id": sample.id,
        "filepath": sample.filepath,
        "field": "ground_truth",
        "label_id": sample.ground_truth.detections[0].id,
        "label": "cat",
        "error": "missed",
        "near_id": None,
    }


def test_what_cannot_be_accepted_is_said(dataset: fo.Dataset) -> None:
    accept = foo.get_operator(ACCEPT)
    with pytest.raises(
        ValueError, match="field 'predictions' exists: choose another output_field, or delete the field first"
    ):
        accept(dataset, run_key="run", output_field="predictions")
    foo.get_operator(TRIAGE)(dataset, undo=True)
    foo.get_operator(TRIAGE)(dataset, undo=True)
    with pytest.raises(ValueError, match="no prediction of run 'run' is reviewed as missing_label: review some first"):
        accept(dataset, run_key="run")
    assert dataset.get_field("ground_truth_accepted") is None


@pytest.mark.parametrize(
    "name", ["a.b", "ground_truth.detections.x", "$x", "_own", "a b", "1a", "a\n", "frames", 5, ["a"]]
)
def test_a_copy_gets_no_name_with_which_fiftyone_cannot_load_the_dataset(dataset: fo.Dataset, name: Any) -> None:
    before = stored(dataset)
    with pytest.raises(ValueError, match=r"output_field .* is (no valid field name|the field of a video's frames)"):
        foo.get_operator(ACCEPT)(dataset, run_key="run", output_field=name)
    assert stored(dataset) == before
    dataset.reload()


def test_truth_in_an_embedded_document_gets_its_copies_beside_it() -> None:
    rows, truth = [("a", "cat", 0.9, FAR), ("b", "cat", 0.9, FAR)], [("a", "cat", HERE), ("b", "dog", HERE)]
    dataset = dataset_of(scene(rows, truth))
    for sample in dataset:
        boxes = [box.copy() for box in sample.ground_truth.detections]
        sample["meta"] = fo.DynamicEmbeddedDocument(truth=fo.Detections(detections=boxes))
        sample.save()
    dataset.add_dynamic_sample_fields()
    asked = {**FIELDS, "gt_field": "meta.truth", "hard_negative_ratio": 1.0}
    foo.get_operator(MINE)(dataset, **asked, run_key="run")
    missing = by_name(dataset)["a"].predictions.detections[0].id
    foo.get_operator(TRIAGE)(dataset, run_key="run", state="missing_label", label_ids=[missing])
    ids = dataset.values("meta.truth.detections.id")
    accepted, mended = (foo.get_operator(each)(dataset, run_key="run") for each in (ACCEPT, MEND))
    copies = accepted["output_field"], mended["output_field"]
    assert copies == ("meta_truth_accepted", "meta_truth_corrected")
    dataset.reload()
    assert [dataset.count(f"{copy}.detections") for copy in copies] == [3, 3]
    assert dataset.values("meta.truth.detections.id") == ids
    foo.get_operator(DELETE)(dataset, run_key="run")
    assert not [path for path in dataset.get_field_schema(flat=True) if "run_" in path]


def test_the_form_says_why_not_and_the_result_what_was_done(dataset: fo.Dataset) -> None:
    def context(**request: Any) -> ExecutionContext:
        whole = {"dataset_name": dataset.name, "view": [], "params": {}, **request}
        return ExecutionContext(request_params=whole, executor=Executor(), operator_uri=ACCEPT)

    operator = foo.get_operator(ACCEPT)
    form = str(operator.resolve_type(context(params={"output_field": "predictions"}), "inputs").to_json())
    assert "field 'predictions' exists" in form
    asked = context(params={"run_key": "run", "output_field": "better"})
    done = operator.execute(asked)
    assert "reload_dataset" in {call.operator_uri for call in asked.executor._requests}
    said = str(operator.resolve_type(context(results=done), "outputs").to_json())
    assert "3 labels were added to 'better', with the id of the prediction" in said
    assert "1 label was reviewed as wrong and not changed" in said


class DeskConfig(foua.AnnotationBackendConfig):
    """An annotation tool that takes what it is sent: a real one needs a server."""

    @property
    def backend_name(self) -> str:
        return "desk"


class Desk(foua.AnnotationBackend):
    """Keeps what FiftyOne hands to it."""

    received: dict[str, Any] = {}  # noqa: RUF012

    supported_media_types = ("image",)
    supported_label_types = ("detections",)
    supported_scalar_types = ()
    supported_attr_types = ("text",)
    supports_keyframes = False
    supports_video_sample_fields = False
    requires_label_schema = False

    def recommend_attr_tool(self, name: str, value: Any) -> dict[str, Any]:
        return {"type": "text"}

    def requires_attr_values(self, attr_type: str) -> bool:
        return False

    def upload_annotations(self, samples: Any, anno_key: str, launch_editor: bool = False) -> Any:
        Desk.received = {"samples": samples, "schema": self.config.label_schema, "key": anno_key}
        return foua.AnnotationResults(samples, self.config, anno_key, {}, backend=self)


DeskConfig.build = lambda self: Desk(self)  # type: ignore[method-assign]


def test_fiftyones_own_annotate_is_given_the_copy(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fo.annotation_config.backends, "desk", {"config_cls": f"{__name__}.DeskConfig"})
    done = foo.get_operator(ACCEPT)(dataset, run_key="run", anno_key="round_1", backend="desk")
    view = Desk.received["samples"]
    assert {sample.id for sample in view} == {sample.id for sample in dataset}  # accepted in two, wrong in the third
    assert list(Desk.received["schema"]) == [done["output_field"]]
    proposed = [label for listed in view.values("ground_truth_accepted.detections.proposed_from") for label in listed]
    assert sum(label is not None for label in proposed) == 3
    assert dataset.list_annotation_runs() == ["round_1"]
    with pytest.raises(ValueError, match="'nowhere'"):
        accepted_labels.annotate(dataset, "run", "nowhere", "round_2")
