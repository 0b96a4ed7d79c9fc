"""``hnm mine --engine ray``: shards that may lie anywhere, mined by Ray into a folder that may, too."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from ..io.shard_heads import open_shards
from ..io.shard_walk import names_and_sizes
from ..labels.reviews import Reviews
from ..settings import MiningSettings
from ..settings.walking import PROCESSES
from . import DONE
from .sharded import reviews_of

__all__ = ["mine_on_ray", "path_or_address", "refuse_addresses"]

KEPT = ".kept"
"""End of the folder beside the output that holds what is kept of the shards until mining ends."""

NOT_ON_A_CLUSTER = (
    *("predictions", "prediction_names", "images", "class_map", "classes"),
    *("save_samples", "appearance", "views", "second_predictions"),
)
"""Flags that need all boxes, or pictures, on one machine; or say how other files than shards are read."""


def path_or_address(text: str) -> Path | str:
    """Return an address, such as ``s3://bucket/shards``, as it is, and anything else as a path."""
    return text if "://" in text else Path(text)


def refuse_addresses(args: argparse.Namespace) -> None:
    """Refuse addresses where only paths are read.

    Raises:
        ValueError: naming the flag.
    """
    for flag in ("data", "output"):
        place = getattr(args, flag)
        if isinstance(place, str):
            raise ValueError(f"--{flag} {place} is an address, which only --engine ray reads; give a path")


def mine_on_ray(args: argparse.Namespace, settings: MiningSettings) -> int:
    """Mine shards with Ray, and print what was found.

    Raises:
        ConnectionError: if Ray cannot be started or reached, or gives up.
        FileExistsError: if the output holds anything but what an interrupted mining of these shards has left.
        FileNotFoundError: if there are no shards, or one is missing.
        ImportError: if Ray or pyarrow is missing.
        ValueError: if a flag is not for Ray, or shards do not fit.
    """
    from ..engines.arrow_folder import ArrowFolder
    from ..io.cluster import mine_to_folder, ray_engine

    for flag in NOT_ON_A_CLUSTER:
        if getattr(args, flag):
            raise ValueError(
                f"--{flag.replace('_', '-')} is not for --engine ray, which mines shards alone, as `hnm convert` "
                f"writes them: leave it out, or mine with --engine local"
            )
    if args.split != "train":
        raise ValueError("--split is not for --engine ray: shards have no splits; convert each split by itself")
    reviews = _reviews(args)
    output = str(args.output).rstrip("/")
    processes = PROCESSES.check(args.processes)
    if processes == PROCESSES.default and os.environ.get("RAY_ADDRESS"):
        processes = None  # a cluster has its own
    with ray_engine(args.data, folder=f"{output}{KEPT}", processes=processes) as engine:
        report = mine_to_folder(engine, output, settings, reviews=reviews)
    target = ArrowFolder.of(output)
    if args.json:
        print(json.dumps({"output": target.uri, **report.as_dict()}))
        return DONE
    print(report)
    names = target.names()
    few = [*names[:1], f"… ({len(names) - 2} more)", *names[-1:]] if len(names) > 8 else names
    print(f"\n{target.uri}: {', '.join(few)}")
    return DONE


def _reviews(args: argparse.Namespace) -> Reviews | None:
    if args.reviews is None:
        return None
    if isinstance(args.data, str):
        raise ValueError(
            f"--reviews needs the names of the images, which --engine ray reads from a path alone, not from {args.data}"
        )
    return reviews_of(Path(args.reviews), *names_and_sizes(open_shards(args.data)))
