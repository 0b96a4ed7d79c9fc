"""Draws by weight: nobody is left out, everybody agrees, and what comes out is the weight."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

stats = pytest.importorskip("scipy.stats", reason="SciPy tests the draws")
torch = pytest.importorskip("torch", reason="the sampler is torch's")

from torch.utils.data import BatchSampler, DataLoader, SequentialSampler, WeightedRandomSampler  # noqa: E402
from torch.utils.data.distributed import DistributedSampler  # noqa: E402

from hnm_core.training import WeightedSampler, weighted_loader  # noqa: E402
from hnm_core.training.draws import draws_of_epoch  # noqa: E402

WEIGHTS = np.array([1.0, 1.2, 1.5, 1.9, 2.0, 1.0, 1.0, 1.0])


def test_without_a_length_every_image_is_drawn_in_every_epoch() -> None:
    for epoch in range(50):
        drawn = draws_of_epoch(WEIGHTS, epoch)
        assert drawn.min() >= 1
        assert drawn.sum() == 11  # 10.6 rounded
        assert (np.abs(drawn - WEIGHTS) < 1).all()


def test_with_a_length_nobody_misses_two_epochs_and_the_mean_is_the_weight() -> None:
    epochs = [draws_of_epoch(WEIGHTS, epoch, draws=8, seed=3) for epoch in range(1000)]
    assert {int(drawn.sum()) for drawn in epochs} == {8}
    twice = np.array(epochs[:-1]) + np.array(epochs[1:])
    assert twice.min() >= 1
    assert np.mean(epochs, axis=0) == pytest.approx(WEIGHTS * 8 / WEIGHTS.sum(), abs=0.005)


def test_draws_depend_on_seed_and_epoch_alone() -> None:
    assert draws_of_epoch(WEIGHTS, 4, draws=8).tolist() == draws_of_epoch(WEIGHTS, 4, draws=8).tolist()
    one, other = (list(WeightedSampler(WEIGHTS, seed=seed)) for seed in (1, 2))
    assert one != other
    assert draws_of_epoch(np.zeros(0), 0, draws=0).tolist() == []


@pytest.mark.parametrize(
    ("weights", "draws", "sentence"),
    [
        ([1.0, 0.5], None, "1 of 2 weights are not finite and ≥ 1, first 0.5 at 1; every image must still be drawn"),
        ([1.0, 0.0], 2, "1 of 2 weights are not finite and > 0, first 0 at 1"),
        ([1.0, float("inf")], None, "1 of 2 weights are not finite and ≥ 1, first inf at 1"),
        ([float("nan"), 1.0], 2, "1 of 2 weights are not finite and > 0, first nan at 0"),
    ],
)
def test_weights_that_leave_images_out_are_refused(weights: list[float], draws: int | None, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        draws_of_epoch(np.array(weights), 0, draws=draws)


def test_a_column_of_weights_is_refused_before_an_image_is_drawn() -> None:
    with pytest.raises(ValueError, match=r"^weights have shape \(3, 1\), expected one number per image$"):
        WeightedSampler(np.ones((3, 1)))


def test_each_pass_is_the_next_epoch_and_an_epoch_can_be_named() -> None:
    sampler = WeightedSampler(WEIGHTS, num_samples=8)
    first, second = list(sampler), list(sampler)
    assert first != second
    sampler.set_epoch(0)
    assert list(sampler) == first


def test_new_weights_count_from_the_next_pass() -> None:
    sampler = WeightedSampler(np.ones(4), num_samples=400)
    sampler.set_weights([1, 1, 1, 5])
    counts = Counter(sampler)
    assert [counts[i] for i in range(4)] == [50, 50, 50, 250]
    with pytest.raises(ValueError, match=r"weights have shape \(3,\), expected one per image: 4"):
        sampler.set_weights([1, 1, 1])


def test_weights_are_ready_for_torchs_own_sampler() -> None:
    drawn = WeightedRandomSampler(WEIGHTS, 20_000, generator=torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    counts = np.bincount(list(drawn), minlength=8)
    assert stats.chisquare(counts, 20_000 * WEIGHTS / WEIGHTS.sum()).pvalue > 0.001


def test_a_loader_keeps_what_it_had() -> None:
    def collate(items: list[int]) -> dict[str, list[int]]:
        return {"items": items}

    loader = DataLoader(list(range(8)), batch_size=3, collate_fn=collate, drop_last=True)  # type: ignore[arg-type]
    weighted = weighted_loader(loader, WEIGHTS)
    batches = list(weighted)
    assert [len(batch["items"]) for batch in batches] == [3, 3, 3]  # 11 draws, the rest dropped as before
    with pytest.raises(ValueError, match="there are 3 weights for a dataset of 8 images; mine the images you train"):
        weighted_loader(loader, [1, 1, 1])


def test_batches_of_a_loader_s_own_are_not_undone() -> None:
    batches = BatchSampler(SequentialSampler(range(8)), 3, drop_last=False)
    loader = DataLoader(list(range(8)), batch_sampler=batches)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a batch_sampler \(BatchSampler\): build it with a WeightedSampler"):
        weighted_loader(loader, WEIGHTS)


def test_workers_live_on_and_see_new_weights() -> None:
    loader = weighted_loader(DataLoader(list(range(4)), batch_size=2, num_workers=1), np.ones(4), num_samples=40)  # type: ignore[arg-type]
    first = Counter(torch.cat(list(loader)).tolist())
    worker = loader._iterator._workers[0].pid
    loader.sampler.set_weights([1, 1, 1, 7])
    second = Counter(torch.cat(list(loader)).tolist())
    assert loader._iterator._workers[0].pid == worker
    assert (first[3], second[3]) == (10, 28)


def _rank(rank: int, port: int, folder: str) -> None:
    """One process of two: draw, and then draw by what the first one says."""
    from torch import distributed

    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    sampler = WeightedSampler(np.ones(9))
    drawn: list[Any] = [list(sampler)]
    weights = torch.tensor([1.0] * 8 + [2.0]) if rank == 0 else torch.zeros(9)
    distributed.broadcast(weights, src=0)
    sampler.set_weights(weights.numpy())
    drawn.append(list(sampler))
    Path(folder, f"{rank}.txt").write_text(repr(drawn))
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_share_every_epoch(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_rank, (port, str(tmp_path)), nprocs=2)
    first, second = (eval((tmp_path / f"{rank}.txt").read_text()) for rank in (0, 1))
    assert [len(epoch) for epoch in first] == [len(epoch) for epoch in second] == [5, 5]
    uniform, weighted = (Counter(a + b) for a, b in zip(first, second, strict=True))
    assert sorted(uniform) == list(range(9))
    assert sum(uniform.values()) == 10  # the first image again, so that both have five
    assert weighted[8] == 2
    assert sorted(weighted) == list(range(9))


HARD = np.concatenate([np.full(20, 2.0), np.ones(80)])
"""100 images of which 20 count twice: 120 draws an epoch."""


class _DividesBatches(BatchSampler):
    """What accelerate puts around the batches of every loader that it prepares."""

    def __init__(self, batches: BatchSampler, num_processes: int, process_index: int) -> None:
        self.batches, self.num_processes, self.process_index = batches, num_processes, process_index

    def __iter__(self) -> Iterator[list[int]]:
        for number, batch in enumerate(self.batches):
            if number % self.num_processes == self.process_index:
                yield batch

    def __len__(self) -> int:
        return len(self.batches) // self.num_processes


class _DividesDraws(DistributedSampler):  # type: ignore[type-arg]
    """What Lightning puts around every sampler that is no ``DistributedSampler``."""

    def __iter__(self) -> Iterator[int]:
        drawn = list(self.dataset)  # type: ignore[call-overload]
        return (drawn[number] for number in super().__iter__())


def _as_accelerate(loader: DataLoader[int], rank: int) -> DataLoader[int]:
    assert loader.batch_sampler is not None
    batches = _DividesBatches(loader.batch_sampler, 2, rank)  # type: ignore[arg-type]
    return DataLoader(loader.dataset, batch_sampler=batches)


def _as_lightning(loader: DataLoader[int], rank: int) -> DataLoader[int]:
    if isinstance(loader.sampler, DistributedSampler):
        return loader
    sampler = _DividesDraws(loader.sampler, num_replicas=2, rank=rank)  # type: ignore[arg-type]
    return DataLoader(loader.dataset, batch_size=loader.batch_size, sampler=sampler)


def _bare() -> DataLoader[int]:
    return DataLoader(list(range(100)), batch_size=4, sampler=WeightedSampler(HARD))  # type: ignore[arg-type]


def _around() -> DataLoader[int]:
    return weighted_loader(DataLoader(list(range(100)), batch_size=4), HARD)  # type: ignore[arg-type, no-any-return]


@pytest.mark.parametrize("prepare", [_as_accelerate, _as_lightning, lambda loader, rank: loader])
@pytest.mark.parametrize("build", [_bare, _around])
@pytest.mark.parametrize("first", [True, False], ids=["built before the processes", "built within"])
def test_every_promise_is_kept_whoever_divides_the_draws(
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[DataLoader[int], int], DataLoader[int]],
    build: Callable[[], DataLoader[int]],
    first: bool,
) -> None:
    counts: list[Counter[int]] = [Counter(), Counter()]
    for rank in (0, 1):
        loader = build() if first else None
        with monkeypatch.context() as process:
            process.setattr(torch.distributed, "is_initialized", lambda: True)
            process.setattr(torch.distributed, "get_world_size", lambda: 2)
            process.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
            prepared = prepare(loader or build(), rank)
            assert len(prepared) == 15
            for epoch in counts:
                epoch.update(torch.cat(list(prepared)).tolist())
    for epoch in counts:
        assert [epoch[image] for image in range(100)] == HARD.tolist()


def test_a_rank_that_is_no_process_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rank must be in \[0, 1\], got 2"):
        WeightedSampler(HARD, num_replicas=2, rank=2)
    sampler = WeightedSampler(HARD, num_replicas=4, rank=3)
    assert (sampler.num_replicas, sampler.rank, len(sampler)) == (4, 3, 30)
