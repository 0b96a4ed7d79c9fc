"""Reviews from files: names and units of tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import MiningSettings, mine
from hnm_core.io.mining_folder import load_mining, save_mining
from hnm_core.io.reviews_file import read_reviews, unknown_reviews
from hnm_core.labels.reviews import Reviews
from tests.scenes import FAR, HERE, scene

ENTRY = {"image": "/data/images/a.jpg", "side": "prediction", "class": "cat", "bbox": [0, 0, 10, 10], "state": "ignore"}
PIXELS = np.array([[100.0, 50.0], [100.0, 50.0]])


def write(folder: Path, *entries: dict[str, Any], lines: bool = False) -> Path:
    path = folder / "reviews.json"
    path.write_text("\n".join(map(json.dumps, entries)) + "\n" if lines else json.dumps(entries))
    return path


@pytest.mark.parametrize("lines", [False, True])
def test_an_array_and_lines_are_the_same(tmp_path: Path, lines: bool) -> None:
    found = read_reviews(write(tmp_path, ENTRY, {**ENTRY, "image": "b.jpg"}, lines=lines), ["a.jpg", "b.jpg"], PIXELS)
    assert found.as_entries() == [{**ENTRY, "image": "a.jpg"}, {**ENTRY, "image": "b.jpg"}]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["images/a.jpg", "other/a.jpg"], "images/a.jpg"),  # the longest end decides
        (["x/a.jpg", "y/a.jpg"], "/data/images/a.jpg"),  # two end so: neither
        (["/home/me/images/a.jpg"], "/home/me/images/a.jpg"),  # moved to another machine
        (["c.jpg"], "/data/images/a.jpg"),  # gone
    ],
)
def test_images_are_found_by_the_end_of_their_path(tmp_path: Path, images: list[str], expected: str) -> None:
    assert read_reviews(write(tmp_path, ENTRY), images, PIXELS).images == (expected,)


def test_images_are_found_where_their_paths_lead_from_the_file(tmp_path: Path) -> None:
    images = [str(tmp_path / folder / "a.jpg") for folder in ("one", "two")]
    (tmp_path / "said").mkdir()
    entries = [{**ENTRY, "image": f"../{name}/a.jpg"} for name in ("two", "one/../two", "three")]
    found = read_reviews(write(tmp_path / "said", *entries), images, PIXELS)
    assert found.images == (images[1], "../three/a.jpg")
    assert unknown_reviews(found, images) == 1


def test_the_longest_common_end_names_an_image_in_any_order(tmp_path: Path) -> None:
    names = ["/old/cam2/a.jpg", "/old/cam1/a.jpg"]
    for order in (names, names[::-1]):
        found = read_reviews(write(tmp_path, *({**ENTRY, "image": name} for name in order)), ["new/cam1/a.jpg"], PIXELS)
        assert set(found.images) == {"/old/cam2/a.jpg", "new/cam1/a.jpg"}


@pytest.mark.parametrize("lines", [False, True])
def test_a_byte_order_mark_is_no_part_of_the_reviews(tmp_path: Path, lines: bool) -> None:
    path = write(tmp_path, ENTRY, lines=lines)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_reviews(path, ["a.jpg"], PIXELS)) == 1


def test_two_names_never_become_one(tmp_path: Path) -> None:
    path = write(tmp_path, ENTRY, {**ENTRY, "image": "/elsewhere/a.jpg"})
    assert read_reviews(path, ["a.jpg"], PIXELS).images == ("a.jpg", "/elsewhere/a.jpg")


def test_fractions_become_pixels_where_the_tables_are_in_pixels(tmp_path: Path) -> None:
    path = write(tmp_path, {**ENTRY, "bbox": [0.1, 0.2, 0.5, 1.0]})
    assert read_reviews(path, ["a.jpg"], PIXELS[:1]).xyxy.tolist() == [[10, 10, 50, 50]]
    assert read_reviews(path, ["a.jpg"]).xyxy.tolist() == [[0.1, 0.2, 0.5, 1.0]]
    with pytest.raises(ValueError, match="width and height of 1 images are missing"):
        read_reviews(path, ["a.jpg"], np.full((1, 2), np.nan))
    with pytest.raises(ValueError, match=r"reviews\.json has boxes in pixels, but the boxes of the labels are"):
        read_reviews(write(tmp_path, ENTRY), ["a.jpg"])


def test_what_is_no_ledger_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"reviews\.json: review 0 has state 'maybe', expected one of"):
        read_reviews(write(tmp_path, {**ENTRY, "state": "maybe"}), [])
    assert len(read_reviews(write(tmp_path), [])) == 0


def test_a_saved_mining_keeps_what_was_said_and_what_was_seen(tmp_path: Path) -> None:
    tables = scene([("a", "cat", 0.9, FAR), ("b", "cat", 0.8, FAR)], [("b", "cat", HERE)])
    reviews = Reviews.of([{**ENTRY, "image": "a", "bbox": FAR, "state": "hard_negative"}])
    evidence = {"review_count": np.array([np.nan, 1.5]), "both": (np.array([0.5, 0]), np.array([-1.0]))}
    result = mine(*tables, MiningSettings(hard_negative_ratio=1), reviews=reviews, evidence=evidence)
    again, _ = load_mining(save_mining(tmp_path / "run", result, {}, {}))
    assert again.prediction_state.tolist() == ["hard_negative", "unreviewed"]
    assert again.prediction_suspicion.tolist() == result.prediction_suspicion.tolist()
    assert again.truth_suspicion.tolist() == result.truth_suspicion.tolist()
    assert again.report == result.report
