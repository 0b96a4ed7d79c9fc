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

from . import DONE, Command
from .mine import add_setting_flags, settings_of

OWN = ("epochs", "imgsz", "batch", "device", "project", "name")
"""Ultralytics' settings that have a flag of their own."""

ELSEWHERE = {name: f"--{name}" for name in ("data", "model", "resume", *OWN)}
"""What ``--set`` does not take, and the flag to give instead."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, when to mine, and a flag for every setting of the engine."""
    parser.add_argument(
        "--data", type=Path, required=True, help="data.yaml of a YOLO data set; its train split is mined"
    )
    parser.add_argument("--model", required=True, help="checkpoint (.pt) to start from, or .yaml to start from nothing")
    parser.add_argument("--epochs", type=int, default=100, help="passes over the training images")
    parser.add_argument(
        "--mine-every", type=int, default=10, metavar="EPOCHS", help="from round to round; 0: one round"
    )
    parser.add_argument(
        "--warmup", type=int, default=3, metavar="EPOCHS", help="before the first round; 0 for a trained model"
    )
    parser.add_argument(
        "--save-hard-negatives",
        "--save-samples",
        action="store_true",
        help="keep the hard images of every round, with pictures of what is wrong and a page that shows them",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="CSV", help="weights.csv of `hnm mine` or of an export, until the first round"
    )
    parser.add_argument(
        "--reviews", type=Path, metavar="JSON", help="what people said of mistakes, as the review ledger is saved"
    )
    parser.add_argument(
        "--negative-gain",
        type=float,
        default=1.0,
        metavar="TIMES",
        help="how many times background taken for an object counts in the loss; the labels must be whole",
    )
    parser.add_argument("--imgsz", type=int, default=640, help="side of the images in training, pixels")
    parser.add_argument("--batch", type=int, default=16, help="images per batch")
    parser.add_argument(
        "--device", default=None, help="cpu, 0, or 0,1 for several GPUs; as it is, a GPU if there is one"
    )
    parser.add_argument("--project", default="runs/train", help="folder of runs")
    parser.add_argument("--name", default="hnm", help="of the run, a folder in PROJECT")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with an interrupted training as it was begun: --model is its weights/last.pt; of all other flags "
        "--device and --set are heard, as far as Ultralytics takes them",
    )
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="more settings of Ultralytics"
    )
    add_setting_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Train and print the rounds."""
    from ..training.plan import TrainingPlan
    from ..training.start import check_options, train

    more = dict(map(_pair, args.set))
    check_options(more)
    plan = TrainingPlan(
        mine_every=args.mine_every,
        warmup=args.warmup,
        settings=settings_of(args),
        save_samples=args.save_hard_negatives,
        weights=str(args.weights) if args.weights else None,
        reviews=str(args.reviews) if args.reviews else None,
        negative_gain=args.negative_gain,
    )
    with _stdout_for_the_result() if args.json else nullcontext():
        if args.resume:
            other = {"device": args.device} if args.device is not None else {}
            summary = train(args.data, args.model, resume=True, **other, **more)
        else:
            options = {name: getattr(args, name) for name in OWN} | {"seed": args.seed, **more}
            summary = train(args.data, args.model, plan, **options)
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
    """``mosaic=0.5`` as a name and a value: a number, True, None or a list where it reads as one."""
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
    help="train a YOLO on a data set, drawing hard images more often and mining anew as it learns",
    run=run,
    add_arguments=add_arguments,
    description="Rounds of mining land in PROJECT/NAME/hard_negatives/round_NNN/.",
)
