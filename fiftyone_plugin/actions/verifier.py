"""Fit a verifier to a run, to rank detections where there is no ground truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import fiftyone as fo
import numpy as np

from hnm_core import mine
from hnm_core.io.progress import Progress, part_of, silent
from hnm_core.labels.reviews import Reviews
from hnm_core.live.proposals import propose

from ..review.ledger import Ledger
from ..runs import records
from ..store import box_tables, views

if TYPE_CHECKING:
    from hnm_core.live import Verifier


def fit_verifier(
    dataset: fo.Dataset, run_key: str, output: str | Path | None = None, progress: Progress = silent
) -> Verifier:
    """Fit a verifier to the right and wrong detections of a run, as they and their reviews are now.

    Of a run without ground truth only what is reviewed is known.

    Args:
        dataset: the dataset of the run.
        run_key: the run.
        output: file for the verifier, such as ``verifier.npz``; None to write none.
        progress: called with the share done, in [0, 1], and a label.

    Returns:
        The verifier; its ``quality`` says how well it tells errors.

    Raises:
        ValueError: if there is no such run, or it has fewer than 40 errors or 40 right detections.
        FileNotFoundError: if an image does not exist.
        ImportError: if Pillow or scikit-learn is missing.
    """
    from hnm_core.live import Verifier

    with records.reading(dataset, run_key):
        settings, _ = records.load(dataset, run_key)
        samples = views.images_of(dataset).exists(f"{run_key}_score")
        progress(0.0, f"Reading {len(samples):,} samples")
        read = box_tables.read_predictions if settings.without_truth else box_tables.read_tables
        tables = read(samples, settings)
        engine = replace(settings.engine.for_classes(tables.truth.classes), strategy="confidence_based")
        reviews = Reviews.of(Ledger(dataset).entries())
        file_of = dict(zip(*samples.values(["id", "filepath"]), strict=True))
    if settings.without_truth:
        result = propose(tables.predictions, np.zeros(len(tables.predictions)), engine, reviews=reviews)
    else:
        result = mine(tables.predictions, tables.truth, engine, reviews=reviews)
    verifier = Verifier.fit(result, lambda name: Path(file_of[name]), progress=part_of(progress, 0.1, 1.0))
    if output is not None:
        verifier.save(output)
    return verifier
