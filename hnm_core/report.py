"""What mining found, in numbers: the guide's report, and the honest rates beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from operator import add
from typing import Any

__all__ = ["Counts", "MiningReport", "Weighting"]

WIDTH = 76
"""Characters of a line, so that it fits where the App shows it."""


@dataclass(frozen=True)
class Counts:
    """What can be counted and added up: of one mining, of one class, or of many calls.

    ``hard_negatives`` are the mined false positives and false negatives; lucky hits are counted apart.
    """

    total_predictions: int = 0
    confident_predictions: int = 0
    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    ignored: int = 0
    hard_negatives: int = 0
    lucky_hits: int = 0

    def __add__(self, other: Counts) -> Counts:
        """The counts of both."""
        return Counts(*map(add, vars(self).values(), vars(other).values()))

    @property
    def precision(self) -> float:
        """Share of the confident predictions, without ignored ones, that are right; 0 without any."""
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of the truths that a confident prediction found; 0 without any."""
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1_score(self) -> float:
        """Harmonic mean of precision and recall."""
        return ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)


@dataclass(frozen=True)
class Weighting:
    """What the weights do to a training.

    Attributes:
        hard_images: images whose mistakes raised their weight.
        mean_weight: of all images; also how much longer an epoch of repeats is.
        effective_sample_size: of the weights, over the number of images.
        effective_sample_size_of_repeats: the same of the whole-number repeats.
        background_share: share of all weight on images without any truth.
        extra_by_error: share of the extra weight by the error type that it is owed to, or ``lucky_hit``.
        class_exposure: per class, boxes seen per image drawn, with weights over without.
    """

    hard_images: int
    mean_weight: float
    effective_sample_size: float
    effective_sample_size_of_repeats: float
    background_share: float
    extra_by_error: Mapping[str, float]
    class_exposure: Mapping[str, float]


