"""The report of a mining: counts, rates, expected label errors and the effect of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .counts import Counts, Weighting, percent, ratio
from .lines import how_many, printable, row, wrapped
from .rules import add_rules, rule_notes, suspect_notes

__all__ = ["MiningReport", "expected_label_errors"]

MOST_PAIRS = 5
"""Pairs of confused classes in the text; all are in ``as_dict()``."""


@dataclass(frozen=True)
class MiningReport:
    """Counts, rates and weights of a mining; ``as_dict()`` is JSON-clean, ``str()`` is a table.

    Attributes:
        images: number of images, including those without boxes.
        counts: over all images.
        errors: per error type, ``{"false_positives", "false_negatives", "hard_negatives"}``.
        classes: counts per class name.
        sizes: counts per size of the box, ``small``, ``medium`` and ``large`` as COCO has them.
        confusions: classification errors, ``{class of the truth: {class of the prediction: count}}``.
        rules: per rule on what does not count, ``{"truths", "predictions"}``; said among the notes.
        label_suspects: number of ``labels`` that the model was asked about again, and of those that it contradicts by
            way: ``wrong_label``, ``wrong_box``, ``bogus_label``; empty if it was not asked; said among the notes.
        candidates: mistakes with a difficulty above 0.
        cap: how many candidates ``hard_negative_ratio`` allows.
        expected_label_errors: sum of the suspicion over the mined objects.
        expected_interval: its 90 % interval; None before any review.
        review_count: number of reviews without ``ignore``; 0: suspicion is a prior.
        evidence: the weight of each kind of evidence, 1 before any review.
        reviewed: mistakes per review state, for states that occur.
        suspicion_used: whether suspicion lowers the image scores.
        weighting: the effect of the weights; None for a sum of reports.
        notes: limits that took effect, as sentences.
    """

    images: int = 0
    counts: Counts = field(default_factory=Counts)
    errors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    classes: Mapping[str, Counts] = field(default_factory=dict)
    sizes: Mapping[str, Counts] = field(default_factory=dict)
    confusions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    rules: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    label_suspects: Mapping[str, int] = field(default_factory=dict)
    candidates: int = 0
    cap: int = 0
    expected_label_errors: float = 0.0
    expected_interval: tuple[float, float] | None = None
    review_count: int = 0
    evidence: Mapping[str, float] = field(default_factory=dict)
    reviewed: Mapping[str, int] = field(default_factory=dict)
    suspicion_used: bool = True
    weighting: Weighting | None = None
    notes: tuple[str, ...] = ()

    def __add__(self, other: MiningReport) -> MiningReport:
        """Return the sum of two reports, without weights, which cannot be added."""
        return MiningReport(
            images=self.images + other.images,
            counts=self.counts + other.counts,
            errors=_joined(self.errors, other.errors),
            classes=_added(self.classes, other.classes),
            sizes=_added(self.sizes, other.sizes),
            confusions=_joined(self.confusions, other.confusions),
            rules=add_rules(self.rules, other.rules),
            label_suspects={
                name: self.label_suspects.get(name, 0) + other.label_suspects.get(name, 0)
                for name in {**self.label_suspects, **other.label_suspects}
            },
            candidates=self.candidates + other.candidates,
            cap=self.cap + other.cap,
            expected_label_errors=self.expected_label_errors + other.expected_label_errors,
            review_count=self.review_count + other.review_count,
            reviewed={
                state: self.reviewed.get(state, 0) + other.reviewed.get(state, 0)
                for state in {**self.reviewed, **other.reviewed}
            },
            suspicion_used=self.suspicion_used and other.suspicion_used,
            notes=tuple(dict.fromkeys(self.notes + other.notes)),
        )

    @property
    def _said(self) -> tuple[str, ...]:
        """The notes that follow from other numbers."""
        return rule_notes(self.rules) + suspect_notes(self.label_suspects)

    @property
    def left_out(self) -> int:
        """Return the number of candidates that were not mined because of limits and cap."""
        return self.candidates - self.counts.hard_negatives - self.counts.lucky_hits

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a dict of plain values: ``statistics``, ``metrics``, ``rates``, ``mining``, and more."""
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
                "false_alarm_rate": ratio(c.false_positives, c.counted_predictions),
                "fppi": ratio(c.false_positives, self.images),
                "miss_rate": ratio(c.false_negatives, c.true_positives + c.false_negatives),
            },
            "mining": {
                "images": self.images,
                "counted_predictions": c.counted_predictions,
                "ignored": c.ignored,
                "lucky_hits": c.lucky_hits,
                "candidates": self.candidates,
                "cap": self.cap,
                "left_out": self.left_out,
                "expected_label_errors": self.expected_label_errors,
                "expected_label_errors_interval": None
                if self.expected_interval is None
                else list(self.expected_interval),
                "review_count": self.review_count,
                "evidence": dict(self.evidence),
                "reviewed": dict(self.reviewed),
                "suspicion_used": self.suspicion_used,
            },
            "errors": {name: dict(count) for name, count in self.errors.items()},
            "classes": {name: asdict(count) for name, count in self.classes.items()},
            "sizes": {name: asdict(count) for name, count in self.sizes.items()},
            "confusions": {name: dict(count) for name, count in self.confusions.items()},
            "weights": asdict(self.weighting) if self.weighting else None,
            "rules": {name: dict(count) for name, count in self.rules.items()},
            "label_suspects": dict(self.label_suspects),
            "notes": [*self._said, *self.notes],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MiningReport:
        """Return the report from the dict that :meth:`as_dict` returns.

        Example:
            >>> report = MiningReport(images=2, counts=Counts(total_predictions=3), review_count=1)
            >>> MiningReport.from_dict(report.as_dict()) == report
            True
        """
        mining, weights = values["mining"], values["weights"]
        counted = {**values["statistics"], **mining}
        interval = mining["expected_label_errors_interval"]
        rules = values.get("rules", {})
        suspects = values.get("label_suspects", {})
        said = rule_notes(rules) + suspect_notes(suspects)
        return cls(
            counts=Counts(**{f.name: counted[f.name] for f in fields(Counts)}),
            errors=values["errors"],
            classes={name: Counts(**count) for name, count in values["classes"].items()},
            sizes={name: Counts(**count) for name, count in values["sizes"].items()},
            confusions=values["confusions"],
            expected_interval=None if interval is None else tuple(interval),
            **{name: mining[name] for name in _COPIED},
            weighting=Weighting(**weights) if weights else None,
            rules=rules,
            label_suspects=suspects,
            notes=tuple(note for note in values["notes"] if note not in said),
        )

    def __str__(self) -> str:
        """Return the report as a table to print."""
        return "\n".join(map(printable, _lines(self)))


