"""A detector is loaded, or a sentence says why it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ultralytics", reason="it loads the model")

from hnm_core.training.detecting import load_detector


@pytest.mark.parametrize("name", ["best.pt", "clip.mp4", "labels.txt", "folder", "gone.pt"])
def test_what_is_no_model_is_said_before_any_image_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name != "gone.pt":
        path.write_text("no model")
    with pytest.raises(ValueError, match=rf"Ultralytics cannot load .*{name} as a checkpoint: "):
        load_detector(path)
