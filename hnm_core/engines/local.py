"""Walk shards on one machine, one after the other or in several processes, with memory for one shard per process."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..strategies.registry import registered_strategies, restore_strategies
from .shard import Answer, Kept, Shard, Step

__all__ = ["Local"]

Loader = Callable[[], Shard]

FIRST, KEY = "000", "key"
"""Names of the files of a shard: without suffix, of its first columns; and of its key, the last to be written."""


class Local:
    """The engine of one machine: what is kept of a shard lies in a folder, and is read when a step asks for it.

    Args:
        shards: functions that load a shard each; of several processes, functions that can be pickled.
        processes: how many work at a time; 1 works in this one. Strategies registered by name must be functions of a
            module where processes are not forked.
        folder: where the folder is made that holds what is kept, about 150 bytes a mistake, and as many more for each
            mined one when they are asked for hardest first; None: the system's folder for temporary files.
        keys: a text for each shard that differs where shard, settings or reviews do. Then ``folder`` itself holds what
            is kept; it is removed at the end, but stays if the process ends before. Another engine with the same folder
            does not examine those shards again whose keys are the same.

    Example:
        >>> from hnm_core import Detections, MiningSettings
        >>> from hnm_core.engines import mine_shards
        >>> def load(name):
        ...     world = dict(images=[name], classes=["cat"])
        ...     found = Detections([0], [[0, 0, 9, 9]], [0], [0.9], **world)
        ...     return Shard(found, Detections.empty(**world))
        >>> with Local([lambda: load("a.jpg"), lambda: load("b.jpg")]) as engine:
        ...     result = mine_shards(engine, MiningSettings(hard_image_share=1.0))
        ...     sum(len(part.row) for part in result.parts()), result.report.images
        (1, 2)
    """

    def __init__(
        self,
        shards: Sequence[Loader],
        *,
        processes: int = 1,
        folder: Path | str | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        if not shards:
            raise ValueError("there are no shards: give at least one function that loads one")
        if processes < 1:
            raise ValueError(f"processes must be 1 or more, got {processes}")
        if keys is not None and (folder is None or len(keys) != len(shards)):
            raise ValueError(f"keys need a folder and one for each of the {len(shards)} shards, got {len(keys)}")
        self._shards = shards
        self._keys = keys
        self._held = None if keys else tempfile.TemporaryDirectory(prefix="hnm-", dir=folder)
        self._folder = Path(self._held.name if self._held else folder or "")
        self._folder.mkdir(exist_ok=True)
        self._pool = None
        if processes > 1:
            # Imported late: it loads multiprocessing, which one process does not need.
            from concurrent.futures import ProcessPoolExecutor

            own = registered_strategies()
            self._pool = ProcessPoolExecutor(processes, initializer=restore_strategies, initargs=(own,))

    def __len__(self) -> int:
        """Return the number of shards."""
        return len(self._shards)

    def __enter__(self) -> Local:
        """Return the engine, which is closed at the end."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the engine; what it keeps stays if it was interrupted and knows the keys of its shards."""
        interrupted = kind is not None and not issubclass(kind, Exception)
        self.close(forget=not (interrupted and self._keys))

    def close(self, *, forget: bool = True) -> None:
        """End the processes and, unless it should stay, forget what is kept of the shards."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._held is not None:
            self._held.cleanup()
        elif forget:
            shutil.rmtree(self._folder, ignore_errors=True)

    def kept(self) -> list[int]:
        """Return the shards that need not be started, because an interrupted mining has examined them."""
        found = []
        for number, key in enumerate(self._keys or ()):
            folder = self._folder_of(number)
            if (folder / KEY).is_file() and (folder / KEY).read_text(encoding="utf-8") == key:
                for path in folder.iterdir():
                    if path.name != KEY and path.stem != FIRST:
                        path.unlink()  # of steps that are done again
                found.append(number)
        return found

    def start(self, step: Step, *args: Any, each: Sequence[Any], only: Sequence[int] | None = None) -> Iterator[Any]:
        """Load shards and keep columns of them, see :class:`~hnm_core.engines.shard.Engine`."""
        numbers = range(len(self)) if only is None else only
        keys = [None if self._keys is None else self._keys[i] for i in numbers]
        shards = list(zip((self._shards[i] for i in numbers), keys, strict=True))
        return self._map(_start, numbers, shards, step, args, each)

    def ask(self, step: Step, *args: Any, each: Sequence[Any] | None = None) -> Iterator[Any]:
        """Call a step for every shard, see :class:`~hnm_core.engines.shard.Engine`."""
        return self._map(_ask, range(len(self)), None, step, args, each)

    def tell(self, step: Step, *args: Any, each: Sequence[Any] | None = None) -> Iterator[Any]:
        """Call a step that keeps columns for every shard, see :class:`~hnm_core.engines.shard.Engine`."""
        return self._map(_tell, range(len(self)), None, step, args, each)

    def once(self, work: Callable[..., Answer], *args: Any) -> Answer:
        """Call ``work(engine, *args)`` here, see :class:`~hnm_core.engines.shard.Engine`."""
        return work(self, *args)

    def _map(
        self,
        work: Callable[..., Any],
        numbers: Sequence[int],
        loaders: Sequence[tuple[Loader, str | None]] | None,
        step: Step,
        args: tuple[Any, ...],
        each: Sequence[Any] | None,
    ) -> Iterator[Any]:
        folders = list(map(self._folder_of, numbers))
        first = folders if loaders is None else [(folder, *load) for folder, load in zip(folders, loaders, strict=True)]
        own = [(one, *args) for one in each] if each is not None else [args] * len(folders)
        if self._pool is None:
            return map(work, first, [step] * len(first), own)
        return self._pool.map(work, first, [step] * len(first), own)

    def _folder_of(self, number: int) -> Path:
        return self._folder / f"{number:06d}"


def _start(place: tuple[Path, Loader, str | None], step: Step, args: tuple[Any, ...]) -> Any:
    folder, load, key = place
    folder.mkdir(exist_ok=True)
    (folder / KEY).unlink(missing_ok=True)  # before anything else of it is removed
    for old in folder.iterdir():
        old.unlink()
    columns, answer = step(load(), *args)
    _keep(folder, columns)
    if key is not None:
        for path in folder.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        (folder / f"{KEY}.new").write_text(key, encoding="utf-8")
        (folder / f"{KEY}.new").rename(folder / KEY)
    return answer


def _ask(folder: Path, step: Step, args: tuple[Any, ...]) -> Any:
    return step(_Stored(folder), *args)


def _tell(folder: Path, step: Step, args: tuple[Any, ...]) -> Any:
    columns, answer = _ask(folder, step, args)
    _keep(folder, columns)
    return answer


def _keep(folder: Path, columns: Kept) -> None:
    """Write columns beside those that are kept; of the same name the newest is read."""
    number, index, end = len(list(folder.glob("*.json"))), {}, 0
    with (folder / f"{number:03d}.bin").open("wb") as file:
        for name, column in columns.items():
            index[name] = (column.dtype.str, column.shape, end)
            end += file.write(np.ascontiguousarray(column).data)
    (folder / f"{number:03d}.json").write_text(json.dumps(index))


class _Stored:
    """The columns that are kept of a shard."""

    def __init__(self, folder: Path) -> None:
        self._place: dict[str, tuple[Path, str, list[int], int]] = {}
        for path in sorted(folder.glob("*.json")):
            found, content = json.loads(path.read_text()), path.with_suffix(".bin")
            self._place |= {name: (content, *where) for name, where in found.items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        path, dtype, shape, start = self._place[name]
        return np.fromfile(path, dtype=dtype, count=math.prod(shape), offset=start).reshape(shape)

    def some(self, name: str, rows: slice) -> NDArray[Any]:
        path, dtype, (_, *rest), start = self._place[name]
        width, shape = np.dtype(dtype).itemsize * math.prod(rest), (rows.stop - rows.start, *rest)
        offset = start + rows.start * width
        return np.fromfile(path, dtype=dtype, count=math.prod(shape), offset=offset).reshape(shape)
