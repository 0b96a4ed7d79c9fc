"""The pages of the site: what they show runs, what they name exists, and both languages say the same."""

from __future__ import annotations

import importlib
import re
from dataclasses import fields as fields_of
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml

from hnm_core.cli import build_parser
from hnm_core.settings import MiningSettings
from hnm_core.strategies import strategy_names
from hnm_core.taxonomy import ERROR_TYPES
from tests.docs import pages
from tests.docs.conftest import Run

WRITTEN = pages.written_pages()
READMES = [pages.ROOT / "README.md", pages.ROOT / "README.zh.md"]
ALL = [*READMES, *pages.english_pages(), *pages.chinese_pages()]
RUNNING = [page for page in WRITTEN if pages.blocks(pages.read(page), "python", "bash")]
OTHERS = ("make", "mkdir", "ln", "fiftyone", "yolo", "pip", "git", "ray")
"""Programs besides ``hnm`` that a page may show."""


def by_name(pages_: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages_, ids=pages.name_of)


@pytest.mark.slow
@by_name(RUNNING)
@pytest.mark.filterwarnings("default")  # others' warnings are shown to readers too
def test_the_blocks_of_a_page_run_one_after_the_other(page: Path, run: Run) -> None:
    run(page)


@by_name(ALL)
def test_links_pictures_and_tables_exist(page: Path) -> None:
    for file, anchor in pages.links(page):
        target = pages.ROOT / file
        assert target.is_file(), file
        assert not anchor or anchor in pages.anchors(pages.read(target)), f"{file}#{anchor}"
    for file in (*pages.pictures(page), *pages.tables(pages.read(page))):
        assert (pages.ROOT / file).is_file(), file


@by_name([*READMES, *WRITTEN, *pages.chinese_pages()])  # the others are made from the parser
def test_commands_named_are_taken_by_the_parser(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, parser = pages.read(page), build_parser()
    for command in pages.commands(text):
        program, *arguments = pages.words(command)
        assert program in ("hnm", *OTHERS), command
        if program == "hnm":
            parser.parse_args(arguments)
    help_text = parser.format_help()
    for name in re.findall(r"`hnm ([a-z-]+)", pages.prose(text)):
        assert re.search(rf"^\s+{name}\b", help_text, flags=re.MULTILINE), name


def test_a_command_that_does_not_exist_is_found() -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["mine", "--no-such-flag"])


@by_name(ALL)
def test_operators_and_fields_named_exist(page: Path) -> None:
    plugin = yaml.safe_load((pages.ROOT / "fiftyone.yml").read_text(encoding="utf-8"))
    text = pages.read(page)
    for name in re.findall(r"@hnm/hard-negative-mining/(\w+)", text):
        assert name in plugin["operators"], name
    called = re.findall(
        r"\boperator\(\"(\w+)\"\)|`((?!find_)\w+_(?:hard_negatives|mining_runs?|missing_labels))\b", text
    )
    settings = {setting.name for setting in fields_of(MiningSettings)}
    for name in map("".join, called):
        assert name in plugin["operators"] or name in settings, name
    for name in re.findall(r"\bKEY_(\w+)", text):
        assert name in fields(), name


@by_name(ALL)
def test_python_names_in_passing_can_be_imported(page: Path) -> None:
    pytest.importorskip("fiftyone", reason="the plugin's modules import FiftyOne")
    for module, name in re.findall(
        r"`((?:hnm_core|fiftyone_plugin)(?:\.\w+)*)\.(\w+)\b[^`]*`", pages.prose(pages.read(page))
    ):
        assert hasattr(importlib.import_module(module), name) or find_spec(f"{module}.{name}"), f"{module}.{name}"


def fields() -> set[str]:
    """What a run may write: the fields of the page that lists them, which the test below holds to the code."""
    return set(
        re.findall(r"^\| \w+ \| `KEY_(\w+)` \|", pages.read(pages.DOCS / "reference" / "fields.md"), re.MULTILINE)
    )


