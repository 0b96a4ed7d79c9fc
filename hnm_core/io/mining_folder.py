"""Save a mining to a folder and load it: tables, settings, report, weights and hard negatives.

The tables are a file of their own; of a mining of shards they are these very shards, linked where nobody may change
them. Only tables (that of a second model too), settings, reviews, evidence and twins are read back. The rest is
computed again, which is fast and gives the same result, so that no two files can contradict each other.

A mining that does not keep its boxes has what was found in place of tables, see :mod:`.found`.
"""

from __future__ import annotations

import json
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..columns import Detections
from ..labels.reviews import Reviews
from ..pipeline import mine
from ..report import MiningReport
from ..result import Mined, MiningResult
from ..settings import MiningSettings
from .found import FoundMining, read_found, write_arrays, write_found
from .kept_shards import check_shards, digests_of, keep_shards
from .mining_files import write_csv_files
from .shard_heads import open_shards
from .shard_reading import read_whole
from .shards import Shard
from .write_aside import new_folder, say_unfinished

__all__ = ["SHARDS", "load_mining", "mined_before", "new_mining", "open_mining", "save_mining", "write_mining"]

TABLES, SHARDS, FOUND, RECORD = "tables.npz", "tables", "found.npz", "mining.json"
PREDICTIONS, TRUTH, SECOND = "predictions", "truth", "second"
TWINS = f"twins_{PREDICTIONS}", f"twins_{TRUTH}"
OPTIONAL = ("score", "crowd", "kind", "verified", "not_exhaustive")
DAMAGED = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
"""What reading a damaged ``.npz`` or JSON can raise."""


def damage_of(error: BaseException) -> str:
    """Say what one of these errors is about; NumPy advises to load an unsafe file all the same."""
    said = "it is no archive of arrays" if "allow_pickle" in str(error) else error
    return f"{type(error).__name__}: {said}"


def save_mining(
    folder: str | Path,
    result: MiningResult,
    source: Mapping[str, Any],
    pages: Mapping[str, str],
    shards: Path | None = None,
    *,
    keep_boxes: bool = True,
) -> Path:
    """Write a mining to a new folder, which appears only when it is complete.

    Args:
        folder: must not exist, or must be empty.
        result: the mining.
        source: where the tables came from; stored in ``mining.json``.
        pages: further text files by name, such as ``report.html``.
        shards: the folder of shards that hold exactly the tables, groups, evidence and twins of the result; None if
            there are none.
        keep_boxes: whether the folder gets all boxes, or only what was found in them.

    Returns:
        The folder: ``tables.npz``, the shards in ``tables``, or ``found.npz``; ``mining.json`` (source, settings,
        report), ``weights.csv``, ``hard_negatives.csv`` (false positives first, each kind hardest first),
        ``confusions.csv`` (pairs of confused classes), ``thresholds.csv`` (counts at other confidence thresholds) and
        the pages.

    Raises:
        FileExistsError: if the folder is not empty.
    """
    with new_mining(folder) as aside:
        digests: dict[str, str] = {}
        if shards is not None:
            opened = open_shards(shards)
            digests = keep_shards(opened, aside / SHARDS) if keep_boxes else digests_of(opened)
        elif keep_boxes:
            _write_tables(aside / TABLES, result)
        write_mining(aside, result, source, pages, digests, keep_boxes=keep_boxes)
    return Path(folder).resolve()


@contextmanager
def new_mining(folder: str | Path) -> Iterator[Path]:
    """Write a mining beside its place and rename it at the end of the block.

    Yields:
        Where to write the tables and :func:`write_mining`.

    Raises:
        FileExistsError: if the folder is not empty.
    """
    target = Path(folder).resolve()
    say_unfinished(target.parent)
    with new_folder(target, "choose another --output") as aside:
        yield aside


