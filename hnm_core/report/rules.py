"""Say what was not counted: one sentence per rule that was used, with its numbers."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["COPIES", "SUSPECTS", "add_rules", "rule_notes", "suspect_notes"]

COPIES = "copies"
"""Exact copies among the predictions: counted as given, and said."""

Rules = Mapping[str, Mapping[str, int]]
"""Per rule: ``truths`` and confident ``predictions`` that do not count."""

TRUTHS = {
    "no_size": "{} truths have no size: nothing can match them, so they do not count",
    "duplicate": "{} truths repeat another row exactly: each object counts once",
    "region_before": "{} truths are ignored regions, or half of them lies in one: they do not count, and predictions "
    "there do not count either",
    "crowd": "{} truths are crowds: predictions on them are ignored",
    "group_of": "{} truths are groups of objects: predictions on them are ignored",
    "difficult": "{} truths are difficult: predictions that match them are ignored",
    "neutral": "{} truths are of a neutral class that no prediction names: they are never missed",
    "region": "{} truths are ignored regions: unmatched predictions on them are ignored",
}
"""Sentence on the truths of a rule."""

PREDICTIONS = {
    "region_before": "in ignored regions, or of a class that is not evaluated",
    "crowd": "on crowds",
    "group_of": "on groups of objects",
    "difficult": "on difficult truths",
    "neutral": "on objects of a neighbouring class",
    "region": "in ignored regions",
    "verified": "of a class that nobody checked in their image",
    "not_exhaustive": "unmatched, of a class that is not labelled exhaustively in their image",
}
"""Where the predictions are that a rule ignores."""

SUSPECTS = {"wrong_label": "of another class", "wrong_box": "in another place", "bogus_label": "on nothing"}
"""What a label is according to the model that contradicts it."""


def add_rules(first: Rules, second: Rules) -> dict[str, dict[str, int]]:
    """Return the sums of both counts."""
    none = {"truths": 0, "predictions": 0}
    return {
        rule: {side: first.get(rule, none)[side] + second.get(rule, none)[side] for side in none}
        for rule in {**first, **second}
    }


def rule_notes(rules: Rules) -> tuple[str, ...]:
    """Return a sentence per rule that was used.

    Example:
        >>> rule_notes({"difficult": {"truths": 12, "predictions": 7}})
        ('12 truths are difficult: predictions that match them are ignored (7 confident predictions)',)
    """
    notes = []
    for rule, count in sorted(rules.items()):
        truths, predictions = count["truths"], count["predictions"]
        if rule == COPIES:
            notes.append(f"{predictions} predictions are exact copies of another: they are counted as given")
        elif truths:
            also = f" ({predictions} confident predictions)" if predictions else ""
            notes.append(TRUTHS[rule].format(truths) + also)
        elif predictions:
            notes.append(f"{predictions} confident predictions are {PREDICTIONS[rule]}: they are ignored")
    return tuple(notes)


def suspect_notes(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Return a sentence on the labels that the model contradicts, if it was asked about them.

    Example:
        >>> suspect_notes({"labels": 90, "wrong_label": 4, "wrong_box": 0, "bogus_label": 1})
        ('asked again, the model contradicts some of 90 labels: 4 of another class, 0 in another place, 1 on nothing',)
    """
    if not counts:
        return ()
    parts = (f"{counts.get(way, 0)} {what}" for way, what in SUSPECTS.items())
    return (f"asked again, the model contradicts some of {counts.get('labels', 0)} labels: {', '.join(parts)}",)
