"""Ultralytics checkpoints: found by path or by name, fetched if that is asked for, loaded only if they find boxes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

TASKS = ("detect", "segment", "pose")
"""Ultralytics' tasks whose results have upright boxes."""

TRUST = "A .pt file can run code as it is loaded: name only a file that you trust"


def load(path: str | Path) -> Any:
    """The model in a checkpoint, if it finds boxes.

    Raises:
        ValueError: if it does something else, or is no checkpoint.
        ImportError: if Ultralytics is missing.
    """
    try:
        from ultralytics import YOLO
    except ImportError:
        raise ImportError("predicting needs Ultralytics: pip install ultralytics") from None
    try:
        model = YOLO(str(path))
    except Exception as error:  # torch, pickle and zip each have their own
        why = re.sub(r"^ERROR\W*", "", " ".join(str(error).split())).partition(" Recommended fixes")[0]
        raise ValueError(f"{path} is no checkpoint that Ultralytics can load: {why}") from None
    if model.task not in TASKS:
        raise ValueError(f"{path} is a model to {model.task}; mining needs boxes: one to {', '.join(TASKS)}")
    return model


def find_model(model: str | Path, *, download: bool = False) -> Path:
    """The checkpoint of this name; nothing is loaded.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is no ``.pt`` file.
        ConnectionError: if it can't be fetched.
    """
    path = Path(model).expanduser()
    if path.suffix != ".pt":
        raise ValueError(f"model must be an Ultralytics checkpoint, a .pt file, got {str(model)!r}")
    if path.is_file():
        return path
    if download and is_hub_name(model):
        return _fetched(path.name)
    cure = f"; set download to fetch Ultralytics' own {path.name}" if is_hub_name(model) else ""
    raise FileNotFoundError(f"there is no file {str(path)!r} on the machine that runs FiftyOne{cure}")


def is_hub_name(model: str | Path) -> bool:
    """Whether this is a name such as Ultralytics gives its own checkpoints, without a folder."""
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
    except Exception as error:  # whatever a network can do
        raise ConnectionError(f"{name} could not be fetched from github.com: {' '.join(str(error).split())}") from None
    return path
