"""What verifying an export found, as plain values and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

__all__ = ["Verification"]


@dataclass(frozen=True)
class Verification:
    """How a trainer reads an export, against what the export promises.

    Attributes:
        directory: the export.
        trainer: who reads it.
        read_with: the loader that read it, or the rules.
        images: different images per split, as the trainer sees them.
        entries: images drawn in one epoch per split, repeats and all.
        repeats: train image → (promised, effective) draws in an epoch.
        background_share: share of the train entries without any box.
        effective_sample_size: of the effective repeats, over the number of train images.
        dropped_by_default: train images that the trainer's default settings leave out; ``overrides`` keeps them.
        problems: what is wrong with the export, in sentences; none if it is in order.
        warnings: what to know before training, in sentences.
        overrides: settings to give the trainer, as text to copy.
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
        """Whether the trainer gets what was promised."""
        return not self.problems

    @property
    def differing(self) -> int:
        """Train images that the trainer draws more or less often than promised."""
        return sum(promised != effective for promised, effective in self.repeats.values())

    def as_dict(self, *, per_image: bool = True) -> dict[str, Any]:
        """Plain values that JSON can hold.

        Args:
            per_image: with the repeats of every train image, ``{"promised", "effective"}`` by file path.
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
        """A few lines for people."""
        lines = [f"{self.directory}, read for {self.trainer} ({self.read_with}): {'in order' if self.ok else 'WRONG'}"]
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
        lines += [f"  mind: {sentence}" for sentence in self.warnings]
        if self.overrides:
            lines += ["  give the trainer:", *(f"    {line}" for line in self.overrides.splitlines())]
        return "\n".join(lines)


def _times(repeats: Any) -> str:
    """``214 × 1, 38 × 2``; of weights, their range."""
    counts = Counter(repeats)
    if any(value != int(value) for value in counts):
        return f"weights {min(counts):.2f} to {max(counts):.2f}"
    return ", ".join(f"{counts[value]:,} × {value:g}" for value in sorted(counts)) or "none"
