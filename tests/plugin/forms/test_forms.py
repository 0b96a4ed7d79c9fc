"""The forms, as the App asks for them: what they offer, and why they can't be sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone import ViewField as F
from fiftyone.operators.executor import ExecutionContext, Executor

from fiftyone_plugin.actions.predict import PredictSettings
from fiftyone_plugin.forms import parts
from fiftyone_plugin.store import checks
from hnm_core import MiningSettings
from hnm_core.export import ExportSettings
from hnm_core.settings import Option, options
from hnm_core.strategies import Difficulty, forget_strategy, register_strategy
from hnm_core.training.plan import TrainerSettings, TrainingPlan
from tests.datasets import DELETE, EXPORT, FIELDS, MINE, RENAME, VIEW, dataset_of
from tests.scenes import FAR, HERE, scene

PREDICT = "@hnm/hard-negative-mining/predict_with_yolo"
TRAIN = "@hnm/hard-negative-mining/train_on_hard_negatives"
Form = dict[str, dict[str, Any]]


def form(samples: Any, uri: str = MINE, selected: list[str] | None = None, **params: Any) -> Form:
    """The inputs of an operator as JSON, by name."""
    view = samples.view()._serialize()
    request = {"dataset_name": samples._root_dataset.name, "view": view, "selected": selected or [], "params": params}
    operator = foo.get_operator(uri)
    context = ExecutionContext(request_params=request, executor=Executor(), operator_uri=uri)
    before = dict(context.params)
    properties = operator.resolve_type(context, "inputs").to_json()["type"]["properties"]
    assert context.params == before, "resolve_input must not write into the parameters"
    return properties


def problem(found: Form) -> str | None:
    """Why the form can't be sent: what it shows, and what bars it."""
    shown = found.get("problem")
    if shown is None:
        assert not any(prop["invalid"] for prop in found.values())
        return None
    assert shown["invalid"]
    assert shown["view"]["name"] == "Warning"
    assert shown["view"]["description"] == shown["error_message"]
    return str(shown["error_message"])


@pytest.fixture
def dataset() -> fo.Dataset:
    return dataset_of(scene([("a", "cat", 0.9, FAR), ("b", "cat", 0.8, HERE)], [(n, "cat", HERE) for n in "ab"]))


def test_a_dataset_that_can_be_mined_can_be_sent_as_it_stands(dataset: fo.Dataset) -> None:
    found = form(dataset)
    assert problem(found) is None
    assert found["pred_field"]["default"] == "predictions"
    assert found["gt_field"]["default"] == "ground_truth"
    assert found["run_key"]["default"] == "hard_negatives"


def test_every_engine_setting_is_offered_with_its_own_default_range_and_help(dataset: fo.Dataset) -> None:
    found = form(dataset, show_advanced=True)
    for each in options(MiningSettings):
        if each.kind != "class_numbers":  # in rows, below
            check_row(found[each.name], each)


def check_row(offered: dict[str, Any], declared: Option) -> None:
    """A row says what its option declares."""
    default = declared.default
    assert offered["view"]["label"] == declared.label
    assert declared.described in offered["view"]["description"]
    assert not offered["required"]
    if declared.kind in ("whole", "number"):
        assert (offered["type"]["min"], offered["type"]["max"]) == (declared.low, declared.high)
    shown = list(default) if isinstance(default, tuple) else default
    assert offered["default"] == (None if declared.kind == "class_lists" else shown)


