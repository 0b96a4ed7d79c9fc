"""Ultralytics checkpoints: found by path or by name, downloaded on request, loaded only if they predict boxes."""

from __future__ import annotations

import re
from pathlib import Path

from hnm_core.training.detecting import load_detector as load

__all__ = ["TRUST", "find_model", "is_hub_name", "load"]

TRUST = "A .pt file can run code when it is loaded: use only files that you trust"


def find_model(model: str | Path, *, download: bool = False) -> Path:
    """Return the path of a checkpoint; nothing is loaded.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no ``.pt`` file.
        ConnectionError: if it cannot be downloaded.
    """
    path = Path(model).expanduser()
    if path.suffix != ".pt":
        raise ValueError(f"model must be an Ultralytics checkpoint, a .pt file, got {str(model)!r}")
    if path.is_file():
        return path
    if download and is_hub_name(model):
        return _fetched(path.name)
    cure = f"; set download=True to download Ultralytics' {path.name}" if is_hub_name(model) else ""
    raise FileNotFoundError(f"file {str(path)!r} does not exist on the machine that runs FiftyOne{cure}")


def is_hub_name(model: str | Path) -> bool:
    """Return whether this is a name of one of Ultralytics' own checkpoints, without a folder."""
    return re.fullmatch(r"(yolo|rtdetr)[\w.-]*\.pt", str(model)) is not None


def _fetched(name: str) -> Path:
    from ultralytics.utils import SETTINGS
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

    if name not in GITHUB_ASSETS_NAMES:
        raise ValueError(f"Ultralytics has no checkpoint {name!r}")
    path = Path(SETTINGS["weights_dir"]) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        attempt_download_asset(str(path))
    except Exception as error:  # a network can fail in any way
        raise ConnectionError(
            f"{name} could not be downloaded from github.com: {' '.join(str(error).split())}"
        ) from None
    return path
