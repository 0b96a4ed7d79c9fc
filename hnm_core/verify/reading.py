"""The images and boxes that a trainer reads from an export, for all trainers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["DrawnImage", "TrainerReading", "first_path"]


@dataclass(frozen=True)
class DrawnImage:
    """One entry of an epoch.

    Attributes:
        image: absolute path, links not resolved.
        boxes: number of boxes that the trainer uses.
        times: number of draws; a fraction for a sampler that draws by weight.
    """

    image: Path
    boxes: int
    times: float = 1


@dataclass
class TrainerReading:
    """An export as a trainer reads it.

    Attributes:
        read_with: name of the loader, or of the rules.
        splits: entries per split.
        listed: images per split that the export lists, also those that the trainer drops.
        problems: errors, as sentences.
        warnings: warnings, as sentences.
        dropped_by_default: number of train images that the trainer drops with its default settings.
        overrides: settings for the trainer.
    """

    read_with: str
    splits: dict[str, list[DrawnImage]] = field(default_factory=dict)
    listed: dict[str, list[Path]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    dropped_by_default: int = 0
    overrides: str = ""


def first_path(paths: Sequence[Path | str], directory: Path) -> str:
    """Return the first path, relative to the folder if it is inside."""
    first = Path(paths[0])
    return first.relative_to(directory).as_posix() if first.is_relative_to(directory) else str(first)
