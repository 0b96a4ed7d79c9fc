"""Videos without ground truth: predictions on their frames are tracked, and the frames worth a review get a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor

pytest.importorskip("cv2", reason="OpenCV reads videos")
pytest.importorskip("ultralytics", reason="its trackers follow the boxes")
pytest.importorskip("lap", reason="the trackers need it")

from fiftyone_plugin.actions import videos, watched
from fiftyone_plugin.review.session import open_review
from hnm_core.io.pictures import open_picture
from tests.datasets import ACCEPT, DELETE, MINE, PROPOSE, RENAME, TRIAGE, VIEW
from tests.plugin.forms.test_forms import form, problem
from tests.plugin.panels import event
from tests.squares import HEIGHT, SIDE, WIDTH, Square, picture, write_video

FRAMES: list[list[Square]] = [
    [(5 + number // 2, 5, 0.9)] * (number not in (20, 21)) + [(70, 40, 0.4), (40, 45, 0.15)] for number in range(60)
]
"""A square that moves, confidently seen but for two frames; an uncertain one; one that is never sure enough."""

EMPTY: list[list[Square]] = [[] for _ in range(3)]
ASKED = {"pred_field": "seen", "run_key": "found", "alike": 0.0}


def frame_of(squares: list[Square]) -> fo.Frame:
    boxes = [
        fo.Detection(
            label="square",
            bounding_box=[left / WIDTH, top / HEIGHT, SIDE / WIDTH, SIDE / HEIGHT],
            confidence=score,
        )
        for left, top, score in squares
    ]
    return fo.Frame(seen=fo.Detections(detections=boxes))


@pytest.fixture
def dataset(tmp_path: Path) -> Iterator[fo.Dataset]:
    """Two videos of one name in two folders: one with squares, one on which nothing was seen."""
    made = fo.Dataset()
    for folder, frames in (("one", FRAMES), ("two", EMPTY)):
        (tmp_path / folder).mkdir()
        sample = fo.Sample(str(write_video(tmp_path / folder / "street.mkv", frames)))
        for number, squares in enumerate(frames, start=1):
            sample.frames[number] = frame_of(squares)
        made.add_sample(sample)
    yield made
    for name in [name for name in fo.list_datasets() if name.startswith(f"{made.name}-")]:
        shutil.rmtree(fo.load_dataset(name).info[watched.MADE_BY])
        fo.delete_dataset(name)
    shutil.rmtree(watched.folder_of(videos.dataset_name(made, "found")), ignore_errors=True)


def propose(samples: Any, **more: Any) -> dict[str, Any]:
    return dict(foo.get_operator(PROPOSE)(samples, **{**ASKED, **more}))


def test_frames_worth_a_review_get_the_run(dataset: fo.Dataset) -> None:
    before = list(dataset._frame_collection.find()), list(dataset._sample_collection.find())
    done = propose(dataset)
    assert done["lists"] == {"confident": 3, "uncertain": 3, "missed": 1}
    assert done["dataset"] == f"{dataset.name}-found"
    frames = fo.load_dataset(done["dataset"])
    assert (list(dataset._frame_collection.find()), list(dataset._sample_collection.find())) == before
    assert (frames.media_type, frames.persistent, frames.default_classes) == ("image", dataset.persistent, ["square"])
    assert sorted(frames.values("frame")) == [1, 21, 33, 35, 49, 51]
    first = dataset.first()
    assert set(zip(*frames.values(["video", "video_id"]), strict=True)) == {(first.filepath, first.id)}
    one = frames.match({"frame": 33}).first()
    pixels = open_picture(one.filepath)
    assert np.array_equal(np.asarray(pixels), picture(FRAMES[32])), "frame 33 counts from 1, and nothing is lost"
    said = {round(box.confidence, 2): box for box in one["seen"].detections}
    errors = {
        score: box.get_field("found_error") if box.has_field("found_error") else None for score, box in said.items()
    }
    assert errors[0.15] is None
    assert {errors[0.9], errors[0.4]} <= {"confident", "uncertain", None}
    confident = [box for boxes in frames.values("seen.detections") for box in boxes if _said(box) == "confident"]
    assert [box.confidence for box in confident] == pytest.approx([0.9] * 3)
    assert [box["found_difficulty"] for box in confident] == pytest.approx([0.1] * 3)
    (gap,) = frames.match({"frame": 21}).first()["found_missed"].detections
    assert (gap["found_error"], gap["found_state"], gap.confidence) == ("gap", "unreviewed", None)
    assert gap.bounding_box[0] == pytest.approx(15 / WIDTH, abs=1 / WIDTH)
    assert gap["found_difficulty"] == pytest.approx(0.9)
    assert list(foo.get_operator(VIEW)(frames, "found", error="gap").values("frame")) == [21]
    assert not frames.get_field("found_weight")


def _said(box: fo.Detection) -> Any:
    return box.get_field("found_error") if box.has_field("found_error") else None


def test_answers_become_truth_gaps_too(dataset: fo.Dataset) -> None:
    frames = fo.load_dataset(propose(dataset)["dataset"])
    review = open_review(frames, "found")
    (gap,) = (key for key in review.keys if key.startswith("truth:"))
    right = [box.id for boxes in frames.values("seen.detections") for box in boxes if _said(box) == "confident"]
    wrong = [box.id for boxes in frames.values("seen.detections") for box in boxes if _said(box) == "uncertain"]
    triage = foo.get_operator(TRIAGE)
    triage(frames, "found", "hard_negative", [gap])
    triage(frames, "found", "missing_label", right)
    triage(frames, "found", "hard_negative", wrong)
    done = foo.get_operator(ACCEPT)(frames, "found", "truth")
    assert (done["accepted"], done["samples"]) == (4, 6)
    frames.reload()
    (accepted,) = frames.match({"frame": 21}).first()["truth"].detections
    assert accepted["proposed_in"] == "found_missed found"
    foo.get_operator(MINE)(frames, "seen", "truth", "round", confidence_threshold=0.3, hard_negative_ratio=1.0)
    frames.reload()
    results = [box for boxes in frames.values("seen.detections") for box in boxes if box.id in wrong]
    assert {box["round_error"] for box in results} == {"background"}


def test_rename_and_delete_leave_no_field_behind(dataset: fo.Dataset) -> None:
    frames = fo.load_dataset(propose(dataset)["dataset"])
    frames.register_run("theirs", frames.init_run())
    foo.get_operator(RENAME)(frames, "found", "again")
    frames.reload()
    (gap,) = frames.match({"frame": 21}).first()["again_missed"].detections
    assert gap["again_error"] == "gap"
    assert [path for path in frames.get_field_schema(flat=True) if "found" in path] == []
    stored = str(list(frames._sample_collection.find()))
    assert "found_" not in stored
    foo.get_operator(DELETE)(frames, "again")
    frames.reload()
    assert [path for path in frames.get_field_schema(flat=True) if "again" in path] == []
    assert "again_" not in str(list(frames._sample_collection.find()))
    assert len(frames) == 6, "the frames are used by the other run"


def test_the_frames_go_with_their_run(dataset: fo.Dataset) -> None:
    frames = fo.load_dataset(propose(dataset)["dataset"])
    folder = Path(frames.info[watched.MADE_BY])
    said = form(frames, DELETE)["what"]["view"]["description"]
    assert f"If nothing else uses the dataset {frames.name!r}" in said
    foo.get_operator(RENAME)(frames, "found", "again")
    done = foo.get_operator(DELETE)(frames, "again")
    assert (done["run_key"], done["dataset"]) == ("again", f"{dataset.name}-found")
    assert not fo.dataset_exists(done["dataset"])
    assert not folder.exists()
    assert propose(dataset, frames_per_track=1)["lists"] == {"confident": 1, "uncertain": 1, "missed": 1}


def other_picture(frames: fo.Dataset) -> None:
    frames.add_sample(fo.Sample("of/mine.png"))


def review(frames: fo.Dataset) -> None:
    foo.get_operator(TRIAGE)(frames, "found", "hard_negative", [open_review(frames, "found").next()])


USES: dict[str, Callable[[fo.Dataset], Any]] = {
    "it has other runs (theirs)": lambda frames: frames.register_run("theirs", frames.init_run()),
    "it has other fields (truth)": lambda frames: frames.add_sample_field("truth", fo.StringField),
    "it has 1 review": review,
    "it has tags (mine)": lambda frames: frames.limit(1).tag_labels("mine", label_fields="seen"),
    "it has saved views or workspaces (one)": lambda frames: frames.save_view("one", frames.limit(1)),
    "it has saved views or workspaces (hard)": lambda frames: frames.save_view("hard", frames.sort_by("found_score")),
    "it has other pictures too": other_picture,
    "its pictures are used in other datasets (the-copy)": lambda frames: frames.limit(2).clone("the-copy"),
}


@pytest.mark.parametrize("why", USES)
def test_frames_that_are_used_stay(dataset: fo.Dataset, why: str) -> None:
    frames = fo.load_dataset(propose(dataset)["dataset"])
    USES[why](frames)
    done = foo.get_operator(DELETE)(frames, "found")
    assert done["dataset_kept"] == why
    assert "dataset" not in done
    assert {Path(path).exists() for path in frames.limit(6).values("filepath")} == {True}
    if fo.dataset_exists("the-copy"):
        fo.delete_dataset("the-copy")


def test_a_dataset_that_was_renamed_is_the_users(dataset: fo.Dataset) -> None:
    frames = fo.load_dataset(propose(dataset)["dataset"])
    frames.name = f"{dataset.name}-street/1"
    assert set(foo.get_operator(DELETE)(frames, "found")) == {"run_key", "fields", "saved_views"}
    assert len(frames) == 6


def test_the_app_goes_to_the_videos(dataset: fo.Dataset) -> None:
    name = propose(dataset)["dataset"]
    request = {"dataset_name": name, "params": {"run_key": "found"}}
    context = ExecutionContext(request_params=request, executor=Executor(), operator_uri=DELETE)
    foo.get_operator(DELETE).execute(context)
    sent = {each.operator_uri.rpartition("/")[2]: each.params for each in context.executor._requests}
    assert sent["open_dataset"]["dataset"] == dataset.name
    assert sent["notify"]["message"] == f"Deleted: run 'found', and dataset {name!r} of its frames"
    assert "reload_dataset" not in sent


def test_again_it_takes_what_is_there(dataset: fo.Dataset) -> None:
    frames = fo.load_dataset(propose(dataset)["dataset"])
    with pytest.raises(ValueError, match="run 'found' exists"):
        propose(dataset)
    kept = frames.values("id")
    assert propose(dataset, overwrite=True)["lists"] == {"confident": 3, "uncertain": 3, "missed": 1}
    frames.reload()
    assert frames.values("id") == kept
    with pytest.raises(ValueError, match=r"holds a watch that differs .*: choose another run_key"):
        propose(dataset, overwrite=True, frames_per_track=1)
    assert propose(dataset, run_key="few", frames_per_track=1)["lists"] == {"confident": 1, "uncertain": 1, "missed": 1}


def test_an_interruption_goes_on(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("fiftyone_plugin.runs.save.stored_results.put", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            propose(dataset)
    frames = fo.load_dataset(f"{dataset.name}-found")
    assert [path for path in frames.get_field_schema(flat=True) if "found" in path] == []
    assert propose(dataset)["lists"] == {"confident": 3, "uncertain": 3, "missed": 1}


def test_what_cannot_be_is_one_sentence(dataset: fo.Dataset) -> None:
    with pytest.raises(ValueError, match="frames have no field 'none' of Detections; those they have: seen"):
        propose(dataset, pred_field="none")
    with pytest.raises(ValueError, match="mine the dataset, or a view of whole videos"):
        propose(dataset.to_clips([[(1, 5)], []]))
    fo.Dataset(f"{dataset.name}-found").info = {}
    with pytest.raises(ValueError, match=r"there is a dataset .* already"):
        propose(dataset)
    fo.delete_dataset(f"{dataset.name}-found")
    nothing = dataset.skip(1)
    with pytest.raises(ValueError, match="field 'seen' of the frames has no predictions"):
        propose(nothing)
    sample = dataset.last()
    sample.frames[2] = fo.Frame(seen=fo.Detections(detections=[fo.Detection(label="a", bounding_box=[0, 0, 1, 1])]))
    sample.save()
    with pytest.raises(ValueError, match=f"frame 2 of video {sample.id} has boxes without confidence"):
        propose(dataset)


@pytest.mark.parametrize(
    "wrong",
    [{"bounding_box": [0.1, 0.1, float("nan"), 0.2]}, {"confidence": 95.0}, {"confidence": float("nan")}],
    ids=["box", "percent", "no number"],
)
def test_boxes_that_cannot_be_are_said_and_no_dataset_is_made(dataset: fo.Dataset, wrong: dict[str, Any]) -> None:
    sample = dataset.last()
    box = {"label": "square", "bounding_box": [0.1, 0.1, 0.2, 0.2], "confidence": 0.9, **wrong}
    sample.frames[2] = fo.Frame(seen=fo.Detections(detections=[fo.Detection(**box)]))
    sample.save()
    with pytest.raises(ValueError, match=f"frame 2 of video {sample.id} has a box that is not finite, or a confidence"):
        propose(dataset)
    assert not fo.dataset_exists(f"{dataset.name}-found")


def test_a_box_that_is_corrected_is_mined_under_the_same_key(dataset: fo.Dataset) -> None:
    """The first video is tracked before the box of the second one is refused."""
    sample = dataset.last()
    sample.frames[2] = frame_of([(5, 5, 0.9)])
    sample.frames[2]["seen"].detections[0].bounding_box[2] = float("nan")
    sample.save()
    with pytest.raises(ValueError, match="has a box that is not finite"):
        propose(dataset)
    folder = watched.folder_of(videos.dataset_name(dataset, "found"))
    assert list((folder / "images").iterdir()), "work was done"
    sample.frames[2] = frame_of([(5, 5, 0.9)])
    sample.save()
    done = propose(dataset)
    assert done["lists"] == {"confident": 4, "uncertain": 3, "missed": 1}
    frames = fo.load_dataset(done["dataset"])
    assert {Path(path).name for path in frames.values("filepath")} == {
        path.name for path in (folder / "images").iterdir()
    }


def test_frames_without_a_run_are_made_anew_of_changed_predictions(
    dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("fiftyone_plugin.runs.save.stored_results.put", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            propose(dataset)
    sample = dataset.last()
    sample.frames[2] = frame_of([(5, 5, 0.9)])
    sample.save()
    assert propose(dataset)["lists"] == {"confident": 4, "uncertain": 3, "missed": 1}


def test_frames_with_a_run_are_not_made_of_other_predictions(dataset: fo.Dataset) -> None:
    frames = fo.load_dataset(propose(dataset)["dataset"])
    sample = dataset.last()
    sample.frames[2] = frame_of([(5, 5, 0.9)])
    sample.save()
    with pytest.raises(ValueError, match=r"holds a watch that differs \(model: .*: choose another run_key"):
        propose(dataset, overwrite=True)
    assert len(frames) == 6
    assert {Path(path).exists() for path in frames.values("filepath")} == {True}


def test_videos_that_are_gone_are_said_and_the_others_judged(dataset: fo.Dataset) -> None:
    first, second = dataset.values("filepath")
    Path(second).write_bytes(b"")
    done = propose(dataset)
    assert done["lists"] == {"confident": 3, "uncertain": 3, "missed": 1}
    assert [note for note in done["warnings"] if f"{second} cannot be opened as a video" in note]
    Path(first).unlink()
    with pytest.raises(ValueError, match=r"none of 2 videos can be read: .* cannot be opened as a video"):
        propose(dataset, run_key="gone")


def test_the_form_asks_for_a_field_of_frames(dataset: fo.Dataset) -> None:
    found = form(dataset, PROPOSE)
    assert problem(found) is None
    assert found["pred_field"]["default"] == "seen"
    assert "tracker" in found


def test_the_panel_of_videos_offers_what_can_be_done_with_them(dataset: fo.Dataset) -> None:
    shown = event(dataset, "on_load").text
    assert "Videos are mined without ground truth" in shown
    assert "Mine without truth" in shown
    assert "Predict with YOLO" not in shown
