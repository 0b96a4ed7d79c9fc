from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings

from hnm_core import Detections
from hnm_core.rounds import compare_labels
from tests.scenes import FAR, HERE, high, patient, scene, scenes


def truths(*rows, **world):
    return scene([], rows, **({"images": "ab", "classes": ["cat", "dog"]} | world))[1]


def test_each_change_has_its_name():
    before = truths(("a", "cat", HERE), ("a", "dog", FAR), ("b", "cat", HERE), ("b", "dog", FAR))
    after = truths(("a", "cat", high(8)), ("a", "cat", FAR), ("b", "cat", HERE), ("b", "cat", (50, 50, 60, 60)))
    found = compare_labels(before, after)
    assert found.moved.tolist() == [[0, 0]]
    assert found.relabelled.tolist() == [[1, 1]]
    assert found.unchanged.tolist() == [[2, 2]]
    assert (found.removed.tolist(), found.added.tolist()) == ([3], [3])
    assert found.affected().tolist() == [True, True]


def test_an_equal_box_comes_before_a_near_one_of_the_same_class():
    before = truths(("a", "cat", HERE))
    after = truths(("a", "cat", high(8)), ("a", "dog", HERE))
    found = compare_labels(before, after)
    assert (found.relabelled.tolist(), found.added.tolist()) == ([[0, 1]], [0])


def test_ids_know_a_label_that_moved_far_away():
    before, after = truths(("a", "cat", HERE)), truths(("a", "cat", FAR))
    assert compare_labels(before, after).counts()["removed"] == 1
    before, after = (replace(table, ids=np.array(["one"])) for table in (before, after))
    assert compare_labels(before, after).counts()["moved"] == 1
    other = replace(after, ids=np.array(["two"]))
    assert compare_labels(before, other).counts()["removed"] == 1


def test_only_classes_with_a_changed_label_are_affected():
    before = truths(("a", "cat", HERE), ("b", "dog", HERE))
    assert not compare_labels(before, before).affected().any()
    assert compare_labels(before, truths(("b", "dog", HERE))).affected().tolist() == [True, False]


@settings(patient, max_examples=30)
@given(scenes(), scenes())
def test_every_label_is_counted_once(first, second):
    world = {"images": [f"{i}.jpg" for i in range(3)], "classes": ["class 0", "class 1"]}
    before, after = (Detections(table.image, table.xyxy, table.label, None, **world) for table in (first[1], second[1]))
    found = compare_labels(before, after)
    for side, table, gone in ((0, before, found.removed), (1, after, found.added)):
        kept = [pairs[:, side].tolist() for pairs in (found.unchanged, found.moved, found.relabelled)]
        rows = sorted([*chain(*kept), *gone.tolist()])
        counting = (table.xyxy[:, 2:] > table.xyxy[:, :2]).all(axis=1) & ~table.repeated()
        assert rows == np.flatnonzero(counting).tolist()
    back = compare_labels(after, before).counts()
    assert (back["added"], back["removed"]) == (found.counts()["removed"], found.counts()["added"])
    same = compare_labels(before, before).counts()
    assert same["unchanged"] == same["before"] == same["after"]


def test_other_images_are_refused():
    with pytest.raises(ValueError, match="only over the same images and classes"):
        compare_labels(truths(images="a"), truths(images="b"))


def test_many_labels_in_one_image_are_followed_too() -> None:
    world = {"images": ["a"], "classes": ["cat"]}
    left = np.arange(600.0) * 10
    boxes = np.stack([left, left * 0, left + 9, left * 0 + 9], axis=1)
    before, after = (Detections(np.zeros(n, int), boxes[:n], np.zeros(n, int), None, **world) for n in (600, 590))
    counts = compare_labels(before, after).counts()
    assert (counts["unchanged"], counts["removed"], counts["added"]) == (590, 10, 0)
