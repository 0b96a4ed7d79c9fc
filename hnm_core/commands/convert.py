"""``hnm convert``: predictions and ground truth of any kind into Parquet shards, which are mined many times."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..io.progress import part_of
from ..io.shards import IMAGES_PER_SHARD, write_shards
from ..io.write_aside import check_free
from ..report.lines import how_many
from . import DONE, Command
from .flags import group_of
from .inputs import add_input_flags, read_inputs
from .progress import add_progress_flag, progress_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the files, and how large a shard is."""
    files = add_input_flags(parser)
    files.add_argument("--output", type=Path, required=True, metavar="DIR", help="New folder for the shards")
    output = group_of(parser, "output")
    output.add_argument(
        "--images-per-shard",
        type=int,
        default=IMAGES_PER_SHARD,
        metavar="N",
        help="Images in a shard: the unit of work, of which memory holds few",
    )
    add_progress_flag(output)


def run(args: argparse.Namespace) -> int:
    """Read, write, print."""
    check_free(args.output, "choose another --output")  # before minutes of reading
    progress = progress_of(args)
    given = read_inputs(args, part_of(progress, 0, 0.8))
    folder = write_shards(
        args.output, given.content(), images_per_shard=args.images_per_shard, progress=part_of(progress, 0.8, 1)
    )
    sizes = [path.stat().st_size for path in folder.iterdir()]
    counts = {"images": len(given.truth.images), "predictions": len(given.predictions), "truths": len(given.truth)}
    if args.json:
        done = {"output": str(folder), "shards": len(sizes), **counts, "bytes": sum(sizes)}
        print(json.dumps({**done, "notes": list(given.files.notes)}))
        return DONE
    what = ", ".join(how_many(count, name.removesuffix("s")) for name, count in counts.items())
    print(f"{folder}: {what} in {how_many(len(sizes), 'shard')} of {sum(sizes) / 1e6:,.1f} MB")
    print(*given.files.notes, sep="\n", end="\n" if given.files.notes else "")
    return DONE


command = Command(
    help="write predictions and ground truth as Parquet shards, which are read many times faster",
    run=run,
    add_arguments=add_arguments,
    description="Write predictions and ground truth, from the same files as `hnm mine`, as Parquet shards: a row an "
    "image, an image in one shard. `hnm mine --data SHARDS` finds what it finds in the files themselves.",
    example="hnm convert --data gt.json --predictions dt.json --output shards",
)
