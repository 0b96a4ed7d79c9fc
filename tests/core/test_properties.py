"""What must hold whatever the scene: order, unit, distance, thresholds and chunks; found by hypothesis, if not so."""

from __future__ import annotations

import dataclasses
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import Detections, HardNegativeMiner, MiningResult, MiningSettings, match_detections, mine
from hnm_core.labels.reviews import SIDES, Reviews
from hnm_core.matching import chunks, greedy
from hnm_core.taxonomy import BELOW_THRESHOLD, TRUE_POSITIVE
from tests.scenes import Tables, patient, random_scene, scenes

STRATEGIES = st.sampled_from(["confidence_based", "iou_based", "loss_based"])
ROWS = ("prediction_error", "prediction_difficulty", "prediction_iou", "prediction_suspicion", "prediction_hard")
TRUTH_ROWS = ("truth_error", "truth_difficulty", "truth_iou", "truth_suspicion", "truth_hard")
IMAGES = ("image_scores", "weights", "repeats", "hard_images", "hard_counts")


def columns(result: MiningResult, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return {name: getattr(result, name) for name in names}


def assert_same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    for name, column in first.items():
        np.testing.assert_array_equal(column, second[name], err_msg=name)


def shuffled(n: int, order: Random) -> np.ndarray:
    rows = list(range(n))
    order.shuffle(rows)
    return np.array(rows, dtype=int)


orders = st.randoms(use_true_random=False)


# Order


@patient
@given(tables=scenes(), order=orders, strategy=STRATEGIES, ratio=st.sampled_from([0.3, 1.0]))
def test_the_order_of_images_does_not_matter(tables: Tables, order: Random, strategy: str, ratio: float) -> None:
    settings = MiningSettings(strategy=strategy, hard_negative_ratio=ratio)
    new = shuffled(len(tables[0].images), order)  # the new first image was number new[0]
    place = np.argsort(new)
    moved = tuple(
        dataclasses.replace(table, image=place[table.image], images=tuple(table.images[i] for i in new))
        for table in tables
    )
    before, after = mine(*tables, settings), mine(*moved, settings)
    assert_same(columns(before, ROWS + TRUTH_ROWS), columns(after, ROWS + TRUTH_ROWS))
    assert_same({name: column[new] for name, column in columns(before, IMAGES).items()}, columns(after, IMAGES))
    assert str(before.report) == str(after.report)


@patient
@given(tables=scenes(distinct_scores=True), order=orders, strategy=STRATEGIES, ratio=st.sampled_from([0.3, 1.0]))
def test_the_order_of_predictions_of_distinct_scores_does_not_matter(
    tables: Tables, order: Random, strategy: str, ratio: float
) -> None:
    settings = MiningSettings(strategy=strategy, hard_negative_ratio=ratio)
    rows = shuffled(len(tables[0]), order)
    before, after = mine(*tables, settings), mine(tables[0].take(rows), tables[1], settings)
    assert_same({name: column[rows] for name, column in columns(before, ROWS).items()}, columns(after, ROWS))
    rest = TRUTH_ROWS + IMAGES
    assert_same(columns(before, rest), columns(after, rest))
    took = after.truth_near >= 0
    np.testing.assert_array_equal(rows[after.truth_near[took]], before.truth_near[took])
    assert str(before.report) == str(after.report)


@patient
@given(tables=scenes(distinct_scores=True), order=orders, strategy=STRATEGIES, twins=st.booleans())
def test_no_order_changes_what_reviews_and_evidence_say(
    tables: Tables, order: Random, strategy: str, twins: bool
) -> None:
    settings = MiningSettings(strategy=strategy, hard_negative_ratio=1.0, confidence_threshold=0.2)
    values = np.random.default_rng(order.randrange(99)).normal(size=(3, len(tables[0])))
    evidence = {"views": values[0], "appearance": values[1]}
    same = (np.arange(len(tables[0])) // 2, np.arange(len(tables[1])) // 3) if twins else None
    mistakes = mine(*tables, settings)
    states = np.array(["hard_negative", "wrong_label", "wrong_box"])
    reviews = Reviews.of(
        {"image": table.images[table.image[row]], "side": side, "class": table.classes[table.label[row]]}
        | {"bbox": table.xyxy[row].tolist(), "state": states[row % 3]}
        for side, table, hard in zip(SIDES, tables, (mistakes.prediction_hard, mistakes.truth_hard), strict=True)
        for row in np.flatnonzero(hard)[::2]
    )
    before = mine(*tables, settings, reviews=reviews, evidence=evidence, twins=same)

    new, rows = shuffled(len(tables[0].images), order), shuffled(len(tables[0]), order)
    place = np.argsort(new)
    moved = [
        dataclasses.replace(table, image=place[table.image], images=tuple(table.images[i] for i in new))
        for table in (tables[0].take(rows), tables[1])
    ]
    after = mine(
        *moved,
        settings,
        reviews=reviews,
        evidence={name: column[rows] for name, column in evidence.items()},
        twins=same and (same[0][rows], same[1]),
    )
    assert_same({name: column[rows] for name, column in columns(before, ROWS).items()}, columns(after, ROWS))
    assert_same({name: column[new] for name, column in columns(before, IMAGES).items()}, columns(after, IMAGES))
    assert before.report.as_dict() == after.report.as_dict()


@patient
@given(tables=scenes(), order=orders)
def test_renaming_the_order_of_classes_does_not_matter(tables: Tables, order: Random) -> None:
    new = shuffled(len(tables[0].classes), order)
    place = np.argsort(new)
    moved = tuple(
        dataclasses.replace(table, label=place[table.label], classes=tuple(table.classes[i] for i in new))
        for table in tables
    )
    settings = MiningSettings(hard_negative_ratio=1)
    before, after = mine(*tables, settings), mine(*moved, settings)
    assert_same(columns(before, ROWS + TRUTH_ROWS + IMAGES), columns(after, ROWS + TRUTH_ROWS + IMAGES))
    assert before.report.classes == after.report.classes


# Unit, distance, chunks


@patient
@given(tables=scenes(), x=st.integers(-8, 8), y=st.integers(-8, 8), strategy=STRATEGIES)
def test_the_unit_of_each_axis_does_not_matter(tables: Tables, x: int, y: int, strategy: str) -> None:
    unit = np.array([2.0**x, 2.0**y] * 2)  # powers of two: not one bit may change
    settings = MiningSettings(strategy=strategy)
    scaled = (dataclasses.replace(table, xyxy=table.xyxy * unit) for table in tables)
    everything = ROWS + TRUTH_ROWS + IMAGES
    assert_same(columns(mine(*tables, settings), everything), columns(mine(*scaled, settings), everything))


@patient
@given(seed=st.integers(0, 10_000), sides=st.tuples(st.integers(1, 4000), st.integers(1, 4000)))
@pytest.mark.parametrize("what", ["at the threshold", "repeated", "without size"])
def test_fractions_of_the_image_count_as_pixels_do(what: str, seed: int, sides: tuple[int, int]) -> None:
    """Boxes on whole pixels, each stored as FiftyOne does: corner and size, divided by the sides of the image."""
    rng = np.random.default_rng(seed)
    corner, half, width = rng.integers(0, 500, (20, 2)), rng.integers(1, 60, 20), rng.integers(1, 100, 20)
    found = np.column_stack([corner, width, half])  # IoU exactly .5 with the truth, which is twice as high
    true = np.column_stack([corner, width, 2 * half])
    if what == "repeated":
        true = np.concatenate([true, true[:7]])
    elif what == "without size":
        true = np.concatenate([true, true[:7] * [1, 1, 0, 1]])
    n = len(true)

    def tables(unit: np.ndarray) -> tuple[Detections, Detections]:
        boxes = [np.column_stack([b[:, :2], b[:, :2] + b[:, 2:]]) for b in (found / unit, true / unit)]
        world = {"images": [str(i) for i in range(20)], "classes": ["a"]}
        image = np.arange(n) % 20
        return (
            Detections(np.arange(20), boxes[0], np.zeros(20, int), np.full(20, 0.9), **world),
            Detections(image, boxes[1], np.zeros(n, int), None, **world),
        )

    pixels, fractions = (mine(*tables(np.array(unit * 2))) for unit in ((1, 1), sides))
    assert pixels.prediction_error.tolist() == fractions.prediction_error.tolist() == ["true_positive"] * 20
    expected = ["true_positive"] * 20 + ["ignored"] * (n - 20)
    assert sorted(pixels.truth_error) == sorted(fractions.truth_error) == sorted(expected)
    assert pixels.weights.tolist() == fractions.weights.tolist() == [1.0] * 20


FAR_AWAY = np.array([[1000.0, 1000, 1001, 1001]])


def with_one_more(table: Detections, score: float | None) -> Detections:
    """The table with a box in image 0, class 0, that touches nothing."""
    return dataclasses.replace(
        table,
        image=np.append(table.image, 0),
        xyxy=np.append(table.xyxy, FAR_AWAY, axis=0),
        label=np.append(table.label, 0),
        score=None if table.score is None else np.append(table.score, score),
        crowd=None if table.crowd is None else np.append(table.crowd, False),
    )


@patient
@given(tables=scenes(), score=st.floats(0, 1), strategy=STRATEGIES)
def test_a_prediction_far_away_changes_nobody_elses_row(tables: Tables, score: float, strategy: str) -> None:
    settings = MiningSettings(strategy=strategy, hard_negative_ratio=1)
    before, after = mine(*tables, settings), mine(with_one_more(tables[0], score), tables[1], settings)
    assert_same(columns(before, ROWS), {name: column[:-1] for name, column in columns(after, ROWS).items()})
    assert_same(columns(before, TRUTH_ROWS), columns(after, TRUTH_ROWS))
    assert after.prediction_error[-1] == ("background" if score >= 0.5 else "below_threshold")
    assert after.report.counts.total_predictions == before.report.counts.total_predictions + 1


@patient
@given(tables=scenes(), strategy=STRATEGIES)
def test_a_truth_far_away_changes_nobody_elses_row(tables: Tables, strategy: str) -> None:
    settings = MiningSettings(strategy=strategy, hard_negative_ratio=1)
    before, after = mine(*tables, settings), mine(tables[0], with_one_more(tables[1], None), settings)
    assert_same(columns(before, ROWS), columns(after, ROWS))
    assert_same(columns(before, TRUTH_ROWS), {name: column[:-1] for name, column in columns(after, TRUTH_ROWS).items()})
    assert after.truth_error[-1] == "missed"


@patient
@given(tables=scenes())
def test_the_size_of_chunks_does_not_matter(tables: Tables) -> None:
    whole = match_detections(*tables)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "PAIRS_AT_ONCE", 1)
        parts = match_detections(*tables)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "FEW_ROWS", 1)
        passes = match_detections(*tables)
    for found in (parts, passes):
        names = tuple(field.name for field in dataclasses.fields(whole))
        assert_same({name: getattr(whole, name) for name in names}, {name: getattr(found, name) for name in names})


