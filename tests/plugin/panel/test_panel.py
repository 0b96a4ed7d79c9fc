"""The panel: the run's own numbers, every mark a way to what it stands for, and a word where there is nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.store import ExecutionStore

from fiftyone_plugin.panel import figures, hard_negatives, picks, steps, turns
from fiftyone_plugin.runs import lifecycle, records
from fiftyone_plugin.settings import RunSettings
from fiftyone_plugin.store.lock import lease
from tests.datasets import DELETE, EXPORT, FIELDS, MINE, being, dataset_of
from tests.plugin.panels import Shown, event, mined, size_of
from tests.scenes import FAR, HERE, everything_at_once, high, random_scene, scene


class Store:
    """Where the panel keeps which steps were taken."""

    def __init__(self, dataset: fo.Dataset) -> None:
        self.dataset = dataset

    def store(self, name: str) -> Any:
        return ExecutionStore.create(name, dataset_id=self.dataset._doc.id)


def facts(shown: Shown) -> dict[str, str]:
    return {name: value for name, value, *_ in shown.state["facts"]}


def overview_of(made: fo.Dataset, key: str = "run") -> dict[str, Any]:
    return dict(json.loads(made.get_run_info(key).config.overview))


@pytest.fixture(scope="module")
def dataset() -> Iterator[fo.Dataset]:
    made = mined()
    yield made
    made.delete()


def test_without_a_run_it_invites_to_mine() -> None:
    shown = event(dataset_of(), "on_load")
    assert "This dataset has no mining run yet" in shown.text
    assert shown.data == {}
    assert shown.next_step == "1 Mine"
    assert shown.enabled == ["1 Mine"]
    assert list(shown.steps) == ["1 Mine", "2 Look", "3 Review", "4 Export", "5 Retrain"], "the way is seen beforehand"
    prompt = event(dataset_of(), "take_step", shown.state, step="mine").requests["prompt_user_for_operation"]
    assert (prompt["operator_uri"], prompt["params"]) == (MINE, {})
    assert "Predict with YOLO" not in shown.text


def test_hardest_first_without_false_positives_says_so() -> None:
    made = mined(confidence_threshold=1.0)
    asked = event(made, "show_hardest", event(made, "on_load").state).requests
    assert "set_view" not in asked
    assert "mined no false positives: click a bar" in asked["notify"]["message"]


def test_without_predictions_it_offers_to_predict() -> None:
    made = dataset_of()
    made.delete_sample_field("predictions")
    shown = event(made, "on_load")
    assert "Mining needs two fields of type Detections" in shown.text
    assert "Predict with YOLO" in shown.text
    prompt = event(made, "prompt", shown.state, operator="predict_with_yolo").requests["prompt_user_for_operation"]
    assert (prompt["operator_uri"], prompt["params"]) == (MINE.replace("mine_hard_negatives", "predict_with_yolo"), {})


def test_it_says_what_the_report_says(dataset: fo.Dataset) -> None:
    shown = event(dataset, "on_load")
    statistics = records.load(dataset, "run")[1].report["statistics"]
    assert statistics["false_positives"] == 5
    assert facts(shown)["False positives"] == "5"
    assert facts(shown)["Predictions"] == f"{statistics['total_predictions']}"
    assert "**5**" in shown.text


def test_warnings_are_read_in_the_panel() -> None:
    tagged = dataset_of(tags={"right": ["val"]})
    shown = event(mined(dataset=tagged), "on_load")
    assert "are never weighted" in " ".join(shown.state["remarks"])
    assert "are never weighted" in shown.text


def test_charts_show_every_confident_prediction_and_every_miss_once(dataset: fo.Dataset) -> None:
    shown = event(dataset, "on_load")
    report = records.load(dataset, "run")[1].report
    drawn = {name: sum(size_of(*mark) for mark in shown.marks if mark[0] == name) for name in shown.data["charts"]}
    confident = report["mining"]["counted_predictions"] + report["mining"]["ignored"]  # drawn in grey
    errors = report["statistics"]["false_positives"] + report["statistics"]["false_negatives"]
    mined_objects = report["statistics"]["hard_negatives"]
    assert max(size_of(*mark) for mark in shown.marks if mark[0] == "difficulty") == mined_objects
    assert max(size_of(*mark) for mark in shown.marks if mark[0] == "weights") == report["mining"]["images"]
    curves = {name: drawn.pop(name) for name in ("difficulty", "weights")}
    assert all(curves.values())
    assert drawn.pop("confusions") == report["errors"]["classification"]["false_positives"]
    assert drawn == dict.fromkeys(("scatter", "confidence", "iou"), confident) | dict.fromkeys(
        ("errors", "classes"), errors
    )


ON_EDGES = scene(
    [("a", "cat", 0.9, high(4)), ("b", "cat", 0.88, high(3.7)), ("c", "cat", 1.0, HERE), ("d", "cat", 0.5, FAR)],
    [(image, "cat", HERE) for image in "abc"],
)
"""Confidences and IoUs on the edges of bins, and others of their name in the bins below."""


@pytest.mark.parametrize(
    "tables", [everything_at_once(), random_scene(3), ON_EDGES], ids=["everything", "random", "on edges"]
)
def test_every_mark_leads_to_as_many_objects_as_it_stands_for(tables: Any) -> None:
    made = mined(dataset=dataset_of(tables), key="crowded")
    settings = records.settings_of(made, "crowded")
    for chart, trace, index in event(made, "on_load").marks:
        pick = trace["ids"][index]
        view = picks.view_of(made, settings, pick)
        fields = ["ground_truth"] if ":false_negatives:" in pick else ["predictions"]
        fields = ["predictions", "ground_truth"] if chart == "difficulty" else fields
        objects = sum(view.count(f"{field}.detections") for field in fields)
        assert (len(view) if chart == "weights" else objects) == size_of(chart, trace, index), pick
        order = view.values("crowded_weight" if chart == "weights" else "crowded_score")
        assert order == sorted(order, reverse=True), "hardest first"


def test_predictions_below_the_threshold_are_found_without_a_field() -> None:
    rows = [("a", "cat", 0.45, HERE), ("b", "dog", 0.45, FAR), ("c", "dog", 0.2, FAR), ("d", "cat", 0.9, FAR)]
    made = mined(dataset=dataset_of(scene(rows, [("a", "cat", HERE)])), class_confidence={"dog": 0.3})
    made.add_sample(fo.Sample("later.jpg", predictions=made.first().predictions.copy()))
    settings = records.settings_of(made, "run")

    def names(pick: str) -> set[str]:
        view = picks.view_of(made, settings, pick)
        return {path.rpartition("/")[2] for path in view.values("filepath")}

    assert names(picks.of_error("false_positives", "below_threshold")) == {"a.jpg", "c.jpg"}
    assert names(picks.of_bin("confidence", 9, "below_threshold")) == {"a.jpg"}
    assert names(picks.of_cell(20, 4, 0, "below_threshold")) == {"c.jpg"}


def test_a_pair_of_confused_classes_is_a_view() -> None:
    rows = [("a", "dog:1", 0.9, HERE), ("b", "cat", 0.9, HERE), ("b", "dog:1", 0.8, FAR), ("c", "dog:1", 0.7, high(9))]
    made = mined(dataset=dataset_of(scene(rows, [("a", "cat", HERE), ("b", 'a "cow"', HERE), ("c", "cat", HERE)])))
    made.add_sample(fo.Sample("unlabelled.jpg"))
    shown = event(made, "on_load")
    (trace,) = shown.data["charts"]["confusions"]
    assert dict(zip(trace["y"], trace["x"], strict=True)) == {"cat → dog:1": 2, 'a "cow" → cat': 1}
    for pick, expected in zip(trace["ids"], (["a", "c"], ["b"]), strict=True):
        clicked = event(made, "pick", shown.state, id=pick).requests["set_view"]["view"]
        view = fo.DatasetView._build(made, clicked)
        assert sorted(path.rpartition("/")[2].removesuffix(".jpg") for path in view.values("filepath")) == expected
        assert view.count("predictions.detections") == len(expected)


def test_the_slider_counts_again_what_mining_at_that_threshold_counts() -> None:
    made = mined(dataset=dataset_of(random_scene(4, images=12, levels=20)))
    shown = event(made, "on_load")
    assert shown.state["counts"]["chosen"] == 0.5
    for threshold in (0.3, 0.5, 0.75):
        moved = event(made, "change_threshold", shown.state, value=threshold)
        row = next(row for row in moved.state["counts"]["rows"] if row[0] == threshold)
        report = mined("other", made, confidence_threshold=threshold, overwrite=True).get_run_info("other")
        overview = json.loads(report.config.overview)["report"]["statistics"]
        assert row[1:4] == [overview[f"{name}s"] for name in ("false_positive", "false_negative", "true_positive")]
        assert f"At **{threshold:.2f}**: **{row[1]:,}** false positives" in json.loads(json.dumps(moved.text))
    prompt = event(made, "mine_at", moved.state).requests["prompt_user_for_operation"]
    assert prompt["operator_uri"] == MINE
    assert prompt["params"] == {**FIELDS, "confidence_threshold": 0.75}


def test_unlabelled_samples_have_a_button_that_mines_them_as_background() -> None:
    made = dataset_of(scene([("a", "cat", 0.9, FAR), ("new", "cat", 0.8, FAR)], [("a", "cat", HERE)]))
    all_labelled = event(mined(dataset=made), "on_load")
    assert "mine_as_background" not in all_labelled.text
    sample = made.match({"filepath": {"$regex": "new"}}).first()
    sample[FIELDS["gt_field"]] = None
    sample.save()
    mined(dataset=made, overwrite=True)
    shown = event(made, "on_load")
    assert "Mine with unlabelled samples as background" in shown.text
    prompt = event(made, "mine_as_background", shown.state).requests["prompt_user_for_operation"]
    assert prompt["operator_uri"] == MINE
    assert prompt["params"] == {**FIELDS, "confidence_threshold": 0.5, "unlabelled": "background"}


def test_a_click_filters_the_grid(dataset: fo.Dataset) -> None:
    state = event(dataset, "on_load").state
    shown = event(dataset, "pick", state, id=picks.of_error("false_positives", "duplicate"))
    view = fo.DatasetView._build(dataset, shown.requests["set_view"]["view"])
    assert [path.endswith("duplicate.jpg") for path in view.values("filepath")] == [True]
    assert shown.data == {}, "charts stay as they are"


def test_classes_beyond_the_worst_are_one_bar_and_a_view() -> None:
    made = mined(dataset=dataset_of(random_scene(3)))
    worst = [name for name, *_ in overview_of(made)["classes"]]
    view = picks.view_of(made, records.settings_of(made, "run"), "others:false_positives", classes=worst[:1])
    assert set(view.distinct("predictions.detections.label")) == set(worst[1:])
    folded = figures.classes([("cat:1", 2, 0)], (3, 4, 5))
    assert [(trace["y"], trace["x"]) for trace in folded] == [
        (["cat:1", "3 more"], [2, 4]),
        (["cat:1", "3 more"], [0, 5]),
    ]


def test_a_mapped_class_is_found_under_the_name_it_has_on_each_side() -> None:
    made = dataset_of(scene([("a", "kitty", 0.9, HERE), ("a", "dog", 0.8, FAR)], [("a", "cat", FAR)]))
    mined(dataset=made, class_map={"kitty": "cat"})
    shown = event(made, "on_load")
    counted = {
        (trace["name"], name): n
        for t, trace, i in shown.marks
        if t == "classes"
        for name, n in [(trace["y"][i], trace["x"][i])]
    }
    assert counted == {("false positives", "cat"): 1, ("false positives", "dog"): 1, ("false negatives", "cat"): 1}
    for chart, trace, index in shown.marks:
        if chart == "classes" and trace["name"] == "false positives":
            view = picks.view_of(made, records.settings_of(made, "run"), trace["ids"][index])
            assert view.count("predictions.detections") == 1


def test_patches_show_one_object_a_tile(dataset: fo.Dataset) -> None:
    state = event(dataset, "on_load").state
    drawn = event(dataset, "change_tiles", state, value=False)  # as the App does when it draws the switch
    assert "set_view" not in drawn.requests, "the grid was changed by opening the panel"
    switched = event(dataset, "change_tiles", drawn.state, value=True)
    at_once = fo.DatasetView._build(dataset, switched.requests["set_view"]["view"])
    assert at_once.values("predictions.run_state") == ["unreviewed"] * len(at_once), "the hardest, one object a tile"
    state = switched.state
    shown = event(dataset, "pick", state, id=picks.of_error("false_positives", "background"))
    view = fo.DatasetView._build(dataset, shown.requests["set_view"]["view"])
    back = event(dataset, "change_tiles", shown.state, value=False).requests["set_view"]["view"]
    whole = fo.DatasetView._build(dataset, back)
    assert whole.count("predictions.detections") == len(view), "the same objects, whole samples"
    assert len(view) == records.load(dataset, "run")[1].report["errors"]["background"]["false_positives"]
    assert set(view.values("predictions.run_error")) == {"background"}


def test_back_shows_what_the_grid_showed_before(dataset: fo.Dataset) -> None:
    state, part = event(dataset, "on_load").state, dataset.limit(2)
    first = event(dataset, "pick", state, view=part, id=picks.of_error("false_positives", "duplicate"))
    seen = fo.DatasetView._build(dataset, first.requests["set_view"]["view"])
    second = event(dataset, "show_all", first.state, view=seen)
    back = event(dataset, "back", second.state)
    assert fo.DatasetView._build(dataset, back.requests["set_view"]["view"])._serialize() == seen._serialize()
    again = event(dataset, "back", back.state)
    assert fo.DatasetView._build(dataset, again.requests["set_view"]["view"])._serialize() == part._serialize()
    assert again.state["past"] == []
    assert "clear_view" in event(dataset, "back", again.state).requests


def test_a_point_selects_one_box(dataset: fo.Dataset) -> None:
    shown = event(dataset, "on_load")
    trace = next(trace for trace in shown.data["charts"]["scatter"] if trace["name"] == "localization")
    view = picks.view_of(dataset, records.settings_of(dataset, "run"), trace["ids"][0])
    box = view.first().predictions.detections
    assert [(b.run_error, b.confidence, b.run_iou) for b in box] == [("localization", *trace["x"], *trace["y"])]


def test_the_ways_back(dataset: fo.Dataset) -> None:
    state = event(dataset, "on_load").state
    assert "clear_view" in event(dataset, "show_all", state).requests
    hardest = fo.DatasetView._build(dataset, event(dataset, "show_hardest", state).requests["set_view"]["view"])
    assert set(hardest.distinct("predictions.detections.run_state")) == {"unreviewed"}


def test_the_steps_lead_from_one_to_the_next() -> None:
    made = mined()
    shown = event(made, "on_load")
    offered = [step.name for step in steps.available(hard_negatives.SECTIONS)]
    assert [label.split()[1].lower() for label in shown.enabled] == offered
    assert offered[:4] == ["mine", "look", "review", "export"]
    assert shown.next_step == "2 Look"
    shown = event(made, "show_hardest", shown.state)
    assert shown.next_step == "3 Review"
    assert event(made, "on_load").next_step == shown.next_step, "remembered with the dataset"
    shown = event(made, "take_step", shown.state, step="review")
    assert shown.next_step == "3 Review", "opening it is not doing it"
    prompt = event(made, "take_step", shown.state, step="export")
    asked = prompt.requests["prompt_user_for_operation"]
    assert (asked["operator_uri"], asked["params"]) == (EXPORT, {"run_key": "run"})
    for missing in ({}, {"run_state": "queued"}):
        waiting = event(made, "form_done", prompt.state, result=missing)
        assert waiting.next_step == prompt.next_step, "failed, or not done yet"
    taken = event(made, "form_done", prompt.state, result={"images": 3})
    assert "export" in steps.done(Store(made), taken.state["runs"][0])
    assert taken.next_step == "5 Retrain"
    mined(dataset=made, overwrite=True)
    assert event(made, "on_change_view", taken.state).next_step == "2 Look", "a new run begins anew"


def test_what_the_grid_shows_changes_nothing(dataset: fo.Dataset) -> None:
    whole, part = event(dataset, "on_load"), event(dataset, "on_load", view=dataset.limit(1))
    assert part.data == whole.data
    assert part.state | {turns.WINDOW: ""} == whole.state | {turns.WINDOW: ""}


def test_another_view_sends_nothing_anew(dataset: fo.Dataset) -> None:
    before = event(dataset, "on_load")
    after = event(dataset, "on_change_view", before.state, view=dataset.limit(1))
    assert (after.data, after.state) == ({}, before.state)


def test_a_reloaded_page_gets_its_charts_again(dataset: fo.Dataset) -> None:
    first = event(dataset, "on_load")
    assert event(dataset, "on_load", first.state).data == first.data


def test_the_newest_run_is_shown_and_the_others_can_be_chosen() -> None:
    made = mined("later", mined("a_run", confidence_threshold=0.85))
    shown = event(made, "on_load")
    assert shown.state["head"]["run"] == "later"
    assert [run["key"] for run in shown.state["runs"]] == ["later", "a_run"]
    chosen = event(made, "choose_run", shown.state, value="a_run")
    assert chosen.state["head"]["run"] == "a_run"
    assert facts(chosen) != facts(shown)
    assert chosen.data["charts"]["confidence"] != shown.data["charts"]["confidence"]
    rates = shown.data["trend"]["rates"]
    assert [trace["x"] for trace in rates] == [["a_run", "later"]] * 2, "in the order of time"
    clicked = event(made, "pick", shown.state, id=rates[0]["ids"][0])
    assert clicked.state["head"]["run"] == "a_run"


def test_rounds_that_can_not_be_compared_stand_apart() -> None:
    made = mined("train_1")
    half = len(made) // 2
    made.limit(half).tag_samples("val")
    made.skip(half).tag_samples("train")
    mined("val_1", made, mine_split="val")
    mined("train_2", made)
    rates, _ = event(made, "on_load").data["trend"]["rates"]
    assert rates["x"] == ["train_1", "train_2", "  ", "val_1"]
    assert [value is None for value in rates["y"]] == [False, False, True, False]
    assert "connectgaps" not in rates


def test_the_headline_says_what_changed_since_the_round_before() -> None:
    made = mined("second", mined("first"), confidence_threshold=0.85)
    shown = event(made, "on_load")
    now, then = (overview_of(made, key)["report"]["rates"]["fppi"] for key in ("second", "first"))
    changes = {name: (change, better) for name, _, _, change, better in shown.state["facts"] if change}
    assert changes["False positives"] == (f"▼ {then - now:.2f} better", True)
    assert changes["Precision"][0].endswith("pts better")
    assert "the change since **first**; different settings: confidence_threshold 0.5 → 0.85" in " ".join(
        shown.state["remarks"]
    )
    first = event(made, "choose_run", shown.state, value="first")
    assert {change for *_, change, _ in first.state["facts"]} == {""}, "there was nothing before"
    assert "▲" not in first.text


def test_what_changed_since_a_round_of_fewer_images_says_so() -> None:
    made = dataset_of()
    foo.get_operator(MINE)(made.limit(2), **FIELDS, run_key="some")
    remarks = event(mined("all", made), "on_load").state["remarks"]
    assert f"since **some**; different settings: images 2 → {len(made)}" in " ".join(remarks)


def test_a_run_that_was_just_mined_appears_by_itself() -> None:
    made = dataset_of()
    empty = event(made, "on_load")
    mined(dataset=made)
    shown = event(made, "on_change_view", empty.state)
    assert shown.state["head"]["run"] == "run"
    assert shown.data["charts"]["errors"]


def test_a_run_made_again_under_its_key_is_another_one() -> None:
    made = mined()
    before = event(made, "on_load")
    mined(dataset=made, confidence_threshold=0.85, overwrite=True)
    assert facts(event(made, "on_change_view", before.state)) != facts(before)


def test_a_deleted_run_vanishes_with_the_view_that_showed_it() -> None:
    made = mined("second", mined("first"))
    state = event(made, "on_load").state
    foo.get_operator(DELETE)(made, "second")
    shown = event(made, "on_change_view", state)
    assert shown.state["head"]["run"] == "first"
    assert shown.data["trend"]["fppi"][0]["x"] == ["first"]
    foo.get_operator(DELETE)(made, "first")
    assert "no mining run yet" in event(made, "on_change_view", shown.state).text


def test_a_click_into_a_deleted_run_says_so() -> None:
    made = mined("second", mined("first"))
    state = event(made, "on_load").state
    foo.get_operator(DELETE)(made, "second")
    shown = event(made, "pick", state, id=picks.of_error("false_positives", "background"))
    assert "has no mining run 'second'" in shown.requests["notify"]["message"]
    assert shown.state["head"]["run"] == "first"


def test_a_round_that_only_lost_its_predecessor_stays_and_compares_no_more() -> None:
    made = mined("second", mined("first"), confidence_threshold=0.85)
    shown = event(made, "on_load")
    foo.get_operator(DELETE)(made, "first")
    after = event(made, "on_change_view", shown.state)
    assert after.state["head"]["run"] == "second"
    assert {change for *_, change, _ in after.state["facts"]} == {""}


def test_a_run_that_is_being_written_is_waited_for() -> None:
    made = mined()
    with lease(made, "run:run", operator="mine_hard_negatives") as held:
        held.begin("run:run", "writing", {})
        shown = event(made, "on_load")
        assert "Run run is being written" in shown.text
        assert shown.ticks
        assert shown.enabled == ["1 Mine"]
        held.finish("run:run", {})
    done = event(made, "refresh", shown.state)
    assert done.data["charts"]["errors"]
    assert not done.ticks
    assert done.next_step == "2 Look"


def test_an_interrupted_run_says_so() -> None:
    made = mined()
    with being(made, "run"):
        pass
    shown = event(made, "on_load")
    assert "run 'run' was interrupted while it was being written (mine_hard_negatives, by " in shown.text
    assert "charts" not in shown.data
    assert not shown.ticks


def test_an_overview_that_can_not_be_read_says_so() -> None:
    made = mined()
    for overview, words in (
        (
            '{"warnings": []}',
            "the overview of run 'run' cannot be read (KeyError: 'report'): delete it, then mine again",
        ),
        ("{", "the overview of run 'run' cannot be read (JSONDecodeError: "),
    ):
        info = made.get_run_info("run")
        info.config.overview = overview
        lifecycle.MiningRun.update_run_config(made, "run", info.config)
        shown = event(made, "on_load")
        assert words in json.loads(json.dumps(shown.state["trouble"]))
        assert shown.state["trouble"] in json.loads(
            json.dumps(shown.output["type"]["properties"]["problem"]["view"]["description"])
        )
        prompt = event(made, "prompt", shown.state, operator="delete_mining_run").requests["prompt_user_for_operation"]
        assert (prompt["operator_uri"], prompt["params"]) == (DELETE, {"run_key": "run"})


def test_data_that_came_back_as_state_are_forgotten(dataset: fo.Dataset) -> None:
    shown = event(dataset, "on_load")
    both = shown.state | shown.data
    after = event(dataset, "change_tiles", both, value=True)
    assert [after.state[name] for name in ("charts", "trend")] == [None, None], "else the App merges them with the next"
    assert len(json.dumps(after.state)) < 3000


def test_the_state_stays_small_whatever_the_run() -> None:
    small, large = (mined(dataset=dataset_of(random_scene(5, images=n)), key="run") for n in (5, 60))
    sizes = [len(json.dumps(event(made, "on_load").state)) for made in (small, large)]
    assert max(sizes) < 3000


@pytest.mark.parametrize(
    ("pick", "message"),
    [
        ("nonsense", "no bar or point has the id 'nonsense'"),
        ("error:sideways:background", "side must be one of false_positives, false_negatives, got 'sideways'"),
        ("error:false_positives:huge", "error must be one of .*, got 'huge'"),
        ("bin:colour:3:background", "chart must be one of confidence, iou, got 'colour'"),
        ("bin:iou:20:background", "bin must be one of 0 to 19, got 20"),
        ("cell:40:40:0:background", "bin must be one of 0 to 39, got 40"),
    ],
)
def test_no_view_for_what_is_no_mark(dataset: fo.Dataset, pick: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        picks.view_of(dataset, RunSettings.from_params({**FIELDS, "run_key": "run"}), pick)
