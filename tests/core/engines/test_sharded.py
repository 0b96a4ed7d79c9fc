"""Shards against all images at once: the same bits, however the images are split and whoever walks them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import Detections, MiningResult, MiningSettings, mine, register_strategy
from hnm_core.engines import Local, Shard, ShardedResult, mine_shards, result
from hnm_core.engines.result import MinedPart
from hnm_core.labels.reviews import SIDES, STATES, Reviews
from hnm_core.selection import choose
from hnm_core.strategies import Difficulty, forget_strategy
from tests.scenes import HERE, Tables, high, patient, random_scene, scene, scenes

COLUMNS = ("image_scores", "weights", "repeats", "hard_images", "hard_counts")
KNOBS: list[dict[str, Any]] = [
    {},
    {"strategy": "iou_based", "max_per_image": 1, "max_per_class": 3, "iou_band": 0.4},
    {"strategy": "loss_based", "repeat_threshold": 0.4, "sizes": ("small",), "hard_negative_ratio": 1.0},
    {"max_hard_negatives": 2, "confidence_threshold": 0.2, "class_agnostic": True, "use_suspicion": False},
    {"class_confidence": {"class 0": 0.3}, "class_iou": {"class 0": 0.7}, "hard_image_share": 1.0},
]


def cut(tables: Tables, images: Sequence[int], evidence: dict[str, Any], groups: Sequence[int]) -> Callable[[], Shard]:
    """What loads a shard of some of the images, in the order given."""
    place = np.full(len(tables[0].images), -1)
    place[list(images)] = np.arange(len(images))
    rows = [np.flatnonzero(place[table.image] >= 0) for table in tables]
    sides = [
        dataclasses.replace(some, image=place[some.image], images=tuple(table.images[i] for i in images))
        for table, some in ((table, table.take(at)) for table, at in zip(tables, rows, strict=True))
    ]
    own = {kind: tuple(side[at] for side, at in zip(both, rows, strict=True)) for kind, both in evidence.items()}
    return partial(Shard, sides[0], sides[1], [groups[i] for i in images], own)


def some_evidence(tables: Tables, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {kind: tuple(rng.normal(size=len(table)) for table in tables) for kind in ("views", "appearance")}


def some_reviews(tables: Tables) -> Reviews:
    states = [["hard_negative", "wrong_label", "ignore", "missing_label"], ["hard_negative", "bogus_label", "ignore"]]
    return Reviews.of(
        {"image": table.images[table.image[row]], "side": side, "class": table.classes[table.label[row]]}
        | {"bbox": table.xyxy[row].tolist()}
        | ({"state": "unreviewed", "refused": state[0]} if row % 7 == 0 else {"state": state[row % len(state)]})
        for side, table, state in zip(SIDES, tables, states, strict=True)
        for row in range(0, len(table), 2)
    )


def mined_rows(whole: MiningResult) -> set[tuple[Any, ...]]:
    """The mined rows of a whole result, by what does not depend on the order of its rows."""
    sides = (
        *((whole.predictions, whole.prediction_hard, whole.errors.prediction, whole.prediction_difficulty),),
        *((whole.truth, whole.truth_hard, whole.errors.truth, whole.truth_difficulty),),
    )
    found = []
    for of_truth, (table, hard, code, difficulty) in enumerate(sides):
        suspicion = whole.truth_suspicion if of_truth else whole.prediction_suspicion
        iou = whole.truth_iou if of_truth else whole.prediction_iou
        found += [
            (
                *(
                    bool(of_truth),
                    table.images[table.image[i]],
                    int(table.label[i]),
                    int(code[i]),
                    float(difficulty[i]),
                ),
                *(*table.xyxy[i].tolist(), float(iou[i]), str(suspicion[i])),
            )
            for i in np.flatnonzero(hard)
        ]
    return set(found)


def parts_of(found: ShardedResult) -> set[tuple[Any, ...]]:
    """The same of a result by shards."""
    names, rows = list(found.images()), []
    for part in found.parts():
        for i in range(len(part.row)):
            who = (bool(part.of_truth[i]), names[part.image[i]], int(part.label[i]), int(part.code[i]))
            numbers = (float(part.difficulty[i]), *part.xyxy[i].tolist(), float(part.iou[i]), str(part.suspicion[i]))
            rows.append((*who, *numbers))
    assert len(rows) == found.hard_counts.sum()
    return set(rows)


def assert_equal(found: ShardedResult, whole: MiningResult) -> None:
    names = list(found.images())
    order = [whole.truth.images.index(name) for name in names]
    assert len(set(names)) == len(whole.truth.images)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name)[order], err_msg=name)
    assert repr(found.report.as_dict()) == repr(whole.report.as_dict())
    assert str(found.report) == str(whole.report)
    assert parts_of(found) == mined_rows(whole)
    assert_same_order(found, whole)


def assert_same_order(found: ShardedResult, whole: MiningResult) -> None:
    """Mined rows are in one order, whoever keeps them, all at once or a few at a time."""
    names, all_names = found.images(), np.array(whole.truth.images, dtype=object)
    for rows in (1, 3, 1_000):
        parts = list(found.hardest_first(rows))
        assert len(parts[0]) >= min(rows, sum(map(len, parts)))
        for column in dataclasses.fields(MinedPart):
            ours = np.concatenate([getattr(part, column.name) for part in parts])
            theirs = getattr(whole.hardest, column.name)
            if column.name == "image":
                ours, theirs = np.array([names[at] for at in ours], dtype=object), all_names[theirs]
            if column.name not in ("row", "near"):  # numbered by shard
                np.testing.assert_array_equal(ours, theirs, err_msg=column.name)
    np.testing.assert_array_equal(np.sort(found.mined_difficulty), np.sort(whole.mined_difficulty))


@pytest.fixture(autouse=True)
def _rows_are_cut_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of many images are."""
    monkeypatch.setattr(result, "SAMPLED", 1)


