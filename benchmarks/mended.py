"""Labels with errors, mended by somebody who knows the truth and answers sheets: as many clicks as an arm has."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.label_noise import KINDS, NoisyLabels, read_noisy
from benchmarks.retraining_aids import put_in_place
from hnm_core import Detections, MiningResult, MiningSettings, mine
from hnm_core.evidence.views import views_evidence
from hnm_core.io import write_yolo
from hnm_core.labels.estimate import estimate_suspicion
from hnm_core.labels.evidence_weights import at_rows
from hnm_core.labels.mistakes import mistake_rows
from hnm_core.labels.remedies import Remedies, find_remedies
from hnm_core.labels.reviews import HARD_NEGATIVE, SIDES, STATES, states_of
from hnm_core.labels.sheets import next_sheet

__all__ = ["answers_by_sheets", "mended", "reviews_of", "with_mended"]

REVIEWS = "reviews.json"

SHOWN_FROM = 0.25
"""Confidence from which false positives are on the sheets."""


def with_mended(place: Path, start: Path, size: int, clicks: int) -> Path:
    """``data.yaml`` of the labels with errors after so many clicks of review; makes it where it is not there.

    Beside it lie the reviews, see :func:`reviews_of`.

    Args:
        place: folder of the set, with the noisy one in ``train``.
        start: the model whose mistakes are reviewed, asked under views.
        size: of its images in pixels.
        clicks: as :func:`answers_by_sheets` counts them.
    """
    from ultralytics import YOLO

    from hnm_core.training import detect
    from hnm_core.training.asking import ask_again
    from hnm_core.training.mining import with_predictions

    aside = place / f"mended-{clicks}"
    if (aside / "data.yaml").is_file():
        return aside / "data.yaml"
    noisy, model = read_noisy(place / "train"), YOLO(str(start))
    found = detect(model, noisy.table.images, batch=32, conf=0.01, imgsz=size, device="cpu")
    settings = MiningSettings(confidence_threshold=SHOWN_FROM, hard_negative_ratio=1.0)
    result = mine(with_predictions(found, noisy.table)[0], noisy.table, settings)
    asked = ask_again(model, start, result, imgsz=size, device="cpu", cache=place / "views.sqlite3")
    told = views_evidence(result, dict(zip(asked.names, asked.tables, strict=True)))
    state = answers_by_sheets(result, noisy, {"views": told.views, "steady": told.steady}, clicks)
    table, remedies = mended(result, state)
    made = aside.with_name(f".{aside.name}-{os.getpid()}")  # arms may train side by side
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(place / "train" / "images", made / "images", symlinks=True)
    write_yolo(table, made / "labels" / "train")
    counts = {name: len(getattr(remedies, name)) for name in ("accepted", "relabelled", "moved", "removed")}
    (made / "mended.json").write_text(json.dumps(counts) + "\n")
    (made / REVIEWS).write_text(json.dumps(_entries(result, state, aside / "images" / "train"), indent=1) + "\n")
    return put_in_place(made, aside, place / "train" / "data.yaml")


def reviews_of(data: Path) -> list[dict[str, Any]]:
    """Return what was answered before the labels of a ``data.yaml`` were mended, as entries of a ledger."""
    entries: list[dict[str, Any]] = json.loads(data.with_name(REVIEWS).read_text())
    return entries


def _entries(result: MiningResult, state: NDArray[np.int8], images: Path) -> list[dict[str, Any]]:
    """Return the answers on mistakes as entries of a ledger, of images of these names in another folder."""
    of_side = mistake_rows(result.errors, (result.prediction_hard, result.truth_hard))
    rows, out, tables = np.concatenate(of_side), [], (result.predictions, result.truth)
    for at in np.flatnonzero(state).tolist():
        of_truth = at >= len(of_side[0])
        table, row = tables[of_truth], int(rows[at])
        answer = int(state[at])
        entry = {"image": str(images / Path(table.images[table.image[row]]).name), "side": SIDES[of_truth]}
        entry |= {"class": table.classes[table.label[row]], "bbox": table.xyxy[row].tolist()}
        out.append({**entry, "state": STATES[max(answer, 0)], **({"refused": STATES[-answer]} if answer < 0 else {})})
    return out


def answers_by_sheets(
    result: MiningResult, noisy: NoisyLabels, evidence: dict[str, NDArray[np.float64]], clicks: int
) -> NDArray[np.int8]:
    """Answer sheets with the known truth, for so many clicks; return the answer on every mistake.

    A sheet costs a click for the answer that fits most of it, and one for each exception, which stays open: of it is
    known that the answer does not fit.

    Args:
        result: a mining against the labels with errors.
        noisy: these labels.
        evidence: per kind a column of the predictions, and of the truths behind them.
        clicks: how many.
    """
    mistakes, rows = result.mistakes, mistake_rows(result.errors, (result.prediction_hard, result.truth_hard))
    right = ~mine(result.predictions, noisy.truth, result.settings).errors.false_positive
    wrong = np.concatenate([right[rows[0]], ~np.isin(noisy.kind[rows[1]], [KINDS.index("right")])])
    told = at_rows(evidence, (len(result.predictions), len(result.truth)), rows)
    state, seen, spent = np.zeros(len(mistakes), dtype=np.int8), list[int](), 0
    while spent < clicks:
        sheet = next_sheet(mistakes, state, estimate_suspicion(mistakes, state, told).value, skip=seen)
        if sheet is None:
            break
        errors = wrong[sheet.rows]
        labels_wrong = sheet.answer != STATES[HARD_NEGATIVE] and errors.sum() * 2 >= len(errors)
        fits = errors if labels_wrong else ~errors
        spent += 1 + int((~fits).sum())
        if spent > clicks:
            break
        given = STATES.index(sheet.answer) if labels_wrong else HARD_NEGATIVE
        state[sheet.rows] = np.where(fits, given, -given)
        seen += sheet.rows[~fits].tolist()
    return state


def mended(result: MiningResult, state: NDArray[np.int8]) -> tuple[Detections, Remedies]:
    """Return the labels after what the reviews ask for, and what that was."""
    rows = mistake_rows(result.errors, (result.prediction_hard, result.truth_hard))
    predictions, truth = result.predictions, result.truth
    found, true = np.zeros(len(predictions), dtype=np.int8), np.zeros(len(truth), dtype=np.int8)
    found[rows[0]], true[rows[1]] = np.split(states_of(state), [len(rows[0])])
    asked = find_remedies(predictions, truth, found, true)
    label, xyxy = truth.label.copy(), truth.xyxy.copy()
    label[asked.relabelled[:, 0]] = predictions.label[asked.relabelled[:, 1]]
    xyxy[asked.moved[:, 0]] = predictions.xyxy[asked.moved[:, 1]]
    kept = np.setdiff1d(np.arange(len(truth)), asked.removed)
    image = np.concatenate([truth.image[kept], predictions.image[asked.accepted]])
    boxes = np.concatenate([xyxy[kept], predictions.xyxy[asked.accepted]])
    labels = np.concatenate([label[kept], predictions.label[asked.accepted]])
    return Detections(image, boxes, labels, None, truth.images, truth.classes), asked
