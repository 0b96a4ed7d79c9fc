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
from bson import ObjectId
from PIL import Image

from fiftyone_plugin.review import card, queue, triage
from fiftyone_plugin.review import session as reviewing
from fiftyone_plugin.review.ledger import Ledger
from fiftyone_plugin.review.session import open_review
from fiftyone_plugin.runs import records
from tests.datasets import APPLY, DELETE, FIELDS, MINE, TRIAGE, by_name, dataset_of
from tests.plugin.panel.test_panel import Shown, event
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


def click(dataset: fo.Dataset, shown: Shown, review: str) -> Shown:
    """Click a review button, with the parameters that it carries."""
    return event(dataset, "give_review", shown.state, **button_of(shown, review)["params"])


def crop(shown: Shown) -> str:
    """The picture that was sent, as the address that holds it."""
    return str(shown.data["review_card.crop"])


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
    assert state["mined"] == state["unreviewed"] == 10
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
    assert second.state["review"]["unreviewed"] == 9
    assert crop(second) != crop(first)
    (entry,) = Ledger(dataset).entries()
    named = f"{entry['side']}:{entry['label_id']}"
    assert (named, entry["state"]) == (first.state["review"]["key"], "missing_label")
    assert second.state["review"]["now"][0] == 1
    assert second.state["review"]["now"][1:] != first.state["review"]["now"][1:]
    assert second.state["review"]["before"] == first.state["review"]["before"]


