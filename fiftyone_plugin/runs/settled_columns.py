"""Reviewed label errors that were put right before a run was mined, as it is stored: the run learns from them, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hnm_core import MiningResult
from hnm_core.labels.mistakes import Mistakes
from hnm_core.labels.reviews import BOGUS_LABEL, LABEL_ERRORS, STATES
from hnm_core.labels.settled import Settled
from hnm_core.taxonomy import ROW_NAMES

from ..store.box_tables import Tables, ids_of
from .evidence_columns import STORED, json_column

__all__ = ["GONE", "StoredSettled", "stored"]

GONE = ""
"""Instead of the id of a label that is gone."""


def stored(result: MiningResult, tables: Tables) -> dict[str, list[Any]]:
    """Return parallel lists ``label_id, sample_id, side, error, label, confidence, state``, and one a kind of evidence.

    Empty if nothing is settled.
    """
    settled = result.settled
    if not len(settled):
        return {}
    was, (of_predictions, of_truth) = settled.mistakes, settled.rows
    ids = [*ids_of(tables.predictions, of_predictions), *ids_of(tables.truth, of_truth)]
    return {
        "label_id": [*ids, *[GONE] * (len(settled) - len(ids))],
        "sample_id": [str(tables.sample_ids[image]) for image in was.image.tolist()],
        "side": np.where(was.of_truth, "truth", "prediction").tolist(),
        "error": [ROW_NAMES[code] for code in was.code.tolist()],
        "label": [tables.truth.classes[label] for label in was.label.tolist()],
        "confidence": json_column(was.score),
        "state": [STATES[answer] for answer in settled.answers.tolist()],
        **{f"{STORED}{kind}": json_column(column) for kind, column in settled.evidence.items()},
    }


class StoredSettled:
    """What was settled when a run was mined, as far as its reviews still stand.

    Args:
        columns: as :func:`stored` gave them; nothing of a run of an earlier version.
        images: ids of the samples of the run, as ``mistakes`` numbers them.
        classes: likewise.
        mistakes: those of the run; if they have twins, each of these is alone.
    """

    def __init__(
        self, columns: Mapping[str, Sequence[Any]], images: Iterable[str], classes: Iterable[str], mistakes: Mistakes
    ) -> None:
        self._columns = columns
        self._all = _read(columns, images, classes, mistakes) if columns else Settled.none()
        self._stands = np.ones(len(self._all), dtype=bool)
        self.now = self._all

    def catch_up(
        self, samples: Collection[str], answers: Mapping[str, int], entries: Iterable[Mapping[str, Any]]
    ) -> bool:
        """Leave out what is no longer reviewed as a label error, and return whether that changed anything.

        Args:
            samples: ids of the samples whose reviews changed.
            answers: answer on every box there, by ``SIDE:ID``.
            entries: of the ledger, on these samples, in order.
        """
        last = {f"{entry['side']}:{entry['label_id']}": (entry["image"], entry["state"]) for entry in entries}
        bogus = [key for key, (_, state) in last.items() if state == STATES[BOGUS_LABEL] and key not in answers]
        left, before = Counter(last[key][0] for key in bogus), self._stands.copy()
        for row, sample in enumerate(self._columns.get("sample_id", ())):
            if sample not in samples:
                continue
            side, label_id = (self._columns[name][row] for name in ("side", "label_id"))
            if label_id == GONE:
                self._stands[row] = left[sample] > 0
                left[sample] -= 1
            else:
                self._stands[row] = answers.get(f"{side}:{label_id}", 0) in LABEL_ERRORS
        if np.array_equal(before, self._stands):
            return False
        self.now = self._all if self._stands.all() else self._all.take(self._stands)
        return True


def _read(
    columns: Mapping[str, Sequence[Any]], images: Iterable[str], classes: Iterable[str], mistakes: Mistakes
) -> Settled:
    n = len(columns["label_id"])
    image, label, code, answer = (
        {name: number for number, name in enumerate(names)} for names in (images, classes, ROW_NAMES, STATES)
    )
    was = Mistakes(
        image=np.array([image[name] for name in columns["sample_id"]], dtype=np.int64),
        code=np.array([code[name] for name in columns["error"]], dtype=np.int8),
        label=np.array([label[name] for name in columns["label"]], dtype=np.int64),
        score=np.array(columns["confidence"], dtype=np.float64),
        difficulty=np.full(n, np.nan),
        of_truth=np.array(columns["side"], dtype=object) == "truth",
        mined=np.zeros(n, dtype=bool),
        twins=None if mistakes.twins is None else int(mistakes.twins.max(initial=-1)) + 1 + np.arange(n),
    )
    known = {name: values for name, values in columns.items() if name.startswith(STORED)}
    evidence = {name.removeprefix(STORED): np.array(values, dtype=np.float64) for name, values in known.items()}
    return Settled(was, np.array([answer[name] for name in columns["state"]], dtype=np.int8), evidence=evidence)
