"""``hnm mine`` shard by shard: of shards, and of files that have more images than one shard."""

from __future__ import annotations

import argparse
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..engines import mine_shards
from ..io.kept_shards import digests_of, keep_shards
from ..io.mining_folder import SHARDS as FOLDER
from ..io.mining_folder import mined_before, new_mining, write_mining
from ..io.progress import Progress, part_of
from ..io.reviews_file import read_reviews, unknown_reviews
from ..io.shard_heads import ShardFolder, open_shards
from ..io.shard_walk import ShardChange, has_evidence, loaders_of, names_and_sizes, write_changed
from ..io.shards import IMAGES_PER_SHARD, write_shard_files
from ..io.write_aside import unfinished_work
from ..labels.reviews import UNREVIEWED, Reviews
from ..report import MiningReport
from ..reporting.html import report_pages
from ..settings import MiningSettings
from ..strategies.registry import is_own
from .close_ups import close_ups_of
from .engine import engine_of
from .inputs import Inputs, check_shard_flags, source_of_shards

__all__ = [
    *("OpenShards", "are_many", "into_shards", "mine_opened", "mine_shard_folder", "open_input", "reviews_of"),
    *("say_lost", "title_of"),
]


@dataclass(frozen=True)
class OpenShards:
    """Shards that are mined.

    Attributes:
        folder: what they say of themselves.
        source: where the boxes came from, for the record of the mining.
        digests: of the files that the mining keeps, by name.
        root: folder in which the keys of images are paths of pictures; None: the shards say where pictures are.
        notes: sentences on what was read.
        digest: of all that the mining follows from; empty if it need not be known.
    """

    folder: ShardFolder
    source: Mapping[str, str]
    digests: Mapping[str, str]
    root: Path | None = None
    notes: tuple[str, ...] = ()
    digest: str = ""

    @property
    def has_twins(self) -> bool:
        """Return whether the shards know twins, which may lie in several of them."""
        return "twin" in self.folder.names


Done = tuple[Path, MiningReport, list[str]]


def are_many(given: Inputs) -> bool:
    """Return whether there are more images than one shard holds, and shards can be written."""
    return len(given.truth.images) > IMAGES_PER_SHARD and find_spec("pyarrow") is not None


def into_shards(given: Inputs, folder: Path, progress: Progress) -> OpenShards:
    """Write what was read as shards into a new folder, so that memory is free for mining."""
    folder.mkdir()
    write_shard_files(folder, given.content(), images_per_shard=IMAGES_PER_SHARD, progress=part_of(progress, 0, 0.5))
    opened = open_shards(folder)
    return OpenShards(opened, given.source, digests_of(opened), notes=tuple(given.files.notes))


def open_input(args: argparse.Namespace) -> OpenShards:
    """Open the shards that the flags name.

    Raises:
        ValueError: if they are damaged, or flags do not fit them.
    """
    check_shard_flags(args)
    folder = open_shards(args.data)
    return OpenShards(folder, source_of_shards(args, folder.source), {}, args.images)


def mine_shard_folder(
    args: argparse.Namespace, given: OpenShards, settings: MiningSettings, progress: Progress
) -> Done:
    """Mine the shards that the flags name and write; return the folder, the report and sentences on what was done.

    A complete mining of the same is left as it is. One that was interrupted is continued at the shard.
    """
    change = ShardChange.of(given.folder, args.class_map, args.classes or None, settings.neutral)
    if change.drops and has_evidence(given.folder):
        warnings.warn(f"{args.data}: its evidence is left out, because --classes leaves out boxes", stacklevel=2)
    target, digests = args.output.resolve(), digests_of(given.folder)
    asked = _asked(args, settings)
    given = replace(given, digests=digests)
    if is_own(settings.strategy):
        given = replace(given, notes=(f"{settings.strategy} is called shard by shard: it must judge each image alone",))
    else:
        given = replace(given, digest=_digest_of(asked, digests, str(args.images)))
    before = mined_before(target, given.digest) if given.digest else None
    if before is not None:
        return target, before, [f"{target} holds this very mining already: nothing is changed"]
    with unfinished_work(target, _digest_of(asked)) as work, new_mining(args.output) as aside:
        kept = aside / FOLDER
        if change or not args.data.is_dir():
            kept.mkdir()
            write_changed(given.folder, kept, change.apply)
            folder = open_shards(kept)
            shards = replace(given, folder=folder, digests=digests_of(folder))
        elif not args.keep_boxes:
            shards = given
        else:
            shards = replace(given, digests=keep_shards(given.folder, kept, digests))
        keys = [_digest_of(asked, digest) for digest in digests.values()]
        return mine_opened(args, shards, settings, aside, progress, (work, keys) if given.digest else None)


