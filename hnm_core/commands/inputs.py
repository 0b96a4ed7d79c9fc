"""The flags of ``hnm mine`` and ``hnm convert`` that say what is read, and the reading: one door for both."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..columns import Detections
from ..io.classes import in_classes
from ..io.progress import Progress
from ..io.second_model import read_second
from ..io.shard_reading import read_whole
from ..io.shards import Shard
from ..io.sources import read_sources
from ..io.truth_files import SHARDS, YOLO, TruthFiles, check_output, kind_of, of_shards
from ..settings.mining import CLASS_MAP
from .flags import IMAGES, add_flag, group_of

__all__ = ["Inputs", "add_input_flags", "check_shard_flags", "read_inputs", "second_of", "source_of_shards"]


@dataclass(frozen=True, eq=False)
class Inputs:
    """What the flags name, read.

    Attributes:
        predictions: scored boxes.
        truth: ground truth over the same images and classes.
        files: the ground truth's pictures and sizes.
        source: where the boxes came from: ``data``, ``split``, ``predictions`` and ``images``; of shards what they
            were converted from, and ``shards``, their folder.
        groups: group of every image, which shards may have.
        evidence: evidence by kind, likewise.
        twins: twins, likewise.
        shards: the folder of shards that hold exactly this; None if there is none.
    """

    predictions: Detections
    truth: Detections
    files: TruthFiles
    source: Mapping[str, str]
    groups: Sequence[Any] | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    twins: tuple[Any, Any] | None = None
    shards: Path | None = None

    def content(self) -> Shard:
        """Return what shards hold of it."""
        here = os.getcwd()
        files = [None if file is None else os.path.join(here, file) for file in self.files.files]  # Path is slow
        return Shard(
            *(self.predictions, self.truth, self.groups, self.evidence, self.twins, self.files.sizes, files),
            {name: text for name, text in self.source.items() if name != "shards"},
        )


def add_input_flags(
    parser: argparse.ArgumentParser, place: Callable[[str], Path | str] = Path
) -> argparse._ArgumentGroup:
    """Declare the files of ground truth and predictions, and how their classes are named; return the group of files.

    Args:
        parser: of the command.
        place: what reads ``--data``.
    """
    files = group_of(parser, "files")
    files.add_argument(
        "--data",
        type=place,
        required=True,
        metavar="PATH",
        help="Ground truth: data.yaml (YOLO), annotation json (COCO), a folder of xml (Pascal VOC) or of txt files "
        "(class x0 y0 x1 y1), or csv; or shards of `hnm convert`, which hold both sides",
    )
    files.add_argument("--split", default="train", help="YOLO only: train, val or test")
    files.add_argument(
        "--predictions",
        type=Path,
        metavar="PATH",
        help="Predictions: folder of txt files (YOLO with confidence, or class score x0 y0 x1 y1), results json (COCO, "
        "predictions.json of Ultralytics), or csv; needed unless --data is shards",
    )
    files.add_argument(
        "--prediction-names",
        nargs="+",
        metavar="NAME",
        help="The model's class names by number, or one data.yaml or .pt to take them from, if they differ from --data",
    )
    files.add_argument("--images", type=Path, metavar="DIR", help=IMAGES)
    add_flag(parser, CLASS_MAP)
    return files


def read_inputs(args: argparse.Namespace, progress: Progress) -> Inputs:
    """Read what the flags of :func:`add_input_flags` name.

    Raises:
        ValueError: if files are not valid, or ``--output`` lies where all files are read.
        FileNotFoundError: if a file does not exist.
        ImportError: if a library is missing.
    """
    check_output(args.output, args.data, args.predictions, images=args.images)
    kind = kind_of(args.data)
    if args.images is not None and kind == YOLO:
        raise ValueError(f"leave out --images: the YOLO data set {args.data} knows where its images are")
    if args.images is not None and not args.images.is_dir():
        raise FileNotFoundError(f"there is no folder {args.images} of images (--images)")
    if kind == SHARDS:
        return _of_shards(args, progress)
    if args.predictions is None:
        raise ValueError(f"{args.data} is ground truth alone: give the predictions with --predictions PATH")
    predictions, truth, files = read_sources(
        *(args.data, args.predictions, args.split),
        class_map=args.class_map,
        prediction_names=args.prediction_names,
        images=args.images,
        progress=progress,
    )
    source = {"data": str(args.data.absolute()), "split": args.split, "predictions": str(args.predictions.absolute())}
    source["images"] = str(args.images.absolute()) if args.images else ""
    return Inputs(predictions, truth, files, source)


def _of_shards(args: argparse.Namespace, progress: Progress) -> Inputs:
    check_shard_flags(args)
    shard = read_whole(args.data, progress)
    tables = in_classes(shard.predictions, shard.truth, args.class_map) if args.class_map else None
    predictions, truth = tables or (shard.predictions, shard.truth)
    files = of_shards(shard, args.images)
    whole = args.data if args.data.is_dir() and tables is None else None
    source = source_of_shards(args, shard.source)
    return Inputs(predictions, truth, files, source, shard.groups, shard.evidence, shard.twins, whole)


def second_of(args: argparse.Namespace, given: Inputs, progress: Progress) -> Detections | None:
    """Read what ``--second-predictions`` names, in the classes of what was read; None if it names nothing.

    Raises:
        ValueError: if files are not valid or no box is of these classes, or ``--output`` lies where all files are read.
        FileNotFoundError: if a file does not exist.
    """
    if args.second_predictions is None:
        return None
    check_output(args.output, args.data, args.second_predictions)
    return read_second(
        *(args.second_predictions, args.data, given.files, given.predictions.classes),
        class_map=args.class_map,
        prediction_names=args.prediction_names,
        progress=progress,
    )


def check_shard_flags(args: argparse.Namespace) -> None:
    """Refuse flags that are for other kinds of files than shards.

    Raises:
        ValueError: if one is given, or ``--output`` lies in the shards.
    """
    check_output(args.output, args.data, args.predictions)
    for flag, given in (("predictions", args.predictions), ("prediction-names", args.prediction_names)):
        if given:
            raise ValueError(f"--{flag} is for other kinds of files: the shards {args.data} hold the predictions")
    if args.split != "train":
        raise ValueError(f"{args.data} is {SHARDS}, which has no splits: leave out --split, and convert the other one")


def source_of_shards(args: argparse.Namespace, converted: Mapping[str, str]) -> dict[str, str]:
    """Return where the boxes of shards came from: what they were converted from, and the shards."""
    here = str(args.data.absolute())
    source = {"data": here, "split": "train", "predictions": "", "images": "", **converted, "shards": here}
    return source if args.images is None else {**source, "images": str(args.images.absolute())}