def test_other_forms_offer_the_same_defaults_as_python(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run")
    for uri, kinds in ((EXPORT, [ExportSettings]), (TRAIN, [TrainerSettings, TrainingPlan])):
        found = form(dataset, uri, show_advanced=True)
        rows = [each for kind in kinds for each in options(kind) if each.name in found]
        assert len(rows) >= 5
        for each in rows:
            check_row(found[each.name], each)
    found = form(dataset, PREDICT, pred_field="predictions", model="yolo11n.pt")
    for each in options(PredictSettings):
        assert found[each.name]["default"] == each.default
    assert "download" not in form(dataset, PREDICT)


def test_what_needs_another_setting_is_asked_after_it(dataset: fo.Dataset) -> None:
    dataset.add_sample_field("scene", fo.StringField)
    found = form(dataset, show_advanced=True)
    assert not {"max_per_group", "target_precision", "chosen_confidence"} & set(found)
    assert {"group_field", "choose_thresholds", "appearance", "classes", "class_map"} <= set(found)
    assert "max_per_group" in form(dataset, show_advanced=True, group_field="scene")
    assert "target_precision" in form(dataset, show_advanced=True, choose_thresholds=True)


def test_a_training_that_cannot_be_bars_the_form(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run")
    assert problem(form(dataset, TRAIN, epochs=0)) == "epochs must be a whole number, 1 or more, got 0"
    assert problem(form(dataset, TRAIN, warmup=-1)) == "warmup must be a whole number of epochs, 0 or more, got -1"


def test_thresholds_per_class_are_rows_called_by_number(dataset: fo.Dataset) -> None:
    def rows(**params: Any) -> Form:
        return form(dataset, show_advanced=True, **params)["class_rows"]["type"]["properties"]

    first = rows()
    assert set(first) == {"c0"}
    row = first["c0"]["type"]["properties"]
    assert [choice["value"] for choice in row["label"]["view"]["choices"]] == ["cat"]
    assert (row["iou"]["type"]["min"], row["confidence"]["type"]["max"]) == (0.01, 1)
    assert set(rows(class_rows={"c0": {"label": "a.b"}})) == {"c0", "c1"}
    assert set(rows(class_rows={"c0": {}, "c1": {"label": "a.b"}})) == {"c0", "c1", "c2"}
    dataset.default_classes = ["dog", "a.b/c d"]
    row = rows()["c0"]["type"]["properties"]
    assert [choice["value"] for choice in row["label"]["view"]["choices"]] == ["a.b/c d", "dog"]
    asked = {"c0": {"label": "", "confidence": 0.5}}
    assert str(problem(form(dataset, class_rows=asked))).startswith("row 1 of the thresholds per class names no class")


def test_what_will_be_mined_is_counted(dataset: fo.Dataset) -> None:
    assert form(dataset)["count"]["view"]["label"] == "Mines 2 of the dataset's 2 samples"
    dataset[:1].tag_samples("val")
    assert form(dataset)["count"]["view"]["label"] == "Mines 1 of the dataset's 2 samples"
    assert form(dataset[:1], mine_split="val")["count"]["view"]["label"] == "Mines 1 of the dataset's 2 samples"
    assert form(dataset[1:], mine_split="val")["count"]["view"]["label"] == "Mines 0 of the dataset's 2 samples"


def test_a_count_that_takes_too_long_is_let_go(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = dataset.match(F("filepath").apply(F() != "x"))
    assert checks.count_within(slow, 60_000) == 2
    monkeypatch.setattr(checks, "count_within", lambda samples, milliseconds: None)
    assert form(dataset)["count"]["view"]["label"] == "Mines the train split of up to 2 samples"


def test_an_evaluation_to_start_from(dataset: fo.Dataset) -> None:
    assert "eval_key" not in form(dataset)
    dataset.evaluate_detections("predictions", "ground_truth", eval_key="eval", iou=0.7, classwise=False)
    found = form(dataset)
    assert found["eval_key"]["type"]["values"] == ["eval"]
    assert {"pred_field", "gt_field", "iou_threshold"} <= set(found)
    found = form(dataset, eval_key="eval", pred_field="ground_truth", show_advanced=True)
    assert problem(found) is None
    assert not {"pred_field", "gt_field", "iou_threshold", "class_agnostic"} & set(found)
    assert found["from_evaluation"]["view"]["label"] == (
        "Taken from 'eval': predictions 'predictions', ground truth 'ground_truth', IoU 0.7, class-agnostic"
    )
    assert "has no evaluation 'gone' of detections: evaluations of detections are 'eval'" in str(
        problem(form(dataset, eval_key="gone"))
    )


def test_only_the_main_settings_show_until_more_are_asked_for(dataset: fo.Dataset) -> None:
    found = form(dataset)
    shown = [each.name for each in options(MiningSettings) if each.name in found]
    assert shown == ["strategy", "confidence_threshold", "iou_threshold", "hard_negative_ratio"]


def test_strategies_of_the_users_own_are_offered(dataset: fo.Dataset) -> None:
    @register_strategy("my_own")
    def my_own(evidence: Any) -> Difficulty:
        raise NotImplementedError

    try:
        assert form(dataset)["strategy"]["view"]["choices"][-1]["value"] == "my_own"
    finally:
        forget_strategy("my_own")


@pytest.mark.parametrize(
    ("found", "guess"),
    [
        (["ground_truth", "predictions"], ("predictions", "ground_truth")),
        (["yolo11n", "gt"], ("yolo11n", "gt")),
        (["faster_rcnn", "labels", "detr"], ("detr", "labels")),
        (["predicted_labels", "ground_truth"], ("predicted_labels", "ground_truth")),
        (["a", "b"], ("b", "a")),
        (["model", "b"], ("model", "b")),
    ],
)
def test_fields_are_guessed_by_name(found: list[str], guess: tuple[str, str]) -> None:
    assert parts.guess_fields(found) == guess


def test_too_few_fields_are_told_with_those_found(dataset: fo.Dataset) -> None:
    dataset.delete_sample_field("predictions")
    dataset.add_sample_field("weather", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
    found = form(dataset)
    assert problem(found) == (
        f"mining needs two fields of type Detections, predictions and ground truth; {dataset.name!r} has ground_truth "
        f"(Detections), weather (Classification); Predict with YOLO can make predictions"
    )
    assert "pred_field" not in found


def test_a_dataset_without_labels_is_told_so() -> None:
    empty = fo.Dataset()
    assert str(problem(form(empty))).endswith(f"{empty.name!r} has no label field")


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"pred_field": "ground_truth"}, "pred_field and gt_field are both 'ground_truth'"),
        ({"run_key": "my run"}, "run_key 'my run' can't begin a field name"),
        ({"mine_split": "val"}, "none of the 2 samples is in split 'val' by sample tags"),
        ({"class_map": "person"}, "class_map must be a mapping"),
        ({"class_iou": '{"cat": 7}'}, "class_iou['cat'] must lie in [0.01, 1], got 7"),
    ],
)
def test_what_python_would_refuse_bars_the_form(dataset: fo.Dataset, params: dict[str, Any], sentence: str) -> None:
    assert str(problem(form(dataset, **{**FIELDS, "run_key": "run", **params}))).startswith(sentence)


