"""What the review states are called: buttons and forms show it."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["STATE_TEXTS", "texts_of"]

STATE_TEXTS = {
    "hard_negative": ("Model is wrong", "A hard negative: it gets its full weight"),
    "missing_label": ("Label is missing", "There is an object without a label: it gets no weight"),
    "wrong_label": ("Class is wrong", "The label has another class than the object: it gets no weight"),
    "wrong_box": ("Box is wrong", "The box of the label does not fit the object: it gets no weight"),
    "bogus_label": ("Label is bogus", "The label stands on nothing: it gets no weight"),
    "ignore": ("Ignore", "It is useless for training: it is left out"),
    "unreviewed": ("Unreviewed", "Remove the review"),
}
"""Review states in the order of the form: their names and meanings."""

PROPOSAL_TEXTS = {
    **STATE_TEXTS,
    "hard_negative": ("Model is wrong", "It sees an object that is none, or lost one for a few frames"),
    "missing_label": ("Object is there", "The detection is right: it becomes a label"),
    "wrong_label": ("Class is wrong", "There is an object of another class: somebody has to label the image"),
    "wrong_box": ("Box is wrong", "There is an object that the box does not fit: somebody has to label the image"),
    "bogus_label": ("No object there", "Where the model lost sight there is none"),
}
"""The same, of what is proposed where there is no ground truth: nothing is labelled."""


def texts_of(*, without_truth: bool) -> Mapping[str, tuple[str, str]]:
    """Return the names and meanings of the review states, of a run with or without ground truth."""
    return PROPOSAL_TEXTS if without_truth else STATE_TEXTS
