"""Tracks made by hand: what is listed of them, where a gap is a missed object, and how much is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from hnm_core.settings import WatchSettings

pytest.importorskip("PIL", reason="Pillow cuts the crops")

from hnm_core.live.tracking import NO_TRACK, Followed
from hnm_core.live.tracks import MOST_CROPS, Frame, Judge, Proposal, Spread

NAMES = {0: "cat", 1: "dog"}
BLACK = np.zeros((64, 96, 3), dtype=np.uint8)
Row = tuple[int, float, float]
"""Track, left, confidence."""


class Store:
    """Counts who holds which frame."""

    def __init__(self) -> None:
        self.held: Counter[int] = Counter()
        self.most = 0

    def hold(self, frame: Frame) -> None:
        self.held[frame.number] += 1
        self.most = max(self.most, len(self.held))

    def drop(self, number: int) -> None:
        assert self.held[number] > 0, f"frame {number} is dropped more often than it is held"
        self.held[number] -= 1
        self.held = +self.held


def box(left: float, score: float, label: int = 0) -> list[float]:
    return [left, 10.0, left + 20.0, 30.0, score, label]


def see(judge: Judge, number: int, rows: Sequence[Row], alive: Sequence[int] = ()) -> None:
    """One frame; a track lives on while it is in ``alive`` or seen."""
    table = np.array([box(left, score) for _, left, score in rows]).reshape(-1, 6)
    track = np.array([row[0] for row in rows], dtype=np.int64)
    judge.see(Frame(number, number / 30, BLACK), table, Followed(track, frozenset({*alive, *track.tolist()})))


def judged(frames: Sequence[Sequence[Row]], settings: WatchSettings | None = None) -> list[Proposal]:
    """What is found if every track lives until the end."""
    store = Store()
    judge = Judge(settings or WatchSettings(), NAMES, None, store)
    everybody = [row[0] for rows in frames for row in rows if row[0] != NO_TRACK]
    for number, rows in enumerate(frames, start=1):
        see(judge, number, rows, everybody)
    found = judge.finish()
    assert +store.held == +Counter(each.frame for each in found), "a proposal holds its frame, nobody else does"
    return found


def brief(found: Sequence[Proposal]) -> list[tuple[str, int, float]]:
    return [(each.error, each.frame, round(each.difficulty, 3)) for each in found]


def test_the_highest_confidence_of_a_track_decides_its_list_and_place() -> None:
    found = judged([[(1, 0, 0.3), (2, 50, 0.3)], [(1, 0, 0.8), (2, 50, 0.45)], [(1, 0, 0.6), (2, 50, 0.2)]])
    assert brief(found) == [
        *(("confident", 2, 0.2), ("confident", 3, 0.2)),  # the first box is not confident: it is not shown
        *(("uncertain", 1, 0.55), ("uncertain", 2, 0.55)),  # nor are boxes below .25
    ]
    assert [each.track for each in found] == [1, 1, 2, 2]
    assert found[0].box.tolist() == [0, 10, 20, 30]
    assert found[0].confidence == 0.8


@pytest.mark.parametrize(("score", "found"), [(0.5, "confident"), (0.4999, "uncertain"), (0.25, "uncertain")])
def test_thresholds_are_inclusive(score: float, found: str) -> None:
    assert [each.error for each in judged([[(1, 0, score)]])] == [found]
    assert [each.error for each in judged([[(NO_TRACK, 0, score)]])] == [found]


def test_below_the_uncertain_ones_nothing_is_listed() -> None:
    assert judged([[(1, 0, 0.2499), (NO_TRACK, 40, 0.2499)]] * 3) == []
    assert judged([[], [], []]) == []


def test_classes_may_have_thresholds_of_their_own() -> None:
    judge = Judge(WatchSettings(class_confidence={"dog": 0.9}), NAMES, None, Store())
    table = np.array([box(0, 0.8, 0), box(50, 0.8, 1)])
    judge.see(Frame(1, 0.0, BLACK), table, Followed(np.array([1, 2]), frozenset({1, 2})))
    assert [(each.name, each.error) for each in judge.finish()] == [("cat", "confident"), ("dog", "uncertain")]


@pytest.mark.parametrize(("missing", "frames"), [(0, []), (1, [2]), (2, [2]), (5, [4]), (6, [])])
def test_a_gap_of_at_most_five_frames_is_a_missed_object(missing: int, frames: list[int]) -> None:
    track = [[(1, 0.0, 0.9)], *[[]] * missing, [(1, 12.0, 0.9)]]
    gaps = [each for each in judged(track) if each.error == "gap"]
    assert [each.frame for each in gaps] == frames
    for each in gaps:
        share = (each.frame - 1) / (missing + 1)
        assert each.box.tolist() == pytest.approx([12 * share, 10, 12 * share + 20, 30])
        assert (each.confidence, round(each.difficulty, 6)) == (0.0, 0.9)


def test_a_longer_gap_counts_if_it_is_asked_for_and_none_if_not() -> None:
    track = [[(1, 0.0, 0.9)], *[[]] * 6, [(1, 12.0, 0.9)]]
    assert "gap" in {each.error for each in judged(track, WatchSettings(longest_gap=6))}
    assert "gap" not in {each.error for each in judged([track[0], [], track[-1]], WatchSettings(longest_gap=0))}


def test_what_is_seen_there_was_not_missed() -> None:
    ends = [(1, 0.0, 0.9)]
    there, elsewhere, unsure = [(NO_TRACK, 1.0, 0.9)], [(NO_TRACK, 60.0, 0.9)], [(NO_TRACK, 1.0, 0.3)]
    found = [{each.error for each in judged([ends, middle, ends])} for middle in (there, elsewhere, unsure)]
    assert ["gap" in errors for errors in found] == [False, True, True]


def test_the_time_before_and_after_a_track_is_no_gap() -> None:
    assert "gap" not in {each.error for each in judged([[], [(1, 0, 0.9)], [(1, 0, 0.9)], [], []])}


def test_at_most_three_frames_of_a_track_spread_over_it() -> None:
    found = judged([[(1, 0, 0.9)]] * 100)
    assert [each.frame for each in found] == [1, 65, 97]
    assert len(judged([[(1, 0, 0.9)]] * 100, WatchSettings(frames_per_track=1))) == 1


@pytest.mark.parametrize("most", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 7, 50, 333])
def test_a_spread_keeps_so_many_and_tells_of_all_others(most: int, length: int) -> None:
    dropped: list[int] = []
    kept, made = Spread[int](most, dropped.append), []
    for number in range(length):
        kept.offer(lambda number=number: made.append(number) or number)
    assert len(kept.items) == min(length, most)
    assert sorted([*kept.items, *dropped]) == made
    steps = np.diff(kept.items)
    assert not len(steps) or steps.max() <= 2 * steps.min()
    assert len(made) <= most * (2 + np.log2(max(length, 1)))
    kept.clear()
    assert sorted(dropped) == made


def test_crops_are_red_green_blue_where_frames_are_the_other_way_round() -> None:
    judge = Judge(WatchSettings(), NAMES, None, Store())
    blue = np.broadcast_to(np.array([250, 0, 0], dtype=np.uint8), BLACK.shape)
    judge.see(Frame(1, 0.0, blue), np.array([box(0, 0.9)]), Followed(np.array([1]), frozenset({1})))
    (found,) = judge.finish()
    assert found.crop.reshape(-1, 3).max(axis=0).tolist() == [0, 0, 250]


class Odds:
    """A verifier that says what it is told, and counts whom it looks at."""

    def __init__(self, said: float) -> None:
        self.said, self.asked = said, list[int]()

    def log_odds(self, crops: NDArray[np.uint8], classes: Sequence[str], confidence: NDArray[np.float64]) -> object:
        assert crops.shape == (len(classes), 64, 64, 3)
        self.asked.append(len(classes))
        return np.linspace(self.said - 1, self.said + 1, len(classes)) if len(classes) > 1 else np.array([self.said])


@pytest.mark.parametrize(("odds", "likely"), [(0.0, 0.5), (np.log(3), 0.75)])
def test_a_verifier_says_how_likely_by_its_mean_over_the_track(odds: float, likely: float) -> None:
    verifier = Odds(odds)
    judge = Judge(WatchSettings(), NAMES, verifier, Store())  # type: ignore[arg-type]
    for number in range(1, 200):
        see(judge, number, [(1, 0, 0.9)] if number not in (101, 102) else [], alive=[1])
    see(judge, 200, [])
    found = judge.take()
    assert {each.error: round(each.difficulty, 6) for each in found} == {
        "confident": likely,
        "gap": round(1 - likely, 6),
    }
    (asked,) = verifier.asked
    assert asked == MOST_CROPS


def test_a_closed_track_is_judged_at_once_and_an_open_one_is_not() -> None:
    judge = Judge(WatchSettings(), NAMES, None, Store())
    see(judge, 1, [(1, 0, 0.9), (2, 50, 0.9)])
    see(judge, 2, [(2, 50, 0.9)], alive=[1])
    assert judge.take() == []
    see(judge, 3, [(2, 50, 0.9)])
    assert {each.track for each in judge.take()} == {1}
    assert {each.track for each in judge.finish()} == {2}
    assert judge.finish() == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_video() -> None:
    def longest(frames: int) -> tuple[int, int]:
        store, most = Store(), 0
        judge = Judge(WatchSettings(), NAMES, Odds(0.0), store)  # type: ignore[arg-type]
        for number in range(1, frames + 1):
            rows = [(0, 0.0, 0.9)] if number % 7 else []  # one track that is always there, but for gaps
            see(judge, number, [*rows, (1 + number // 10, 50.0, 0.6), (NO_TRACK, 70.0, 0.4)], alive=[0])
            most = max(most, judge.held)
            for each in judge.take():
                store.drop(each.frame)
        return most, store.most

    short, long = longest(300), longest(6_000)
    assert long <= (short[0] + MOST_CROPS, short[1] + 4)
    assert max(long) < 100