def mine_opened(
    args: argparse.Namespace,
    shards: OpenShards,
    settings: MiningSettings,
    aside: Path,
    progress: Progress,
    work: tuple[Path, list[str]] | None = None,
) -> Done:
    """Mine shards, and write all files but the shards into the folder of a mining that is not complete yet.

    Args:
        args: the flags.
        shards: the shards.
        settings: the settings.
        aside: the folder.
        progress: shows the progress.
        work: a folder for what the engine keeps, and the keys of the shards by which it is used again; None: it is
            kept beside the folder.
    """
    path = None if args.reviews is None else Path(args.reviews)
    reviews: Reviews | None = None
    names: Sequence[str] = ()
    if path is not None:
        names, sizes = names_and_sizes(shards.folder)
        reviews = reviews_of(path, names, sizes)
    here, keep = shards.folder.files[0].parent == aside / FOLDER, args.keep_boxes
    with engine_of(args, loaders_of(shards.folder), *(work or (aside.parent,))) as engine:
        result = mine_shards(engine, settings, reviews=reviews, compared=not keep, progress=progress)
        if path is not None and reviews is not None:
            say_lost(path, reviews, names, result.reviewed_rows)
        close_ups, no_pictures = close_ups_of(result, shards.folder.files[0].parent, args.split, shards.root)
        pages, left_out = report_pages(result, title_of(args), close_ups)
        digests = {} if here and not keep else shards.digests
        write_mining(aside, result, shards.source, pages, digests, digest=shards.digest, keep_boxes=keep)
    if here and not keep:
        shutil.rmtree(aside / FOLDER)
    return args.output.resolve(), result.report, [*shards.notes, *no_pictures, *left_out]


def _asked(args: argparse.Namespace, settings: MiningSettings) -> str:
    """Return a digest of what is asked for, which the answers of a shard depend on, besides the shard."""
    reviews = "" if args.reviews is None else sha256(Path(args.reviews).read_bytes()).hexdigest()
    return _digest_of(settings.as_dict(), args.class_map, args.classes, reviews, args.keep_boxes, __version__)


def _digest_of(*values: Any) -> str:
    return sha256(json.dumps(values).encode()).hexdigest()


def title_of(args: argparse.Namespace) -> str:
    """Return the title of the report."""
    return f"{args.data.parent.name or args.data.stem} {args.split}"


def reviews_of(path: Path, images: Sequence[str], sizes: NDArray[np.float64] | None) -> Reviews:
    """Return the reviews of a file in the names and the unit of the tables; say how many are of other images."""
    reviews = read_reviews(path, images, sizes)
    lost = unknown_reviews(reviews, images)
    if lost:
        warnings.warn(f"{path}: {lost} of {len(reviews)} reviews are of images that are not mined", stacklevel=2)
    return reviews


def say_lost(path: Path, reviews: Reviews, images: Sequence[str], reached: int) -> None:
    """Say how many reviews reach no object of the images that are mined.

    Args:
        path: of the reviews.
        reviews: all of them.
        images: keys of the images that are mined.
        reached: rows that have one.
    """
    there = int(np.isin(np.array(reviews.images, dtype=object), list(images))[reviews.image].sum())
    lost = there - int((reviews.state <= UNREVIEWED).sum()) - reached
    if lost > 0:
        warnings.warn(
            f"{path}: {lost} of {len(reviews)} reviews reach no object: no box of their class and image overlaps them "
            f"(IoU ≥ .5); were they made on other predictions or labels?",
            stacklevel=2,
        )
