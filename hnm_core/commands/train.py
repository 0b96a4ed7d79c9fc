"""``hnm train``: train with Ultralytics, drawing images by weight and mining the train split as it goes."""

from __future__ import annotations

import argparse
import ast
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ..settings import options
from ..strategies import strategy_names
from ..strategies.learnability import LEARNABILITY
from ..training.plan import TrainerSettings, TrainingPlan
from . import DONE, Command
from .flags import add_flags, group_of, values_of
from .mine import add_setting_flags, settings_of

OWN = (*(each.name for each in options(TrainerSettings)), "project", "name")
"""Ultralytics' settings that have a flag of their own."""

ELSEWHERE = {name: f"--{name}" for name in ("data", "model", "resume", *OWN)}
"""What ``--set`` does not take, and the flag to give instead."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what to train, when to mine, and a flag for every setting of the engine."""
    files = group_of(parser, "files")
    files.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FILE",
        help="Data set: data.yaml (YOLO); its train split is mined",
    )
    files.add_argument(
        "--model", required=True, metavar="FILE", help="Checkpoint (.pt) to start from, or .yaml for random weights"
    )
    files.add_argument("--project", default="runs/train", metavar="DIR", help="Folder of all runs")
    files.add_argument("--name", default="hnm", help="Name of this run, a folder in PROJECT")
    add_flags(parser, TrainerSettings)
    training = group_of(parser, "training")
    training.add_argument(
        "--resume",
        action="store_true",
        help="Continue an interrupted training: --model is its weights/last.pt. Other flags are ignored, except "
        "--device and --set",
    )
    training.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="Further settings of Ultralytics, such as mosaic=0.5",
    )
    add_flags(parser, TrainingPlan, notes={"save_samples": ", of every round"})
    add_setting_flags(parser, [name for name in strategy_names() if name != LEARNABILITY])


def run(args: argparse.Namespace) -> int:
    """Train and print the rounds."""
    from ..training.start import check_options, train

    more = dict(map(_pair, args.set))
    check_options(more)
    plan = TrainingPlan(settings=settings_of(args), **values_of(TrainingPlan, args))
    with _stdout_for_the_result() if args.json else nullcontext():
        if args.resume:
            other = {"device": args.device} if args.device is not None else {}
            summary = train(args.data, args.model, resume=True, **other, **more)
        else:
            trainer = TrainerSettings(**values_of(TrainerSettings, args)).as_dict()
            place = {"project": args.project, "name": args.name, "seed": args.seed}
            summary = train(args.data, args.model, plan, **trainer, **place, **more)
    print(json.dumps(summary.as_dict()) if args.json else summary)
    return DONE


@contextmanager
def _stdout_for_the_result() -> Iterator[None]:
    """Let all that is said on the way go to stderr, whoever holds stdout: Ultralytics' log, other processes."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _pair(text: str) -> tuple[str, Any]:
    """Split ``mosaic=0.5`` into a name and a value: a number, True, None or a list where it reads as one."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"--set expects KEY=VALUE such as mosaic=0.5, got {text!r}")
    if name in ELSEWHERE:
        raise ValueError(f"--set does not take {name!r}: give {ELSEWHERE[name]}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, {"true": True, "false": False, "none": None}.get(value.lower(), value)


command = Command(
    help="train a YOLO model, drawing hard images more often and mining again as it learns",
    run=run,
    add_arguments=add_arguments,
    description="Train a YOLO model with Ultralytics, drawing hard images more often and mining the train split again "
    "as the model learns. Rounds of mining are written to PROJECT/NAME/hard_negatives/round_NNN/.",
    example="hnm train --data data.yaml --model yolo11n.pt --epochs 50 --mine-every 10 --warmup 3",
)