@patient
@given(
    tables=st.builds(random_scene, st.integers(0, 10**6), images=st.just(1), levels=st.just(3)),
    class_agnostic=st.booleans(),
    iou_threshold=st.sampled_from([0.05, 0.3, 0.5, 1.0]),
    class_iou=st.sampled_from([{}, {"class 1": 0.2}]),
)
def test_few_boxes_are_matched_as_many_are(tables: Tables, **chosen: Any) -> None:
    settings = MiningSettings(**chosen)
    few = match_detections(*tables, settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greedy, "FEW_PAIRS", -1)
        many = match_detections(*tables, settings)
    for field in dataclasses.fields(few):
        one, other = getattr(few, field.name), getattr(many, field.name)
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist(), field.name


# Counts


@patient
@given(tables=scenes(), confidence=st.sampled_from([0.0, 0.25, 0.5, 1.0]), strategy=STRATEGIES)
def test_every_row_is_counted_once(tables: Tables, confidence: float, strategy: str) -> None:
    result = mine(*tables, MiningSettings(confidence_threshold=confidence, strategy=strategy))
    counts = result.report.counts
    assert counts.true_positives + counts.false_negatives + result.matches.truth_ignored.sum() == len(tables[1])
    assert counts.true_positives + counts.false_positives == counts.counted_predictions
    assert sum(count["false_positives"] for count in result.report.errors.values()) == counts.false_positives
    assert sum(count["false_negatives"] for count in result.report.errors.values()) == counts.false_negatives
    assert sum(count["hard_negatives"] for count in result.report.errors.values()) == counts.hard_negatives
    assert result.report.errors["missed"]["false_positives"] == 0
    assert counts.hard_negatives + counts.lucky_hits + result.report.left_out == result.report.candidates
    assert counts.hard_negatives + counts.lucky_hits == min(result.report.cap, result.report.candidates)