def check(tables: Tables, order: Random, settings: MiningSettings, *, told: int = 0, processes: int = 1) -> None:
    """Split the images at random, mine the shards, and compare with all images at once.

    ``told``: 0 nothing, 1 reviews, 2 evidence too, 3 evidence alone.
    """
    n = len(tables[0].images)
    groups, images = [i % 3 for i in range(n)], list(range(n))
    evidence = some_evidence(tables, order.randrange(99)) if told > 1 else {}
    reviews = some_reviews(tables) if told in (1, 2) else None
    most = order.randrange(4)
    whole = mine(*tables, settings, groups=groups, max_per_group=most, reviews=reviews, evidence=evidence)
    order.shuffle(images)
    ends = sorted(order.randrange(n + 1) for _ in range(order.randrange(4)))
    split = [images[a:b] for a, b in zip([0, *ends], [*ends, n], strict=True)]  # empty shards too
    shards = [cut(tables, some, evidence, groups) for some in split]
    with Local(shards, processes=processes) as engine:
        assert_equal(mine_shards(engine, settings, max_per_group=most, reviews=reviews), whole)


@patient
@given(tables=scenes(), order=st.randoms(use_true_random=False), knobs=st.sampled_from(KNOBS), told=st.integers(0, 3))
def test_any_split_into_shards_gives_the_same_bits(
    tables: Tables, order: Random, knobs: dict[str, Any], told: int
) -> None:
    check(tables, order, MiningSettings(**knobs), told=told)


@pytest.mark.parametrize("few", [1, 2_000])
@pytest.mark.parametrize("seed", range(6))
def test_many_images_with_ties_and_rounds_of_histograms(seed: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "FEW", few)
    tables = random_scene(seed, images=60, classes=4)
    check(tables, Random(seed), MiningSettings(**KNOBS[seed % len(KNOBS)]), told=seed % 4)


@pytest.mark.parametrize("told", [0, 2])
def test_two_processes_give_the_same_bits(told: int) -> None:
    check(random_scene(3, images=40, classes=3), Random(told), MiningSettings(max_per_class=5), told=told, processes=2)


def by_score(inputs: Any) -> Difficulty:
    return Difficulty(inputs.predictions.score, np.full(len(inputs.truth), 0.25))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_strategy_of_ones_own_works_by_name_and_by_module(processes: int) -> None:
    register_strategy("by_score")(by_score)
    try:
        for name in ("by_score", f"{__name__}:by_score"):
            settings = MiningSettings(strategy=name)
            check(random_scene(5, images=20), Random(1), settings, processes=processes)
    finally:
        forget_strategy("by_score")


