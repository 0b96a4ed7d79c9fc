"""Bad input ends in a sentence: units, corners, reviews, strategies, and text of the data in reports and tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hnm_core import Detections, mine
from hnm_core.boxes import check_units
from hnm_core.cli import main
from hnm_core.io import read_coco
from hnm_core.io.cells import plain_cell, safe_cell
from hnm_core.io.sources import read_any
from hnm_core.labels.reviews import Reviews
from hnm_core.report import Counts, MiningReport
from hnm_core.reporting.html import as_markdown
from hnm_core.strategies import find_strategy
from tests.scenes import scene


def tables(scale: float) -> tuple[Detections, Detections]:
    """Six predictions on six truths in pixels, the predictions multiplied."""
    boxes = [(10 * i + 3, 5, 10 * i + 9, 15) for i in range(6)]
    found = [("a", "cat", 0.9, tuple(edge * scale for edge in box)) for box in boxes]
    return scene(found, [("a", "cat", box) for box in boxes])


def test_fractions_and_pixels_are_not_mined_together() -> None:
    mine(*tables(1))
    with pytest.raises(ValueError, match=r"the 6 boxes of the predictions are fractions .* ground truth are pixels"):
        mine(*tables(1 / 100))
    predictions, truth = tables(1 / 100)
    with pytest.raises(ValueError, match=r"the 6 boxes of the ground truth are fractions"):
        check_units(truth.xyxy, predictions.xyxy)
    mine(*scene([("a", "cat", 0.9, (0.5, 0.5, 1.5, 1.5))], [("a", "cat", (10, 10, 30, 30))]))  # one small box is none


def coco(folder: Path, boxes: list[list[float]], found: list[list[float]], name: str = "{}.png") -> tuple[Path, Path]:
    truth = {
        "images": [{"id": i, "file_name": name.format(i), "width": 90, "height": 90} for i in range(len(boxes))],
        "categories": [{"id": 1, "name": "=cat|<b>\n"}],
        "annotations": [{"image_id": i, "category_id": 1, "bbox": box} for i, box in enumerate(boxes)],
    }
    results = [{"image_id": i, "category_id": 1, "bbox": box, "score": 0.9} for i, box in enumerate(found)]
    for path, content in (("gt.json", truth), ("found.json", results)):
        (folder / path).write_text(json.dumps(content))
    return folder / "gt.json", folder / "found.json"


def test_a_split_of_what_has_none_is_refused(tmp_path: Path) -> None:
    data, found = coco(tmp_path, [[20.0, 20, 10, 10]], [[20, 20, 10, 10]])
    read_any(data, found)
    with pytest.raises(ValueError, match=r"gt.json is COCO json, which has no splits: leave out --split"):
        read_any(data, found, "val")


def test_corners_in_the_place_of_sizes_are_refused(tmp_path: Path) -> None:
    boxes = [[20.0, 20, 10, 10]] * 4
    with pytest.raises(ValueError, match=r"0 of 4 boxes lie on a truth; read as corners x0 y0 x1 y1 4 do"):
        read_coco(*coco(tmp_path, boxes, [[20, 20, 30, 30]] * 4))
    with pytest.raises(ValueError, match=r"4 of 4 boxes reach beyond 1e\+07 pixels"):
        read_coco(*coco(tmp_path, boxes, [[1e200, 1, 1, 1]] * 4))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": 5}, "review 0 has image 5, expected its name as text"),
        ({"class": None}, "review 0 has class None, expected its name as text"),
        ({"bbox": [True, 0, 1, 1]}, "review 0 has bbox"),
        ({"bbox": "abcd"}, "review 0 has bbox"),
        ({"bbox": [0, 0, 1, int("9" * 400)]}, "review 0 has bbox"),
    ],
)
def test_reviews_of_other_types_are_refused(change: dict[str, object], said: str) -> None:
    entry = {"image": "a", "side": "truth", "class": "cat", "bbox": [0, 0, 1, 1], "state": "ignore"}
    with pytest.raises(ValueError, match=said):
        Reviews.of([{**entry, **change}])


def test_reviews_that_reach_nothing_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gt, found = coco(tmp_path, [[20.0, 20, 10, 10]], [[21, 20, 10, 10]])
    entry = {"image": "0.png", "side": "prediction", "class": "=cat|<b>\n", "bbox": [60, 60, 80, 80], "state": "ignore"}
    (tmp_path / "reviews.json").write_text(json.dumps([entry, {**entry, "bbox": [21, 20, 31, 30]}]))
    call = ["mine", "--data", str(gt), "--predictions", str(found), "--reviews", str(tmp_path / "reviews.json")]
    with pytest.warns(UserWarning, match=r"1 of 2 reviews reach no object"):
        assert main([*call, "--output", str(tmp_path / "out")]) == 0
    assert "\n" not in capsys.readouterr().out.partition("=cat")[2][:6]


def test_an_output_inside_what_is_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("yaml", reason="data.yaml is read with PyYAML")
    for folder in ("images", "labels", "found"):
        (tmp_path / folder).mkdir()
    (tmp_path / "images" / "a.png").touch()
    for folder, line in (("labels", "0 .5 .5 .2 .2"), ("found", "0 .5 .5 .2 .2 .9")):
        (tmp_path / folder / "a.txt").write_text(line)
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat]\n")
    call = ["mine", "--data", str(tmp_path / "data.yaml"), "--predictions", str(tmp_path / "found"), "--output"]
    for inside in ("images/run", "found"):
        assert main([*call, str(tmp_path / inside)]) == 2
        assert "with all its files; choose another folder" in capsys.readouterr().err
    assert main([*call, str(tmp_path / "run")]) == 0


def test_names_that_lead_outside_are_not_copied(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "set").mkdir()
    gt, found = coco(tmp_path / "set", [[20.0, 20, 10, 10]], [[60, 60, 10, 10]], "../secret.txt")
    call = ["mine", "--data", str(gt), "--predictions", str(found), "--save-samples", "--output"]
    with pytest.warns(UserWarning, match=r"1 hard images are not saved .* names lead out .*: \.\./secret\.txt"):
        assert main([*call, str(tmp_path / "out")]) == 0
    assert not list((tmp_path / "out").rglob("secret*"))


def test_strategies_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="'os:getcwd' does not take one argument"):
        find_strategy("os:getcwd")


def test_text_of_the_data_is_shown_as_it_is() -> None:
    name = "a|b<script>\n[x](y)"
    report = MiningReport(images=1, counts=Counts(), classes={name: Counts()}, notes=(f"{name}\x1b[31m",))
    text = as_markdown(report)
    assert "| a\\|b&lt;script> \\[x\\](y) |" in text
    assert "<script>" not in text
    assert "\x1b" not in text + str(report)


@pytest.mark.parametrize("text", ["=1+1", "'=1", "-a.jpg", "@x", "'plain", "plain", ""])
def test_cells_are_no_formulas_and_are_read_back(text: str) -> None:
    assert not safe_cell(text).startswith(("=", "+", "-", "@"))
    assert plain_cell(safe_cell(text)) == text
