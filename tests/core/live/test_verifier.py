"""The verifier: what it learns from, what it refuses, what it says of itself, and its file."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections, MiningSettings, mine
from hnm_core.labels.reviews import Reviews
from hnm_core.labels.stats import expit
from hnm_core.live import Verifier
from hnm_core.live.examples import MOST, examples_of
from hnm_core.live.fitting import fit_ridge, folds_by_image
from tests.scenes import FAR, HERE, apart, scene
from tests.stripes import boxes_of, striped, striped_run, write_pictures

Image = pytest.importorskip("PIL.Image", reason="Pillow cuts the crops")
pytest.importorskip("sklearn", reason="scikit-learn tells the crops apart")

IMAGES = 48


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return write_pictures(tmp_path_factory.mktemp("stripes"), IMAGES)


@pytest.fixture(scope="module")
def fitted(pictures: list[str]) -> Verifier:
    return Verifier.fit(striped_run(pictures))


def review(table: Detections, row: int, state: str, side: str = "prediction") -> dict[str, Any]:
    image, name = table.images[table.image[row]], table.classes[table.label[row]]
    return {"image": image, "side": side, "class": name, "bbox": table.xyxy[row].tolist(), "state": state}


# What it learns from


def test_right_is_what_matched_and_wrong_what_did_not_down_to_a_low_confidence() -> None:
    rows = [("a", "cat", 0.9, HERE), ("a", "cat", 0.06, FAR), ("b", "cat", 0.04, FAR), ("b", "cat", 0.05, HERE)]
    found = examples_of(mine(*scene(rows, [("a", "cat", HERE)])))
    assert (found.rows.tolist(), found.wrong.tolist()) == ([0, 1, 3], [False, True, True])


def test_duplicates_and_crowds_teach_nothing() -> None:
    rows = [("a", "cat", 0.9, HERE), ("a", "cat", 0.8, (0, 0, 10, 9)), ("a", "cat", 0.7, FAR)]
    found = examples_of(mine(*scene(rows, [("a", "cat", HERE), ("a", "cat", FAR, "crowd")])))
    assert (found.rows.tolist(), found.wrong.tolist()) == ([0], [False])


def test_a_threshold_of_the_run_hides_no_example() -> None:
    tables = scene([("a", "cat", 0.2, HERE), ("a", "cat", 0.3, FAR)], [("a", "cat", HERE)])
    high = MiningSettings(confidence_threshold=0.9, class_confidence={"cat": 0.95})
    assert examples_of(mine(*tables, high)).wrong.tolist() == [False, True]


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("hard_negative", [True]),
        ("missing_label", [False]),  # the label is missing: the model is right
        ("wrong_label", [False]),
        ("wrong_box", [False]),
        ("ignore", []),
    ],
)
def test_a_label_error_is_no_error_of_the_model(state: str, kept: list[bool]) -> None:
    tables = scene([("a", "cat", 0.9, HERE)], images=["a", "b"])
    result = mine(*tables)
    reviews = Reviews.of([review(tables[0], 0, state)])
    assert examples_of(result, reviews).wrong.tolist() == kept
    assert examples_of(mine(*tables, reviews=reviews)).wrong.tolist() == kept


@pytest.mark.parametrize("state", ["wrong_label", "wrong_box", "bogus_label", "ignore"])
def test_nothing_is_learned_on_a_truth_that_is_wrong(state: str) -> None:
    tables = scene(
        [("a", "cat", 0.9, HERE), ("a", "dog", 0.9, HERE), ("a", "cat", 0.8, FAR)],
        [("a", "cat", HERE)],
        classes=["dog"],
    )
    reviews = Reviews.of([review(tables[1], 0, state, "truth")])
    assert examples_of(mine(*tables)).rows.tolist() == [0, 1, 2]
    assert examples_of(mine(*tables), reviews).rows.tolist() == [2]


def test_of_many_so_many_are_drawn_the_same_each_time() -> None:
    tables = scene([(f"{i}", "cat", 0.9, HERE) for i in range(MOST + 50)])
    first, again = (examples_of(mine(*tables)) for _ in range(2))
    assert len(first.rows) == MOST
    assert first.rows.tolist() == again.rows.tolist() == sorted(first.rows.tolist())
    assert f"50 of {MOST + 50:,} detections are left out: {MOST:,} of a class and kind are enough" in first.notes[0]


def test_expected_label_errors_are_said_before_and_not_after_a_review() -> None:
    tables = scene([(f"{i}", "cat", 0.9, apart(i)) for i in range(10)])
    said = examples_of(mine(*tables)).notes
    assert said == (
        "of 10 confident false positives without a review about 8 are expected to be label errors (0 are reviewed): a "
        "verifier learns that they are wrong. Review them first",
    )
    reviews = Reviews.of(review(tables[0], row, "hard_negative") for row in range(10))
    assert examples_of(mine(*tables, reviews=reviews)).notes == ()


def test_what_is_black_is_seen_and_what_is_no_picture_is_not(tmp_path: Path) -> None:
    """A night without light is a picture without edges, for fitting and for looking."""
    paths = write_pictures(tmp_path, IMAGES)
    for path in paths[:4]:
        Image.new("RGB", (40, 40)).save(path)
    Image.new("RGB", (40, 40), (9, 90, 200)).save(paths[4])
    Path(paths[5]).write_bytes(b"no picture")
    result = striped_run(paths)
    with pytest.warns(UserWarning, match=r"^1 image"):
        fitted = Verifier.fit(result)
    assert fitted.quality.lists["all"]["detections"] == 2 * (IMAGES - 1)
    table = result.predictions
    with pytest.warns(UserWarning, match=r"^1 image"):
        odds = fitted.of_rows(table, np.arange(len(table)))
    assert table.image[np.isnan(odds)].tolist() == [5, 5]
    boxes = [
        {"bbox": b.tolist(), "confidence": c, "class": "cat"} for b, c in zip(table.xyxy, table.score, strict=True)
    ]
    assert expit(odds[0]) == pytest.approx(fitted.score(paths[0], boxes[:1])[0]), "one picture says one thing"


# What it says


def test_it_tells_errors_apart_on_images_that_it_has_not_seen(fitted: Verifier) -> None:
    for number in range(IMAGES, IMAGES + 10):
        right, wrong = ({"bbox": box, "confidence": 0.6, "class": "cat"} for box in boxes_of(number))
        said = fitted.score(striped(number), [right, wrong, right])
        assert said[0] == said[2] < 0.5 < said[1]


def test_it_says_how_good_it_is_beside_lowest_confidence(fitted: Verifier) -> None:
    quality = fitted.quality
    assert (quality.images, quality.own_fit) == (IMAGES, 1.0)
    every = quality.lists["all"]
    assert (every["detections"], every["errors"]) == (2 * IMAGES, IMAGES)
    assert every["verifier"]["average_precision"] > 0.95 > 0.7 > every["lowest_confidence"]["average_precision"]
    parts = [quality.lists[name]["detections"] for name in ("confident", "uncertain")]
    assert sum(parts) == 2 * IMAGES
    assert f"all               {IMAGES}      {2 * IMAGES}" in str(fitted)


def test_quality_is_that_of_images_that_a_fit_did_not_see(pictures: list[str]) -> None:
    result = striped_run(pictures)
    stands = np.random.default_rng(1).random(IMAGES) < 0.5
    both = result.predictions.xyxy.reshape(-1, 2, 4)
    by_chance = replace(result.truth, xyxy=both[np.arange(IMAGES), stands.astype(int)])
    noise = Verifier.fit(mine(result.predictions, by_chance, result.settings))
    assert noise.quality.lists["all"]["verifier"]["roc_auc"] < 0.65


def _asked(boxes: Any, *classes: str) -> list[dict[str, Any]]:
    return [{"bbox": box, "confidence": 0.5, "class": name} for name in classes or ("cat",) for box in boxes]


def test_a_class_with_few_examples_uses_the_fit_over_all(pictures: list[str]) -> None:
    result = striped_run(pictures, ("cat", "dog"))
    found = Verifier.fit(result)
    assert (found.classes, found.quality.own_fit) == ((), 0.0)
    boxes = boxes_of(100)
    said = [
        found.score(striped(100), [{"bbox": boxes[1], "confidence": 0.5, "class": name}])[0]
        for name in ("cat", "dog", "a class that nobody has seen")
    ]
    assert said[0] == said[1] == said[2] > 0.5
    assert "no class has a fit of its own" in str(found)


def test_every_class_with_enough_has_a_fit_of_its_own(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 84)
    plain = striped_run(paths, ("cat", "dog"))
    dogs = plain.truth.label == 1
    turned = plain.truth.xyxy.copy()
    turned[dogs] = plain.predictions.xyxy.reshape(-1, 2, 4)[dogs, 1]  # a dog is what stands
    found = Verifier.fit(mine(plain.predictions, replace(plain.truth, xyxy=turned), plain.settings))
    assert found.classes == ("cat", "dog")
    lying, standing = boxes_of(100)
    asked = _asked((lying, standing), "cat", "dog")
    assert (found.score(striped(100), asked) > 0.5).tolist() == [False, True, True, False]
    assert found.quality.lists["all"]["verifier"]["average_precision"] > 0.95


def test_the_order_of_rows_changes_nothing(pictures: list[str], fitted: Verifier) -> None:
    result = striped_run(pictures)
    order = np.random.default_rng(3).permutation(len(result.predictions))
    again = Verifier.fit(mine(result.predictions.take(order), result.truth, result.settings))
    asked = _asked(boxes_of(100))
    assert again.score(striped(100), asked) == pytest.approx(fitted.score(striped(100), asked), abs=1e-3)


def test_paths_pictures_and_grey_arrays_are_the_same_image(fitted: Verifier, pictures: list[str]) -> None:
    from PIL import Image

    asked = _asked(boxes_of(0))
    wanted = fitted.score(striped(0), asked).tolist()
    with Image.open(pictures[0]) as opened:
        assert fitted.score(opened, asked).tolist() == wanted
    assert fitted.score(pictures[0], asked).tolist() == fitted.score(Path(pictures[0]), asked).tolist() == wanted
    assert fitted.score(striped(0)[:, :, 0], asked) == pytest.approx(wanted, abs=0.1)
    assert fitted.score(striped(0), []).tolist() == []


@pytest.mark.parametrize(
    "image", [np.zeros((3, 9, 9), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8), 3]
)
def test_what_is_no_image_is_refused(fitted: Verifier, image: Any) -> None:
    with pytest.raises(ValueError, match=r"a verifier looks at a path, a PIL image or .height, width, 3. uint8, got"):
        fitted.score(image, [{"bbox": HERE, "confidence": 0.5, "class": "cat"}])


# What it refuses


def test_too_few_of_a_kind_are_refused(pictures: list[str]) -> None:
    with pytest.raises(ValueError, match="the run has 39 errors and 39 right detections, a verifier needs 40 of each"):
        Verifier.fit(striped_run(pictures[:39]))
    assert Verifier.fit(striped_run(pictures[:40])).classes == ("cat",)


def test_examples_of_what_is_no_picture_do_not_count(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 41)
    for path in paths[:2]:
        Path(path).write_text("no picture")
    with pytest.warns(UserWarning, match="2 images are not compared"), pytest.raises(ValueError, match="39 errors"):
        Verifier.fit(striped_run(paths))


def test_one_image_is_refused() -> None:
    with pytest.raises(ValueError, match="all detections are in one image"):
        folds_by_image(np.zeros(100, dtype=np.int64))


def test_no_fit_where_all_errors_are_in_one_part() -> None:
    fold = np.repeat(np.arange(5), 20)
    assert fit_ridge(np.zeros((100, 2), np.float32), fold == 0, fold) is None


def test_images_stay_together_in_a_part() -> None:
    image = np.random.default_rng(0).integers(0, 17, 300)
    fold = folds_by_image(image)
    assert set(fold.tolist()) == {0, 1, 2, 3, 4}
    assert all(len(set(fold[image == each].tolist())) == 1 for each in range(17))


def test_the_penalty_is_that_of_the_least_loss_held_out() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, 50)).astype(np.float32) / np.sqrt(50)
    fold = np.arange(200) % 5
    known, unknown = noise[:, 0] > 0, rng.random(200) < 0.5
    strong, weak = fit_ridge(noise, unknown, fold), fit_ridge(noise, known, fold)
    assert strong is not None
    assert weak is not None
    assert strong.penalty < weak.penalty
    assert ((weak.held_out > 0) == known).mean() > 0.8


# Its file


def test_what_is_read_is_what_was_written(fitted: Verifier, tmp_path: Path) -> None:
    path = fitted.save(tmp_path / "new" / "verifier.npz")
    assert path == tmp_path / "new" / "verifier.npz"
    found = Verifier.load(path)
    asked = _asked(boxes_of(100))
    assert found.score(striped(100), asked).tolist() == fitted.score(striped(100), asked).tolist()
    assert (found.quality, found.digest, found.classes) == (fitted.quality, fitted.digest, fitted.classes)
    assert [each.name for each in path.parent.iterdir()] == ["verifier.npz"]


def test_the_digest_is_of_what_it_was_made_from(fitted: Verifier, pictures: list[str]) -> None:
    result = striped_run(pictures)
    assert Verifier.fit(result).digest == fitted.digest
    reviews = Reviews.of([review(result.predictions, 1, "ignore")])
    assert Verifier.fit(result, reviews=reviews).digest != fitted.digest


def test_there_is_no_pickle_in_it(fitted: Verifier, tmp_path: Path) -> None:
    with np.load(fitted.save(tmp_path / "v.npz"), allow_pickle=False) as arrays:
        assert {arrays[name].dtype.kind for name in arrays} == {"f", "U"}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no verifier .*none.npz; fit one with `hnm verifier fit"):
        Verifier.load(tmp_path / "none.npz")


def test_every_cut_and_every_changed_byte_is_refused_or_harmless(fitted: Verifier, tmp_path: Path) -> None:
    whole = fitted.save(tmp_path / "v.npz").read_bytes()
    rng = np.random.default_rng(0)
    for cut in rng.integers(0, len(whole), 40).tolist():
        (tmp_path / "cut.npz").write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"cut.npz (cannot be read as a verifier|is no verifier|is damaged)"):
            Verifier.load(tmp_path / "cut.npz")
    for at in rng.integers(0, len(whole), 80).tolist():
        (tmp_path / "bent.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with suppress(ValueError):  # nothing else is raised; what is read past it, nothing in it reads
            assert Verifier.load(tmp_path / "bent.npz").weights.tolist() == fitted.weights.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"what": "a cake"}, "is no verifier: `hnm verifier fit RUN --output FILE` writes one"),
        (
            {"format": 2, "version": "9.9"},
            "is a verifier of format 2, from version '9.9'; this is version .*: fit again",
        ),
        ({"classes": ["cat", "dog"]}, r"is damaged .ValueError: weights is float64 \(2, .*expected finite float64 \(3"),
        ({"quality": {"lists": {}}}, "is damaged"),
        ({"quality": 7}, "is damaged"),
    ],
)
def test_a_foreign_file_is_refused(fitted: Verifier, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with np.load(fitted.save(tmp_path / "v.npz"), allow_pickle=False) as arrays:
        values = dict(arrays)
    values["record"] = np.array(json.dumps({**json.loads(str(values["record"])), **change}))
    np.savez(tmp_path / "v.npz", **values)
    with pytest.raises(ValueError, match=message):
        Verifier.load(tmp_path / "v.npz")


@pytest.mark.parametrize("name", ["weights", "scale"])
def test_numbers_that_are_none_are_refused(fitted: Verifier, tmp_path: Path, name: str) -> None:
    with np.load(fitted.save(tmp_path / "v.npz"), allow_pickle=False) as arrays:
        values = dict(arrays)
    np.savez(tmp_path / "nan.npz", **{**values, name: np.full_like(values[name], np.nan)})
    with pytest.raises(ValueError, match=f"is damaged .*{name}"):
        Verifier.load(tmp_path / "nan.npz")
    np.savez(tmp_path / "less.npz", **{key: value for key, value in values.items() if key != name})
    with pytest.raises(ValueError, match=r"is damaged .KeyError"):
        Verifier.load(tmp_path / "less.npz")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04"])
def test_any_file_is_no_verifier(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"v.npz cannot be read as a verifier") as said:
        Verifier.load(tmp_path / "v.npz")
    assert "unsafely" not in str(said.value), "NumPy advises to allow what such a file may do"
    np.savez(tmp_path / "tables.npz", xyxy=np.zeros(3))
    with pytest.raises(ValueError, match=r"tables.npz is no verifier"):
        Verifier.load(tmp_path / "tables.npz")
    np.save(tmp_path / "v.npz", np.zeros(3))