def test_an_empty_view_bars_the_form(dataset: fo.Dataset) -> None:
    assert str(problem(form(dataset.match(F("filepath") == "")))).startswith("the view has no samples")


def test_fields_without_boxes_bar_the_form(dataset: fo.Dataset) -> None:
    dataset.set_values("predictions.detections", [[], []])
    assert str(problem(form(dataset))).startswith("field 'predictions' has no predictions in the 2 samples to mine")
    dataset.clear_sample_field("ground_truth")
    dataset.set_values("predictions", [fo.Detections(detections=[fo.Detection()])] * 2)
    assert str(problem(form(dataset))).startswith("field 'ground_truth' has no ground truth in the 2 samples")


def test_the_target_view_is_what_is_checked(dataset: fo.Dataset) -> None:
    first = dataset.first()
    first["predictions"] = None
    first.save()
    assert problem(form(dataset)) is None
    assert str(problem(form(dataset, selected=[first.id], view_target="SELECTED_SAMPLES"))).startswith(
        "field 'predictions' has no predictions in the 1"
    )
    assert problem(form(dataset, selected=[first.id], view_target="DATASET")) is None
    patches = dataset.to_patches("ground_truth")
    assert str(problem(form(patches, view_target="CURRENT_VIEW"))).startswith("this view shows patches")


@pytest.mark.parametrize("uri", [MINE, PREDICT])
def test_of_patches_the_dataset_is_offered(dataset: fo.Dataset, uri: str) -> None:
    patches = dataset.to_patches("ground_truth")
    found = form(patches, uri)
    assert found["view_target"]["default"] == "DATASET"
    assert found["view_target"]["type"]["values"] == ["DATASET"]
    chosen = form(patches, uri, selected=patches.values("id")[:1])
    assert chosen["view_target"]["type"]["values"] == ["DATASET", "SELECTED_SAMPLES"]
    if uri == MINE:
        assert problem(found) is None
        assert "Mines 2 of the dataset's 2 samples" in str(found["count"])
        assert "Mines 1 of the dataset's 2 samples" in str(chosen["count"])


@pytest.mark.parametrize("uri", [MINE, PREDICT])
def test_all_samples_are_offered_whatever_the_grid_shows(dataset: fo.Dataset, uri: str) -> None:
    looked_at = dataset.filter_labels("predictions", F("confidence") > 0.5)
    assert form(looked_at, uri)["view_target"]["default"] == "DATASET"
    assert form(looked_at, uri, selected=[dataset.first().id])["view_target"]["default"] == "SELECTED_SAMPLES"


