"""A weighted sampler for torch that draws every image, for one process or several."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from ..weighting.weights import whole_draws
from .draws import order_of_epoch
from .processes import asker_divides, place_among_processes

__all__ = ["WeightedSampler", "weighted_loader"]


class WeightedSampler(DistributedSampler):  # type: ignore[misc]
    """Draw images by weight without leaving any out, and distribute them over the processes of a training.

    ``torch.utils.data.WeightedRandomSampler(weights, len(weights))`` accepts the same weights, but it draws with
    replacement, so more than a third of the images are missing in an epoch, and every process draws its own images.
    Here an image is drawn ⌊w⌋ or ⌈w⌉ times (see :mod:`hnm_core.training.draws`), and all processes share one order.

    The processes are counted when it is asked, so it may be built before they exist. Lightning, Fabric and Ray leave a
    ``DistributedSampler`` alone, so this is one. Accelerate, and so the ``Trainer`` of transformers, divides among the
    processes whatever it gets: it receives the whole order (see :mod:`hnm_core.training.processes`).

    Every iteration is the next epoch; call ``set_epoch`` when a training is resumed. Changed weights, in place or by
    ``set_weights``, take effect in the next iteration.

    Args:
        weights: ``(images,)``, in the order of the dataset; a float64 tensor is not copied, so that it can be shared.
        num_samples: images per epoch over all processes; None for round(Σw), with each image at least once.
        num_replicas: number of processes; None for that of ``torch.distributed`` when asked, or 1.
        rank: of this process; None for that of ``torch.distributed`` when asked, or 0.
        seed: the same for all processes.

    Raises:
        ValueError: if ``rank`` is not below ``num_replicas``, or the weights are no row of numbers.

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
        self.weights = torch.as_tensor(weights, dtype=torch.float64)
        if self.weights.ndim != 1:
            raise ValueError(f"weights have shape {tuple(self.weights.shape)}, expected one number per image")
        self.num_samples = num_samples
        self.asked = num_replicas, rank
        self.seed = seed
        self.epoch = 0
        replicas, own = self._place()
        if not 0 <= own < replicas:
            raise ValueError(f"rank must be in [0, {replicas - 1}], got {own}")

    def __iter__(self) -> Iterator[Any]:
        replicas, rank = self._place()
        order = order_of_epoch(self.weights.numpy(), self.epoch, seed=self.seed, draws=self.num_samples)
        self.epoch += 1
        whole = np.resize(order, self._length(replicas) * replicas)  # the first images fill up the last round
        return iter(whole[rank::replicas].tolist())

    def __len__(self) -> int:
        """Return the number of images per epoch and process."""
        return self._length(self._place()[0])

    def _length(self, replicas: int) -> int:
        draws = whole_draws(self.weights.numpy()) if self.num_samples is None else self.num_samples
        return math.ceil(draws / replicas)

    def _place(self) -> tuple[int, int]:
        """Return among how many processes the order is divided here, and which part is this process's."""
        replicas, rank = place_among_processes()
        asked_replicas, asked_rank = self.asked
        replicas = asked_replicas or replicas
        if replicas > 1 and asker_divides(self):
            return 1, 0
        return replicas, rank if asked_rank is None else asked_rank

    @property
    def num_replicas(self) -> int:
        """Return the number of processes."""
        return self._place()[0]

    @property
    def rank(self) -> int:
        """Return the number of this process."""
        return self._place()[1]

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration."""
        self.epoch = epoch

    def set_weights(self, weights: ArrayLike) -> None:
        """Change the weights in place, also for processes that share them.

        Raises:
            ValueError: if there is not one weight per image.
        """
        new = torch.as_tensor(np.asarray(weights, dtype=np.float64))
        if new.shape != self.weights.shape:
            raise ValueError(f"weights have shape {tuple(new.shape)}, expected one per image: {len(self.weights)}")
        self.weights.copy_(new)


def weighted_loader(loader: Any, weights: ArrayLike, **options: Any) -> Any:
    """Return a loader that draws by weight, with all other options of the given loader.

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
            f"there are {count} weights for a dataset of {len(loader.dataset)} images; mine the images you train on"
        )
    if loader.batch_size is None and loader.batch_sampler is not None:
        raise ValueError(
            f"the batches of the loader come from a batch_sampler ({type(loader.batch_sampler).__name__}): build it "
            f"with a WeightedSampler, or use a loader with batch_size"
        )
    return rebuilt(DataLoader, loader, WeightedSampler(weights, **options))


def rebuilt(kind: Any, loader: Any, sampler: Any) -> Any:
    """Return a loader of the given class with another sampler and all other options of the given loader."""
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
