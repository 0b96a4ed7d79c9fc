"""Draw the training images of Ultralytics by weight, both in the loader and in mosaics."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from ultralytics.data.augment import BaseMixTransform, Mosaic
from ultralytics.data.dataset import YOLODataset

from .carried import Carried, TakeOut, collate_gates
from .gates import Gates
from .sampler import WeightedSampler, rebuilt

__all__ = ["EpochLoader", "WeightedDataset", "draw_by_weight"]


class WeightedDataset(YOLODataset):  # type: ignore[misc]
    """A YOLO dataset that draws the partners of mosaic, mixup and cutmix by weight.

    Ultralytics draws the three partners of a mosaic itself, so a sampler determines only one image in four. It takes
    them from the images read recently, unless all images are in memory; this class takes them from the images *drawn*
    recently, which the sampler chose by weight. With ``cache="ram"`` partners are drawn from all images by weight.

    Attributes:
        weights: ``(images,)`` float64 in shared memory, so that changes reach running workers.
        carried: boxes that go through all transforms with the labels, and to the loss as ``batch["gates"]``; None
            for none. Running workers keep what they began with.
    """

    @classmethod
    def of(cls, dataset: Any) -> WeightedDataset:
        """Convert a dataset that Ultralytics built to a weighted one, with all weights 1.

        The class is replaced in place, because a function of Ultralytics chooses and builds the dataset.
        """
        dataset.__class__ = cls
        dataset.weights = torch.ones(len(dataset), dtype=torch.float64).share_memory_()
        dataset.recent = None
        dataset.carried = None
        dataset.transforms = dataset._link(dataset.transforms)
        return dataset  # type: ignore[no-any-return]

    def __getitem__(self, key: int | tuple[int, tuple[int, int]]) -> dict[str, Any]:
        """Return a transformed image; the key has the (height, width) of its batch if batches are rectangular."""
        index, shape = key if isinstance(key, tuple) else (key, None)
        if self.recent is not None:
            self.recent.append(index)
        label = self.get_image_and_label(index)
        if shape is not None:
            label["rect_shape"] = np.array(shape)
        transformed: dict[str, Any] = self.transforms(label)
        return transformed

    def build_transforms(self, hyp: Any = None) -> Any:
        """Return the transforms of Ultralytics, with partners drawn by weight."""
        return self._link(super().build_transforms(hyp))

    def carry(self, gates: Gates) -> Carried:
        """Carry these gates from now on, instead of earlier ones."""
        self.carried: Carried | None = Carried(gates, self.labels)
        return self.carried

    def update_labels_info(self, label: dict[str, Any]) -> dict[str, Any]:
        """Return the labels of an image as instances, with those that are carried."""
        known: dict[str, Any] = super().update_labels_info(
            label if self.carried is None else self.carried.add_to(label)
        )
        return known

    @staticmethod
    def collate_fn(batch: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a batch, with its gates, ``(k, 7)``: image in the batch, class, factor, centre, width and height."""
        gates = collate_gates(batch)
        return {**YOLODataset.collate_fn(batch), "gates": gates}

    def partners(self, count: int) -> list[int]:
        """Draw images to mix with, by weight."""
        if self.cache == "ram":
            return self._draw(count)
        if self.recent is None:
            length = max(self.max_buffer_length, 1)
            self.recent: deque[int] | None = deque(self._draw(length), maxlen=length)
        return random.choices(list(self.recent), k=count)

    def _draw(self, count: int) -> list[int]:
        """Draw images by weight with replacement, with Python's generator, which Ultralytics seeds in workers."""
        edges = np.cumsum(self.weights.numpy())
        at = [random.random() * edges[-1] for _ in range(count)]
        return np.minimum(np.searchsorted(edges, at, side="right"), len(edges) - 1).tolist()  # type: ignore[no-any-return]

    def _partner(self) -> int:
        return self.partners(1)[0]

    def _link(self, transforms: Any) -> Any:
        """Make every transform that mixes images draw its partners here, and the gates leave before the last one."""
        for transform in _all(transforms):
            if isinstance(transform, Mosaic):
                transform.get_indexes = partial(self.partners, transform.n - 1)
            elif isinstance(transform, BaseMixTransform):
                transform.get_indexes = self._partner
        if not any(isinstance(transform, TakeOut) for transform in transforms.transforms):
            transforms.insert(-1, TakeOut(self))  # the last one formats the labels
        return transforms


class EpochLoader(DataLoader):  # type: ignore[misc]
    """A loader that keeps its workers between epochs and asks the sampler again in every epoch.

    The loader of Ultralytics prefetches into the next epoch, with the weights of the last one.
    """

    _iterator: Any

    def close(self) -> None:
        """Shut the workers down."""
        if hasattr(self._iterator, "_shutdown_workers"):
            self._iterator._shutdown_workers()
        self._iterator = None

    reset = close  # the next epoch starts new workers, with the new transforms


class _RectangularSampler(WeightedSampler):
    """A sampler for rectangular batches: groups images of similar shape, and yields the batch shape with each."""

    def __init__(self, dataset: Any, batch_size: int, **options: Any) -> None:
        super().__init__(dataset.weights, **options)
        self.batch_size = batch_size
        self.place = np.asarray(dataset.batch)
        self.shapes = np.asarray(dataset.batch_shapes)

    def __iter__(self) -> Iterator[Any]:
        rng = np.random.default_rng([self.seed, self.epoch, self.rank])
        order = np.array(list(super().__iter__()), dtype=np.int64)
        order = order[np.argsort(self.place[order], kind="stable")]
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        for batch in [*(full[i] for i in rng.permutation(len(full))), *batches[len(full) :]]:
            height, width = self.shapes[self.place[batch]].max(axis=0).tolist()
            yield from ((int(i), (height, width)) for i in batch)


def draw_by_weight(loader: Any, *, num_replicas: int, rank: int, seed: int) -> EpochLoader:
    """Return a loader like that of Ultralytics for a :class:`WeightedDataset`, which draws by its weights.

    The length of an epoch does not change, because Ultralytics counts the batches once, before the first epoch.
    """
    dataset = loader.dataset
    options = {"num_samples": len(dataset), "num_replicas": num_replicas, "rank": rank, "seed": seed}
    if dataset.rect:
        sampler: WeightedSampler = _RectangularSampler(dataset, loader.batch_size, **options)
    else:
        sampler = WeightedSampler(dataset.weights, **options)
    return rebuilt(EpochLoader, loader, sampler)  # type: ignore[no-any-return]


def _all(transforms: Any) -> Iterator[Any]:
    """Yield all transforms, including nested ones."""
    for transform in getattr(transforms, "transforms", None) or [transforms]:
        yield transform
        within = getattr(transform, "pre_transform", None)
        if within is not None:
            yield from _all(within)
        if getattr(transform, "transforms", None):
            yield from _all(transform)
