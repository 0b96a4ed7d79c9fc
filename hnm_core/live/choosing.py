"""Choose what is kept of many proposals: the likeliest of each list, none that look alike, so many frames a minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..evidence.edges import edge_features
from ..evidence.near_crops import unit_vectors
from .tracks import LISTS, Proposal

__all__ = ["REMEMBERED", "Chooser", "Chosen"]

REMEMBERED = 2_000
"""Proposals kept last that later ones are compared with (chosen: 14 MB)."""

Key = tuple[str, str]


@dataclass
class Chosen:
    """What is kept of the proposals of a piece.

    Attributes:
        kept: list by list, likeliest first.
        alike: number left out since they look like a likelier one, or one kept before.
        over_rate: number left out since the list has enough frames.
    """

    kept: list[Proposal] = field(default_factory=list)
    alike: int = 0
    over_rate: int = 0


class Chooser:
    """Chooses piece by piece, and remembers what it kept.

    Args:
        alike: largest cosine distance of crops that look alike; 0 to compare none.
    """

    def __init__(self, alike: float) -> None:
        self.alike = alike
        self._kept: deque[tuple[Key, NDArray[np.float32]]] = deque(maxlen=REMEMBERED)

    def choose(self, proposals: Iterable[Proposal], most_frames: int | None) -> Chosen:
        """Choose from what was found in a piece.

        Args:
            proposals: of all lists.
            most_frames: frames that a list may have; None for no limit.
        """
        chosen = Chosen()
        rank = {error: place for place, error in enumerate(LISTS.values())}
        order = sorted(proposals, key=lambda p: (rank[p.error], -p.difficulty, p.frame, p.track))
        frames: dict[str, set[int]] = {error: set() for error in rank}
        for each in order:
            of_list = frames[each.error]
            if most_frames is not None and len(of_list) >= most_frames and each.frame not in of_list:
                chosen.over_rate += 1
            elif self._is_new(each):
                of_list.add(each.frame)
                chosen.kept.append(each)
            else:
                chosen.alike += 1
        return chosen

    def remember(self, error: str, name: str, crop: NDArray[np.uint8]) -> None:
        """Take in what was kept before, as by an earlier call of the program."""
        if self.alike:
            self._kept.append(((error, name), _vector(crop)))

    def _is_new(self, proposal: Proposal) -> bool:
        """Return whether a proposal looks like none of its list and class that was kept; remember it if so."""
        if not self.alike:
            return True
        key, vector = (proposal.error, proposal.name), _vector(proposal.crop)
        others = [kept for of, kept in self._kept if of == key]
        if others and float(np.round(1.0 - (np.stack(others) @ vector).max(), 6)) <= self.alike:
            return False
        self._kept.append((key, vector))
        return True


def _vector(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(unit_vectors(edge_features(crop[None]))[0])
