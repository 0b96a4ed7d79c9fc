"""``hnm verify-export``: read an export back as its trainer will, and say what that one draws and what it drops."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..verify import TRAINERS, verify_export
from . import DONE, FOUND_WRONG, Command
from .flags import group_of
from .progress import add_progress_flag, progress_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the export, and who will read it."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="Folder that `hnm export` or the App wrote")
    group_of(parser, "trainer").add_argument(
        "--trainer", required=True, choices=TRAINERS, help="Trainer that will read it"
    )
    add_progress_flag(group_of(parser, "output"))


def run(args: argparse.Namespace) -> int:
    """Verify and print."""
    found = verify_export(args.directory, args.trainer, progress=progress_of(args))
    print(json.dumps(found.as_dict()) if args.json else found)
    return DONE if found.ok else FOUND_WRONG


command = Command(
    help="check that a trainer reads an export as weights.csv promises",
    run=run,
    add_arguments=add_arguments,
    description="Read an export back as the trainer does, and compare the images that it draws with weights.csv. "
    "Exit codes: 0 as promised; 1 not as promised; 2 wrong arguments or input.",
    example="hnm verify-export weighted --trainer yolov5",
)
