"""Minings of which it is known which mistakes are the label's, and what could tell without knowing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.out_of_fold import out_of_fold
from benchmarks.retraining_sets import SHARED
from fiftyone_plugin.demo.dataset import WEIGHTS, prepare_digits
from hnm_core import Detections, MiningResult, mine
from hnm_core.boxes import overlapping
from hnm_core.evidence.appearance import appearance_evidence
from hnm_core.evidence.second_model import agreement_evidence
from hnm_core.io import read_coco, read_yolo
from hnm_core.labels.evidence_weights import at_rows
from hnm_core.labels.mistakes import mistake_rows
from hnm_core.taxonomy import DUPLICATE

SIZE, OTHER_SIZE = 192, 256


@dataclass
class Case:
    """A mining, where its images are, and which of its mistakes are label errors.

    Attributes:
        name: for the table.
        result: the mining.
        wrong: ``(k,)`` bool over ``result.mistakes``.
        locate: from an image's key to its file.
        weights: of the detector.
        unseen: whether it was trained on other images than these.
    """

    name: str
    result: MiningResult
    wrong: np.ndarray
    locate: Callable[[str], Path]
    weights: Path
    unseen: bool

    def at_mistakes(self, evidence: np.ndarray) -> np.ndarray:
        """Return a column of the predictions at the mistakes; NaN at the truths."""
        rows = mistake_rows(self.result.errors, (self.result.prediction_hard, self.result.truth_hard))
        lengths = len(self.result.predictions), len(self.result.truth)
        return at_rows({"it": evidence}, lengths, rows)["it"]


def digits(folder: Path, images: int, seed: int) -> Case:
    """Return the demo's training split with a tenth of its labels withheld: a false positive there is a label error."""
    data = prepare_digits(folder, images, seed, say=lambda text: None)
    predictions, truth = read_yolo(data, "train", predictions=folder / "predictions" / "train" / "labels")
    result = mine(predictions, truth)
    placed = json.loads((data.parent / "answers.json").read_text())["images"]
    names = [str(Path(name).relative_to(data.parent)) for name in truth.images]
    withheld = [(i, d["xyxy"]) for i, name in enumerate(names) for d in placed[name]["digits"] if d["withheld"]]
    image, boxes = np.array([i for i, _ in withheld]), np.array([box for _, box in withheld]) / SIZE
    wrong = np.zeros(len(predictions), dtype=bool)
    pairs = np.nonzero(predictions.image[:, None] == image)
    row, _, iou = overlapping(predictions.xyxy, boxes, *pairs)
    wrong[row[iou >= 0.5]] = True
    return _case(f"digits, {images} images", result, wrong, Path, WEIGHTS, unseen=True)


def photographs(name: str, label: str) -> Case:
    """Return a public set's training split.

    On ``bccd`` every false positive but a duplicate is taken for an unlabelled cell (checked by others: 94 % of those
    at .5 to .6, all from .7), on ``cards`` none for an unlabelled card (43 of 45 checked).

    Raises:
        FileNotFoundError: where the set is not there.
    """
    folder = SHARED / name
    if not folder.is_dir():
        raise FileNotFoundError(f"{name} is not here")
    files = folder / "coco" / "instances_train.json", folder / "preds" / "predictions_train.json"
    result = mine(*read_coco(*files))
    unlabelled = result.errors.false_positive & (result.errors.prediction != DUPLICATE)
    weights = next((folder / "preds").glob("*.pt"))
    wrong = unlabelled & (name == "bccd")
    return _case(label, result, wrong, lambda key: folder / "images" / "train" / key, weights, unseen=False)


def _case(name: str, result: MiningResult, wrong: np.ndarray, locate: Any, weights: Path, unseen: bool) -> Case:
    case = Case(name, result, wrong, locate, weights, unseen)
    case.wrong = np.nan_to_num(case.at_mistakes(wrong.astype(float))) > 0
    return case


def by_appearance(case: Case) -> np.ndarray:
    """Return the engine's own evidence, from edges of the crop."""
    return appearance_evidence(case.result, case.locate)


def by_backbone(case: Case) -> np.ndarray:
    """Return evidence of the same classifier on features of the detector's own backbone."""
    return appearance_evidence(case.result, case.locate, backbone_features(case.weights))


