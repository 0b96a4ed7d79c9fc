"""Walk shards on a Ray cluster: a task a shard and step, on any machine; what is kept lies in a folder all share.

Every part that is kept has a name that follows from all that its content follows from: the shard's own digest, the
steps and their arguments. So a task that is run again, because its machine was lost or the whole mining was killed,
finds what is there, or writes the same bits once more.
"""

from __future__ import annotations

import pickle
import platform
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from .. import __version__
from ..settings import MiningSettings
from ..strategies.registry import forget_strategy, is_own, registered_strategies, restore_strategies
from .arrow_folder import ArrowFolder
from .kept_parts import StoredColumns, answer_of, clear_parts, part_name, write_part
from .ray_start import connect, import_ray, in_short
from .shard import Answer, Shard, Step

__all__ = ["RayCluster"]

Loader = Callable[[], Shard]

RETRIES = 10
"""How often a task is run again whose machine or process was lost (chosen)."""

AHEAD, AT_LEAST = 2, 8
"""Tasks that are handed in at a time: for each processor of the cluster, and at least (chosen)."""


class RayCluster:
    """The engine of a Ray cluster, or of Ray on one machine.

    A task that is lost with its machine is run again. A mining that is killed goes on where it was if it is started
    again with the same folder, shards and settings: parts that are there are taken. This needs ``keys``, or shards that
    can say a digest of their file, as those of :func:`hnm_core.io.ray_engine`; and a strategy of this package: of your
    own code nobody knows whether it has changed.

    Args:
        shards: functions that load a shard each, on any machine. One with a method ``read()``, which returns a digest
            of its content and a function that makes the shard of what was read, is read once.
        folder: where what is kept of the shards is written, about 150 bytes a mistake: a path that all machines share,
            or an address that Arrow knows, such as ``s3://bucket/folder``. For one mining at a time; it is emptied
            when that ends without an error.
        keys: a text for each shard that differs where the shard does; None: it is asked for a digest, if it has one.
        address: of the cluster, ``auto`` for one that runs on this machine; None: what ``RAY_ADDRESS`` says, else Ray
            is started on this machine.
        processes: how many work at a time where Ray is started; None: as many as there are processors.
        options: Ray's options of every task of a shard, such as ``{"memory": 2e9}``.
        leading: Ray's options of the task that leads, see :meth:`once`. It takes no processor, since it mostly waits,
            and holds some numbers for each image: ``{"memory": 8e9}`` keeps it where this memory is.

    Raises:
        ConnectionError: if Ray cannot be started or reached.
        ImportError: if Ray or pyarrow is missing.
        ValueError: if there are no shards, or Arrow does not know the folder's address.

    Example:
        >>> from hnm_core.engines import RayCluster, mine_shards
        >>> with RayCluster(loaders, folder="s3://bucket/kept", address="auto") as engine:  # doctest: +SKIP
        ...     result = mine_shards(engine)
    """

    def __init__(
        self,
        shards: Sequence[Loader],
        *,
        folder: str | Path,
        keys: Sequence[str] | None = None,
        address: str | None = None,
        processes: int | None = None,
        options: Mapping[str, Any] | None = None,
        leading: Mapping[str, Any] | None = None,
    ) -> None:
        if not shards:
            raise ValueError("there are no shards: give at least one function that loads one")
        if keys is not None and len(keys) != len(shards):
            raise ValueError(f"there are {len(keys)} keys, expected one for each of the {len(shards)} shards")
        self.folder = ArrowFolder.of(folder)
        self.folder.names()  # fail early
        self._shards = shards
        self._parts: list[tuple[str, ...]] = [()] * len(shards)
        self._options = {"max_retries": RETRIES, **(options or {})}
        self._leading = {"max_retries": RETRIES, "num_cpus": 0, **(leading or {})}
        self._mining = uuid4().hex
        self._keys = [self._mining] * len(shards) if keys is None else list(keys)
        self._version = __version__
        self._strategies = {name: own for name, own in registered_strategies().items() if is_own(name)}
        self._ours = connect(address, processes)

    def __len__(self) -> int:
        """Return the number of shards."""
        return len(self._shards)

    def __enter__(self) -> RayCluster:
        """Return the engine, which is closed at the end."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Close the engine; after an error what is kept stays, so that the next mining goes on from there."""
        self.close(keep=kind is not None)

    def close(self, *, keep: bool = False) -> None:
        """Forget what is kept of the shards, unless it is to stay, and leave the cluster that the engine has joined."""
        if not keep:
            clear_parts(self.folder)
        if self._ours:
            import_ray().shutdown()

    def once(self, work: Callable[..., Answer], *args: Any) -> Answer:
        """Call ``work(engine, *args)`` in a task of the cluster, see :class:`~hnm_core.engines.shard.Engine`.

        Nothing that it works with reaches this process, but what it returns. If its machine is lost, it is called
        again, and finds the parts that are kept.
        """
        ray = import_ray()
        ref = ray.remote(_once).options(**self._leading).remote(self, work, args)
        try:
            answer: Answer = pickle.loads(_get(ref, "the task that leads"))
        except (KeyboardInterrupt, SystemExit):  # nobody waits for it any more; an error has ended it already
            ray.cancel(ref)
            raise
        return answer

    def start(self, step: Step, *args: Any, each: Sequence[Any], only: Sequence[int] | None = None) -> Iterator[Any]:
        """Load shards and keep columns of them, see :class:`~hnm_core.engines.shard.Engine`."""
        numbers = range(len(self)) if only is None else only
        for number in numbers:
            self._parts[number] = ()
        return self._map(step, args, each, numbers, loads=True, keeps=True)

    def ask(self, step: Step, *args: Any, each: Sequence[Any] | None = None) -> Iterator[Any]:
        """Call a step for every shard, see :class:`~hnm_core.engines.shard.Engine`."""
        return self._map(step, args, each, range(len(self)), loads=False, keeps=False)

    def tell(self, step: Step, *args: Any, each: Sequence[Any] | None = None) -> Iterator[Any]:
        """Call a step that keeps columns for every shard, see :class:`~hnm_core.engines.shard.Engine`."""
        return self._map(step, args, each, range(len(self)), loads=False, keeps=True)

    def _map(
        self,
        step: Step,
        args: tuple[Any, ...],
        each: Sequence[Any] | None,
        numbers: Sequence[int],
        *,
        loads: bool,
        keeps: bool,
    ) -> Iterator[Any]:
        """Yield the answers in the order of the shards; a task that is not yet needed is handed in ahead.

        After an error those few end by themselves, and what they keep is what a later mining takes.
        """
        ray = import_ray()
        common = (self.folder, step, args, self._strategies, keeps, self._digest(step, args), self._version)
        call = ray.put(_Call(*common))
        task = _task().options(**self._options)
        ahead = max(AT_LEAST, round(AHEAD * ray.cluster_resources().get("CPU", 0)))
        waiting: deque[tuple[int, Any]] = deque()
        for at, number in enumerate(numbers):
            if len(waiting) >= ahead:
                yield self._answer(*waiting.popleft())
            own = pickle.dumps(() if each is None else (each[at],))
            load = self._shards[number] if loads else None
            waiting.append((number, task.remote(call, number, self._parts[number], load, own, self._keys[number])))
        while waiting:
            yield self._answer(*waiting.popleft())

    def _answer(self, number: int, ref: Any) -> Any:
        part, answer = _get(ref, f"shard {number}")
        if part:
            self._parts[number] += (part,)
        return pickle.loads(answer)

    def _digest(self, step: Step, args: tuple[Any, ...]) -> str:
        """Return a digest of what is done; of code that may change between two minings it belongs to this one alone."""
        own = self._strategies or any(":" in arg.strategy for arg in args if isinstance(arg, MiningSettings))
        said = (__version__, f"{step.__module__}.{step.__qualname__}", args, self._mining if own else "")
        return sha256(pickle.dumps(said)).hexdigest()


