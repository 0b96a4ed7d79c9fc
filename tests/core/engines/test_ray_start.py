"""Ray is started more than once where it must be, and its errors are one sentence: on a Ray that only pretends."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from hnm_core.engines import RayCluster, ray_start

NICENESS = "RAY_worker_niceness"
TOO_LONG = Exception("The current node timed out during startup.\n  This could happen because …")


class Pretends(SimpleNamespace):
    """A Ray whose first starts fail."""

    def __init__(self, failing: int, processors: int = 2) -> None:
        super().__init__(starts=[], failing=failing, processors=processors, ends=0)

    def is_initialized(self) -> bool:
        return len(self.starts) > self.failing

    def init(self, **options: Any) -> None:
        self.starts.append(options)
        if len(self.starts) <= self.failing:
            raise TOO_LONG

    def shutdown(self) -> None:
        self.ends += 1

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": self.processors} if self.processors else {}


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it waits between starts; what it sets in the environment is forgotten."""
    found: list[float] = []
    monkeypatch.setattr(ray_start.time, "sleep", found.append)
    for name in ("RAY_ADDRESS", *ray_start.OF_ONE_MACHINE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return found


def use(monkeypatch: pytest.MonkeyPatch, failing: int, processors: int = 2) -> Pretends:
    made = Pretends(failing, processors)
    monkeypatch.setitem(sys.modules, "ray", made)
    return made


def test_a_start_that_fails_is_tried_again_after_a_longer_pause(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = use(monkeypatch, failing=3)
    assert ray_start.connect(None, 2)
    assert pauses == [2, 4, 8]
    assert made.ends == 3
    assert made.starts[0] == made.starts[3]
    assert (made.starts[0]["address"], made.starts[0]["num_cpus"]) == ("local", 2)
    assert not ray_start.connect(None, 2)  # it is connected
    assert len(made.starts) == 4


def test_another_cluster_than_the_one_asked_for_is_not_used(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = use(monkeypatch, failing=0)
    ray_start.connect("head:6379", None)
    made.get_runtime_context = lambda: SimpleNamespace(gcs_address="10.0.0.5:6379")
    for address in ("head:6379", "10.0.0.5:6379", "auto", "ray://head:10001", None):
        assert not ray_start.connect(address, None)
    with pytest.raises(
        ConnectionError, match=r"^this process is connected to Ray at 10\.0\.0\.5:6379 already, not at hea"
    ):
        ray_start.connect("head:6380", None)


def test_a_start_that_always_fails_is_one_sentence(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, failing=9)
    with pytest.raises(ConnectionError) as said:
        ray_start.connect(None, None)
    assert str(said.value) == (
        "Ray could not be started on this machine, tried 4 times: Exception: The current node timed out during "
        "startup. This could happen because …"
    )
    with pytest.raises(ConnectionError, match=r"^Ray at head:6379 could not be reached, tried 4 times: Exception: The"):
        ray_start.connect("head:6379", None)


def test_what_the_user_has_chosen_stays(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NICENESS, "5")
    use(monkeypatch, failing=0)
    ray_start.connect(None, None)
    assert os.environ[NICENESS] == "5"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_cluster_keeps_its_own_settings(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    made = use(monkeypatch, failing=0)
    ray_start.connect(None, None)
    assert made.starts[0]["address"] == "head:6379"
    assert set(made.starts[0]) == {"address", "log_to_driver", "logging_level"}
    assert NICENESS not in os.environ
    use(monkeypatch, failing=0)
    with pytest.raises(ValueError, match=r"^processes is 3, but the cluster at head:6379 has its own: leave it out$"):
        ray_start.connect(None, 3)


def test_a_cluster_without_processors_is_said(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, failing=0, processors=0)
    with pytest.warns(UserWarning, match="the Ray cluster has no processor that works: mining waits until it has"):
        ray_start.connect("head:6379", None)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    pytest.importorskip("pyarrow", reason="Arrow opens the folder")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"^mining on a cluster needs Ray, on every machine: pip install 'fiftyone-h"):
        RayCluster([print], folder=tmp_path / "kept")  # type: ignore[list-item]
    with pytest.raises(ValueError, match="there are no shards: give at least one function that loads one"):
        RayCluster([], folder=tmp_path / "kept")
