"""Progress: a share and a sentence, from whoever works to whoever watches."""

from __future__ import annotations

from hnm_core.io.progress import part_of, silent, tracked


def test_nothing_is_wrapped_for_nobody() -> None:
    items = [1, 2]
    assert tracked(items, "counting") is items
    silent(0.5, "counting")


def test_of_nothing_nothing_is_told() -> None:
    told: list[tuple[float, str]] = []
    assert list(tracked([], "counting", lambda share, label: told.append((share, label)))) == []
    assert told == []


def test_a_part_of_nothing_told_is_not_told_either() -> None:
    assert part_of(silent, 0, 0.5) is silent


def test_a_part_of_the_work_is_a_part_of_the_share() -> None:
    told: list[tuple[float, str]] = []
    part = part_of(lambda share, label: told.append((share, label)), 0.5, 0.75)
    assert list(tracked("ab", "spelling", part)) == ["a", "b"]
    assert told == [(0.5, "spelling: 0 of 2"), (0.625, "spelling: 1 of 2"), (0.75, "spelling: 2 of 2")]
