"""Hook of the documentation site, called by MkDocs (see ``mkdocs.yml``): fills in the navigation."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Replace every folder of ``nav`` by its pages, sorted by file name: no page is forgotten."""
    config.nav = _expanded(config.nav, Path(config.docs_dir))
    return config


def _expanded(entries: list[Any], docs: Path) -> list[Any]:
    """Entries of ``nav`` with pages instead of folders; a folder without pages is left out."""
    expanded: list[Any] = []
    for entry in entries:
        if isinstance(entry, str):
            expanded += _pages(entry, docs)
            continue
        (title, inside), *_ = entry.items()
        pages = _pages(inside, docs) if isinstance(inside, str) else _expanded(inside, docs)
        if isinstance(inside, str) and not inside.endswith("/"):
            expanded.append({title: inside})
        elif pages:
            expanded.append({title: pages})
    return expanded


def _pages(entry: str, docs: Path) -> list[Any]:
    if entry.endswith("/"):
        return [path.relative_to(docs).as_posix() for path in sorted((docs / entry).glob("*.md"))]
    return [entry] if (docs / entry).is_file() else []
