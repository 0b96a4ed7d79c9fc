"""``python -m benchmarks``: measure the tables that the documents include."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

TABLES = (
    "suspicion",
    "evidence",
    "reliability",
    "review",
    "retraining",
    "shares",
    "engine",
    "scaling",
    "yolo",
    "million",
    "cluster",
    "realtime",
    "operator",
    "incremental",
    "app",
    "trust",
    "trainers",
    "verifier",
    "live",
    "loop",
    "before",
)
"""Modules beside this one, each with a ``table() -> list[str]`` of Markdown lines."""

FOLDER = Path(__file__).parents[1] / "docs" / "tables"
"""One file per table. Pages of every language include it, so a number is written once."""


GIVEN: dict[str, tuple[tuple[str, ...], str]] = {
    "data": (("shares", "evidence", "review", "verifier"), "sets"),
    "before": (("before", "scaling"), "before"),
    "kills": (("trust",), "sizes"),
    "strikes": (("trust",), "strikes"),
    "clips": (("live",), "clips"),
}
"""Which tables a flag is for, and the parameter that it becomes."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables asked for, and write them for the documents if that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--what", nargs="+", choices=TABLES, help="tables (default: all; before with --before alone)")
    parser.add_argument("--data", type=Path, help="folder of public sets, for shares, evidence, review and verifier")
    parser.add_argument(
        "--before", type=Path, metavar="TREE", help="for before and scaling: an older tree with its environment"
    )
    parser.add_argument("--kills", nargs="+", type=kills, help="for trust: SAMPLES=N, at most N kills of each operator")
    parser.add_argument("--strikes", type=int, help="for trust: stops of each operator by each signal (default: 10)")
    parser.add_argument("--clips", type=int, help="for live: test clips of each kind of motion (default: 80)")
    parser.add_argument("--write", action="store_true", help="write them to docs/tables/, which the pages include")
    args = parser.parse_args(arguments)
    if args.kills:
        args.kills = dict(args.kills)
    for name in args.what or [name for name in TABLES if name != "before" or args.before]:
        if name == "before" and args.before is None:
            parser.error("before needs --before TREE, a tree of an older commit in which `make install` ran")
        given = {key: getattr(args, flag) for flag, (names, key) in GIVEN.items() if name in names}
        try:
            lines = importlib.import_module(f"benchmarks.{name}").table(**{k: v for k, v in given.items() if v})
        except FileNotFoundError as error:
            parser.error(str(error))
        print("\n".join([f"### {name}", "", *lines]), end="\n\n", flush=True)
        if args.write:
            write_table(FOLDER, name, lines)


def kills(text: str) -> tuple[int, int]:
    """Return the number of samples, and the most kills of an operator with them, from a text such as ``120=6``.

    Raises:
        ValueError: if it is another text; argparse says so.
    """
    samples, _, most = text.partition("=")
    return int(samples), int(most)


def write_table(folder: Path, name: str, lines: list[str]) -> Path:
    """Write a table as ``NAME.md`` and return its path.

    Raises:
        ValueError: if there are no lines: an empty table would leave a hole in every page that includes it.
    """
    if not lines:
        raise ValueError(f"table {name!r} has no lines; its benchmark measured nothing")
    file = folder / f"{name}.md"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


if __name__ == "__main__":
    main()
