"""``python -m benchmarks``: the tables that the README quotes."""

from __future__ import annotations

import argparse
import importlib

TABLES = ("engine", "scaling")
"""Modules beside this one, each with a ``table() -> list[str]`` of Markdown lines."""


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--what", nargs="+", choices=TABLES, default=TABLES, help="which tables (default: all)")
    for name in parser.parse_args().what:
        print(f"### {name}\n", flush=True)
        print("\n".join(importlib.import_module(f"benchmarks.{name}").table()), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
