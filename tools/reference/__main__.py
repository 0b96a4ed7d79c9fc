"""``python -m tools.reference``: write the generated pages; with ``--check`` only say which are out of date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import cli, operators, settings

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES = {"cli.md": cli.page, "operators.md": operators.page, "settings.md": settings.page}


def main(arguments: list[str] | None = None) -> int:
    """Write or check every page; return 1 if one is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is out of date")
    check = parser.parse_args(arguments).check
    changed = [name for name, page in PAGES.items() if not _is(FOLDER / name, page())]
    for name in changed:
        if not check:
            (FOLDER / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"docs/reference/{name} {'is out of date: run make docs-reference' if check else 'written'}")
    return int(check and bool(changed))


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
