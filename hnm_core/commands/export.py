"""``hnm export``: the data of a mining, hard images more often, in the layout of whoever trains on them."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..export import ExportSettings
from ..export.runs import export_run
from . import DONE, Command
from .progress import add_progress_flag, progress_of

KNOBS = fields(ExportSettings)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The mining, its data, and a flag for every setting."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="folder that `hnm mine` wrote")
    parser.add_argument("--data", type=Path, help="data.yaml or COCO json (default: what RUN mined)")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="of COCO data: where its file names start (default: beside the json)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="new folder for the export")
    add_progress_flag(parser)
    for knob in KNOBS:
        _add_flag(parser, knob)


def _add_flag(parser: argparse.ArgumentParser, knob: Any) -> None:
    facts, flag = knob.metadata, f"--{knob.name.replace('_', '-')}"
    if "choices" in facts:
        meanings = "; ".join(f"{name}: {meaning}" for name, meaning in facts["choices"].items())
        text = f"{facts['help']}. {meanings}"
        parser.add_argument(flag, choices=list(facts["choices"]), default=knob.default, help=text)
    elif isinstance(knob.default, bool):
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=knob.default, help=facts["help"])
    else:
        text = f"{facts['help']}, {facts['low']:g} to {facts['high']:g}"
        parser.add_argument(flag, type=float, default=knob.default, help=text)


def run(args: argparse.Namespace) -> int:
    """Export, verify, print."""
    done = export_run(
        args.folder,
        args.output,
        data=args.data,
        images=args.images,
        settings=ExportSettings(**{knob.name: getattr(args, knob.name) for knob in KNOBS}),
        progress=progress_of(args),
    )
    print(json.dumps(done.as_dict()) if args.json else done)
    return DONE


command = Command(
    help="write the data of a mining, hard images more often, in the layout of a trainer",
    run=run,
    add_arguments=add_arguments,
    description="What is written is read back as the trainer reads it; if that is not as promised, nothing is left.",
)