_COPIED = (
    *("images", "candidates", "cap", "expected_label_errors", "review_count", "evidence", "reviewed", "suspicion_used"),
)


def _added(first: Mapping[str, Counts], second: Mapping[str, Counts]) -> dict[str, Counts]:
    return {name: first.get(name, Counts()) + second.get(name, Counts()) for name in {**first, **second}}


def _joined(
    first: Mapping[str, Mapping[str, int]], second: Mapping[str, Mapping[str, int]]
) -> dict[str, dict[str, int]]:
    """Return the sums of two tables of counts, whatever rows and columns they have."""
    return {
        name: {
            key: first.get(name, {}).get(key, 0) + second.get(name, {}).get(key, 0)
            for key in {**first.get(name, {}), **second.get(name, {})}
        }
        for name in {**first, **second}
    }


def _lines(report: MiningReport) -> list[str]:
    c = report.counts
    found = c.true_positives + c.false_negatives
    per_image = f"{c.false_positives / report.images:.2f}" if report.images else "–"
    ignored = f", {c.ignored} ignored" if c.ignored else ""
    selected = f"{report.candidates} candidates, cap {report.cap}, {report.left_out} left out"
    lines = [
        "Hard-negative mining",
        row("images", report.images),
        row("predictions", c.total_predictions, f"{c.counted_predictions} confident{ignored}"),
        row("false positives", c.false_positives, f"{per_image} per image"),
        row("false negatives", c.false_negatives, f"{percent(c.false_negatives, found)} of the truths missed"),
        row("true positives", c.true_positives),
        row("hard negatives", c.hard_negatives, selected),
    ]
    if c.lucky_hits:
        lines.append(row("lucky hits", c.lucky_hits, "matched, but near the IoU threshold"))
    lines += [
        "",
        row("precision", percent(c.true_positives, c.true_positives + c.false_positives)),
        row("recall", percent(c.true_positives, found)),
        row("false-alarm rate", percent(c.false_positives, c.counted_predictions), "of confident predictions"),
    ]
    if report.errors:
        lines += ["", f"  {'error':<16}{'false pos.':>12}{'false neg.':>12}{'mined':>8}"]
        for name, count in report.errors.items():
            numbers = (count["false_positives"], count["false_negatives"], count["hard_negatives"])
            lines.append(f"  {name:<16}{numbers[0]:>12}{numbers[1]:>12}{numbers[2]:>8}")
    lines += _confusion_lines(report)
    lines += _suspicion_lines(report) + _weight_lines(report)
    notes = (*report._said, *report.notes)
    return lines + [line for note in notes for line in wrapped(f"note: {note}")]


