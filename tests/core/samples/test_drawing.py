"""Pictures of what is wrong: colours, dashes, sizes, words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core.reporting.chart_data import COLORS

pytest.importorskip("PIL")
from PIL import Image, ImageColor

from hnm_core.samples.drawing import caption_of, draw_sample

BOX = [100, 100, 300, 250]


def hard(error: str = "background", kind: str = "false_positive", box: Any = BOX) -> dict[str, Any]:
    side, other = ("ground_truth", "prediction") if kind == "false_negative" else ("prediction", "ground_truth")
    return {"type": kind, "error": error, side: {"bbox": box, "class": "cat"}, other: None, "confidence": 0.92}


def drawn(tmp_path: Path, found: Any, truth: Any = (), size: tuple[int, int] = (640, 480)) -> Any:
    path = tmp_path / "a.png"
    Image.new("RGB", size, "black").save(path)
    return np.asarray(draw_sample(path, found, truth))


def share(pixels: Any, color: str) -> float:
    """How much of some pixels has a colour."""
    return float((pixels == ImageColor.getrgb(color)).all(axis=-1).mean())


@pytest.mark.parametrize("error", ["background", "localization", "classification", "duplicate", "both"])
def test_a_prediction_is_a_solid_box_in_the_colour_of_its_error(tmp_path: Path, error: str) -> None:
    picture = drawn(tmp_path, [hard(error)])
    for edge in (picture[249:251, 110:290], picture[110:240, 99:101], picture[110:240, 299:301]):
        assert share(edge, COLORS[error]) > 0.4
        assert {tuple(p) for p in edge.reshape(-1, 3)} <= {ImageColor.getrgb(COLORS[error]), (255, 255, 255)}
    assert not picture[110:240, 110:290].any()  # what is in the box stays to be seen


def test_a_missed_truth_is_dashed(tmp_path: Path) -> None:
    edge = drawn(tmp_path, [hard("missed", "false_negative")])[250, 110:290]
    assert 0.3 < share(edge, COLORS["missed"]) < 0.7
    assert 0.3 < share(edge, "black") < 0.7


def test_other_truths_are_quiet(tmp_path: Path) -> None:
    truth = [{"bbox": [400, 300, 500, 400], "class": "dog"}, {"bbox": BOX, "class": "cat"}]
    picture = drawn(tmp_path, [hard("missed", "false_negative")], truth)
    assert share(picture[300, 400:500], COLORS["true_positive"]) > 0.3
    assert share(picture[250, 100:300], COLORS["true_positive"]) == 0  # the missed one is drawn once
    assert share(picture[:280], COLORS["true_positive"]) == 0


def test_the_hardest_lies_on_top(tmp_path: Path) -> None:
    picture = drawn(tmp_path, [hard("both"), hard("background")])
    assert share(picture[130:220, 300], COLORS["both"]) > 0.9


@pytest.mark.parametrize(
    ("size", "expected"),
    [((192, 96), (640, 320)), ((640, 480), (640, 480)), ((900, 1000), (900, 1000)), ((4000, 1000), (1600, 400))],
)
def test_pictures_are_large_enough_to_read_and_small_enough_to_keep(
    tmp_path: Path, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    box = [size[0] * 0.25, size[1] * 0.5, size[0] * 0.5, size[1] * 0.75]
    picture = drawn(tmp_path, [hard(box=box)], size=size)
    assert picture.shape[1::-1] == expected
    rows, columns = np.nonzero((picture == ImageColor.getrgb(COLORS["background"])).all(axis=-1))
    assert rows.max() == pytest.approx(0.75 * expected[1], abs=4)
    assert columns.min() == pytest.approx(0.25 * expected[0], abs=4)


def test_fractions_and_pixels_draw_the_same(tmp_path: Path) -> None:
    pixels = drawn(tmp_path, [hard(box=[64, 48, 320, 240])], [{"bbox": [0, 0, 160, 120], "class": "dog"}])
    fractions = drawn(tmp_path, [hard(box=[0.1, 0.1, 0.5, 0.5])], [{"bbox": [0, 0, 0.25, 0.25], "class": "dog"}])
    assert (pixels == fractions).all()


def test_boxes_may_be_arrays_empty_or_beyond_the_image(tmp_path: Path) -> None:
    boxes = [np.array([5.0, 5, 5, 5]), [-50, -50, 2000, 9000], [700, 700, 800, 800], (0, 0, 640, 480)]
    picture = drawn(tmp_path, [hard(box=box) for box in boxes], [{"bbox": np.array(boxes[0]), "class": "cat"}])
    assert share(picture[:, :12], COLORS["background"]) > 0.01


def test_words_do_not_hide_each_other_where_there_is_room(tmp_path: Path) -> None:
    apart = share(drawn(tmp_path, [hard(), hard(box=[400, 300, 600, 450])])[:, :, :], COLORS["background"])
    together = share(drawn(tmp_path, [hard(), hard()]), COLORS["background"])
    one = share(drawn(tmp_path, [hard()]), COLORS["background"])
    assert together > one * 1.5  # the second word stands beside the first
    assert apart > together


def test_a_word_at_the_edge_stays_whole(tmp_path: Path) -> None:
    inside = drawn(tmp_path, [hard(box=[300, 200, 340, 240])])
    corner = drawn(tmp_path, [hard(box=[600, 0, 640, 40])])
    words = [share(picture, COLORS["background"]) for picture in (inside, corner)]
    assert words[1] > 0.8 * words[0]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (hard(), "background cat .92"),
        ({**hard("classification"), "confidence": 1.0}, "classification cat 1.00"),
        (hard("missed", "false_negative"), "missed cat"),
        (hard("localization", "false_negative"), "missed cat (localization)"),
        (hard("true_positive", "lucky_hit"), "lucky hit cat .92"),
        ({k: v for k, v in hard().items() if k != "error"}, "false positive cat .92"),
        ({k: v for k, v in hard("", "false_negative").items() if k != "error"}, "missed cat"),
    ],
)
def test_words(found: dict[str, Any], expected: str) -> None:
    assert caption_of(found) == expected


def test_letters_of_any_script_are_drawn(tmp_path: Path) -> None:
    found = hard()
    found["prediction"]["class"] = "行人"
    assert share(drawn(tmp_path, [found]), COLORS["background"]) > 0


def test_a_photograph_that_lies_on_its_side_is_turned(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (640, 480)).save(path, exif=exif)
    assert draw_sample(path, [hard()]).size == (480, 640)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "1"])
def test_any_kind_of_image(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.tif"
    Image.new(mode, (64, 48)).save(path)
    assert draw_sample(path, [hard(box=[1, 1, 30, 30])]).mode == "RGB"