@dataclass(frozen=True, eq=False)
class _Call:
    """What the tasks of one step have in common."""

    folder: ArrowFolder
    step: Step
    args: tuple[Any, ...]
    strategies: Mapping[str, Any]
    keeps: bool
    digest: str
    version: str


@cache
def _task() -> Any:
    return import_ray().remote(_work)


def _work(
    call: _Call, number: int, parts: tuple[str, ...], load: Loader | None, own: bytes, key: str
) -> tuple[str, bytes]:
    """Do a step for a shard; return the name of the part that is kept, if any, and the answer."""
    _prepare(call.version, call.strategies)
    args = (*pickle.loads(own), *call.args)
    if load is None and not call.keeps:
        with StoredColumns(call.folder, parts) as columns:
            return "", pickle.dumps(call.step(columns, *args))
    before, make = (parts[-1], None) if load is None else _read(load, key)
    follows = sha256(b"\0".join((call.digest.encode(), before.encode(), own))).hexdigest()
    name = part_name(number, len(parts), follows)
    answer = answer_of(call.folder, name)
    if answer is None:
        with StoredColumns(call.folder, parts) as columns:
            kept, found = call.step(columns if make is None else make(), *args)
        answer = pickle.dumps(found)
        write_part(call.folder, name, kept, answer)
    return name, answer


def _read(load: Loader, key: str) -> tuple[str, Loader]:
    """Return a digest of a shard, or its key if it cannot say one, and what makes it."""
    read = getattr(load, "read", None)
    return (key, load) if read is None else read()


def _once(engine: RayCluster, work: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    _prepare(engine._version, engine._strategies)
    return pickle.dumps(work(engine, *args))


def _prepare(version: str, strategies: Mapping[str, Any]) -> None:
    """Make this worker one of the mining; it may have worked for another one, with other strategies of these names."""
    if version != __version__:
        raise ValueError(
            f"{platform.node()} has version {__version__} of this package, the mining was started with {version}: "
            "install the same one on every machine"
        )
    for name in strategies:
        forget_strategy(name)
    restore_strategies(strategies)


def _get(ref: Any, what: str) -> Any:
    """Return the answer of a task, or raise the error that it has raised, as on one machine."""
    ray = import_ray()
    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, Exception):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise ConnectionError(
            f"Ray has given up on {what}: {in_short(error)}; started again with the same folder, mining goes on where "
            "it was"
        ) from error