def write_mining(
    folder: Path,
    result: Mined,
    source: Mapping[str, Any],
    pages: Mapping[str, str],
    digests: Mapping[str, str],
    *,
    digest: str = "",
    keep_boxes: bool = True,
) -> None:
    """Write all files of a mining but its tables.

    Args:
        folder: of the mining.
        result: the mining.
        source: where the tables came from.
        pages: further text files by name.
        digests: of the shards that hold the tables, here or where they were mined, by file name; empty if there are
            none.
        digest: of all that the mining follows from, see :func:`mined_before`; empty if nobody asks.
        keep_boxes: whether the folder has the tables; if not, what was found is written in their place.
    """
    record = {
        **{"source": source, "settings": {**result.settings.as_dict(), "max_per_group": result.max_per_group}},
        "report": result.report.as_dict(),
        "reviews": None if result.reviews is None else result.reviews.as_entries(),
        **{"evidence": list(result.kinds), "unit": result.unit},
        **({"tables": dict(digests)} if digests else {}),
        **({"input": digest} if digest else {}),
    }
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    write_csv_files(folder, result)
    if not keep_boxes:
        write_found(folder / FOUND, result)
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def mined_before(folder: Path, digest: str) -> MiningReport | None:
    """Return the report of a complete mining of the same input with the same settings; None if there is none."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return MiningReport.from_dict(record["report"]) if record.get("input") == digest else None
    except (FileNotFoundError, NotADirectoryError, *DAMAGED):
        return None


def load_mining(folder: str | Path) -> tuple[MiningResult, dict[str, Any]]:
    """Load a mining with all its boxes from its folder; return it, and where its tables came from.

    Boxes that the folder does not keep are read where they were mined, if they are there as they were.

    Raises:
        FileNotFoundError: if the folder does not contain a mining.
        ValueError: if its files are damaged, or there are no boxes.
    """
    folder, record = _record_of(folder)
    with _damage(folder):
        settings, quota, reviews = _asked(record)
        source = dict(record["source"])
        second: Detections | None = None
        if (folder / FOUND).is_file():
            tables = None
        elif (folder / SHARDS).is_dir():
            check_shards(folder / SHARDS, record["tables"])
            tables = read_whole(folder / SHARDS)
        else:
            tables, second = _of_arrays(folder, record)
    tables = tables or _of_input(folder, record)
    known: dict[str, Any] = {"groups": tables.groups, "evidence": tables.evidence, "twins": tables.twins}
    known |= {"max_per_group": quota, "reviews": reviews, "second_predictions": second}
    result = mine(tables.predictions, tables.truth, settings, **known)
    return result, source


def open_mining(folder: str | Path) -> tuple[MiningResult | FoundMining, dict[str, Any]]:
    """Load a mining for reports, exports and comparisons, which need no boxes; where it keeps them, with all of them.

    Raises:
        FileNotFoundError: if the folder does not contain a mining.
        ValueError: if its files are damaged.
    """
    folder, record = _record_of(folder)
    if not (folder / FOUND).is_file():
        return load_mining(folder)
    with _damage(folder):
        settings, quota, reviews = _asked(record)
        report = MiningReport.from_dict(record["report"])
        known = reviews, tuple(record["evidence"]), record["unit"], quota, read_found(folder / FOUND)
        return FoundMining(settings, report, *known), dict(record["source"])


def _record_of(folder: str | Path) -> tuple[Path, dict[str, Any]]:
    folder = Path(folder)
    there = (folder / TABLES).is_file() or (folder / SHARDS).is_dir() or (folder / FOUND).is_file()
    if not there or not (folder / RECORD).is_file():
        raise FileNotFoundError(
            f"{folder} does not contain a mining ({RECORD}, {TABLES}); create one with `hnm mine --output {folder}`"
        )
    with _damage(folder):
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return folder, dict(record)


@contextmanager
def _damage(folder: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGED as error:
        raise ValueError(f"{folder} is damaged ({damage_of(error)}); mine again") from None


def _asked(record: Mapping[str, Any]) -> tuple[MiningSettings, int, Reviews | None]:
    """Return settings, quota of a group, and reviews."""
    values = dict(record["settings"])
    quota = values.pop("max_per_group")
    entries = record.get("reviews")
    return MiningSettings.from_dict(values), quota, None if entries is None else Reviews.of(entries)


def _of_input(folder: Path, record: Mapping[str, Any]) -> Shard:
    """Read the shards that were mined, of a mining that does not keep its boxes.

    Raises:
        ValueError: if they are not there as they were.
    """
    reason = ""
    if record.get("tables"):
        try:
            place = Path(record["source"]["shards"])
            check_shards(place, record["tables"])
            return read_whole(place)
        except DAMAGED as error:
            reason = f", and {error}"
    raise ValueError(f"{folder} does not keep its boxes{reason}: mine again with --keep-boxes")


def _of_arrays(folder: Path, record: Mapping[str, Any]) -> tuple[Shard, Detections | None]:
    with (folder / TABLES).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        predictions, truth = (_read_table(arrays, side) for side in (PREDICTIONS, TRUTH))
        groups = arrays["groups"].tolist() if "groups" in arrays else None
        evidence = {name: _read_evidence(arrays, i) for i, name in enumerate(record.get("evidence", ()))}
        twins = (arrays[TWINS[0]], arrays[TWINS[1]]) if TWINS[0] in arrays else None
        second = _read_table(arrays, SECOND) if f"{SECOND}_image" in arrays else None
        return Shard(predictions, truth, groups, evidence, twins), second


def _write_tables(path: Path, result: MiningResult) -> None:
    arrays: dict[str, Any] = {"images": np.array(result.truth.images), "classes": np.array(result.truth.classes)}
    tables = {PREDICTIONS: result.predictions, TRUTH: result.truth}
    if result.second_predictions is not None:
        tables[SECOND] = result.second_predictions
    for side, table in tables.items():
        for name in ("image", "xyxy", "label", *OPTIONAL):
            column = getattr(table, name)
            if column is not None:
                arrays[f"{side}_{name}"] = column
    if result.groups is not None:
        arrays["groups"] = result.groups
    if result.twins is not None:
        arrays |= dict(zip(TWINS, result.twins, strict=True))
    for i, values in enumerate(result.evidence.values()):
        sides = values if isinstance(values, tuple) else (values,)
        arrays |= {f"evidence_{i}_{side}": column for side, column in zip((PREDICTIONS, TRUTH), sides, strict=False)}
    write_arrays(path, iter(arrays.items()))


def _read_table(arrays: Any, side: str) -> Detections:
    columns = {name: arrays[f"{side}_{name}"] for name in ("image", "xyxy", "label")}
    columns |= {name: arrays.get(f"{side}_{name}") for name in OPTIONAL}
    return Detections(**columns, images=tuple(arrays["images"].tolist()), classes=tuple(arrays["classes"].tolist()))


def _read_evidence(arrays: Any, number: int) -> Any:
    sides = tuple(arrays[key] for side in (PREDICTIONS, TRUTH) if (key := f"evidence_{number}_{side}") in arrays)
    return sides if len(sides) == 2 else sides[0]
