"""Mine a folder of shards that may lie anywhere, on one machine or a Ray cluster, into a folder that may, too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..engines.arrow_folder import ArrowFolder
from ..engines.ray_cluster import RayCluster
from ..engines.shard import Engine, Shard
from ..engines.sharded import mine_shards
from ..labels.reviews import Reviews
from ..report import MiningReport
from ..settings import MiningSettings
from .mined_parts import check_parts, write_parts
from .parquet import pyarrow_and_parquet
from .shard_heads import AGAIN, SHARED, folder_of, head_of
from .shard_reading import read_shard
from .shards import shard_name

__all__ = ["ShardFile", "mine_to_folder", "ray_engine", "shard_files"]

NAME = re.compile(r"part-(\d{5,})-of-(\d{5,})\.parquet")
"""Of a shard, see :func:`~hnm_core.io.shards.shard_name`."""


@dataclass(frozen=True)
class ShardFile:
    """A shard by its address: it is read where it is called, such as on another machine.

    Attributes:
        folder: where it lies.
        number: of the shard.
        count: how many shards there are.
        alike: digest of what all of them say alike.
    """

    folder: ArrowFolder
    number: int
    count: int
    alike: str

    def __call__(self) -> Shard:
        """Return the shard.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged, or does not belong to the others.
        """
        return self.read()[1]()

    def read(self) -> tuple[str, Callable[[], Shard]]:
        """Read the file, and return the SHA-256 of its bytes, and what makes the shard of them."""
        content = self.folder.read(shard_name(self.number, self.count))
        return sha256(content).hexdigest(), partial(self._shard, content)

    def _shard(self, content: Any) -> Shard:
        arrow, _ = pyarrow_and_parquet()
        name = shard_name(self.number, self.count)
        called = f"{self.folder.uri}/{name}"
        head = head_of(called, arrow.BufferReader(content))
        if (head["shard"], head["shards"]) != (self.number, self.count) or _alike(head) != self.alike:
            raise ValueError(
                f"{called} does not belong to {shard_name(0, self.count)}: they differ in what they say of themselves "
                f"({', '.join(SHARED)}); are they shards of two data sets? Each needs its own folder"
            )
        return read_shard(folder_of([Path(name)], [head]), 0, arrow.BufferReader(content), called)


def shard_files(shards: str | Path) -> list[ShardFile]:
    """Return the shards of a folder that `hnm convert` has written; of one of them is read what it says of itself.

    Args:
        shards: the folder: a path, or an address that Arrow knows, such as ``s3://bucket/shards``.

    Raises:
        FileNotFoundError: if there are none, or one is missing.
        ImportError: if pyarrow is missing.
        ValueError: if there are those of several conversions, or the first one is damaged.
    """
    folder = ArrowFolder.of(shards)
    found = [(int(match[1]), int(match[2])) for match in map(NAME.fullmatch, folder.names()) if match]
    if not found:
        raise FileNotFoundError(f"{shards} has no shards, expected files such as {shard_name(0, 1)}; {AGAIN}")
    counts = sorted({count for _, count in found})
    if len(counts) > 1:
        raise ValueError(
            f"{shards} has shards of {len(counts)} conversions, into {' and '.join(map(str, counts))} files; each "
            "needs its own folder"
        )
    missing = sorted(set(range(counts[0])) - {number for number, _ in found})
    if missing:
        raise FileNotFoundError(
            f"{shards} has {len(found)} of its {counts[0]} shards, missing is {shard_name(missing[0], counts[0])}; "
            f"{AGAIN}"
        )
    first = shard_name(0, counts[0])
    with folder.open(first) as file:
        alike = _alike(head_of(f"{folder.uri}/{first}", file))
    return [ShardFile(folder, number, counts[0], alike) for number in range(counts[0])]


def ray_engine(
    shards: str | Path,
    *,
    folder: str | Path,
    address: str | None = None,
    processes: int | None = None,
    options: Mapping[str, Any] | None = None,
    leading: Mapping[str, Any] | None = None,
) -> RayCluster:
    """Return the engine that mines a folder of shards on a Ray cluster, see :class:`~hnm_core.engines.RayCluster`.

    Args:
        shards: the folder of shards: a path that all machines share, or an address that Arrow knows.
        folder: where what is kept of them is written, likewise; for this mining alone.
        address: of the cluster, ``auto`` for one that runs on this machine; None: what ``RAY_ADDRESS`` says, else Ray
            is started on this machine.
        processes: how many work at a time where Ray is started; None: as many as there are processors.
        options: Ray's options of every task of a shard.
        leading: Ray's options of the task that leads.

    Raises:
        ConnectionError: if Ray cannot be started or reached.
        FileNotFoundError: if there are no shards, or one is missing.
        ImportError: if Ray or pyarrow is missing.
        ValueError: if the shards do not belong together.
    """
    known: dict[str, Any] = {"address": address, "processes": processes, "options": options, "leading": leading}
    return RayCluster(shard_files(shards), folder=folder, **known)


def mine_to_folder(
    engine: Engine,
    output: str | Path,
    settings: MiningSettings | None = None,
    *,
    max_per_group: int = 0,
    reviews: Reviews | None = None,
) -> MiningReport:
    """Mine the shards of an engine, and let each shard's task write what was found in it.

    Weights and mined rows are those of :func:`hnm_core.mine` on all images, to the bit. On a cluster a task of the
    cluster leads, and only the report comes back to this process.

    Args:
        engine: :class:`~hnm_core.engines.Local` over :func:`shard_files`, or that of :func:`ray_engine`.
        output: folder that is made: a path, which all machines share, or an address that Arrow knows. It gets
            ``images-*.parquet`` and ``mined-*.parquet``, one of each a shard, and at the end ``report.json``.
        settings: None for the defaults.
        max_per_group: mine at most this many objects of a group of images, the hardest; 0 is no limit.
        reviews: reviews of mistakes, see :func:`hnm_core.mine`.

    Returns:
        The report.

    Raises:
        ConnectionError: if Ray gives up.
        FileExistsError: if the folder holds anything but what an interrupted mining of these shards has left.
        ImportError: if pyarrow is missing.
        ValueError: what :func:`~hnm_core.engines.mine_shards` refuses.
    """
    target = ArrowFolder.of(output)
    check_parts(target, len(engine))
    return engine.once(_mine, target, settings, max_per_group, reviews)


def _mine(
    engine: Engine, target: ArrowFolder, settings: MiningSettings | None, most: int, reviews: Reviews | None
) -> MiningReport:
    result = mine_shards(engine, settings, max_per_group=most, reviews=reviews)
    write_parts(target, result)
    return result.report


def _alike(head: Mapping[str, Any]) -> str:
    return sha256(json.dumps([head[name] for name in SHARED], sort_keys=True).encode()).hexdigest()