@patient
@given(tables=scenes(), low=st.integers(0, 4), high=st.integers(0, 4))
def test_a_higher_confidence_threshold_finds_fewer_and_misses_more(tables: Tables, low: int, high: int) -> None:
    low, high = sorted([low, high])
    mild, strict = (
        mine(*tables, MiningSettings(confidence_threshold=level / 4)).report.counts for level in (low, high)
    )
    assert strict.true_positives <= mild.true_positives
    assert strict.false_positives <= mild.false_positives
    assert strict.false_negatives >= mild.false_negatives
    assert strict.counted_predictions <= mild.counted_predictions
    assert strict.total_predictions == mild.total_predictions


@patient
@given(tables=scenes(), low=st.integers(1, 10), high=st.integers(1, 10))
def test_what_is_near_does_not_depend_on_the_iou_threshold(tables: Tables, low: int, high: int) -> None:
    low, high = sorted([low, high])
    mild, strict = (match_detections(*tables, MiningSettings(iou_threshold=level / 10)) for level in (low, high))
    assert strict.same_iou.tolist() == mild.same_iou.tolist()
    assert strict.best_row.tolist() == mild.best_row.tolist()
    assert (strict.best_score <= mild.best_score).all()


# What is mined and weighed


@patient
@given(tables=scenes(), ratio=st.floats(0, 1), strategy=STRATEGIES)
def test_what_is_mined_is_hard_within_the_cap_and_goes_before_what_was_cut(
    tables: Tables, ratio: float, strategy: str
) -> None:
    result = mine(*tables, MiningSettings(hard_negative_ratio=ratio, strategy=strategy))
    difficulty = np.concatenate([result.prediction_difficulty, result.truth_difficulty])
    hard = np.concatenate([result.prediction_hard, result.truth_hard])
    assert hard.sum() <= result.report.cap
    assert (difficulty[hard] > 0).all()
    assert np.nanmax(difficulty, initial=0) <= 1
    cut = ~hard & (np.nan_to_num(difficulty) > 0)
    found = np.isin(result.prediction_error, [TRUE_POSITIVE, BELOW_THRESHOLD])
    kind = np.concatenate([np.where(found, 2, 0), np.full(len(tables[1]), 1)])  # lucky hits last, false positives first
    if cut.any() and hard.any():
        assert kind[cut].min() >= kind[hard].max()
        edge = kind[hard].max()
        assert np.max(difficulty[cut & (kind == edge)], initial=0) <= difficulty[hard & (kind == edge)].min()
    if cut.any():
        assert hard.sum() == result.report.cap


