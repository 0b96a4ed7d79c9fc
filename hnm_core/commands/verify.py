"""``hnm verify-export``: read an export back as its trainer will, and say what that one draws and what it drops."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..verify import TRAINERS, verify_export
from . import DONE, FOUND_WRONG, Command
from .progress import add_progress_flag, progress_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The export, and who will read it."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="what an export wrote")
    parser.add_argument("--trainer", required=True, choices=TRAINERS, help="who will read it")
    add_progress_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Verify and print."""
    found = verify_export(args.directory, args.trainer, progress=progress_of(args))
    print(json.dumps(found.as_dict()) if args.json else found)
    return DONE if found.ok else FOUND_WRONG


command = Command(
    help="read an export back as a trainer would, and compare what it draws with what was promised",
    run=run,
    add_arguments=add_arguments,
    description="Exit code 0: the trainer gets what weights.csv promises; 1: it does not; 2: called wrong.",
)
