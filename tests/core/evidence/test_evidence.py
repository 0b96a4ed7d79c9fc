"""What narrows suspicion per object: looks, a second model; believed as far as answers bear it out."""

from __future__ import annotations

import tracemalloc
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hnm_core import Detections, MiningSettings, mine
from hnm_core.evidence.appearance import appearance_evidence, cut_box, cut_crops
from hnm_core.evidence.crop_classifier import likeness
from hnm_core.evidence.edges import SIDE
from hnm_core.evidence.second_model import agreement_evidence
from hnm_core.labels.evidence_weights import LARGEST, as_columns, weigh_evidence
from hnm_core.labels.reviews import Reviews
from hnm_core.labels.strata import Levels
from hnm_core.taxonomy import BACKGROUND
from tests.scenes import FAR, HERE, apart, random_scene, scene

ALL = MiningSettings(hard_negative_ratio=1)
needs_sklearn = pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn tells crops apart")


def cats(n: int, score: float = 0.9) -> list[tuple[Any, ...]]:
    """So many false alarms, one an image."""
    return [(f"{i}", "cat", score, apart(i)) for i in range(n)]


def entries(tables: tuple[Detections, Detections], states: dict[int, str]) -> Reviews:
    table = tables[0]
    return Reviews.of(
        {"image": table.images[table.image[i]], "side": "prediction", "class": "cat", "bbox": table.xyxy[i], "state": s}
        for i, s in states.items()
    )


# Belief


def test_evidence_shifts_the_log_odds_and_leaves_the_others_alone() -> None:
    tables = scene(cats(4))
    result = mine(*tables, ALL, evidence={"appearance": np.array([np.log(2), -np.log(2), 0, np.nan])})
    assert result.prediction_suspicion.tolist() == pytest.approx([8 / 9, 2 / 3, 0.8, 0.8])
    assert result.report.expected_label_errors == pytest.approx(8 / 9 + 2 / 3 + 1.6)
    assert result.image_scores.tolist() == pytest.approx(4 / 7 * 0.9 * (1 - result.prediction_suspicion))
    low, high = result.estimate.suspicions.low, result.estimate.suspicions.high
    assert low[1] < low[2] < low[0]
    assert high[1] < high[2] < high[0]


