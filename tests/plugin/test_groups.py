"""A grouped dataset whose mined slice is not the one that it shows: a whole round, and every question on the way."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
import yaml
from fiftyone.operators.executor import ExecutionContext, Executor
from fiftyone.server.view import get_view
from PIL import Image

from fiftyone_plugin.actions import evaluations, export, predict, similar, train
from fiftyone_plugin.panel import picks
from fiftyone_plugin.review import accepted_labels, json_file, selection
from fiftyone_plugin.runs import records
from fiftyone_plugin.store import views
from tests.datasets import ACCEPT, APPLY, DELETE, EXPORT, FIELDS, MINE, TRIAGE, VIEW, note_models, stored
from tests.plugin.forms.test_forms import form, problem
from tests.plugin.operators.test_operators import in_the_app
from tests.plugin.panels import event, size_of

COMPARE, SIMILAR = (f"@hnm/hard-negative-mining/{name}" for name in ("compare_mining_runs", "find_similar_images"))
HERE, THERE, FAR = [0.1, 0.1, 0.2, 0.2], [0.6, 0.6, 0.2, 0.2], [0.1, 0.6, 0.2, 0.2]
GROUPS = 6


def boxes(*rows: tuple[str, list[float], float | None]) -> fo.Detections:
    return fo.Detections(
        detections=[fo.Detection(label=name, bounding_box=box, confidence=score) for name, box, score in rows]
    )


@pytest.fixture
def dataset(tmp_path: Path) -> fo.Dataset:
    """Six groups with a truth and two false alarms on the right; the left, which is shown, has no boxes."""
    made = fo.Dataset()
    made.add_group_field("group", default="left")
    samples = []
    for number in range(GROUPS):
        group = fo.Group()
        for name in ("left", "right"):
            path = tmp_path / f"{name}_{number}.png"
            Image.new("RGB", (60, 40), (40 * number, 80, 120)).save(path)
            sample = fo.Sample(filepath=str(path), group=group.element(name), tags=["train"])
            if name == "right":
                sample["predictions"] = boxes(("cat", HERE, 0.9), ("dog", THERE, 0.8))
                sample["ground_truth"] = boxes(("cat", FAR, None))
            samples.append(sample)
    made.add_samples(samples)
    return made


def right(dataset: fo.Dataset) -> fo.DatasetView:
    return dataset.select_group_slices("right")


def mined(dataset: fo.Dataset, key: str = "run", **settings: Any) -> fo.Dataset:
    made = {**FIELDS, "run_key": key, "hard_negative_ratio": 1.0, **settings}
    foo.get_operator(MINE)(right(dataset), **made)
    return dataset


def in_the_grid(dataset: fo.Dataset, requests: dict[str, Any]) -> Any:
    """What the App's server makes of a view that the App was told to show; only of groups the App shows one slice."""
    shown = get_view(dataset.name, stages=requests["view"], filters={}, pagination_data=True)
    assert shown.media_type == "image"
    return shown


def false_alarms(dataset: fo.Dataset) -> list[str]:
    return [label for some in right(dataset).values("predictions.detections.id") for label in some]


def test_a_whole_round(dataset: fo.Dataset, tmp_path: Path) -> None:
    before = stored(dataset)
    mined(dataset)
    samples = right(dataset).values("id")
    alarms = false_alarms(dataset)

    seen = foo.get_operator(VIEW)(dataset, "run", save_as="hard")
    assert sorted(seen.values("id")) == sorted(samples)
    assert seen.values("id") == foo.get_operator(VIEW)(right(dataset), "run").values("id")
    assert sorted(dataset.load_saved_view("hard").values("id")) == sorted(samples)
    dataset.delete_saved_view("hard")

    say = foo.get_operator(TRIAGE)
    say(dataset, "run", "missing_label", alarms[:1])
    say(right(dataset), "run", "wrong_label", alarms[3:4])
    weights = right(dataset).values("run_weight")
    assert foo.get_operator(APPLY)(dataset, "run")["review_count"] == 2
    assert right(dataset).values("run_weight") != weights

    mined(dataset, "again", confidence_threshold=0.85)
    done = foo.get_operator(COMPARE)(dataset, "run", "again")
    assert done["changes"]["false_positives"] == {"persistent": GROUPS, "new": 0, "fixed": GROUPS}
    settings = records.both(dataset, "run", "again")
    assert views.changed(dataset, *settings, "fixed").count("predictions.detections") == GROUPS

    done = foo.get_operator(ACCEPT)(dataset, "run")
    assert (done["accepted"], done["samples"]) == (1, 1)
    assert [wrong["label_id"] for wrong in done["wrong_labels"]] == alarms[3:4]
    assert right(dataset).count("ground_truth_accepted.detections") == GROUPS + 1
    assert len(accepted_labels.to_annotate(dataset, "run", "ground_truth_accepted")) == 2

    done = foo.get_operator(EXPORT)(dataset, "run", str(tmp_path / "out"), saved_view="exported")
    assert done["images"]["train"] == GROUPS
    assert sorted(dataset.load_saved_view("exported").values("id")) == sorted(samples)
    with (tmp_path / "out" / "weights.csv").open(encoding="utf-8") as file:
        found = {row["sample_id"]: float(row["weight"]) for row in csv.DictReader(file)}
    assert found == pytest.approx(dict(zip(*right(dataset).values(["id", "run_weight"]), strict=True)))

    for key in ("again", "run"):
        foo.get_operator(DELETE)(right(dataset), key)
    dataset.delete_sample_field("ground_truth_accepted")
    dataset.delete_saved_view("exported")
    assert stored(dataset) == before


