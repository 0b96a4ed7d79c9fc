"""``hnm watch`` with the demo's detector on a video of digits over a photograph."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import fiftyone as fo
import numpy as np
import pytest

pytest.importorskip("ultralytics", reason="a real detector watches")
pytest.importorskip("lap", reason="the trackers need it")

import cv2

from fiftyone_plugin.demo import ink, photographs
from fiftyone_plugin.demo.digits import ARCHITECTURE, WEIGHTS
from fiftyone_plugin.demo.scenes import deal_scans, handwriting
from hnm_core import cli
from hnm_core.settings.watching import TRACKERS

SIZE, FRAMES = 192, 40
NAME = "watched-digits"
GIVEN = ["--model", str(WEIGHTS), "--imgsz", str(SIZE), "--device", "cpu"]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A three, an eight and a seven that pass over a photograph."""
    path, rng = tmp_path_factory.mktemp("video") / "digits.mp4", np.random.default_rng(3)
    pool = deal_scans("demo", (("all", 1.0),))["all"]
    ground = photographs.crop(photographs.load(photographs.PHOTOGRAPHS[0]), SIZE, rng)
    strokes = [ink.stroke(handwriting()[0][pool[digit][0]], 44, 0, 0) for digit in (3, 8, 7)]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30, (SIZE, SIZE))
    for number in range(FRAMES):
        frame = ground.copy()
        for row, stroke in enumerate(strokes):
            ink.paint(frame, stroke, 10 + 2 * number, 8 + 60 * row, np.random.default_rng(row))
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    yield
    if fo.dataset_exists(NAME):
        fo.delete_dataset(NAME)


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_video_is_watched_into_a_folder(
    tracker: str, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = ["watch", "--source", str(video), *GIVEN, "--tracker", tracker, "--output", str(out)]
    assert cli.main([*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["frames"], found["stopped"], found["notes"]) == (FRAMES, False, [])
    assert found["detections"] >= FRAMES
    assert found["lists"]["confident"]["proposals"] > 0
    assert found["tracks"] < FRAMES, "boxes of one digit are one track"
    assert cli.main(given) == 0
    said = capsys.readouterr().out
    assert f"{FRAMES} frames" in said
    assert "proposals for review, no verdicts" in said
    assert f"{out}: classes.txt, images, pieces, predictions, proposals.csv, samples, watch.json" in said


def test_a_video_is_watched_into_fiftyone(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["watch", "--source", str(video), *GIVEN, "--dataset", NAME]
    assert cli.main([*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    dataset = fo.load_dataset(NAME)
    assert len(dataset) == found["added"] > 0
    assert found["folder"] == str(Path(fo.config.default_dataset_dir) / NAME)
    assert dataset.default_classes == ["three", "seven"]
    assert cli.main(given) == 0
    assert (
        "0 frames added; run watch, saved views watch_confident, watch_uncertain, watch_missed"
        in capsys.readouterr().out
    )


def refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["watch", *given]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


def test_what_cannot_be_done_is_said_in_a_sentence(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, source = ["--output", str(tmp_path / "out")], ["--source", str(video)]
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    broken = ["--source", str(tmp_path / "broken.mp4")]
    wrong_models = tmp_path / "none.pt", tmp_path / "broken.mp4"
    assert refused([*source, *GIVEN], capsys).endswith(
        "say where to write: --output DIR, or --dataset NAME for FiftyOne, or both"
    )
    assert "broken.mp4 cannot be opened as a video" in refused([*broken, *GIVEN, *out], capsys)
    assert "there is no nothing.mp4" in refused(["--source", "nothing.mp4", *GIVEN, *out], capsys)
    assert "none.pt: --model is the file of a detector" in refused(
        [*source, "--model", str(wrong_models[0]), *out], capsys
    )
    assert "there is no" in refused([*source, *GIVEN, *out, "--verifier", str(tmp_path / "none.npz")], capsys)
    assert "frames_per_track must be a whole number" in refused(
        [*source, *GIVEN, *out, "--frames-per-track", "0"], capsys
    )
    fo.Dataset(NAME)
    assert "there is a dataset" in refused([*source, *GIVEN, *out, "--dataset", NAME], capsys)
    assert not (tmp_path / "out").exists()


def test_a_model_without_boxes_is_refused(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ultralytics import YOLO

    classifier = YOLO("yolov8n-cls.yaml", task="classify")
    classifier.save(tmp_path / "classifier.pt")
    given = ["--source", str(video), "--model", str(tmp_path / "classifier.pt"), "--output", str(tmp_path / "out")]
    assert "is a model for the task 'classify'; mining needs boxes" in refused(given, capsys)


def test_a_video_that_is_cut_off_ends_with_one(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = cv2.VideoCapture(str(video))
    writer = cv2.VideoWriter(str(tmp_path / "whole.mkv"), cv2.VideoWriter_fourcc(*"FFV1"), 30, (SIZE, SIZE))
    while (read := frames.read())[0]:
        writer.write(read[1])
    writer.release()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes((tmp_path / "whole.mkv").read_bytes()[: (tmp_path / "whole.mkv").stat().st_size // 2])
    assert cli.main(["watch", "--source", str(cut), *GIVEN, "--output", str(tmp_path / "out")]) == 1
    assert "is it cut off? What was read is judged" in capsys.readouterr().out


def test_an_untrained_model_sees_nothing_and_that_is_said(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--source", str(video), "--model", str(ARCHITECTURE), "--imgsz", str(SIZE)]
    assert cli.main(["watch", *given, "--output", str(tmp_path / "out")]) == 0
    assert f"the model saw nothing in {FRAMES} frames" in capsys.readouterr().out


def test_ctrl_c_keeps_what_is_complete_and_goes_on(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hnm_core.live import watch as watching

    monkeypatch.setattr(watching, "PIECE", 0.5)
    given = ["watch", "--source", str(video), *GIVEN, "--output", str(tmp_path / "out")]
    told, follow = [], watching.UltralyticsTracker.follow

    def stop(self: object, *given: object) -> object:
        told.append(1)
        if len(told) == 20:
            raise KeyboardInterrupt
        return follow(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(watching.UltralyticsTracker, "follow", stop)
    assert cli.main(given) == 130
    said = capsys.readouterr().out
    assert said.startswith("15 frames")
    assert said.endswith("stopped; the same command goes on where it was\n")
    monkeypatch.setattr(watching.UltralyticsTracker, "follow", follow)
    assert cli.main([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == FRAMES
