"""The mistakes and the images of a stored run, as columns for the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hnm_core.labels.mistakes import Mistakes
from hnm_core.taxonomy import ERROR_TYPES, ROW_NAMES
from hnm_core.weighting.images import Images

from ..runs import near_columns
from ..runs.evidence_columns import Evidence, of_mistakes
from ..settings import RunSettings
from ..store import box_tables, views

if TYPE_CHECKING:
    import fiftyone as fo


def images_of(results: Any) -> Images:
    """Return the images of a run without the classes in them, which would need all truths."""
    return Images(tuple(results.images["sample_id"]), np.array(results.images["background"], dtype=bool))


def images_with_truth(dataset: fo.Dataset, settings: RunSettings, results: Any) -> Images:
    """Return the images of a run with the classes in them, as the dataset has them now."""
    images = images_of(results)
    truth = box_tables.read_truth(
        views.images_of(dataset).exists(f"{settings.run_key}_count"), settings.gt_field, results.classes
    )
    place = {name: number for number, name in enumerate(images.names)}
    number = np.array([place.get(name, -1) for name in truth.images], dtype=np.int64)
    image = number[truth.image] if len(number) else np.zeros(0, dtype=np.int64)
    known = image >= 0
    return Images(images.names, images.background, image[known], truth.label[known], tuple(results.classes))


def mistakes_of(results: Any) -> tuple[NDArray[np.int64], list[str], list[str], Mistakes, Evidence | None]:
    """Return every mistake among a run's stored objects, mined or not, in order.

    Returns:
        Places among the objects, ids of the objects, ids of their samples, the mistakes as columns, and the evidence
        on them (None if the run was mined without).
    """
    objects = results.objects
    error = np.array(objects["error"], dtype=object)
    code_of, label_of, image_of = (
        {name: number for number, name in enumerate(names)}
        for names in (ROW_NAMES, results.classes, results.images["sample_id"])
    )
    mined = np.array([bool(kind) for kind in objects["type"]], dtype=bool)
    wrong = np.isin(error, ERROR_TYPES)
    rows = np.flatnonzero(wrong | mined)

    def column(name: str, dtype: Any, number: Mapping[str, int] | None = None) -> Any:
        stored = objects[name]
        kept = [stored[row] for row in rows.tolist()]
        return np.array([number[value] for value in kept] if number is not None else kept, dtype=dtype)

    label_ids = [objects["label_id"][row] for row in rows.tolist()]
    sample_ids = [objects["sample_id"][row] for row in rows.tolist()]
    twins = near_columns.twins_of(objects, rows)
    return (
        rows,
        label_ids,
        sample_ids,
        Mistakes(
            image=column("sample_id", np.int64, image_of),
            code=column("error", np.int8, code_of),
            label=column("label", np.int64, label_of),
            score=column("confidence", np.float64),
            difficulty=column("difficulty", np.float64),
            of_truth=column("side", object) == "truth",
            mined=mined[rows],
            twins=twins.of if twins else None,
        ),
        of_mistakes(objects, rows),
    )
