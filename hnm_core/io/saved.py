"""A mining on disk: the two tables, what was asked, and what people and trainers read of the answer.

Only tables, settings, reviews and evidence are read back. Mining them again takes a moment and gives the same result,
so there is no second truth that could disagree.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import Detections
from ..pipeline import mine
from ..result import MiningResult
from ..reviews import Reviews
from ..settings import MiningSettings
from .aside import new_folder

__all__ = ["load_mining", "save_mining"]

TABLES, RECORD = "tables.npz", "mining.json"
PREDICTIONS, TRUTH = "predictions", "truth"
BOX = ("x0", "y0", "x1", "y1")


def save_mining(folder: str | Path, result: MiningResult, source: Mapping[str, Any], pages: Mapping[str, str]) -> Path:
    """Write a mining into a new folder, built aside and renamed.

    Args:
        folder: must not exist, or be empty.
        result: what was mined.
        source: where the tables came from; kept in ``mining.json``.
        pages: more text files, by name, such as ``report.html``.

    Returns:
        The folder: ``tables.npz``, ``mining.json`` (source, settings, report), ``weights.csv``,
        ``hard_negatives.csv`` (hardest first) and the pages.

    Raises:
        FileExistsError: if the folder holds anything.
    """
    target = Path(folder).resolve()
    with new_folder(target, "choose another --output") as aside:
        _write_tables(aside / TABLES, result)
        record = {
            **{"source": source, "settings": result.settings.as_dict(), "report": result.report.as_dict()},
            "reviews": None if result.reviews is None else result.reviews.as_entries(),
            "evidence": list(result.evidence),
        }
        (aside / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        _write_weights(aside / "weights.csv", result)
        _write_hard_negatives(aside / "hard_negatives.csv", result)
        for name, text in pages.items():
            (aside / name).write_text(text, encoding="utf-8")
    return target


def load_mining(folder: str | Path) -> tuple[MiningResult, dict[str, Any]]:
    """A mining from its folder, and where its tables came from.

    Raises:
        FileNotFoundError: if the folder holds no mining.
        ValueError: if its files are damaged.
    """
    folder = Path(folder)
    if not (folder / RECORD).is_file() or not (folder / TABLES).is_file():
        raise FileNotFoundError(
            f"{folder} holds no mining ({RECORD}, {TABLES}); `hnm mine --output {folder}` makes one"
        )
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        with (folder / TABLES).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            predictions, truth = (_read_table(arrays, side) for side in (PREDICTIONS, TRUTH))
            evidence = {name: _read_evidence(arrays, i) for i, name in enumerate(record.get("evidence", ()))}
        settings = MiningSettings.from_dict(record["settings"])
    except (KeyError, json.JSONDecodeError, zipfile.BadZipFile, EOFError, IndexError) as error:
        raise ValueError(f"{folder} is damaged ({type(error).__name__}: {error}); mine again") from None
    entries = record.get("reviews")
    reviews = None if entries is None else Reviews.of(entries)
    return mine(predictions, truth, settings, reviews=reviews, evidence=evidence), record["source"]


def _write_tables(path: Path, result: MiningResult) -> None:
    arrays: dict[str, Any] = {"images": np.array(result.truth.images), "classes": np.array(result.truth.classes)}
    for side, table in ((PREDICTIONS, result.predictions), (TRUTH, result.truth)):
        for name in ("image", "xyxy", "label", "score", "crowd"):
            column = getattr(table, name)
            if column is not None:
                arrays[f"{side}_{name}"] = column
    for i, values in enumerate(result.evidence.values()):
        sides = values if isinstance(values, tuple) else (values,)
        arrays |= {f"evidence_{i}_{side}": column for side, column in zip((PREDICTIONS, TRUTH), sides, strict=False)}
    np.savez_compressed(path, **arrays)


def _read_table(arrays: Any, side: str) -> Detections:
    columns = {name: arrays[f"{side}_{name}"] for name in ("image", "xyxy", "label")}
    columns |= {name: arrays.get(f"{side}_{name}") for name in ("score", "crowd")}
    return Detections(**columns, images=tuple(arrays["images"].tolist()), classes=tuple(arrays["classes"].tolist()))


def _read_evidence(arrays: Any, number: int) -> Any:
    sides = tuple(arrays[key] for side in (PREDICTIONS, TRUTH) if (key := f"evidence_{number}_{side}") in arrays)
    return sides if len(sides) == 2 else sides[0]


def _write_weights(path: Path, result: MiningResult) -> None:
    columns = (result.weights, result.repeats, result.image_scores, result.hard_counts)
    rows = zip(result.truth.images, *(column.tolist() for column in columns), strict=True)
    _write_csv(path, ("image", "weight", "repeats", "score", "hard_negatives"), rows)


def _write_hard_negatives(path: Path, result: MiningResult) -> None:
    """One row per mined object, hardest first; coordinates in the unit of the tables."""
    rows = []
    for side, table in (("prediction", result.predictions), ("truth", result.truth)):
        names = (f"{side}_{name}" for name in ("type", "error", "difficulty", "suspicion", "state", "iou"))
        kind, error, difficulty, suspicion, state, iou = (getattr(result, name) for name in names)
        for i in np.flatnonzero(getattr(result, f"{side}_hard")).tolist():
            score = "" if table.score is None else float(table.score[i])
            rows.append(
                (
                    *(table.images[table.image[i]], str(kind[i]), str(error[i]), table.classes[table.label[i]]),
                    *(score, float(difficulty[i]), float(np.nan_to_num(suspicion[i]))),
                    *(str(state[i]), float(iou[i])),
                    *table.xyxy[i].tolist(),
                )
            )
    head = ("image", "type", "error", "class", "confidence", "difficulty", "suspicion", "state", "iou", *BOX)
    _write_csv(path, head, sorted(rows, key=lambda row: -float(row[5])))


def _write_csv(path: Path, head: tuple[str, ...], rows: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
