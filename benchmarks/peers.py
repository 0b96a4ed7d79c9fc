"""The peers, each as a function that does the work and nothing else: files are read before the clock starts."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hnm_core import Detections
from hnm_core.boxes import xyxy_to_xywh

ALL_DETECTIONS = 1_000_000


def pycocotools(gt: Path, dt: Path) -> Callable[[], Any]:
    """Return a call of COCOeval.evaluate at one IoU threshold and one area range."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _coco_api(COCO, COCOeval, gt, dt)


def faster_coco_eval(gt: Path, dt: Path) -> Callable[[], Any]:
    """Return a call of the same in C++."""
    from faster_coco_eval import COCO, COCOeval_faster

    return _coco_api(COCO, COCOeval_faster, gt, dt)


def hotcoco(gt: Path, dt: Path, *, tide: bool = False) -> Callable[[], Any]:
    """Return a call of the same in Rust; with ``tide``, its error types after it."""
    from hotcoco import COCO, COCOeval

    run = _coco_api(COCO, COCOeval, gt, dt)
    return (lambda: run().tide_errors()) if tide else run


def tidecv(predictions: Detections, truth: Detections) -> Callable[[], Any]:
    """Return a call of TIDE's own error types; filled by hand, since its COCO reader insists on masks."""
    from tidecv import TIDE, Data

    sides = []
    for name, table in (("truth", truth), ("predictions", predictions)):
        data = Data(name, max_dets=ALL_DETECTIONS)
        for i, image in enumerate(table.images):
            data.add_image(i, image)
        for i, class_name in enumerate(table.classes):
            data.add_class(i, class_name)
        columns = [table.image.tolist(), table.label.tolist(), xyxy_to_xywh(table.xyxy).tolist()]
        if table.score is None:
            for image, label, box in zip(*columns, strict=True):
                data.add_ground_truth(image, label, box)
        else:
            for image, label, box, score in zip(*columns, table.score.tolist(), strict=True):
                data.add_detection(image, label, score, box)
        sides.append(data)
    return lambda: _quiet(lambda: TIDE(mode=TIDE.BOX).evaluate(*sides))


def _coco_api(coco: Any, evaluation: Any, gt: Path, dt: Path) -> Callable[[], Any]:
    def load() -> Any:
        truth = coco(str(gt))
        return truth, (truth.loadRes if hasattr(truth, "loadRes") else truth.load_res)(str(dt))

    truth, results = _quiet(load)

    def run() -> Any:
        e = evaluation(truth, results, "bbox")
        e.params.iouThrs = np.array([0.5])
        e.params.areaRng, e.params.areaRngLbl = [[0, 1e10]], ["all"]
        e.params.maxDets = [100]
        e.evaluate()
        return e

    return lambda: _quiet(run)


def _quiet(work: Callable[[], Any]) -> Any:
    with contextlib.redirect_stdout(io.StringIO()):
        return work()
