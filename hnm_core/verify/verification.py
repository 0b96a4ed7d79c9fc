"""The result of verifying an export, as plain values and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Verification"]


@dataclass(frozen=True)
class Verification:
    """How a trainer reads an export, compared with the promised repeats.

    Attributes:
        directory: folder of the export.
        trainer: name of the trainer.
        read_with: name of the loader, or of the rules.
        images: number of different images per split.
        entries: images per epoch and split, including repeats.
        repeats: train image → (promised, effective) draws in an epoch.
        background_share: share of the train entries without any box.
        effective_sample_size: of the effective repeats, divided by the number of train images.
        dropped_by_default: train images that the trainer drops with its defaults; ``overrides`` keeps them.
        problems: errors of the export, as sentences; empty if it is correct.
        warnings: to read before training, as sentences.
        overrides: settings for the trainer, as text to copy.
    """

    directory: str
    trainer: str
    read_with: str
    images: Mapping[str, int]
    entries: Mapping[str, int]
    repeats: Mapping[str, tuple[float, float]]
    background_share: float
    effective_sample_size: float
    dropped_by_default: int = 0
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    overrides: str = ""

    @property
    def ok(self) -> bool:
        """Return whether no problem was found."""
        return not self.problems

    @property
    def differing(self) -> int:
        """Return the number of train images that are drawn more or less often than promised."""
        return sum(promised != effective for promised, effective in self.repeats.values())

    def as_dict(self, *, per_image: bool = True) -> dict[str, Any]:
        """Return plain values for JSON.

        Args:
            per_image: include the repeats of every train image, ``{"promised", "effective"}`` by file path.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "repeats"}
        plain = {
            k: dict(v) if isinstance(v, Mapping) else list(v) if isinstance(v, tuple) else v for k, v in values.items()
        }
        plain |= {"ok": self.ok, "differing": self.differing}
        if per_image:
            plain["repeats"] = {k: {"promised": p, "effective": e} for k, (p, e) in self.repeats.items()}
        return plain

    def __str__(self) -> str:
        """Return a few lines to print."""
        lines = [f"{self.directory}, read for {self.trainer} ({self.read_with}): {'correct' if self.ok else 'WRONG'}"]
        for split, count in self.images.items():
            lines.append(f"  {split:<6} {count:,} images, {self.entries[split]:,} drawn an epoch")
        effective = _times(e for _, e in self.repeats.values())
        if self.differing:
            lines.append(f"  repeats promised {_times(p for p, _ in self.repeats.values())}; effective {effective}")
        elif self.repeats:
            lines.append(f"  repeats as promised: {effective}")
        lines.append(
            f"  background {self.background_share:.1%} of the train entries, effective sample size "
            f"{self.effective_sample_size:.2f}"
        )
        lines += [f"  wrong: {sentence}" for sentence in self.problems]
        lines += [f"  note: {sentence}" for sentence in self.warnings]
        if self.overrides:
            lines += ["  settings for the trainer:", *(f"    {line}" for line in self.overrides.splitlines())]
        return "\n".join(lines)


def _times(repeats: Any) -> str:
    """Format repeats as ``214 × 1, 38 × 2``, and weights as their range."""
    counts = Counter(repeats)
    if any(value != int(value) for value in counts):
        return f"weights {min(counts):.2f} to {max(counts):.2f}"
    return ", ".join(f"{counts[value]:,} × {value:g}" for value in sorted(counts)) or "none"
