"""A folder of shards by its address, and what was mined of them in a folder: both checked, in one sentence each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hnm_core import MiningSettings, mine
from hnm_core.engines import Local, Shard
from hnm_core.io import mine_to_folder, read_shards, shard_files, write_shards
from tests.scenes import Tables, random_scene

pytest.importorskip("pyarrow", reason="shards are Parquet")
import pyarrow.parquet

IMAGES, PER_SHARD, SHARDS = 20, 6, 4
SETTINGS = MiningSettings(hard_negative_ratio=1.0)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return random_scene(0, images=IMAGES, classes=3)


@pytest.fixture
def shards(tables: Tables, tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards", Shard(*tables), images_per_shard=PER_SHARD)


def mined(shards: str | Path, folder: Path, **more: Any) -> dict[str, Any]:
    with Local(shard_files(shards)) as engine:
        mine_to_folder(engine, folder, SETTINGS, **more)
    return json.loads((folder / "report.json").read_text())


def test_the_shards_of_an_address_are_those_of_the_folder(shards: Path) -> None:
    files = shard_files(shards.as_uri())
    assert len(files) == SHARDS
    for file, shard in zip(files, read_shards(shards), strict=True):
        assert file().truth.images == shard.truth.images
        assert file().predictions.xyxy.tolist() == shard.predictions.xyxy.tolist()
        digest, make = file.read()
        assert digest == shard_files(shards)[file.number].read()[0]
        assert make().predictions.score.tolist() == shard.predictions.score.tolist()


def test_the_folder_has_the_weights_and_the_mined_rows_of_all_images(
    tables: Tables, shards: Path, tmp_path: Path
) -> None:
    said = mined(shards, tmp_path / "mined")
    whole = mine(*tables, SETTINGS)
    assert said == {"settings": SETTINGS.as_dict(), "report": json.loads(json.dumps(whole.report.as_dict()))}
    images = pyarrow.parquet.read_table(sorted((tmp_path / "mined").glob("images-*.parquet"))).to_pydict()
    assert images == {
        "image": list(whole.truth.images),
        "weight": whole.weights.tolist(),
        "repeats": whole.repeats.tolist(),
        "score": whole.image_scores.tolist(),
        "hard_negatives": whole.hard_counts.tolist(),
        "hard_image": whole.hard_images.tolist(),
    }
    rows = pyarrow.parquet.read_table(sorted((tmp_path / "mined").glob("mined-*.parquet"))).to_pylist()
    assert len(rows) == whole.hard_counts.sum() > 0
    found = {"false_negative": whole.truth_hard.sum()}
    assert sum(row["type"] == "false_negative" for row in rows) == found["false_negative"]
    assert {row["type"] for row in rows} <= {"false_positive", "false_negative", "lucky_hit"}
    assert all((row["confidence"] is None) == (row["type"] == "false_negative") for row in rows)
    assert all(row["suspicion"] is not None for row in rows if row["type"] != "lucky_hit")


def test_a_folder_that_holds_something_else_is_refused(shards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mined"
    mined(shards, folder)
    with pytest.raises(FileExistsError, match=r"mined holds a mining that is complete; choose another folder$"):
        mined(shards, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "report.json").unlink()  # as if it had been interrupted
    (folder / "mined-00001-of-00004.parquet").write_bytes(b"half")
    mined(shards, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "report.json").unlink()
    (folder / "images-00000-of-00005.parquet").touch()
    with pytest.raises(FileExistsError, match=r"holds 1 other files, first images-00000-of-00005\.parquet; choose"):
        mined(shards, folder)


def test_shards_that_are_no_folder_of_one_conversion_are_refused(tables: Tables, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere has no shards, expected files such as part-00000-of-00001"):
        shard_files(tmp_path / "nowhere")
    shutil.copy(shards / "part-00002-of-00004.parquet", shards / "part-00000-of-00009.parquet")
    with pytest.raises(ValueError, match="has shards of 2 conversions, into 4 and 9 files; each needs its own folder"):
        shard_files(shards)
    (shards / "part-00000-of-00009.parquet").unlink()
    (shards / "part-00002-of-00004.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"has 3 of its 4 shards, missing is part-00002-of-00004\.parquet"):
        shard_files(shards)
    other = write_shards(tmp_path / "other", Shard(*random_scene(3, images=IMAGES)), images_per_shard=PER_SHARD)
    shutil.copy(other / "part-00002-of-00004.parquet", shards)
    with pytest.raises(ValueError, match=r"part-00002-of-00004\.parquet does not belong to part-00000-of-00004\.parq"):
        mined(shards, tmp_path / "mined")


def test_a_damaged_shard_is_named_by_its_address(shards: Path, tmp_path: Path) -> None:
    path = shards / "part-00001-of-00004.parquet"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=rf"^{shards.as_uri()}/part-00001-of-00004\.parquet is no Parquet file, or is"):
        mined(shards.as_uri(), tmp_path / "mined")
    (shards / "part-00000-of-00004.parquet").chmod(0o644)
    (shards / "part-00000-of-00004.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=r"part-00000-of-00004\.parquet is empty, expected a shard"):
        shard_files(shards)