def by_second_size(case: Case) -> np.ndarray:
    """Return agreement with the same weights at another image size, the weakest kind of second model."""
    return agreement_evidence(case.result, _predicted(case))


def by_out_of_fold(case: Case) -> np.ndarray | None:
    """Return agreement with two models, each trained further on one half of the images and asked about the other."""
    if not case.unseen:  # a model that was trained on all labels forgets none of them in a few epochs
        return None
    return agreement_evidence(case.result, out_of_fold(case.result.truth, case.weights, SIZE))


def by_score(case: Case) -> np.ndarray:
    """Return the detector's own confidence."""
    return case.result.predictions.score  # type: ignore[return-value]


def by_objectlab(case: Case) -> np.ndarray:
    """ObjectLab's score of overlooked boxes, for every confident prediction (cleanlab)."""
    from cleanlab.object_detection.rank import compute_overlooked_box_scores

    p, t = case.result.predictions, case.result.truth
    assert p.score is not None
    labels, predicted, rows = [], [], []
    for i in range(len(t.images)):
        of_image = np.flatnonzero(t.image == i)
        labels.append({"bboxes": t.xyxy[of_image], "labels": t.label[of_image]})
        by_class = [np.flatnonzero((p.image == i) & (p.label == c)) for c in range(len(p.classes))]
        rows.append(np.concatenate(by_class))
        predicted.append(np.array([np.column_stack([p.xyxy[r], p.score[r]]) for r in by_class] + [None], object)[:-1])
    scores = compute_overlooked_box_scores(labels=labels, predictions=predicted, high_probability_threshold=0.5)
    out = np.ones(len(p))
    for row, score in zip(rows, scores, strict=True):
        out[row] = np.nan_to_num(score, nan=1.0)
    return -out


def by_mistakenness(case: Case) -> np.ndarray:
    """FiftyOne Brain's rule for a possibly missing object: unmatched, with a confidence above .95."""
    assert case.result.predictions.score is not None
    return (case.result.predictions.score > 0.95).astype(float)


def backbone_features(weights: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Means over quarters of the crop of what three layers of a detector's backbone say."""
    import torch
    from ultralytics import YOLO

    net = YOLO(str(weights)).model.float().eval()
    chain = list(takewhile(lambda layer: layer.f == -1 and not isinstance(layer, torch.nn.Upsample), net.model))
    taken = {len(chain) // 2, len(chain) * 3 // 4, len(chain) - 1}

    def describe(crops: np.ndarray) -> np.ndarray:
        parts = []
        with torch.no_grad():
            for start in range(0, len(crops), 64):
                batch = torch.from_numpy(crops[start : start + 64]).permute(0, 3, 1, 2).float() / 255.0
                features = []
                for number, layer in enumerate(chain):
                    batch = layer(batch)
                    if number in taken:
                        pooled = torch.nn.functional.adaptive_avg_pool2d(batch, 2).flatten(1)
                        features.append(torch.nn.functional.normalize(pooled, dim=1))
                parts.append(torch.cat(features, dim=1).numpy())
        return np.concatenate(parts).astype(np.float64)

    return describe


def _predicted(case: Case) -> Detections:
    """Predictions of the same weights at another image size."""
    from ultralytics import YOLO

    t, model = case.result.truth, YOLO(str(case.weights))
    fractions = float(np.abs(t.xyxy).max(initial=0.0)) <= 2.0
    size = OTHER_SIZE if fractions else 416
    found = [
        model.predict(str(case.locate(name)), conf=0.01, imgsz=size, device="cpu", verbose=False)[0].boxes
        for name in t.images
    ]
    boxes = [b.xyxyn if fractions else b.xyxy for b in found]
    classes = [t.classes.index(model.names[i]) for i in range(len(model.names))]
    return Detections(
        image=np.repeat(np.arange(len(found)), [len(b) for b in found]),
        xyxy=np.concatenate([b.numpy().astype(float) for b in boxes]),
        label=np.array(classes)[np.concatenate([b.cls.numpy().astype(int) for b in found])],
        score=np.concatenate([b.conf.numpy().astype(float) for b in found]),
        images=t.images,
        classes=t.classes,
    )