def _confusion_lines(report: MiningReport) -> list[str]:
    pairs = [(count, true, name) for true, row in report.confusions.items() for name, count in row.items()]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    shown = [f"{true} taken for {name} {count}" for count, true, name in pairs[:MOST_PAIRS]]
    more = f" and {len(pairs) - MOST_PAIRS} more pairs" if len(pairs) > MOST_PAIRS else ""
    return wrapped(f"confused classes: {', '.join(shown)}{more}") if pairs else []


def _suspicion_lines(report: MiningReport) -> list[str]:
    mined = report.counts.hard_negatives
    if not mined:
        return []
    doubt = expected_label_errors(report)
    if not report.suspicion_used:
        doubt += ". use_suspicion is off: this does not lower their weight."
    elif report.review_count:
        doubt += ". Suspicion lowers their weight."
    else:
        doubt += ", not reviewed yet. Suspicion lowers their weight until then."
    return ["", *wrapped(doubt)]


def expected_label_errors(report: MiningReport) -> str:
    """Say how many hard negatives are expected to be label errors, and from what; without a full stop."""
    about = f"Of the {how_many(report.counts.hard_negatives, 'hard negative')} about {report.expected_label_errors:.0f}"
    if report.expected_interval:
        about += " ({:.0f} to {:.0f})".format(*report.expected_interval)
    about += " are expected to be label errors"
    seen = f" and {' and '.join(report.evidence)}" if report.evidence else ""
    if report.review_count:
        return f"{about}, estimated from {how_many(report.review_count, 'review')}{seen}"
    return f"{about}: a prior by error type{seen}" if report.suspicion_used else about


def _weight_lines(report: MiningReport) -> list[str]:
    w = report.weighting
    if w is None or not report.images:
        return []
    lines = [
        "",
        row("hard images", w.hard_images, percent(w.hard_images, report.images)),
        row("mean weight", f"{w.mean_weight:.3f}"),
        row(
            "effective sample",
            f"{w.effective_sample_size:.1%}",
            f"{w.effective_sample_size_of_repeats:.1%} of repeats",
        ),
    ]
    if w.extra_by_error:
        found = sorted(
            ((share, name) for name, share in w.extra_by_error.items() if name not in ("missed", "lucky_hit")),
            reverse=True,
        )
        parts = [f"{name} {share:.0%}" for share, name in found]
        parts += [f"misses {w.miss_share:.0%}"] if w.miss_share else []
        lucky = w.extra_by_error.get("lucky_hit", 0.0)
        parts += [f"lucky hits {lucky:.0%}"] if lucky else []
        lines += wrapped(f"extra weight by error: {', '.join(parts)}")
    return lines
