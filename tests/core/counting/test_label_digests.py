"""One number per image tells whether its labels are those of another round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnm_core.counting import label_digests
from hnm_core.rounds import compare_labels
from tests.scenes import CROWD, FAR, HERE, Tables, patient, scene, scenes

LABELS = [("a", "cat", HERE), ("a", "dog", FAR), ("b", "cat", HERE), ("c", "cat", FAR)]


@pytest.mark.parametrize(
    ("labels", "changed"),
    [
        (LABELS[::-1], []),  # another order, and other class numbers
        ([*LABELS, LABELS[0]], []),  # an exact copy
        ([*LABELS, ("a", "cat", (3, 3, 3, 9))], []),  # no size
        ([*LABELS[:2], (*LABELS[2], CROWD), LABELS[3]], []),  # what a label is makes none of another box or class
        (LABELS[1:], ["a"]),
        ([*LABELS, ("b", "cat", FAR)], ["b"]),
        ([*LABELS[:3], ("c", "dog", FAR)], ["c"]),
        ([*LABELS[:3], ("c", "cat", (100, 100, 110, 110.5))], ["c"]),
        ([("a", "dog", HERE), ("a", "cat", FAR), *LABELS[2:]], ["a"]),  # the same boxes and classes, exchanged
    ],
)
def test_only_images_with_other_labels_have_other_digests(labels: list, changed: list[str]) -> None:
    digests = []
    for each in (LABELS, labels):
        truth = scene((), each, images="abc")[1]
        digests.append(dict(zip(truth.images, label_digests(truth).tolist(), strict=True)))
    assert [name for name in "abc" if digests[0][name] != digests[1][name]] == changed


@patient
@given(scenes(), scenes(), st.randoms(use_true_random=False))
def test_equal_digests_are_equal_labels(first: Tables, second: Tables, order: object) -> None:
    world = {"images": ("0.jpg", "1.jpg", "2.jpg"), "classes": ("class 0", "class 1")}
    one, two = (replace(tables[1], **world) for tables in (first, second))
    mixed = two.take(np.random.default_rng(order.getrandbits(32)).permutation(len(two)))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(label_digests(mixed), label_digests(two))
    assert not compare_labels(two, mixed).affected().any()
    same = label_digests(one) == label_digests(two)
    assert same.all() == (not compare_labels(one, two).affected().any())
