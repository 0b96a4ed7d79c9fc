"""The file of a verifier: arrays and one JSON text in ``.npz``, without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..io.mining_folder import DAMAGED, damage_of
from ..io.write_aside import new_file
from .fitting import FOLDS
from .quality import Quality

__all__ = ["read_verifier", "write_verifier"]

FORMAT, WHAT = 1, "hnm verifier"
ARRAYS = ("weights", "offsets", "centre", "scale")


def write_verifier(path: str | Path, values: Mapping[str, Any]) -> Path:
    """Write what :func:`read_verifier` returns; an older file stays until the new one is complete.

    Args:
        path: the file; its folder is made.
        values: of a verifier, by name.
    """
    target = Path(path).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    record = {
        **{"what": WHAT, "format": FORMAT, "version": __version__, "folds": FOLDS},
        **{"classes": list(values["classes"]), "quality": values["quality"].as_dict(), "digest": values["digest"]},
    }
    arrays: dict[str, Any] = {name: np.asarray(values[name], dtype=np.float64) for name in ARRAYS}
    with new_file(target) as aside, aside.open("wb") as file:
        np.savez_compressed(file, record=np.array(json.dumps(record)), **arrays)
    return target


def read_verifier(path: str | Path) -> dict[str, Any]:
    """Read the values of a verifier by name.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, no verifier, or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no verifier {path}; fit one with `hnm verifier fit RUN --output {path}`")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            record = json.loads(str(arrays["record"])) if "record" in arrays else {}
            values = {name: arrays[name] for name in ARRAYS if name in arrays}
    except (*DAMAGED, OSError) as error:
        raise ValueError(f"{path} cannot be read as a verifier ({damage_of(error)}); fit again") from None
    if not isinstance(record, dict) or record.get("what") != WHAT:
        raise ValueError(f"{path} is no verifier: `hnm verifier fit RUN --output FILE` writes one")
    if record.get("format") != FORMAT:
        raise ValueError(
            f"{path} is a verifier of format {record.get('format')!r}, from version {record.get('version')!r}; this is "
            f"version {__version__}, which reads format {FORMAT}: fit again"
        )
    try:
        quality = Quality(**{**record["quality"], "notes": tuple(record["quality"]["notes"])})
        found = {
            **values,
            "classes": tuple(map(str, record["classes"])),
            "quality": quality,
            "digest": record["digest"],
        }
        str(quality)
        _check(found)
    except (*DAMAGED, OSError) as error:
        raise ValueError(f"{path} is damaged ({damage_of(error)}); fit again") from None
    return found


def _check(found: Mapping[str, Any]) -> None:
    """Refuse arrays that do not fit together.

    Raises:
        KeyError: if one is missing.
        ValueError: if one has another shape than it must have, or is not finite.
    """
    fits, length = len(found["classes"]) + 1, len(found["centre"])
    shapes = {"weights": (fits, length), "offsets": (fits,), "centre": (length,), "scale": (length,)}
    for name, shape in shapes.items():
        values = found[name]
        if values.dtype != np.float64 or values.shape != shape or not np.isfinite(values).all():
            raise ValueError(f"{name} is {values.dtype} {values.shape}, expected finite float64 {shape}")
    if not (found["scale"] > 0).all():
        raise ValueError("scale is not above 0")
