"""The reference pages say what the code says: all commands and flags, operators and parameters, settings, names."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("griffe", reason="the documentation's tools are not installed")
pytest.importorskip("fiftyone", reason="the operators are FiftyOne's")

from fiftyone_plugin.operators import OPERATORS
from hnm_core.cli import build_parser
from hnm_core.commands import Command
from tools.reference import __main__ as reference
from tools.reference import cli, markdown, operators
from tools.reference.settings import SETTINGS

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PUBLIC = (
    *("hnm_core", "hnm_core.io", "hnm_core.strategies", "hnm_core.matching", "hnm_core.rounds"),
    *("hnm_core.realtime", "hnm_core.live", "hnm_core.training", "hnm_core.export", "hnm_core.verify"),
    *("hnm_core.settings", "hnm_core.engines"),
)

HANDED_ON = {"accept_missing_labels", "compare_mining_runs"}
"""Operators whose options are those of an annotation tool, or are refused."""


def section(page: str, title: str) -> str:
    """The text below a heading, up to the next of its level."""
    return re.split(r"^## ", page.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == reference.PAGES[name](), "run make docs-reference"


def test_a_page_that_is_out_of_date_is_found_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    assert reference.main(["--check"]) == 1
    assert list(tmp_path.iterdir()) == []
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0


def test_every_command_and_every_flag_is_in_it() -> None:
    page = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    commands = cli.commands(build_parser())
    assert {"mine", "train", "report", "compare", "export", "demo", "doctor"} <= set(commands)
    for name, parser in commands.items():
        said = section(page, f"hnm {name}")
        shown = (action for action in parser._actions if action.help != argparse.SUPPRESS)
        flags = {flag for action in shown for flag in action.option_strings} - {"-h", "--help"}
        assert flags, name
        assert [flag for flag in flags if not re.search(rf"`{flag}[ `]", said)] == [], name


def test_sub_commands_of_a_command_have_sections_of_their_own() -> None:
    parser = argparse.ArgumentParser()
    inner = parser.add_subparsers().add_parser("verifier").add_subparsers().add_parser("fit")
    assert cli.commands(parser)["verifier fit"] is inner


def test_no_command_failed_to_load() -> None:
    for name, parser in cli.commands(build_parser()).items():
        assert isinstance(parser.get_default("command"), Command) or " " in name
        assert "not available" not in str(parser.description)


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.__name__)
def test_every_operator_and_every_parameter_is_in_it_with_its_meaning(operator: Any) -> None:
    said = section((REFERENCE / "operators.md").read_text(encoding="utf-8"), operator().config.name)
    rows = re.findall(r"^\| `(\w+)` \| [^|]+\| [^|]*\| *(.*?) *\|$", said, flags=re.MULTILINE)
    assert [name for name, meaning in rows if not meaning] == []
    given = inspect.signature(vars(operator).get("__call__") or operator.compute).parameters.values()
    named = {p.name for p in given if p.kind is not p.VAR_KEYWORD} - operators.GIVEN
    assert named <= {name for name, _ in rows}
    more = any(p.kind is p.VAR_KEYWORD for p in given) and operator().config.name not in HANDED_ON
    assert (len(rows) > len(named)) == more, "what are its options? say so in `takes`"


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__name__)
def test_every_setting_is_in_it_with_its_meaning(settings: type) -> None:
    said = section((REFERENCE / "settings.md").read_text(encoding="utf-8"), settings.__name__)
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| *([^|]*?) *\|$", said, flags=re.MULTILINE))
    assert set(rows) == {knob.name for knob in fields(settings)}
    assert [name for name, meaning in rows.items() if not meaning] == []


def test_every_public_name_is_in_the_api() -> None:
    shown = set(re.findall(r"^::: ([\w.]+)$", (REFERENCE / "api.md").read_text(encoding="utf-8"), flags=re.MULTILINE))
    top = set(importlib.import_module("hnm_core").__all__)
    for module in PUBLIC:
        names = set(importlib.import_module(module).__all__)
        names -= {"io"} if module == "hnm_core" else top
        assert {f"{module}.{name}" for name in names} <= shown, module


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a_b and `c_d` * e", r"a\_b and `c_d` \* e"),
        ("see :func:`~hnm_core.pipeline.mine`, ``x|y``", r"see `mine`, `x\|y`"),
        ("two\n   lines", "two lines"),
        ("<DIR> [0, 1]", r"\<DIR> \[0, 1\]"),
    ],
)
def test_texts_hold_no_markup_by_accident(text: str, line: str) -> None:
    assert markdown.plain(text) == line
