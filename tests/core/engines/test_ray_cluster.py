"""A Ray cluster gives the bits of one machine, though machines are lost and drivers killed."""

from __future__ import annotations

import filecmp
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hnm_core import MiningSettings, mine, register_strategy
from hnm_core.engines import Local, RayCluster, Shard, mine_shards
from hnm_core.engines.ray_start import connect
from hnm_core.io import write_shards
from hnm_core.strategies import forget_strategy
from tests import clusters
from tests.core.engines.test_sharded import assert_equal, some_evidence, some_reviews
from tests.scenes import Tables, random_scene

ray = pytest.importorskip("ray", reason="the cluster is Ray's")
pytest.importorskip("pyarrow", reason="shards are Parquet")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # starting Ray takes long; it has own warnings

from hnm_core.io import mine_to_folder, ray_engine, shard_files  # noqa: E402

IMAGES, PER_SHARD = 60, 10
SETTINGS = MiningSettings(max_per_class=5)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[None]:
    """Ray on this machine, which the engines of the tests join."""
    assert connect(None, 2)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def tables() -> Tables:
    return random_scene(0, images=IMAGES, classes=4)


@pytest.fixture(scope="module")
def shards(tables: Tables, tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = Shard(*tables, [i % 7 for i in range(IMAGES)], some_evidence(tables, 3))
    return write_shards(tmp_path_factory.mktemp("shards") / "shards", content, images_per_shard=PER_SHARD)


@pytest.fixture(scope="module")
def expected(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one machine writes."""
    folder = tmp_path_factory.mktemp("local") / "mined"
    with Local(shard_files(shards)) as engine:
        mine_to_folder(engine, folder, SETTINGS)
    return folder


def assert_same_files(folder: Path, expected: Path) -> None:
    names = sorted(path.name for path in expected.iterdir())
    assert len(names) == 2 * (IMAGES // PER_SHARD) + 1
    assert sorted(path.name for path in folder.iterdir()) == names
    assert filecmp.cmpfiles(folder, expected, names, shallow=False) == (names, [], [])


@pytest.mark.usefixtures("two_workers")
def test_two_workers_give_the_same_bits_as_all_images_at_once(
    tables: Tables, shards: Path, expected: Path, tmp_path: Path
) -> None:
    reviews, evidence = some_reviews(tables), some_evidence(tables, 3)
    groups = [i % 7 for i in range(IMAGES)]
    whole = mine(*tables, SETTINGS, groups=groups, max_per_group=4, reviews=reviews, evidence=evidence)
    with ray_engine(f"file://{shards}", folder=tmp_path / "kept") as engine:
        result = mine_shards(engine, SETTINGS, max_per_group=4, reviews=reviews)
        assert_equal(result, whole)
        assert clusters.kept_parts(tmp_path / "kept")
        mine_to_folder(engine, tmp_path / "mined", SETTINGS)
    assert_same_files(tmp_path / "mined", expected)
    assert not (tmp_path / "kept").exists()


@pytest.mark.usefixtures("two_workers")
def test_no_more_than_a_report_comes_back(shards: Path, tmp_path: Path) -> None:
    """What reaches the driver does not grow with the images."""
    with ray_engine(shards, folder=tmp_path / "kept") as engine:
        report = mine_to_folder(engine, tmp_path / "mined", SETTINGS)
    assert report.images == IMAGES
    with Local(shard_files(shards)) as local:
        result = mine_shards(local, SETTINGS)
    assert repr(report.as_dict()) == repr(result.report.as_dict())
    assert len(pickle.dumps(report)) < 16_384


@pytest.mark.usefixtures("two_workers")
def test_a_strategy_of_ones_own_reaches_the_workers_and_takes_no_older_part(
    tables: Tables, shards: Path, tmp_path: Path
) -> None:
    register_strategy("by_score")(clusters.by_score)
    settings = MiningSettings(strategy="by_score")
    try:
        for again in range(2):
            engine = ray_engine(shards, folder=tmp_path / "kept")
            assert_equal(mine_shards(engine, settings), mine(*tables, settings, evidence=some_evidence(tables, 3)))
            engine.close(keep=True)
            first = [part for part in clusters.kept_parts(tmp_path / "kept") if "-00-" in part.name]
            assert len(first) == (again + 1) * IMAGES // PER_SHARD
    finally:
        forget_strategy("by_score")


@pytest.mark.usefixtures("two_workers")
def test_parts_are_taken_where_the_keys_are_the_same(tables: Tables, tmp_path: Path) -> None:
    kept, whole = tmp_path / "kept", mine(*tables, SETTINGS)
    for key, there in (("one", 1), ("one", 1), ("another", 2)):
        engine = RayCluster([partial(Shard, *tables)], folder=kept, keys=[key])
        assert_equal(mine_shards(engine, SETTINGS), whole)
        engine.close(keep=True)
        assert len(list(kept.glob("*-00-*.npz"))) == there
    with pytest.raises(ValueError, match="there are 2 keys, expected one for each of the 1 shards"):
        RayCluster([partial(Shard, *tables)], folder=kept, keys=["a", "b"])


@pytest.mark.usefixtures("two_workers")
def test_errors_are_those_of_one_machine(shards: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with (
        pytest.raises(ValueError, match=r"^shard 7 is broken$"),
        RayCluster([clusters.broken], folder=kept) as engine,
    ):
        mine_shards(engine)
    with (
        pytest.raises(ValueError, match=r"^max_per_group needs the groups"),
        RayCluster([partial(Shard, *random_scene(1))], folder=kept) as engine,
    ):
        mine_to_folder(engine, tmp_path / "mined", max_per_group=1)
    assert not (tmp_path / "mined").exists()


@pytest.mark.usefixtures("two_workers")
def test_a_part_that_a_machine_does_not_see_is_one_sentence(shards: Path, tmp_path: Path) -> None:
    with ray_engine(shards, folder=tmp_path / "kept") as engine:
        result = mine_shards(engine, SETTINGS)
        for part in clusters.kept_parts(tmp_path / "kept"):
            part.unlink()
        with pytest.raises(FileNotFoundError, match="the folder must be one that all machines of the cluster share"):
            list(result.parts())


def test_ray_is_started_where_there_is_no_cluster(shards: Path, expected: Path, tmp_path: Path) -> None:
    """In a process of its own: this one has joined the cluster of the other tests."""
    code = (
        "import sys\nfrom hnm_core import MiningSettings\nfrom hnm_core.io import mine_to_folder, ray_engine\n"
        "with ray_engine(sys.argv[1], folder=sys.argv[2], processes=2) as engine:\n"
        "    mine_to_folder(engine, sys.argv[3], MiningSettings(max_per_class=5))\n"
    )
    arguments = [str(shards), str(tmp_path / "kept"), str(tmp_path / "mined")]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=clusters.ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert_same_files(tmp_path / "mined", expected)


def test_a_machine_lost_in_the_local_step(shards: Path, expected: Path, tmp_path: Path) -> None:
    files: list[Any] = list(shard_files(shards))
    files[4] = clusters.Waits(files[4], tmp_path)
    with (
        clusters.cluster() as started,
        RayCluster(files, folder=tmp_path / "kept", address=started.address) as engine,
        ThreadPoolExecutor(1) as aside,
    ):
        mining = aside.submit(mine_to_folder, engine, tmp_path / "mined", SETTINGS)
        first = clusters.wait_for((tmp_path / "here").exists, "the task of shard 4") and (tmp_path / "here").read_text()
        clusters.kill_node(started, clusters.node_of(started, first))
        (tmp_path / "here").unlink()
        clusters.wait_for((tmp_path / "here").exists, "the task of shard 4 on the other machine")
        assert (tmp_path / "here").read_text() != first
        (tmp_path / "go").touch()
        mining.result()
    assert_same_files(tmp_path / "mined", expected)


@pytest.mark.parametrize("where", ["a worker", "the task that leads"])
def test_a_machine_lost_in_the_global_rounds(where: str, shards: Path, expected: Path, tmp_path: Path) -> None:
    kept, number = tmp_path / "kept", int(where == "a worker")
    with clusters.cluster() as started:
        lost, leads = started.workers[0], started.workers[number].node_id
        leading = {"resources": {f"worker{number}": 1}}
        with (
            ray_engine(shards, folder=kept, address=started.address, leading=leading) as engine,
            ThreadPoolExecutor(1) as aside,
        ):
            mining = aside.submit(engine.once, clusters.lead, tmp_path, SETTINGS)
            clusters.wait_for(lambda: list(kept.glob("*-01-*.npz")), "the first step after the local one")
            assert [path.name for path in tmp_path.glob("led-by-*")] == [f"led-by-{leads}"]
            clusters.kill_node(started, lost)
            assert not mining.done()
            clusters.add_worker(started, 0)  # another machine in its place
            mining.result()
    assert len(list(tmp_path.glob("led-by-*"))) == (2 if lost.node_id == leads else 1)
    assert_same_files(tmp_path / "mined", expected)


def test_a_driver_that_is_killed_goes_on_where_it_was(shards: Path, expected: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with clusters.cluster() as started:
        command = [sys.executable, "-m", "tests.clusters", started.address, str(shards), str(kept)]
        command += [str(tmp_path / "mined"), "confidence_based"]
        for step in ("00", "01", "02"):  # in the local step, when images have their places, when some are chosen
            first = subprocess.Popen(command, cwd=clusters.ROOT)
            clusters.wait_for(lambda step=step: list(kept.glob(f"*-{step}-*.npz")), f"step {step}")
            first.send_signal(signal.SIGKILL)
            assert first.wait() == -signal.SIGKILL
            assert not (tmp_path / "mined" / "report.json").exists()
        there = {part: part.stat().st_ino for part in clusters.kept_parts(kept)}
        assert there
        last = subprocess.Popen(command, cwd=clusters.ROOT)
        seen: dict[Path, int] = {}
        while last.poll() is None:
            for part in set(clusters.kept_parts(kept)) & set(there):
                try:
                    seen[part] = part.stat().st_ino
                except FileNotFoundError:  # mining has ended
                    break
        assert last.returncode == 0
        assert seen == there  # they were taken, not written again
    assert_same_files(tmp_path / "mined", expected)