@patient
@given(
    tables=scenes(),
    values=st.fixed_dictionaries(
        {
            "strategy": STRATEGIES,
            "hard_image_share": st.floats(0, 1),
            "max_weight": st.floats(1, 100),
            "background_share": st.floats(0, 1),
            "effective_sample_floor": st.floats(0, 1),
            "repeat_threshold": st.floats(0, 1),
            "use_suspicion": st.booleans(),
            "class_agnostic": st.booleans(),
            "seed": st.integers(0, 9),
        }
    ),
)
def test_every_image_is_drawn_and_numbers_are_numbers_whatever_the_settings(
    tables: Tables, values: dict[str, Any]
) -> None:
    result = mine(*tables, MiningSettings(**values))
    assert (result.weights >= 1).all()
    assert (result.repeats >= 1).all()
    assert abs(result.repeats.sum() - result.weights.sum()) <= 0.5 + 1e-9
    assert ((result.image_scores >= 0) & (result.image_scores <= 1)).all()
    assert np.isfinite(result.weights).all()
    weighting = result.report.weighting
    assert weighting is not None
    floor = values["effective_sample_floor"]
    assert min(weighting.effective_sample_size, weighting.effective_sample_size_of_repeats) >= floor
    assert sum(weighting.extra_by_error.values()) == pytest.approx(1 if weighting.extra_by_error else 0)
    assert not (result.hard_images & (result.image_scores == 0)).any()


