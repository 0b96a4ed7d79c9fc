"""Evidence on whether the label or the model is wrong: the crops, the model asked again, a second model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hnm_core import Detections, MiningResult
from hnm_core.io.classes import select_classes
from hnm_core.io.progress import Progress, silent
from hnm_core.training.view_cache import digest_of

from ..runs.evidence_columns import Evidence
from ..settings import RunSettings
from ..store import access, box_tables, checks, model_record
from ..store.box_tables import Tables
from . import checkpoints

if TYPE_CHECKING:
    from fiftyone.core.collections import SampleCollection

    from hnm_core.evidence.label_suspects import LabelSuspects
    from hnm_core.evidence.near_crops import NearCrops


@dataclass(frozen=True)
class Told:
    """What the evidence says.

    Attributes:
        mistakes: one log-likelihood ratio or rank per row of the tables and kind.
        labels: how suspicious each label is, in each way; None if nobody asked the model again.
        near: what looks like the mined mistakes; None if the images were not opened.
    """

    mistakes: Evidence = field(default_factory=dict)
    labels: LabelSuspects | None = None
    near: NearCrops | None = None


def check(samples: SampleCollection, settings: RunSettings) -> None:
    """Refuse evidence that cannot be computed, before any work is done.

    Raises:
        ValueError: saying what is missing.
    """
    if settings.appearance and find_spec("sklearn") is None:
        raise ValueError("appearance needs scikit-learn: pip install scikit-learn")
    second = settings.second_field
    if second and second in (settings.pred_field, settings.gt_field):
        raise ValueError(f"second_field {second!r} is one of the two fields compared: name a field of another model")
    if second:
        checks.check_fields(samples, second)
    if settings.views:
        if find_spec("ultralytics") is None:
            raise ValueError("views needs Ultralytics: pip install ultralytics")
        model_of(samples, settings)


def second_predictions(samples: SampleCollection, tables: Tables, settings: RunSettings) -> Detections | None:
    """Return the boxes of the second model, over the images and classes of the tables; None if no field is named.

    What is to be said of its field alone is added to the warnings of the tables.
    """
    second = settings.second_field
    if not second:
        return None
    read = box_tables.read_tables(samples, replace(settings, pred_field=second))
    tables.warnings.extend(f"{second}: {note}" for note in read.warnings if note not in tables.warnings)
    return select_classes(read.predictions, tables.predictions.classes)


def gather(
    samples: SampleCollection,
    tables: Tables,
    result: MiningResult,
    settings: RunSettings,
    progress: Progress = silent,
) -> Told:
    """Compute the evidence that the settings name; what it took is added to the warnings of the tables.

    Args:
        samples: the dataset or view that is mined.
        tables: the tables that were read.
        result: the result of mining without evidence.
        settings: ``appearance``, ``views`` and ``views_model``; a second model is asked if the result has one.
        progress: called with the share done.

    Raises:
        ValueError: if an image cannot be opened, or the model is not that of the predictions.
    """
    found: Evidence = {}
    labels, near = None, None
    if settings.appearance:
        found["appearance"], near = _appearance(samples, result)
    if settings.views:
        seen, labels = _views(samples, tables, result, settings, progress)
        found |= seen
    if result.second_predictions is not None:
        from hnm_core.evidence.second_model import agreement_evidence

        found["agreement"] = agreement_evidence(result, result.second_predictions)
    return Told(found, labels, near)


def model_of(samples: SampleCollection, settings: RunSettings) -> tuple[Path, int | None]:
    """Return the checkpoint that made the predictions, and the size of the images that it saw, if that is recorded.

    Raises:
        ValueError: if it is not known, or not there any more.
    """
    known = model_record.models_of(access.root(samples), settings.pred_field)
    sizes = {record["sha256"]: record.get("imgsz") for record in known}
    try:
        if settings.views_model:
            path = checkpoints.find_model(settings.views_model)
        elif len(sizes) == 1:
            path = checkpoints.find_model(known[0]["model"])
        else:
            why = "several models are recorded" if known else "no model is recorded"
            raise ValueError(
                f"views needs the model that predicted {settings.pred_field!r}, and {why}: set views_model"
            )
    except FileNotFoundError as error:
        raise ValueError(f"views needs the model of the predictions: {error}; name it as views_model") from None
    digest = digest_of(path)
    if known and digest not in sizes:
        raise ValueError(
            f"{path} is not the model that predicted {settings.pred_field!r} (recorded sha256 "
            f"{known[0]['sha256'][:12]}, this file {digest[:12]}): name that one as views_model"
        )
    return path, sizes.get(digest)


def _views(
    samples: SampleCollection, tables: Tables, result: MiningResult, settings: RunSettings, progress: Progress
) -> tuple[Evidence, LabelSuspects]:
    """Return evidence on the mistakes, and how suspicious each label is, from the model asked again."""
    from hnm_core.evidence.views import views_evidence
    from hnm_core.training.asking import ask_again

    path, imgsz = model_of(samples, settings)
    file_of = dict(zip(*samples.values(["id", "filepath"]), strict=True))
    progress(0.0, f"Loading {path.name}, which may run code")
    asked = ask_again(
        checkpoints.load(path),
        path,
        result,
        lambda name: str(file_of[name]),
        class_map=settings.class_map,
        imgsz=imgsz,
        progress=progress,
    )
    told = views_evidence(result, dict(zip(asked.names, asked.tables, strict=True)))
    tables.warnings.extend([asked.cost, *told.notes])
    return told.kinds, told.suspects


def _appearance(samples: SampleCollection, result: MiningResult) -> tuple[NDArray[np.float64], NearCrops]:
    """Return the evidence from the crops, and what looks like the mistakes, from the same descriptors."""
    from hnm_core.evidence.appearance import appearance_evidence, describe_crops
    from hnm_core.evidence.near_crops import near_crops

    file_of = dict(zip(*samples.values(["id", "filepath"]), strict=True))
    try:
        crops = describe_crops(result, lambda name: Path(file_of[name]))
        return appearance_evidence(result, crops=crops), near_crops(result, crops)
    except OSError as error:
        raise ValueError(
            f"appearance needs to read the images, and one cannot be read: {error}; mine without appearance"
        ) from None
