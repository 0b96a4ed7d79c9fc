"""The panel's review: the right crop, a click each, numbers that move, and the state kept small."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from PIL import Image

from fiftyone_plugin import looking, runs, triage
from fiftyone_plugin import review as reviewing
from fiftyone_plugin.ledger import Ledger
from fiftyone_plugin.review import open_review
from tests.datasets import APPLY, DELETE, FIELDS, MINE, TRIAGE, by_name, dataset_of
from tests.plugin.test_panel import Shown, event
from tests.scenes import FAR, HERE, everything_at_once, high, scene


def mined(
    folder: Path | None = None, dataset: fo.Dataset | None = None, key: str = "run", **settings: Any
) -> fo.Dataset:
    rows = [(f"s{i}", "cat", 0.95 - i / 50, FAR) for i in range(6)] + [("near", "dog", 0.9, high(4))]
    truth = [*((f"s{i}", "cat", HERE) for i in range(2)), ("near", "dog", HERE)]
    dataset = dataset or dataset_of(scene(rows, truth), folder=folder)
    foo.get_operator(MINE)(dataset, **FIELDS, run_key=key, **{"hard_negative_ratio": 1.0, **settings})
    return dataset


def opened(dataset: fo.Dataset) -> Shown:
    return event(dataset, "show_section", event(dataset, "on_load").state, section="review")


def click(dataset: fo.Dataset, shown: Shown, verdict: str) -> Shown:
    """Click a verdict, with the parameters that its button carries."""
    return event(dataset, "give_verdict", shown.state, **button_of(shown, verdict)["params"])


def crop(shown: Shown) -> str:
    """The picture that was sent, as the address that holds it."""
    return str(shown.data["review_question.crop"])


def button_of(shown: Shown, name: str) -> dict[str, Any]:
    def found(node: Any) -> Any:
        if isinstance(node, dict):
            if name in node and isinstance(node[name], dict) and "view" in node[name]:
                return node[name]["view"]
            return next(filter(None, map(found, node.values())), None)
        return None

    view = found(shown.output)
    assert view, f"no {name} in {shown.text}"
    return dict(view)


def test_it_opens_on_a_crop_and_says_what_it_is(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    shown = opened(dataset)
    state = shown.state["review"]
    assert state["mined"] == state["left"] == 10
    assert json.dumps(state["title"])[1:-1] in shown.text
    picture = Image.open(io.BytesIO(base64.b64decode(crop(shown).partition(",")[2])))
    assert picture.format == "JPEG"
    assert max(picture.size) == 360
    assert len(json.dumps(shown.state)) < 10_000
    assert {"hard_negative", "missing_label", "wrong_label", "ignore", "skip", "undo", "apply"} <= set(
        name
        for name in ("hard_negative", "missing_label", "wrong_label", "ignore", "skip", "undo", "apply")
        if button_of(shown, name)
    )


def test_a_click_is_written_down_and_the_next_one_comes(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    first = opened(dataset)
    second = click(dataset, first, "missing_label")
    assert second.state["review"]["key"] != first.state["review"]["key"]
    assert second.state["review"]["left"] == 9
    assert crop(second) != crop(first)
    (said,) = Ledger(dataset).entries()
    named = f"{said['side']}:{said['label_id']}"
    assert (named, said["state"]) == (first.state["review"]["key"], "missing_label")
    assert second.state["review"]["now"][0] == 1
    assert second.state["review"]["now"][1:] != first.state["review"]["now"][1:]
    assert second.state["review"]["before"] == first.state["review"]["before"]


def test_the_second_click_of_a_double_one_says_nothing_of_the_next_crop(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    first = opened(dataset)
    second = click(dataset, first, "ignore")
    third = click(dataset, first, "ignore")  # sent before the answer to the first had come
    assert third.state["review"]["key"] == second.state["review"]["key"]
    assert len(Ledger(dataset).entries()) == 1


def test_looks_narrow_the_interval(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    shown = opened(dataset)
    for _ in range(6):
        shown = click(dataset, shown, "hard_negative")
    (_, was, was_low, was_high, *_), (looks, now, low, high_, *_) = (
        shown.state["review"][n] for n in ("before", "now")
    )
    assert looks == 6
    assert now < was
    assert high_ - low < was_high - was_low
    assert [point[0] for point in shown.state["review"]["trend"]] == list(range(7))
    assert f"{was:.0f} → {now:.0f}" in json.dumps(shown.output, ensure_ascii=False)
    trend = shown.data["review_trend"]
    assert trend[2]["x"] == [0, *range(7)]


@pytest.mark.parametrize("select", ["on_change_selected", "on_change_selected_labels"])
def test_what_is_said_in_the_grid_arrives_once_nothing_is_selected(tmp_path: Path, select: str) -> None:
    dataset = mined(tmp_path)
    first = opened(dataset)
    review = open_review(dataset, first.state["head"]["run"])
    key = first.state["review"]["key"]
    other = next(review.keys[row] for row in review.asked_for.nonzero()[0] if review.keys[row] != key)
    triage.triage(dataset, first.state["head"]["run"], "hard_negative", [other])
    heard = event(dataset, select, first.state)
    assert heard.state["review"]["now"][0] == 1
    assert heard.state["review"]["key"] == key, "the crop in front of the person stays"
    triage.triage(dataset, first.state["head"]["run"], "hard_negative", [key])
    assert event(dataset, select, heard.state).state["review"]["key"] not in (None, key)
    elsewhere = event(dataset, "show_section", heard.state, section="charts")
    assert event(dataset, select, elsewhere.state).state["review"] == elsewhere.state["review"]


def test_undo_shows_the_object_again(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    first = opened(dataset)
    second = event(dataset, "undo_review", click(dataset, first, "wrong_label").state)
    assert second.state["review"]["key"] == first.state["review"]["key"]
    assert second.state["review"]["now"] == first.state["review"]["now"]
    assert second.data["review_trend"][2]["x"] == [0, 0, 0]  # as long as before, or the App keeps the old end
    assert Ledger(dataset).entries() == []
    nothing = event(dataset, "undo_review", second.state)
    assert "nothing to undo" in nothing.requests["notify"]["message"]
    assert nothing.state["review"]["key"] == first.state["review"]["key"]


def test_undo_says_what_it_withdrew_and_what_only_mining_again_can_weigh(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    first = opened(dataset)
    second = click(dataset, first, "ignore")
    mined(dataset=dataset, overwrite=True)
    undone = event(dataset, "undo_review", second.state).requests["notify"]["message"]
    again = "1 object was to be ignored when run 'run' was mined: mine again to weigh it"
    assert undone == f"Withdrawn: ignore, 1 object. {again}"
    mined(dataset=dataset, key="fresh")
    shown = opened(dataset)
    while shown.state["review"]["key"] != first.state["review"]["key"]:
        shown = event(dataset, "skip", shown.state)
    told = click(dataset, shown, "hard_negative").requests["notify"]["message"]
    assert told == f"Reviewed: hard negative, 1 object. {again}"
    assert "notify" not in click(dataset, opened(dataset), "hard_negative").requests


def test_skipping_shows_all_others_first_and_then_comes_back(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    shown = opened(dataset)
    seen = []
    for _ in range(10):
        seen.append(shown.state["review"]["key"])
        shown = event(dataset, "skip", shown.state)
    assert len(set(seen)) == 10
    assert shown.state["review"]["key"] in seen
    assert shown.state["review"]["left"] == 10


def test_of_a_truth_nobody_is_asked_whether_its_label_is_missing(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    truths = set(dataset.values("ground_truth.detections.id", unwind=True))
    shown, seen = opened(dataset), set()
    for _ in range(10):
        of_truth = shown.state["review"]["key"].partition(":")[2] in truths
        assert ('"missing_label"' in shown.text) == (not of_truth)
        assert '"wrong_label"' in shown.text
        seen.add(of_truth)
        shown = event(dataset, "skip", shown.state)
    assert seen == {True, False}


def test_in_the_end_it_says_so_and_applies(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    weights = dataset.values("run_weight")
    shown = opened(dataset)
    for _ in range(10):
        shown = click(
            dataset, shown, "missing_label" if "Background" in shown.state["review"]["title"] else "hard_negative"
        )
    assert shown.state["review"]["key"] is None
    assert "All 10 mined objects are reviewed" in shown.text
    assert dataset.values("run_weight") == weights
    applied = event(dataset, "apply_reviews", shown.state)
    assert "Weights follow 10 looks" in applied.requests["notify"]["message"]
    assert "reload_samples" in applied.requests
    assert dataset.values("run_weight") != weights
    assert applied.state["review"]["key"] is None
    assert [point[0] for point in applied.state["review"]["trend"]] == list(range(11)), "and its trend stays"


def test_truths_that_are_corrected_copies_of_predictions_are_asked_for_apart(tmp_path: Path) -> None:
    boxes = [fo.Detection(label="cat", bounding_box=[0.1, 0.1, 0.2, 0.2], confidence=0.9) for _ in range(4)]
    dataset = fo.Dataset()
    dataset.add_samples(
        [fo.Sample(str(tmp_path / f"{n}.jpg"), predictions=fo.Detections(detections=[boxes[n]])) for n in range(4)]
    )
    dataset.clone_sample_field("predictions", "ground_truth")
    for sample in dataset.iter_samples(autosave=True):
        sample.ground_truth.detections[0].label = "dog"
    mined(tmp_path, dataset=dataset)
    review = open_review(dataset, "run")
    assert review.left() == 8
    shown = opened(dataset)
    for said in range(8):
        assert shown.state["review"]["left"] == 8 - said
        shown = click(dataset, shown, "wrong_label")
    assert shown.state["review"]["key"] is None
    entries = Ledger(dataset).entries()
    assert len(entries) == len({(entry["side"], entry["label_id"]) for entry in entries}) == 8
    foo.get_operator(APPLY)(dataset, run_key="run")
    assert dataset.values("run_weight") == [1.0] * 4


def test_what_others_say_meanwhile_is_caught_up_with(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    shown = opened(dataset)
    others = [i for i in open_review(dataset, "run").keys if i != shown.state["review"]["key"]]
    foo.get_operator(TRIAGE)(dataset, run_key="run", state="ignore", label_ids=others[:4], reviewer="bob")
    shown = click(dataset, shown, "hard_negative")
    assert shown.state["review"]["left"] == 5
    assert shown.state["review"]["key"] in others[4:]
    undone = event(dataset, "undo_review", shown.state)
    assert undone.state["review"]["left"] == 6  # bob's words stand


def test_results_are_read_once_until_they_are_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, loaded = mined(tmp_path), []
    load = runs.load
    monkeypatch.setattr(reviewing.runs, "load", lambda *args: (loaded.append(args), load(*args))[1])
    shown = opened(dataset)
    for _ in range(3):
        shown = click(dataset, shown, "hard_negative")
    assert len(loaded) == 1
    mined(tmp_path, dataset, overwrite=True)
    again = event(dataset, "on_load", shown.state)
    assert len(loaded) == 2
    assert again.state["review"]["now"][0] == 3


def test_of_a_large_run_the_next_looks_are_thought_out_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviewing, "LARGE", 1)
    monkeypatch.setattr(reviewing, "QUEUE", 4)
    dataset, seen = mined(tmp_path), []
    shown = opened(dataset)
    for _ in range(10):
        seen.append(shown.state["review"]["key"])
        shown = click(dataset, shown, "hard_negative")
        if ahead := open_review(dataset, "run")._ahead:
            ahead.join()
    assert len(set(seen)) == 10
    assert shown.state["review"]["key"] is None
    assert open_review(dataset, "run")._ahead is not None


def test_the_review_of_a_run_that_is_gone_says_so(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    shown = opened(dataset)
    foo.get_operator(DELETE)(dataset, run_key="run")
    after = click(dataset, shown, "ignore")
    assert "has no mining run 'run'" in after.requests["notify"]["message"]


def test_runs_that_repeat_rare_classes_are_reviewed_too(tmp_path: Path) -> None:
    dataset = mined(None, mined(tmp_path, repeat_threshold=0.9), "plain")
    assert dataset.values("run_weight") != dataset.values("plain_weight")
    review = open_review(dataset, "run")
    weights = dict(zip(*dataset.values(["id", "run_weight"]), strict=True))
    assert dict(zip(review.images.names, review.now().weights.tolist(), strict=True)) == pytest.approx(weights)
    shown = event(dataset, "choose_run", opened(dataset).state, value="run")
    shown = click(dataset, shown, "hard_negative")
    assert shown.state["review"]["now"][0] == 1
    foo.get_operator(APPLY)(dataset, "run")
    weights = dict(zip(*dataset.values(["id", "run_weight"]), strict=True))
    now = open_review(dataset, "run").now().weights.tolist()
    assert dict(zip(review.images.names, now, strict=True)) == pytest.approx(weights)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no truths"), "no truths"),
        (KeyError("gone"), "run 'run' can't be reviewed (KeyError: 'gone'): mine again under its key"),
    ],
)
def test_whatever_keeps_a_run_from_being_reviewed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    dataset = mined(tmp_path)
    first = opened(dataset)

    def broken(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(looking, "look", broken)
    shown = opened(dataset)
    assert shown.state["review"]["trouble"] == words
    assert json.dumps(words) in shown.text
    later = click(dataset, first, "ignore")
    assert later.state["review"]["key"] == first.state["review"]["key"], "what is shown stays"
    assert later.requests["notify"]["message"] == words


def test_a_picture_that_cannot_be_read_is_no_end(tmp_path: Path) -> None:
    dataset = mined()  # paths to nothing
    shown = opened(dataset)
    assert "can't be shown" in shown.text
    assert click(dataset, shown, "ignore").state["review"]["left"] == 9


@pytest.mark.parametrize(
    ("sample", "side", "title", "remark"),
    [
        ("background", "predictions", "Background error · cat · confidence 0.90", "No truth touches it"),
        (
            "localization",
            "predictions",
            "Localization error · cat · confidence 0.90",
            "Nearest truth (white, dashed): cat, IoU 0.40",
        ),
        ("classification", "predictions", "Classification error", "Nearest truth (white, dashed): "),
        ("missed", "ground_truth", "Missed truth", "No prediction of its class touches it"),
        (
            "localization",
            "ground_truth",
            "Missed truth, localization error · cat",
            "Nearest prediction (white): cat 0.90, IoU 0.40",
        ),
    ],
)
def test_what_is_shown_is_named_in_words(tmp_path: Path, sample: str, side: str, title: str, remark: str) -> None:
    dataset = mined(dataset=dataset_of(everything_at_once(), folder=tmp_path))
    review = open_review(dataset, "run")
    of = "prediction" if side == "predictions" else "truth"
    keys = [f"{of}:{box.id}" for box in by_name(dataset)[sample][side].detections]
    key = next(key for key in keys if key in review)
    shown = looking.look(dataset, review, key)
    assert title in shown.title
    assert remark in shown.remark
    assert shown.picture
