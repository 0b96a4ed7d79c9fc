"""Rank the detections of an image without ground truth: which are the likeliest errors?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..io.hard_negatives import HardNegative
from ..io.records import Record, read_records
from ..settings import MiningSettings
from .quality import LEAST_UNCERTAIN
from .verifier import Verifier

__all__ = ["PROPOSAL", "RANKED_BY", "SAID", "rank_detections"]

PROPOSAL = "proposal"
"""``type`` of what is found without ground truth: something to review, no hard negative yet."""

RANKED_BY = ("verifier", "confidence")
"""What the order of a list comes from."""

SAID = "what is listed are proposals for review, no verdicts: nobody has looked at them"


def rank_detections(
    predictions: Sequence[Record],
    settings: MiningSettings | None = None,
    verifier: Verifier | None = None,
    pixels: Any = None,
    image_path: str | None = None,
) -> list[HardNegative]:
    """Return the confident detections of an image, likeliest errors first, and then the uncertain ones likewise.

    Confident are those from the confidence threshold, uncertain those from .25 up to it. The two are lists of their
    own: an error that the model is sure of is another thing than one that it doubts.

    Args:
        predictions: dicts with ``bbox``, ``confidence`` and ``class``; boxes in pixels for a verifier.
        settings: the confidence thresholds; None for the defaults.
        verifier: says how likely each is an error; None to rank by confidence, lowest first.
        pixels: the image, for the verifier, see :meth:`Verifier.score`.
        image_path: copied into the dicts.

    Returns:
        Dicts as of a miner, with ``type`` ``proposal``, ``error`` ``confident`` or ``uncertain``, ``difficulty`` (the
        verifier's probability of an error, else 1 - confidence) and ``ranked_by`` (``verifier`` or ``confidence``).
        ``ground_truth``, ``iou`` and ``suspicion`` are None: nobody knows them.

    Raises:
        ValueError: if a prediction or the image is not valid.

    Example:
        >>> cat = {"bbox": [0, 0, 9, 9], "class": "cat"}
        >>> found = rank_detections([{**cat, "confidence": score} for score in (0.9, 0.1, 0.4, 0.6)])
        >>> [(each["error"], each["confidence"], each["ranked_by"]) for each in found]
        [('confident', 0.6, 'confidence'), ('confident', 0.9, 'confidence'), ('uncertain', 0.4, 'confidence')]
    """
    settings = settings or MiningSettings()
    table, _ = read_records(predictions, [])
    assert table.score is not None
    sure = [settings.class_confidence.get(name, settings.confidence_threshold) for name in table.classes]
    confident = table.score >= np.array(sure)[table.label] if len(table) else np.zeros(0, dtype=bool)
    rows = np.flatnonzero(confident | (table.score >= LEAST_UNCERTAIN))
    listed = [predictions[row] for row in rows.tolist()]
    difficulty = 1.0 - table.score[rows] if verifier is None else verifier.score(pixels, listed)
    order = np.lexsort((-difficulty, ~confident[rows]))
    return [
        {
            "type": PROPOSAL,
            "prediction": listed[at],
            "ground_truth": None,
            "iou": None,
            "confidence": listed[at]["confidence"],
            "image_path": image_path,
            "error": "confident" if confident[rows[at]] else "uncertain",
            "difficulty": float(difficulty[at]),
            "suspicion": None,
            "ranked_by": RANKED_BY[verifier is None],
        }
        for at in order.tolist()
    ]
