"""Join the strata that parts of the data name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .strata import BANDS, NO_BAND

__all__ = ["merge_strata"]


def merge_strata(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]],
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Join the strata that parts of the data name, as :func:`number_strata` numbers them in the whole.

    Returns:
        ``code``, ``label`` and ``band`` of every stratum, and per part the numbers of its own ones.
    """
    if len(parts) == 1:
        return parts[0], [np.arange(len(parts[0][0]))]
    code, label, band = (np.concatenate(column) for column in zip(*parts, strict=True))
    bands, among = len(BANDS) + 2, int(label.max(initial=0)) + 1
    keys, number = np.unique((code * among + label) * bands + band - NO_BAND, return_inverse=True)
    kind, band = np.divmod(keys, bands)
    places = np.split(number, np.cumsum([len(part[0]) for part in parts])[:-1])
    return (kind // among, kind % among, band + NO_BAND), places
