"""``hnm mine``: predictions and ground truth from files, the worst mistakes, weights and a report into a folder."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ..columns import Detections
from ..io import read_coco, read_yolo
from ..io.classes import in_classes
from ..io.coco import read_coco_truth
from ..io.ledger import read_reviews, unknown_reviews
from ..io.progress import Progress, silent
from ..io.samples import SampleFolder, save_samples
from ..io.saved import load_mining, save_mining
from ..pages import report_pages
from ..pipeline import mine
from ..result import MiningResult
from ..reviews import Reviews
from ..settings import MiningSettings
from ..strategies import strategy_names
from . import DONE, Command
from .progress import add_progress_flag, progress_of

KNOBS = tuple(knob for knob in fields(MiningSettings) if knob.name != "max_per_group")
"""The settings that are flags: files do not say which images are a group."""


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
    parser.add_argument(
        "--save-samples",
        "--save-hard-negatives",
        action="store_true",
        help="keep the hard images in OUTPUT/samples, with pictures of what is wrong and a page that shows them; "
        "goes on where an interrupted run stopped",
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="of COCO data: where its file names start (default: beside the json)"
    )
    parser.add_argument(
        "--class-map", type=_class_names, default={}, metavar="CLASS=CLASS,...", help="prediction class to truth class"
    )
    parser.add_argument("--classes", nargs="+", metavar="CLASS", help="mine these classes alone")
    parser.add_argument(
        "--reviews",
        type=Path,
        metavar="JSON",
        help="what people said of mistakes, as the App's ledger exports it: it takes the place of suspicion there and "
        "moves that of their like",
    )
    parser.add_argument(
        "--appearance",
        action="store_true",
        help="open the images: a false positive that looks like what is labelled is suspected more, others less; "
        "needs scikit-image",
    )
    add_progress_flag(parser)
    add_setting_flags(parser)


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for every setting that :func:`settings_of` reads."""
    for knob in KNOBS:
        _add_flag(parser, knob)


def settings_of(args: argparse.Namespace) -> MiningSettings:
    """The engine's settings as the flags have them."""
    return MiningSettings(**{knob.name: getattr(args, knob.name) for knob in KNOBS})


def run(args: argparse.Namespace) -> int:
    """Mine, write, print."""
    progress = progress_of(args)
    tables = read_tables(args.data, args.split, args.predictions, progress)
    predictions, truth = in_classes(*tables, args.class_map, args.classes)
    settings = settings_of(args)
    reviews = None if args.reviews is None else _reviews(args.reviews, args.data, truth)
    result = mine(predictions, truth, settings, reviews=reviews)
    if args.appearance:
        from ..appearance import appearance_evidence  # only who asks waits for scikit-image

        said = appearance_evidence(result, lambda name: _root(args) / name)
        result = mine(predictions, truth, settings, reviews=reviews, evidence={"appearance": said})
    locate = _locator(args, result) if args.save_samples else Path
    source = {"data": str(args.data.absolute()), "split": args.split, "predictions": str(args.predictions.absolute())}
    notes: list[str] = []
    if args.save_samples and _holds(args.output, result, source):
        folder = args.output.resolve()
    else:
        pages, notes = report_pages(result, f"{args.data.parent.name or args.data.stem} {args.split}")
        folder = save_mining(args.output, result, source, pages)
    if args.save_samples:
        save_samples(result, SampleFolder(folder / "samples"), locate, progress)
    if args.json:
        print(json.dumps({"output": str(folder), **result.report.as_dict()}))
        return DONE
    print(result.report)
    print(f"\n{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    print(*notes, sep="\n", end="\n" if notes else "")
    return DONE


def _locator(args: argparse.Namespace, result: MiningResult) -> Callable[[str], Path]:
    """From an image's key to its file; all that will be asked for are there."""
    coco = args.data.suffix.lower() == ".json"
    if args.images is not None and not coco:
        raise ValueError(f"--images is for COCO json; the YOLO data set {args.data} knows where its images are")
    root = _root(args)
    hard = [root / name for name, count in zip(result.truth.images, result.hard_counts, strict=True) if count]
    gone = [path for path in hard if not path.is_file()]
    if gone:
        where = "; where do the file names start? --images DIR" if coco else ""
        raise FileNotFoundError(f"{len(gone)} of {len(hard)} hard images are not there, first {gone[0]}{where}")
    return lambda name: root / name


def _root(args: argparse.Namespace) -> Path:
    """Where the names of the images start."""
    return args.images or args.data.parent if args.data.suffix.lower() == ".json" else Path()


def _reviews(path: Path, data: Path, truth: Detections) -> Reviews:
    """The reviews in the names and the unit of the tables."""
    sizes = read_coco_truth(data)[1] if data.suffix.lower() == ".json" else None
    reviews = read_reviews(path, truth.images, sizes)
    lost = unknown_reviews(reviews, truth.images)
    if lost:
        warnings.warn(f"{path}: {lost} of {len(reviews)} reviews are of images that are not mined", stacklevel=2)
    return reviews


def _holds(folder: Path, result: MiningResult, source: Mapping[str, str]) -> bool:
    """Whether a folder holds this very mining already, so that saving its samples can go on."""
    try:
        before, of = load_mining(folder)
    except (FileNotFoundError, ValueError):
        return False
    return of == source and before.settings == result.settings and before.report == result.report


def read_tables(
    data: Path, split: str, predictions: Path, progress: Progress = silent
) -> tuple[Detections, Detections]:
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
    return read_yolo(data, split, predictions=predictions, progress=progress)


def _add_flag(parser: argparse.ArgumentParser, knob: Any) -> None:
    """One flag from a setting's own default, range and help."""
    default = knob.default if knob.default is not MISSING else knob.default_factory()
    facts = knob.metadata
    text = facts["help"] + (f", {facts['low']:g} to {facts['high']:g}" if "low" in facts else "")
    flag = f"--{knob.name.replace('_', '-')}"
    if knob.name == "strategy":
        text += f": {', '.join(strategy_names())}, or module:attribute of your own"
        parser.add_argument(flag, "--mining-strategy", default=default, metavar="NAME", help=text)
    elif "choices" in facts:
        parser.add_argument(flag, nargs="+", choices=facts["choices"], default=list(default), help=text)
    elif isinstance(default, Mapping):
        parser.add_argument(flag, type=_class_values, default={}, metavar="CLASS=VALUE,...", help=text)
    elif isinstance(default, bool):
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, help=text)
    else:
        parser.add_argument(flag, type=type(default), default=default, help=text)


def _class_names(text: str) -> dict[str, str]:
    """``person=pedestrian,van=car`` as a mapping."""
    pairs = [part.partition("=") for part in filter(None, text.split(","))]
    wrong = next(("".join(pair) for pair in pairs if not all(pair)), None)
    if wrong is not None:
        raise argparse.ArgumentTypeError(f"expected CLASS=CLASS,... such as van=car, got {wrong!r}")
    return {name.strip(): other.strip() for name, _, other in pairs}


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
