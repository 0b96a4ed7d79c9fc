"""A small demo for all pages: made once, and a folder of its own for each page that runs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hnm_core.cli import main
from hnm_core.strategies import forget_strategy, strategy_names
from tests.docs import pages

DATASET = "my-detections"
"""How the pages call the dataset that they load."""

Run = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder ``hnm_demo`` of a small demo, as `make demo` leaves it."""
    pytest.importorskip("fiftyone", reason="FiftyOne holds the dataset")
    pytest.importorskip("ultralytics", reason="Ultralytics makes the predictions")
    from fiftyone_plugin.demo.dataset import prepare_digits

    folder = tmp_path_factory.mktemp("docs") / "hnm_demo"
    prepare_digits(folder, images=80, seed=0)
    return folder


@pytest.fixture
def run(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs a page from top to bottom: its Python in one module, its ``hnm`` lines in the same folder.

    What a page registers and changes is gone afterwards: strategies, the dataset, the folder.
    """
    strategies = set(strategy_names())
    own = shutil.copytree(demo, tmp_path / "hnm_demo")
    data = own / "digits" / "data.yaml"
    data.write_text(data.read_text().replace(str(demo), str(own)))
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page_of_the_documents")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where `module:attribute` finds what it defines

    def run_page(page: Path) -> dict[str, Any]:
        text = pages.read(page)
        if DATASET in text:
            from fiftyone_plugin.demo.dataset import load_digits

            load_digits(data, own / "predictions", DATASET)
        for block in pages.blocks(text, "python", "bash"):
            if block.language == "python":
                exec(compile(block.text, pages.name_of(page), "exec"), vars(module))
                continue
            for command in pages.commands(f"```bash\n{block.text}```"):
                program, *arguments = pages.words(command)
                assert program != "hnm" or main(arguments) == 0, command
        return vars(module)

    yield run_page
    for name in set(strategy_names()) - strategies:
        forget_strategy(name)
