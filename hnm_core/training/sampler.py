"""Weights for torch: a sampler that leaves no image out, on one process or many."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.utils.data import DataLoader, Sampler

from .draws import order_of_epoch

__all__ = ["WeightedSampler", "weighted_loader"]


class WeightedSampler(Sampler):  # type: ignore[misc]
    """Draws images by weight, without leaving any out, and deals them to the processes of a distributed training.

    ``torch.utils.data.WeightedRandomSampler(weights, len(weights))`` works with the same weights; but it draws with
    replacement, so that more than a third of the images are missing from an epoch, and every process of a distributed
    training draws its own. Here an image is drawn ⌊w⌋ or ⌈w⌉ times (see :mod:`hnm_core.training.draws`) and processes
    share one order.

    Every pass is the next epoch; ``set_epoch`` names it, as a training that is resumed must. Weights that change, in
    place or by ``set_weights``, count from the next pass on.

    Args:
        weights: ``(images,)``, in the order of the dataset; a float64 tensor is kept, so that it may be shared.
        num_samples: images per epoch over all processes; None for round(Σw), each image at least once.
        num_replicas: number of processes; None asks ``torch.distributed``, 1 if that is not in use.
        rank: of this process; None asks likewise.
        seed: the same for all processes.

    Example:
        >>> sampler = WeightedSampler([1.0, 2.0, 1.0])
        >>> len(sampler), sorted(sampler)
        (4, [0, 1, 1, 2])
    """

    def __init__(
        self,
        weights: ArrayLike | torch.Tensor,
        *,
        num_samples: int | None = None,
        num_replicas: int | None = None,
        rank: int | None = None,
        seed: int = 0,
    ) -> None:
        together = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.weights = torch.as_tensor(weights, dtype=torch.float64)
        self.num_samples = num_samples
        self.num_replicas = num_replicas or (torch.distributed.get_world_size() if together else 1)
        self.rank = rank if rank is not None else (torch.distributed.get_rank() if together else 0)
        self.seed = seed
        self.epoch = 0
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(f"rank must lie in [0, {self.num_replicas - 1}], got {self.rank}")

    def __iter__(self) -> Iterator[Any]:
        order = order_of_epoch(self.weights.numpy(), self.epoch, seed=self.seed, draws=self.num_samples)
        self.epoch += 1
        mine = np.resize(order, len(self) * self.num_replicas)[self.rank :: self.num_replicas]  # the first fill up
        return iter(mine.tolist())

    def __len__(self) -> int:
        """Images per epoch for this process: the same number for all."""
        draws = self.num_samples
        if draws is None:
            total = float(self.weights.sum())
            draws = math.ceil(total - 0.5)  # as round_to_repeats: a half down
        return math.ceil(draws / self.num_replicas)

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is."""
        self.epoch = epoch

    def set_weights(self, weights: ArrayLike) -> None:
        """Change the weights in place: who shares them sees it.

        Raises:
            ValueError: if they are not one for every image.
        """
        new = torch.as_tensor(np.asarray(weights, dtype=np.float64))
        if new.shape != self.weights.shape:
            raise ValueError(f"weights have shape {tuple(new.shape)}, expected one per image: {len(self.weights)}")
        self.weights.copy_(new)


def weighted_loader(loader: Any, weights: ArrayLike, **options: Any) -> Any:
    """A loader like the one given that draws by weight: batch size, collate function and workers stay.

    Args:
        loader: a ``DataLoader`` over a dataset with a length.
        weights: ``(images,)`` ≥ 1, in the order of ``loader.dataset``.
        options: of :class:`WeightedSampler`.

    Raises:
        ValueError: if there is not one weight for every image, or the loader's batches come from a ``batch_sampler``.

    Example:
        >>> loader = DataLoader(["street", "field", "yard"], batch_size=2)
        >>> sorted(name for batch in weighted_loader(loader, [1.0, 2.0, 1.0]) for name in batch)
        ['field', 'field', 'street', 'yard']
    """
    count = len(np.asarray(weights))
    if count != len(loader.dataset):
        raise ValueError(
            f"there are {count} weights for a dataset of {len(loader.dataset)} images; mine the images one trains on"
        )
    if loader.batch_size is None and loader.batch_sampler is not None:
        raise ValueError(
            f"the loader's batches come from its batch_sampler, a {type(loader.batch_sampler).__name__}: build that "
            f"one upon a WeightedSampler, or give a loader with a batch_size"
        )
    return rebuilt(DataLoader, loader, WeightedSampler(weights, **options))


def rebuilt(kind: Any, loader: Any, sampler: Any) -> Any:
    """A loader of that kind with another sampler and everything else as in the loader given."""
    workers = loader.num_workers
    return kind(
        loader.dataset,
        batch_size=loader.batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        drop_last=loader.drop_last,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context if workers else None,
        generator=loader.generator,
        prefetch_factor=loader.prefetch_factor if workers else None,
        persistent_workers=workers > 0,
    )
