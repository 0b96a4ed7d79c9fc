"""``hnm mine``: predictions and ground truth from files, the worst mistakes, weights and a report into a folder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ..columns import Detections
from ..io import read_coco, read_yolo
from ..io.saved import save_mining
from ..pages import as_html, as_markdown
from ..pipeline import mine
from ..settings import MiningSettings
from ..strategies import strategy_names
from . import DONE, Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Files, and a flag for every setting of the engine."""
    parser.add_argument(
        "--data", type=Path, required=True, help="data.yaml of a YOLO data set, or a COCO annotation json"
    )
    parser.add_argument("--split", default="train", help="of data.yaml: train, val or test")
    parser.add_argument(
        "--predictions", type=Path, required=True, help="folder of YOLO txt files with confidence, or COCO results json"
    )
    parser.add_argument("--output", type=Path, required=True, help="new folder for report, weights and hard negatives")
    for knob in fields(MiningSettings):
        _add_flag(parser, knob)


def run(args: argparse.Namespace) -> int:
    """Mine, write, print."""
    predictions, truth = read_tables(args.data, args.split, args.predictions)
    settings = MiningSettings(**{knob.name: getattr(args, knob.name) for knob in fields(MiningSettings)})
    result = mine(predictions, truth, settings)
    pages = {"report.md": as_markdown(result.report), "report.txt": f"{result.report}\n"}
    title = f"{args.data.parent.name or args.data.stem} {args.split}"
    try:
        pages["report.html"] = as_html(result, title=title)
        left_out = ""
    except ImportError:
        left_out = "report.html is left out: its charts need matplotlib (pip install matplotlib)"
    source = {name: str(getattr(args, name)) for name in ("data", "split", "predictions")}
    folder = save_mining(args.output, result, source, pages)
    if args.json:
        print(json.dumps({"output": str(folder), **result.report.as_dict()}))
        return DONE
    print(result.report)
    print(f"\n{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    if left_out:
        print(left_out)
    return DONE


def read_tables(data: Path, split: str, predictions: Path) -> tuple[Detections, Detections]:
    """Both tables, by what kind of file they are in.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: if the two kinds do not go together.
    """
    for path in (data, predictions):
        if not path.exists():
            raise FileNotFoundError(f"there is no {path}")
    if data.suffix.lower() == ".json":
        if predictions.is_dir():
            raise ValueError(
                f"{data} is COCO json, so the predictions must be a COCO results json, not the folder {predictions}"
            )
        return read_coco(data, predictions)
    if not predictions.is_dir():
        raise ValueError(
            f"{data} is a YOLO data set, so the predictions must be a folder of txt files, not {predictions}"
        )
    return read_yolo(data, split, predictions=predictions)


def _add_flag(parser: argparse.ArgumentParser, knob: Any) -> None:
    """One flag from a setting's own default, range and help."""
    default = knob.default if knob.default is not MISSING else knob.default_factory()
    facts = knob.metadata
    text = facts["help"] + (f", {facts['low']:g} to {facts['high']:g}" if "low" in facts else "")
    flag = f"--{knob.name.replace('_', '-')}"
    if knob.name == "strategy":
        parser.add_argument(flag, "--mining-strategy", choices=strategy_names(), default=default, help=text)
    elif "choices" in facts:
        parser.add_argument(flag, nargs="+", choices=facts["choices"], default=list(default), help=text)
    elif isinstance(default, Mapping):
        parser.add_argument(flag, type=_class_values, default={}, metavar="CLASS=VALUE,...", help=text)
    elif isinstance(default, bool):
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, help=text)
    else:
        parser.add_argument(flag, type=type(default), default=default, help=text)


def _class_values(text: str) -> dict[str, float]:
    """``car=0.7,traffic light=0.4`` as a mapping; the last ``=`` separates, so that names may hold one."""
    values = {}
    for part in filter(None, text.split(",")):
        name, separator, value = part.rpartition("=")
        try:
            values[name.strip()] = float(value) if separator else float("nan")
        except ValueError:
            separator = ""
        if not separator:
            raise argparse.ArgumentTypeError(f"expected CLASS=VALUE,... such as car=0.7, got {part!r}")
    return values


command = Command(
    help="find the worst mistakes in files of predictions, and weigh the images by them",
    run=run,
    add_arguments=add_arguments,
)