@dataclass(frozen=True)
class MiningReport:
    """Counts, rates and weights of a mining; ``as_dict()`` is clean JSON, ``str()`` a table.

    Attributes:
        images: images looked at, those without boxes included.
        counts: over all images.
        errors: per error type, ``{"false_positives", "false_negatives", "hard_negatives"}``.
        classes: counts per class name.
        sizes: counts per size of the box, ``small``, ``medium`` and ``large`` as COCO has them.
        candidates: mistakes with a difficulty above 0.
        cap: how many of them ``hard_negative_ratio`` allows.
        expected_label_errors: sum of the suspicion over the mined objects.
        expected_interval: its 90 % interval; None before anybody looked.
        looks: answers of people that say whose a mistake is; 0: suspicion is a prior.
        evidence: the weight of each kind of evidence behind suspicion, 1 before anybody looked.
        reviewed: mistakes per review state, of those that occur.
        suspicion_used: whether suspicion lowered what weights are made of.
        weighting: what the weights do; None where several reports were added up.
        notes: what bit on the way, in sentences.
    """

    images: int = 0
    counts: Counts = Counts()
    errors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    classes: Mapping[str, Counts] = field(default_factory=dict)
    sizes: Mapping[str, Counts] = field(default_factory=dict)
    candidates: int = 0
    cap: int = 0
    expected_label_errors: float = 0.0
    expected_interval: tuple[float, float] | None = None
    looks: int = 0
    evidence: Mapping[str, float] = field(default_factory=dict)
    reviewed: Mapping[str, int] = field(default_factory=dict)
    suspicion_used: bool = True
    weighting: Weighting | None = None
    notes: tuple[str, ...] = ()

    def __add__(self, other: MiningReport) -> MiningReport:
        """The report of both minings; weights are not something that can be added up."""
        return MiningReport(
            images=self.images + other.images,
            counts=self.counts + other.counts,
            errors={
                name: {
                    key: self.errors.get(name, {}).get(key, 0) + other.errors.get(name, {}).get(key, 0)
                    for key in {**self.errors.get(name, {}), **other.errors.get(name, {})}
                }
                for name in {**self.errors, **other.errors}
            },
            classes=_added(self.classes, other.classes),
            sizes=_added(self.sizes, other.sizes),
            candidates=self.candidates + other.candidates,
            cap=self.cap + other.cap,
            expected_label_errors=self.expected_label_errors + other.expected_label_errors,
            looks=self.looks + other.looks,
            reviewed={
                state: self.reviewed.get(state, 0) + other.reviewed.get(state, 0)
                for state in {**self.reviewed, **other.reviewed}
            },
            suspicion_used=self.suspicion_used and other.suspicion_used,
            notes=tuple(dict.fromkeys(self.notes + other.notes)),
        )

    @property
    def cut(self) -> int:
        """Candidates that quotas and cap left out."""
        return self.candidates - self.counts.hard_negatives - self.counts.lucky_hits

    def as_dict(self) -> dict[str, Any]:
        """The guide's ``statistics`` and ``metrics`` with its keys unchanged, and ours beside them."""
        c = self.counts
        return {
            "statistics": {
                "total_predictions": c.total_predictions,
                "hard_negatives": c.hard_negatives,
                "false_positives": c.false_positives,
                "false_negatives": c.false_negatives,
                "true_positives": c.true_positives,
            },
            "metrics": {
                "precision": c.precision,
                "recall": c.recall,
                "f1_score": c.f1_score,
                "hard_negative_rate": ratio(c.hard_negatives, c.total_predictions),
            },
            "rates": {
                "false_alarm_rate": ratio(c.false_positives, c.confident_predictions),
                "fppi": ratio(c.false_positives, self.images),
                "miss_rate": ratio(c.false_negatives, c.true_positives + c.false_negatives),
            },
            "mining": {
                "images": self.images,
                "confident_predictions": c.confident_predictions,
                "ignored": c.ignored,
                "lucky_hits": c.lucky_hits,
                "candidates": self.candidates,
                "cap": self.cap,
                "cut": self.cut,
                "expected_label_errors": self.expected_label_errors,
                "expected_label_errors_interval": None
                if self.expected_interval is None
                else list(self.expected_interval),
                "looks": self.looks,
                "evidence": dict(self.evidence),
                "reviewed": dict(self.reviewed),
                "suspicion_used": self.suspicion_used,
            },
            "errors": {name: dict(count) for name, count in self.errors.items()},
            "classes": {name: asdict(count) for name, count in self.classes.items()},
            "sizes": {name: asdict(count) for name, count in self.sizes.items()},
            "weights": asdict(self.weighting) if self.weighting else None,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MiningReport:
        """The report that :meth:`as_dict` gave.

        Example:
            >>> report = MiningReport(images=2, counts=Counts(total_predictions=3), looks=1)
            >>> MiningReport.from_dict(report.as_dict()) == report
            True
        """
        mining, weights = values["mining"], values["weights"]
        counted = {**values["statistics"], **mining}
        interval = mining["expected_label_errors_interval"]
        return cls(
            counts=Counts(**{f.name: counted[f.name] for f in fields(Counts)}),
            errors=values["errors"],
            classes={name: Counts(**count) for name, count in values["classes"].items()},
            sizes={name: Counts(**count) for name, count in values["sizes"].items()},
            expected_interval=None if interval is None else tuple(interval),
            **{name: mining[name] for name in _COPIED},
            weighting=Weighting(**weights) if weights else None,
            notes=tuple(values["notes"]),
        )

    def __str__(self) -> str:
        """The report as a table for people."""
        return "\n".join(_lines(self))


_COPIED = ("images", "candidates", "cap", "expected_label_errors", "looks", "reviewed", "suspicion_used")


def _added(first: Mapping[str, Counts], second: Mapping[str, Counts]) -> dict[str, Counts]:
    return {name: first.get(name, Counts()) + second.get(name, Counts()) for name in {**first, **second}}


def ratio(part: float, whole: float) -> float:
    """``part / whole``, and 0 where there is nothing to divide by."""
    return part / whole if whole else 0.0


def percent(part: float, whole: float) -> str:
    """A share for people: ``12.3 %``, or ``–`` where there is nothing to divide by."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _lines(report: MiningReport) -> list[str]:
    c = report.counts
    found = c.true_positives + c.false_negatives
    per_image = f"{c.false_positives / report.images:.2f}" if report.images else "–"
    lines = [
        "Hard-negative mining",
        _row("images", report.images),
        _row("predictions", c.total_predictions, f"{c.confident_predictions} confident"),
        _row("true positives", c.true_positives),
        _row("false positives", c.false_positives, f"{per_image} per image"),
        _row("false negatives", c.false_negatives, f"{percent(c.false_negatives, found)} of the truths missed"),
        _row(
            "hard negatives",
            c.hard_negatives,
            f"{report.candidates} candidates, cap {report.cap}, {report.cut} left out",
        ),
    ]
    if c.lucky_hits:
        lines.append(_row("lucky hits", c.lucky_hits, "matched, but near the IoU threshold"))
    lines += [
        "",
        _row("precision", percent(c.true_positives, c.true_positives + c.false_positives)),
        _row("recall", percent(c.true_positives, found)),
        _row(
            "false-alarm rate",
            percent(c.false_positives, c.confident_predictions),
            "of confident predictions",
        ),
    ]
    if report.errors:
        lines += ["", f"  {'error':<16}{'false pos.':>12}{'false neg.':>12}{'mined':>8}"]
        for name, count in report.errors.items():
            numbers = (count["false_positives"], count["false_negatives"], count["hard_negatives"])
            lines.append(f"  {name:<16}{numbers[0]:>12}{numbers[1]:>12}{numbers[2]:>8}")
    lines += _suspicion_lines(report) + _weight_lines(report)
    return lines + [line for note in report.notes for line in _wrapped(f"note: {note}")]


def _suspicion_lines(report: MiningReport) -> list[str]:
    mined = report.counts.hard_negatives
    if not mined:
        return []
    doubt = expected_label_errors(report)
    if not report.suspicion_used:
        doubt += ". They are weighted up all the same: suspicion is switched off."
    elif report.looks:
        doubt += ". It lowers their weight."
    else:
        doubt += ", for nobody has looked yet. Until then it lowers their weight."
    return ["", *_wrapped(doubt)]


def expected_label_errors(report: MiningReport) -> str:
    """How many of the hard negatives are expected to be label errors, and on what that stands; without a full stop."""
    about = f"Of the {report.counts.hard_negatives} hard negatives about {report.expected_label_errors:.0f}"
    if report.expected_interval:
        about += " ({:.0f} to {:.0f})".format(*report.expected_interval)
    about += " are expected to be label errors"
    seen = f" and {' and '.join(report.evidence)}" if report.evidence else ""
    if report.looks:
        return f"{about}, by {report.looks} {'look' if report.looks == 1 else 'looks'} of people{seen}"
    return f"{about}: a prior by error type{seen}" if report.suspicion_used else about


def _weight_lines(report: MiningReport) -> list[str]:
    w = report.weighting
    if w is None or not report.images:
        return []
    lines = [
        "",
        _row("hard images", w.hard_images, percent(w.hard_images, report.images)),
        _row("mean weight", f"{w.mean_weight:.3f}"),
        _row(
            "effective sample",
            f"{w.effective_sample_size:.1%}",
            f"{w.effective_sample_size_of_repeats:.1%} of repeats",
        ),
    ]
    if w.extra_by_error:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in w.extra_by_error.items())
        lines += _wrapped(f"extra weight owed to: {shares}")
    return lines


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _row(name: str, value: object, remark: str = "") -> str:
    return f"  {name:<20}{value!s:>10}  {remark}".rstrip()
