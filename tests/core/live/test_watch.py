"""Watching real videos of squares with real trackers: what is kept, how it goes on, and what can go wrong."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2", reason="OpenCV reads videos")
pytest.importorskip("ultralytics", reason="its trackers follow the boxes")
pytest.importorskip("lap", reason="the trackers need it")
pytest.importorskip("PIL", reason="Pillow cuts the crops")

import cv2

from hnm_core import cli
from hnm_core.live import watch as watching
from hnm_core.live import watch_folder
from hnm_core.live.watch import watch
from hnm_core.live.watched import Watched
from hnm_core.settings import WatchSettings
from tests.squares import HEIGHT, WIDTH, Square, Squares, picture, write_video

ROOT = Path(__file__).parents[3]
EVERY = WatchSettings(alike=0.0)


def scene(frames: int = 60) -> list[list[Square]]:
    """A sure square that moves and is not seen for two frames, an unsure one that stands, one that nobody lists."""
    return [
        [(5 + number // 2, 5, 0.9) for _ in range(number not in (20, 21))] + [(70, 40, 0.4), (40, 45, 0.15)]
        for number in range(frames)
    ]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "street.mkv", scene())


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "proposals.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a watch, but for the lock, and for the path in the samples."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("lock", "watch.json")]
    here = str(folder.resolve()).encode()
    return {str(path.relative_to(folder)): path.read_bytes().replace(here, b"HERE") for path in files}


def test_three_lists_with_their_frames(video: Path, tmp_path: Path) -> None:
    found = watch(str(video), Squares(), tmp_path / "out", settings=EVERY)
    assert (found.frames, found.tracks, found.stopped, found.cut_off, found.notes) == (60, 2, False, False, ())
    assert found.seconds == pytest.approx(2.0, abs=0.01)
    assert found.detections == 58 + 60 + 60
    rows = table(tmp_path / "out")
    assert [(row["list"], row["frame"]) for row in rows] == [
        *(("confident", frame) for frame in ("1", "35", "51")),
        *(("uncertain", frame) for frame in ("1", "33", "49")),
        ("missed", "21"),
    ]
    assert [(row["difficulty"], row["confidence"], row["ranked_by"]) for row in rows[2:4] + rows[-1:]] == [
        ("0.1000", "0.9000", "confidence"),
        ("0.6000", "0.4000", "confidence"),
        ("0.9000", "0.0000", "confidence"),
    ]
    gap = rows[-1]
    assert [float(gap[edge]) for edge in ("x0", "y0", "x1", "y1")] == pytest.approx([15, 5, 31, 21], abs=0.7)
    assert found.lists == {
        "confident": {"proposals": 3, "frames": 3},
        "uncertain": {"proposals": 3, "frames": 3},
        "missed": {"proposals": 1, "frames": 1},
    }
    assert "no verdicts" in str(found)


def test_frames_are_kept_without_loss_with_all_that_the_model_said(video: Path, tmp_path: Path) -> None:
    watch(str(video), Squares(), tmp_path / "out", settings=EVERY)
    squares = scene()
    for row in table(tmp_path / "out"):
        path = tmp_path / "out" / row["image"]
        expected = picture(squares[int(row["frame"]) - 1])
        assert (cv2.imread(str(path)) == expected).all()
        lines = (tmp_path / "out" / "predictions" / f"{path.stem}.txt").read_text().splitlines()
        assert len(lines) == len(squares[int(row["frame"]) - 1])
        numbers = np.array([line.split() for line in lines], dtype=float)
        assert (numbers[:, 1:] >= 0).all()
        assert (numbers[:, 1:] <= 1).all()
        x, y, w, h = numbers[numbers[:, 5].argmin(), 1:5] * [WIDTH, HEIGHT, WIDTH, HEIGHT]  # of the unsure one
        assert (x - w / 2, y - h / 2, w, h) == pytest.approx((40, 45, 16, 16))
    pages = sorted(path.parent.name for path in (tmp_path / "out" / "samples").glob("*/index.html"))
    assert pages == ["confident", "missed", "uncertain"]
    page = (tmp_path / "out" / "samples" / "uncertain" / "index.html").read_text()
    assert "3 proposals in 3 images, likeliest errors first; no verdicts: nobody has looked at them" in page
    assert "hard negative" not in page
    (sample,) = (tmp_path / "out" / "samples" / "missed").glob("*.json")
    (found,) = json.loads(sample.read_text())["hard_negatives"]
    assert (found["type"], found["error"], found["ground_truth"]) == ("proposal", "gap", None)


def test_once_labelled_the_frames_are_mined_like_any_others(video: Path, tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
    out = tmp_path / "out"
    watch(str(video), Squares(), out, settings=EVERY)
    assert (out / "classes.txt").read_text() == "square\n"
    (out / "data.yaml").write_text("train: images\nval: images\nnames: [square]\n")
    (out / "labels").mkdir()
    for file in (out / "predictions").iterdir():  # a person finds that unsure squares are none, and what was missed
        sure = [line.rsplit(" ", 1)[0] for line in file.read_text().splitlines() if float(line.split()[-1]) > 0.5]
        (out / "labels" / file.name).write_text("\n".join(sure or ["0 .2 .2 .16 .25"]))
    given = ["--data", str(out / "data.yaml"), "--predictions", str(out / "predictions")]
    assert (
        cli.main(
            [
                "mine",
                *given,
                "--confidence-threshold",
                "0.3",
                "--hard-negative-ratio",
                "1",
                "--output",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )
    with (tmp_path / "run" / "hard_negatives.csv").open(encoding="utf-8") as file:
        mined = [(row["type"], Path(row["image"]).stem) for row in csv.DictReader(file)]
    frames = {path.stem for path in (out / "images").iterdir()}
    assert {name for kind, name in mined if kind == "false_positive"} == frames
    assert [name for kind, name in mined if kind == "false_negative"] == ["street_000021"]


def test_the_model_is_asked_down_to_five_hundredths_as_it_was_told(video: Path, tmp_path: Path) -> None:
    model = Squares()
    watch(str(video), model, tmp_path / "a", settings=WatchSettings(imgsz=96, device="cpu"))
    assert model.options == {"conf": 0.05, "verbose": False, "imgsz": 96, "device": "cpu"}
    watch(str(video), model, tmp_path / "b")
    assert model.options == {"conf": 0.05, "verbose": False}


def test_look_alikes_are_left_out_and_frames_are_limited(video: Path, tmp_path: Path) -> None:
    few = watch(str(video), Squares(), tmp_path / "alike")
    assert {of: each["proposals"] for of, each in few.lists.items()} == {"confident": 1, "uncertain": 1, "missed": 1}
    assert few.alike == 4
    one = watch(str(video), Squares(), tmp_path / "rate", settings=WatchSettings(alike=0.0, frames_per_minute=1))
    assert {of: each["frames"] for of, each in one.lists.items()} == {"confident": 1, "uncertain": 1, "missed": 1}
    assert one.over_rate == 4


def test_of_a_longer_video_no_more_is_held_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PIECE", 1.0)

    def most_held(times: int) -> tuple[int, int]:
        frames, most, most_spooled = weakref.WeakSet[Any](), 0, 0

        class Spool(watch_folder.Spool):
            def hold(self, frame: Any) -> None:
                nonlocal most_spooled
                super().hold(frame)
                most_spooled = max(most_spooled, len(self))

        def known(clip: Any, frame: Any) -> Any:
            nonlocal most
            frames.add(frame)
            most = max(most, len(frames))
            return Squares().predict([frame.pixels], conf=0.05)[0].boxes

        monkeypatch.setattr(watch_folder, "Spool", Spool)
        path = write_video(tmp_path / f"{times}.mkv", scene(60) * times)
        found = watch(str(path), Squares(), tmp_path / f"{times}", settings=EVERY, known=known)
        assert found.frames == 60 * times
        return most, most_spooled

    short, long = most_held(2), most_held(10)
    assert long == short
    assert long[0] <= EVERY.longest_gap + 2, "frames in memory: those in which a gap may turn out to be, and this one"
    assert 0 < long[1] < 15, "frames on the disk: those to show of the tracks of a piece"


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of half a second, so that a short video has four."""
    monkeypatch.setattr(watching, "PIECE", 0.5)