@pytest.mark.parametrize("reviewed", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_evidence_added_later_gives_what_mining_with_it_gives(seed: int, reviewed: bool) -> None:
    predictions, truth = random_scene(seed)
    rng = np.random.default_rng(seed)
    first = {"appearance": rng.normal(size=len(predictions))}
    second = {"second_model": (rng.normal(size=len(predictions)), rng.normal(size=len(truth)))}
    plain = mine(predictions, truth)
    rows = np.flatnonzero(plain.prediction_hard)[:5].tolist()
    states = {row: ["missing_label", "hard_negative", "ignore"][row % 3] for row in rows}
    reviews = None
    if reviewed:
        reviews = Reviews.of(
            {
                "image": predictions.images[predictions.image[row]],
                "side": "prediction",
                "class": predictions.classes[predictions.label[row]],
                "bbox": predictions.xyxy[row].tolist(),
                "state": state,
            }
            for row, state in states.items()
        )
    later = mine(predictions, truth, reviews=reviews).with_evidence(first).with_evidence(second)
    at_once = mine(predictions, truth, reviews=reviews, evidence={**first, **second})
    assert later.report == at_once.report
    assert list(later.evidence) == list(at_once.evidence)
    for name in ("prediction_suspicion", "truth_suspicion", "image_scores", "weights", "repeats", "prediction_state"):
        assert np.array_equal(getattr(later, name), getattr(at_once, name), equal_nan=name.endswith("suspicion"))
    assert np.array_equal(later.prediction_hard, plain.prediction_hard) or reviewed


def test_truths_have_evidence_too() -> None:
    tables = scene([], [("a", "cat", HERE)])
    result = mine(*tables, ALL, evidence={"appearance": (np.zeros(0), np.array([LARGEST]))})
    odds = 0.25 * np.exp(LARGEST)
    assert result.truth_suspicion.tolist() == pytest.approx([odds / (1 + odds)])


def test_evidence_that_answers_bear_out_counts_more_and_what_they_refute_counts_nothing() -> None:
    tables = scene(cats(60))
    said = np.where(np.arange(60) % 2, 2.0, -2.0)
    right = {i: "missing_label" if i % 2 else "hard_negative" for i in range(40)}
    wrong = {i: "hard_negative" if i % 2 else "missing_label" for i in range(40)}
    unasked, borne_out, refuted = (
        mine(*tables, ALL, reviews=entries(tables, states), evidence={"appearance": said})
        for states in ({}, right, wrong)
    )
    weight = [result.estimate.suspicions.evidence["appearance"] for result in (refuted, unasked, borne_out)]
    assert weight[0] < 0.1 < weight[1] == 1 < weight[2]
    assert np.ptp(borne_out.prediction_suspicion[40:]) > np.ptp(unasked.prediction_suspicion[40:])
    assert np.ptp(refuted.prediction_suspicion[40:]) < 0.05


def test_levels_with_evidence_of_nothing_are_the_levels_without() -> None:
    code, label, stratum, wrong = (
        np.array([BACKGROUND] * 2),
        np.array([0, 1]),
        np.array([0, 0, 1]),
        np.array([1, 0, 1]) > 0,
    )
    plain, silent = (Levels.of(code, label, stratum, wrong, offset) for offset in (None, np.zeros(3)))
    almost = Levels.of(code, label, stratum, wrong, np.full(3, 1e-9))
    assert plain.own.tolist() == silent.own.tolist() == pytest.approx(almost.own.tolist())


def test_a_surprise_moves_the_share_more_than_what_evidence_foretold() -> None:
    code, label = np.array([BACKGROUND]), np.array([0])
    answer = np.zeros(1, dtype=int), np.array([False])
    foretold, plain, surprise = (Levels.of(code, label, *answer, np.array([x])).own[0] for x in (-3.0, 0.0, 3.0))
    assert 0.8 > foretold > plain > surprise


def test_shapes_of_evidence_are_checked_and_it_cannot_say_everything() -> None:
    tables = scene(cats(2), [("a", "cat", HERE)])
    with pytest.raises(ValueError, match=r"evidence 'x' has shapes \(3,\) and \(1,\), expected \(2,\) and \(1,\)"):
        mine(*tables, evidence={"x": np.zeros(3)})
    with pytest.raises(ValueError, match=r"evidence 'x' has shape \(1,\), expected \(2,\): one number per mistake"):
        as_columns({"x": [1.0]}, 2)
    assert as_columns({"x": [np.inf, -np.inf, np.nan]}, 3)[:, 0].tolist() == [LARGEST, -LARGEST, 0]
    assert as_columns(None, 2).shape == (2, 0)
    nobody = np.zeros(0, dtype=int)
    assert weigh_evidence(np.zeros((0, 2)), nobody > 0, nobody, nobody, nobody).tolist() == [1, 1]


# Likeness


@needs_sklearn
def test_no_crop_is_scored_by_a_classifier_that_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression, Ridge

    monkeypatch.setattr("hnm_core.evidence.crop_classifier.RIDGES", (0.3,))
    rng = np.random.default_rng(0)
    crops = np.concatenate([rng.normal(0, 1, (14, 4)), rng.normal(1, 1, (8, 4))])
    is_label = np.arange(22) < 14
    weight = np.where(is_label, 11 / 14, 11 / 8)
    penalty = 0.3 * ((crops - crops.mean(axis=0)) ** 2).sum() / 22

    def without(i: int) -> float:
        others = np.arange(22) != i
        model = Ridge(penalty).fit(crops[others], np.where(is_label, 1, -1)[others], sample_weight=weight[others])
        return float(model.predict(crops[i : i + 1])[0])

    held_out = np.array([[without(i)] for i in range(22)])
    ratio = LogisticRegression(C=1.0).fit(held_out, is_label, sample_weight=weight).decision_function(held_out[14:])
    assert likeness(crops[:14], crops[14:]).tolist() == pytest.approx(ratio.tolist(), abs=1e-6)


@needs_sklearn
def test_crops_of_one_kind_are_not_told_apart() -> None:
    rng = np.random.default_rng(0)
    said = likeness(rng.normal(0, 1, (200, 30)), rng.normal(0, 1, (100, 30)))
    assert np.abs(said).mean() < 0.35


@needs_sklearn
def test_more_crops_than_it_learns_from_are_told_apart_too(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 200  # a fifth, in a hundredth of the time
    monkeypatch.setattr("hnm_core.evidence.crop_classifier.MOST", most)
    rng = np.random.default_rng(0)
    other = np.arange(most + 400) % 2 == 0
    suspects = rng.normal(0, 1, (most + 400, 5)) + 2.0 * other[:, None]
    said = likeness(rng.normal(0, 1, (most + 10, 5)), suspects)
    assert ((said > 0) == ~other).mean() > 0.9


@needs_sklearn
def test_few_crops_say_nothing() -> None:
    assert likeness(np.zeros((9, 3)), np.ones((50, 3))).tolist() == [0] * 50
    assert likeness(np.zeros((50, 3)), np.ones((4, 3))).tolist() == [0] * 4
    assert likeness(np.zeros((50, 3)), np.zeros((0, 3))).tolist() == []
    assert np.abs(likeness(np.zeros((50, 3)), np.zeros((50, 3)))).max() < 0.01  # all the same


# Looks


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty images of five crosses, three of them labelled, and of three rings, which a detector takes for crosses."""
    pytest.importorskip("PIL", reason="Pillow makes the images")
    from PIL import Image, ImageDraw

    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for i in range(20):
        image = Image.fromarray(rng.integers(90, 130, (120, 240, 3), dtype=np.uint8))
        draw = ImageDraw.Draw(image)
        for k, (x, y) in enumerate(places()):
            if k < 5:
                draw.line((x + 15, y, x + 15, y + 30), fill="white", width=4)
                draw.line((x, y + 15, x + 30, y + 15), fill="white", width=4)
            else:
                draw.ellipse((x, y, x + 30, y + 30), outline="white", width=4)
        image.save(folder / f"{i}.png")
    return folder


def places() -> list[tuple[int, int]]:
    return [(15 + 55 * (k % 4), 15 + 55 * (k // 4)) for k in range(8)]


def crosses() -> tuple[Detections, Detections]:
    boxes = [(x, y, x + 30, y + 30) for x, y in places()]
    found = [(f"{i}.png", "cross", 0.9, box) for i in range(20) for box in boxes]
    return scene(found, [(f"{i}.png", "cross", box) for i in range(20) for box in boxes[:3]])


@needs_sklearn
def test_unlabelled_crosses_look_like_labelled_ones_and_rings_do_not(pictures: Path) -> None:
    tables = crosses()
    said = appearance_evidence(mine(*tables, ALL), lambda name: pictures / name)
    kind = np.arange(160) % 8
    assert np.isnan(said[kind < 3]).all()  # found: no mistakes
    assert (said[(kind == 3) | (kind == 4)] > 0.3).all()
    assert (said[kind > 4] < -1).all()
    result = mine(*tables, ALL, evidence={"appearance": said})
    assert (
        result.prediction_suspicion[kind > 4].max()
        < 0.6
        < 0.85
        < result.prediction_suspicion[(kind > 2) & (kind < 5)].min()
    )


def test_it_is_the_same_in_fractions_of_the_image(pictures: Path) -> None:
    pixels, fractions = crosses(), []
    for table in pixels:
        size = np.array([240.0, 120.0, 240.0, 120.0])
        columns = (table.image, table.xyxy / size, table.label, table.score)
        fractions.append(Detections(*columns, table.images, table.classes))
    rows = np.arange(9)
    cut, same = (cut_crops(table, rows, lambda name: pictures / name) for table in (pixels[0], fractions[0]))
    assert np.abs(cut[0].astype(int) - same[0]).max() <= 1
    assert cut[0].shape == (9, SIDE, SIDE, 3)


@pytest.mark.parametrize("box", [(0, 0, 1e6, 1e6), (-1e9, -1e9, 1e9, 10), (1e7, 5, 1e7 + 9, 9), (-1e12, 0, -1e12, 1)])
def test_a_box_far_larger_than_its_image_or_outside_takes_no_more_memory(box: tuple[float, ...]) -> None:
    pytest.importorskip("PIL")
    pixels = np.full((60, 80, 3), 7, dtype=np.uint8)
    pixels[:, -1], pixels[:, 0] = 200, 100
    tracemalloc.start()
    cut = cut_box(pixels, np.array(box))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert cut.shape == (SIDE, SIDE, 3)
    assert peak < 5e6
    if box[2] - box[0] < 80:  # nothing of the image: its border alone
        assert np.unique(cut).tolist() == [200 if box[0] > 0 else 100]


def test_boxes_cut_by_the_edge_of_the_image_are_told_but_still_cut(pictures: Path) -> None:
    table, _ = scene([("0.png", "cross", 0.9, box) for box in ((0, 30, 40, 60), (50, 30, 90, 60), (200, 90, 240, 120))])
    crops, inside, _ = cut_crops(table, np.array([2, 1, 0]), lambda name: pictures / name)
    assert inside.tolist() == [False, True, False]
    assert crops.min(axis=(1, 2, 3)).min() > 60  # beyond the edge it goes on, nothing black
    flat, _ = scene([("0.png", "cross", 0.9, (50, 50, 50, 60))])
    assert cut_crops(flat, np.array([0]), lambda name: pictures / name)[0].shape == (1, SIDE, SIDE, 3)


@pytest.mark.parametrize(
    "box", [(0, 0, 64, 48), (5.5, 3, 20, 21.2), (-9, -7, 8, 9.3), (50, 30, 90, 70), (70, 5, 80, 9), (3, 3, 3, 3)]
)
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_outside_the_image_its_border_goes_on(box: tuple[float, ...], margin: float) -> None:
    pytest.importorskip("PIL", reason="Pillow scales the crops")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    wide = np.pad(pixels, ((99, 99), (99, 99), (0, 0)), mode="edge")
    crop, same = cut_box(pixels, np.array(box), margin), cut_box(wide, np.array(box) + 99, margin)
    assert crop.shape == (SIDE, SIDE, 3)
    assert (crop == same).all()


def test_nothing_is_opened_where_nothing_can_be_said() -> None:
    tables = scene([("gone.png", "cat", 0.9, FAR)], [("gone.png", "cat", HERE)])
    assert np.isnan(appearance_evidence(mine(*tables, ALL))).all()


def test_an_image_that_is_gone_is_named() -> None:
    pytest.importorskip("PIL", reason="Pillow opens the images")
    tables = crosses()
    with pytest.raises(FileNotFoundError, match=r"0\.png"):
        appearance_evidence(mine(*tables, ALL), lambda name: Path("nowhere") / name)


# A second model


def test_what_a_second_model_sees_too_is_likelier_to_be_there() -> None:
    truth = [(f"{i}", "cat", HERE) for i in range(40)]
    found = [(f"{i}", "cat", 0.9, HERE) for i in range(40)]
    alarms = [(f"{i}", "cat", 0.8, FAR) for i in range(20)]
    tables = scene(found + alarms, truth)
    again, _ = scene(found + alarms[:8], truth, images=tables[0].images, classes=tables[0].classes)
    said = agreement_evidence(mine(*tables, ALL), again)
    assert np.isnan(said[:40]).all()
    assert (said[40:48] > 0).all()
    assert (said[48:] < -1).all()
    with pytest.raises(ValueError, match="images"):
        agreement_evidence(mine(*tables, ALL), scene([("x", "cat", 0.9, FAR)])[0])