@pytest.mark.parametrize("patches", [False, True])
def test_the_app_can_show_what_it_is_told_to(dataset: fo.Dataset, patches: bool) -> None:
    mined(dataset)
    result, requests = in_the_app(dataset, VIEW, run_key="run", patches=patches)
    shown = in_the_grid(dataset, requests["set_view"])
    assert result["count"] == len(shown) == (2 * GROUPS if patches else GROUPS)
    tiles = shown.values("id")[:2]
    request = {"dataset_name": dataset.name, "view": requests["set_view"]["view"], "selected": tiles, "params": {}}
    context = ExecutionContext(request_params=request, executor=Executor(), operator_uri=TRIAGE)
    chosen, of_samples = selection.selected_objects(context, "run")
    assert len(chosen) == (2 if patches else 6), "the truths that were missed too"
    assert set(of_samples) <= set(right(dataset).values("id"))


def test_mining_in_the_app_shows_the_hardest(dataset: fo.Dataset) -> None:
    _, requests = in_the_app(right(dataset), MINE, **FIELDS, run_key="run", view_target="CURRENT_VIEW")
    assert len(in_the_grid(dataset, requests["set_view"])) == GROUPS
    _, requests = in_the_app(right(dataset), MINE, **FIELDS, run_key="two", view_target="CURRENT_VIEW")
    _, requests = in_the_app(dataset, COMPARE, earlier_run_key="run", later_run_key="two", show="persistent")
    assert len(in_the_grid(dataset, requests["set_view"])) == GROUPS


def test_rounds_of_other_slices_are_not_compared(dataset: fo.Dataset) -> None:
    left = dataset.select_group_slices("left")
    for sample in left.iter_samples(autosave=True):
        sample["predictions"], sample["ground_truth"] = boxes(("cat", HERE, 0.9)), boxes(("cat", FAR, None))
    foo.get_operator(MINE)(left, **FIELDS, run_key="left")
    mined(dataset, "one")
    shown = event(dataset, "on_load")
    assert "▲" not in shown.text
    mined(dataset, "two", confidence_threshold=0.85)
    foo.get_operator(MINE)(left, **FIELDS, run_key="left_2")
    shown = event(dataset, "choose_run", event(dataset, "on_load").state, value="two")
    assert "since **one**" in " ".join(shown.state["remarks"])
    offered = form(dataset, COMPARE, later_run_key="two")
    assert offered["earlier_run_key"]["default"] == "one"
    assert problem(offered) is None


def test_every_mark_of_the_panel_leads_to_what_it_stands_for(dataset: fo.Dataset) -> None:
    mined(dataset)
    shown = event(dataset, "on_load")
    for chart, trace, index in shown.marks:
        pick = trace["ids"][index]
        fields = ["ground_truth"] if ":false_negatives:" in pick else ["predictions"]
        fields = list(FIELDS.values()) if chart == "difficulty" else fields
        view = in_the_grid(dataset, event(dataset, "pick", shown.state, id=pick).requests["set_view"])
        found = len(view) if chart == "weights" else sum(view.count(f"{field}.detections") for field in fields)
        assert found == size_of(chart, trace, index), pick
    hardest_first = event(dataset, "show_hardest", shown.state)
    hardest = hardest_first.requests["set_view"]
    assert len(in_the_grid(dataset, hardest)) == GROUPS
    back = event(dataset, "back", {**hardest_first.state, "past": [hardest["view"]]}).requests["set_view"]
    assert len(in_the_grid(dataset, back)) == GROUPS
    settings = records.settings_of(dataset, "run")
    pick = picks.of_error("false_positives", "background")
    assert len(picks.view_of(dataset, settings, pick, patches=True)) == 2 * GROUPS


