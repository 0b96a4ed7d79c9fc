"""Descriptors of crops: by hand, and beside scikit-image's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hnm_core.evidence.edges import AT_ONCE, EDGES, SIDE, edge_features

Crops = NDArray[np.uint8]


def ramp(right: int, down: int) -> Crops:
    """One crop in three equal colours that grows by so much a pixel."""
    y, x = np.mgrid[:SIDE, :SIDE]
    grey = 128 + right * (x - SIDE // 2) + down * (y - SIDE // 2)
    return np.repeat(grey.astype(np.uint8)[None, :, :, None], 3, axis=3)


@pytest.mark.parametrize(
    ("right", "down", "direction"),
    [(1, 0, 0), (-1, 0, 0), (2, 1, 1), (1, 1, 2), (-2, -2, 2), (0, 1, 4), (0, -1, 4), (-1, 1, 6), (-2, 1, 7)],
)
def test_a_ramp_has_one_direction_up_and_down_alike(right: int, down: int, direction: int) -> None:
    inner = edge_features(ramp(right, down)).reshape(7, 7, 4, 9)[1:-1, 1:-1]  # no gradient across the border
    assert np.argwhere(inner[0, 0, 0]).ravel().tolist() == [direction]
    assert inner[..., direction] == pytest.approx(0.5)  # four equal cells, clipped, of length 1 again


def test_a_crop_without_edges_is_nothing_and_no_crops_are_none() -> None:
    assert not edge_features(np.full((1, SIDE, SIDE, 3), 200, dtype=np.uint8)).any()
    assert edge_features(np.zeros((0, SIDE, SIDE, 3), dtype=np.uint8)).shape == (0, EDGES)


def drawn(count: int) -> Crops:
    """Noise, blocks of noise, black and white, ramps of every direction, strange colours."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    blocks = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    ramps = [ramp(*step) for step in rng.integers(-2, 3, (count, 2)).tolist()]
    return np.concatenate([noise, blocks, noise // 128 * 255, np.concatenate(ramps), noise * [1, 0, 0]]).astype(
        np.uint8
    )


def test_they_are_those_of_scikit_image() -> None:
    hog = pytest.importorskip("skimage.feature", reason="scikit-image is the oracle").hog
    crops = drawn(AT_ONCE)
    same = [
        hog(crop.mean(axis=2) / 255, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(2, 2)) for crop in crops
    ]
    np.testing.assert_allclose(edge_features(crops), same, rtol=0, atol=1e-6)  # it adds up in single precision


def test_how_many_are_described_together_changes_nothing() -> None:
    crops = drawn(AT_ONCE)
    alone = np.concatenate([edge_features(crop[None]) for crop in crops])
    np.testing.assert_array_equal(edge_features(crops), alone)
