"""The notebooks are run, cell by cell, on the small demo data; they are kept without outputs."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

nbformat = pytest.importorskip("nbformat", reason="it reads notebooks")
pytest.importorskip("fiftyone", reason="the demo's data goes through FiftyOne")
pytest.importorskip("ultralytics", reason="a real detector makes the predictions")

pytestmark = pytest.mark.slow

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))
SAID = {
    "files_round": ("Hard-negative mining", "images have a weight above 1", "images drawn are hard ones"),
    "fiftyone_round": ("Hard-negative mining", "false positives where nothing is labelled", "train with:", "[]\n"),
}


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES} == set(SAID)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_notebook_holds_no_output(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in cells if cell.outputs or cell.execution_count is not None] == []
    assert path.stat().st_size < 10_000


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_notebook_runs_from_its_first_cell_to_its_last(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("example_notebook")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{path.name}, cell {number}", "exec"), vars(module))
    said = capsys.readouterr().out
    assert [words for words in SAID[path.stem] if words not in said] == []
