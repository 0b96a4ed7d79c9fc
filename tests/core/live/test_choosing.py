"""What is kept of many proposals: likeliest first, no look-alikes, so many frames a minute."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("PIL", reason="Pillow cuts the crops")

from hnm_core.live.choosing import Chooser
from hnm_core.live.tracks import Proposal


def crop(seed: int) -> NDArray[np.uint8]:
    """Stripes of an angle of their own: no two of the ten look alike."""
    angle, at = np.pi * seed / 10, np.arange(64)
    wave = np.sin((np.cos(angle) * at + np.sin(angle) * at[:, None]) * 0.8)
    return np.repeat(np.uint8(120 + 100 * wave)[:, :, None], 3, axis=2)


def proposal(frame: int, difficulty: float, looks: int, error: str = "confident", name: str = "cat") -> Proposal:
    return Proposal(error, difficulty, frame, frame, np.array([0.0, 0, 9, 9]), name, 0.9, crop(looks))


def kept(found: list[Proposal], most: int | None = None, alike: float = 0.1) -> list[tuple[str, int]]:
    return [(each.error, each.frame) for each in Chooser(alike).choose(found, most).kept]


def test_the_likeliest_come_first_list_by_list() -> None:
    found = [proposal(1, 0.2, 1), proposal(2, 0.9, 2, "gap"), proposal(3, 0.7, 3), proposal(4, 0.8, 4, "uncertain")]
    assert kept(found) == [("confident", 3), ("confident", 1), ("uncertain", 4), ("gap", 2)]
    assert kept([]) == []


def test_the_rate_counts_frames_of_each_list_and_keeps_the_likeliest() -> None:
    found = [proposal(frame, frame / 10, frame) for frame in (1, 2, 3)]
    found += [proposal(3, 0.05, 9), proposal(1, 0.1, 1, "gap")]
    chosen = Chooser(0.1).choose(found, 2)
    assert [(each.error, each.frame) for each in chosen.kept] == [
        ("confident", 3),
        ("confident", 2),
        ("confident", 3),
        ("gap", 1),
    ]
    assert (chosen.over_rate, chosen.alike) == (1, 0)  # a second one of a frame that is kept costs no frame


def test_what_looks_like_a_likelier_one_of_its_list_and_class_is_left_out() -> None:
    found = [
        proposal(1, 0.5, 7),
        proposal(2, 0.9, 7),
        proposal(3, 0.4, 7, "uncertain"),
        proposal(4, 0.3, 7, name="dog"),
    ]
    chooser = Chooser(0.1)
    chosen = chooser.choose(found, None)
    assert [(each.error, each.frame) for each in chosen.kept] == [("confident", 2), ("confident", 4), ("uncertain", 3)]
    assert chosen.alike == 1
    again = chooser.choose([proposal(9, 1.0, 7), proposal(10, 0.1, 8)], None)  # a later piece
    assert [each.frame for each in again.kept] == [10]
    assert [frame for _, frame in kept(found, alike=0.0)] == [2, 1, 4, 3]


def test_what_was_kept_before_is_remembered() -> None:
    chooser = Chooser(0.1)
    chooser.remember("confident", "cat", crop(7))
    assert chooser.choose([proposal(1, 0.5, 7)], None).alike == 1


def test_a_crop_without_edges_looks_like_nothing() -> None:
    flat = [proposal(frame, 0.5, 0)._replace(crop=np.zeros((64, 64, 3), np.uint8)) for frame in (1, 2)]
    assert len(kept(flat)) == 2
