"""Repeat factors of the images by their rarest class, with numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["class_factors_of", "class_repeat_factors", "images_per_class", "largest_factors"]


def class_repeat_factors(
    image: NDArray[np.int64], label: NDArray[np.int64], images: int, classes: int, threshold: float
) -> NDArray[np.float64]:
    """Return the repeat factor of every image by its rarest class (LVIS, Gupta et al. 2019, appendix B.2).

    f(c) is the share of images with class c, r(c) = max(1, √(t / f(c))), r(I) = the largest r(c) of the image, 1
    without objects.

    Args:
        image: ``(m,)`` image number of every truth.
        label: ``(m,)`` its class number.
        images: number of images.
        classes: number of classes.
        threshold: t, a share of the images.

    Example:
        >>> image, label = np.array([0, 1, 1]), np.array([0, 0, 1])
        >>> class_repeat_factors(image, label, images=4, classes=2, threshold=1.0).round(3).tolist()
        [1.414, 2.0, 1.0, 1.0]
    """
    factor = class_factors_of(images_per_class(image, label, classes), images, threshold)
    return largest_factors(image, label, images, factor)


def images_per_class(image: NDArray[np.int64], label: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return in how many images each class is, ``(classes,)``; arguments as for :func:`class_repeat_factors`."""
    pairs = np.unique(image * max(classes, 1) + label)
    return np.bincount(pairs % max(classes, 1), minlength=classes)


def class_factors_of(count: NDArray[np.int64], images: int, threshold: float) -> NDArray[np.float64]:
    """Return r(c) of every class from the number of its images, ``(classes,)``."""
    share = count / max(images, 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # classes without images, whose factor is not used
        return np.asarray(np.maximum(1.0, np.sqrt(threshold / share)), dtype=np.float64)


def largest_factors(
    image: NDArray[np.int64], label: NDArray[np.int64], images: int, factor: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the largest factor of the classes of every image, 1 without objects, ``(images,)``."""
    out = np.ones(images)
    np.maximum.at(out, image, factor[label])
    return out
