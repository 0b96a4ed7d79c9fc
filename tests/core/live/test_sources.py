"""Frames of real videos and pictures, and the sentences about those that are broken."""

from __future__ import annotations

import fractions
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", reason="OpenCV reads videos")

import cv2

from hnm_core.live.sources import LIVE, PICTURES, STILLS, VIDEO, Clip, UnreadableSourceError, find_clips, png_of
from hnm_core.live.tracks import Frame
from tests.squares import picture, write_video

SCORES = [round(0.2 + 0.008 * number, 3) for number in range(90)]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety frames in three seconds, each of a brightness of its own, without loss."""
    return write_video(tmp_path_factory.mktemp("video") / "street.mkv", [[(10, 10, score)] for score in SCORES])


def read(source: Path | str, start: int = 1, pictures: str = PICTURES) -> tuple[Clip, list[Frame]]:
    (clip,) = find_clips(str(source), pictures)
    return clip, list(clip.frames(start))


def test_a_video_is_read_whole_and_as_it_is(video: Path) -> None:
    clip, frames = read(video)
    assert (clip.name, clip.kind, clip.length, clip.notes, clip.cut_off) == ("street", VIDEO, 90, [], False)
    assert [frame.number for frame in frames] == list(range(1, 91))
    assert [frame.seconds for frame in frames] == pytest.approx([number / 30 for number in range(90)], abs=0.001)
    for frame, score in zip(frames, SCORES, strict=True):
        assert (frame.pixels == picture([(10, 10, score)])).all()
    assert clip.file_name(7) == "street_000007.png"


@pytest.mark.parametrize("start", [2, 31, 90])
def test_going_on_gives_the_same_frames(video: Path, start: int) -> None:
    whole, rest = read(video)[1][start - 1 :], read(video, start)[1]
    assert [(f.number, f.seconds) for f in rest] == [(f.number, f.seconds) for f in whole]
    assert all((a.pixels == b.pixels).all() for a, b in zip(rest, whole, strict=True))
    assert read(video, 91)[1] == []


def test_png_loses_nothing(video: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (33, 47, 3)).astype(np.uint8)
    assert (cv2.imdecode(np.frombuffer(png_of(pixels), np.uint8), cv2.IMREAD_COLOR) == pixels).all()


def test_a_video_that_is_cut_off_says_so_after_what_there_is(video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    clip, frames = read(cut)
    assert 20 < len(frames) < 70
    assert clip.cut_off
    (said,) = clip.notes
    assert said.startswith(f"{cut} ends after {len(frames)} frames (")
    assert said.endswith(" s), its file promises 3.0 s: is it cut off? What was read is judged")


@pytest.mark.parametrize("content", [b"", b"this is no video at all", b"\x00\x00\x00\x20ftypisom" + bytes(500)])
def test_what_is_no_video_is_refused_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(UnreadableSourceError, match=r"broken.mp4 (cannot be opened as a video|was opened, but not)"):
        read(path)


def test_a_cut_mp4_without_its_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "whole.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30, (96, 64))
    for score in SCORES:
        writer.write(picture([(10, 10, score)]))
    writer.release()
    (tmp_path / "cut.mp4").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert len(read(path)[1]) == 90
    with pytest.raises(UnreadableSourceError, match=r"cut.mp4 cannot be opened as a video"):
        read(tmp_path / "cut.mp4")


def test_a_variable_frame_rate_is_no_cut(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV writes the times of frames as they are told")
    path, times = tmp_path / "vfr.mkv", [0, 33, 66, 500, 533, 1500, 1533, 1566, 1900]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, width=96, height=64, pix_fmt="yuv420p")
        stream.codec_context.time_base = fractions.Fraction(1, 1000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture([(10, 10, 0.3 + number / 20)]), format="bgr24")
            frame.pts, frame.time_base = time, fractions.Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    clip, frames = read(path)
    assert [frame.seconds for frame in frames] == pytest.approx([time / 1000 for time in times], abs=0.002)
    assert (clip.notes, clip.cut_off) == ([], False)
    assert clip.length > 40, "the number of frames that OpenCV says is too high here"
    assert [frame.seconds for frame in read(path, 5)[1]] == [frame.seconds for frame in frames[4:]]


def test_raw_h264_promises_nothing_and_is_no_cut(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV writes a stream without a container")
    path = tmp_path / "raw.h264"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, width=96, height=64, pix_fmt="yuv420p")
        for score in SCORES:
            frame = av.VideoFrame.from_ndarray(picture([(10, 10, score)]), format="bgr24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    clip, frames = read(path)
    assert (len(frames), clip.length, clip.notes) == (90, None, [])
    assert (np.diff([frame.seconds for frame in frames]) > 0).all()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in (1, 2, 10):
        cv2.imwrite(str(folder / f"shot{number}.png"), picture([(number, 10, 0.5)]))
    (folder / "notes.txt").write_text("not a picture")
    return folder


def test_pictures_are_frames_in_the_order_of_their_numbers(pictures: Path) -> None:
    clip, frames = read(pictures)
    assert (clip.name, clip.kind, clip.length) == ("frames", PICTURES, 3)
    assert [frame.path.name for frame in frames] == ["shot1.png", "shot2.png", "shot10.png"]
    assert [clip.file_name(frame.number) for frame in frames] == ["shot1.png", "shot2.png", "shot10.png"]
    assert read(pictures, 3)[1][0].path.name == "shot10.png"
    assert read(pictures, pictures=STILLS)[0].kind == STILLS
    assert read(pictures / "shot2.png")[0].kind == STILLS


def test_pictures_that_cannot_be_read_are_left_out_and_said(pictures: Path) -> None:
    (pictures / "shot2.png").write_bytes(b"damaged")
    clip, frames = read(pictures)
    assert [frame.number for frame in frames] == [1, 3]
    assert clip.left_out(1) == []
    assert clip.left_out(3) == [f"1 of 3 pictures cannot be read and are left out, first {pictures / 'shot2.png'}"]
    assert clip.left_out(3) == []
    for path in pictures.glob("*.png"):
        path.write_bytes(b"damaged")
    with pytest.raises(UnreadableSourceError, match=r"none of the 3 pictures of .* can be read, first .*shot1.png"):
        read(pictures)


def test_two_pictures_of_one_stem_get_names_of_their_own(pictures: Path) -> None:
    cv2.imwrite(str(pictures / "shot1.jpg"), picture([]))
    clip, frames = read(pictures)
    names = [clip.file_name(frame.number) for frame in frames]
    assert len({Path(name).stem for name in names}) == 4


def test_a_folder_of_videos_is_one_clip_each(video: Path, tmp_path: Path) -> None:
    for name in ("b10.mkv", "b9.mkv", "b9.avi"):
        (tmp_path / name).write_bytes(video.read_bytes())
    clips = find_clips(str(tmp_path))
    assert [Path(clip.where).name for clip in clips] == ["b9.avi", "b9.mkv", "b10.mkv"]
    assert [clip.name for clip in clips] == ["b9-b9.avi", "b9-b9.mkv", "b10"]
    cv2.imwrite(str(tmp_path / "a.png"), picture([]))
    with pytest.raises(ValueError, match=r"holds 1 pictures and 3 videos: keep them in folders of their own"):
        find_clips(str(tmp_path))


def test_cameras_and_streams() -> None:
    assert find_clips("0") == [Clip("camera0", "0", LIVE)]
    (stream,) = find_clips("rtsp://user:secret@host:554/a b")
    assert (stream.name, stream.kind, stream.said) == ("rtsp_host_554_a_b", LIVE, "rtsp://host:554/a b")
    with pytest.raises(
        UnreadableSourceError, match=r"^rtsp://localhost:1/none cannot be opened as a camera or stream$"
    ):
        read("rtsp://me:secret@localhost:1/none")


def test_a_stream_that_ends_says_so(video: Path) -> None:
    clip, frames = read(f"file://{video}", 101)
    assert [frame.number for frame in frames] == list(range(101, 191)), "a live source begins anew, its numbers go on"
    assert clip.notes == [f"file://{video} gave no more frames after 90"]


@pytest.mark.parametrize("name", ["", "none.mp4"])
def test_what_is_not_there(name: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    if not name:
        with pytest.raises(ValueError, match=r"holds no videos and no pictures; folders in it are not searched"):
            find_clips(str(tmp_path))
    else:
        with pytest.raises(FileNotFoundError, match=r"there is no .*none.mp4: give a video, a folder"):
            find_clips(str(tmp_path / name))