@pytest.mark.usefixtures("short_pieces")
class TestGoingOn:
    """What is stopped goes on, and ends where it would have ended."""

    @pytest.fixture
    def whole(self, video: Path, tmp_path: Path) -> dict[str, bytes]:
        watch(str(video), Squares(), tmp_path / "whole", settings=EVERY)
        return content(tmp_path / "whole")

    @pytest.mark.parametrize("at", [17, 30, 46, 60])
    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
    def test_after_a_stop(
        self, video: Path, tmp_path: Path, whole: dict[str, bytes], at: int, error: type[BaseException]
    ) -> None:
        out = tmp_path / "out"
        if error is KeyboardInterrupt:
            stopped = watch(str(video), Squares(at, error), out, settings=EVERY)
            assert stopped.stopped
            assert stopped.frames == (at - 1) // 15 * 15, "whole pieces alone"
            assert len(table(out)) == sum(each["proposals"] for each in stopped.lists.values())
        else:
            with pytest.raises(error):
                watch(str(video), Squares(at, error), out, settings=EVERY)
        assert not (out / "pieces" / "spool").exists()
        model = Squares()
        found = watch(str(video), model, out, settings=EVERY)
        assert model.seen == 60 - (at - 1) // 15 * 15, "what is done is not done again"
        assert (found.frames, found.stopped) == (60, False)
        assert content(out) == whole

    def test_what_is_complete_is_not_done_again(self, video: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
        model = Squares()
        found = watch(str(video), model, tmp_path / "whole", settings=EVERY)
        assert (model.seen, found.frames) == (0, 60)
        assert content(tmp_path / "whole") == whole

    def test_look_alikes_of_before_are_remembered(self, video: Path, tmp_path: Path) -> None:
        whole = watch(str(video), Squares(), tmp_path / "whole")
        watch(str(video), Squares(40), tmp_path / "out")
        assert vars(watch(str(video), Squares(), tmp_path / "out")) == {**vars(whole), "folder": tmp_path / "out"}
        assert content(tmp_path / "out") == content(tmp_path / "whole")

    @pytest.mark.slow
    def test_a_killed_process_leaves_what_can_go_on(self, video: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
        out = tmp_path / "out"
        code = (
            "import os, signal, sys\n"
            "from hnm_core.live import watch as watching\n"
            "from hnm_core.settings import WatchSettings\n"
            "from tests.squares import Squares\n"
            "watching.PIECE = 0.5\n"
            "class Killed(Squares):\n"
            "    def predict(self, images, **options):\n"
            "        if self.seen >= 30:\n"
            "            os.kill(os.getpid(), signal.SIGKILL)\n"
            "        return super().predict(images, **options)\n"
            "watching.watch(sys.argv[1], Killed(), sys.argv[2], settings=WatchSettings(alike=0.0, batch=7))\n"
        )
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code, str(video), str(out)], env=environ, timeout=300, check=False)
        assert done.returncode == -9
        assert (out / "pieces" / "spool").exists()
        assert not (out / "proposals.csv").exists()
        model = Squares()
        watch(str(video), model, out, settings=EVERY)
        assert model.seen == 30
        assert content(out) == whole

    def test_a_full_disk_is_said_and_goes_on(
        self, video: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from hnm_core.live import watch_folder

        wrote, png_of = [], watch_folder.png_of

        def full(pixels: Any) -> bytes:
            wrote.append(1)
            if len(wrote) == 9:
                raise OSError(errno.ENOSPC, "No space left on device")
            return png_of(pixels)

        monkeypatch.setattr(watch_folder, "png_of", full)
        out = tmp_path / "out"
        with pytest.raises(OSError, match=rf"^the disk of {out} is full: make room, then the same command goes on"):
            watch(str(video), Squares(), out, settings=EVERY)
        assert list((out / "pieces").glob("*.json"))
        assert not list(out.rglob("*.unfinished"))
        watch(str(video), Squares(), out, settings=EVERY)
        assert content(out) == whole


def test_nothing_else_goes_on_in_its_folder(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    watch(str(video), Squares(), out, settings=EVERY, model_digest="aaaa")
    with pytest.raises(ValueError, match=r'holds a watch that differs \(model: "aaaa", now "bbbb"\): choose another'):
        watch(str(video), Squares(), out, settings=EVERY, model_digest="bbbb")
    with pytest.raises(ValueError, match=r"holds a watch that differs \(settings: .*\): choose another --output"):
        watch(str(video), Squares(), out, model_digest="aaaa")
    watch(str(video), Squares(), out, settings=WatchSettings(alike=0.0, batch=3), model_digest="aaaa")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match=r"mine exists and is not empty; choose another --output"):
        watch(str(video), Squares(), tmp_path / "mine")


def test_two_at_once_do_not_write_into_one_folder(video: Path, tmp_path: Path) -> None:
    class Second(Squares):
        said = ""

        def predict(self, images: Any, **options: Any) -> list[Any]:
            if self.seen == 16 and not self.said:
                with pytest.raises(ValueError, match=r"another process watches into") as caught:
                    watch(str(video), Squares(), tmp_path / "out", settings=EVERY)
                self.said = str(caught.value)
            return super().predict(images, **options)

    model = Second()
    assert watch(str(video), model, tmp_path / "out", settings=EVERY).frames == 60
    assert model.said


def test_only_a_watch_that_nobody_writes_is_removed(video: Path, tmp_path: Path) -> None:
    class Second(Squares):
        said = ""

        def predict(self, images: Any, **options: Any) -> list[Any]:
            if self.seen and not self.said:
                with pytest.raises(ValueError, match=r"another process watches into") as caught:
                    watch_folder.remove_watch(tmp_path / "out")
                self.said = str(caught.value)
            return super().predict(images, **options)

    model = Second()
    assert watch(str(video), model, tmp_path / "out", settings=EVERY).frames == 60
    assert model.said
    watch_folder.remove_watch(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match=r"mine is no folder that hnm watch wrote"):
        watch_folder.remove_watch(tmp_path / "mine")
    assert (tmp_path / "mine").is_dir()


def test_what_another_process_has_written_meanwhile_is_not_replaced(video: Path, tmp_path: Path) -> None:
    class Second(Squares):
        def predict(self, images: Any, **options: Any) -> list[Any]:
            if not self.seen:  # this one has looked into the folder, and has not begun to write
                watch(str(video), Squares(), tmp_path / "out", settings=EVERY)
            return super().predict(images, **options)

    with pytest.raises(ValueError, match=r"another process has watched into .*out meanwhile: start again"):
        watch(str(video), Second(), tmp_path / "out", settings=EVERY)
    assert len(table(tmp_path / "out")) == 7


def test_errors_leave_nothing(video: Path, tmp_path: Path) -> None:
    out, broken = tmp_path / "out", tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"^.*broken.mp4 cannot be opened as a video$"):
        watch(str(broken), Squares(), out)

    class NoBoxes(Squares):
        def predict(self, images: Any, **options: Any) -> list[Any]:
            results = super().predict(images, **options)
            for result in results:
                result.boxes = None
            return results

    with pytest.raises(ValueError, match=r"the model returned a Result without boxes; is it a detector\?"):
        watch(str(video), NoBoxes(), out)
    with pytest.raises(KeyboardInterrupt):
        watch(str(video), Squares(fail_at=1), out)
    with pytest.raises(ValueError, match=r"class_confidence names circle; the model's classes are square"):
        watch(str(video), Squares(), out, settings=WatchSettings(class_confidence={"circle": 0.7}))
    assert not out.exists()


