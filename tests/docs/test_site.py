"""The documentation site: built without a warning, it loads nothing from other machines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the documentation's tools are not installed")

from tools.site import _expanded

ROOT = Path(__file__).parents[2]
LOADED = re.compile(
    r"<(?:script|img|iframe|source)[^>]+src=[\"']?(?:https?:)?//[^\"' >]+|<link[^>]+href=[\"']?(?:https?:)?//[^\"' >]+"
)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_loads_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")
    }
    assert {"index.html", "reference/api.html", "reference/cli.html"} <= set(pages)
    assert {name: LOADED.findall(page) for name, page in pages.items() if LOADED.search(page)} == {}
    assert 'id="hnm_core.mine"' in pages["reference/api.html"]
    assert [name for name, page in pages.items() if re.search(r":(?:func|class|meth|data):", page)] == []


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="https://fonts.example/css">',
        "<img alt=x src=//example/x.png>",
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(html: str) -> None:
    assert LOADED.search(html)


def test_links_and_files_of_our_own_are_no_such_thing() -> None:
    assert not LOADED.search('<a href="https://github.com/x"><script src="assets/x.js"></script><link href="a.css">')


def test_a_folder_stands_for_its_pages(tmp_path: Path) -> None:
    (tmp_path / "how-to").mkdir()
    for name in ("index.md", "how-to/b.md", "how-to/a.md", "how-to/picture.png"):
        (tmp_path / name).touch()
    nav = ["index.md", {"How-to": "how-to/"}, {"Gone": "gone/"}, {"More": ["index.md", {"Again": "how-to/"}]}]
    pages = ["how-to/a.md", "how-to/b.md"]
    assert _expanded(nav, tmp_path) == ["index.md", {"How-to": pages}, {"More": ["index.md", {"Again": pages}]}]
