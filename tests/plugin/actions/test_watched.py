"""A FiftyOne dataset of what was watched: boxes, a run of the lists, saved views, and only what this watch has made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fiftyone as fo
import fiftyone.operators as foo
import pytest

pytest.importorskip("cv2", reason="OpenCV reads videos")
pytest.importorskip("ultralytics", reason="its trackers follow the boxes")
pytest.importorskip("lap", reason="the trackers need it")

from ultralytics import YOLO

from fiftyone_plugin.actions import watch_dataset, watched
from fiftyone_plugin.demo.digits import WEIGHTS
from fiftyone_plugin.review.session import open_review
from fiftyone_plugin.runs import records
from fiftyone_plugin.store import model_record
from hnm_core.live import watch as watching
from hnm_core.live.tracks import LISTS
from hnm_core.live.watch import watch
from hnm_core.live.watched import Watched
from hnm_core.settings import WatchSettings
from tests.datasets import ACCEPT, DELETE, MINE, RENAME, TRIAGE
from tests.squares import HEIGHT, WIDTH, Square, Squares, write_video

NAME = "watched-squares"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames: list[list[Square]] = [
        [(5 + number // 2, 5, 0.9)] * (number not in (20, 21)) + [(70, 40, 0.4), (40, 45, 0.15)] for number in range(60)
    ]
    return write_video(tmp_path_factory.mktemp("video") / "street.mkv", frames)


@pytest.fixture(scope="module")
def model() -> YOLO:
    """The model of the record; squares are what is watched with."""
    return YOLO(str(WEIGHTS))


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    yield
    if fo.dataset_exists(NAME):
        fo.delete_dataset(NAME)


HOW = WatchSettings(alike=0.0)


def squares(video: Path, output: Path, fail_at: int = 0) -> Watched:
    return watch(str(video), Squares(fail_at), output, settings=HOW)


def load(found: Watched, model: YOLO, name: str = NAME) -> int:
    return watch_dataset.load(found, name, HOW, model, WEIGHTS)


def test_boxes_lists_and_what_a_person_needs(video: Path, tmp_path: Path, model: YOLO) -> None:
    found = squares(video, tmp_path / "out")
    assert load(found, model) == 6
    dataset = fo.load_dataset(NAME)
    assert dataset.persistent
    assert dataset.default_classes == ["square"]
    assert sorted(dataset.values("frame")) == [1, 21, 33, 35, 49, 51]
    assert set(dataset.values("source")) == {"street"}
    assert {Path(path).parent for path in dataset.values("filepath")} == {found.folder / "images"}
    first = dataset.match({"frame": 1}).first()
    said = {round(box.confidence, 2): box for box in first.predictions.detections}
    assert {
        score: box.get_field("watch_error") if box.has_field("watch_error") else None for score, box in said.items()
    } == {
        0.9: "confident",
        0.4: "uncertain",
        0.15: None,
    }
    assert said[0.9]["watch_difficulty"] == pytest.approx(0.1)
    assert said[0.9].bounding_box == pytest.approx([5 / WIDTH, 5 / HEIGHT, 16 / WIDTH, 16 / HEIGHT])
    (gap,) = dataset.match({"frame": 21}).first().watch_missed.detections
    assert (gap["watch_error"], gap.confidence, gap.label) == ("gap", None, "square")
    assert gap["track"] == said[0.9]["track"] != said[0.4]["track"]
    assert not said[0.15].has_field("track")
    views = {name: dataset.load_saved_view(name) for name in dataset.list_saved_views()}
    assert {name: len(view) for name, view in views.items()} == {
        "watch_confident": 3,
        "watch_uncertain": 3,
        "watch_missed": 1,
    }
    assert views["watch_uncertain"].distinct("predictions.detections.watch_error") == ["uncertain"]
    (known,) = model_record.models_of(dataset, "predictions")
    assert (known["confidence"], known["samples"], known["model"]) == (0.05, 6, str(WEIGHTS))


def test_the_list_shows_the_likeliest_first(video: Path, tmp_path: Path, model: YOLO) -> None:
    frames: list[list[Square]] = [[(5, 5, 0.9)] * (number < 5) + [(50, 5, 0.6)] * (number > 9) for number in range(20)]
    load(squares(write_video(tmp_path / "two.mkv", frames), tmp_path / "out"), model)
    listed = fo.load_dataset(NAME).load_saved_view("watch_confident").values("predictions.detections.watch_difficulty")
    flat = [round(value, 3) for values in listed for value in values]
    assert flat == sorted(flat, reverse=True)
    assert set(flat) == {0.1, 0.4}


def test_a_watch_that_goes_on_adds_what_is_new(
    video: Path, tmp_path: Path, model: YOLO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PIECE", 0.5)
    begun = load(squares(video, tmp_path / "out", fail_at=32), model)
    dataset = fo.load_dataset(NAME)
    mine = dataset.first()
    mine.tags = ["mine"]
    mine["ground_truth"] = fo.Detections()
    mine.save()
    review = open_review(dataset, "watch")
    foo.get_operator(TRIAGE)(dataset, "watch", "missing_label", [review.next()])
    found = squares(video, tmp_path / "out")
    added = load(found, model)
    assert added > 0
    assert begun > 0
    dataset.reload()
    assert len(dataset) == begun + added == len(list((found.folder / "images").iterdir()))
    assert dataset[mine.id].tags == ["mine"]
    assert dataset[mine.id].ground_truth is not None
    assert dataset.count_values("predictions.detections.watch_state")["missing_label"] == 1, "what was reviewed"
    assert load(found, model) == 0


def test_the_dataset_of_somebody_else_is_left_alone(video: Path, tmp_path: Path, model: YOLO) -> None:
    found = squares(video, tmp_path / "out")
    fo.Dataset(NAME)
    with pytest.raises(ValueError, match=r"there is a dataset 'watched-squares' already, and no watch into .* made it"):
        load(found, model)
    assert len(fo.load_dataset(NAME)) == 0
    with pytest.raises(ValueError, match=r"is no folder that hnm watch wrote"):
        load(replace(found, folder=tmp_path), model, "another")
    assert not fo.dataset_exists("another")


def test_the_run_is_one_like_any_other(video: Path, tmp_path: Path, model: YOLO) -> None:
    found = squares(video, tmp_path / "out")
    load(found, model)
    dataset = fo.load_dataset(NAME)
    settings, results = records.load(dataset, "watch")
    assert (settings.without_truth, settings.ranked_by, settings.gt_field) == (True, "confidence", "watch_missed")
    assert [note for note in results.warnings if "left out: 0 that look alike" in note]
    review = open_review(dataset, "watch")
    right = [key for key in review.keys if review.mistakes.code[review.row(key)] != 0]
    assert len(right) == 7
    triage = foo.get_operator(TRIAGE)
    triage(dataset, "watch", "hard_negative", [key for key in right if key.startswith("truth:")])
    triage(dataset, "watch", "missing_label", [key for key in right if not key.startswith("truth:")])
    done = foo.get_operator(ACCEPT)(dataset, "watch")
    assert (done["accepted"], done["samples"]) == (7, 6)
    foo.get_operator(RENAME)(dataset, "watch", "first")
    load(found, model)
    dataset.reload()
    assert records.keys(dataset) == ["first", "watch"], "the run is made anew where it was renamed"
    for key in ("first", "watch"):
        shown = {of: len(dataset.load_saved_view(f"{key}_{of}")) for of in LISTS}
        assert shown == {"confident": 3, "uncertain": 3, "missed": 1}, key
    for key in ("first", "watch"):
        assert foo.get_operator(DELETE)(dataset, key)["saved_views"] == sorted(f"{key}_{of}" for of in LISTS)
    dataset.reload()
    assert dataset.list_saved_views() == []
    left = set(dataset.get_field_schema(flat=True)) - set(fo.Dataset().get_field_schema(flat=True))
    assert not [path for path in left if "watch_" in path or "first_" in path]


def test_a_run_with_truth_of_that_name_is_not_replaced(video: Path, tmp_path: Path, model: YOLO) -> None:
    found = squares(video, tmp_path / "out")
    load(found, model)
    dataset = fo.load_dataset(NAME)
    watch_dataset.check(NAME, found.folder, HOW)
    foo.get_operator(DELETE)(dataset, "watch")
    dataset.add_sample_field("truth", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    foo.get_operator(MINE)(dataset, "predictions", "truth", "watch", unlabelled="background")
    with pytest.raises(ValueError, match=r"run 'watch' of dataset 'watched-squares' was mined with ground truth"):
        watch_dataset.check(NAME, found.folder, HOW)


def test_where_nothing_is_kept_there_is_no_run(tmp_path: Path, model: YOLO) -> None:
    found = squares(write_video(tmp_path / "empty.mkv", [[]] * 10), tmp_path / "out")
    assert load(found, model) == 0
    assert records.keys(fo.load_dataset(NAME)) == []


@pytest.mark.parametrize("name", ["", "a/b", ".."])
def test_a_name_that_is_no_folder_needs_an_output(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no name of a folder: give one with --output DIR"):
        watched.folder_of(name)


def test_a_dataset_keeps_its_frames_where_fiftyone_keeps_its_own() -> None:
    assert watched.folder_of("street") == Path(fo.config.default_dataset_dir) / "street"


def test_labelled_frames_are_mined_and_the_others_are_not(video: Path, tmp_path: Path, model: YOLO) -> None:
    load(squares(video, tmp_path / "out"), model)
    dataset = fo.load_dataset(NAME)
    for sample in dataset.match({"frame": {"$in": [1, 21]}}):  # a person finds that the unsure square is none
        boxes = [box for box in sample.predictions.detections if box.confidence > 0.5]
        gaps = sample.watch_missed.detections if sample.watch_missed else []
        missed = [fo.Detection(label=box.label, bounding_box=box.bounding_box) for box in gaps]
        sample["ground_truth"] = fo.Detections(detections=[*(box.copy() for box in boxes), *missed])
        sample.save()
    foo.get_operator(MINE)(
        *(dataset,),
        **{"pred_field": "predictions", "gt_field": "ground_truth", "run_key": "labelled"},
        **{"confidence_threshold": 0.3, "hard_negative_ratio": 1.0},
    )
    errors = dataset.count_values("predictions.detections.labelled_error")
    assert {error: count for error, count in errors.items() if error not in (None, "true_positive")} == {
        "background": 2
    }
    assert dataset.count_values("ground_truth.detections.labelled_error")["missed"] == 1
    assert len(dataset.exists("labelled_score")) == 2