def test_of_several_videos_the_broken_ones_are_said(video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    whole = video.read_bytes()
    for name, some in (("a.mkv", whole), ("b.mkv", b"broken"), ("c.mkv", whole[: len(whole) // 2]), ("d.mkv", whole)):
        (folder / name).write_bytes(some)
    found = watch(str(folder), Squares(), tmp_path / "out", settings=EVERY)
    assert found.cut_off
    assert found.frames > 140
    assert len(found.notes) == 2
    assert "b.mkv cannot be opened as a video" in found.notes[0]
    assert "c.mkv ends after" in found.notes[1]
    assert {row["source"] for row in table(tmp_path / "out")} == {"a", "c", "d"}
    assert watch(str(folder), Squares(), tmp_path / "out", settings=EVERY).notes == found.notes
    for name in ("a.mkv", "c.mkv", "d.mkv"):
        (folder / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of 4 videos can be read: .*a.mkv cannot be opened"):
        watch(str(folder), Squares(), tmp_path / "none")


def test_a_model_that_sees_nothing_is_said(tmp_path: Path) -> None:
    empty = write_video(tmp_path / "empty.mkv", [[]] * 10)
    found = watch(str(empty), Squares(), tmp_path / "out")
    assert (found.frames, found.detections, found.tracks) == (10, 0, 0)
    assert found.notes == (
        "the model saw nothing in 10 frames, not even at confidence 0.05: is it the right one for them?",
    )
    assert table(tmp_path / "out") == []
    assert list((tmp_path / "out" / "images").iterdir()) == []


class TestStreams:
    """A stream is watched until it ends or is stopped; what there is, is kept."""

    def test_it_ends(self, video: Path, tmp_path: Path) -> None:
        found = watch(f"file://{video}", Squares(), tmp_path / "out", settings=EVERY)
        assert (found.frames, found.stopped) == (60, False)
        assert found.notes == (f"file://{video} gave no more frames after 60",)

    def test_it_is_stopped_and_watched_again(self, video: Path, tmp_path: Path) -> None:
        found = watch(f"file://{video}", Squares(31), tmp_path / "out", settings=EVERY)
        assert (found.frames, found.stopped) == (30, True), "of a stream nothing comes back: the last piece counts"
        assert len(table(tmp_path / "out")) == 7
        again = watch(f"file://{video}", Squares(), tmp_path / "out", settings=EVERY)
        assert again.frames == 90
        assert max(int(row["frame"]) for row in table(tmp_path / "out")) > 60, "numbers go on: no frame is replaced"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, squares in enumerate(scene(30)):
        cv2.imwrite(str(folder / f"{number}.png"), picture(squares))
    return folder


def test_pictures_of_a_folder_are_one_video_or_stills(pictures: Path, tmp_path: Path) -> None:
    found = watch(str(pictures), Squares(), tmp_path / "video", settings=EVERY)
    assert (found.frames, found.tracks) == (30, 2)
    assert found.lists["missed"] == {"proposals": 1, "frames": 1}
    for row in table(tmp_path / "video"):
        file = Path(row["image"]).name
        copy = tmp_path / "video" / "images" / file
        assert copy.read_bytes() == (pictures / file).read_bytes()
        assert not copy.samefile(pictures / file)
    settings = WatchSettings(alike=0.0, pictures="stills", frames_per_minute=1)
    stills = watch(str(pictures), Squares(), tmp_path / "stills", settings=settings)
    assert stills.tracks == 28 + 30, "a still's box is a track of its own, if it can be listed"
    assert stills.lists["confident"] == {"proposals": 28, "frames": 28}
    assert stills.lists["missed"]["proposals"] == 0


def test_no_track_goes_on_where_the_size_of_pictures_changes(pictures: Path, tmp_path: Path) -> None:
    for number in range(21, 30):
        file = str(pictures / f"{number}.png")
        cv2.imwrite(file, cv2.imread(file)[:, : WIDTH - 6])
    found = watch(str(pictures), Squares(), tmp_path / "out", settings=EVERY)
    assert (found.frames, found.tracks, found.detections) == (30, 4, 28 + 30 + 30)
    assert found.lists["missed"]["proposals"] == 0, "what is between two places in different pictures is no place"


def test_a_broken_picture_is_said_once_and_goes_on_as_without_a_stop(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PIECE", 0.5)
    broken = [pictures / f"{number}.png" for number in (3, 20, 29)]
    for file in broken:
        file.write_bytes(b"" if file == broken[0] else b"no picture")
    whole = watch(str(pictures), Squares(), tmp_path / "whole", settings=EVERY)
    assert (whole.frames, whole.cut_off) == (27, True)
    assert whole.notes == tuple(f"1 of 30 pictures cannot be read and are left out, first {file}" for file in broken)
    assert watch(str(pictures), Squares(20), tmp_path / "out", settings=EVERY).stopped
    found = watch(str(pictures), Squares(), tmp_path / "out", settings=EVERY)
    assert vars(found) == {**vars(whole), "folder": tmp_path / "out"}
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    for file in pictures.iterdir():
        file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of the 30 pictures of .*frames can be read, first .*0\.png"):
        watch(str(pictures), Squares(), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_other_pictures_are_another_watch(pictures: Path, tmp_path: Path) -> None:
    watch(str(pictures), Squares(), tmp_path / "out", settings=EVERY)
    (pictures / "0.png").rename(pictures / "30.png")
    with pytest.raises(ValueError, match=r'differs \(pictures: "30 \(\w{8}\)", now "30 \(\w{8}\)"\): choose another'):
        watch(str(pictures), Squares(), tmp_path / "out", settings=EVERY)


def test_a_filesystem_without_links_is_written_too(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(str(video), Squares(), tmp_path / "whole", settings=EVERY)

    def link(*paths: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    watch(str(video), Squares(), tmp_path / "out", settings=EVERY)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@pytest.mark.parametrize("limit", [0, 100, 2_000, 4_000])
def test_whatever_file_does_not_fit_it_goes_on_once_there_is_room(video: Path, tmp_path: Path, limit: int) -> None:
    resource = pytest.importorskip("resource", reason="limits are those of Unix")
    watch(str(video), Squares(), tmp_path / "whole", settings=EVERY)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))  # stands for the disk: the same calls fail
    try:
        with pytest.raises(OSError, match=r"File too large") as caught:
            watch(str(video), Squares(), tmp_path / "out", settings=EVERY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.unfinished"))
    watch(str(video), Squares(), tmp_path / "out", settings=EVERY)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_verifier_ranks_and_its_absence_is_said(video: Path, tmp_path: Path) -> None:
    class Brightness:
        digest = "brightness"

        def log_odds(self, crops: Any, classes: Any, confidence: Any) -> Any:
            assert set(classes) == {"square"}
            return crops.mean(axis=(1, 2, 3)) / 255 * 4

    plain = watch(str(video), Squares(), tmp_path / "plain", settings=EVERY)
    found = watch(str(video), Squares(), tmp_path / "out", settings=EVERY, verifier=Brightness())  # type: ignore[arg-type]
    assert "lowest confidence, without a verifier" in str(plain)
    assert "ranked by the verifier" in str(found)
    rows = table(tmp_path / "out")
    assert {row["ranked_by"] for row in rows} == {"verifier"}
    odds = 0.9 * 250 / 255 * 4
    assert float(rows[0]["difficulty"]) == pytest.approx(1 / (1 + np.exp(-odds)), abs=0.005)
    assert float(rows[-1]["difficulty"]) == pytest.approx(1 - 1 / (1 + np.exp(-odds)), abs=0.005)
    with pytest.raises(ValueError, match=r'verifier: "brightness", now null'):
        watch(str(video), Squares(), tmp_path / "out", settings=EVERY)


def test_numbers_can_be_written_as_json(video: Path, tmp_path: Path) -> None:
    found: Watched = watch(str(video), Squares(), tmp_path / "out")
    record = json.loads(json.dumps(found.as_dict()))
    assert record["folder"] == str(tmp_path / "out")
    assert record["said"].endswith("nobody has looked at them")


def test_progress_counts_frames(video: Path, tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    watch(str(video), Squares(), tmp_path / "out", progress=lambda share, label: told.append((share, label)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert told[-1] == (1.0, "watching street: 60 of 60 frames, 0 proposals")
