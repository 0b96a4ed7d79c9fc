"""Twins and nearest crops: by hand on angles, by property on random vectors, and on pictures of one lamp post."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import MiningSettings, mine
from hnm_core.evidence.near_crops import MOST_TWINS, Described, find_twins, near_crops, nearest
from hnm_core.settings.sheets import TWIN_DISTANCE
from tests.scenes import patient

NEAR = 1 - np.cos(np.radians(10.0))
"""Largest distance in the tests by hand: ten degrees, so that 8 degrees are twins and 16 are none."""


def at(*degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def twins(vectors: np.ndarray, kind: list[int] | None = None, image: list[int] | None = None, **more: object) -> list:
    n = len(vectors)
    order = more.get("order", np.arange(n))
    columns = np.array(kind or [0] * n), np.array(image or range(n)), np.asarray(order)
    return find_twins(vectors, *columns, NEAR)[0].tolist()


def test_who_is_near_the_first_one_is_on_its_picture_and_a_chain_does_not_carry_on() -> None:
    assert twins(at(0, 8, 16, 24, 90)) == [0, 0, 2, 2, 4]


def test_the_first_in_the_order_stands_for_the_others() -> None:
    assert twins(at(0, 8, 16), order=[1, 0, 2]) == [1, 1, 1]


def test_kinds_do_not_mix() -> None:
    assert twins(at(0, 0, 0, 0), kind=[0, 1, 0, 1]) == [0, 1, 0, 1]


def test_an_object_is_in_an_image_once() -> None:
    assert twins(at(0, 1, 2, 3), image=[0, 0, 1, 1]) == [0, 1, 0, 1]


def test_a_crop_without_edges_is_near_nothing() -> None:
    assert twins(np.zeros((3, 2))) == [0, 1, 2]
    assert twins(np.zeros((0, 2))) == []


def test_distances_are_those_of_the_cosine() -> None:
    _, apart = find_twins(at(0, 8, 90), np.zeros(3, int), np.arange(3), np.arange(3), NEAR)
    assert apart == pytest.approx([0, 1 - np.cos(np.radians(8)), 0], abs=1e-6)


def test_one_picture_stands_for_a_thousand_at_most() -> None:
    n = MOST_TWINS + 50
    leader = np.array(twins(np.repeat(at(0), n, axis=0)))
    assert np.bincount(leader).max() == MOST_TWINS
    assert np.unique(leader).tolist() == [0, MOST_TWINS]


@patient
@given(st.data())
def test_nobody_is_far_from_its_picture_and_no_two_pictures_could_be_one(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    vectors = at(*rng.choice([0, 3, 7, 12, 20, 60], n), *()) if n else np.zeros((0, 2))
    kind, image, order = rng.integers(0, 2, n), rng.integers(0, 8, n), rng.permutation(n)
    leader, apart = find_twins(vectors, kind, image, order, NEAR)
    place = np.argsort(order)
    assert (leader[leader] == leader).all(), "who is on another's picture has none of its own"
    assert (apart <= NEAR).all()
    assert (kind[leader] == kind).all()
    assert (place[leader] <= place).all()
    for one in np.unique(leader):
        group = np.flatnonzero(leader == one)
        assert len(np.unique(image[group])) == len(group)
        assert 1 - vectors[group] @ vectors[one] == pytest.approx(apart[group], abs=2e-6)
    for one in np.unique(leader):  # whoever leads later could not join an earlier one
        for other in np.unique(leader):
            if place[other] < place[one] and kind[other] == kind[one]:
                near = 1 - vectors[one] @ vectors[other] <= NEAR
                assert not near or image[one] in image[leader == other]
    again = find_twins(vectors[order], kind[order], image[order], np.arange(n), NEAR)[0]
    assert order[again].tolist() == leader[order].tolist(), "the order of the rows does not matter"


def crops(vectors: np.ndarray, label: list[int], group: list[int] | None = None) -> Described:
    return Described(vectors, np.array(label), np.array(group or range(len(label))))


def test_the_nearest_of_its_class_come_first() -> None:
    among = crops(at(40, 10, 20, 0), [0, 0, 1, 0])
    assert nearest(crops(at(0, 19), [0, 1]).apart, among, count=3).tolist() == [[3, 1, 0], [2, -1, -1]]


def test_neither_itself_nor_a_twin_is_a_neighbour() -> None:
    some = crops(at(0, 5, 30, 50), [0] * 4, [0, 0, 2, 3])
    assert nearest(some, some, count=3).tolist() == [[2, 3, -1], [2, 3, -1], [3, 1, 0], [2, 1, 0]]


def test_a_lamp_post_in_eight_frames_is_one_picture_and_eight_scribbles_are_eight(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow writes the frames")
    pytest.importorskip("sklearn", reason="scikit-learn tells the crops apart")
    from hnm_core.evidence.appearance import appearance_evidence, describe_crops
    from tests.streets import draw_frames, street

    draw_frames(tmp_path)
    result = mine(*street(crosses_found=False), MiningSettings(hard_negative_ratio=1.0))
    described = describe_crops(result, lambda name: tmp_path / name)
    near = near_crops(result, described)
    posts, signs, scribbles = (np.arange(first, 24, 3) for first in range(3))
    assert set(near.twin_of[0][posts].tolist()) == {0}, "the most confident one stands for all"
    assert set(near.twin_of[0][signs].tolist()) == {1}
    assert near.twin_of[0][scribbles].tolist() == scribbles.tolist()
    assert 0 < near.distance[0][posts[1:]].max() <= TWIN_DISTANCE
    missed = np.flatnonzero(result.truth_hard)
    assert (result.prediction_hard.all(), len(missed)) == (True, 16)
    assert set(near.twin_of[1][missed].tolist()) <= {0, 1}, "two crosses in a frame are two objects"
    of_post = near.false_positives[0][near.rows[0].tolist().index(0)]
    assert not set(of_post.tolist()) & set(posts.tolist()), "its twins are not its neighbours"
    assert set(result.truth.label[near.labelled[0]].ravel().tolist()) == {0}
    for row, labelled in zip(near.rows[1], near.labelled[1], strict=True):
        twins_of_it = np.flatnonzero(near.twin_of[1] == near.twin_of[1][row])
        assert not {*twins_of_it.tolist()} & {*labelled.tolist()}
    same = appearance_evidence(result, lambda name: tmp_path / name)
    np.testing.assert_array_equal(same, appearance_evidence(result, crops=described))
