"""The matching of one image with few boxes, in plain Python: calling numpy a hundred times takes longer than that.

What it says is what :func:`~hnm_core.matching.match_detections` says, to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Detections

__all__ = ["match_few"]

NONE = -1


def match_few(
    predictions: Detections,
    truth: Detections,
    threshold: NDArray[np.float64],
    loose: float,
    class_agnostic: bool = False,
) -> dict[str, NDArray[Any]]:
    """Match the boxes of one image as COCO does.

    Args:
        predictions: scored boxes of a single image.
        truth: boxes without score of the same one.
        threshold: ``(classes,)`` IoU threshold of every class.
        loose: overlap from which a prediction speaks of a truth at all.
        class_agnostic: whether a prediction may take a truth of another class.

    Returns:
        The columns of :class:`~hnm_core.matching.Matches`.
    """
    n, m = len(predictions), len(truth)
    score, tau = predictions.score.tolist(), threshold.tolist()  # type: ignore[union-attr]
    truths = list(enumerate(zip(truth.xyxy.tolist(), truth.label.tolist(), truth.is_crowd().tolist(), strict=True)))
    same_iou, same_row, other_iou, other_row = [0.0] * n, [NONE] * n, [0.0] * n, [NONE] * n
    best_iou, best_row, best_score, loose_score = [0.0] * m, [NONE] * m, [0.0] * m, [0.0] * m
    wishes: list[list[tuple[float, int]]] = [[] for _ in range(n)]
    on_crowd = [False] * n
    for p, ((x0, y0, x1, y1), label) in enumerate(
        zip(predictions.xyxy.tolist(), predictions.label.tolist(), strict=True)
    ):
        own = (x1 - x0) * (y1 - y0)
        for t, ((left, top, right, bottom), true_label, crowd) in truths:
            width = min(x1, right) - max(x0, left)
            height = min(y1, bottom) - max(y0, top)
            if width <= 0 or height <= 0:
                continue
            shared = width * height
            iou = shared / (own if crowd else own + (right - left) * (bottom - top) - shared)
            same, close = label == true_label, iou >= tau[true_label]
            if same and close:
                best_score[t] = max(best_score[t], score[p])
            if not crowd and not same and (other_row[p] == NONE or iou > other_iou[p]):
                other_iou[p], other_row[p] = iou, t
            if not crowd and same:
                if same_row[p] == NONE or iou > same_iou[p]:
                    same_iou[p], same_row[p] = iou, t
                if best_row[t] == NONE or (iou, score[p]) > (best_iou[t], score[best_row[t]]):
                    best_iou[t], best_row[t] = iou, p
                if iou >= loose:
                    loose_score[t] = max(loose_score[t], score[p])
            if close and (same or class_agnostic):
                if crowd:
                    on_crowd[p] = True
                else:
                    wishes[p].append((iou, t))

    matched, found_by = [NONE] * n, [NONE] * m
    for p in sorted((p for p in range(n) if wishes[p]), key=lambda p: -score[p]):
        free = [wish for wish in wishes[p] if found_by[wish[1]] == NONE]
        if free:
            t = max(free)[1]  # of equals the later truth, as pycocotools
            matched[p], found_by[t], on_crowd[p] = t, p, False
    rows = {
        "matched": matched,
        "same_row": same_row,
        "other_row": other_row,
        "found_by": found_by,
        "best_row": best_row,
    }
    shares = {"same_iou": same_iou, "other_iou": other_iou, "best_iou": best_iou, "best_score": best_score}
    return {
        **{name: np.array(column, dtype=np.int32) for name, column in rows.items()},
        **{name: np.array(column, dtype=np.float64) for name, column in shares.items()},
        "loose_score": np.array(loose_score, dtype=np.float64),
        "on_crowd": np.array(on_crowd, dtype=bool),
    }
