"""The cap and the quotas: what is mined, and what is said of what is not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core import Detections, MiningSettings, mine
from hnm_core.selection.hardest import groups_by_similarity
from tests.scenes import patient

CLASSES = ("cat", "dog")


def false_alarms(rows, images):
    """(image, label, score) false alarms far from each other, and no truth at all."""
    columns = np.array(rows, dtype=float).reshape(-1, 3)
    boxes = [[20 * i, 0, 20 * i + 9, 9] for i in range(len(columns))]
    names = {"images": tuple(f"{i:02d}" for i in range(images)), "classes": CLASSES}
    image, label = columns[:, 0].astype(int), columns[:, 1].astype(int)
    return Detections(image, boxes, label, columns[:, 2], **names), Detections.empty(**names)


def mined(tables, groups=None, max_per_group=0, **settings):
    settings = MiningSettings(hard_negative_ratio=1.0, **settings)
    result = mine(*tables, settings, groups=groups, max_per_group=max_per_group)
    return np.flatnonzero(result.prediction_hard).tolist(), result.report


FIVE = [(0, 0, 0.9), (0, 0, 0.8), (0, 1, 0.7), (1, 0, 0.95), (2, 1, 0.6)]


@pytest.mark.parametrize(
    ("settings", "expected", "notes"),
    [
        ({}, [0, 1, 2, 3, 4], ()),
        ({"max_per_image": 1}, [0, 3, 4], ("2 candidates are left out: at most 1 per image",)),
        ({"max_per_class": 2}, [0, 2, 3, 4], ("1 candidates are left out: at most 2 per class",)),
        ({"max_per_image": 2, "max_per_class": 1}, [3, 4], None),  # the dog in image 0 fell to the first quota
    ],
)
def test_quotas_keep_the_hardest(settings, expected, notes):
    rows, report = mined(false_alarms(FIVE, 3), **settings)
    assert rows == expected
    if notes is not None:
        assert tuple(n for n in report.notes if "left out" in n) == notes


def test_a_scene_does_not_fill_the_quota():
    lamp_post = [(i, 0, 0.9 - i / 100) for i in range(8)]  # eight frames of one lamp post, and two others
    tables = false_alarms([*lamp_post, (8, 0, 0.6), (9, 1, 0.55)], 10)
    groups = ["night"] * 8 + ["day", "rain"]
    assert mined(tables, groups, max_per_group=2)[0] == [0, 1, 8, 9]


def test_the_cap_comes_after_the_quotas():
    result = mine(
        *false_alarms(FIVE, 3),
        MiningSettings(hard_negative_ratio=0.4, max_per_image=1),  # ⌈.4 · 5⌉ = 2 of the three that are left
    )
    assert np.flatnonzero(result.prediction_hard).tolist() == [0, 3]
    assert result.report.left_out == 3


def test_groups_must_be_known_and_one_per_image():
    with pytest.raises(ValueError, match=r"max_per_group needs the groups of the images: give mine\(\.\.\., groups="):
        mined(false_alarms(FIVE, 3), max_per_group=1)
    with pytest.raises(ValueError, match="max_per_group must be a whole number, 0 or more, got -1"):
        mined(false_alarms(FIVE, 3), "aab", max_per_group=-1)
    with pytest.raises(ValueError, match="groups has 2 keys, expected one for each of the 3 images"):
        mined(false_alarms(FIVE, 3), ["a", "b"], max_per_group=1)


rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1), st.sampled_from([0.6, 0.7, 0.8, 0.9])), max_size=30)


@patient
@given(rows, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.sampled_from([0.1, 0.5, 1.0]))
def test_no_quota_is_ever_exceeded(rows, per_image, per_class, per_group, ratio):
    tables = false_alarms(rows, 6)
    settings = MiningSettings(hard_negative_ratio=ratio, max_per_image=per_image, max_per_class=per_class)
    result = mine(*tables, settings, groups=[0, 0, 1, 1, 2, 2], max_per_group=per_group)
    chosen = np.flatnonzero(result.prediction_hard)
    image, label = tables[0].image[chosen], tables[0].label[chosen]
    for quota, key in ((per_image, image), (per_class, label), (per_group, image // 2)):
        assert not quota or np.bincount(key, minlength=1).max() <= quota
    assert len(chosen) <= result.report.cap
    assert bool(len(chosen)) == bool(len(rows))


@patient
@given(rows, st.randoms(use_true_random=False))
def test_quotas_do_not_depend_on_the_order_of_rows(rows, random):
    tables = false_alarms(rows, 6)
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = (tables[0].take(np.array(order, dtype=int)), tables[1])
    settings = {"max_per_image": 2, "max_per_class": 3}
    assert sorted(np.array(order, dtype=int)[mined(shuffled, **settings)[0]].tolist()) == mined(tables, **settings)[0]


def test_similar_images_make_groups():
    near = np.array([[1, 0, 0], [0, 1, 0], [0.98, 0.02, 0], [0, 0.97, 0.05], [0, 0, 1]], dtype=float)
    assert groups_by_similarity(near, 0.99).tolist() == [0, 1, 0, 1, 4]
    assert groups_by_similarity(near * 7.5, 0.99).tolist() == [0, 1, 0, 1, 4]  # length does not matter
    assert groups_by_similarity(near, 1.0).tolist() == [0, 1, 2, 3, 4]


def test_likeness_reaches_along_a_chain():
    angle = np.deg2rad([0, 10, 20, 90, 30])
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert groups_by_similarity(vectors, np.cos(np.deg2rad(11))).tolist() == [0, 0, 0, 3, 0]


def test_groups_of_many_images_are_those_of_one_block(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(60, 3))
    whole = groups_by_similarity(vectors, 0.9)
    monkeypatch.setattr("hnm_core.selection.hardest.SIMILARITIES_AT_ONCE", 1)
    assert groups_by_similarity(vectors, 0.9).tolist() == whole.tolist()


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (np.ones(3), r"embeddings have shape \(3,\), expected \(images, d\)"),
        (np.array([[1.0, 0], [0, 0]]), "1 of 2 embeddings are zero, NaN or infinite, first at row 1"),
        (np.array([[np.nan, 0], [1, 0]]), "1 of 2 embeddings are zero, NaN or infinite, first at row 0"),
    ],
)
def test_embeddings_that_are_none(embeddings, message):
    with pytest.raises(ValueError, match=message):
        groups_by_similarity(embeddings)