@pytest.mark.slow
def test_the_page_of_fields_lists_what_the_plugin_writes(run: Run) -> None:
    import fiftyone as fo
    import fiftyone.operators as foo

    run(pages.DOCS / "how-to" / "compare-models.md")
    dataset = fo.load_dataset("my-detections")
    dataset.set_values("embedding", list(np.ones((len(dataset), 2))))
    dataset.match_tags("train").limit(40).tag_samples("pool")
    find_similar_images = foo.get_operator("@hnm/hard-negative-mining/find_similar_images")
    find_similar_images(dataset, run_key="new", embeddings_field="embedding", pool_tag="pool")
    written = {path.rpartition(".")[2] for path in dataset.get_field_schema(flat=True)}
    foo.get_operator("@hnm/hard-negative-mining/mine_without_truth")(dataset, pred_field="predictions", run_key="bare")
    assert dataset.get_field("bare_missed") is not None, "of a run without ground truth alone"
    assert {f"new_{name}" for name in fields() - {"missed"}} == {name for name in written if name.startswith("new_")}


def test_the_definitions_name_every_strategy_and_error_type() -> None:
    named = re.findall(r"`(\w+)`", pages.read(pages.DOCS / "explanation" / "definitions.md"))
    assert {*strategy_names(), *ERROR_TYPES} <= set(named)
    shown = pages.read(pages.DOCS / "explanation" / "model-or-label.md")
    assert MiningSettings().use_suspicion
    for name in ERROR_TYPES:
        assert name in shown


def test_the_glossary_defines_each_word_once_in_order() -> None:
    words = re.findall(r"^\| (.+?) \| ", pages.read(pages.DOCS / "reference" / "glossary.md"), flags=re.MULTILINE)[1:]
    words = [word for word in words if word != "---"]
    assert len(words) > 40
    assert words == sorted(set(words), key=str.lower)


class TestLanguages:
    """Chinese mirrors English: structure and numbers are the same, words are not."""

    def test_every_page_has_a_twin_and_no_more(self) -> None:
        assert pages.chinese_pages() == sorted(map(pages.twin, WRITTEN))

    @by_name(WRITTEN)
    def test_headings_blocks_pictures_tables_and_links_agree(self, page: Path) -> None:
        other = pages.twin(page)
        english, chinese = pages.read(page), pages.read(other)
        assert pages.levels(chinese) == pages.levels(english)
        assert pages.blocks(chinese) == pages.blocks(english)
        assert pages.pictures(other) == pages.pictures(page)
        assert pages.tables(chinese) == pages.tables(english)
        assert [rows(chinese), columns(chinese)] == [rows(english), columns(english)]
        assert sorted(pages.links(other)) == sorted(map(in_chinese, pages.links(page)))

    @by_name(pages.chinese_pages())
    def test_a_chinese_page_links_to_chinese_pages(self, page: Path) -> None:
        for file, _ in pages.links(page):
            translated = pages.CHINESE / (pages.ROOT / file).relative_to(pages.DOCS)
            if pages.CHINESE not in (pages.ROOT / file).parents:
                assert not translated.is_file(), f"{file} has a Chinese page"

    @by_name([pages.ROOT / "README.zh.md", *pages.chinese_pages()])
    def test_it_is_chinese(self, page: Path) -> None:
        assert len(re.findall(r"[\u4e00-\u9fff]", pages.read(page))) > 100


def in_chinese(link: tuple[str, str]) -> tuple[str, str]:
    """Where a Chinese page leads instead: to the Chinese twin, if there is one."""
    file = pages.ROOT / link[0]
    return (pages.name_of(pages.twin(file)), link[1]) if file in WRITTEN else link


def rows(text: str) -> list[int]:
    """The number of rows of each table of a page."""
    return [table.count("\n") + 1 for table in markdown_tables(text)]


def columns(text: str) -> list[int]:
    return [table.splitlines()[0].count(" | ") + 1 for table in markdown_tables(text)]


def markdown_tables(text: str) -> list[str]:
    return re.findall(r"(?:^\|.*\|$\n?)+", pages.prose(text), flags=re.MULTILINE)
