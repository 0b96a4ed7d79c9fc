"""Markdown pages as the tests read them: blocks of code, headings, links, pictures, included tables."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CHINESE = DOCS / "zh"
TABLES = DOCS / "tables"

ENGLISH_ONLY = ("api", "cli", "operators", "settings")
"""Pages of ``docs/reference/`` that are made from the code, in one language."""


class Block(NamedTuple):
    """A block of code and its language."""

    language: str
    text: str


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def english_pages() -> list[Path]:
    """Every page of the site in English, the tables left out: they are parts of pages."""
    return sorted(page for page in DOCS.rglob("*.md") if not {CHINESE, TABLES} & {*page.parents})


def chinese_pages() -> list[Path]:
    return sorted(CHINESE.rglob("*.md"))


def written_pages() -> list[Path]:
    """The English pages that people wrote, and that have a Chinese twin."""
    return [page for page in english_pages() if not (page.parent.name == "reference" and page.stem in ENGLISH_ONLY)]


def twin(page: Path) -> Path:
    """The Chinese page of an English one."""
    return CHINESE / page.relative_to(DOCS)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(text: str, *languages: str) -> list[Block]:
    """The blocks of code in their order, of some languages or of all."""
    found = [Block(*match) for match in re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)]
    return [block for block in found if not languages or block.language in languages]


def prose(text: str) -> str:
    """The text without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ .+$", prose(text), flags=re.MULTILINE)


def levels(text: str) -> list[int]:
    return [len(heading.partition(" ")[0]) for heading in headings(text)]


def anchors(text: str) -> set[str]:
    """The ids of the headings: those given as ``{#id}``, else as Python-Markdown makes them."""
    found = set()
    for heading in headings(text):
        given = re.search(r"\{#([\w-]+)\}$", heading)
        plain = re.sub(r"[^\w\s-]", "", re.sub(r"[`*]", "", heading.partition(" ")[2]), flags=re.ASCII).strip().lower()
        found.add(given[1] if given else re.sub(r"[\s-]+", "-", plain))
    return found


def pictures(page: Path) -> list[str]:
    """The pictures of a page, by their place in the checkout."""
    return [place(page, link) for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", prose(read(page)))]


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Links to files of the checkout: their place, and the anchor or an empty text."""
    for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", prose(read(page))):
        if not re.match(r"[a-z]+:", link):
            file, _, anchor = link.partition("#")
            yield (place(page, file) if file else name_of(page)), anchor


def place(page: Path, link: str) -> str:
    return Path(os.path.normpath(page.parent / link)).relative_to(ROOT).as_posix()


def tables(text: str) -> list[str]:
    """The files that a page includes."""
    return re.findall(r'^--8<-- "([^"]+)"$', text, flags=re.MULTILINE)


def commands(text: str, *languages: str) -> list[str]:
    """The command lines of the shell blocks, without comments."""
    wanted = languages or ("bash", "console")
    lines = (line.partition(" #")[0].strip() for block in blocks(text, *wanted) for line in block.text.splitlines())
    return [line for line in lines if line]


def words(command: str) -> list[str]:
    return shlex.split(command)
