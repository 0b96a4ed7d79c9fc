"""Ultralytics' training images, drawn by weight wherever they are drawn: by the loader, and into a mosaic."""

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

from .sampler import WeightedSampler, rebuilt

__all__ = ["EpochLoader", "WeightedDataset", "draw_by_weight"]


class WeightedDataset(YOLODataset):  # type: ignore[misc]
    """A YOLO dataset whose mosaics, mix-ups and cut-mixes draw their partners by weight.

    Ultralytics draws the three partners of a mosaic itself: a sampler alone decides one image in four. It draws them
    from the images read lately, unless all are in memory; so do we, from those that were *drawn* lately, which the
    sampler chose by weight. With ``cache="ram"`` partners come from all images, by weight.

    Attributes:
        weights: ``(images,)`` float64 in shared memory: a change reaches workers that are running.
    """

    @classmethod
    def of(cls, dataset: Any) -> WeightedDataset:
        """Make a dataset that Ultralytics built a weighted one; all weights are 1.

        The class is exchanged since Ultralytics chooses what to build, and how, in a function of its own.
        """
        dataset.__class__ = cls
        dataset.weights = torch.ones(len(dataset), dtype=torch.float64).share_memory_()
        dataset.recent = None
        dataset._link(dataset.transforms)
        return dataset  # type: ignore[no-any-return]

    def __getitem__(self, key: int | tuple[int, tuple[int, int]]) -> dict[str, Any]:
        """An image, transformed; with the (height, width) of its batch where batches are rectangular."""
        index, shape = key if isinstance(key, tuple) else (key, None)
        if self.recent is not None:
            self.recent.append(index)
        label = self.get_image_and_label(index)
        if shape is not None:
            label["rect_shape"] = np.array(shape)
        transformed: dict[str, Any] = self.transforms(label)
        return transformed

    def build_transforms(self, hyp: Any = None) -> Any:
        """Ultralytics' own, drawing partners by weight."""
        return self._link(super().build_transforms(hyp))

    def partners(self, count: int) -> list[int]:
        """Images to mix with, by weight."""
        if self.cache == "ram":
            return self._draw(count)
        if self.recent is None:
            length = max(self.max_buffer_length, 1)
            self.recent: deque[int] | None = deque(self._draw(length), maxlen=length)
        return random.choices(list(self.recent), k=count)

    def _draw(self, count: int) -> list[int]:
        """Images by weight, with replacement, from Python's own generator, which Ultralytics seeds in workers."""
        edges = np.cumsum(self.weights.numpy())
        at = [random.random() * edges[-1] for _ in range(count)]
        return np.minimum(np.searchsorted(edges, at, side="right"), len(edges) - 1).tolist()  # type: ignore[no-any-return]

    def _partner(self) -> int:
        return self.partners(1)[0]

    def _link(self, transforms: Any) -> Any:
        """Let every transform that mixes images ask here for partners."""
        for transform in _all(transforms):
            if isinstance(transform, Mosaic):
                transform.get_indexes = partial(self.partners, transform.n - 1)
            elif isinstance(transform, BaseMixTransform):
                transform.get_indexes = self._partner
        return transforms


class EpochLoader(DataLoader):  # type: ignore[misc]
    """A loader whose workers live on from epoch to epoch, and whose every epoch asks the sampler anew.

    Ultralytics' own reads ahead into the next epoch, with the weights of the last.
    """

    _iterator: Any

    def close(self) -> None:
        """Let the workers go."""
        if hasattr(self._iterator, "_shutdown_workers"):
            self._iterator._shutdown_workers()
        self._iterator = None

    reset = close  # new workers, which know of new transforms, come with the next epoch


class _ShapedSampler(WeightedSampler):
    """For rectangular batches: images of like shape together, each with the shape of its batch."""

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
    """The loader that Ultralytics built for a :class:`WeightedDataset`, drawing by its weights.

    An epoch stays as long as it was: Ultralytics counts its batches once, before the first.
    """
    dataset = loader.dataset
    options = {"num_samples": len(dataset), "num_replicas": num_replicas, "rank": rank, "seed": seed}
    if dataset.rect:
        sampler: WeightedSampler = _ShapedSampler(dataset, loader.batch_size, **options)
    else:
        sampler = WeightedSampler(dataset.weights, **options)
    return rebuilt(EpochLoader, loader, sampler)  # type: ignore[no-any-return]


def _all(transforms: Any) -> Iterator[Any]:
    """Every transform, those within others too."""
    for transform in getattr(transforms, "transforms", None) or [transforms]:
        yield transform
        within = getattr(transform, "pre_transform", None)
        if within is not None:
            yield from _all(within)
        if getattr(transform, "transforms", None):
            yield from _all(transform)
