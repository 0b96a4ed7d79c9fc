"""A Ray cluster of several nodes on this machine, shards to mine on it, and a driver that can be killed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hnm_core import MiningSettings
from hnm_core.engines import RayCluster, Shard, mine_shards
from hnm_core.engines.arrow_folder import ArrowFolder
from hnm_core.io import mine_to_folder, ray_engine
from hnm_core.io.cluster import ShardFile
from hnm_core.io.mined_parts import write_parts
from hnm_core.strategies import Difficulty

ROOT = Path(__file__).parents[1]
STARTS = 3
PAUSE = 0.5
PATIENCE = 120.0
"""Seconds in which something must happen."""


@contextmanager
def cluster(workers: int = 2) -> Iterator[Any]:
    """A head that does not work, and ``workers`` of one processor each; started again where the machine is too busy."""
    import ray
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 << 20, "include_dashboard": False}
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    ray.shutdown()  # of an earlier test
    for again in range(STARTS):
        started = None
        try:
            started = Cluster(initialize_head=True, head_node_args={**small, "num_cpus": 0})
            started.workers = [add_worker(started, number) for number in range(workers)]
            started.wait_for_nodes(timeout=60)
            break
        except Exception:
            if started is not None:
                started.shutdown()
            if again == STARTS - 1:
                raise
            time.sleep(5.0)
    try:
        yield started
    finally:
        ray.shutdown()
        started.shutdown()


def add_worker(started: Any, number: int) -> Any:
    """A node of one processor, which has the resource ``workerN``."""
    return started.add_node(num_cpus=1, resources={f"worker{number}": 1}, object_store_memory=80 << 20)


def wait_for(happened: Callable[[], Any], what: str) -> Any:
    """Wait until something is so, and return it."""
    end = time.monotonic() + PATIENCE
    while not (found := happened()):
        assert time.monotonic() < end, f"{what} took more than {PATIENCE} s"
        time.sleep(0.01)
    return found


@dataclass(frozen=True)
class Waits:
    """A shard that is not read before a file is there; it says where its task runs."""

    file: ShardFile
    folder: Path

    def __call__(self) -> Shard:
        return self.read()[1]()

    def read(self) -> tuple[str, Callable[[], Shard]]:
        import ray

        aside = self.folder / f"aside-{os.getpid()}"
        aside.write_text(ray.get_runtime_context().get_node_id())
        aside.rename(self.folder / "here")
        wait_for((self.folder / "go").exists, "the word to go on")
        return self.file.read()


def broken() -> Shard:
    """A shard that cannot be read."""
    raise ValueError("shard 7 is broken")


def by_score(inputs: Any) -> Difficulty:
    """A strategy of one's own."""
    return Difficulty(inputs.predictions.score, np.full(len(inputs.truth), 0.25))


def kept_parts(folder: Path) -> list[Path]:
    """The parts that are in a folder, complete ones."""
    return sorted(folder.glob("[0-9]*.npz"))


@dataclass(frozen=True)
class Slowly:
    """An engine with time between two steps, in which a machine can be killed."""

    engine: RayCluster

    def __len__(self) -> int:
        return len(self.engine)

    def __getattr__(self, name: str) -> Any:
        time.sleep(PAUSE)
        return getattr(self.engine, name)


def lead(engine: RayCluster, folder: Path, settings: MiningSettings) -> None:
    """Mine into a folder as the task that leads, which says where it runs, and takes its time between the steps."""
    import ray

    (folder / f"led-by-{ray.get_runtime_context().get_node_id()}").touch()
    write_parts(ArrowFolder.of(folder / "mined"), mine_shards(Slowly(engine), settings))


def drive(address: str, shards: str, kept: str, output: str, strategy: str) -> None:
    """Mine as a driver of its own, of which one may be killed."""
    settings = MiningSettings(strategy=strategy, max_per_class=5)
    with ray_engine(shards, folder=kept, address=address) as engine:
        mine_to_folder(engine, output, settings)


def node_of(started: Any, node_id: str) -> Any:
    """The node of a cluster with this id."""
    return next(node for node in started.list_all_nodes() if node.node_id == node_id)


def kill_node(started: Any, node: Any) -> None:
    """Kill all processes of a node at once."""
    with suppress(ProcessLookupError):
        started.remove_node(node, allow_graceful=False)


if __name__ == "__main__":
    drive(*sys.argv[1:])