def test_reviews_that_nobody_gave_leave_repeated_weights_alone(dataset: fo.Dataset) -> None:
    for number, sample in enumerate(right(dataset).iter_samples(autosave=True)):
        sample["ground_truth"] = boxes(("rare" if number == 0 else "cat", FAR, None))
        sample["predictions"] = boxes(("cat", HERE, 0.9)) if number % 3 == 0 else fo.Detections()
    mined(dataset, repeat_threshold=0.3)
    weights = right(dataset).values("run_weight")
    foo.get_operator(APPLY)(dataset, "run")
    assert right(dataset).values("run_weight") == weights


def test_the_pool_of_similar_images_is_in_every_slice(dataset: fo.Dataset) -> None:
    mined(dataset)
    dataset.add_sample_field("embedding", fo.VectorField)
    with pytest.raises(ValueError, match="no image has an embedding there: compute embeddings"):
        similar.find_similar(dataset, "run", embeddings_field="embedding")
    for sample in dataset.select_group_slices(["left", "right"]).iter_samples(autosave=True):
        sample["embedding"] = np.array([1.0, float(sample.group.name == "left")])
    done = similar.find_similar(dataset, "run", embeddings_field="embedding", k=4, tag="to_label")
    assert (done["queries"], done["pool"], done["found"]) == (GROUPS, GROUPS, 4)
    _, requests = in_the_app(dataset, SIMILAR, run_key="run", embeddings_field="embedding", k=3)
    assert len(in_the_grid(dataset, requests["set_view"])) == 3
    assert dataset.match_tags("to_label").count() == 4


def test_thresholds_are_chosen_in_every_slice(dataset: fo.Dataset) -> None:
    for number, sample in enumerate(right(dataset).iter_samples(autosave=True)):
        sample.tags = ["val" if number % 2 else "train"]
        sample.predictions.detections.append(fo.Detection(label="cat", bounding_box=FAR, confidence=0.95))
    mined(dataset, choose_thresholds=True)
    assert records.settings_of(dataset, "run").chosen_confidence["cat"] > 0.9


def test_forms_ask_every_slice(dataset: fo.Dataset) -> None:
    mined(dataset)
    foo.get_operator(TRIAGE)(dataset, "run", "missing_label", false_alarms(dataset)[:1])
    assert problem(form(dataset, ACCEPT, run_key="run")) is None
    assert problem(form(dataset, VIEW, run_key="run")) is None
    assert "6 of the dataset's 12 samples" in str(form(right(dataset), MINE, view_target="CURRENT_VIEW")["count"])


def test_training_can_begin(dataset: fo.Dataset, tmp_path: Path) -> None:
    mined(dataset)
    assert train.check(dataset, "run", None, tmp_path / "training").run_key == "run"
    assert len(export.labelled_samples(dataset, records.settings_of(dataset, "run"))) == GROUPS


def test_classes_of_every_slice_are_exported(dataset: fo.Dataset, tmp_path: Path) -> None:
    mined(dataset)
    dataset.default_classes = ["horse"]
    dataset.save()
    foo.get_operator(EXPORT)(dataset, "run", str(tmp_path / "out"))
    assert yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())["names"] == {0: "cat"}


def test_a_field_that_a_slice_keeps_is_not_called_new(dataset: fo.Dataset) -> None:
    note_models(dataset, "predictions", [{"model": "first.pt"}])
    assert not predict._covers(dataset.select_group_slices("left"), "predictions")
    assert predict._covers(right(dataset), "predictions")


def test_reviews_are_read_back_into_every_slice(dataset: fo.Dataset, tmp_path: Path) -> None:
    mined(dataset)
    foo.get_operator(TRIAGE)(dataset, "run", "missing_label", false_alarms(dataset)[:2])
    file_of = dict(zip(*right(dataset).values(["id", "filepath"]), strict=True))
    json_file.save_json(dataset, tmp_path / "reviews.json", file_of)
    foo.get_operator(TRIAGE)(dataset, undo=True)
    assert json_file.load_json(dataset, tmp_path / "reviews.json") == (2, 0)


def test_metrics_count_the_slice_that_was_evaluated(dataset: fo.Dataset) -> None:
    results = right(dataset).evaluate_detections("predictions", gt_field="ground_truth", eval_key="eval")
    assert evaluations.rate("fppi", right(dataset), results) == 2.0
    evaluations.write_false_alarms(right(dataset), results, "eval_fppi")
    assert right(dataset).values("eval_fppi") == [2] * GROUPS
