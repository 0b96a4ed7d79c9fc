"""Ultralytics' real trackers on boxes made by hand: every raw box that belongs to a track is known to."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ultralytics", reason="its trackers follow the boxes")
pytest.importorskip("lap", reason="the trackers need it")

from ultralytics.engine.results import Boxes

from hnm_core.live import tracking
from hnm_core.live.tracking import NO_TRACK, Alone, UltralyticsTracker
from hnm_core.settings.watching import TRACKERS

GREY = np.full((120, 160, 3), 90, dtype=np.uint8)


def boxes(*rows: tuple[float, float]) -> Boxes:
    """Boxes at a place, of a confidence."""
    return Boxes(np.array([[x, 20, x + 30, 50, s, 0] for x, s in rows], np.float32).reshape(-1, 6), (120, 160))


@pytest.mark.parametrize("name", TRACKERS)
def test_boxes_are_followed_from_their_first_frame_on(name: str) -> None:
    tracker = UltralyticsTracker(name)
    first = tracker.follow(boxes((10, 0.9)), GREY)
    both = tracker.follow(boxes((100, 0.6), (12, 0.9)), GREY)
    later = tracker.follow(boxes((14, 0.9), (101, 0.6)), GREY)
    assert first.track[0] == both.track[1] == later.track[0] != NO_TRACK
    assert both.track[0] == later.track[1] not in (NO_TRACK, first.track[0])
    assert later.alive == set(later.track.tolist())


@pytest.mark.parametrize("name", TRACKERS)
def test_a_track_lives_on_through_a_gap_and_ends_after_thirty_frames(name: str) -> None:
    tracker = UltralyticsTracker(name)
    for place in (10, 11, 12):
        (number,) = tracker.follow(boxes((place, 0.9)), GREY).track.tolist()
    for _ in range(5):
        assert number in tracker.follow(boxes(), GREY).alive
    assert tracker.follow(boxes((14, 0.9)), GREY).track.tolist() == [number]
    gone = [number in tracker.follow(boxes(), GREY).alive for _ in range(40)]
    assert gone[0]
    assert not gone[-1]


def test_what_is_too_unsure_for_a_track_has_none() -> None:
    tracker = UltralyticsTracker()
    assert tracker.follow(boxes((10, 0.2), (100, 0.06)), GREY).track.tolist() == [NO_TRACK, NO_TRACK]
    assert tracker.follow(boxes(), GREY).alive == frozenset()


def test_two_trackers_share_nothing() -> None:
    first, second = UltralyticsTracker(), UltralyticsTracker()
    numbers = [tracker.follow(boxes((10, 0.9)), GREY).track.tolist() for tracker in (first, second, first)]
    assert numbers[0] == numbers[2]


def test_stills_are_not_followed() -> None:
    assert Alone().follow(boxes((10, 0.9), (50, 0.9)), GREY).track.tolist() == [NO_TRACK, NO_TRACK]


def test_without_lap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="tracking needs lap; install it with: pip install lap"):
        UltralyticsTracker()
