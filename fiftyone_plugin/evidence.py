"""What a dataset has to tell a missing label from a model's mistake: how the crops look, what another model says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hnm_core import MiningResult

from . import bridge, checks
from .bridge import Tables
from .settings import RunSettings

STORED = "evidence_"
"""How the columns of a run's results begin that hold evidence, a kind each."""

Evidence = dict[str, NDArray[np.float64]]


def check(samples: Any, settings: RunSettings) -> None:
    """Refuse evidence that cannot be had, before the work and not after it.

    Raises:
        ValueError: saying what is missing.
    """
    if settings.appearance and find_spec("skimage") is None:
        raise ValueError("appearance looks at the images with scikit-image, which is missing: pip install scikit-image")
    second = settings.second_field
    if second and second in (settings.pred_field, settings.gt_field):
        raise ValueError(f"second_field {second!r} is one of the two fields compared: name another model's field")
    if second:
        checks.check_fields(samples, second)


def gather(samples: Any, tables: Tables, result: MiningResult, settings: RunSettings) -> Evidence:
    """The evidence that the settings ask for, a log-likelihood ratio per prediction and kind.

    Args:
        samples: the dataset or view that is mined.
        tables: what was read of it.
        result: what mining found without evidence.
        settings: ``appearance`` and ``second_field``.

    Raises:
        ValueError: if an image cannot be opened.
    """
    found: Evidence = {}
    if settings.appearance:
        found["appearance"] = _appearance(samples, result)
    if settings.second_field:
        from hnm_core.agreement import agreement_evidence

        as_second = replace(settings, pred_field=settings.second_field, classes=tables.predictions.classes)
        found["agreement"] = agreement_evidence(result, bridge.read_tables(samples, as_second).predictions)
    return found


def stored(result: MiningResult, side: str, rows: NDArray[np.bool_]) -> dict[str, list[float | None]]:
    """Evidence on the rows of one side as a run keeps it, by the name of its column."""
    return {f"{STORED}{kind}": _of_side(values, side, rows) for kind, values in result.evidence.items()}


def of_mistakes(objects: Mapping[str, Any], rows: NDArray[np.int64]) -> Evidence | None:
    """Evidence on these rows of a run's stored objects; None if it was mined without."""
    columns = {name: values for name, values in objects.items() if name.startswith(STORED)}
    found = {
        name.removeprefix(STORED): np.array([values[row] for row in rows.tolist()], dtype=np.float64)
        for name, values in columns.items()
    }
    return found or None


def _appearance(samples: Any, result: MiningResult) -> NDArray[np.float64]:
    from hnm_core.appearance import appearance_evidence

    file_of = dict(zip(*samples.values(["id", "filepath"]), strict=True))
    try:
        return appearance_evidence(result, lambda name: Path(file_of[name]))
    except OSError as error:
        raise ValueError(f"appearance opens the images, and one can't be read: {error}; mine without it") from None


def _of_side(values: Any, side: str, rows: NDArray[np.bool_]) -> list[float | None]:
    both = values if isinstance(values, tuple) else (values, None)
    column = both[0] if side == "prediction" else both[1]
    if column is None:
        return [None] * int(rows.sum())
    return [None if value != value else value for value in np.asarray(column)[rows].tolist()]  # NaN is no JSON
