"""Write what was mined of shards: two Parquet files a shard, by the task that has the shard, and then the report."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines.arrow_folder import UNFINISHED, ArrowFolder
from ..engines.result import ShardedResult, mined_part
from ..engines.shard import Columns
from ..labels.reviews import STATES
from ..selection.mined import MINED_KINDS
from ..taxonomy import ROW_NAMES
from .parquet import pyarrow_and_parquet

__all__ = ["check_parts", "write_parts"]

IMAGES, MINED, REPORT = "images", "mined", "report.json"
BOX = ("x0", "y0", "x1", "y1")


def check_parts(folder: ArrowFolder, shards: int) -> None:
    """Refuse a folder that holds anything but an unfinished mining of so many shards.

    Raises:
        FileExistsError: if it does.
    """
    ours = re.compile(rf"(\.?({IMAGES}|{MINED})-\d{{5,}}-of-{shards:05d}\.parquet.*|\.{REPORT}-.*{UNFINISHED})")
    other = [name for name in folder.names() if not ours.fullmatch(name)]
    if other:
        what = "a mining that is complete" if REPORT in other else f"{len(other)} other files, first {other[0]}"
        raise FileExistsError(f"{folder.uri} holds {what}; choose another folder")


def write_parts(folder: ArrowFolder, result: ShardedResult) -> None:
    """Write a folder of ``images-*.parquet``, ``mined-*.parquet`` and, when these are complete, ``report.json``.

    Files are written beside their place and renamed; the same result gives the same bytes.

    Args:
        folder: where; files of these names are replaced.
        result: whose engine still keeps the shards.
    """
    per_image = {
        **{"weight": result.weights, "repeats": result.repeats, "score": result.image_scores},
        **{"hard_negatives": result.hard_counts, "hard_image": result.hard_images},
    }
    starts, count = result.starts, len(result.starts) - 1
    each = [
        (number, start, result.names[start:stop], {name: column[start:stop] for name, column in per_image.items()})
        for number, (start, stop) in enumerate(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))
    ]
    for _ in result.engine.ask(_write_part, folder, count, result.classes, each=each):
        pass
    said = {"settings": result.settings.as_dict(), "report": result.report.as_dict()}
    folder.write(REPORT, (json.dumps(said, indent=1) + "\n").encode())


def _write_part(
    columns: Columns,
    own: tuple[int, int, NDArray[np.bytes_], Mapping[str, NDArray[Any]]],
    folder: ArrowFolder,
    count: int,
    classes: tuple[str, ...],
) -> None:
    number, first, keys, per_image = own
    names = np.array([key.decode("utf-8") for key in keys.tolist()], dtype=object)
    part = mined_part(columns, first)
    arrow, _ = pyarrow_and_parquet()
    confidence = arrow.array(part.score, mask=part.of_truth)
    suspicion = arrow.array(part.suspicion, from_pandas=True)
    mined = {
        **{"image": names[part.image - first], "row": part.row, "type": np.array(MINED_KINDS)[part.kind]},
        **{"error": np.array(ROW_NAMES)[part.code], "class": np.array(classes, dtype=object)[part.label]},
        **{"confidence": confidence, "difficulty": part.difficulty, "suspicion": suspicion},
        **{"state": np.array(STATES)[part.state], "iou": part.iou, "near": part.near},
        **dict(zip(BOX, part.xyxy.T, strict=True)),
    }
    for what, table in ((IMAGES, {"image": names, **per_image}), (MINED, mined)):
        folder.write(f"{what}-{number:05d}-of-{count:05d}.parquet", _parquet(table))


def _parquet(columns: Mapping[str, Any]) -> Any:
    arrow, parquet = pyarrow_and_parquet()
    types = {"image": arrow.string(), "type": arrow.string(), "error": arrow.string(), "state": arrow.string()}
    types["class"] = arrow.string()
    arrays = {
        name: column if isinstance(column, arrow.Array) else arrow.array(column, types.get(name))
        for name, column in columns.items()
    }
    out = arrow.BufferOutputStream()
    parquet.write_table(arrow.table(arrays), out, compression="zstd", write_page_checksum=True)
    return out.getvalue()