def test_an_existing_key_asks_whether_to_replace(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="mine")
    assert form(dataset)["run_key"]["default"] == "hard_negatives"
    found = form(dataset, run_key="mine")
    assert str(problem(found)).startswith("run 'mine' exists: choose another run_key, such as 'hard_negatives'")
    assert "overwrite" in found
    assert problem(form(dataset, run_key="mine", overwrite=True)) is None


def test_nothing_is_required_that_has_a_default(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run")
    for uri in (MINE, VIEW, EXPORT, DELETE, RENAME):
        found = form(dataset, uri, show_advanced=True)
        assert {name for name, prop in found.items() if prop["required"]} <= {"new_run_key", "view_target"}


def test_an_export_is_offered_a_folder_of_its_own(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run")
    offered = Path(form(dataset, EXPORT)["output_dir"]["default"])
    assert offered == Path(fo.config.default_dataset_dir, "hard_negatives", dataset.slug, "run_export")
    offered.mkdir(parents=True)
    assert form(dataset, EXPORT)["output_dir"]["default"] == f"{offered}_2"


@pytest.mark.parametrize("uri", [VIEW, EXPORT, DELETE, RENAME])
def test_runs_are_chosen_from_those_there_are(dataset: fo.Dataset, uri: str) -> None:
    assert problem(form(dataset, uri)) == f"{dataset.name!r} has no mining run yet: mine first (Mine hard negatives)"
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="two")
    found = form(dataset, uri)
    assert problem(found) is None
    assert found["run_key"]["default"] == "two"
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="one")
    found = form(dataset, uri)
    assert found["run_key"]["type"]["values"] == ["one", "two"]
    assert found["run_key"]["default"] == "one", "the newest"


def test_deleting_says_what_goes_before_it_goes(dataset: fo.Dataset) -> None:
    for key in ("one", "two"):
        foo.get_operator(MINE)(dataset, **FIELDS, run_key=key)
    found = form(dataset, DELETE)["what"]["view"]
    assert found["label"] == "This removes 15 fields of run 'two', and cannot be undone"
    assert "two_count, two_difficulty" in found["description"]
    assert form(dataset, DELETE, run_key="one")["what"]["view"]["label"].startswith(
        "This removes 15 fields of run 'one'"
    )
    context = ExecutionContext(request_params={"dataset_name": dataset.name, "params": {}}, operator_uri=DELETE)
    shown = foo.get_operator(DELETE).resolve_type(context, "inputs").to_json()["view"]
    assert shown["submit_button_label"] == "Delete"


def test_renaming_says_why_a_name_cannot_be_had(dataset: fo.Dataset) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="one")
    assert problem(form(dataset, RENAME)) is None
    assert problem(form(dataset, RENAME, new_run_key="two")) is None
    assert str(problem(form(dataset, RENAME, new_run_key="one"))).endswith(
        "another new_run_key, such as 'hard_negatives'"
    )
    assert str(problem(form(dataset, RENAME, new_run_key="a b"))).startswith("run_key 'a b' can't begin a field name")


def test_an_export_that_would_fail_bars_the_form(dataset: fo.Dataset, tmp_path: Path) -> None:
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="run")
    assert problem(form(dataset, EXPORT, run_key="run", output_dir=str(tmp_path / "new"))) is None
    (tmp_path / "something").touch()
    sentence = problem(form(dataset, EXPORT, run_key="run", output_dir=str(tmp_path)))
    assert sentence == f"{tmp_path} exists and is not empty: export into a new folder"
    dataset.tag_samples("val")
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="monitor", mine_split="val")
    sentence = problem(form(dataset, EXPORT, run_key="monitor", output_dir=str(tmp_path / "new")))
    assert str(sentence).startswith("run 'monitor' monitors split 'val' and has no weights")


def test_a_strategy_that_compares_with_a_second_model_asks_for_its_field(dataset: fo.Dataset) -> None:
    found = form(dataset, strategy="learnability_based")
    assert "second_field" not in found, "the dataset has no third field of boxes"
    assert "compares with a second model, and none is given" in (problem(found) or "")
    dataset.set_values("second", dataset.values("predictions"))
    assert "second_field" not in form(dataset), "a further setting of the other strategies"
    named = {**FIELDS, "strategy": "learnability_based"}
    asked = form(dataset, **named)
    assert asked["second_field"]["type"]["values"] == ["second"]
    assert list(asked).index("second_field") < list(asked).index("show_advanced")
    assert "name their field in FiftyOne as second_field" in (problem(asked) or "")
    assert problem(form(dataset, **named, second_field="second", show_advanced=True)) is None
