"""The operators from Python and through FiftyOne's executor: the same work, the same defaults, the same words."""

from __future__ import annotations

import csv
import json
from inspect import isgenerator
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone import ViewField as F
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, ExecutionError, Executor

from fiftyone_plugin.runs import compare, records
from tests.datasets import ACCEPT, DELETE, EXPORT, FIELDS, MINE, RENAME, TRIAGE, VIEW, by_name, dataset_of, stored
from tests.plugin.forms.test_forms import PREDICT, form
from tests.scenes import FAR, HERE, high, scene

RUN = {**FIELDS, "run_key": "run"}


def execute(samples: Any, uri: str, **params: Any) -> Any:
    """Through the executor, as the App does."""
    return foo.execute_operator(uri, {"view": samples.view()}, params=params).result


def in_the_app(samples: Any, uri: str, **params: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run ``execute`` as the App's server does; the result, and what the App was told to do, each the last time."""
    context = asked_by_the_app(samples, uri, **params)
    result = foo.get_operator(uri).execute(context)
    streamed = list(result) if isgenerator(result) else []
    requests = {call.operator_uri.rpartition("/")[2]: call.params for call in context.executor._requests}
    return requests["show_output"]["results"] if streamed else result, requests


def asked_by_the_app(samples: Any, uri: str, **params: Any) -> ExecutionContext:
    """A request as the App makes it: with how samples are selected."""
    names = {"dataset_name": samples._root_dataset.name, "view": samples.view()._serialize()}
    request = {**names, "params": params, "sample_selection_style": {}}
    return ExecutionContext(request_params=request, executor=Executor(), operator_uri=uri)


def output(uri: str, result: dict[str, Any]) -> str:
    """What the App shows when the operator is done, as text."""
    context = ExecutionContext(request_params={"results": result}, operator_uri=uri)
    return json.dumps(foo.get_operator(uri).resolve_type(context, "outputs").to_json(), ensure_ascii=False)


def written(dataset: fo.Dataset) -> list[Any]:
    paths = ("error", "difficulty", "iou", "suspicion", "state")
    objects = [f"{field}.detections.run_{name}" for field in FIELDS.values() for name in paths]
    return dataset.values([*objects, "run_score", "run_weight", "run_count", "tags"])


def test_python_and_the_executor_write_the_same() -> None:
    one, other = dataset_of(), dataset_of()
    first = foo.get_operator(MINE)(one, **RUN)
    second = execute(other, MINE, **RUN)
    assert written(one) == written(other)
    assert first == second
    assert records.settings_of(one, "run") == records.settings_of(other, "run")


def test_settings_named_in_python_reach_the_engine() -> None:
    dataset = dataset_of()
    low = foo.get_operator(MINE)(dataset, **FIELDS, run_key="low", confidence_threshold=0.2)
    high_ = execute(dataset, MINE, **FIELDS, run_key="high", confidence_threshold=0.85)
    assert low["report"]["mining"]["counted_predictions"] == 8  # and one on a crowd
    assert high_["report"]["mining"]["counted_predictions"] == 6


def test_mining_may_start_from_an_evaluation() -> None:
    dataset = dataset_of()
    dataset.evaluate_detections("predictions", gt_field="ground_truth", eval_key="eval", iou=0.75, progress=False)
    one = foo.get_operator(MINE)(dataset, eval_key="eval", run_key="run")
    other = execute(dataset, MINE, **FIELDS, run_key="other", iou_threshold=0.75)
    assert one["report"] == other["report"]
    settings = records.settings_of(dataset, "run")
    assert (settings.eval_key, settings.pred_field, settings.engine.iou_threshold) == ("eval", "predictions", 0.75)
    with pytest.raises(ValueError, match="has no evaluation 'old' of detections: evaluations of detections are 'eval'"):
        foo.get_operator(MINE)(dataset, eval_key="old", run_key="run")


def test_thresholds_per_class_come_from_rows() -> None:
    dataset = dataset_of(scene([("a", "a.b", 0.4, FAR), ("a", "cat", 0.4, HERE)], [("a", "cat", HERE)]))
    rows = {"c0": {"label": "a.b", "confidence": 0.3}, "c1": {}}
    result, _ = in_the_app(dataset, MINE, **RUN, class_rows=rows)
    assert result["report"]["mining"]["counted_predictions"] == 1
    assert records.settings_of(dataset, "run").engine.class_confidence == {"a.b": 0.3}


def test_what_is_mined_is_the_view_that_was_given() -> None:
    dataset = dataset_of()
    result = foo.get_operator(MINE)(dataset.limit(3), **RUN)
    assert result["report"]["mining"]["images"] == 3
    assert len(dataset.exists("run_score")) == 3
    assert len(dataset.load_run_view("run")) == 3


def test_a_view_that_hides_boxes_says_what_that_does() -> None:
    dataset = dataset_of()
    sure = dataset.filter_labels("predictions", F("confidence") > 0.5)
    result = foo.get_operator(MINE)(sure, **RUN)
    (note,) = [note for note in result["warnings"] if note.startswith("this view hides boxes (FilterLabels): rates")]
    assert note in json.dumps(form(sure, MINE))
    assert note not in foo.get_operator(MINE)(dataset.limit(3), **FIELDS, run_key="whole")["warnings"]


def test_mining_from_patches_mines_their_dataset_or_their_images() -> None:
    dataset = dataset_of()
    patches = dataset.to_patches("predictions")
    in_the_app(patches, MINE, **RUN, view_target="DATASET")
    assert dataset.count("run_score") == len(dataset)
    assert in_the_app(patches, MINE, **FIELDS, run_key="again")[0]["report"]["mining"]["images"] == len(dataset)


def test_the_form_choice_of_target_is_what_is_mined() -> None:
    dataset = dataset_of()
    in_the_app(dataset.limit(3), MINE, **RUN, view_target="CURRENT_VIEW")
    in_the_app(dataset.limit(3), MINE, **FIELDS, run_key="all", view_target="DATASET")
    assert len(dataset.exists("run_score")) == 3
    assert len(dataset.exists("all_score")) == 10


def test_errors_from_python_are_one_sentence() -> None:
    dataset = dataset_of()
    with pytest.raises(ValueError, match=r"^field 'nope' does not exist, but mining needs Detections; fields of .*$"):
        foo.get_operator(MINE)(dataset, "nope", "ground_truth", "run")
    assert dataset.list_runs() == []


def test_errors_through_the_executor_carry_the_sentence() -> None:
    with pytest.raises(ExecutionError, match="pred_field and gt_field are both 'predictions'"):
        execute(dataset_of(), MINE, pred_field="predictions", gt_field="predictions", run_key="run")


@pytest.mark.parametrize(
    ("uri", "params", "sentence"),
    [
        (
            MINE,
            {"pred_field": "predictions"},
            "mining needs pred_field, gt_field and run_key; missing: gt_field, run_key",
        ),
        (VIEW, {}, "has no mining run None: runs are 'run'"),
        (EXPORT, {"output_dir": "new"}, "has no mining run None: runs are 'run'"),
        (DELETE, {}, "has no mining run None: runs are 'run'"),
        (RENAME, {"new_run_key": "new"}, "has no mining run None: runs are 'run'"),
        (RENAME, {"run_key": "run"}, "new_run_key"),
    ],
)
def test_what_the_executor_is_not_told_is_named(uri: str, params: dict[str, Any], sentence: str) -> None:
    dataset = dataset_of()
    foo.get_operator(MINE)(dataset, **RUN)
    with pytest.raises(ExecutionError, match=sentence):
        execute(dataset, uri, **params)


@pytest.mark.parametrize(
    ("uri", "params", "sentence"),
    [
        *(
            (each, {"run_key": key}, "has no mining run .*: runs are 'run'")
            for each in (VIEW, DELETE)
            for key in (["run"], {"a": 1})
        ),
        (EXPORT, {"run_key": ["run"], "output_dir": "new"}, "has no mining run .*: runs are 'run'"),
        (EXPORT, {"run_key": "run", "output_dir": 5}, "output_dir must be a path, got 5"),
        (MINE, {**RUN, "run_key": "other", "split_field": 5}, "split_field must be a text, got 5"),
        (ACCEPT, {"run_key": "run", "output_field": 5}, "output_field 5 is no valid field name"),
    ],
)
def test_values_of_another_type_are_named_and_nothing_is_written(
    uri: str, params: dict[str, Any], sentence: str
) -> None:
    dataset = dataset_of()
    foo.get_operator(MINE)(dataset, **RUN)
    before = stored(dataset)
    with pytest.raises(ValueError, match=sentence):
        foo.get_operator(uri)(dataset, **params)
    with pytest.raises(ExecutionError, match=f"{sentence}|Validation error"):  # FiftyOne checks the form first
        execute(dataset, uri, **params)
    assert stored(dataset) == before


@pytest.mark.parametrize("value", ["false", "0"])
@pytest.mark.parametrize(
    ("uri", "name", "params"),
    [
        (MINE, "overwrite", RUN),
        (MINE, "appearance", {**RUN, "run_key": "other"}),
        (VIEW, "patches", {"run_key": "run"}),
        (EXPORT, "only_hard", {"run_key": "run", "output_dir": "new"}),
        (TRIAGE, "undo", {"run_key": "run", "state": "ignore"}),
        (PREDICT, "overwrite", {"model": "no_such.pt", "pred_field": "predictions"}),
        (PREDICT, "download", {"model": "no_such.pt", "pred_field": "new"}),
    ],
)
def test_no_operator_takes_a_text_for_true(uri: str, name: str, params: dict[str, Any], value: str) -> None:
    dataset = dataset_of()
    foo.get_operator(MINE)(dataset, **RUN)
    before = stored(dataset)
    sentence = f"{name} must be True or False, got '{value}'"
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        foo.get_operator(uri)(dataset, **params, **{name: value})
    with pytest.raises(ExecutionError, match=f"{sentence}|Validation error"):  # FiftyOne checks the form first
        execute(dataset, uri, **params, **{name: value})
    assert stored(dataset) == before
    assert records.keys(dataset) == ["run"]


def test_after_mining_the_app_shows_false_positives_hardest_first_beside_the_panel() -> None:
    dataset = dataset_of()
    _, calls = in_the_app(dataset, MINE, **RUN)
    shown = fo.DatasetView._build(dataset, calls["set_view"]["view"])
    assert shown.values("run_score") == sorted(shown.values("run_score"), reverse=True)
    assert shown.count("predictions.detections") == shown.count("predictions.detections.run_state") > 0
    assert calls["open_panel"]["name"] == "hard_negatives_panel"
    assert "reload_dataset" in calls


def test_after_mining_without_false_positives_the_view_is_left_alone() -> None:
    dataset = dataset_of(scene([("a", "cat", 0.9, HERE)], [("a", "cat", HERE), ("a", "cat", FAR)]))
    _, calls = in_the_app(dataset, MINE, **RUN)
    assert "set_view" not in calls


def test_the_output_tells_the_report_and_what_to_know() -> None:
    dataset = dataset_of(tags={"right": ["val"]})
    result, _ = in_the_app(dataset, MINE, **RUN)
    shown = output(MINE, result)
    assert "1 of 10 samples are not in split 'train' by sample tags" in shown
    assert "Hard-negative mining" in shown
    assert not set(json.loads(shown)["type"]["properties"]) & set(result), "a name of the result would show its value"
    json.dumps(result)


def test_delegated_mining_does_the_same() -> None:
    dataset = dataset_of()
    foo.execute_operator(MINE, {"dataset": dataset}, params=RUN, request_delegation=True)
    service = DelegatedOperationService()
    service.execute_queued_operations(operator=MINE, dataset_name=dataset.name)
    (done,) = service.list_operations(operator=MINE, dataset_name=dataset.name)
    assert done.run_state == "completed", done.result.error
    assert done.status.progress == 1.0
    other = dataset_of()
    foo.get_operator(MINE)(other, **RUN)
    dataset.reload()
    assert written(dataset) == written(other)


def test_viewing_a_run() -> None:
    dataset = dataset_of()
    foo.get_operator(MINE)(dataset, **RUN, hard_negative_ratio=1.0)
    view = foo.get_operator(VIEW)(dataset, "run")
    assert view.count("predictions.detections") == 5
    assert execute(dataset, VIEW, run_key="run")["count"] == len(view)
    result, calls = in_the_app(dataset, VIEW, run_key="run", type="false_negative", error="missed")
    shown = fo.DatasetView._build(dataset, calls["set_view"]["view"])
    assert shown.distinct("ground_truth.detections.run_error") == ["missed"]
    assert result["count"] == len(shown)
    with pytest.raises(ValueError, match="has no mining run 'ran': runs are 'run'"):
        foo.get_operator(VIEW)(dataset, "ran")


def test_deleting_a_run_clears_the_view_that_asks_for_its_fields() -> None:
    dataset = dataset_of()
    before = stored(dataset)
    foo.get_operator(MINE)(dataset, **RUN)
    result, calls = in_the_app(dataset, DELETE, run_key="run")
    assert set(calls) == {"clear_view", "reload_dataset"}
    assert len(result["fields"]) == 15
    assert stored(dataset) == before
    with pytest.raises(ValueError, match="has no mining run 'run': there is none yet, mine first"):
        foo.get_operator(DELETE)(dataset, "run")


def test_renaming_a_run() -> None:
    dataset = dataset_of()
    mine = foo.get_operator(MINE)
    mine(dataset, **RUN)
    mine(dataset, **FIELDS, run_key="later")
    compare.compare(dataset, "run", "later")
    compare.compare(dataset, "later", "run")
    before, indexes = written(dataset), dataset.list_indexes()
    result, calls = in_the_app(dataset, RENAME, run_key="run", new_run_key="run_1")
    assert set(calls) == {"clear_view", "reload_dataset"}
    assert result["fields"]["predictions.detections.run_change"] == "predictions.detections.run_1_change"
    assert len(result["fields"]) == 17
    assert set(dataset.list_indexes()) == {name.replace("run_", "run_1_") for name in indexes}
    assert compare.comparison_of(dataset, "later")["earlier_run_key"] == "run_1"
    assert dataset.count_values("ground_truth.detections.run_1_change") == dataset.count_values(
        "ground_truth.detections.later_change"
    )
    assert records.load(dataset, "run_1")[0].run_key == "run_1"
    back = foo.get_operator(RENAME)(dataset, "run_1", "run")
    assert back["run_key"] == "run"
    assert written(dataset) == before


def test_a_name_that_is_taken_renames_nothing() -> None:
    dataset = dataset_of()
    foo.get_operator(MINE)(dataset, **RUN)
    foo.get_operator(MINE)(dataset, **FIELDS, run_key="other")
    dataset.add_sample_field("mine_weight", fo.FloatField)
    before = stored(dataset)
    rename = foo.get_operator(RENAME)
    for new, sentence in (
        ("other", "run 'other' exists: choose another new_run_key, such as 'hard_negatives'$"),
        ("mine", "field 'mine_weight' exists and belongs to no mining run"),
        ("my run", "run_key 'my run' can't begin a field name"),
    ):
        with pytest.raises(ValueError, match=sentence):
            rename(dataset, "run", new)
    with pytest.raises(ValueError, match="has no mining run 'ran': runs are 'other', 'run'"):
        rename(dataset, "ran", "new")
    assert stored(dataset) == before


class TestExport:
    """From a run to a folder."""

    @pytest.fixture
    def dataset(self, tmp_path: Path) -> fo.Dataset:
        """Ten train images of which three are hard, one val, one test, one that nobody labelled."""
        train = [f"t{i}" for i in range(10)]
        wrong = [(name, "cat", 0.9 - i / 10, high(4)) for i, name in enumerate(train[:3])]
        right = [(name, "cat", 0.9, HERE) for name in (*train, "v", "e")]
        truth = [(name, "cat", HERE) for name in (*train, "v", "e")]
        folder = tmp_path / "images"
        folder.mkdir()
        tables = scene([*right, *wrong], truth, images=[*train, "v", "e", "new"])
        dataset = dataset_of(tables, folder, tags={"v": ["val"], "e": ["test"], "t0": ["train"]})
        new = by_name(dataset)["new"]
        new["ground_truth"] = None
        new.save()
        return dataset

    def rows(self, folder: Path) -> dict[str, dict[str, str]]:
        with (folder / "weights.csv").open() as file:
            return {Path(row["filepath"]).stem: row for row in csv.DictReader(file)}

    def test_the_whole_train_split_goes_with_its_weights(self, dataset: fo.Dataset, tmp_path: Path) -> None:
        labelled = dataset.exists("ground_truth")
        foo.get_operator(MINE)(labelled, **RUN, hard_negative_ratio=1.0, effective_sample_floor=0)
        summary = foo.get_operator(EXPORT)(dataset, "run", str(tmp_path / "out"))
        assert summary["images"] == {"train": 10, "val": 1, "test": 1}
        rows, samples = self.rows(tmp_path / "out"), by_name(dataset)
        assert set(rows) == {*(f"t{i}" for i in range(10)), "v", "e"}
        for name, row in rows.items():
            assert row["sample_id"] == samples[name].id
            assert row["split"] == {"v": "val", "e": "test"}.get(name, "train")
            assert float(row["weight"]) == (samples[name].run_weight or 1.0)
            assert int(row["hard_negatives"]) == (samples[name].run_count or 0)
        assert float(rows["t0"]["weight"]) == 2.0
        assert rows["t0"]["errors"] == "localization:1"
        lines = (tmp_path / "out" / "train.txt").read_text().split()
        assert len(lines) == summary["train_entries"] == sum(int(rows[f"t{i}"]["repeats"]) for i in range(10)) > 10
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert report["statistics"] == records.load(dataset, "run")[1].report["statistics"]
        assert "t0.jpg" in {path.name for path in (tmp_path / "out" / "images" / "train").iterdir()}

    def test_only_hard_images(self, dataset: fo.Dataset, tmp_path: Path) -> None:
        foo.get_operator(MINE)(dataset.exists("ground_truth"), **RUN, hard_negative_ratio=1.0)
        result = execute(
            dataset, EXPORT, run_key="run", output_dir=str(tmp_path / "o"), only_hard=True, media="symlink"
        )
        assert result["images"] == {"train": 3, "val": 1, "test": 1}
        tagged = {Path(path).stem for path in dataset.match_tags("hard_negative").values("filepath")}
        assert {name for name, row in self.rows(tmp_path / "o").items() if row["split"] == "train"} == tagged
        assert (tmp_path / "o" / "images" / "val" / "v.jpg").is_symlink()
        assert "3 train, 1 val, 1 test images" in output(EXPORT, result)

    def test_train_images_the_run_did_not_see_weigh_one(self, dataset: fo.Dataset, tmp_path: Path) -> None:
        foo.get_operator(MINE)(dataset.limit(4), **RUN)
        summary = foo.get_operator(EXPORT)(dataset, "run", tmp_path / "out")
        assert "6 train images were not mined by run 'run': their weight is 1" in summary["warnings"]
        assert {self.rows(tmp_path / "out")[f"t{i}"]["weight"] for i in range(4, 10)} == {"1.0"}

    def test_a_sample_held_out_after_mining_is_not_weighted(self, dataset: fo.Dataset, tmp_path: Path) -> None:
        foo.get_operator(MINE)(dataset.exists("ground_truth"), **RUN, hard_negative_ratio=1.0)
        sample = by_name(dataset)["t0"]
        sample.tags = ["val"]
        sample.save()
        foo.get_operator(EXPORT)(dataset, "run", tmp_path / "out")
        row = self.rows(tmp_path / "out")["t0"]
        assert (row["split"], row["weight"], row["repeats"]) == ("val", "1.0", "1")

    def test_classes_keep_the_datasets_own_numbers(self, dataset: fo.Dataset, tmp_path: Path) -> None:
        dataset.default_classes = ["dog", "cat"]
        foo.get_operator(MINE)(dataset.exists("ground_truth"), **RUN)
        foo.get_operator(EXPORT)(dataset, "run", tmp_path / "out")
        assert (tmp_path / "out" / "labels" / "train" / "t5.txt").read_text().startswith("1 ")
        dataset.default_classes = ["dog"]  # does not name them all
        foo.get_operator(EXPORT)(dataset, "run", tmp_path / "again")
        assert (tmp_path / "again" / "labels" / "train" / "t5.txt").read_text().startswith("0 ")

    def test_unfit_runs_and_folders_are_refused(self, dataset: fo.Dataset, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="has no mining run 'run': there is none yet, mine first"):
            foo.get_operator(EXPORT)(dataset, "run", tmp_path / "out")
        foo.get_operator(MINE)(dataset, **FIELDS, run_key="monitor", mine_split="val")
        with pytest.raises(
            ValueError, match="run 'monitor' monitors split 'val' and has no weights; held-out images are"
        ):
            foo.get_operator(EXPORT)(dataset, "monitor", tmp_path / "out")
        foo.get_operator(MINE)(dataset.exists("ground_truth"), **RUN)
        with pytest.raises(FileExistsError, match="exists and is not empty"):
            foo.get_operator(EXPORT)(dataset, "run", tmp_path)
        assert not (tmp_path / "out").exists()