def one_by_one(tables: Tables) -> list[Callable[[], Shard]]:
    return [cut(tables, [i], {}, range(len(tables[0].images))) for i in range(len(tables[0].images))]


def test_a_shard_knows_what_only_the_others_show() -> None:
    """The unit of its boxes, and which neutral classes are predicted: both judged by all shards."""
    tiny = scene(
        [("a", "cat", 0.9, (0, 0, 1, 1)), ("b", "cat", 0.8, (0, 0, 90, 90)), ("c", "cat", 0.7, (0, 0, 1, 2))],
        [("a", "cat", (0, 0, 1, 2))],
    )
    settings = MiningSettings(sizes=("small",), hard_negative_ratio=1.0)
    with Local(one_by_one(tiny)) as engine:
        found = mine_shards(engine, settings)
        assert_equal(found, mine(*tiny, settings))
    assert [found.report.sizes[size].false_positives for size in ("small", "medium", "large")] == [1, 1, 0]

    vans = scene(
        [("a", "Car", 0.9, HERE), ("b", "Van", 0.9, high(9))],
        [("a", "Van", HERE), ("b", "Van", HERE)],
        classes=["Car", "Van", "DontCare"],
    )
    with Local(one_by_one(vans)) as engine:
        found = mine_shards(engine)
        assert_equal(found, mine(*vans))
    assert found.report.counts.false_negatives == 1  # the Van in image a, which image b alone says may be missed


def test_shards_that_do_not_fit_together_are_refused() -> None:
    world = {"images": ["a"], "classes": ["cat"]}
    cat = Shard(Detections.empty(**world, scored=True), Detections.empty(**world))
    dogs = {"images": ["b"], "classes": ["dog"]}
    dog = Shard(Detections.empty(**dogs, scored=True), Detections.empty(**dogs))
    told = Shard(Detections.empty(["c"], ["cat"], scored=True), Detections.empty(["c"], ["cat"]), None, {"views": []})

    def refused(*shards: Shard, **more: Any) -> str:
        with Local([partial(same, shard) for shard in shards]) as engine, pytest.raises(ValueError) as said:  # noqa: PT011
            mine_shards(engine, **more)
        return str(said.value)

    assert refused(cat, dog).startswith("shard 1 has other classes than shard 0: dog against cat")
    assert refused(cat, told).startswith("shard 1 has other kinds of evidence than shard 0: views against none")
    assert refused(cat, cat).startswith("1 images are in more than one shard, first 'a'")
    assert "give every shard its groups" in refused(cat, max_per_group=1)
    with pytest.raises(ValueError, match="groups has 2 entries, expected one for each of the 1 images"):
        dataclasses.replace(cat, groups=["x", "y"])
    assert "strategy must be one of" in refused(cat, settings=MiningSettings(strategy="none"))
    twins = dataclasses.replace(cat, twins=(np.zeros(0), np.zeros(0)))
    assert "twins show one object in several images" in refused(twins)
    with pytest.raises(ValueError, match="there are no shards"):
        Local([])
    with pytest.raises(ValueError, match="processes must be 1 or more, got 0"):
        Local([partial(same, cat)], processes=0)


def same(shard: Shard) -> Shard:
    return shard


def test_boxes_in_two_units_are_refused_though_no_shard_shows_both() -> None:
    boxes = [(0, 0, 0.5, 0.25), (0, 0, 0.3, 0.2), (0.1, 0, 0.5, 0.25)]
    tables = scene([("a", "cat", 0.9, box) for box in boxes], [("b", "cat", (0, 0, 300, 200))])
    with (
        Local(one_by_one(tables)) as engine,
        pytest.raises(ValueError, match="the 3 boxes of the predictions are frac"),
    ):
        mine_shards(engine)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with Local(one_by_one(random_scene(1)), folder=tmp_path) as engine:
        mine_shards(engine)
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_all_states_can_be_counted() -> None:
    tables = random_scene(8, images=9)
    reviews = some_reviews(tables)
    with Local(one_by_one(tables)) as engine:
        reviewed = mine_shards(engine, reviews=reviews).report.reviewed
    assert reviewed == mine(*tables, reviews=reviews).report.reviewed
    assert set(reviewed) <= set(STATES)
    assert reviewed
