"""What walks the shards of ``hnm mine`` on this machine; :mod:`.cluster` is for those that Ray walks."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from ..engines import Local, Shard
from ..engines.shard import Engine
from ..settings.walking import ENGINE, PROCESSES
from .flags import add_flag

__all__ = ["add_engine_flags", "engine_of"]


def add_engine_flags(parser: argparse.ArgumentParser) -> None:
    """Declare how shards are walked."""
    add_flag(parser, ENGINE)
    add_flag(parser, PROCESSES)


def engine_of(
    args: argparse.Namespace, shards: Sequence[Callable[[], Shard]], folder: Path, keys: Sequence[str] | None = None
) -> AbstractContextManager[Engine]:
    """Return the engine of this machine, as the flags ask for it.

    Args:
        args: the flags.
        shards: functions that load a shard each.
        folder: for what is kept of them, on the file system of the output; whoever made it removes it.
        keys: a text for each shard that differs where shard, settings or reviews do: what an interrupted engine has
            kept in the folder is used again where they are the same. None: nothing is.
    """
    return Local(shards, processes=PROCESSES.check(args.processes), folder=folder, keys=keys)
