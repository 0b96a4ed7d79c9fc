"""``hnm verifier fit``: learn from a labelled run which detections are errors, to rank those of unlabelled images."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..io.mining_folder import load_mining
from ..io.progress import part_of
from ..io.reviews_file import read_reviews, unknown_reviews
from ..io.truth_files import read_truth_files
from ..io.write_aside import check_file
from ..settings.mining import REVIEWS
from . import DONE, Command
from .flags import IMAGES_OF_RUN, add_flag, group_of
from .progress import add_progress_flag, progress_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the run, its data and the file to write."""
    parser.add_argument("action", choices=["fit"], help="What to do: fit a verifier to a run")
    parser.add_argument("folder", type=Path, metavar="RUN", help="Folder that `hnm mine` wrote")
    files = group_of(parser, "files")
    files.add_argument(
        "--data", type=Path, metavar="PATH", help="Ground truth, to find the images; default: the one that RUN mined"
    )
    files.add_argument("--images", type=Path, metavar="DIR", help=IMAGES_OF_RUN)
    files.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="File for the verifier, such as verifier.npz"
    )
    add_flag(parser, REVIEWS, "; default: those that RUN was mined with")
    add_progress_flag(group_of(parser, "output"))


def run(args: argparse.Namespace) -> int:
    """Fit, write, print."""
    from ..live import Verifier  # only who asks waits for scikit-learn

    progress = progress_of(args)
    check_file(args.output)
    result, source = load_mining(args.folder)
    data, root = args.data or Path(source["data"]), source.get("images")  # a round of a training names no folder
    images = args.images or (Path(root) if root else None)
    files = read_truth_files(data, source["split"], images, part_of(progress, 0, 0.1))
    missing = len(set(result.truth.images) - set(files.table.images))
    if missing:
        raise ValueError(
            f"{missing} of {len(result.truth.images)} images of {args.folder} are not in {data}: is this the data that "
            f"was mined? Give its path with --data"
        )
    place = {name: at for at, name in enumerate(files.table.images)}
    sizes = None if files.sizes is None else files.sizes[[place[name] for name in result.truth.images]]
    reviews = None
    if args.reviews is not None:
        reviews = read_reviews(args.reviews, result.truth.images, sizes)
        lost = unknown_reviews(reviews, result.truth.images)
        if lost:
            raise ValueError(f"{args.reviews}: {lost} of {len(reviews)} reviews are of images that {args.folder} lacks")
    verifier = Verifier.fit(result, files.locate(), sizes=sizes, reviews=reviews, progress=part_of(progress, 0.1, 1))
    path = verifier.save(args.output)
    if args.json:
        print(json.dumps({"output": str(path), "classes": list(verifier.classes), **verifier.quality.as_dict()}))
    else:
        print(f"{verifier}\n\n{path}")
    return DONE


command = Command(
    help="learn from a labelled run which detections are errors",
    run=run,
    add_arguments=add_arguments,
    description="Learn from the true and false positives of a run which detections are errors, to rank those of images "
    "without ground truth. The file holds its own quality, by cross-validation over images, beside lowest confidence.",
    example="hnm verifier fit rounds/1 --output verifier.npz",
)
