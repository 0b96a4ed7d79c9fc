"""``python -m benchmarks``: the tables that the README quotes."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

TABLES = ("suspicion", "reliability", "retraining", "engine", "scaling", "realtime", "operator", "app")
"""Modules beside this one, each with a ``table() -> list[str]`` of Markdown lines."""


READMES = [Path(__file__).parents[1] / name for name in ("README.md", "README.zh.md")]


def main() -> None:
    """Print the tables asked for, and put them into the READMEs if that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--what", nargs="+", choices=TABLES, default=TABLES, help="which tables (default: all)")
    parser.add_argument("--write", action="store_true", help="put the tables into README.md and README.zh.md")
    args = parser.parse_args()
    for name in args.what:
        lines = importlib.import_module(f"benchmarks.{name}").table()
        print("\n".join([f"### {name}", "", *lines]), end="\n\n", flush=True)
        for readme in READMES if args.write else ():
            readme.write_text(replaced(readme.read_text(encoding="utf-8"), name, lines), encoding="utf-8")


def replaced(text: str, name: str, lines: list[str]) -> str:
    """The text with other lines between the comments that mark a table's place.

    Raises:
        ValueError: if the text has no such place.
    """
    begin, end = f"<!-- benchmark: {name} -->\n", f"<!-- end: {name} -->"
    if begin not in text or end not in text:
        raise ValueError(f"no place for table {name!r}: expected {begin.strip()} and {end}")
    before, _, rest = text.partition(begin)
    return "".join([before, begin, "\n".join(lines), "\n", end, rest.partition(end)[2]])


if __name__ == "__main__":
    main()
