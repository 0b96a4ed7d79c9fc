"""What a trainer takes from an export, whichever trainer it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Drawn", "Reading", "shown"]


@dataclass(frozen=True)
class Drawn:
    """One entry of one epoch.

    Attributes:
        image: absolute path, links not followed.
        boxes: how many boxes the trainer learns from.
        times: how often it is drawn; a fraction where a sampler draws by weight.
    """

    image: Path
    boxes: int
    times: float = 1


@dataclass
class Reading:
    """An export as a trainer reads it.

    Attributes:
        read_with: the loader, or the rules, that read it.
        splits: entries per split.
        listed: images per split that the export lists, whether the trainer takes them or not.
        problems: what went wrong on the way.
        warnings: what to know.
        dropped_by_default: train images that the trainer leaves out until it is told otherwise.
        overrides: settings to give the trainer.
    """

    read_with: str
    splits: dict[str, list[Drawn]] = field(default_factory=dict)
    listed: dict[str, list[Path]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    dropped_by_default: int = 0
    overrides: str = ""


def shown(paths: Sequence[Path | str], directory: Path) -> str:
    """The first of some paths, as short as can be."""
    first = Path(paths[0])
    return first.relative_to(directory).as_posix() if first.is_relative_to(directory) else str(first)