def drop(table: Detections, row: int) -> Detections:
    return table.take(np.arange(len(table)) != row)


@patient
@given(tables=scenes(crowds=False), strategy=STRATEGIES, use_suspicion=st.booleans(), data=st.data())
def test_taking_back_a_false_alarm_on_background_never_makes_an_image_harder(
    tables: Tables, strategy: str, use_suspicion: bool, data: st.DataObject
) -> None:
    settings = MiningSettings(strategy=strategy, use_suspicion=use_suspicion, hard_negative_ratio=1)
    before = mine(*tables, settings)
    alarms = np.flatnonzero(before.prediction_error == "background")
    if len(alarms):
        after = mine(drop(tables[0], data.draw(st.sampled_from(alarms.tolist()))), tables[1], settings)
        assert (after.image_scores <= before.image_scores).all()


@patient
@given(tables=scenes(crowds=False), strategy=st.sampled_from(["confidence_based", "loss_based"]), data=st.data())
def test_finding_a_missed_truth_never_makes_an_image_harder(tables: Tables, strategy: str, data: st.DataObject) -> None:
    """A sure prediction exactly on it. (By IoU it may: the new box may come near the threshold of another truth.)"""
    settings = MiningSettings(strategy=strategy, hard_negative_ratio=1)
    before = mine(*tables, settings)
    missed = np.flatnonzero(before.errors.false_negative & (tables[1].xyxy[:, 2:] > tables[1].xyxy[:, :2]).all(axis=1))
    if not len(missed):
        return
    row = data.draw(st.sampled_from(missed.tolist()))
    predictions, truth = tables
    found = dataclasses.replace(
        predictions,
        image=np.append(truth.image[row], predictions.image),
        xyxy=np.append(truth.xyxy[row : row + 1], predictions.xyxy, axis=0),
        label=np.append(truth.label[row], predictions.label),
        score=np.append(1.0, predictions.score),  # type: ignore[arg-type]
    )
    after = mine(found, truth, settings)
    assert after.report.counts.true_positives >= before.report.counts.true_positives
    assert (after.image_scores <= before.image_scores).all()


# Two faces of one engine


@patient
@given(tables=scenes(), strategy=STRATEGIES)
def test_the_miner_on_tables_is_mine_on_tables(tables: Tables, strategy: str) -> None:
    miner = HardNegativeMiner(strategy=strategy)
    found = miner.find_hard_negatives(*tables)
    result = mine(*tables, MiningSettings(strategy=strategy))
    expected = result.report.as_dict()
    assert miner.generate_report() == {**expected, "weights": None}
    types = [f["type"] for f in found]
    assert sorted(types) == sorted(
        [
            *result.prediction_type[result.prediction_hard].tolist(),
            *result.truth_type[result.truth_hard].tolist(),
        ]
    )
    assert [f["difficulty"] for f in found] == sorted((f["difficulty"] for f in found), reverse=True)


@patient
@given(tables=scenes())
def test_mining_twice_gives_the_same(tables: Tables) -> None:
    first, second = mine(*tables), mine(*tables)
    everything = ROWS + TRUTH_ROWS + IMAGES
    assert_same(columns(first, everything), columns(second, everything))
