"""Say what was not counted: one sentence per rule that was used, with its numbers."""

from __future__ import annotations

from collections.abc import Mapping

from .lines import how_many

__all__ = ["COPIES", "SUSPECTS", "add_rules", "rule_notes", "suspect_notes"]

COPIES = "copies"
"""Exact copies among the predictions: counted as given, and said."""

Rules = Mapping[str, Mapping[str, int]]
"""Per rule: ``truths`` and confident ``predictions`` that do not count."""

TRUTHS = {
    "no_size": (
        "1 truth has no size: nothing can match it, so it does not count",
        "{} truths have no size: nothing can match them, so they do not count",
    ),
    "duplicate": (
        "1 truth repeats another row exactly: each object counts once",
        "{} truths repeat another row exactly: each object counts once",
    ),
    "region_before": (
        "1 truth is an ignored region, or half of it lies in one: it does not count, and predictions there do not "
        "count either",
        "{} truths are ignored regions, or half of them lies in one: they do not count, and predictions there do not "
        "count either",
    ),
    "crowd": (
        "1 truth is a crowd: predictions on it are ignored",
        "{} truths are crowds: predictions on them are ignored",
    ),
    "group_of": (
        "1 truth is a group of objects: predictions on it are ignored",
        "{} truths are groups of objects: predictions on them are ignored",
    ),
    "difficult": (
        "1 truth is difficult: predictions that match it are ignored",
        "{} truths are difficult: predictions that match them are ignored",
    ),
    "neutral": (
        "1 truth is of a neutral class that no prediction names: it is never missed",
        "{} truths are of a neutral class that no prediction names: they are never missed",
    ),
    "region": (
        "1 truth is an ignored region: unmatched predictions on it are ignored",
        "{} truths are ignored regions: unmatched predictions on them are ignored",
    ),
}
"""Sentence on the truths of a rule, on one and on more."""

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
            are = ("is an exact copy", "it is") if predictions == 1 else ("are exact copies", "they are")
            notes.append(f"{how_many(predictions, 'prediction')} {are[0]} of another: {are[1]} counted as given")
        elif truths:
            also = f" ({how_many(predictions, 'confident prediction')})" if predictions else ""
            notes.append(TRUTHS[rule][truths != 1].format(truths) + also)
        elif predictions:
            are = ("is", "it is") if predictions == 1 else ("are", "they are")
            what = how_many(predictions, "confident prediction")
            notes.append(f"{what} {are[0]} {PREDICTIONS[rule]}: {are[1]} ignored")
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
