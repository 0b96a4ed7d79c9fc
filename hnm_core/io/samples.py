"""Keeping hard images: a copy of the image and what was found in it, side by side."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["save_sample"]


def save_sample(output_dir: str | Path, image_path: str | Path, found: Sequence[Mapping[str, Any]]) -> Path:
    """Copy an image into a folder and write its hard negatives beside it, as ``<image name>.json``.

    The original is never touched. Saving the same image again replaces what was found in it.

    Args:
        output_dir: made if it is not there.
        image_path: the image the hard negatives were found in.
        found: their dicts, hardest first.

    Returns:
        The json file: ``{"image_path", "hard_negatives": [...]}``.

    Raises:
        FileNotFoundError: if there is no such image.
        FileExistsError: if another image of the same name was saved before.
    """
    image, folder = Path(image_path), Path(output_dir)
    if not image.is_file():
        raise FileNotFoundError(f"cannot save the hard sample {image}: no such file")
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / f"{image.name}.json"
    if record.exists():
        before = json.loads(record.read_text(encoding="utf-8"))["image_path"]
        if before != str(image):
            raise FileExistsError(f"{record} belongs to {before}, not to {image}; choose another output_dir")
    content = {"image_path": str(image), "hard_negatives": list(found)}
    text = json.dumps(content, indent=1, default=_plain)
    shutil.copy2(image, folder / image.name)
    record.write_text(text + "\n", encoding="utf-8")
    return record


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy and torch as JSON knows them; anything else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