def test_the_second_click_of_a_double_click_does_not_review_the_next_crop(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    first = opened(dataset)
    second = click(dataset, first, "ignore")
    third = click(dataset, first, "ignore")  # sent before the answer to the first had come
    assert third.state["review"]["key"] == second.state["review"]["key"]
    assert len(Ledger(dataset).entries()) == 1


def test_reviews_narrow_the_interval(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    shown = opened(dataset)
    for _ in range(6):
        shown = click(dataset, shown, "hard_negative")
    (_, was, was_low, was_high, *_), (count, now, low, high_, *_) = (
        shown.state["review"][n] for n in ("before", "now")
    )
    assert count == 6
    assert now < was
    assert high_ - low < was_high - was_low
    assert [point[0] for point in shown.state["review"]["trend"]] == list(range(7))
    assert f"{was:.0f} → {now:.0f}" in json.dumps(shown.output, ensure_ascii=False)
    trend = shown.data["review_trend"]
    assert trend[2]["x"] == [0, *range(7)]


@pytest.mark.parametrize("select", ["on_change_selected", "on_change_selected_labels"])
def test_reviews_in_the_grid_arrive_once_nothing_is_selected(tmp_path: Path, select: str) -> None:
    dataset = mined(tmp_path)
    first = opened(dataset)
    review = open_review(dataset, first.state["head"]["run"])
    key = first.state["review"]["key"]
    other = next(review.keys[row] for row in review.reviewable.nonzero()[0] if review.keys[row] != key)
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
    again = "1 object was ignored when run 'run' was mined: mine again to give it a weight"
    assert undone == f"Withdrawn: ignore, 1 object. {again}"
    mined(dataset=dataset, key="fresh")
    shown = opened(dataset)
    while shown.state["review"]["key"] != first.state["review"]["key"]:
        shown = event(dataset, "skip", shown.state, **button_of(shown, "skip")["params"])
    notified = click(dataset, shown, "hard_negative").requests["notify"]["message"]
    assert notified == f"Reviewed: hard negative, 1 object. {again}"
    assert "notify" not in click(dataset, opened(dataset), "hard_negative").requests


def test_skipping_shows_all_others_first_and_then_comes_back(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    shown = opened(dataset)
    seen = []
    for _ in range(10):
        seen.append(shown.state["review"]["key"])
        shown = event(dataset, "skip", shown.state, **button_of(shown, "skip")["params"])
    assert len(set(seen)) == 10
    assert shown.state["review"]["key"] in seen
    assert shown.state["review"]["unreviewed"] == 10


def test_of_a_truth_nobody_is_asked_whether_its_label_is_missing(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    truths = set(dataset.values("ground_truth.detections.id", unwind=True))
    shown, seen = opened(dataset), set()
    for _ in range(10):
        of_truth = shown.state["review"]["key"].partition(":")[2] in truths
        assert ('"missing_label"' in shown.text) == (not of_truth)
        assert '"wrong_label"' in shown.text
        seen.add(of_truth)
        shown = event(dataset, "skip", shown.state, **button_of(shown, "skip")["params"])
    assert seen == {True, False}


def test_a_button_of_another_crop_changes_nothing(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    first = opened(dataset)
    params = button_of(first, "hard_negative")["params"]
    second = event(dataset, "skip", first.state, **button_of(first, "skip")["params"])
    clicked = event(dataset, "give_review", second.state, **params)  # the buttons of the first crop were still there
    assert "nothing was reviewed" in clicked.requests["notify"]["message"]
    assert clicked.state["review"]["key"] == second.state["review"]["key"] != first.state["review"]["key"]
    assert clicked.state["review"]["unreviewed"] == 10
    assert set(dataset.values("predictions.detections.run_state", unwind=True)) == {"unreviewed"}
    again = event(dataset, "skip", second.state, **button_of(first, "skip")["params"])
    assert again.state["review"]["key"] == second.state["review"]["key"]


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
    assert "**Not in the weights yet**: the weights hold 0 reviews; now there are 10." in shown.text
    assert button_of(shown, "apply")["variant"] == "contained"
    applied = event(dataset, "apply_reviews", shown.state)
    again = opened(dataset)
    for each in (applied, again):
        assert json.loads(json.dumps("The weights hold all 10 reviews, applied 20")) in each.text, "a sign that stays"
        assert button_of(each, "apply")["variant"] == "outlined"
    undone = event(dataset, "undo_review", again.state)
    assert "the weights hold 10 reviews, applied 20" in undone.text
    assert "UTC; now there are 9." in undone.text
    assert "Weights updated with 10 reviews" in applied.requests["notify"]["message"]
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
    assert review.unreviewed_count() == 8
    shown = opened(dataset)
    for entry in range(8):
        assert shown.state["review"]["unreviewed"] == 8 - entry
        shown = click(dataset, shown, "wrong_label")
    assert shown.state["review"]["key"] is None
    entries = Ledger(dataset).entries()
    assert len(entries) == len({(entry["side"], entry["label_id"]) for entry in entries}) == 8
    foo.get_operator(APPLY)(dataset, run_key="run")
    assert dataset.values("run_weight") == [1.0] * 4


def test_reviews_of_others_are_read_meanwhile(tmp_path: Path) -> None:
    dataset = mined(tmp_path)
    shown = opened(dataset)
    others = [i for i in open_review(dataset, "run").keys if i != shown.state["review"]["key"]]
    foo.get_operator(TRIAGE)(dataset, run_key="run", state="ignore", label_ids=others[:4], reviewer="bob")
    shown = click(dataset, shown, "hard_negative")
    assert shown.state["review"]["unreviewed"] == 5
    assert shown.state["review"]["key"] in others[4:]
    undone = event(dataset, "undo_review", shown.state)
    assert undone.state["review"]["unreviewed"] == 6  # bob's reviews stay


def test_results_are_read_once_until_they_are_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, loaded = mined(tmp_path), []
    load = records.load
    monkeypatch.setattr(reviewing.records, "load", lambda *args, **more: (loaded.append(args), load(*args, **more))[1])
    shown = opened(dataset)
    for _ in range(3):
        shown = click(dataset, shown, "hard_negative")
    assert len(loaded) == 1
    mined(tmp_path, dataset, overwrite=True)
    again = event(dataset, "on_load", shown.state)
    assert len(loaded) == 2
    assert again.state["review"]["now"][0] == 3


def test_in_a_large_run_the_next_reviews_are_chosen_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "LARGE", 1)
    monkeypatch.setattr(queue, "LENGTH", 4)
    dataset, seen = mined(tmp_path), []
    shown = opened(dataset)
    for _ in range(10):
        seen.append(shown.state["review"]["key"])
        shown = click(dataset, shown, "hard_negative")
        if worker := open_review(dataset, "run").queue.worker:
            worker.join()
    assert len(set(seen)) == 10
    assert shown.state["review"]["key"] is None
    assert open_review(dataset, "run").queue.worker is not None


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
    assert dict(zip(review.images.names, review.estimate_now().weights.tolist(), strict=True)) == pytest.approx(weights)
    shown = event(dataset, "choose_run", opened(dataset).state, value="run")
    shown = click(dataset, shown, "hard_negative")
    assert shown.state["review"]["now"][0] == 1
    foo.get_operator(APPLY)(dataset, "run")
    weights = dict(zip(*dataset.values(["id", "run_weight"]), strict=True))
    now = open_review(dataset, "run").estimate_now().weights.tolist()
    assert dict(zip(review.images.names, now, strict=True)) == pytest.approx(weights)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("no truths"), "no truths"),
        (KeyError("gone"), "run 'run' cannot be reviewed (KeyError: 'gone'): mine again under its key"),
    ],
)
def test_whatever_keeps_a_run_from_being_reviewed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    dataset = mined(tmp_path)
    first = opened(dataset)

    def broken(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(card, "make_card", broken)
    shown = opened(dataset)
    assert shown.state["review"]["trouble"] == sentence
    assert json.dumps(sentence) in shown.text
    later = click(dataset, first, "ignore")
    assert later.state["review"]["key"] == first.state["review"]["key"], "what is shown stays"
    assert later.requests["notify"]["message"] == sentence


def test_a_picture_that_cannot_be_read_is_no_end(tmp_path: Path) -> None:
    dataset = mined()  # paths to nothing
    shown = opened(dataset)
    assert "cannot be shown" in shown.text
    assert click(dataset, shown, "ignore").state["review"]["unreviewed"] == 9


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
    shown = card.make_card(dataset, review, key)
    assert title in shown.title
    assert remark in shown.remark
    assert shown.picture


def test_a_run_whose_mistakes_share_an_id_is_not_reviewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As earlier versions mined them: of two mistakes with one id, one stayed unreviewed for ever."""
    dataset = dataset_of(scene([(f"s{i}", "cat", 0.9, FAR) for i in range(3)], [("s0", "cat", HERE)]))
    first, second, _ = dataset
    change = {"$set": {"predictions.detections.0._id": ObjectId(first.predictions.detections[0].id)}}
    dataset._sample_collection.update_one({"_id": ObjectId(second.id)}, change)
    dataset.reload()
    with monkeypatch.context() as earlier:
        earlier.setattr("fiftyone_plugin.store.box_tables._Boxes.refuse_shared_ids", lambda _: None)
        mined(dataset=dataset)
    with pytest.raises(ValueError, match=r"1 of 4 mistakes of run 'run' have the id of another one, .*: mine again"):
        open_review(dataset, "run")
    with pytest.raises(ValueError, match="have the id of another box of the field"):
        mined(dataset=dataset, key="again")
    assert opened(dataset).state is not None  # the panel says it, and goes on


def test_a_verdict_reads_the_records_of_runs_no_more_often_than_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes milliseconds, which a person waits for: to open the review, to copy what was said, and to show it."""
    dataset = mined(tmp_path)
    shown, read = opened(dataset), []
    original = records._read
    monkeypatch.setattr(records, "_read", lambda *asked: read.append(asked) or original(*asked))
    done = click(dataset, shown, "hard_negative")
    assert done.state["review"]["now"][0] == 1
    assert len(read) <= 3, read
